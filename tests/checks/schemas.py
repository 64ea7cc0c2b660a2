"""Schema files: faults are found and named by file, table and key; what is accepted gives C++ that
compiles, for every kind of entry.
"""
import pathlib
import sys
import tempfile

from check import Tally, attempt

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / 'tools/gen'))
import schema  # noqa: E402

OP = 'doc = "D."\nin = "x: f"\nmap = "y = x"\n'
# what is written below [op], and what the error says after "[op] "
OP_FAULTS = [
    ('in = "x: f"\nmap = "y = x"', 'doc: missing'),
    ('doc = "no stop"\nin = "x: f"\nmap = "y = x"', 'doc: a sentence ends with a full stop'),
    (OP + 'gard = "gx = gy"', 'gard: unknown key'),
    (OP + 'infer = true', 'infer: unknown key'),
    (OP + 'late = { in = "x: f", map = "y = x", doc = "D." }',
     'late: unknown key; if it is a row of its own: rows of one line stand before the first'),
    ('doc = 3\nin = "x: f"\nmap = "y = x"', 'doc: a string is expected, not 3'),
    ('doc = "D."\nin = "x: q"\nmap = "y = x"', "in: x: 'q' is not made of the classes"),
    ('doc = "D."\nin = "x: f:u"\nmap = "y = x"', "in: x: 'f:u' is not made of the classes"),
    ('doc = "D."\nin = "x"\nmap = "y = x"', "in: 'x' is not NAME: TYPE FLAGS"),
    ('doc = "D."\nin = "x: f maybe"\nmap = "y = x"', "in: x: 'maybe' is not one of"),
    ('doc = "D."\nin = ["x: f variadic", "y: f"]\ncallbacks = "compose"',
     'in: x: only the last input can be variadic'),
    ('doc = "D."\nmap = "y = 1"', 'out: missing'),
    (OP + 'out = "y: =z"', "out: y: there is no input 'z'"),
    (OP + 'out = "y: float8"', "out: y: 'float8' is no dtype"),
    (OP + 'out = "y: ?"', 'out: an expression states the dtype'),
    ('doc = "D."\nin = "x: f"\nout = ["m: =x hidden", "y: =x"]\ncallbacks = "compose"',
     'out: y: hidden outputs come last'),
    (OP + 'attrs = "x: float"', "in, out and attrs: 'x' occurs twice"),
    (OP + 'attrs = "a float"', "attrs: 'a float' is not NAME: KIND = DEFAULT # DOC"),
    (OP + 'attrs = "a: float|double"', "attrs: a: 'double' is not one of"),
    (OP + 'attrs = "a: int = 1.5"', 'attrs: a: the default 1.5 is none of its kinds int'),
    (OP + 'attrs = "a: str = 1"', 'attrs: a: the default 1 is none of its kinds str'),
    (OP + 'attrs = "a: str = text"', "attrs: a: 'text' is no default"),
    (OP + 'attrs = "a: ints = (1, 0.5)"', 'attrs: a: a list of integers is expected'),
    (OP + 'attrs = "a: int = 1e9"', 'attrs: a: the default 1000000000.0 is none of its kinds'),
    (OP + 'flags = "fast"', "flags: 'fast' is not one of nodiff"),
    (OP + 'callbacks = "infer"', 'callbacks: an op has exactly one of map, compose and infer'),
    (OP + 'callbacks = "count"', 'callbacks: an expression needs none'),
    (OP + 'retain = "x"', 'retain: what an expression keeps follows from its gradient'),
    (OP + 'post = "y = a"', 'post: only reductions have it'),
    (OP + 'flags = "nodiff"\ngrad = "gx = gy"', 'flags: nodiff, but it states a gradient'),
    ('doc = "D."\nin = "x: f"', 'callbacks: an op has exactly one of'),
    ('doc = "D."\nin = "x: f"\ncallbacks = "infer"', 'callbacks: a primitive has backward or'),
    ('doc = "D."\nin = ["x: f", "w: f"]\ncallbacks = ["infer", "backward"]',
     'checks: missing: a primitive of several inputs says how they fit each other'),
    ('doc = "D."\nin = "xs: f variadic"\ncallbacks = ["infer", "backward"]',
     'checks: missing: a primitive of several inputs'),
    (OP + 'infer_checks = true', 'infer_checks: only primitives have it'),
    ('doc = "D."\nin = "x: f"\ncallbacks = ["infer", "backward"]\ninfer_checks = "yes"',
     'infer_checks: true or false is expected'),
    ('doc = "D."\nin = "x: f"\ncallbacks = ["compose", "backward"]',
     'callbacks: only primitives have backward'),
    ('doc = "D."\nin = "x: f"\ncallbacks = ["infer", "backward"]\nretain = "w"',
     "retain: 'w' is neither an input nor an output"),
    ('doc = "D."\nin = "x: f"\ncallbacks = "compose"\ngrad = "gx = gy"',
     'grad: only expressions have it'),
]
FILE_FAULTS = [
    ('[op]\n' + OP + '[op]\n' + OP, 'Cannot declare'),
    ('kind = "function"\n[op]\n' + OP, "kind: 'function' is not one of op, link"),
    ('op = 3', '[op]: a table is expected'),
    ('[Op]\n' + OP, '[Op]: op names are made of'),
    ('kind = "link"\n[L]\ndoc = "D."\ncallbacks = "init"', 'callbacks: a link has at least'),
    ('kind = "link"\n[L]\ndoc = "D."\nin = ["*xs", "y"]\ncallbacks = ["init", "call"]',
     'in: only the last input can stand for any number'),
    ('kind = "optimizer"\n[O]\ndoc = "D."', 'update: missing'),
    ('kind = "optimizer"\n[O]\ndoc = "D."\nupdate = "param = 0"\nhyper = "lr: str = \\"a\\""',
     'hyper: lr: only float, bool can be used here'),
    ('kind = "optimizer"\n[O]\ndoc = "D."\nupdate = "param = 0"\nstate = "m = x"',
     "state: m: 'x' is not a number"),
    ('kind = "optimizer"\n[O]\ndoc = "D."\nupdate = "param = 0"\nstate = "m"\nhyper = "m: float"',
     "hyper and state: 'm' occurs twice"),
    ('kind = "hook"\n[H]\ndoc = "D."\nper_param = 1', 'per_param: true or false is expected'),
]
GOOD = {
    'ops': r'''
row = { in = "x: f", map = "y = x / (1 + abs(x))", doc = "One line." }
[several]
doc = "Quotes \" and \\ and ü."
in = ["x: fi", "t: int32|int64:I nograd", "w: a:W optional"]
out = ["y: =x", "z: int64", "mask: bool hidden"]
attrs = ["a: none|int|ints = (1, 2) # a list", "b: floats = (0.5, 1)", "c: float = -inf",
         "d: bool = true", "e: str = \"mean\"", "f: dtype = float32",
         "default: int = -9223372036854775808", "g: int", "h: str = \"\""]
checks = ["x.ndim >= 2", "x.shape[0] == t.shape[0]"]
callbacks = ["infer", "backward"]
flags = ["once", "random"]
retain = ["x", "mask"]
[joined]
doc = "What its infer refuses."
in = "xs: a variadic"
callbacks = ["infer", "backward"]
infer_checks = true
[counted]
doc = "Counted."
in = "xs: a variadic"
out = "ys: ?"
callbacks = ["compose", "count"]
[total]
doc = "Reduction."
in = "x: f"
attrs = ["axis: none|int|ints = none", "keepdims: bool = false"]
map = "x"
reduce = "a + b"
''',
    'links': 'kind = "link"\n[NStepLSTM]\ndoc = "D."\nin = ["x", "*xs"]\nout = ["h", "c"]\n'
             'attrs = "n: int"\ncallbacks = ["init", "call", "copied", "serialized", "moved"]\n'
             '[PReLU]\ndoc = "D."\nsymbol = "prelu"\ncallbacks = ["init", "call"]\n',
    'optimizers': 'kind = "optimizer"\n[Adam]\ndoc = "D."\nhyper = ["alpha: float = 0.001"]\n'
                  'state = ["m", "v = 1"]\nscalars = "lr = alpha"\nupdate = "param -= lr * grad"\n',
    'hooks': 'kind = "hook"\n[Lasso]\ndoc = "D."\nattrs = "rate: float"\nper_param = true\n',
    'initializers': 'kind = "initializer"\n[Zero]\ndoc = "D."\n',
}


def fault_of(folder, text):
    path = folder / 'set' / 'fault.toml'
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding='utf-8')
    try:
        schema.load([path])
    except schema.SchemaError as error:
        return str(error)
    return 'accepted'


def check_faults(tally, folder):
    for text, expected in OP_FAULTS:
        found = fault_of(folder, '[op]\n' + text)
        tally.check(expected, 'set/fault.toml: [op] ' + expected in found, found)
    for text, expected in FILE_FAULTS:
        found = fault_of(folder, text)
        tally.check(expected, 'set/fault.toml: ' in found and expected in found, found)


def check_good(tally, folder):
    paths = []
    for name, text in GOOD.items():
        paths.append(folder / (name + '.toml'))
        paths[-1].write_text(text, encoding='utf-8')
    by_name = {entry.name: entry for entry in schema.load(paths)}
    several, link = by_name['several'], by_name['NStepLSTM']
    tally.check('kinds of ops', [by_name[n].kind for n in ('row', 'several', 'counted', 'total')] ==
                ['elementwise', 'primitive', 'composite', 'reduction'])
    tally.check('retain masks', (several.retain_in, several.retain_out) == (1, 4))
    tally.check('a default of None', by_name['total'].attrs[0].default is None and
                not by_name['total'].attrs[0].required and several.attrs[7].required)
    tally.check('link names', (link.symbol, link.n_in, link.n_out) == ('n_step_lstm', -1, 2))
    again = fault_of(folder, 'row = { in = "x: f", map = "y = x", doc = "D." }')
    tally.check('one file alone', again == 'accepted', again)
    try:
        schema.load(paths + [folder / 'set' / 'fault.toml'])
        tally.check('names are unique over files', False)
    except schema.SchemaError as error:
        tally.check('names are unique over files', '[row]: also in' in str(error), error)

    script = [sys.executable, '-B', str(ROOT / 'tools/gen/tables.py')]
    files = [str(p) for p in paths]
    ways = [script + ['table', 'trial', str(folder / 'trial.cc'), str(folder / 'trial.h')] + files,
            script + ['attrs', str(folder / 'attrs.hpp')] + files]
    for command in ways:
        status, out = attempt(*command)
        tally.check('tables.py ' + command[3], status == 0, out)
    (folder / 'use.cc').write_text('#include "trial.h"\n#include "attrs.hpp"\n'
                                   'static_assert(catena::attr::several::default_ == 6);\n'
                                   'static_assert(catena::out::several::mask == 2);\n')
    for source in ('trial.cc', 'use.cc'):
        status, out = attempt('g++', '-std=c++20', '-Wall', '-Wextra', '-Werror', '-fsyntax-only',
                              '-I%s' % (ROOT / 'capi/include'), str(folder / source))
        tally.check('%s compiles' % source, status == 0, out)


def main():
    tally = Tally()
    with tempfile.TemporaryDirectory() as folder:
        check_faults(tally, pathlib.Path(folder))
        check_good(tally, pathlib.Path(folder))
    tally.close()


main()
