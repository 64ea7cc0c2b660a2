"""Writes the generated headers of the C++ binding from the schema files.

Usage: cpp_binding.py functions|links|optimizers OUT.hpp SCHEMA.toml...
"""
import sys

import schema

SIMPLE = {'bool': 'bool', 'int': 'int64_t', 'float': 'double'}
KEYWORDS = {'typ'}


def option_type(attr):
    """C++ type of an attribute: a plain optional where it takes one simple kind, else a Value."""
    kinds = [k for k in attr.kinds if k != 'none']
    if len(attr.kinds) == 1 and kinds[0] in SIMPLE:
        return 'std::optional<%s>' % SIMPLE[kinds[0]]
    return 'Value'


def required(attr):
    return attr.required


def comment(entry):
    lines, line = [], '//'
    for word in entry.doc.split():
        if len(line) + len(word) > 97:
            lines.append(line)
            line = '//'
        line += ' ' + word
    return '\n'.join(lines + [line])


def options_struct(name, attrs):
    lines = ['struct %s {' % name]
    for a in attrs:
        lines += ['  // ' + a.doc] if a.doc else []
        lines.append('  %s %s{};' % (option_type(a), a.name))
    return '\n'.join(lines + ['};'])


def values(attrs, positional, request):
    def text(a):
        if a in positional:
            return 'Value(%s)' % a.name
        return request.get(a.name) or 'Value(options.%s)' % a.name
    return [text(a) for a in attrs]


def wrapped(start, items, end):
    """A list on as many lines of at most 100 columns as it takes."""
    lines, line = [], start
    for k, item in enumerate(items):
        piece = item + (', ' if k + 1 < len(items) else end)
        if len(line) + len(piece.rstrip()) > 100:
            lines.append(line.rstrip())
            line = ' ' * (len(start) - len(start.lstrip()) + 4)
        line += piece
    return '\n'.join(lines + [line if items else start + end])


def function(op, inputs, options, every_output=False):
    """One overload of an op, over the given inputs. An op with extra outputs on request (a mask)
    gives its first; NAME_outputs requests and gives all of them."""
    positional = [a for a in op.attrs if required(a)]
    rest = optional(op)
    request = {a.name: 'Value(true)' if every_output else 'Value()' for a in requests(op)}
    params = []
    for i in inputs:
        params.append('const std::vector<Variable>& %s' % i.name if i.variadic
                      else 'Input %s' % i.name)
    params += ['const Value& %s' % a.name for a in positional]
    if rest:
        params.append('const %s& options = {}' % options)
    extra = has_extra(op)
    many = every_output or (not extra and (op.counted or len(op.visible_outputs) != 1))
    name = op.symbol + ('_outputs' if every_output else '')
    result = 'std::vector<Variable>' if many else 'Variable'
    body = ['  static const int32_t op = detail::find_op("%s");' % op.name]
    if inputs and inputs[-1].variadic:
        body.append('  const std::vector<ctn_variable> in = detail::raw(%s);' % inputs[-1].name)
        given = 'in.data(), static_cast<int32_t>(in.size())'
    else:
        body.append(wrapped('  const detail::Inputs in(', [i.name for i in inputs], ');'))
        given = 'in.data(), %d' % len(inputs)
    if op.attrs:
        given_values = values(op.attrs, positional, request)
        body.append(wrapped('  const Value values[] = {', given_values, '};'))
        body.append(wrapped('  const ctn_value attrs[] = {', [
            'values[%d].c()' % k for k in range(len(op.attrs))], '};'))
        attrs = 'attrs, %d' % len(op.attrs)
    else:
        attrs = 'nullptr, 0'
    if many:
        count = -1 if op.counted else len(op.visible_outputs)
        body.append('  return detail::call_n(op, %s, %s, %d);' % (given, attrs, count))
    else:
        body.append('  return detail::call1(op, %s, %s);' % (given, attrs))
    return '%s\n%s\n}' % (wrapped('inline %s %s(' % (result, name), params, ') {'), '\n'.join(body))


def has_extra(op):
    return op.counted and len(op.visible_outputs) > 1


def requests(op):
    """Flags that ask for more outputs (return_mask): the function's name says it instead."""
    return [a for a in op.attrs if has_extra(op) and a.name.startswith('return_')]


def optional(op):
    return [a for a in op.attrs if not required(a) and a not in requests(op)]


def write_functions(entries):
    out = []
    for op in entries:
        if not isinstance(op, schema.Op) or 'internal' in op.flags:
            continue
        rest = optional(op)
        options = op.symbol + '_options'
        if rest:
            out.append(options_struct(options, rest))
        must = [i for i in op.inputs if not i.optional]
        out.append(comment(op) + '\n' + function(op, must, options))
        every = list(op.inputs)
        if has_extra(op):
            out.append('// All outputs.\n' + function(op, must, options, every_output=True))
        if len(must) < len(every):
            out.append('// With the optional inputs.\n' + function(op, every, options))
            if has_extra(op):
                out.append('// All outputs.\n' + function(op, every, options, every_output=True))
    return 'F', ['value'], out


def split_positional(attrs):
    """Leading constructor arguments that are required or default to None stay positional."""
    n = 0
    while n < len(attrs) and (required(attrs[n]) or 'none' in attrs[n].kinds):
        n += 1
    return list(attrs[:n]), list(attrs[n:])


def constructed(entry, base, prefix):
    positional, rest = split_positional(entry.attrs)
    params = ['const Value& %s%s' % (a.name, '' if required(a) else ' = {}') for a in positional]
    if rest:
        params.append('const Options& options = {}')
    every = [a.name for a in positional] + ['options.' + a.name for a in rest]
    lines = []
    if rest:
        lines.append(options_struct('%sOptions' % entry.name, rest))
    lines += [comment(entry), 'class %s : public %s {' % (entry.name, base), ' public:']
    if rest:
        lines.append('  using Options = %sOptions;' % entry.name)
    lines.append('  %s() = default;' % entry.name if base == 'Link' and params and
                 not params[0].endswith('= {}') else '')
    explicit = 'explicit ' if len([p for p in params if not p.endswith('{}')]) <= 1 else ''
    lines.append(wrapped('  %s%s(' % (explicit, entry.name), params, ')'))
    lines.append(wrapped('      : %s("%s", {' % (base, entry.name), every, '}) {}'))
    if explicit and positional and 'ints' in positional[0].kinds:
        # {3} alone would fit a Value as well as a copy of the link.
        listed = 'std::initializer_list<int64_t> %s' % positional[0].name
        lines.append(wrapped('  explicit %s(' % entry.name, [listed] + params[1:], ')'))
        lines.append('      : %s(%s) {}' % (entry.name, ', '.join(
            ['Shape(%s)' % positional[0].name] + [a.name for a in positional[1:]] +
            (['options'] if rest else []))))
    lines.append('};')
    return '\n'.join(line for line in lines if line)


def write_links(entries):
    out = [constructed(e, 'Link', '') for e in entries
           if isinstance(e, schema.Link) and e.name != 'Sequential']
    return 'L', ['link'], out


def write_optimizers(entries):
    out = [constructed(e, 'Optimizer', '') for e in entries if isinstance(e, schema.Optimizer)]
    hooks = []
    for e in entries:
        if not isinstance(e, schema.Hook):
            continue
        params = ', '.join('const Value& %s%s' % (a.name, '' if required(a) else ' = {}')
                           for a in e.attrs)
        body = wrapped('  return {"%s", {' % e.name, [a.name for a in e.attrs], '}};')
        hooks.append('%s\ninline Hook %s(%s) {\n%s\n}' % (comment(e), e.name, params, body))
    out.append('}  // namespace catena::optimizers\n\nnamespace catena::inline cpp::hooks {')
    return 'optimizers', ['optimizer'], out + hooks


def main():
    what, target, *files = sys.argv[1:]
    entries = []
    for file in files:
        entries += schema.load_file(file)
    writer = {'functions': write_functions, 'links': write_links,
              'optimizers': write_optimizers}[what]
    namespace, includes, parts = writer(entries)
    last = 'hooks' if what == 'optimizers' else namespace
    with open(target, 'w', encoding='utf-8') as file:
        file.write('// Made by tools/gen/cpp_binding.py from the schema files; do not edit.\n')
        file.write('#pragma once\n\n')
        file.writelines('#include <catena/cpp/%s.hpp>\n' % i for i in includes)
        file.write('\nnamespace catena::inline cpp::%s {\n\n' % namespace)
        file.write('\n\n'.join(parts))
        file.write('\n\n}  // namespace catena::%s\n' % last)


if __name__ == '__main__':
    main()
