"""Writes the npz files of this folder that exercise the format rather than a model.

usage: make_npz.py [DIR]    NumPy 2 writes none_numpy2.npz, NumPy 1 all the others

Element i (in C order) of every array is i - 2 for signed and floating types (i / 2 - 1 for the
latter), i for unsigned ones, i % 2 for bool, which is what tests/core/npz_test.cc expects.
"""
import io
import pickle
import sys
import zipfile

import numpy as np

DTYPES = ['bool', 'int8', 'int16', 'int32', 'int64', 'uint8', 'uint16', 'uint32', 'uint64',
          'float16', 'float32', 'float64']
SHAPES = {'matrix': (3, 4), 'zero_d': (), 'empty': (0, 3), 'cube': (2, 3, 2)}


def pattern(dtype, shape):
    i = np.arange(int(np.prod(shape)))
    kind = np.dtype(dtype).kind
    values = {'b': i % 2, 'i': i - 2, 'u': i, 'f': i / 2 - 1}[kind]
    return values.astype(dtype).reshape(shape)


class Pipe(io.RawIOBase):
    """A file that cannot seek: zipfile then writes data descriptors."""

    def __init__(self):
        self.bytes = b''

    def writable(self):
        return True

    def write(self, data):
        self.bytes += bytes(data)
        return len(data)


def npy(array, **options):
    out = io.BytesIO()
    np.lib.format.write_array(out, array, **options)
    return out.getvalue()


def archive(path, members):
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as z:
        for name, data in members.items():
            z.writestr(zipfile.ZipInfo(name + '.npy', (1980, 1, 1, 0, 0, 0)), data)


def none_members():
    header = npy(np.array(None, object))
    header = header[:10 + int.from_bytes(header[8:10], 'little')]
    return {'p%d' % p: header + pickle.dumps(np.array(None, object), protocol=p) for p in (2, 3, 4)}


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else '.'
    if np.__version__.startswith('2.'):
        return archive(folder + '/none_numpy2.npz', none_members())
    archive(folder + '/none_numpy1.npz', none_members())

    arrays = {}
    for dtype in DTYPES:
        for name, shape in SHAPES.items():
            a = pattern(dtype, shape)
            arrays['c/%s/%s' % (name, dtype)] = a
            arrays['fortran/%s/%s' % (name, dtype)] = np.asfortranarray(a)
            arrays['big/%s/%s' % (name, dtype)] = a.astype(a.dtype.newbyteorder('>'))
    np.savez_compressed(folder + '/dtypes.npz', **arrays)

    np.savez(folder + '/text.npz', ascii=np.array('epoch'), empty=np.array(''),
             wide=np.array('gr\u00fc\u00df \u65e5 \U0001f40d'), bytes=np.array(b'abc'),
             big=np.array('ab').astype('>U5'), inner=np.array('a\0b'), many=np.array(['x', 'y']))

    pipe = Pipe()
    np.savez_compressed(pipe, a=pattern('float32', (3, 4)), b=pattern('int64', (5,)))
    open(folder + '/streamed.npz', 'wb').write(pipe.bytes)
    pipe = Pipe()
    np.savez(pipe, a=pattern('float32', (3, 4)), b=pattern('int64', (5,)))
    open(folder + '/streamed_stored.npz', 'wb').write(pipe.bytes)

    archive(folder + '/version2.npz', {'a': npy(pattern('float32', (3, 4)), version=(2, 0)),
                                       'b': npy(pattern('int64', (5,)), version=(1, 0))})
    np.savez(folder + '/objects.npz', a=np.array([1, None], object))
    np.savez(folder + '/object0.npz', a=np.array({'k': 1}, object))
    np.savez(folder + '/records.npz', a=np.zeros(2, [('x', 'f4'), ('y', 'i4')]))
    np.savez(folder + '/complex.npz', a=np.zeros(2, 'complex64'))


main()
