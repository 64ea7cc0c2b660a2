"""The catena command: what it shows is what a program would get; what is wrong is said, with the
exit status.

usage: tool.py CATENA BUILD_DIR
"""
import os
import pathlib
import sys
import tempfile
import zlib

from check import Tally, attempt

TOOL, BUILD = sys.argv[1], pathlib.Path(sys.argv[2])
ROOT = pathlib.Path(__file__).resolve().parents[2]
CLEAN = {k: v for k, v in os.environ.items()
         if not k.startswith(('CATENA_', 'CHAINER_'))}
MANIFEST = 'name = %s\nkind = %s\nlibrary = libcatena_cube.so\nabi = 0.1\n%s'


def run(*words, **variables):
    return attempt(TOOL, *words, env=dict(CLEAN, **variables))


def expect(tally, what, found, status, *texts, missing=()):
    """A run that ends with the status and says all of the texts, and none of the missing."""
    code, out = found
    tally.check(what, code == status and all(t in out for t in texts) and
                not any(t in out for t in missing), found)


def command_lines(tally):
    expect(tally, 'no command', run(), 2, 'a command is missing', 'usage: catena')
    expect(tally, 'an unknown one', run('frob'), 2, "there is no command 'frob'", 'usage: catena')
    expect(tally, 'too much', run('ops', 'relu', 'tanh'), 2, "here is 'tanh'")
    expect(tally, 'too much for info', run('info', 'x'), 2, "'info' takes no argument")
    expect(tally, 'schema has one form', run('schema'), 2, 'catena schema --json')
    expect(tally, 'help', run('--help'), 0, 'usage: catena')
    expect(tally, 'version', run('--version'), 0, 'catena 0.', 'ABI 0.')
    listed = run('ops')
    expect(tally, 'functions', listed, 0, '\nleaky_relu ', 'internal ones',
           missing=['dropout_random'])
    expect(tally, 'all functions', run('ops', '--all'), 0, '\nleaky_relu ', 'dropout_random')
    expect(tally, 'one function', run('ops', 'leaky_relu'), 0, 'slope', 'expression')
    expect(tally, 'no function', run('ops', 'reluu'), 1, "no op 'reluu'; did you mean 'relu'?")
    for what, name, shown in (('links', 'Linear', 'out_size'), ('optimizers', 'Adam', 'alpha'),
                              ('hooks', 'WeightDecay', 'rate'),
                              ('initializers', 'LeCunNormal', 'scale')):
        expect(tally, what, run(what), 0, name + ' ')
        expect(tally, '%s %s' % (what, name), run(what, name), 0, shown, "plugin")
        expect(tally, '%s nobody' % what, run(what, 'nobody'), 1, "no 'nobody' among the " + what)


def decisions(tally, folder):
    path = folder / 'decisions'
    head = 'catena tuning 1.0\n'
    entries = '[here; threads 2]\ncall 1\tfirst\n[there]\ncall 1\tsecond\n'
    for what, body, n, shown in (('none', '', 0, 'nothing was decided'),
                                 ('two', entries, 2, 'here; threads 2\n  call 1  first\n\nthere')):
        text = head + body
        path.write_text('%send %d %08x\n' % (text, n, zlib.crc32(text.encode())))
        expect(tally, 'decisions, %s' % what, run('tuning', str(path)), 0, shown)
    path.write_text(head + entries)
    expect(tally, 'damaged decisions', run('tuning', str(path)), 1, 'its end is missing')
    expect(tally, 'decisions that are not there', run('tuning', str(folder / 'no')), 1, 'no')
    expect(tally, 'tuning has one form', run('tuning'), 2, 'catena tuning FILE')


def faults(tally):
    expect(tally, 'info', run('info'), 0, 'cpu:0', 'internal', missing=['cannot be used\n  cpu'])
    expect(tally, 'info names what refused the backend', run('info', CATENA_CPU_ISA='sse3'), 1,
           'known are sse2', 'no device can be used', 'refused')
    expect(tally, 'info without plugins', run('info', CATENA_PLUGIN_PATH='/nonexistent'), 1,
           '/nonexistent', 'no device can be used')
    expect(tally, 'info with a wrong variable', run('info', CATENA_NUM_THREADS='abc'), 1,
           "cannot be used\n  cpu:0: CATENA_NUM_THREADS='abc'", 'no device can be used')


def held_back(tally, folder):
    """A plugin that no context loads is not shown as if one did."""
    status, out = attempt('cc', '-std=c11', '-shared', '-fPIC', '-I%s' % (ROOT / 'capi/include'),
                          str(ROOT / 'plugins/examples/op/cube.c'), '-o',
                          str(folder / 'libcatena_cube.so'))
    if not tally.check('the plugin builds', status == 0, out):
        return
    path = '%s::' % folder
    manifest = folder / 'cube.ctnplugin'
    manifest.write_text(MANIFEST % ('cube', 'ops', ''))
    expect(tally, 'a plugin without autoload', run('plugins', CATENA_PLUGIN_PATH=path), 0,
           'found, not loaded  %s  ' % manifest, '  autoload is no (ops cube)')
    expect(tally, 'its op is missing, and why',
           run('ops', 'example.cube', CATENA_PLUGIN_PATH=path), 1,
           "there is no op 'example.cube'; plugin 'cube' (%s) was found, not loaded: "
           'autoload is no' % manifest)
    expect(tally, 'info says so', run('info', CATENA_PLUGIN_PATH=path), 0, 'not loaded',
           str(manifest))
    manifest.write_text(MANIFEST % ('cube', 'ops', 'autoload = yes\n'))
    expect(tally, 'with autoload', run('ops', 'example.cube', CATENA_PLUGIN_PATH=path), 0,
           'x * x * x')
    manifest.write_text(MANIFEST % ('cube', 'backend', 'autoload = yes\n'))
    expect(tally, 'a manifest of another kind', run('plugins', CATENA_PLUGIN_PATH=path), 1,
           '1 plugin was refused\n  plugin ', 'its kind is ops, its manifest backend')
    program = str(BUILD / 'examples/mlp_c')
    status, out = attempt(program, env=dict(CLEAN, CATENA_PLUGIN_PATH=path, CATENA_LOG='warn',
                                            CATENA_PLUGINS='-links'))
    expect(tally, 'a link that is missing says which plugin was refused', (status, out), 1,
           "there is no link 'Linear'", 'its kind is ops')
    tally.check('a warning is given once', out.count('catena warn loader') == 1, out)


def main():
    tally = Tally()
    command_lines(tally)
    faults(tally)
    with tempfile.TemporaryDirectory() as folder:
        held_back(tally, pathlib.Path(folder))
        decisions(tally, pathlib.Path(folder))
    tally.close()


main()
