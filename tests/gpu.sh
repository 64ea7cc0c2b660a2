#!/bin/bash
# tests/gpu.sh pack: puts what a GPU machine needs, stripped, into build/gpu/ (for a machine without
# compiler or packages: carry that folder beside this tree). tests/gpu.sh: runs it there, in at most
# 9 minutes; the log and figures.json go to $OUT, or to build/gpu/out.
set -u -o pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
gpu=$root/build/gpu
plugins=catena/plugins-0

pack() {
  set -e
  rm -rf "$gpu"
  mkdir -p "$gpu/lib/$plugins" "$gpu/tests" "$gpu/carried"
  find "$root/build/lib" -maxdepth 1 ! -type d -name 'libcatena.so*' -exec cp -P -t "$gpu/lib" {} +
  for name in cpu cuda functions links optimizers; do
    cp "$root/build/lib/$plugins/libcatena_$name.so" "$root/build/lib/$plugins/$name.ctnplugin" \
      "$gpu/lib/$plugins/"
  done
  cp "$root/build/tests/catena-golden" "$root/build/tests/cuda/cuda-source-test" \
    "$root/build/bench/catena-bench" "$root/build/tools/catena" "$gpu/tests/"
  find "$gpu" -type f \( -name '*.so*' -o -perm -u+x \) -exec strip {} +
  # What Debian has and the machine may not; used only where it has none.
  ldd "$gpu/lib/libcatena.so" | awk '$3 ~ /boost/ {print $3}' | xargs -r cp -L -t "$gpu/carried"
  du -sh "$gpu"
}

# figure NAME VALUE: one line of figures.json
figure() { printf '  "%s": %s,\n' "$1" "$2" >>"$out/figures"; }

# step NAME SECONDS COMMAND...: runs it, logs it, keeps its closing line
step() {
  local name=$1 limit=$2 start status last
  shift 2
  start=$(date +%s)
  printf '== %s\n' "$name" | tee -a "$out/log"
  timeout "$limit" "$@" >"$out/step" 2>&1
  status=$?
  cat "$out/step" >>"$out/log"
  last=$(tail -n 1 "$out/step" | tr -cd '[:alnum:] ,.:;/_()-')
  printf '   %s (status %s)\n' "$last" "$status" | tee -a "$out/log"
  figure "$name" "{\"status\": $status, \"seconds\": $(($(date +%s) - start)), \"last\": \"$last\"}"
  [ $status -eq 0 ] || failed=1
}

run() {
  out=${OUT:-$gpu/out} failed=0
  mkdir -p "$out"
  : >"$out/log"
  : >"$out/figures"
  export LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$gpu/lib:$gpu/carried
  export CATENA_CACHE_DIR=$gpu/cache
  if ! ldconfig -p | grep -q libnvrtc && [ ! -e /usr/local/cuda/lib64/libnvrtc.so ]; then
    # only in the packages of a Python, then
    LD_LIBRARY_PATH+=$(python3 -c 'import nvidia, glob
print("".join(":" + d for p in nvidia.__path__ for d in glob.glob(p + "/*/lib")))' 2>/dev/null)
  fi
  local bin=$gpu/tests golden=$root/tests/golden
  step info 30 "$bin/catena" info
  step golden 240 "$bin/catena-golden" "$golden" --backend cuda
  step golden_cached 60 "$bin/catena-golden" "$golden" --backend cuda --kind function --name 'r*'
  if command -v compute-sanitizer >/dev/null; then
    step sanitizer 90 compute-sanitizer --error-exitcode 3 "$bin/catena-golden" "$golden" \
      --backend cuda --kind function --name 's*'
  fi
  step ops 60 "$bin/catena-bench" ops --backend cuda
  figure failed "$failed"
  { printf '{\n'; sed '$ s/,$//' "$out/figures"; printf '}\n'; } >"$out/figures.json"
  rm -f "$out/figures" "$out/step"
  return "$failed"
}

case ${1:-} in
  pack) pack ;;
  '') run ;;
  *) echo 'usage: tests/gpu.sh [pack]' >&2; exit 2 ;;
esac
