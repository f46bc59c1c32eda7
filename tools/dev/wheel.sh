# Sourced by ./dev: the wheel and the source distribution of the Python package, in build/wheel.

readonly wheel_folder=build/wheel wheel_glibc=2.28 wheel_limit=4000000

# zig's clang with the headers and symbols of an old glibc. It searches no folder of this system: Debian's pyconfig.h includes one from
# the folder of the architecture, which a link provides.
make_wheel_compiler() {
  local zig
  zig=$("$wheel_venv/bin/python" -c 'import os, ziglang; print(os.path.join(os.path.dirname(ziglang.__file__), "zig"))')
  mkdir -p "$wheel_folder/include"
  [ ! -d /usr/include/x86_64-linux-gnu/python3.11 ] || {
    mkdir -p "$wheel_folder/include/x86_64-linux-gnu"
    ln -sfn /usr/include/x86_64-linux-gnu/python3.11 "$wheel_folder/include/x86_64-linux-gnu/python3.11"
  }
  printf '#!/bin/sh\nexec "%s" cc -target x86_64-linux-gnu.%s -isystem "%s" "$@"\n' "$zig" "$wheel_glibc" "$PWD/$wheel_folder/include" \
    >"$wheel_folder/cc"
  chmod +x "$wheel_folder/cc"
}

# The wheel is built from the source distribution, which so proves complete. No library of this system goes in: the policy of
# manylinux allows none of those that the command reads pictures with.
build_wheel() {
  local platform=manylinux_${wheel_glibc/./_}_x86_64
  rm -f "$wheel_folder"/*.whl "$wheel_folder"/*.tar.gz
  make_wheel_compiler &&
    "$wheel_venv/bin/python" -c 'import sys, scikit_build_core.build as build; build.build_sdist(sys.argv[1])' "$wheel_folder" &&
    env CC="$PWD/$wheel_folder/cc" PKG_CONFIG_LIBDIR=/nonexistent "$wheel_venv/bin/python" -m pip wheel --no-deps --no-build-isolation \
      --no-index --disable-pip-version-check --config-settings=wheel.tags="cp311-abi3-$platform" -w "$wheel_folder" "$wheel_folder"/*.tar.gz
}

check_wheel() { "$wheel_venv/bin/python" tools/check_wheel.py "$wheel_folder" --limit "$wheel_limit" --glibc "$wheel_glibc"; }

command_wheel() {
  [ $# -eq 0 ] || die "wheel takes no arguments"
  need_packages cmake ninja-build binutils "${packages_python[@]}"
  need_cached_venv wheel test/requirements-wheel.txt
  wheel_venv=$cached_venv
  step "building the wheel" wheel build_wheel || return 1
  step "checking the wheel" wheel-check check_wheel || return 1
  cat "$log_folder/wheel-check.log"
}
