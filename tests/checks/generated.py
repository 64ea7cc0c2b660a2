"""Generated files that are kept in the tree equal what their generator makes today. Their first
line says 'made by GENERATOR from SOURCE;', SOURCE being a file beside them.
"""
import pathlib
import re
import sys
import tempfile

from check import Tally, attempt, output

ROOT = pathlib.Path(__file__).resolve().parents[2]
MADE = re.compile(r' made by (tools/gen/\S+\.py) from (\S+);')


def main():
    tally = Tally()
    names = output('git', 'grep', '-lI', '--untracked', ' made by tools/gen/', cwd=ROOT).split()
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            path = ROOT / name
            first = path.read_text(encoding='utf-8').split('\n')[0]
            match = MADE.search(first)
            if not match:
                continue
            fresh = pathlib.Path(folder) / path.name
            status, out = attempt(sys.executable, str(ROOT / match[1]),
                                  str(path.parent / match[2]), str(fresh))
            tally.check('%s is fresh from %s' % (name, match[1]),
                        status == 0 and fresh.read_bytes() == path.read_bytes(), out)
    tally.close()


main()
