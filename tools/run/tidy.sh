# ./run tidy: clang-tidy over every source outside tests/, with results remembered per file.
# shellcheck shell=bash
run_tidy() {
  need build test
  configure build -Dtests=enabled
  step 'clang-tidy' /usr/bin/python3 -B tests/checks/tidy.py "$PWD/build"
}
