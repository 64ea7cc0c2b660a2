"""The walls between the folders hold in the build: with the flags a folder is compiled with, a
header of core/ is not found by its name and refuses itself by path; public headers are found.

usage: walls.py BUILD_DIR
"""
import json
import pathlib
import shlex
import sys

from check import Tally, attempt

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDERS = ['backends', 'ops', 'plugins', 'bindings', 'tools', 'examples', 'bench']


def flags(entry):
    """The include, define and language flags of one compile command, with absolute paths."""
    build, words, out = pathlib.Path(entry['directory']), shlex.split(entry['command']), []
    for i, word in enumerate(words):
        if word.startswith(('-D', '-std=')):
            out.append(word)
        elif word.startswith('-I'):
            out.append('-I%s' % (build / word[2:]).resolve())
        elif word == '-isystem':
            out += [word, str((build / words[i + 1]).resolve())]
    return out


def main():
    tally = Tally()
    build = pathlib.Path(sys.argv[1])
    entries = json.loads((build / 'compile_commands.json').read_text())
    seen = {}  # folder of the source file -> (its absolute place, flags)
    for entry in entries:
        source = (build / entry['file']).resolve()
        if ROOT in source.parents and source.suffix in ('.cc', '.cpp'):
            place = source.parent.relative_to(ROOT)
            if place.parts and place.parts[0] in FOLDERS:
                seen.setdefault(str(place), (source.parent, flags(entry)))
    headers = sorted((ROOT / 'core').rglob('*.h'))
    tally.check('core/ has headers to protect', headers)
    tally.check('backends and ops are compiled',
                {'backends', 'ops'} <= {name.split('/')[0] for name in seen}, sorted(seen))

    for name, (place, args) in sorted(seen.items()):
        def compile_text(text):
            return attempt('g++', *args, '-x', 'c++', '-fsyntax-only', '-', input=text, cwd=place)

        status, out = compile_text('#include <catena/types.h>\n')
        tally.check(name + ' sees the public headers', status == 0, out)
        inside = headers[0].relative_to(ROOT)
        for form in ('"%s"' % inside, '<%s>' % inside):
            status, out = compile_text('#include %s\n' % form)
            tally.check('%s cannot include %s' % (name, form),
                        status != 0 and 'No such file' in out, out)
        up = pathlib.Path(*['..'] * len(pathlib.Path(name).parts))
        status, out = compile_text('#include "%s"\n' % (up / inside))
        tally.check('%s is refused %s by path' % (name, inside),
                    status != 0 and 'core/ is private' in out, out)

    for header in headers:  # every one refuses, in one run of the compiler each
        status, out = attempt('g++', '-std=c++20', '-I%s' % (ROOT / 'capi/include'), '-x', 'c++',
                              '-fsyntax-only', str(header))
        tally.check('%s refuses strangers' % header.relative_to(ROOT),
                    status != 0 and 'core/ is private' in out, out[:300])
    tally.close()


main()
