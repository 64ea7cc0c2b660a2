"""clang-tidy over every source file outside tests/, with the checks of .clang-tidy. A file is
looked at again only when it, a header of ours that it includes, its flags or the checks changed.

usage: tidy.py BUILD_DIR
"""
import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import sys

from check import Tally, attempt, output

ROOT = pathlib.Path(__file__).resolve().parents[2]


def headers_of(build):
    """object file -> the headers it was made of, as ninja knows them from the last build."""
    found, current = {}, None
    for line in output('ninja', '-C', str(build), '-t', 'deps').splitlines():
        if line.startswith('    '):
            found[current].append(line.strip())
        elif ': #deps' in line:
            current = line.split(': #deps')[0]
            found[current] = []
    return found


def fingerprint(build, entry, headers):
    """Changes with anything of ours that the result depends on."""
    digest = hashlib.sha256((ROOT / '.clang-tidy').read_bytes())
    digest.update(entry['command'].encode())
    for name in sorted(set([entry['file']] + headers)):
        path = (build / name).resolve()
        if ROOT in path.parents:
            digest.update(path.read_bytes())
    return digest.hexdigest()


def main():
    tally = Tally()
    build = pathlib.Path(sys.argv[1]).resolve()
    stamps = build / 'tidy'
    stamps.mkdir(exist_ok=True)
    headers = headers_of(build)
    entries = {}  # one command a file is enough
    for entry in json.loads((build / 'compile_commands.json').read_text()):
        source = (build / entry['file']).resolve()
        if ROOT not in source.parents:
            continue
        if source.relative_to(ROOT).parts[0] not in ('tests', build.name):
            entries.setdefault(source, entry)

    def look(source):
        entry = entries[source]
        stamp = stamps / fingerprint(build, entry, headers.get(entry['output'], []))
        if stamp.exists():
            return source, True, ''
        status, out = attempt('clang-tidy', '--quiet', '-p', str(build), str(source))
        if status == 0:
            stamp.touch()
        return source, status == 0, re.sub(r'^\d+ warnings.*\n', '', out, flags=re.M)

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for source, good, out in pool.map(look, sorted(entries)):
            tally.check(str(source.relative_to(ROOT)), good, out)
    tally.check('there are sources to look at', entries)
    tally.close()


main()
