# Sourced by ./dev: the tests, in tiers. Every run of ctest or pytest leaves a JUnit file, from which the last line is summed.

passed=0 failed=0 skipped=0

# tally LOG: adds up the counts in build/log/LOG.xml; false if something failed or the file is missing.
tally() {
  local file=$log_folder/$1.xml counts
  if [ ! -s "$file" ]; then
    say "  no results in $file"
    failed=$((failed + 1))
    return 1
  fi
  counts=$(awk '/<testsuite[ >]/ || open {
      line = $0; open = !/>/
      while (match(line, /(tests|failures|errors|disabled|skipped)="[0-9]+"/)) {
        split(substr(line, RSTART, RLENGTH), pair, "=\""); sum[pair[1]] += pair[2]
        line = substr(line, RSTART + RLENGTH)
      }
    } END {
      bad = sum["failures"] + sum["errors"]; skip = sum["skipped"] + sum["disabled"]
      print sum["tests"] - bad - skip, bad, skip
    }' "$file")
  read -r tally_passed tally_failed tally_skipped <<<"$counts"
  passed=$((passed + tally_passed)) failed=$((failed + tally_failed)) skipped=$((skipped + tally_skipped))
  [ "$tally_failed" -eq 0 ]
}

# run_suite WHAT LOG COMMAND...: one ctest or pytest call; prints one line, and the failures if there are any.
run_suite() {
  local what=$1 log=$2 start=$SECONDS status=0
  shift 2
  mkdir -p "$log_folder"
  rm -f "$log_folder/$log.xml"
  [ -t 1 ] && printf '%s ...' "$what"
  "$@" >"$log_folder/$log.log" 2>&1 </dev/null || status=$?
  [ -t 1 ] && printf '\r\033[K'
  # pytest's status 5 is "no test selected", which a NAME or a marker may well cause.
  if [ $status -eq 5 ] && [[ $log == pytest* ]]; then return 0; fi
  if tally "$log" && [ $status -eq 0 ]; then
    say "$what: $tally_passed passed$([ "$tally_skipped" -eq 0 ] || echo ", $tally_skipped skipped") ($((SECONDS - start)) s)"
  else
    [ "${tally_failed:-0}" -gt 0 ] || [ ! -s "$log_folder/$log.xml" ] || failed=$((failed + 1))
    say "$what: FAILED ($((SECONDS - start)) s); the end of $log_folder/$log.log:"
    tail -n 60 "$log_folder/$log.log"
    return 1
  fi
}

# ThreadSanitizer of gcc 12 cannot cope with more than 28 random bits in addresses.
sanitizer_launcher() {
  if [ "$1" = tsan ] && [ "$(cat /proc/sys/vm/mmap_rnd_bits 2>/dev/null || echo 28)" -gt 28 ]; then echo setarch -R; fi
}

# unit_tests PRESET [NAME]
unit_tests() {
  local preset=$1 name=${2:-}
  ctest --test-dir "build/$preset" -N ${name:+-R "$name"} 2>/dev/null | grep -q '^Total Tests: 0$' && return 0
  # shellcheck disable=SC2046  # the launcher is words
  run_suite "unit tests, $preset" "ctest-$preset" env UBSAN_OPTIONS=print_stacktrace=1 $(sanitizer_launcher "$preset") \
    ctest --test-dir "build/$preset" ${name:+-R "$name"} -j "$jobs" --output-on-failure \
    --output-junit "$PWD/$log_folder/ctest-$preset.xml" || true
}

# What lets Python load a library built with AddressSanitizer: its runtime before everything else, libstdc++ for its interceptor
# of exceptions, and no leak check, since Python itself leaks at exit.
preload() {
  [ "$1" = asan ] || return 0
  echo "LD_PRELOAD=$(gcc -print-file-name=libasan.so):$(gcc -print-file-name=libstdc++.so.6)" ASAN_OPTIONS=detect_leaks=0
}

# Options of each call of pytest. The files of tests are shared out among as many processes as there are jobs, whole, so that what a file's
# tests share is made once.
pytest_options=(-c test/pytest.ini --rootdir .)
pytest_parallel=("${pytest_options[@]}" -n "$jobs" --dist loadfile)
# One long file of tests that share nothing: neighbours stay together, and who is done takes from who is not.
pytest_stolen=("${pytest_options[@]}" -n "$jobs" --dist worksteal)

# python_tests PRESET MARKERS [NAME]: test/py against that preset's build. Markers that speak of programs need no runtime in Python.
python_tests() {
  local preset=$1 markers=$2 name=${3:-} loaded log=pytest-$1
  if [[ $markers == *programs* ]]; then log+=-programs; else loaded=$(preload "$preset"); fi
  # shellcheck disable=SC2046,SC2086
  run_suite "Python tests, $preset ($markers)" "$log" env KAPELL_PRESET="$preset" \
    UBSAN_OPTIONS=print_stacktrace=1 ${loaded:-} $(sanitizer_launcher "$preset") "$venv/bin/python" -m pytest "${pytest_parallel[@]}" \
    -m "$markers" ${name:+-k "$name"} --junitxml "$log_folder/$log.xml" test/py || true
}

# package_tests PRESET MARKERS [NAME]: test/python against the Python package of that preset's build.
package_tests() {
  local preset=$1 markers=$2 name=${3:-} log=pytest-package-$1
  # shellcheck disable=SC2046
  run_suite "Python package, $preset ($markers)" "$log" env KAPELL_PRESET="$preset" \
    UBSAN_OPTIONS=print_stacktrace=1 $(preload "$preset") "$venv/bin/python" -m pytest "${pytest_parallel[@]}" \
    -m "$markers" ${name:+-k "$name"} --junitxml "$log_folder/$log.xml" test/python || true
}

# Where the emulator finds AArch64's libc: in the system itself where its packages for arm64 are installed, else with the cross
# compiler. Never both: a loader of one version and a libc of another hang.
foreign_libraries() { [ -e /lib/ld-linux-aarch64.so.1 ] || echo QEMU_LD_PREFIX=/usr/aarch64-linux-gnu; }

# conformance WHAT PRESET EVERY LAUNCHER...: each EVERY-th backend case on that preset's case_run, under an emulator.
conformance() {
  local what=$1 preset=$2 every=$3
  shift 3
  # shellcheck disable=SC2046  # a variable, or nothing
  run_suite "conformance, $what" "pytest-conformance-${what//[^a-z0-9]/}" env KAPELL_PRESET="$preset" KAPELL_CASES="$every" \
    KAPELL_LAUNCHER="$*" $(foreign_libraries) "$venv/bin/python" -m pytest "${pytest_parallel[@]}" \
    --junitxml "$log_folder/pytest-conformance-${what//[^a-z0-9]/}.xml" test/py/test_conformance.py || true
}

# emulated EVERY: AArch64, and an x86-64 with nothing beyond the first of its kind, on each EVERY-th case.
emulated() {
  need_packages "${packages_emulated[@]}"
  [ "$1" -ne 1 ] || need_packages "${packages_aarch64[@]}" "${packages_pictures_arm64[@]}"
  build_preset aarch64 case_run
  conformance "AArch64" aarch64 "$1" qemu-aarch64-static
  conformance "x86-64 without AVX" release "$1" qemu-x86_64-static -cpu qemu64
}

# draws LEVEL: 500 draws of each operator and version on the release build's kernels for that level.
draws() {
  run_suite "500 draws an operator version, $1" "pytest-draws-$1" env KAPELL_DRAWS=500 KAPELL_CPU_LEVEL="$1" \
    "$venv/bin/python" -m pytest "${pytest_stolen[@]}" --timeout 3000 --junitxml "$log_folder/pytest-draws-$1.xml" \
    test/py/test_ops.py || true
}

# exports GROUP EXPORTER [NAME]: PyTorch's exports of the nets of test/py/exports/GROUP.py by one of its exporters (script, dynamo).
exports() {
  need_cached_venv torch test/requirements-torch.txt
  run_suite "PyTorch's exports, $1, $2" "pytest-exports-$1-$2" env OMP_NUM_THREADS=1 "$cached_venv/bin/python" -m pytest "${pytest_stolen[@]}" \
    -m torch -k "test_$2 and $1${3:+ and $3}" --junitxml "$log_folder/pytest-exports-$1-$2.xml" test/py/test_torch_exports.py || true
}

# full_python_tests [NAME]: the long ones, with the programs that some of them need.
full_python_tests() {
  need_packages "${packages_measure[@]}"
  python_tests release "full and not torch" "${1:-}"
  package_tests release "full and not optimum" "${1:-}"
}

# optimum_tests [NAME]: pip's optimum-onnx on the stand-in for onnxruntime.
optimum_tests() {
  need_cached_venv optimum test/requirements-optimum.txt
  run_suite "optimum-onnx on the Python package" pytest-optimum "$cached_venv/bin/python" -m pytest "${pytest_options[@]}" \
    --timeout 1500 -m optimum ${1:+-k "$1"} --junitxml "$log_folder/pytest-optimum.xml" test/python/test_packages.py || true
}

# The wheel that runs on any Linux; test_package.py installs it and runs a model.
wheel_tests() { command_wheel || failed=$((failed + 1)); }

# The ordinary tier for one preset: everything on a plain build, the unit tests and a slice of the rest under a sanitizer.
test_preset() {
  local preset=$1 name=${2:-}
  need_preset_packages "$preset"
  build_preset "$preset"
  unit_tests "$preset" "$name"
  case $preset in
    release | debug | clang)
      python_tests "$preset" "not full" "$name"
      package_tests "$preset" "not full" "$name"
      ;;
    asan)
      package_tests "$preset" "asan_slice and not full" "$name"
      python_tests "$preset" "asan_slice and not full" "$name"
      python_tests "$preset" "asan_programs and not full" "$name"
      ;;
  esac
}

# Each piece of the full tier that passed leaves a mark for this state of the tree, so that a second call goes on where the first
# stopped.
tree_state() { { git rev-parse HEAD; git diff HEAD; git status --porcelain; } | sha256sum | cut -c 1-16; }

full_piece() {
  local piece=$1 before=$failed mark
  shift
  mark=build/full/$(tree_state)/$piece
  if [ -e "$mark" ]; then say "$piece: passed before on this tree"; return 0; fi
  "$@"
  [ "$failed" -ne "$before" ] && return 0
  mkdir -p "$(dirname "$mark")" && touch "$mark"
}

finish_tests() {
  [ -n "$1" ] && say "$1"
  say "$passed passed, $failed failed, $skipped skipped"
  [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
}

command_test() {
  local name="" preset="" full=0 piece
  while [ $# -gt 0 ]; do
    case $1 in
      --preset) preset=${2:?--preset needs a name}; shift 2 ;;
      --full) full=1; shift ;;
      -*) die "test: unknown option '$1'" ;;
      *) [ -z "$name" ] || die "test takes one NAME"; name=$1; shift ;;
    esac
  done
  need_packages "${packages_build[@]}" "${packages_python[@]}" "${packages_pictures[@]}"
  need_venv
  if [ -n "$preset" ] || { [ -n "$name" ] && [ $full -eq 0 ]; }; then
    test_preset "${preset:-release}" "$name"
    finish_tests "Not run: everything but ${name:+tests named *$name* in }the preset ${preset:-release}."
    return
  fi
  if [ $full -eq 0 ]; then
    test_preset release
    test_preset asan
    emulated 20
    finish_tests "Not run: the full tier (./dev test --full), which adds tsan, clang, msan, oldcpu, aarch64 and the long Python tests."
    return
  fi
  for piece in release asan tsan debug clang msan oldcpu aarch64; do full_piece "$piece" test_preset "$piece" "$name"; done
  full_piece emulated emulated 1
  for piece in native avx2 scalar; do full_piece "draws-$piece" draws "$piece"; done
  full_piece wheel wheel_tests
  full_piece python-full full_python_tests "$name"
  full_piece optimum optimum_tests "$name"
  for piece in classifiers pictures sequences layers language further; do
    full_piece "exports-$piece-script" exports "$piece" script "$name"
    full_piece "exports-$piece-dynamo" exports "$piece" dynamo "$name"
  done
  finish_tests ""
}
