# ./run bench ...: catena-bench with the arguments given.
# shellcheck shell=bash
run_bench() {
  need build
  configure build
  compile build
  exec build/bench/catena-bench "$@"
}
