"""The small language inside the values of a schema file: "x: f optional", "slope: float = 0.2".
For schema.py alone.
"""
import dataclasses
import math
import re

DTYPES = ['bool', 'int8', 'int16', 'int32', 'int64', 'uint8', 'uint16', 'uint32', 'uint64',
          'float16', 'float32', 'float64', 'bfloat16']
DTYPE_CLASSES = ['f', 'i', 'u', 'b', 'n', 'a']
# Value kinds and their numbers in types.h (CTN_NONE ...). The runtime itself lets an integer serve
# as a float.
KINDS = {
    'none': 1, 'bool': 2, 'int': 3, 'float': 4, 'str': 5, 'dtype': 6,
    'device': 7, 'slice': 8, 'ellipsis': 9, 'newaxis': 10, 'ints': 16, 'floats': 17,
    'strs': 18, 'list': 19, 'array': 32, 'variable': 33, 'link': 34, 'object': 40,
    'callback': 41,
}
OP_FLAGS = {'nodiff': 'CTN_OP_NODIFF', 'random': 'CTN_OP_RANDOM', 'once': 'CTN_OP_ONCE',
            'same_shape': 'CTN_OP_SAME_SHAPE', 'internal': 'CTN_OP_INTERNAL'}
IN_FLAGS = {'optional': 'CTN_IN_OPTIONAL', 'variadic': 'CTN_IN_VARIADIC',
            'nograd': 'CTN_IN_NO_GRAD'}
OP_CALLBACKS = ['infer', 'backward', 'compose', 'count']
LINK_CALLBACKS = ['init', 'call', 'copied', 'serialized', 'moved']
NAME = re.compile(r'[A-Za-z_][A-Za-z0-9_]*')
OP_NAME = re.compile(r'[a-z_][a-z0-9_.]*')
ATTR = re.compile(r'(\w+)\s*:\s*([\w|]+)\s*(?:=\s*((?:[^#"]|"[^"]*")+?))?\s*(?:#\s*(.*))?')
MAX_RETAINED = 64


class SchemaError(Exception):
    pass


@dataclasses.dataclass(frozen=True)
class Input:
    name: str
    type: str  # 'f', 'fi', 'float32|int32', 'b:U': classes, names, a type variable of its own
    flags: frozenset

    @property
    def optional(self): return 'optional' in self.flags
    @property
    def variadic(self): return 'variadic' in self.flags
    @property
    def nograd(self): return 'nograd' in self.flags


@dataclasses.dataclass(frozen=True)
class Output:
    name: str
    type: str  # '=x', a dtype name, or empty where infer or compose decides
    hidden: bool


@dataclasses.dataclass(frozen=True)
class Attr:
    name: str
    kinds: tuple  # names of KINDS as written, 'none' included where the default is None
    required: bool
    default: object  # None, bool, int, float, str, Dtype or a tuple of numbers
    doc: str

    @property
    def kind_numbers(self):
        return sorted({KINDS[kind] for kind in self.kinds})


@dataclasses.dataclass(frozen=True)
class Dtype:
    name: str


def is_dtype_set(text):
    """What the type of an input may be: parts joined by |, each a dtype or some classes; then
    perhaps a type variable of its own."""
    types, colon, variable = text.partition(':')
    if colon and not re.fullmatch(r'[A-Z]\w{0,15}', variable):
        return False
    return all(part in DTYPES or (part and set(part) <= set(DTYPE_CLASSES))
               for part in types.split('|'))


def snake(name):
    """convolution_2d of Convolution2D, n_step_lstm of NStepLSTM; op names stay as they are."""
    name = re.sub(r'(?<=[a-z0-9])(?=[A-Z][a-z])|(?<=[A-Z])(?=[A-Z][a-z])|(?<=[a-z])(?=[A-Z])', '_',
                  name.replace('.', '_'))
    return re.sub(r'(?<=[a-zA-Z])(?=[0-9N]D\b)', '_', name).lower()


class Reader:
    """One table of a file; takes its keys one after the other and complains of what is left."""

    def __init__(self, file, name, table):
        if not isinstance(table, dict):
            raise SchemaError('%s: [%s]: a table is expected' % (file, name))
        self.file, self.name, self.table = file, name, dict(table)

    def fail(self, key, text):
        raise SchemaError('%s: [%s] %s: %s' % (self.file, self.name, key, text))

    def text(self, key, default=None):
        value = self.table.pop(key, default)
        if value is None:
            self.fail(key, 'missing')
        if not isinstance(value, str):
            self.fail(key, 'a string is expected, not %r' % (value,))
        return value.strip()

    def texts(self, key):
        """A list of strings; one string stands for a list of one."""
        value = self.table.pop(key, [])
        value = [value] if isinstance(value, str) else value
        if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
            self.fail(key, 'a string or a list of strings is expected')
        return [v.strip() for v in value]

    def flags(self, key, known):
        given = self.texts(key)
        for flag in given:
            if flag not in known:
                self.fail(key, '%r is not one of %s' % (flag, ', '.join(known)))
        return frozenset(given)

    def boolean(self, key):
        value = self.table.pop(key, False)
        if not isinstance(value, bool):
            self.fail(key, 'true or false is expected')
        return value

    def common(self):
        doc = self.text('doc')
        if not doc.endswith('.'):
            self.fail('doc', 'a sentence ends with a full stop')
        return {'name': self.name, 'doc': doc, 'page': self.text('page', ''), 'file': self.file,
                'symbol': self.text('symbol', snake(self.name))}

    def unique(self, key, names):
        for name in names:
            if not NAME.fullmatch(name):
                self.fail(key, '%r is not a name' % name)
            if names.count(name) > 1:
                self.fail(key, '%r occurs twice' % name)

    def attrs(self, key='attrs', only=None):
        found = tuple(self.attr(key, text) for text in self.texts(key))
        self.unique(key, [a.name for a in found])
        for a in found:
            for kind in a.kinds:
                if only and kind not in only:
                    self.fail(key, '%s: only %s can be used here' % (a.name, ', '.join(only)))
        return found

    def attr(self, key, text):
        """NAME: KIND[|KIND...] [= DEFAULT] [# DOC]"""
        match = ATTR.fullmatch(text)
        if not match:
            self.fail(key, '%r is not NAME: KIND = DEFAULT # DOC' % text)
        name, kinds, default, doc = match.groups()
        kinds = kinds.split('|')
        for kind in kinds:
            if kind not in KINDS:
                self.fail(key, '%s: %r is not one of %s' % (name, kind, ', '.join(KINDS)))
        value = None
        if default is not None:
            value = self.default(key, name, default.strip())
            if value is None and 'none' not in kinds:
                kinds.append('none')
            self.check_default(key, name, kinds, value)
            if type(value) is int and 'int' not in kinds:
                value = float(value)
        return Attr(name, tuple(kinds), default is None, value, doc or '')

    def default(self, key, name, text):
        simple = {'none': None, 'true': True, 'false': False, 'inf': math.inf, '-inf': -math.inf,
                  'nan': math.nan}
        if text in simple:
            return simple[text]
        if text in DTYPES:
            return Dtype(text)
        if text[0] == text[-1] == '"' and len(text) > 1:
            return text[1:-1]
        if text[0] == '(' and text[-1] == ')':
            items = [t for t in text[1:-1].replace(' ', '').split(',') if t]
            return tuple(self.default(key, name, t) for t in items)
        try:
            return int(text, 0)
        except ValueError:
            pass
        try:
            return float(text)
        except ValueError:
            self.fail(key, '%s: %r is no default (none, true, 1, 0.5, "text", (1, 2), float32)' %
                      (name, text))

    def check_default(self, key, name, kinds, value):
        by_type = {type(None): {'none'}, bool: {'bool'}, int: {'int', 'float'},
                   float: {'float'}, str: {'str'}, Dtype: {'dtype'},
                   tuple: {'ints', 'floats'}}
        if not by_type[type(value)] & set(kinds):
            self.fail(key, '%s: the default %r is none of its kinds %s' %
                      (name, value, '|'.join(kinds)))
        if isinstance(value, tuple):
            if not all(type(v) in (int, float) for v in value):
                self.fail(key, '%s: a list default holds numbers' % name)
            if 'ints' in kinds and not all(type(v) is int for v in value) and 'floats' not in kinds:
                self.fail(key, '%s: a list of integers is expected' % name)

    def inputs(self):
        """NAME: TYPE [FLAG...]"""
        found = []
        for text in self.texts('in'):
            match = re.fullmatch(r'(\w+)\s*:\s*(\S+)((?:\s+\w+)*)', text)
            if not match:
                self.fail('in', '%r is not NAME: TYPE FLAGS' % text)
            name, dtype, flags = match.group(1), match.group(2), match.group(3).split()
            if not is_dtype_set(dtype):
                self.fail('in', '%s: %r is not made of the classes %s and dtype names, as in '
                          'f, fi, float32|int32, b:U' % (name, dtype, ' '.join(DTYPE_CLASSES)))
            for flag in flags:
                if flag not in IN_FLAGS:
                    self.fail('in', '%s: %r is not one of %s' % (name, flag, ', '.join(IN_FLAGS)))
            found.append(Input(name, dtype, frozenset(flags)))
        for item in found[:-1]:
            if item.variadic:
                self.fail('in', '%s: only the last input can be variadic' % item.name)
        return tuple(found)

    def outputs(self, inputs):
        """NAME: TYPE [hidden], TYPE being =INPUT, a dtype or ? where the callback decides; by
        default one output with the dtype of the first input."""
        texts = self.texts('out')
        if not texts:
            if not inputs:
                self.fail('out', 'missing: there is no input to take the dtype from')
            texts = ['y: =%s' % inputs[0].name]
        found = []
        for text in texts:
            match = re.fullmatch(r'(\w+)\s*:\s*(\?|(=?)(\w+))(\s+hidden)?', text)
            if not match:
                self.fail('out', '%r is not NAME: TYPE hidden' % text)
            name, dtype, like, what, hidden = match.groups()
            if like and what not in [i.name for i in inputs]:
                self.fail('out', '%s: there is no input %r' % (name, what))
            if what and not like and what not in DTYPES:
                self.fail('out', '%s: %r is no dtype' % (name, what))
            if found and found[-1].hidden and not hidden:
                self.fail('out', '%s: hidden outputs come last' % name)
            found.append(Output(name, '' if dtype == '?' else dtype, bool(hidden)))
        return tuple(found)

    def close(self):
        for key, value in sorted(self.table.items()):
            self.fail(key, 'unknown key' + (
                '; if it is a row of its own: rows of one line stand before the first [table] of '
                'their file' if isinstance(value, dict) else ''))
