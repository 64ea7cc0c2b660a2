# ./run bare [COMMAND...]: proves the commands (demo and test) in a minimal Debian 12 tree, from a
# fresh clone of HEAD. Needs root for chroot; nothing outside build-bare/ is changed.
# shellcheck shell=bash disable=SC2154

bare=build-bare

# The value that apt here has for a setting, or nothing.
apt_setting() { apt-config dump "$1" | sed -n "s/^$1 \"\(.*\)\";\$/\1/p"; }

# The mirror this machine installs from, so that the tree is fetched the same way.
apt_mirror() {
  # shellcheck disable=SC2016  # apt expands these
  apt-get indextargets --format '$(CODENAME) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
    awk '$1 == "bookworm" { print $2; exit }'
}

# The minimal tree, made once and kept: build-bare/base. A half-made one has another name.
bare_base() {
  [ ! -d "$bare/base" ] || return 0
  local proxy
  proxy=$(apt_setting Acquire::http::Proxy)
  rm -rf "$bare/base.part"
  # shellcheck disable=SC2046  # no mirror known: debootstrap's own
  step_quiet 'debootstrap a minimal Debian 12' "$logs/bare.log" \
    env ${proxy:+http_proxy="$proxy"} debootstrap --variant=minbase --include=git,ca-certificates \
    bookworm "$bare/base.part" $(apt_mirror)
  mv "$bare/base.part" "$bare/base"
}

# A copy of the base with this machine's package sources and name lookup, and the clone.
bare_tree() {
  rm -rf "$bare/root"
  cp -a "$bare/base" "$bare/root"
  local etc=$bare/root/etc/apt
  rm -rf "$etc"/sources.list "$etc"/sources.list.d "$etc"/trusted.gpg*
  cp -a /etc/apt/sources.list* /etc/apt/trusted.gpg* "$etc/" 2>/dev/null || true
  cp -a /usr/share/keyrings/. "$bare/root/usr/share/keyrings/"
  apt-config dump | grep -E '^Acquire::([a-z]+::(Proxy|Timeout|CA)|Check-)' \
    >"$etc/apt.conf.d/90host" || true
  cp -aL /etc/resolv.conf /etc/hosts "$bare/root/etc/"
  # Packages fetched by an earlier run are not fetched again; the tree still installs every one.
  rm -f "$etc/apt.conf.d/docker-clean"
  mkdir -p "$bare/archives/partial"
  git clone -q --no-local . "$bare/root/catena"
}

# in_bare COMMAND...: runs it in the tree, in namespaces of its own: the mounts and any process left
# behind go with them.
in_bare() {
  # shellcheck disable=SC2016  # expanded by the inner shell
  unshare --mount --propagation private --pid --fork --kill-child bash -euc '
    mount -t proc proc "$1/proc"
    mount -t tmpfs tmpfs "$1/dev/shm"
    mount --bind "$2" "$1/var/cache/apt/archives"
    root=$1
    shift 2
    exec chroot "$root" /usr/bin/env -i HOME=/root TERM=dumb \
      PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"' in_bare "$bare/root" "$bare/archives" "$@"
}

run_bare() {
  [ "$(id -u)" -eq 0 ] || die 'bare needs root: it makes a tree and enters it with chroot'
  need bare
  mkdir -p "$bare" "$logs"
  bare_base
  step 'copy the tree and clone HEAD into it' bare_tree
  [ $# -gt 0 ] || set -- demo test
  local command failed=0 seconds
  for command in "$@"; do
    say "bare: ./run $command (all of it in $logs/bare-$command.log)"
    seconds=$SECONDS
    in_bare bash -c "cd /catena && ./run $command" >"$logs/bare-$command.log" 2>&1 || failed=1
    printf '%s: %s (%d s)\n' "$command" "$(tail -n 1 "$logs/bare-$command.log")" \
      $((SECONDS - seconds))
  done
  [ $failed -eq 0 ] || die 'a command failed in the bare tree'
}
