#!/bin/sh
# check_library.sh LIBRARY LIMIT_BYTES HEADERS: what is promised of libkapell.so. It needs libc, libm and pthreads alone, exports
# exactly what the public headers in the folder HEADERS declare, and is under its limit when stripped.
set -u
library=$1 limit=$2 headers=$3 bad=0
complain() { echo "$library: $*"; bad=1; }

needed=$(readelf -d "$library" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
for name in $needed; do
  case $name in
    libc.so.6 | libm.so.6 | libpthread.so.0 | libdl.so.2 | ld-linux-*) ;;
    *) complain "needs $name" ;;
  esac
done
[ -n "$needed" ] || complain "needs nothing at all: readelf did not understand it"

soname=$(readelf -d "$library" | sed -n 's/.*(SONAME).*\[\(.*\)\]/\1/p')
[ "$soname" = libkapell.so.0 ] || complain "its soname is '$soname', not libkapell.so.0"
readelf -d "$library" | grep -Eq '\((RPATH|RUNPATH|TEXTREL)\)' && complain "has an RPATH or text relocations"

stack=$(readelf -lW "$library" | awk '/GNU_STACK/ {print $7}')
[ "$stack" = RW ] || complain "its stack is executable ($stack)"

exported=$(nm -D --defined-only --format=posix "$library" | awk '{print $1}' | sort -u)
declared=$(cat "$headers"/*.h | sed 's|//.*||; /^#define/d' | tr '\n' ' ' | grep -oE 'KAPELL_API [^;(]*\(' |  # a declaration may take two lines
  sed 's/.*[ *]\(kapell_[a-z0-9_]*\) *($/\1/' | sort -u)
[ -n "$declared" ] || complain "found no declaration in $headers"
for name in $declared; do
  printf '%s\n' "$exported" | grep -qx "$name" || complain "lacks $name, which a public header declares"
done
for name in $exported; do
  printf '%s\n' "$declared" | grep -qx "$name" || complain "exports $name, which no public header declares"
done

stripped=$(mktemp)
trap 'rm -f "$stripped"' EXIT
strip --strip-unneeded -o "$stripped" "$library"
size=$(wc -c <"$stripped")
[ "$size" -le "$limit" ] || complain "is $size bytes when stripped; the limit is $limit"
# shellcheck disable=SC2086  # names on one line
echo "$size of $limit bytes stripped, $(printf '%s\n' "$exported" | wc -l) symbols exported, needs:" $needed
exit $bad
