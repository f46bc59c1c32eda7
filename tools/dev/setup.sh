# Sourced by ./dev: messages, and the installation of what a command needs.

readonly packages_build=(gcc g++ libc6-dev binutils cmake ninja-build pkg-config libcmocka-dev zlib1g-dev libpng-dev
  libjpeg62-turbo-dev libcjson-dev)
readonly packages_python=(python3 python3-venv python3-dev)
# What ImageDecoder opens when a picture of the format comes; only the tests need them here.
readonly packages_pictures=(libpng16-16 libturbojpeg0 libwebp7 libtiff6 libopenjp2-7)
readonly packages_measure=(valgrind chromium)  # of the full tier: counted instructions, pages in a browser
readonly packages_clang=(clang llvm libclang-rt-14-dev)
readonly packages_lint=(clang-format clang-tidy shellcheck git)
readonly packages_oldcpu=(qemu-user-static)
readonly packages_emulated=(gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static)
readonly packages_aarch64=(gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static libcmocka-dev:arm64)
readonly packages_pictures_arm64=("${packages_pictures[@]/%/:arm64}")  # the pictures among all backend cases

say() { printf '%s\n' "$*"; }
die() { printf './dev: %s\n' "$*" >&2; exit 2; }

# step WHAT LOG COMMAND...: runs a command with its output in build/log/LOG.log; says how long it took, and the log's tail if
# it failed. Returns the command's status.
step() {
  local what=$1 log=$log_folder/$2.log start=$SECONDS status=0
  shift 2
  mkdir -p "$log_folder"
  [ -t 1 ] && printf '%s ...' "$what"
  "$@" >"$log" 2>&1 </dev/null || status=$?
  [ -t 1 ] && printf '\r\033[K'
  if [ $status -eq 0 ]; then
    say "$what: ok ($((SECONDS - start)) s)"
  else
    say "$what: FAILED, exit status $status ($((SECONDS - start)) s); the end of $log:"
    tail -n 40 "$log"
  fi
  return $status
}

as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    say "needs root or sudo: $*"
    return 1
  fi
}

install_packages() {
  case " $* " in
    *:arm64\ *) as_root dpkg --add-architecture arm64 || return 1 ;;
  esac
  as_root env DEBIAN_FRONTEND=noninteractive apt-get update -q &&
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@"
}

# need_packages NAME...: installs those Debian packages that are missing. Elsewhere than on Debian it only says what is needed:
# the build then finds the same things under that system's names, or says what it lacks.
need_packages() {
  local name native missing=()
  if ! command -v dpkg-query >/dev/null; then
    [ -e build/.not-debian ] || say "not a Debian system; what this needs is called there: $*"
    mkdir -p build && touch build/.not-debian
    return 0
  fi
  native=$(dpkg --print-architecture)
  for name in "$@"; do
    dpkg-query -W -f='${Architecture} ${db:Status-Status}\n' "$name" 2>/dev/null |
      grep -Eqx "($native|all|${name##*:}) installed" || missing+=("$name")
  done
  [ ${#missing[@]} -eq 0 ] && return 0
  step "installing ${missing[*]}" apt install_packages "${missing[@]}" || exit 2
  touch build/.packages  # makes build_preset look again for what CMake did not find
}

need_preset_packages() {
  need_packages "${packages_build[@]}"
  case $1 in
    fuzz | msan | clang | cover) need_packages "${packages_clang[@]}" ;;
    oldcpu) need_packages "${packages_oldcpu[@]}" ;;
    aarch64) need_packages "${packages_aarch64[@]}" ;;
  esac
}

# The Python of the tests and generators, with exactly the versions of test/requirements.txt.
need_venv() {
  cmp -s test/requirements.txt "$venv/installed.txt" && return 0
  step "installing the Python packages of test/requirements.txt" venv make_venv "$venv" test/requirements.txt || exit 2
  mkdir -p build && touch build/.packages
}

# need_cached_venv NAME REQUIREMENTS: a Python with packages of gigabytes, so it lies outside of the build folder, one for each state
# of its requirements. Sets cached_venv.
need_cached_venv() {
  local state
  state=$(cat test/requirements.txt "$2" | sha256sum | cut -c 1-16)
  cached_venv=${XDG_CACHE_HOME:-$HOME/.cache}/kapell/$1-$state
  [ -e "$cached_venv/installed.txt" ] && return 0
  step "installing the packages of $2 into $cached_venv" "venv-$1" make_venv "$cached_venv" "$2" || exit 2
}

# make_venv FOLDER REQUIREMENTS
make_venv() {
  local python=python3
  "$python" -c 'import ensurepip, venv' 2>/dev/null || python=/usr/bin/python3
  rm -rf "$1" &&
    "$python" -m venv "$1" &&
    "$1/bin/python" -m pip install --disable-pip-version-check --no-input --only-binary :all: --no-deps -r "$2" &&
    cp "$2" "$1/installed.txt"
}
