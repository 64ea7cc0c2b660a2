#!/usr/bin/python3
"""Writes catena/api.h, the table of every function of catena.h that plugins are handed, and
core/api_table.inc, the core's initialiser for it.

Usage: api_table.py catena.h api.h [api_table.inc]   (run by hand after catena.h changes; the tests
compare). The table's order is the header's order: after ABI 1.0 new functions go to the end.
"""
import re
import sys

PROTOTYPE = re.compile(
    r"^CTN_API\s+(?P<ret>[^;(]*?)CTN_CALL\s+ctn_(?P<name>\w+)\((?P<args>[^;]*)\);", re.M | re.S)


def main() -> None:
    source, target, *table = sys.argv[1:]
    with open(source, encoding="utf-8") as file:
        text = file.read()
    lines = []
    names = []
    for match in PROTOTYPE.finditer(text):
        args = " ".join(match["args"].split())
        names.append(match["name"])
        lines.append(f"  {' '.join(match['ret'].split())}(CTN_CALL* {match['name']})({args});")
    body = "\n".join(lines)
    with open(target, "w", encoding="utf-8") as file:
        file.write(f"""/* api.h: made by tools/gen/api_table.py from catena.h; do not edit.
 * Every function of <catena/catena.h> as a member, for plugins, which link to nothing of ours. */
#ifndef CATENA_API_H
#define CATENA_API_H

#include <catena/catena.h>

#ifdef __cplusplus
extern "C" {{
#endif

/* clang-format off */
typedef struct ctn_api {{
  uint32_t size;
  uint32_t abi;
{body}
}} ctn_api;
/* clang-format on */

#ifdef __cplusplus
}}
#endif
#endif
""")
    if table:
        with open(table[0], "w", encoding="utf-8") as file:
            file.write("// Made by tools/gen/api_table.py from catena.h; do not edit.\n")
            file.write("// clang-format off\n")
            file.writelines(f".{name} = ctn_{name},\n" for name in names)


if __name__ == "__main__":
    main()
