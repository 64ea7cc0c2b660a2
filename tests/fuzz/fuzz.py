"""Runs a libFuzzer target with its dictionary and its seeds.

usage: fuzz.py PROGRAM                     for a moment, as a test
       fuzz.py PROGRAM FOLDER [OPTION...]  until it finds something; FOLDER keeps what is new
"""
import os
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / 'checks'))
from check import Tally  # noqa: E402

RUNS = 5000  # of a test, the seeds among them
SEEDS = {'npz': HERE.parent / 'golden/serialization'}  # the others have tests/fuzz/NAME_corpus


def command(program, folder, options):
    name = pathlib.Path(program).name.removesuffix('_fuzz')
    words = [program, *options]
    if (HERE / (name + '.dict')).exists():
        words.append('-dict=%s' % (HERE / (name + '.dict')))
    return words + [folder, str(SEEDS.get(name, HERE / (name + '_corpus')))]


def moment(program):
    tally = Tally()
    with tempfile.TemporaryDirectory() as folder:
        words = command(program, folder, ['-seed=1', '-runs=%d' % RUNS, '-timeout=60',
                                          '-artifact_prefix=%s/' % folder])
        done = subprocess.run(words, text=True, errors='replace', stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
    ran = done.returncode == 0 and 'Done %d runs' % RUNS in done.stdout
    tally.check(pathlib.Path(program).name, ran, done.stdout[-8000:])
    tally.close()


def main():
    program, *rest = sys.argv[1:]
    if not rest:
        moment(program)
    folder, *options = rest
    os.makedirs(folder, exist_ok=True)
    words = command(program, folder, options)
    os.execv(words[0], words)


main()
