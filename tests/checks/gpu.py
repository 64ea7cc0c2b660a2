"""What tests/gpu.sh leaves out on a GPU machine is said, and why; what failed there has failed. Its
functions run here with commands that only pretend, and pair.py with a PyTorch that does.

usage: gpu.py TABLE PROGRAM ...: the file with the programs of the table, and which these are
"""
import json
import pathlib
import sys
import tempfile

from check import Tally, attempt

ROOT = pathlib.Path(__file__).resolve().parents[2]
SANITIZERS = {  # what it prints, its status, whether that is a skip
    'finds nothing': ('========= ERROR SUMMARY: 0 errors', 0, False),
    'finds an error': ('========= Invalid read\n========= ERROR SUMMARY: 1 error', 3, False),
    'finds a race': ('========= RACECHECK SUMMARY: 1 hazard displayed (1 error)', 3, False),
    'cannot attach': ('========= Error: the device is not supported', 1, True),
    'cannot attach, status 0': ('========= Internal Sanitizer Error: no debugger', 0, True),
    'says nothing': ('5 passed, 0 failed, 0 skipped', 0, True),
    'dies': ('Segmentation fault', 139, False),
    'takes too long': ('========= Error: the process is gone', 124, False),
}
TORCH = '''
__version__ = 'none'
class cuda:
    is_available = staticmethod(lambda: False)
class version:
    cuda = None
class backends:
    class cudnn:
        benchmark = False
def set_num_threads(n): pass
'''


def functions(text, out, seconds=500):
    """What the functions of gpu.sh print, their last status, and the figures."""
    start = ('. "%s/tests/gpu.sh" functions; out="%s" failed=0 python= no_python=gone bin=/ '
             'golden=/ short= end=$(($(date +%%s) + %d)); : >"$out/figures"; : >"$out/log"\n'
             % (ROOT, out, seconds))
    status, said = attempt('bash', '-c', start + text)
    lines = (out / 'figures').read_text().replace('\n', '').rstrip(',')
    return status, said, json.loads('{%s}' % lines)


def command(path, text):
    path.write_text('#!/bin/bash\n' + text)
    path.chmod(0o755)


def check_skips(tally, out):
    _, said, figures = functions('pairs pairs 100 eager lenet5; echo failed=$failed', out)
    why = 'no PyTorch: gone'
    tally.check('no PyTorch is said', 'pairs: skipped: ' + why in said, said)
    tally.check('no PyTorch is a figure', figures == {'pairs': {'skipped': why}}, figures)
    tally.check('a skip is no failure', 'failed=0' in said, said)
    _, said, figures = functions('python=true; pairs pairs 100 eager lenet5', out, 5)
    tally.check('little time is said', 'pairs: skipped: less than 30 s' in said, said)
    tally.check('little time is a figure', 'skipped' in figures['pairs'], figures)
    _, said, figures = functions('PATH=/bin:/usr/bin; sanitizer', out)
    tally.check('no compute-sanitizer is said',
                said.count('skipped: no compute-sanitizer') == 2 and len(figures) == 2, said)
    command(out / 'python3', 'echo "ModuleNotFoundError: torch, it says" >&2; exit 1\n')
    _, said, _ = functions('PATH="%s:$PATH"; find_python; echo "$no_python"' % out, out)
    tally.check('why PyTorch cannot be imported is kept',
                'python3: ModuleNotFoundError: torch, it says' in said, said)


def check_sanitizer(tally, out):
    for name, (text, status, skipped) in SANITIZERS.items():
        command(out / 'compute-sanitizer', 'printf "%%s\\n" "%s"; exit %d\n' % (text, status))
        _, said, figures = functions(
            'PATH="%s:$PATH"; sanitized memcheck 60 program; echo failed=$failed' % out, out)
        found = 'skipped' in figures['memcheck'], 'memcheck: skipped' in said
        tally.check('a sanitizer that %s is%s a skip' % (name, '' if skipped else ' not'),
                    found == (skipped, skipped), said)
        tally.check('a sanitizer that %s has the right end' % name,
                    'failed=%d' % (not skipped and status != 0) in said, said)


def check_pairs(tally, out):
    (out / 'torch.py').write_text(TORCH)
    (out / 'torch_bench.py').write_text('class Peer:\n    pass\n')
    pair = out / 'pair.py'
    pair.write_text((ROOT / 'bench/peers/pair.py').read_text())

    def lines(*args):
        return attempt(sys.executable, '-B', str(pair), str(out / 'none'), '--backend', 'cpu',
                       *args)
    cases = (('eager', '50', True), ('eager', '5', False), ('compile+channels_last', '50', False),
             ('graphs', '70', True))
    for variants, seconds, begins in cases:
        status, said = lines('--variants', variants, '--seconds', seconds, 'lenet5')
        name = '%s with %s s' % (variants, seconds)
        tally.check('%s begins: %s' % (name, begins), ('lenet5 begins' in said) == begins, said)
        if begins:  # and then fails, as there is no program
            tally.check('%s: what fails has failed' % name,
                        status == 1 and '0 passed, 1 failed, 0 skipped' in said, said)
        else:
            tally.check('%s: no time is a skip' % name,
                        status == 0 and '"skipped": "no time left"' in said and
                        '0 passed, 0 failed, 1 skipped' in said, said)


def main():
    tally = Tally()
    listed = pathlib.Path(sys.argv[1]).read_text().split()
    tally.check('the table that gpu.sh runs is that of the tests',
                sorted(listed) == sorted(sys.argv[2:]) and len(listed) > 5, listed)
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder)
        _, said, _ = functions('table "%s"; echo "${table[*]}"' % sys.argv[1], out)
        tally.check('gpu.sh reads it', said.split() == listed, said)
        status, said, _ = functions('table "%s/none"' % out, out)
        tally.check('gpu.sh says where it is not there', status == 2 and 'no list of' in said, said)
        check_skips(tally, out)
        check_sanitizer(tally, out)
        check_pairs(tally, out)
    tally.close()


main()
