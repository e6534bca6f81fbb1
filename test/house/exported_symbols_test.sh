#!/bin/sh
# The shared library exports exactly the functions that johnny.h declares with JOHNNY_API.
# usage: exported_symbols_test.sh HEADER LIBRARY
set -eu
header=$1
library=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Declarations may break over lines: join, then take the name before the first parenthesis.
sed '/^#/d' "$header" | tr '\n' ' ' | grep -oE 'JOHNNY_API [^;(]*\(' | grep -oE 'johnny_[a-z0-9_]+ *\($' | tr -d ' (' |
  sort -u >"$work/declared"
# The version's own name is a symbol too, of type A.
nm --dynamic --defined-only "$library" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' | sort -u >"$work/exported"

if [ ! -s "$work/declared" ]; then
  echo "no declarations found in $header"
  exit 1
fi
if ! diff -u "$work/declared" "$work/exported"; then
  echo "(-) declared in $header but not exported, (+) exported but not declared"
  exit 1
fi
echo "$(wc -l <"$work/exported") symbols"
