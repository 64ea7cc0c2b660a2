"""Copies the golden cases that this tree can run into tests/golden.

Usage: golden_subset.py GOLDEN_DIR tests/golden schema.json     (schema.json: catena schema --json)
A case is taken when its op, link, optimizer or initializer is in the schema.
"""
import json
import pathlib
import shutil
import sys

SECTIONS = {'function': 'ops', 'link': 'links', 'optimizer': 'optimizers',
            'initializer': 'initializers'}


def main():
    source, target, schema_file = (pathlib.Path(a) for a in sys.argv[1:4])
    index = json.loads((source / 'index.json').read_text())
    schema = json.loads(schema_file.read_text())
    known = {kind: {e['name'] for e in schema[section]} for kind, section in SECTIONS.items()}
    known['function'].add('variable_operators')
    cases = [c for c in index['cases'] if c['name'] in known[c['kind']]]
    for file in sorted({c['file'] for c in cases}):
        (target / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / file, target / file)
    lines = ',\n'.join(json.dumps(c, separators=(',', ':')) for c in cases)
    (target / 'index.json').write_text('{"format":%s,"cases":[\n%s\n]}\n' % (
        json.dumps(index['format']), lines))
    print('%d cases' % len(cases))


if __name__ == '__main__':
    main()
