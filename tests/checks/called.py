"""Every function of catena.h is called by a test: a new one without a test fails here.

usage: called.py API_HEADER
"""
import pathlib
import re
import sys

from check import Tally

TESTS = pathlib.Path(__file__).resolve().parents[1]
PROTOTYPE = re.compile(r'^CTN_API[^;(]*\b(ctn_\w+)\(', re.M)
CALL = re.compile(r'\b(ctn_\w+)\(')
# What only looks like a call: comments, and texts that errors are compared with.
NOT_CODE = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"', re.S)


def calls(path):
    return set(CALL.findall(NOT_CODE.sub(' ', path.read_text(encoding='utf-8'))))


def main():
    tally = Tally()
    declared = PROTOTYPE.findall(pathlib.Path(sys.argv[1]).read_text(encoding='utf-8'))
    tally.check('catena.h declares functions', len(declared) > 100, len(declared))
    called = set()
    for suffix in ('*.c', '*.cc', '*.h'):
        for path in TESTS.rglob(suffix):
            called |= calls(path)
    for name in declared:
        tally.check('%s is called by a test' % name, name in called)
    tally.close()


main()
