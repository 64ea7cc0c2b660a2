#!/bin/bash
# Everything that needs a GPU, on a machine that may have no compiler and no packages.
#
#   tests/gpu.sh pack    here, after ninja -C build: puts the programs, stripped, and the kernels
#                        that the tests use, compiled for $GPU_ARCH (9.0), into build/gpu
#   tests/gpu.sh         there, with build/gpu carried beside this tree: runs all of it in at most 9
#                        minutes, what matters most first; log, figures.json and pairs.jsonl go to
#                        $OUT, or to build/gpu/out
#   tests/gpu.sh short   a few cases of each, without PyTorch
set -u -o pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
gpu=$root/build/gpu
plugins=catena/plugins-0

# ---- pack

# table FILE: the programs of the table, as tests/meson.build has them, into `table`
table() {
  table=()
  [ ! -f "$1" ] || read -ra table <"$1"
  [ ${#table[@]} -gt 0 ] && return
  echo "gpu.sh: no list of test programs in $1: ninja -C build; tests/gpu.sh pack" >&2
  exit 2
}

# The sources of the kernels that the tests of the table use: the false driver does nothing with
# them.
sources() {
  export LD_LIBRARY_PATH=$root/build/tests/cuda FAKE_CUDA_SOURCES=$1 CATENA_CACHE_DIR=-
  export CATENA_TESTS_DIR=$root/tests CATENA_TEST_BACKEND=cuda CATENA_FUZZ_CALLS=20
  mkdir -p "$1"
  "$root/build/tests/catena-golden" "$root/tests/golden" --backend cuda >/dev/null
  local name
  for name in "${table[@]}"; do
    timeout 120 "$root/build/tests/$name-test" >/dev/null
  done
  CHAINER_CUDNN=0 timeout 120 "$root/build/tests/cuda/cuda-kernels-test" >/dev/null
  for name in mnist_mlp lenet5 vgg_cifar resnet50 googlenet; do
    for dtype in float32 float16; do
      # Kernels are made as a step is queued; the false cuDNN's convolutions need no end.
      timeout 30 "$root/build/bench/catena-bench" --workload "$name" --backend cuda --batch 1 \
        --iters 1 --warmup 1 --dtype "$dtype" >/dev/null 2>&1
    done
  done
  return 0
}

pack() {
  set -e
  table "$root/build/tests/table"
  rm -rf "$gpu"
  mkdir -p "$gpu/lib/$plugins" "$gpu/tests" "$gpu/carried"
  find "$root/build/lib" -maxdepth 1 ! -type d -name 'libcatena.so*' -exec cp -P -t "$gpu/lib" {} +
  local name programs=()
  for name in cpu cuda functions links optimizers; do
    cp "$root/build/lib/$plugins/libcatena_$name.so" "$root/build/lib/$plugins/$name.ctnplugin" \
      "$gpu/lib/$plugins/"
  done
  for name in "${table[@]}" cuda/cuda-device cuda/cuda-kernels; do
    programs+=("$root/build/tests/$name-test")
  done
  cp "${programs[@]}" "$root/build/tests/catena-golden" "$root/build/bench/catena-bench" \
    "$root/build/tools/catena" "$root/build/tests/ops/toy.so" "$root/build/tests/table" \
    "$gpu/tests/"
  find "$gpu" -type f \( -name '*.so*' -o -perm -u+x \) -exec strip {} +
  # What Debian has and the machine may not; used only where it has none.
  ldd "$gpu/lib/libcatena.so" | awk '$3 ~ /boost/ {print $3}' | xargs -r cp -L -t "$gpu/carried"
  (sources "$gpu/sources") || true  # nothing is computed, so nothing is right
  # Kept for the next time: to compile them takes minutes.
  CATENA_CACHE_DIR=$root/build/gpu-cache "$root/build/tests/cuda/cuda-warm" "$gpu/sources" \
    "${GPU_ARCH:-9.0}"
  tar czf "$gpu/cache.tar.gz" -C "$root/build" gpu-cache
  rm -rf "$gpu/sources"
  du -sh "$gpu"
}

# ---- run

# figure NAME VALUE: one line of figures.json
figure() { printf '  "%s": %s,\n' "$1" "$2" >>"$out/figures"; }
plain() { tr -cd '[:alnum:] ,.:;/_()+-' | head -c 300; }

# begin NAME SECONDS COMMAND...: starts a step; its output goes to a file of its own
begin() {
  local name=$1 limit=$2
  shift 2
  (
    start=$(date +%s)
    timeout -k 5 "$limit" "$@" >"$out/$name.log" 2>&1
    printf '%s %s\n' $? $(($(date +%s) - start)) >"$out/$name.end"
  ) &
}

# finish NAME...: waits for the steps begun, keeps their closing lines
finish() {
  local name status seconds last
  wait
  for name in "$@"; do
    read -r status seconds <"$out/$name.end"
    last=$(grep -v '^[[:space:]]*$' "$out/$name.log" | tail -n 1 | plain)
    printf '== %s\n' "$name" >>"$out/log"
    tail -c 60000 "$out/$name.log" >>"$out/log"
    printf '%s: %s (status %s, %s s)\n' "$name" "$last" "$status" "$seconds" | tee -a "$out/log"
    figure "$name" "{\"status\": $status, \"seconds\": $seconds, \"last\": \"$last\"}"
    [ "$status" -eq 0 ] || failed=1
    rm -f "$out/$name.log" "$out/$name.end"
  done
}

# skip NAME WHY: what is not run says so
skip() {
  local why
  why=$(plain <<<"$2")
  printf '%s: skipped: %s\n' "$1" "$why" | tee -a "$out/log"
  figure "$1" "{\"skipped\": \"$why\"}"
}

# enough NAME SECONDS: whether that much time is left; a step that lacks it is skipped
enough() {
  [ "$(left "$2")" -ge "$2" ] && return
  skip "$1" "less than $2 s are left"
  return 1
}

# step NAME SECONDS COMMAND...: a step that has the device to itself
step() {
  begin "$@"
  finish "$1"
}

# Seconds that are left, at most $1, and at least 1: 0 is none at all to timeout.
left() {
  local n=$((end - $(date +%s)))
  n=$((n < $1 ? n : $1))
  echo $((n < 1 ? 1 : n))
}

# A Python that has PyTorch; PyTorch's own libraries of CUDA are used by both sides.
find_python() {
  local p said
  no_python=''
  for p in python3 /usr/bin/python3; do
    if said=$("$p" -c 'import torch' 2>&1); then
      python=$p
      LD_LIBRARY_PATH+=$("$p" -c 'import nvidia, glob
print("".join(":" + d for p in nvidia.__path__ for d in sorted(glob.glob(p + "/*/lib"))))' \
        2>/dev/null)
      return
    fi
    no_python+="${no_python:+; }$p: $(tail -n 1 <<<"$said")"
  done
}

describe() {
  figure date "\"$(date -u +%Y-%m-%dT%H:%M:%SZ)\""
  figure commit "\"$(git -C "$root" rev-parse --short HEAD 2>/dev/null)\""
  local what
  for what in name driver_version memory.total; do
    figure "gpu_$what" "\"$(nvidia-smi --query-gpu=$what --format=csv,noheader 2>/dev/null |
      head -n 1 | plain)\""
  done
  figure nvcc "\"$(nvcc --version 2>/dev/null | sed -n 's/.*release //p' | plain)\""
  [ -z "$python" ] || figure torch "\"$("$python" -c 'import torch
print(torch.__version__, torch.version.cuda, torch.backends.cudnn.version())' 2>&1 | plain)\""
}

# All of the table at once: they compare, nobody times them.
table_steps() {
  local name names=(golden)
  export CATENA_TESTS_DIR=$root/tests CATENA_TEST_BACKEND=cuda CATENA_TOY_PLUGIN=$bin/toy.so
  export CATENA_FUZZ_CALLS=${short:+5}
  export CATENA_FUZZ_CALLS=${CATENA_FUZZ_CALLS:-100}
  begin golden "$(left 150)" "$bin/catena-golden" "$golden" --backend cuda ${short:+--name 's*'}
  for name in "${table[@]}"; do
    [ -z "$short" ] || [ "$name" != ops ] || { skip ops 'too long for short'; continue; }
    begin "$name" "$(left 150)" "$bin/$name-test" ${short:+--test-case='*a*'}
    names+=("$name")
  done
  # what the others leave to cuDNN
  begin own_kernels "$(left 150)" env CHAINER_CUDNN=0 "$bin/cuda-kernels-test" \
    ${short:+--test-case='*a*'}
  names+=(own_kernels)
  finish "${names[@]}"
}

pairs() {
  local name=$1 limit=$2 variants=$3
  shift 3
  [ -n "$python" ] || { skip "$name" "no PyTorch: $no_python"; return; }
  enough "$name" 30 || return 0
  limit=$(left "$limit")
  # PyTorch may try every kernel of cuDNN, with what memory it likes.
  step "$name" "$limit" env CATENA_AUTOTUNE=1 CATENA_MAX_WORKSPACE_SIZE=1073741824 \
    TORCHINDUCTOR_CACHE_DIR="$out/inductor" \
    "$python" -B -u "$root/bench/peers/pair.py" "$bin/catena-bench" --out "$out/pairs.jsonl" \
    --seconds $((limit - 15)) --iters 8 --warmup 2 --variants "$variants" "$@"
}

# sanitized NAME SECONDS ARGUMENT...: a step under compute-sanitizer. Where that may not attach to
# the device, as in some containers, it gives no summary: nothing was looked at, nothing failed.
sanitized() {
  local name=$1 limit=$2 status why
  shift 2
  command -v compute-sanitizer >/dev/null || { skip "$name" 'no compute-sanitizer'; return; }
  enough "$name" 20 || return 0
  begin "$name" "$(left "$limit")" compute-sanitizer --error-exitcode 3 "$@"
  wait
  read -r status _ <"$out/$name.end"
  why=$(grep -m 1 -iE '^=+ .*(error|not supported|unable|could not|fail)' "$out/$name.log")
  [ "$status" -ne 0 ] || why=${why:-it gives no summary}
  if [ -n "$why" ] && [ "$status" -lt 124 ] && ! grep -q '^=.* SUMMARY:' "$out/$name.log"; then
    skip "$name" "compute-sanitizer looked at nothing: $why"
    cat "$out/$name.log" >>"$out/log"
    rm -f "$out/$name.log" "$out/$name.end"
  else
    finish "$name"
  fi
}

sanitizer() {
  sanitized sanitizer 60 "$bin/catena-golden" "$golden" --backend cuda --kind function --name 's*'
  sanitized sanitizer_race 30 --tool racecheck "$bin/catena-golden" "$golden" --backend cuda \
    --kind function --name sum
}

benchmarks() {
  : >"$out/pairs.jsonl"
  pairs pairs 160 eager+tf32,channels_last+tf32,eager \
    resnet50:train:float32:32 vgg_cifar:train resnet50:infer:float32:32 mnist_mlp lenet5 \
    googlenet:infer resnet50:train:float16:32 resnet50:infer:float16:32 vgg_cifar:train:float16 \
    googlenet:infer:float16 mnist_mlp:train:float16 lenet5:train:float16
  sanitizer
  ! enough bench_ops 20 || step bench_ops "$(left 40)" "$bin/catena-bench" ops --backend cuda
  # what is left: each compiles two variants first
  pairs pairs_captured 300 compile+channels_last+tf32,graphs+channels_last+tf32 --captured \
    mnist_mlp lenet5 resnet50:infer:float32:32 vgg_cifar:train resnet50:train:float32:32 \
    googlenet:infer
}

run() {
  short=${1:-} out=${OUT:-$gpu/out} failed=0 python='' no_python='' end=$(($(date +%s) + 530))
  bin=$gpu/tests golden=$root/tests/golden
  table "$bin/table"
  mkdir -p "$out"
  : >"$out/log"
  : >"$out/figures"
  export LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$gpu/lib:$gpu/carried
  [ -n "$short" ] || find_python
  export CATENA_CACHE_DIR=${GPU_CACHE:-$gpu/run-cache}
  mkdir -p "$CATENA_CACHE_DIR"
  tar xzf "$gpu/cache.tar.gz" -C "$CATENA_CACHE_DIR" --strip-components=1 --no-same-owner
  chmod -R go-w "$CATENA_CACHE_DIR"
  describe
  step info "$(left 30)" "$bin/catena" info
  table_steps
  step device "$(left 90)" "$bin/cuda-device-test"
  step steps_mnist "$(left 30)" "$bin/catena-bench" --workload mnist_mlp --backend cuda --iters 2
  [ -n "$short" ] || benchmarks
  figure failed "$failed"
  { printf '{\n'; sed '$ s/,$//' "$out/figures"; printf '}\n'; } >"$out/figures.json"
  rm -rf "$out/figures" "$out/inductor"
  return "$failed"
}

case ${1:-} in
  functions) ;;  # for tests/checks/gpu.py, which reads this file with "."
  pack) pack ;;
  short | '') run "$@" ;;
  *) echo 'usage: tests/gpu.sh [pack | short]' >&2; exit 2 ;;
esac
