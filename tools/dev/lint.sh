# Sourced by ./dev: every rule that a program can check. tools/lint/ has the project's own checks; each prints FILE:LINE: what.

c_files() { git ls-files -z --cached --others --exclude-standard -- 'src/*.[ch]' 'include/*.h' 'test/*.[ch]' 'fuzz/*.[ch]' 'bench/*.[ch]' 'examples/*.[ch]' 'bindings/*.[ch]'; }

# C sources that differ from the remote's main branch, or all of them where there is none to compare with.
tidy_files() {
  local base
  if [ "$1" = all ] || ! base=$(git merge-base HEAD origin/main 2>/dev/null); then
    git ls-files -- 'src/*.c'
  else
    { git diff --name-only --diff-filter=d "$base" -- 'src/*.c'; git ls-files --others --exclude-standard -- 'src/*.c'; } | sort -u
  fi
}

run_clang_tidy() {
  local files
  files=$(tidy_files "$1" | python3 tools/lint/in_build.py build/release/compile_commands.json)
  [ -n "$files" ] || { echo "no file to check"; return 0; }
  echo "$files" | xargs -P "$jobs" -n 4 clang-tidy -p build/release --quiet --warnings-as-errors='*' \
    --extra-arg=-Wno-unknown-warning-option
}

check_format() { c_files | xargs -0 -r clang-format --dry-run -Werror; }

command_lint() {
  local scope=changed bad=0
  case ${1:-} in
    "") ;;
    --all) scope=all ;;
    *) die "lint: unknown argument '$1'" ;;
  esac
  need_packages "${packages_build[@]}" "${packages_lint[@]}" "${packages_python[@]}" clang
  need_venv
  build_preset release op_table
  step "clang-format" lint-format check_format || bad=1
  step "includes go down the list" lint-includes python3 tools/lint/includes.py || bad=1
  step "each header compiles alone" lint-headers python3 tools/lint/headers.py || bad=1
  step "words, addresses and sizes" lint-words python3 tools/lint/words.py || bad=1
  step "generated files are current" lint-generated "$venv/bin/python" tools/lint/generated.py || bad=1
  step "shellcheck" lint-shell shellcheck -x dev .ci/run test/products/*.sh || bad=1
  step "clang-tidy ($scope files)" lint-tidy run_clang_tidy "$scope" || bad=1
  return $bad
}
