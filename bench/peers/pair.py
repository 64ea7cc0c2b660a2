"""Times catena-bench beside PyTorch in one process each that take turns, and prints a JSON object a
line: what is compared, then for each comparison the medians of paired ratios, ours over PyTorch's.

usage: pair.py BENCH [--backend cuda] [--rounds N] [--iters N] [--warmup N] [--seconds S]
               [--variants V,V...] [--captured] [--out FILE] WORKLOAD[:MODE[:DTYPE[:BATCH]]] ...

Variants are torch_bench.py's, with "+tf32" where float32 may be multiplied as TF32: those are
compared with ours when it may, the others with ours when it may not. A comparison that fails, or
for which the seconds no longer suffice (skipped), is a line that says so. --captured: ours replays
a captured step. --out appends the lines to a file too. Before each comparison a line tells what
begins, the last one how many passed, failed and were skipped; these are not in the file.
"""
import argparse
import gc
import json
import statistics
import subprocess
import sys
import tempfile
import time

import torch
from torch_bench import Peer

LEAST_SECONDS = 15  # that a comparison is begun with
COMPILE_SECONDS = 60  # the same where variants are compiled first


class Ours:
    """catena-bench, a line on whose standard input gives it its turn."""

    def __init__(self, command):
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=self.errors, text=True)

    def round(self):
        try:
            self.process.stdin.write('go\n')
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # it has said why on standard error
        line = self.process.stdout.readline()
        if not line:
            self.errors.seek(0)
            raise RuntimeError(self.errors.read().decode(errors='replace')[-600:].strip())
        return json.loads(line)

    def close(self):
        self.process.kill()
        self.process.communicate()
        self.errors.close()


def tell(line, file):
    text = json.dumps(line)
    print(text, flush=True)
    if file:
        with open(file, 'a', encoding='utf-8') as f:
            f.write(text + '\n')


def describe(device):
    line = {'torch': torch.__version__, 'cuda': torch.version.cuda}
    if device == 'cuda':
        line['device'] = torch.cuda.get_device_name(0)
        line['cudnn'] = torch.backends.cudnn.version()
    return line


def summary(ours, peers):
    """Of one figure ('median_ms', 'queued_ms') in all rounds."""
    def ratios(of):
        r = [o / p for o, p in zip(ours, of)]
        return {'ratio': round(statistics.median(r), 3), 'least': round(min(r), 3),
                'most': round(max(r), 3)}
    line = {'ours_ms': round(statistics.median(ours), 4)}
    line.update(ratios([min(p) for p in zip(*peers.values())]))
    line['peers'] = {name: dict(ms=round(statistics.median(p), 4), **ratios(p))
                     for name, p in peers.items()}
    return line


def compare(a, what, device):
    workload, mode, dtype, batch = (what.split(':') + ['', '', '', ''])[:4]
    mode, dtype = mode or 'train', dtype or 'float32'
    command = [a.bench, '--workload', workload, '--mode', mode, '--backend', a.backend, '--dtype',
               dtype, '--rounds', str(max(2, a.rounds)), '--iters', str(a.iters), '--warmup',
               str(a.warmup), '--threads', str(a.threads)] + (['--batch', batch] if batch else [])
    command += ['--captured'] if a.captured else []
    peers = {}
    for name in a.variants.split(','):
        name = name if dtype == 'float32' else name.replace('+tf32', '')
        if name in peers:
            continue
        words = [w for w in name.split('+') if w != 'tf32']
        peers[name] = Peer(workload, mode, device, int(batch or 0), dtype, '+'.join(words),
                           'tf32' in name)
    for peer in peers.values():  # choosing kernels and compiling is no part of a round
        peer.timed(a.warmup, 1)
    ours, lines, times = {}, {}, {name: [] for name in peers}
    try:
        for name in peers:
            group = group_of(name)
            if group not in ours:
                ours[group] = Ours(command + (['--tf32'] if group == 'tf32' else []))
                lines[group] = []
        for _ in range(a.rounds):
            for group, process in ours.items():
                lines[group].append(process.round())
            for name, peer in peers.items():
                times[name].append(peer.timed(a.warmup, a.iters))
    finally:
        for process in ours.values():
            process.close()
    weights = next(iter(peers.values())).parameters
    first = next(iter(lines.values()))[0]
    result = {'rounds': a.rounds, 'iters': a.iters, 'first_ms': first['first_ms'],
              'nparam': [first['nparam'], sum(w.numel() for w in weights)]}
    for group, rounds in lines.items():
        for figure in ['median_ms', 'queued_ms']:
            if figure in first:
                result.setdefault(group, {})[figure] = summary(
                    [x[figure] for x in rounds],
                    {n: [x[figure] for x in t] for n, t in times.items() if group_of(n) == group})
    return result


def least_seconds(variants):
    compiles = {'compile', 'graphs'} & set(variants.replace(',', '+').split('+'))
    return COMPILE_SECONDS if compiles else LEAST_SECONDS


def group_of(name):
    return 'tf32' if 'tf32' in name else 'exact'


def main():
    p = argparse.ArgumentParser()
    p.add_argument('bench')
    p.add_argument('what', nargs='+')
    p.add_argument('--backend', default='cuda')
    p.add_argument('--rounds', type=int, default=5)
    p.add_argument('--iters', type=int, default=20)
    p.add_argument('--warmup', type=int, default=5)
    p.add_argument('--captured', action='store_true')
    p.add_argument('--out')
    p.add_argument('--threads', type=int, default=1)
    p.add_argument('--seconds', type=float, default=1e9)
    p.add_argument('--variants', default='eager,eager+tf32,channels_last+tf32')
    a = p.parse_args()
    end = time.monotonic() + a.seconds
    device = 'cuda' if torch.cuda.is_available() and a.backend == 'cuda' else 'cpu'
    torch.set_num_threads(a.threads)
    torch.backends.cudnn.benchmark = True
    tell(describe(device), a.out)
    passed, failed, skipped = 0, 0, 0
    for what in a.what:
        line = {'pair': what, 'backend': a.backend, 'device': device, 'captured': a.captured}
        left = end - time.monotonic()
        if left < least_seconds(a.variants):
            line['skipped'] = 'no time left'
            skipped += 1
            tell(line, a.out)
            continue
        print('%s begins, %.0f s are left' % (what, left), flush=True)
        try:
            line.update(compare(a, what, device))
            passed += 1
        except Exception as e:  # the others are still wanted
            line['error'] = '%s: %s' % (type(e).__name__, e)
            failed += 1
        gc.collect()
        if device == 'cuda':
            torch.cuda.empty_cache()
        tell(line, a.out)
    print('%d passed, %d failed, %d skipped' % (passed, failed, skipped))
    return failed != 0


if __name__ == '__main__':
    sys.exit(main())
