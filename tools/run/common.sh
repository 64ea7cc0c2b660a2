# What the commands share: messages, named steps, package set-up and the build.
# shellcheck shell=bash

declare -A packages=(
  [build]='g++ meson ninja-build pkg-config python3 ccache zlib1g-dev libboost-dev
    libboost-filesystem-dev libdnnl-dev nlohmann-json3-dev'
  [demo]='libcairo2-dev dataset-fashion-mnist'
  [bare]='debootstrap'
  [format]='clang-format'
  [test]='clang clang-format clang-tidy libclang-rt-14-dev llvm-14 doctest-dev python3-numpy'
)
logs=build-logs

say() { printf '== %s\n' "$*"; }
die() {
  printf 'run: %s\n' "$*" >&2
  exit 1
}

# step NAME COMMAND...: says what is done; a failure names the step.
step() {
  local name=$1
  shift
  say "$name"
  "$@" || die "failed: $name"
}

# step_quiet NAME LOG COMMAND...: the same for chatty commands, whose output shows on failure only.
step_quiet() {
  local name=$1 log=$2
  shift 2
  say "$name"
  mkdir -p "$(dirname "$log")"
  "$@" >"$log" 2>&1 || {
    tail -n 60 "$log" >&2
    die "failed: $name (all of it in $log)"
  }
}

as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    env DEBIAN_FRONTEND=noninteractive "$@"
  elif command -v sudo >/dev/null; then
    sudo env DEBIAN_FRONTEND=noninteractive "$@"
  else
    die "installing packages needs root or sudo: $*"
  fi
}

# The packages among the arguments that are not installed.
missing_packages() {
  comm -23 <(printf '%s\n' "$@" | sort -u) \
    <(dpkg-query -W -f='${db:Status-Status} ${Package}\n' "$@" 2>/dev/null |
      sed -n 's/^installed //p' | sort -u) | tr '\n' ' '
}

apt_install() {
  local get=(as_root apt-get -y -q --no-install-recommends -o DPkg::Lock::Timeout=300)
  # The package lists may be absent or old; they are fetched only when an install fails without.
  "${get[@]}" install "$@" || { "${get[@]}" update && "${get[@]}" install "$@"; }
}

# need SET...: installs what is missing of the package sets named; touches no network otherwise.
need() {
  local set wanted='' missing
  for set in "$@"; do wanted+=" ${packages[$set]}"; done
  # shellcheck disable=SC2086  # a list of words
  missing=$(missing_packages $wanted)
  # shellcheck disable=SC2086
  [ -z "$missing" ] || step_quiet "install $missing" "$logs/apt.log" apt_install $missing
}

# configure DIR [OPTION...]: meson, the first time or when an option is new to this folder.
configure() {
  local dir=$1 option new=() way=(--reconfigure)
  shift
  if [ -f "$dir/build.ninja" ]; then
    for option in "$@"; do
      grep -qxFe "$option" "$dir/.options" 2>/dev/null || new+=("$option")
    done
    [ ${#new[@]} -gt 0 ] || return 0
  else
    way=()
    new=("$@")
    rm -f "$dir/.options"
  fi
  step_quiet "configure $dir" "$logs/configure.log" meson setup "${way[@]}" "$dir" "${new[@]}"
  printf '%s\n' "${new[@]}" >>"$dir/.options"
}

# Progress is for people: a log gets errors only.
compile() {
  local quiet=--quiet
  [ ! -t 1 ] || quiet=
  step "compile $1" ninja -C "$1" $quiet -j "$(nproc)"
}
