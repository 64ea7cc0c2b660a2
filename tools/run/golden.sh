# ./run golden DIR ...: the cases of a folder in the golden format.
# shellcheck shell=bash
run_golden() {
  [ $# -ge 1 ] || die 'usage: ./run golden DIR [--backend B] [--kind K] [--name GLOB]'
  need build test
  configure build -Dtests=enabled
  compile build
  exec build/tests/catena-golden "$@"
}
