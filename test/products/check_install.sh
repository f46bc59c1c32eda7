#!/bin/sh
# check_install.sh BUILD_FOLDER VERSION CC: installs into a folder, moves that folder, and builds and runs a program against it as
# users do: with find_package and with pkg-config, shared and static.
set -eu
build=$1 version=$2 compiler=$3
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cmake --install "$build" --prefix "$work/first" --strip >"$work/install.log"
mv "$work/first" "$work/moved"
prefix=$work/moved
lib=$(dirname "$(find "$prefix" -name libkapell.so)")
test -f "$prefix/include/kapell/kapell.h"
test "$(find "$prefix/include" -type f | wc -l)" -eq "$(find "$here/../../include" -name '*.h' | wc -l)"

expect() {
  printed=$("$@") || { echo "failed: $*"; exit 1; }
  case $printed in
    "$version "*) echo "$(basename "$1"): $printed" ;;
    *) echo "$*: printed '$printed', not version $version"; exit 1 ;;
  esac
}

cmake -S "$here/consumer" -B "$work/cmake" -DCMAKE_BUILD_TYPE=Release -DCMAKE_C_COMPILER="$compiler" -DCMAKE_PREFIX_PATH="$prefix" \
  >"$work/cmake.log" || { cat "$work/cmake.log"; exit 1; }
cmake --build "$work/cmake" >"$work/cmake.log" 2>&1 || { cat "$work/cmake.log"; exit 1; }
for kind in SHARED STATIC kapell; do expect "$work/cmake/consumer-$kind"; done
readelf -d "$work/cmake/consumer-SHARED" | grep -q 'libkapell.so.0'
! readelf -d "$work/cmake/consumer-STATIC" | grep -q 'libkapell' || { echo "the static consumer needs the shared library"; exit 1; }

export PKG_CONFIG_PATH="$lib/pkgconfig"
test "$(pkg-config --modversion kapell)" = "$version"
# shellcheck disable=SC2046  # flags are words
"$compiler" "$here/consumer/consumer.c" $(pkg-config --cflags --libs kapell) -Wl,-rpath,"$lib" -o "$work/pkg-shared"
expect "$work/pkg-shared"
# shellcheck disable=SC2046
"$compiler" "$here/consumer/consumer.c" $(pkg-config --cflags kapell) "$lib/libkapell.a" \
  $(pkg-config --static --libs-only-l kapell | sed 's/-lkapell//') -o "$work/pkg-static"
expect "$work/pkg-static"

# The program that README.md shows reads the digit that it draws.
# shellcheck disable=SC2046
"$compiler" "$here/../../examples/digits/digits.c" $(pkg-config --cflags --libs kapell) -Wl,-rpath,"$lib" -o "$work/digits"
"$work/digits" "$here/../../examples/digits/digits.onnx" | grep -Eq '^1 +[6-9][0-9]\.|^1 100' || { echo "digits.c does not see a one"; exit 1; }

if [ -x "$prefix/bin/kapell" ]; then expect_tool=$("$prefix/bin/kapell" --version) && echo "bin/kapell: $expect_tool"; fi
