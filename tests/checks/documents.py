"""What the documents say is there: links lead somewhere, the schema rows they show are those that
toy_test.cc calls, and docs/configuration.md names every environment variable and configuration key,
and no other.
"""
import pathlib
import re
import tomllib

from check import Tally, output

ROOT = pathlib.Path(__file__).resolve().parents[2]
LINK = re.compile(r'\[[^\]]*\]\(([^)#:]+)(?:#[^)]*)?\)')
ROW = re.compile(r'^```toml\n(.*?)^```', re.M | re.S)
VARIABLE = re.compile(
    r'\b(?:secure_getenv|env_true|env_ternary|env_bytes|safe_env|getenv)\([^"()]*"([A-Z_]+)"')
KEY = re.compile(r'\{"(\w+)", Kind::k')


def documents():
    return [ROOT / 'README.md'] + sorted((ROOT / 'docs').glob('*.md'))


def variables_read():
    found = set()
    listed = output('git', 'ls-files', '--cached', '--others', '--exclude-standard', '--',
                    'core', 'backends', 'ops', 'bindings', cwd=ROOT)
    for name in listed.split():
        path = ROOT / name
        if path.suffix in {'.cc', '.h', '.hpp'} and path.is_file():
            for match in VARIABLE.finditer(path.read_text(encoding='utf-8')):
                found.add(match[1])
    return found


def keys_known():
    text = (ROOT / 'core/config.cc').read_text(encoding='utf-8')
    return set(KEY.findall(text))


def check_command(tally):
    usage = (ROOT / 'tools/catena/main.cc').read_text(encoding='utf-8')
    document = (ROOT / 'docs/command.md').read_text(encoding='utf-8')
    for name in re.findall(r'^    "  (\w+)', usage, re.M):
        tally.check('docs/command.md: catena ' + name, '`catena %s' % name in document)


def first_cells(text):
    return set(re.findall(r'^\| `(\w+)` \|', text, re.M))


def main():
    tally = Tally()
    toy = tomllib.loads((ROOT / 'tests/ops/toy.toml').read_text(encoding='utf-8'))
    for path in documents():
        text = path.read_text(encoding='utf-8')
        name = path.relative_to(ROOT)
        dead = [t for t in LINK.findall(text) if not (path.parent / t).exists()]
        tally.check('%s: links lead somewhere' % name, not dead, dead)
        for block in ROW.findall(text):
            for row, fields in tomllib.loads(block).items():
                tally.check('%s: the row shown is the row tested, %s' % (name, row),
                            toy.get(row) == fields, block)
    configuration = (ROOT / 'docs/configuration.md').read_text(encoding='utf-8')
    keys, environment = configuration.split('\n## Environment\n')
    read = variables_read()
    tally.check('docs/configuration.md: environment variables', read == first_cells(environment),
                'read %s, named %s' % (sorted(read), sorted(first_cells(environment))))
    tally.check('docs/configuration.md: keys', keys_known() == first_cells(keys),
                'known %s, named %s' % (sorted(keys_known()), sorted(first_cells(keys))))
    check_command(tally)
    tally.close()


main()
