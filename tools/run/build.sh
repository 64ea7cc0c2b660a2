# ./run build: the optimised build.
# shellcheck shell=bash
run_build() {
  need build
  configure build
  compile build
  say 'built: build/lib/libcatena.so, its plugins and build/tools/catena'
  say 'next: build/tools/catena info, ./run demo, ./run test, or meson install -C build'
}
