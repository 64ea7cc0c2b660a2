# ./run format [--check]: clang-format over every source in the tree.
# shellcheck shell=bash
run_format() {
  need format
  case ${1:-} in
    '') sources | xargs -0 -r clang-format -i ;;
    --check) check_format ;;
    *) die 'usage: ./run format [--check]' ;;
  esac
}

# Untracked files count too: they are about to be committed.
sources() {
  git ls-files -z --cached --others --exclude-standard -- '*.h' '*.hpp' '*.c' '*.cc' '*.inc' |
    while IFS= read -r -d '' file; do [ ! -f "$file" ] || printf '%s\0' "$file"; done
}

check_format() {
  local file bad=0
  while IFS= read -r -d '' file; do
    clang-format "$file" | cmp -s - "$file" || {
      printf 'not formatted: %s\n' "$file"
      bad=1
    }
  done < <(sources)
  [ $bad -eq 0 ] || die 'some files are not formatted; ./run format does it'
}
