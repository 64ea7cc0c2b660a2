"""Reads and checks the schema files (*.toml) of ops, links, optimizers, hooks and initializers. All
that is generated from them starts here; this module writes nothing. docs/schemas.md has the format.

A fault raises SchemaError, whose text names the file, the table and the key.
"""
import dataclasses
import pathlib
import re
import tomllib

from schema_text import (Attr, Dtype, IN_FLAGS, Input, KINDS, LINK_CALLBACKS, MAX_RETAINED, NAME,
                         OP_CALLBACKS, OP_FLAGS, OP_NAME, Output, Reader, SchemaError, snake)

__all__ = ['Attr', 'Dtype', 'Entry', 'Hook', 'IN_FLAGS', 'Initializer', 'Input', 'KINDS', 'Link',
           'OP_FLAGS', 'Op', 'Optimizer', 'Output', 'SchemaError', 'State', 'load', 'load_file',
           'snake']


@dataclasses.dataclass(frozen=True)
class State:
    name: str
    initial: float
    when: bool  # exists only where the optimizer's `when` is true


@dataclasses.dataclass(frozen=True)
class Entry:
    """What every kind has."""
    name: str
    doc: str
    page: str
    file: str
    symbol: str  # what C++ names of it begin with
    attrs: tuple


@dataclasses.dataclass(frozen=True)
class Op(Entry):
    label: str
    inputs: tuple
    outputs: tuple
    checks: tuple
    flags: frozenset
    retain_in: int
    retain_out: int
    map: str
    grad: str
    reduce: str
    post: str
    identity: str
    callbacks: frozenset
    infer_checks: bool  # what is asked of several inputs is all in infer

    @property
    def kind(self):
        if self.map:
            return 'reduction' if self.reduce else 'elementwise'
        return 'composite' if 'compose' in self.callbacks else 'primitive'

    @property
    def visible_outputs(self): return tuple(out for out in self.outputs if not out.hidden)
    @property
    def counted(self): return 'count' in self.callbacks  # the number of outputs depends on the call


@dataclasses.dataclass(frozen=True)
class Link(Entry):
    inputs: tuple  # names; the last may be '*xs' for any number
    outputs: tuple
    callbacks: frozenset

    @property
    def n_in(self):
        return -1 if any(name.startswith('*') for name in self.inputs) else len(self.inputs)
    @property
    def n_out(self): return len(self.outputs)


@dataclasses.dataclass(frozen=True)
class Optimizer(Entry):  # attrs are the hyperparameters
    state: tuple
    scalars: str
    update: str
    when: str
    update_when: str
    nonzero: str


@dataclasses.dataclass(frozen=True)
class Hook(Entry):
    per_param: bool
    post: bool
    sums: tuple  # pairs of name and expression
    scalars: str
    update: str  # empty: it has a callback


@dataclasses.dataclass(frozen=True)
class Initializer(Entry):
    pass


def masks(reader, inputs, outputs):
    retain_in = retain_out = 0
    in_names, out_names = [i.name for i in inputs], [o.name for o in outputs]
    for name in reader.texts('retain'):
        if name in in_names:
            retain_in |= 1 << in_names.index(name)
        elif name in out_names:
            retain_out |= 1 << out_names.index(name)
        else:
            reader.fail('retain', '%r is neither an input nor an output' % name)
    return retain_in, retain_out


def read_op(reader):
    if not OP_NAME.fullmatch(reader.name):
        raise SchemaError('%s: [%s]: op names are made of [a-z0-9_.]' % (reader.file, reader.name))
    common = reader.common()
    inputs = reader.inputs()
    outputs = reader.outputs(inputs)
    attrs = reader.attrs()
    reader.unique('in, out and attrs', [x.name for x in (*inputs, *outputs, *attrs)])
    retain_in, retain_out = masks(reader, inputs, outputs)
    op = Op(**common, attrs=attrs, label=reader.text('label', ''), inputs=inputs, outputs=outputs,
            checks=tuple(reader.texts('checks')), flags=reader.flags('flags', OP_FLAGS),
            retain_in=retain_in, retain_out=retain_out,
            callbacks=reader.flags('callbacks', OP_CALLBACKS),
            infer_checks=reader.boolean('infer_checks'),
            **{key: reader.text(key, '') for key in ('map', 'grad', 'reduce', 'post', 'identity')})
    reader.close()
    check_op(reader, op)
    return op


def check_op(reader, op):
    ways = [bool(op.map), 'compose' in op.callbacks, 'infer' in op.callbacks]
    if sum(ways) != 1:
        reader.fail('callbacks', 'an op has exactly one of map, compose and infer')
    if op.map:
        if op.callbacks:
            reader.fail('callbacks', 'an expression needs none')
        if op.retain_in or op.retain_out:
            reader.fail('retain', 'what an expression keeps follows from its gradient')
    else:
        for key in ('grad', 'reduce', 'post', 'identity'):
            if getattr(op, key):
                reader.fail(key, 'only expressions have it')
    if op.map and any(not out.type for out in op.outputs):
        reader.fail('out', 'an expression states the dtype of each output')
    if op.map and not op.reduce:
        for key in ('post', 'identity'):
            if getattr(op, key):
                reader.fail(key, 'only reductions have it')
    if op.kind == 'primitive' and 'nodiff' not in op.flags and 'backward' not in op.callbacks:
        reader.fail('callbacks', 'a primitive has backward or the flag nodiff')
    several = len(op.inputs) > 1 or any(i.variadic for i in op.inputs)
    if op.infer_checks and op.kind != 'primitive':
        reader.fail('infer_checks', 'only primitives have it')
    if op.kind == 'primitive' and several and not op.checks and not op.infer_checks:
        reader.fail('checks', 'missing: a primitive of several inputs says how they fit each '
                    'other, or infer_checks = true where its infer refuses all that do not')
    if 'backward' in op.callbacks and op.kind != 'primitive':
        reader.fail('callbacks', 'only primitives have backward')
    if 'nodiff' in op.flags and ('backward' in op.callbacks or op.grad):
        reader.fail('flags', 'nodiff, but it states a gradient')
    if len(op.inputs) > MAX_RETAINED or len(op.outputs) > MAX_RETAINED:
        reader.fail('in', 'more than %d inputs or outputs' % MAX_RETAINED)


def read_link(reader):
    common = reader.common()
    link = Link(**common, attrs=reader.attrs(), inputs=tuple(reader.texts('in') or ['x']),
                outputs=tuple(reader.texts('out') or ['y']),
                callbacks=reader.flags('callbacks', LINK_CALLBACKS))
    reader.close()
    if any(name.startswith('*') for name in link.inputs[:-1]):
        reader.fail('in', 'only the last input can stand for any number')
    reader.unique('in and out', [n.lstrip('*') for n in link.inputs + link.outputs])
    if not {'init', 'call'} <= link.callbacks:
        reader.fail('callbacks', 'a link has at least init and call')
    return link


def read_optimizer(reader):
    common = reader.common()
    states = []
    for text in reader.texts('state'):
        match = re.fullmatch(r'(\w+)(?:\s*=\s*(\S+))?(\s+when)?', text)
        if not match:
            reader.fail('state', '%r is not NAME = INITIAL when' % text)
        try:
            states.append(State(match[1], float(match[2] or 0), bool(match[3])))
        except ValueError:
            reader.fail('state', '%s: %r is not a number' % (match[1], match[2]))
    optimizer = Optimizer(**common, attrs=reader.attrs('hyper', only=('float', 'bool')),
                          state=tuple(states), scalars=reader.text('scalars', ''),
                          update=reader.text('update'), when=reader.text('when', ''),
                          update_when=reader.text('update_when', ''),
                          nonzero=reader.text('nonzero', ''))
    reader.close()
    reader.unique('hyper and state', [a.name for a in optimizer.attrs] + [s.name for s in states])
    return optimizer


def read_hook(reader):
    common = reader.common()
    sums = []
    for text in reader.texts('sums'):
        name, equals, value = text.partition('=')
        if not equals:
            reader.fail('sums', '%r is not NAME = EXPRESSION' % text)
        sums.append((name.strip(), value.strip()))
    hook = Hook(**common, attrs=reader.attrs(), per_param=reader.boolean('per_param'),
                post=reader.boolean('post'), sums=tuple(sums), scalars=reader.text('scalars', ''),
                update=reader.text('update', ''))
    reader.close()
    reader.unique('attrs and sums', [a.name for a in hook.attrs] + [name for name, _ in sums])
    if not hook.update and (sums or hook.scalars):
        reader.fail('update', 'missing: sums and scalars are for it')
    return hook


def read_initializer(reader):
    initializer = Initializer(**reader.common(), attrs=reader.attrs())
    reader.close()
    return initializer


READERS = {'op': read_op, 'link': read_link, 'optimizer': read_optimizer, 'hook': read_hook,
           'initializer': read_initializer}


def load_file(path):
    """The entries of one file, in its order. Its top-level key `kind` says of which kind they are;
    without it they are ops."""
    path = pathlib.Path(path)
    name = '/'.join(path.parts[-3:])
    try:
        tables = tomllib.loads(path.read_text(encoding='utf-8'))
    except tomllib.TOMLDecodeError as error:
        raise SchemaError('%s: %s' % (name, error)) from None
    kind = tables.pop('kind', 'op')
    if kind not in READERS:
        raise SchemaError('%s: kind: %r is not one of %s' % (name, kind, ', '.join(READERS)))
    entries = []
    for table_name, table in tables.items():
        if kind != 'op' and not NAME.fullmatch(table_name):
            raise SchemaError('%s: [%s]: not a name' % (name, table_name))
        entries.append(READERS[kind](Reader(name, table_name, table)))
    return entries


def load(paths):
    """All entries of several files, in the order of the files; names are unique within a kind."""
    entries, seen = [], {}
    for path in paths:
        for entry in load_file(path):
            key = (type(entry), entry.name)
            if key in seen:
                raise SchemaError('%s: [%s]: also in %s' % (entry.file, entry.name, seen[key]))
            seen[key] = entry.file
            entries.append(entry)
    return entries
