"""Every public header stands alone and compiles without a warning: the C headers as C11 and C++17,
the C++ ones as C++20, with gcc and with clang.

usage: headers.py INCLUDE_DIR...
"""
import pathlib
import shutil
import sys

from check import Tally, attempt

WARNINGS = ['-Wall', '-Wextra', '-Wpedantic', '-Wshadow', '-Wconversion', '-Werror']
C_WAYS = [('gcc', 'c', 'c11'), ('clang', 'c', 'c11'), ('g++', 'c++', 'c++17'),
          ('clang++', 'c++', 'c++17')]
CPP_WAYS = [('g++', 'c++', 'c++20'), ('clang++', 'c++', 'c++20')]


def main():
    tally = Tally()
    dirs = [pathlib.Path(d).resolve() for d in sys.argv[1:]]
    search = ['-I%s' % d for d in dirs]
    for directory in dirs:
        for header in sorted(directory.rglob('*.h')) + sorted(directory.rglob('*.hpp')):
            name = header.relative_to(directory)
            for compiler, language, standard in C_WAYS if header.suffix == '.h' else CPP_WAYS:
                if not shutil.which(compiler):
                    tally.skip('%s with %s' % (name, compiler), 'not installed')
                    continue
                # Twice: a header must bear being included again.
                text = '#include <%s>\n#include <%s>\nint main(void) { return 0; }\n' % (name, name)
                status, out = attempt(compiler, '-x', language, '-std=' + standard, *WARNINGS,
                                      *search, '-fsyntax-only', '-', input=text)
                tally.check('%s as %s with %s' % (name, standard, compiler), status == 0, out)
    tally.close()


main()
