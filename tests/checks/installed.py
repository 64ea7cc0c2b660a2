"""What a stranger gets: installs into an empty place, moves it, builds the plugins of
plugins/examples there with plain cc and programs through pkg-config, as C11 and as C++17, and runs
them; then every whole program of README.md and docs/, with the compile line printed below it, and
the guide to op plugins.

usage: installed.py BUILD_DIR
"""
import os
import pathlib
import re
import shutil
import sys
import tempfile
import time

from check import Tally, attempt, output

HERE = pathlib.Path(__file__).resolve().parents[1] / 'installed'
ROOT = HERE.parents[1]
EXAMPLES = ROOT / 'plugins/examples'
# A block that has a main(), and the indented line after it.
PROGRAM = re.compile(r'^```(?:c|cpp)\n((?:(?!```).)*?\bmain\(.*?)^```\n\n    ([^\n]*)\n',
                     re.M | re.S)
# A file that a document names and shows, and a line that compiles.
SHOWN = re.compile(r'^`([\w.]+)`:\n\n```\w*\n(.*?)^```', re.M | re.S)
COMPILES = re.compile(r'^    (c(?:c|\+\+) .*)$', re.M)
STRICT = ['-Wall', '-Wextra', '-Wpedantic', '-Werror']


def install(build, place):
    """Installs and moves the prefix: nothing may remember where it was built for."""
    staged = place / 'staged'
    output('meson', 'install', '-C', build, '--no-rebuild', '--quiet', '--destdir', str(staged))
    found = list(staged.rglob('catena.pc'))
    assert len(found) == 1, found
    prefix = next(p.parent for p in found[0].parents if p.name.startswith('lib'))
    moved = place / 'moved'
    prefix.rename(moved)
    return moved, moved / found[0].relative_to(prefix)


def printed_programs(tally, place, env):
    """As a reader would: the text into a file, the line into a shell, then the program."""
    found = 0
    guide = ROOT / 'docs/writing-an-op-plugin.md'
    for document in {ROOT / 'README.md', *(ROOT / 'docs').glob('*.md')} - {guide}:
        for source, line in PROGRAM.findall(document.read_text(encoding='utf-8')):
            found += 1
            file, program = re.search(r' (\S+\.cc?) .* -o (\S+)$', line).groups()
            (place / file).write_text(source, encoding='utf-8')
            name = '%s: %s' % (document.name, file)
            status, out = attempt('sh', '-c', line + ' -Wall -Wextra -Werror', cwd=place, env=env)
            if tally.check(name + ' builds with the line printed', status == 0, out):
                status, out = attempt(str(place / program), cwd=place, env=env)
                tally.check(name + ' runs', status == 0, out)
    tally.check('the C and the C++ program of README.md', found >= 2, found)
    tally.check('the C++ program saved its model', (place / 'mlp.npz').is_file())


def build_example(tally, place, folder, name, cflags):
    """A folder with the plugin and its manifest."""
    made = place / ('plugin-' + name)
    made.mkdir()
    started = time.monotonic()
    status, out = attempt('cc', '-std=c11', *STRICT, *cflags, '-O2', '-shared', '-fPIC',
                          str(EXAMPLES / folder / (name + '.c')),
                          '-o', str(made / ('libcatena_%s.so' % name)))
    seconds = time.monotonic() - started
    tally.check('the plugin %s builds with plain cc' % name, status == 0, out)
    tally.check('within ten seconds', seconds < 10, seconds)
    shutil.copy(EXAMPLES / folder / (name + '.ctnplugin'), made)
    return made


def example_backend(tally, place, cflags, libs, env):
    """A backend from outside, found by its manifest and named as any other."""
    made = build_example(tally, place, 'backend', 'example', cflags)
    program = place / 'on-backend'
    status, out = attempt('cc', '-std=c11', *STRICT, *cflags, str(HERE / 'backend.c'),
                          '-o', str(program), *libs)
    if not tally.check('a program for the backend builds', status == 0, out):
        return
    found = dict(env, CATENA_PLUGIN_PATH='%s::' % made)
    status, out = attempt(str(program), env=found)
    tally.check('it runs on the backend', status == 0 and not out, (status, out))
    status, out = attempt(str(program), env=env)
    tally.check('without the path it is told that there is none',
                status == 1 and "backend 'example' cannot be had" in out, (status, out))
    status, out = attempt(str(program), env=dict(found, CATENA_LOG='debug:kernel'))
    lines = [line for line in out.splitlines() if 'example.add' in line]
    tally.check('the log says which kernel ran and which declined', lines == [
        'catena debug kernel: example.add: example priority 0 runs',
        'catena debug kernel: example.add: example priority 0 declined: dtype not supported'], out)


def op_plugin_guide(tally, place, env):
    """docs/writing-an-op-plugin.md, followed to the letter in a folder of its own."""
    text = (ROOT / 'docs/writing-an-op-plugin.md').read_text(encoding='utf-8')
    folder = place / 'guide'
    folder.mkdir()
    for name, content in SHOWN.findall(text):
        (folder / name).write_text(content, encoding='utf-8')
    lines = COMPILES.findall(text)
    tally.check('the guide compiles a plugin and a program', len(lines) == 2, lines)
    for line in lines:
        status, out = attempt('sh', '-c', line + ' -Wall -Wextra -Werror', cwd=folder, env=env)
        tally.check('the guide: ' + line, status == 0, out)
    library = folder / 'libcatena_mine.so'
    names = sorted(word.split()[-1] for word in
                   output('nm', '-D', '--defined-only', str(library)).splitlines())
    tally.check('the guide: two symbols leave the plugin',
                names == ['ctn_plugin_init', 'ctn_plugin_query'], names)
    env = dict(env, CATENA_PLUGIN_PATH='%s::' % folder)
    status, out = attempt(str(folder / 'use'), cwd=folder, env=env)
    tally.check('the guide: the program prints what it says',
                status == 0 and '`%s`' % out.strip() in text, (status, out))
    mapped = lines[0].replace('-fvisibility=hidden',
                              '-Wl,--version-script=plugin.map -Wl,--exclude-libs,ALL -Wl,-z,defs')
    status, out = attempt('sh', '-c', mapped, cwd=folder, env=env)
    tally.check('the guide: the version script', status == 0, out)


def main():
    tally = Tally()
    with tempfile.TemporaryDirectory() as folder:
        place = pathlib.Path(folder)
        prefix, pc = install(sys.argv[1], place)
        env = dict(os.environ, PKG_CONFIG_PATH=str(pc.parent))

        def pkg_config(*words):
            return output('pkg-config', *words, 'catena', env=env).split()

        libdir = pathlib.Path(pkg_config('--variable=libdir')[0])
        if not tally.check('catena.pc was moved with its tree; a build folder of before wants '
                           'meson configure -Dpkgconfig.relocatable=true',
                           libdir.resolve() == pc.parent.parent.resolve(), libdir):
            return tally.close()
        env['LD_LIBRARY_PATH'] = str(libdir)
        cflags, libs = pkg_config('--cflags'), pkg_config('--libs')
        plugins = pathlib.Path(pkg_config('--variable=plugindir')[0])
        manifests = sorted(p.stem for p in plugins.glob('*.ctnplugin'))
        tally.check('the cpu backend is installed with its manifest', 'cpu' in manifests, manifests)
        for name in manifests:
            tally.check('library of the manifest ' + name,
                        (plugins / ('libcatena_%s.so' % name)).is_file())

        plugin = build_example(tally, place, 'op', 'cube', cflags) / 'libcatena_cube.so'
        example_backend(tally, place, cflags, libs, env)
        for compiler, language in ((['cc', '-std=c11'], 'c'), (['c++', '-std=c++17'], 'c++')):
            program = place / ('host-' + language)
            status, out = attempt(*compiler, *STRICT, *cflags, '-x', language,
                                  str(HERE / 'host.c'), '-x', 'none', '-o', str(program), *libs)
            if tally.check('a program builds as ' + compiler[1], status == 0, out):
                status, out = attempt(str(program), str(plugin), env=env)
                tally.check('it calls an op of the plugin, ' + compiler[1],
                            status == 0 and not out, (status, out))
        printed_programs(tally, place, env)
        op_plugin_guide(tally, place, env)
        program = prefix / 'bin/catena'
        bare = {k: v for k, v in os.environ.items() if k != 'LD_LIBRARY_PATH'}
        status, out = attempt(str(program), 'plugins', env=bare)
        tally.check('the installed command finds its library and the installed plugins',
                    status == 0 and all(name in out for name in manifests), out)
    tally.close()


main()
