"""PyTorch's side of catena-bench: the same models, data and steps, timed alike, printed as the same
JSON. Initial weights are PyTorch's own: compare nparam, not losses. Training in float16 is that of
autocast, as ours updates float16 weights through float32 copies too; inference has float16 weights.

usage: torch_bench.py --workload W [--mode train|infer] [--device cpu|cuda] [--batch N] [--iters N]
                      [--warmup N] [--dtype D] [--variant V] [--tf32]

variants: eager; channels_last; compile (torch.compile); graphs (torch.compile with CUDA graphs);
the last two may be joined with channels_last: compile+channels_last
"""
import argparse
import contextlib
import json
import statistics
import time

import torch
from torch import nn
from torch.nn import functional as F


def mlp(in_size, hidden, out):
    return nn.Sequential(nn.Linear(in_size, hidden), nn.ReLU(), nn.Linear(hidden, hidden),
                         nn.ReLU(), nn.Linear(hidden, out))


def lenet5():
    pool = nn.MaxPool2d(2, 2)
    return nn.Sequential(
        nn.Conv2d(1, 6, 5), nn.Sigmoid(), pool, nn.Conv2d(6, 16, 5), nn.Sigmoid(), pool,
        nn.Conv2d(16, 120, 4), nn.Sigmoid(), nn.Flatten(), nn.Linear(120, 84), nn.Sigmoid(),
        nn.Linear(84, 10))


def vgg():
    layers, channels = [], 3
    for size, count in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(count):
            layers += [nn.Conv2d(channels, size, 3, 1, 1), nn.ReLU()]
            channels = size
        layers.append(nn.MaxPool2d(2, 2))
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(512, 4096), nn.ReLU(), nn.Dropout(0.5),
                         nn.Linear(4096, 4096), nn.ReLU(), nn.Dropout(0.5), nn.Linear(4096, 1000))


class Bottleneck(nn.Module):
    def __init__(self, in_size, mid, out, stride, projects):
        super().__init__()

        def conv(*shape, **options):
            return nn.Conv2d(*shape, bias=False, **options)
        self.body = nn.Sequential(
            conv(in_size, mid, 1, stride=stride), nn.BatchNorm2d(mid), nn.ReLU(),
            conv(mid, mid, 3, padding=1), nn.BatchNorm2d(mid), nn.ReLU(),
            conv(mid, out, 1), nn.BatchNorm2d(out))
        self.shortcut = nn.Sequential(
            conv(in_size, out, 1, stride=stride), nn.BatchNorm2d(out)) if projects else None

    def forward(self, x):
        return F.relu(self.body(x) + (x if self.shortcut is None else self.shortcut(x)))


def resnet50():
    layers = [nn.Conv2d(3, 64, 7, 2, 3), nn.BatchNorm2d(64), nn.ReLU(),
              nn.MaxPool2d(3, 2, ceil_mode=True)]
    in_size = 64
    for count, mid, stride in ((3, 64, 1), (4, 128, 2), (6, 256, 2), (3, 512, 2)):
        for k in range(count):
            layers.append(Bottleneck(in_size, mid, 4 * mid, 1 if k else stride, k == 0))
            in_size = 4 * mid
    return nn.Sequential(*layers, nn.AvgPool2d(7, 1), nn.Flatten(), nn.Linear(2048, 1000))


class Inception(nn.Module):
    def __init__(self, in_size, out1, reduce3, out3, reduce5, out5, pool):
        super().__init__()
        self.conv1 = nn.Conv2d(in_size, out1, 1)
        self.conv3 = nn.Sequential(nn.Conv2d(in_size, reduce3, 1), nn.ReLU(),
                                   nn.Conv2d(reduce3, out3, 3, padding=1))
        self.conv5 = nn.Sequential(nn.Conv2d(in_size, reduce5, 1), nn.ReLU(),
                                   nn.Conv2d(reduce5, out5, 5, padding=2))
        self.pool = nn.Sequential(nn.MaxPool2d(3, 1, 1), nn.Conv2d(in_size, pool, 1))

    def forward(self, x):
        return F.relu(torch.cat([self.conv1(x), self.conv3(x), self.conv5(x), self.pool(x)], 1))


def googlenet():
    def half():
        return nn.MaxPool2d(3, 2, ceil_mode=True)

    def norm():  # PyTorch divides alpha by the window, Chainer does not
        return nn.LocalResponseNorm(5, 5e-4, 0.75, 2)
    return nn.Sequential(
        nn.Conv2d(3, 64, 7, 2, 3), nn.ReLU(), half(), norm(),
        nn.Conv2d(64, 64, 1), nn.ReLU(), nn.Conv2d(64, 192, 3, 1, 1), nn.ReLU(), norm(), half(),
        Inception(192, 64, 96, 128, 16, 32, 32), Inception(256, 128, 128, 192, 32, 96, 64), half(),
        Inception(480, 192, 96, 208, 16, 48, 64), Inception(512, 160, 112, 224, 24, 64, 64),
        Inception(512, 128, 128, 256, 24, 64, 64), Inception(512, 112, 144, 288, 32, 64, 64),
        Inception(528, 256, 160, 320, 32, 128, 128), half(),
        Inception(832, 256, 160, 320, 32, 128, 128), Inception(832, 384, 192, 384, 48, 128, 128),
        nn.AvgPool2d(7, 1), nn.Flatten(), nn.Dropout(0.4), nn.Linear(1024, 1000))


def momentum(decay=0.0):
    return lambda p: torch.optim.SGD(p, 0.001, momentum=0.9, weight_decay=decay)


# name: model, batch, shape of a sample, classes, optimizer
WORKLOADS = {
    'mushrooms': (lambda: mlp(22, 44, 1), 100, (22,), 2, lambda p: torch.optim.SGD(p, 0.01)),
    'mnist_mlp': (lambda: mlp(784, 1000, 10), 100, (784,), 10, torch.optim.Adam),
    'lenet5': (lenet5, 64, (1, 28, 28), 10, lambda p: torch.optim.SGD(p, 0.01)),
    'vgg_cifar': (vgg, 64, (3, 32, 32), 1000, momentum(5e-4)),
    'resnet50': (resnet50, 8, (3, 224, 224), 1000, momentum()),
    'googlenet': (googlenet, 16, (3, 224, 224), 1000, momentum()),
}


def hashed(n, start=0):
    return (torch.arange(start, start + n, dtype=torch.int64) * 2654435761) & 0xffffffff


def values(*shape):
    n = torch.Size(shape).numel()
    return ((hashed(n) >> 8).to(torch.float32) / 2 ** 24 - 0.5).reshape(shape)


def labels(classes, n):
    return (hashed(n, 12345) >> 8) % classes


class Peer:
    """One model in one variant: step() asks for a step, first_number(step()) waits for it."""

    def __init__(self, workload, mode, device, batch=0, dtype='float32', variant='eager',
                 tf32=False):
        make, usual, shape, classes, optimizer = WORKLOADS[workload]
        torch.manual_seed(0)
        self.batch, self.device, self.tf32 = batch or usual, device, tf32
        self.train, self.dtype = mode == 'train', getattr(torch, dtype)
        number = torch.float32 if self.train else self.dtype
        words = variant.split('+')
        form = torch.channels_last if 'channels_last' in words else torch.contiguous_format
        model = make().to(device, number)
        self.x = values(self.batch, *shape).to(device, number)
        if self.x.dim() == 4:
            model, self.x = model.to(memory_format=form), self.x.contiguous(memory_format=form)
        self.t = labels(classes, self.batch).to(device)
        self.loss = F.cross_entropy
        if workload == 'mushrooms':
            self.t = self.t.to(number).reshape(-1, 1)
            self.loss = F.binary_cross_entropy_with_logits
        model.train(self.train)
        self.parameters = list(model.parameters())
        self.optimizer = optimizer(self.parameters) if self.train else None
        if 'compile' in words:
            model = torch.compile(model, dynamic=False)
        elif 'graphs' in words:
            model = torch.compile(model, dynamic=False, mode='reduce-overhead')
        self.model = model

    def step(self):
        torch.backends.cuda.matmul.allow_tf32 = self.tf32
        torch.backends.cudnn.allow_tf32 = self.tf32
        if not self.train:
            with torch.inference_mode():
                return self.model(self.x)
        self.optimizer.zero_grad(set_to_none=True)
        half = self.dtype == torch.float16
        with torch.autocast(self.device, torch.float16) if half else contextlib.nullcontext():
            loss = self.loss(self.model(self.x), self.t)
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def synchronize(self):
        if self.device != 'cpu':
            torch.cuda.synchronize()

    def timed(self, warmup, iters):
        """As catena-bench's: every step waited for; on a GPU also all of them queued."""
        self.synchronize()
        r = {}
        start = time.perf_counter()
        r['loss_first'] = first_number(self.step())
        r['first_ms'] = milliseconds(start)
        for _ in range(1, warmup):
            first_number(self.step())
        times = []
        for _ in range(iters):
            start = time.perf_counter()
            r['loss_last'] = first_number(self.step())
            times.append(milliseconds(start))
        r['median_ms'], r['min_ms'] = statistics.median(times), min(times)
        if self.device != 'cpu':
            start = time.perf_counter()
            for _ in range(iters):
                self.step()
            self.synchronize()
            r['queued_ms'] = milliseconds(start) / iters
        return r


def first_number(y):
    return float(y.flatten()[0])


def milliseconds(start):
    return (time.perf_counter() - start) * 1e3


def main():
    p = argparse.ArgumentParser()
    p.add_argument('--workload', required=True, choices=WORKLOADS)
    p.add_argument('--mode', default='train', choices=['train', 'infer'])
    p.add_argument('--device', default='cpu')
    p.add_argument('--dtype', default='float32', choices=['float32', 'float16'])
    p.add_argument('--variant', default='eager')
    p.add_argument('--batch', type=int, default=0)
    p.add_argument('--iters', type=int, default=20)
    p.add_argument('--warmup', type=int, default=5)
    p.add_argument('--threads', type=int, default=1)
    p.add_argument('--tf32', action='store_true')
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    torch.backends.cudnn.benchmark = True
    peer = Peer(a.workload, a.mode, a.device, a.batch, a.dtype, a.variant, a.tf32)
    line = {'workload': a.workload, 'mode': a.mode, 'framework': 'torch ' + torch.__version__,
            'variant': a.variant + ('+tf32' if a.tf32 else ''), 'dtype': a.dtype,
            'batch': peer.batch, 'threads': a.threads, 'iters': a.iters}
    times = peer.timed(a.warmup, a.iters)
    line.update((k, v if k.startswith('loss') else round(v, 4)) for k, v in times.items())
    line['nparam'] = sum(w.numel() for w in peer.parameters)
    print(json.dumps(line))


if __name__ == '__main__':
    main()
