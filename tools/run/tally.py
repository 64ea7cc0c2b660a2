"""Adds up a meson test log: prints the totals line, and on standard error what each program did.

Every test program closes with the line 'N passed, N failed, N skipped'. One that ends without it,
exits non-zero while it claims that nothing failed, or runs nothing at all counts as one failure.
"""
import json
import os
import re
import sys

LINE = re.compile(r'^(\d+) passed, (\d+) failed, (\d+) skipped$')


def closing_counts(stdout):
    lines = stdout.rstrip().splitlines()
    match = LINE.match(lines[-1].strip()) if lines else None
    return [int(n) for n in match.groups()] if match else None


def judge(test):
    """(counts, reason): reason is text where the program itself counts as failed."""
    counts = closing_counts(test.get('stdout', ''))
    if counts is None:
        return [0, 1, 0], 'ended without a closing line (%s)' % test['result']
    if sum(counts) == 0:
        return [0, 1, 0], 'ran no test'
    if test['returncode'] != 0 and counts[1] == 0:
        return [counts[0], 1, counts[2]], 'exit status %s' % test['returncode']
    return counts, ''


def main():
    totals = [0, 0, 0]
    tests = []
    if os.path.exists(sys.argv[1]):
        with open(sys.argv[1], encoding='utf-8') as log:
            tests = [json.loads(line) for line in log if line.strip()]
    for test in sorted(tests, key=lambda t: t['name']):
        counts, reason = judge(test)
        totals = [a + b for a, b in zip(totals, counts)]
        report('%-28s %6.1f s  %d passed, %d failed, %d skipped%s' % (
            test['name'], test['duration'], *counts, '  ' + reason if reason else ''))
        if counts[1]:
            report(test.get('stdout', '')[-6000:])
            report(test.get('stderr', '')[-6000:])
        else:
            report(''.join('    %s\n' % line for line in test.get('stdout', '').splitlines()
                           if line.startswith('skipped: ')))
    if not tests:
        report('FAILED: no test ran')
        totals[1] += 1
    print('%d passed, %d failed, %d skipped' % tuple(totals))


def report(text):
    if text:
        print(text.rstrip('\n'), file=sys.stderr)


main()
