"""What the built libraries need, export and run at load: the rules of a good guest, read from the
binaries.

usage: audit.py LIBCATENA API_HEADER PLUGIN...
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

from check import Tally, output

C_LIBRARIES = {'libc.so.6', 'libm.so.6', 'libstdc++.so.6', 'libgcc_s.so.1', 'ld-linux-x86-64.so.2'}
# What a plugin is made to bring in, besides.
PLUGIN_NEEDS = {'libcatena_intel64.so': {'libdnnl.so', 'libgomp.so'}}
CORE_NEEDS = C_LIBRARIES | {'libz.so.1', 'libboost_filesystem.so.1.74.0'}
CORE_LIMIT = 2 << 20  # stripped bytes
PLUGIN_LIMITS = {'libcatena_cuda.so': 1 << 20}
# A guest leaves the process, its streams and its environment alone.
FORBIDDEN = {'abort', 'exit', '_exit', 'quick_exit', 'printf', '__printf_chk', 'puts', 'putchar',
             'perror', 'stderr', 'stdout', '_ZSt4cout', '_ZSt4cerr', 'setenv', 'putenv', 'unsetenv',
             'clearenv', '__assert_fail', 'signal', 'sigaction', 'atexit'}
ENTRY = {'ctn_plugin_query', 'ctn_plugin_init'}
# Load-time functions beyond the compiler's frame_dummy: OpenBLAS picks its kernels in one.
LOAD_FUNCTIONS = {'libcatena_cpu.so': 1}


PROTOTYPE = re.compile(r'^CTN_API[^;(]*\b(ctn_\w+)\(', re.M)


def needed(library):
    return set(re.findall(r'\(NEEDED\).*\[(.*)\]', output('readelf', '-dW', library)))


def defined(library):
    lines = output('nm', '-D', '--defined-only', library).splitlines()
    return {line.split()[-1].split('@')[0] for line in lines if line.split()[-2] != 'A'}


def undefined(library):
    lines = output('nm', '-D', '--undefined-only', library).splitlines()
    return {line.split()[-1].split('@')[0] for line in lines}


def load_functions(library):
    """Entries of .init_array beyond the one that the compiler's own start files put there."""
    sections = output('readelf', '-SW', library)
    match = re.search(r' \.init_array\s+INIT_ARRAY\s+\w+ \w+ (\w+)', sections)
    return int(match.group(1), 16) // 8 - 1 if match else 0


def stripped_size(library):
    with tempfile.TemporaryDirectory() as folder:
        copy = os.path.join(folder, 'stripped')
        subprocess.run(['strip', '-o', copy, library], check=True)
        return os.path.getsize(copy)


def audit_core(tally, library, api_header):
    extra = needed(library) - CORE_NEEDS
    tally.check('libcatena needs only what it may', not extra, sorted(extra))
    declared = set(PROTOTYPE.findall(pathlib.Path(api_header).read_text()))
    names = defined(library)
    tally.check('libcatena exports what catena.h declares, nothing else', names == declared,
                'extra %s, missing %s' % (sorted(names - declared), sorted(declared - names)))
    size = stripped_size(library)
    tally.check('libcatena is under 2 MB stripped', size < CORE_LIMIT, size)
    print('libcatena: %d kB stripped, %d functions' % (size >> 10, len(names)))


def audit_plugin(tally, library):
    name = os.path.basename(library)
    own = PLUGIN_NEEDS.get(name, set())
    extra = {need for need in needed(library) - C_LIBRARIES
             if need.split('.so')[0] + '.so' not in own}
    tally.check(name + ' needs only what it may', not extra, sorted(extra))
    names = defined(library)
    tally.check(name + ' exports its two entry points', names == ENTRY, sorted(names)[:20])
    ours = [n for n in undefined(library) if n.startswith('ctn_')]
    tally.check(name + ' imports nothing of ours', not ours, ours)
    size = stripped_size(library)
    limit = PLUGIN_LIMITS.get(name)
    if limit:
        tally.check('%s is under %d kB stripped' % (name, limit >> 10), size < limit, size)
    print('%s: %d kB stripped' % (name, size >> 10))


def audit_guest(tally, library):
    name = os.path.basename(library)
    rude = undefined(library) & FORBIDDEN
    tally.check(name + ' neither prints, exits nor touches the environment', not rude, sorted(rude))
    extra, allowed = load_functions(library), LOAD_FUNCTIONS.get(name, 0)
    tally.check(name + ' runs nothing at load', extra <= allowed,
                '%d load-time functions, %d allowed' % (extra, allowed))
    flags = output('readelf', '-lW', library)
    tally.check(name + ' has no executable stack', ' RWE ' not in flags)


def main():
    tally = Tally()
    library, api_header, *plugins = sys.argv[1:]
    audit_core(tally, library, api_header)
    for plugin in plugins:
        audit_plugin(tally, plugin)
    for each in [library, *plugins]:
        audit_guest(tally, each)
    tally.close()


main()
