# ./run build: the optimised build.
# shellcheck shell=bash
run_build() {
  need build
  configure build
  compile build
}
