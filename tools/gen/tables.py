"""Writes the C++ of a plugin's schemas: a table of definitions and one function that registers them
all, declarations of the callbacks they name, and enums of the positions of attributes and inputs.

Usage: tables.py table NAMESPACE OUT.cc OUT.h FILE.toml...   definitions and callbacks of one plugin
       tables.py attrs OUT.hpp FILE.toml...                  positions, for ops and backends
"""
import math
import pathlib
import sys

import schema

KEYWORDS = {'and', 'auto', 'bool', 'break', 'case', 'catch', 'char', 'class', 'const', 'continue',
            'default', 'delete', 'do', 'double', 'else', 'enum', 'explicit', 'export', 'extern',
            'float', 'for', 'friend', 'goto', 'if', 'inline', 'int', 'long', 'mutable', 'namespace',
            'new', 'not', 'operator', 'or', 'private', 'public', 'register', 'return', 'short',
            'signed', 'sizeof', 'static', 'struct', 'switch', 'template', 'this', 'throw', 'try',
            'typedef', 'union', 'unsigned', 'using', 'virtual', 'void', 'volatile', 'while', 'xor'}
DTYPE_CODES = {'bool': 'CTN_DT_BOOL, 8', 'bfloat16': 'CTN_DT_BFLOAT, 16'}


def word(name):
    return name + '_' if name in KEYWORDS else name


def text(value):
    """A C string literal and its length, as a ctn_str."""
    if not value:
        return '{nullptr, 0}'
    data = value.encode('utf-8')
    escaped = ''.join('\\n' if c == 10 else chr(c) if 32 <= c < 127 and c not in b'"\\?' else
                      '\\%03o' % c for c in data)
    return '{"%s", %d}' % (escaped, len(data))


def number(value):
    if math.isinf(value):
        return '-HUGE_VAL' if value < 0 else 'HUGE_VAL'
    return 'NAN' if math.isnan(value) else repr(float(value))


def integer(value):
    return 'INT64_MIN' if value == -2 ** 63 else 'INT64_C(%d)' % value


def dtype(name):
    if name in DTYPE_CODES:
        return '{%s, 1}' % DTYPE_CODES[name]
    code = {'i': 'CTN_DT_INT', 'u': 'CTN_DT_UINT', 'f': 'CTN_DT_FLOAT'}[name[0]]
    return '{%s, %s, 1}' % (code, name.lstrip('uintfloat'))


class Writer:
    """Collects the arrays that definitions point to, then the definitions."""

    def __init__(self):
        self.lines = []

    def add(self, *lines):
        self.lines += lines

    def array(self, ctype, name, items):
        """Defines an array and gives the expression for its address."""
        if not items:
            return 'nullptr'
        self.add('constexpr %s %s[] = {' % (ctype, name), *['    %s,' % i for i in items], '};')
        return name

    def value(self, value, name):
        """A default as the initialiser of a ctn_value."""
        if value is None:
            return '{CTN_NONE, 0, {}}'
        if isinstance(value, bool):
            return '{CTN_BOOL, 0, {.i = %d}}' % value
        if isinstance(value, int):
            return '{CTN_INT, 0, {.i = %s}}' % integer(value)
        if isinstance(value, float):
            return '{CTN_FLOAT, 0, {.f = %s}}' % number(value)
        if isinstance(value, schema.Dtype):
            return '{CTN_DTYPE, 0, {.dt = %s}}' % dtype(value.name)
        if isinstance(value, str):
            return '{CTN_STR, %s, {.s = %s}}' % tuple(
                reversed(text(value)[1:-1].rsplit(', ', 1))) if value else '{CTN_STR, 0, {.s = ""}}'
        if all(type(v) is int for v in value):
            where = self.array('int64_t', name, [integer(v) for v in value])
            return '{CTN_INTS, %d, {.is = %s}}' % (len(value), where)
        where = self.array('double', name, [number(v) for v in value])
        return '{CTN_FLOATS, %d, {.fs = %s}}' % (len(value), where)

    def attrs(self, prefix, attrs):
        items = []
        for attr in attrs:
            kinds = ['CTN_KIND_BIT(%d)' % n for n in attr.kind_numbers]
            if attr.required:
                kinds.append('CTN_REQUIRED')
            fallback = ('{CTN_ABSENT, 0, {}}' if attr.required else
                        self.value(attr.default, '%s_default_%s' % (prefix, attr.name)))
            items.append('{%s, %s, %s, %s, 0, 0}' %
                         (text(attr.name), ' | '.join(kinds), fallback, text(attr.doc)))
        return self.array('ctn_attr_def', prefix + '_attrs', items)


def flags(names, known):
    return ' | '.join(known[n] for n in sorted(names)) or '0'


def op_members(out, op):
    p = op.symbol
    ins = out.array('ctn_input_def', p + '_in', [
        '{%s, %s, %s, 0}' % (text(i.name), text(i.type), flags(i.flags, schema.IN_FLAGS))
        for i in op.inputs])
    outs = out.array('ctn_output_def', p + '_out', [
        '{%s, %s, %s, 0}' % (text(o.name), text(o.type), 'CTN_OUT_HIDDEN' if o.hidden else '0')
        for o in op.outputs])
    attrs = out.attrs(p, op.attrs)
    checks = out.array('ctn_str', p + '_checks', [text(c) for c in op.checks])
    members = [('flags', flags(op.flags, schema.OP_FLAGS)), ('name', text(op.name)),
               ('doc', text(op.doc)), ('page', text(op.page)), ('label', text(op.label)),
               ('n_in', len(op.inputs)), ('n_out', len(op.outputs)), ('n_attrs', len(op.attrs)),
               ('n_checks', len(op.checks)), ('in', ins), ('out', outs), ('attrs', attrs),
               ('checks', checks), ('retain_in', 'UINT64_C(%d)' % op.retain_in),
               ('retain_out', 'UINT64_C(%d)' % op.retain_out)]
    members += [(k, text(getattr(op, k))) for k in ('map', 'grad', 'reduce', 'post', 'identity')]
    members += [('self', 'nullptr')]
    members += [(k, 'sdk::%s<%s_%s>' % (k, p, k) if k in op.callbacks else 'nullptr')
                for k in ('infer', 'backward', 'compose', 'count')]
    return members


def head_members(entry):
    return [('flags', 0), ('name', text(entry.name)), ('doc', text(entry.doc)),
            ('page', text(entry.page))]


def link_members(out, link):
    p = link.symbol
    attrs = out.attrs(p + '_link', link.attrs)
    members = head_members(link) + [
        ('n_attrs', len(link.attrs)), ('n_in', link.n_in), ('n_out', link.n_out), ('reserved', 0),
        ('attrs', attrs), ('self', 'nullptr')]
    members += [(k, 'sdk::link_%s<%s_%s>' % (k, p, k) if k in link.callbacks else 'nullptr')
                for k in ('init', 'call', 'copied', 'serialized', 'moved')]
    return members + [('drop', 'nullptr')]


def optimizer_members(out, optimizer):
    p = optimizer.symbol
    attrs = out.attrs(p + '_optimizer', optimizer.attrs)
    state = out.array('ctn_state_def', p + '_state', [
        '{%s, %s, %s, 0}' % (text(s.name), number(s.initial), 'CTN_STATE_WHEN' if s.when else '0')
        for s in optimizer.state])
    return head_members(optimizer) + [
        ('n_hyper', len(optimizer.attrs)), ('n_state', len(optimizer.state)), ('hyper', attrs),
        ('state', state)] + [(key, text(getattr(optimizer, key))) for key in
                             ('scalars', 'update', 'when', 'update_when', 'nonzero')]


def callback_members(out, entry, what, callback):
    attrs = out.attrs('%s_%s' % (entry.symbol, what), entry.attrs)
    return head_members(entry) + [
        ('n_attrs', len(entry.attrs)), ('reserved', 0), ('attrs', attrs), ('self', 'nullptr'),
        (callback, 'sdk::%s_%s<%s_%s>' % (what, callback, entry.symbol, callback))]


def hook_members(out, hook):
    p = hook.symbol + '_hook'
    attrs = out.attrs(p, hook.attrs)
    sums = out.array('ctn_sum_def', p + '_sums',
                     ['{%s, %s, 0, 0}' % (text(name), text(value)) for name, value in hook.sums])
    kinds = {'CTN_HOOK_PER_PARAM': hook.per_param, 'CTN_HOOK_POST': hook.post}
    members = dict(head_members(hook))
    members['flags'] = ' | '.join(k for k, is_set in kinds.items() if is_set) or 0
    members.update({
        'n_attrs': len(hook.attrs), 'n_sums': len(hook.sums), 'attrs': attrs, 'self': 'nullptr',
        'call': 'nullptr' if hook.update else 'sdk::hook_call<%s_call>' % hook.symbol,
        'sums': sums, 'scalars': text(hook.scalars), 'update': text(hook.update)})
    return list(members.items())


def initializer_members(out, initializer):
    return callback_members(out, initializer, 'initializer', 'fill')


# type -> struct, host member, name of the table, members
TABLES = {
    schema.Op: ('ctn_op_def', 'add_op', 'kOps', op_members),
    schema.Link: ('ctn_link_def', 'add_link', 'kLinks', link_members),
    schema.Optimizer: ('ctn_optimizer_def', 'add_optimizer', 'kOptimizers', optimizer_members),
    schema.Hook: ('ctn_hook_def', 'add_hook', 'kHooks', hook_members),
    schema.Initializer: ('ctn_initializer_def', 'add_initializer', 'kInitializers',
                         initializer_members),
}

MADE = '// made by tools/gen/tables.py from the schema files; do not edit.'


def table(entries, namespace, header):
    out = Writer()
    out.add(MADE, '#include "%s"' % header, '', '#include <cmath>', '',
            'namespace catena::%s {' % namespace, 'namespace {', '')
    loops = []
    for kind, (struct, add, name, members_of) in TABLES.items():
        rows = []
        for entry in (e for e in entries if type(e) is kind):
            members = members_of(out, entry)
            rows.append('    {.size = sizeof(%s),\n%s},' % (struct, '\n'.join(
                '     .%s = %s,' % (key, value) for key, value in members)))
        if rows:
            out.add('constexpr %s %s[] = {' % (struct, name), *rows, '};', '')
            loops += ['  for (const %s& def : %s) {' % (struct, name),
                      '    const ctn_status status = sdk::host->%s(plugin, &def);' % add,
                      '    if (status != CTN_OK) return status;', '  }']
    out.add('}  // namespace', '', 'ctn_status register_schemas(ctn_plugin plugin) {', *loops,
            '  return CTN_OK;', '}', '', '}  // namespace catena::%s' % namespace)
    return '\n'.join(out.lines) + '\n'


def declarations(entry):
    p = entry.symbol
    if isinstance(entry, schema.Op):
        single = len(entry.visible_outputs) == 1 and not entry.counted
        forms = {'infer': 'void %s_infer(const sdk::Call& call, sdk::Outs out);',
                 'backward': 'void %s_backward(sdk::Grad& g);',
                 'count': 'int %s_count(const sdk::Call& call);',
                 'compose': 'sdk::Var %s_compose(const sdk::Call& call, sdk::Vars in);' if single
                 else 'void %s_compose(const sdk::Call& call, sdk::Vars in, sdk::Results& out);'}
        return [forms[k] % p for k in sorted(entry.callbacks)]
    if isinstance(entry, schema.Link):
        forms = {'init': 'void %s_init(sdk::LinkRef link, sdk::Attrs attrs);',
                 'call': 'sdk::Var %s_call(sdk::LinkRef link, sdk::Vars in);' if entry.n_out == 1
                 else 'void %s_call(sdk::LinkRef link, sdk::Vars in, sdk::Results& out);',
                 'copied': 'void %s_copied(sdk::LinkRef from, sdk::LinkRef to);',
                 'serialized': 'void %s_serialized(sdk::LinkRef link, bool loading);',
                 'moved': 'void %s_moved(sdk::LinkRef link, ctn_device device);'}
        return [forms[k] % p for k in sorted(entry.callbacks)]
    if isinstance(entry, schema.Hook):
        return [] if entry.update else [
            'void %s_call(const ctn_hook_call& call, sdk::Vars params, sdk::Attrs attrs);' % p]
    if isinstance(entry, schema.Initializer):
        return ['void %s_fill(ctn_array array, sdk::Attrs attrs);' % p]
    return []


def header(entries, namespace):
    lines = [MADE, '#pragma once', '', '#include <catena/sdk.hpp>', '',
             'namespace catena::%s {' % namespace, '',
             '// Adds every definition of the set; stops at the first that is refused.',
             'ctn_status register_schemas(ctn_plugin plugin);', '']
    for entry in entries:
        lines += declarations(entry)
    return '\n'.join(lines + ['', '}  // namespace catena::%s' % namespace]) + '\n'


def enum(namespace, symbol, names):
    if not names:
        return []
    return ['namespace %s::%s {' % (namespace, word(symbol)),
            'enum : int { %s };' % ', '.join(word(n) for n in names), '}']


def positions(entries):
    """Attributes as attr::relu::slope, inputs as in::linear::W, outputs as out::lstm::h; of links,
    hooks and initializers as link_attr::linear::nobias and so on."""
    where = {schema.Op: 'attr', schema.Link: 'link_attr', schema.Optimizer: 'optimizer_attr',
             schema.Hook: 'hook_attr', schema.Initializer: 'initializer_attr'}
    lines = [MADE, '// Positions of attributes, inputs and outputs in a call.', '#pragma once', '',
             'namespace catena {', '']
    for entry in entries:
        lines += enum(where[type(entry)], entry.symbol, [a.name for a in entry.attrs])
        if isinstance(entry, schema.Op) and entry.kind in ('primitive', 'composite'):
            lines += enum('in', entry.symbol, [i.name for i in entry.inputs])
            lines += enum('out', entry.symbol, [o.name for o in entry.outputs])
    return '\n'.join(lines + ['', '}  // namespace catena']) + '\n'


def write(path, text):
    """Only what changed, so that nothing is compiled for a text that is the same."""
    path = pathlib.Path(path)
    if not path.is_file() or path.read_text(encoding='utf-8') != text:
        path.write_text(text, encoding='utf-8')


def main():
    mode, arguments = sys.argv[1], sys.argv[2:]
    if mode == 'table':
        namespace, target, header_target, files = *arguments[:3], arguments[3:]
        entries = schema.load(files)
        name = pathlib.Path(header_target).name
        write(target, table(entries, namespace, name))
        write(header_target, header(entries, namespace))
    elif mode == 'attrs':
        entries = schema.load(arguments[1:])
        write(arguments[0], positions(entries))
    else:
        raise SystemExit(__doc__)


try:
    main()
except schema.SchemaError as error:
    raise SystemExit('tables.py: %s' % error) from None
