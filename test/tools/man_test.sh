#!/bin/sh
# Every option that a tool's --help lists is in its man page, and the man page formats without warnings.
# usage: man_test.sh MAN_DIRECTORY TOOL...
set -eu
manuals=$1
shift
failed=0
for tool in "$@"; do
  page=$manuals/$(basename "$tool").1
  for option in $("$tool" --help | grep -oE '(^|[ ,])--[a-z][a-z-]+' | tr -d ' ,' | sort -u); do
    # In mdoc, "Fl -tables" is --tables.
    if ! grep -qE -- "(Fl|,|\\|) ${option#-}( |\$)" "$page"; then
      echo "$page: does not mention $option"
      failed=1
    fi
  done
  if command -v groff >/dev/null; then
    warnings=$(groff -mdoc -Tutf8 "$page" 2>&1 >/dev/null)
    if [ -n "$warnings" ]; then
      echo "$warnings"
      failed=1
    fi
  fi
done
exit $failed
