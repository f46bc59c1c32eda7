#!/bin/sh
# check_dropin.sh LIBRARY LIMIT_BYTES: what is promised of libonnxruntime.so.1. It needs libc and libm alone, exports what ONNX Runtime's
# library exports and no more, has its soname and no symbol versions (a client of another version would not load), and is under its limit
# when stripped.
set -u
library=$1 limit=$2 bad=0
complain() { echo "$library: $*"; bad=1; }

for name in $(readelf -d "$library" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'); do
  case $name in
    libc.so.6 | libm.so.6 | libpthread.so.0 | libdl.so.2 | ld-linux-*) ;;
    *) complain "needs $name" ;;
  esac
done
soname=$(readelf -d "$library" | sed -n 's/.*(SONAME).*\[\(.*\)\]/\1/p')
[ "$soname" = libonnxruntime.so.1 ] || complain "its soname is '$soname'"
readelf -d "$library" | grep -Eq '\((RPATH|RUNPATH|TEXTREL)\)' && complain "has an RPATH or text relocations"
readelf -d "$library" | grep -q '(VERDEF)' && complain "defines symbol versions"

exported=$(nm -D --defined-only --format=posix "$library" | awk '{print $1}' | sort -u)
printf '%s\n' "$exported" | grep -qx OrtGetApiBase || complain "does not export OrtGetApiBase"
printf '%s\n' "$exported" | grep -qx OrtSessionOptionsAppendExecutionProvider_CPU ||
  complain "does not export OrtSessionOptionsAppendExecutionProvider_CPU"
for name in $exported; do
  case $name in
    OrtGetApiBase | OrtSessionOptionsAppendExecutionProvider_*) ;;
    *) complain "exports $name" ;;
  esac
done

stripped=$(mktemp)
trap 'rm -f "$stripped"' EXIT
strip --strip-unneeded -o "$stripped" "$library"
size=$(wc -c <"$stripped")
[ "$size" -le "$limit" ] || complain "is $size bytes when stripped; the limit is $limit"
echo "$size of $limit bytes stripped, $(printf '%s\n' "$exported" | wc -l) symbols exported"
exit $bad
