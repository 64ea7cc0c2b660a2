"""Rules of the house that a script can see: file and line length, an opening comment, include walls
by name, words that do not belong in the tree. Reads the files git knows or would add.
"""
import pathlib
import re
import statistics
import subprocess

from check import Tally, output

ROOT = pathlib.Path(__file__).resolve().parents[2]
CODE = {'.h', '.hpp', '.c', '.cc', '.inc', '.py', '.sh'}
CPP = {'.h', '.hpp', '.c', '.cc', '.inc'}
MAX_LINES, MEDIAN_LINES, COLUMNS = 800, 150, 100
# Which first path words an include of a folder may name, beside system headers and files of its own
# folder. Text is the second wall: the first are the include paths that meson.build gives.
MAY_INCLUDE = {
    'capi': ['catena'], 'core': ['catena', 'core'],
    'backends': ['catena', 'cpu', 'cuda', 'intel64'],
    'ops': ['catena', 'functions', 'links', 'optimizers'], 'bindings': ['catena'],
    'examples': ['catena'], 'plugins': ['catena'],
}
OURS = ['catena', 'core', 'backends', 'cpu', 'cuda', 'intel64', 'ops', 'functions', 'links',
        'optimizers', 'bindings', 'plugins', 'tools', 'tests', 'bench', 'lib', 'capi']
INCLUDE = re.compile(r'^\s*#\s*include\s*["<]([^">]+)[">]', re.M)
FOREIGN_WORDS = re.compile(r'(?<!\w)/(home/\w|root/|tmp/\w|work/)|\bTODO\b|\bFIXME\b|\bXXX\b')
GUARD = '#ifndef CATENA_CORE\n#error'


def tracked():
    listed = output('git', 'ls-files', '-z', '--cached', '--others', '--exclude-standard', cwd=ROOT)
    return sorted(ROOT / name for name in listed.split('\0') if name and (ROOT / name).is_file())


def generated(text):
    return ' made by tools/gen/' in text.split('\n')[0]


def include_faults(path, text):
    folder = path.relative_to(ROOT).parts[0]
    for name in INCLUDE.findall(text):
        first = name.split('/')[0]
        if first == '..' or '/../' in name:
            yield 'includes %s: paths upwards are not used' % name
        elif '/' in name and first in OURS and first not in MAY_INCLUDE.get(folder, OURS):
            yield 'includes %s: %s/ may not see it' % (name, folder)


def faults(path, text):
    lines = text.split('\n')
    name = path.relative_to(ROOT)
    if len(lines) > MAX_LINES + 1:
        yield '%d lines (at most %d)' % (len(lines) - 1, MAX_LINES)
    for number, line in enumerate(lines, 1):
        if len(line) > COLUMNS:
            yield 'line %d has %d columns' % (number, len(line))
        if name.parts[:2] != ('tests', 'checks') and FOREIGN_WORDS.search(line):
            yield 'line %d: %s' % (number, FOREIGN_WORDS.search(line).group())
    opening = lines[1] if lines[0].startswith('#!') else lines[0]
    if not opening.startswith(('//', '/*', '#', '"""')):
        yield 'does not open with what it is for'
    if not text.endswith('\n') or text.endswith('\n\n'):
        yield 'does not end with one newline'
    if path.suffix in CPP:
        yield from include_faults(path, text)
    if name.parts[0] == 'core' and path.suffix == '.h' and GUARD not in text:
        yield 'a header of core/ without its guard against strangers'


def main():
    tally = Tally()
    sizes = {}
    for path in tracked():
        if path.suffix not in CODE:
            continue
        text = path.read_text(encoding='utf-8')
        if generated(text):
            continue
        found = list(faults(path, text))
        tally.check(str(path.relative_to(ROOT)), not found, '\n  '.join([''] + found))
        if path.suffix in CPP:
            sizes[path] = text.count('\n')
    if sizes:
        median = statistics.median(sizes.values())
        tally.check('median length of a file', median < MEDIAN_LINES, median)
    tally.close()


main()
