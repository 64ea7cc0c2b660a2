"""NumPy and Catena read each other's npz files: the committed ones and random new ones go through
npz_peer and must come out with the same names, dtypes, shapes and values.

usage: npz_numpy.py NPZ_PEER FOLDER_OF_NPZ_FILES
"""
import pathlib
import subprocess
import sys
import tempfile
import zipfile

try:
    import numpy as np
except ImportError:
    print('skipped: npz against NumPy: NumPy is not installed')
    print('0 passed, 0 failed, 1 skipped')
    sys.exit(0)

# Not for Catena, which says so: other objects, records, complex numbers, arrays of text.
REFUSED = {'objects.npz', 'object0.npz', 'records.npz', 'complex.npz', 'text.npz'}
if np.__version__.startswith('1.'):
    REFUSED.add('none_numpy2.npz')  # NumPy 1 itself cannot read it
DTYPES = '?bhiqBHIQefd'


def same(a, b):
    if a.dtype == object:
        return a.shape == b.shape == () and a[()] is None and b[()] is None
    if a.dtype.kind in 'SU':
        return str(a.astype(str)) == str(b)
    return (a.dtype.newbyteorder('=') == b.dtype and a.shape == b.shape and
            a.astype(b.dtype).tobytes() == b.tobytes())


def faults(source, target):
    theirs = np.load(source, allow_pickle=True)
    ours = np.load(target, allow_pickle=True)
    if sorted(theirs.files) != sorted(ours.files):
        yield 'names differ'
        return
    if zipfile.ZipFile(target).testzip() is not None:
        yield 'zipfile finds damage'
    for name in theirs.files:
        if not same(theirs[name], ours[name]):
            yield '%s: %r became %r' % (name, theirs[name], ours[name])


def random_file(path, seed):
    random = np.random.RandomState(seed)
    arrays = {}
    for i in range(random.randint(0, 12)):
        shape = tuple(random.randint(0, 6, size=random.randint(0, 5)))
        a = random.randint(0, 255, size=shape + (8,)).astype('uint8')
        dtype = np.dtype(DTYPES[random.randint(len(DTYPES))])
        a = np.ascontiguousarray(a[..., :dtype.itemsize])
        a = (a % 2 if dtype == bool else a).view(dtype).reshape(shape)
        a = a.astype(a.dtype.newbyteorder('<>'[random.randint(2)]))
        arrays['%d/\u03b1 %s' % (i, dtype.name)] = np.asfortranarray(a) if random.randint(2) else a
    arrays['text'] = np.array('x\u00e9\U0001f40d' * random.randint(0, 9))
    arrays['none'] = np.array(None, dtype=object)
    (np.savez if random.randint(2) else np.savez_compressed)(path, **arrays)


def main():
    peer, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    passed = failed = 0
    with tempfile.TemporaryDirectory() as temp:
        files = [f for f in sorted(folder.glob('*.npz')) if f.name not in REFUSED]
        for seed in range(60):
            files.append(pathlib.Path(temp) / ('random%d.npz' % seed))
            random_file(files[-1], seed)
        for source in files:
            for level in '0', '6':
                target = pathlib.Path(temp) / 'out.npz'
                done = subprocess.run([peer, str(source), str(target), level],
                                      stderr=subprocess.PIPE, text=True)
                found = [done.stderr] if done.returncode else list(faults(source, target))
                for fault in found:
                    print('%s, level %s: %s' % (source.name, level, fault))
                passed, failed = passed + (not found), failed + bool(found)
    print('%d passed, %d failed, 0 skipped' % (passed, failed))
    return failed != 0


sys.exit(main())
