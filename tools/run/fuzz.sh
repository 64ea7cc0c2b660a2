# ./run fuzz NAME [OPTION...]: tests/fuzz/NAME_fuzz.cc until it finds something; the options are
# libFuzzer's (-max_total_time=3600, -jobs=2). build-fuzz/NAME keeps what it learnt.
# shellcheck shell=bash
run_fuzz() {
  local name=${1:-} names
  names=$(cd tests/fuzz && printf '%s ' *_fuzz.cc)
  [ -f "tests/fuzz/${name}_fuzz.cc" ] ||
    die "usage: ./run fuzz NAME [OPTION...]; NAME is one of: ${names//_fuzz.cc/}"
  shift
  need build test
  CC='ccache clang' CXX='ccache clang++' configure build-fuzz -Dtests=enabled \
    -Db_sanitize=address,undefined -Db_lundef=false -Doptimization=1 -Ddebug=true \
    -Dcpp_args=-fsanitize=fuzzer-no-link
  step "compile $name" ninja -C build-fuzz --quiet -j "$(nproc)" "tests/fuzz/${name}_fuzz"
  exec /usr/bin/python3 -B tests/fuzz/fuzz.py "build-fuzz/tests/fuzz/${name}_fuzz" \
    "build-fuzz/$name" -artifact_prefix=build-fuzz/ "$@"
}
