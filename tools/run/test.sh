# ./run test: everything that must hold. The last line printed counts all of it.
# shellcheck shell=bash disable=SC2154

# count NAME COMMAND...: a stage that is one check in itself.
count() {
  local name=$1
  shift
  if ("$@"); then
    echo '1 passed, 0 failed, 0 skipped' >>"$totals"
  else
    printf 'FAILED: %s\n' "$name"
    echo '0 passed, 1 failed, 0 skipped' >>"$totals"
    return 1
  fi
}

build_for_test() {
  local dir=$1
  shift
  configure "$dir" "$@"
  compile "$dir"
}

# meson_test DIR [OPTION...]: runs the registered programs; tally.py adds up their closing lines.
meson_test() {
  say "test $1"
  rm -f "$1/meson-logs/testlog.json"
  # Its exit status says less than the results that tally.py reads.
  meson test -C "$1" --no-rebuild "${@:2}" >"$logs/test.log" 2>&1 || true
  /usr/bin/python3 tools/run/tally.py "$1/meson-logs/testlog.json" >>"$totals"
}

run_test() {
  . tools/run/format.sh
  totals=$logs/totals
  mkdir -p "$logs"
  : >"$totals"
  # A stage that fails is counted; the others still run.
  count 'package set-up' need build demo test || true
  count 'format' step 'check the format' run_format --check || true
  if count 'build' build_for_test build -Dtests=enabled -Ddemo=enabled; then meson_test build; fi
  if count 'sanitizer build' sanitizer_build; then sanitizer_test; fi
  if count 'thread sanitizer build' thread_build; then thread_test; fi
  awk '{ p += $1; f += $3; s += $5 }
       END { printf "%d passed, %d failed, %d skipped\n", p, f, s; exit f > 0 }' "$totals"
}

# What threads meet in, under ThreadSanitizer: only the programs that are about threads.
thread_programs=(backward layout memory waiting)
thread_build() {
  local program targets=(lib/catena/plugins-0/libcatena_{cpu,functions}.so)
  for program in "${thread_programs[@]}"; do targets+=("tests/$program-test"); done
  configure build-tsan -Dtests=enabled -Db_sanitize=thread -Db_lundef=false
  step 'compile build-tsan' ninja -C build-tsan --quiet -j "$(nproc)" "${targets[@]}"
}
thread_test() {
  TSAN_OPTIONS=halt_on_error=1 meson_test build-tsan --timeout-multiplier 4 "${thread_programs[@]}"
}

# Clang here and gcc above: both compilers see every line.
sanitizer_build() {
  CC='ccache clang' CXX='ccache clang++' build_for_test build-asan -Dtests=enabled \
    -Db_sanitize=address,undefined -Db_lundef=false -Doptimization=1 -Ddebug=true
}

sanitizer_test() {
  ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1 \
    UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
    ASAN_SYMBOLIZER_PATH=/usr/bin/llvm-symbolizer-14 \
    meson_test build-asan --timeout-multiplier 4
}
