#!/usr/bin/env bash
# Builds JohnnyDB and shows it at work on text that is on this machine. Everything stays in build/quickstart.
# usage: quickstart.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

build=build/quickstart
database=$build/demo.johnny
pairs=$build/pairs.txt

title() { printf '\n\033[1m%s\033[0m\n' "$*"; }
[ -t 1 ] || title() { printf '\n%s\n' "$*"; }
run() {
  printf '$ %s\n' "$*"
  "$@"
}
# The commands below show how a user would call the tools.
PATH=$PWD/$build/tools:$PATH

title "Building in $build"
tools/install_deps.sh
mkdir -p "$build"
log=$build/quickstart.log
{
  [ -f "$build/build.ninja" ] || meson setup "$build" -Dbuildtype=release
  ninja -C "$build"
} >"$log" 2>&1 || {
  tail -n 40 "$log" >&2
  exit 1
}
echo "done; the compiler's output is in $log"

# Alternating lines, key and value; a backslash is written \\ and a newline in a value \0a.
packages_as_pairs() {
  apt-cache dumpavail 2>/dev/null | awk '
    function escaped(text,   out, at) {
      out = ""
      while ((at = index(text, "\\")) > 0) {
        out = out substr(text, 1, at) "\\"
        text = substr(text, at + 1)
      }
      return out text
    }
    BEGIN { RS = ""; FS = "\n" }
    {
      if (substr($1, 1, 9) != "Package: ") next
      line = escaped($1)
      for (i = 2; i <= NF; i++) line = line "\\0a" escaped($i)
      print substr($1, 10)
      print line
    }'
}

# path:line and the line, of the documentation that every machine has.
documents_as_pairs() {
  find /usr/share/dict /usr/share/doc /usr/share/common-licenses /etc -type f -size -200k \
    \( -path '*/dict/*' -o -name '*copyright*' -o -name '*.txt' -o -name '*.md' -o -path '*/common-licenses/*' -o -name '*.conf' \) \
    -readable -print0 2>/dev/null |
    xargs -0 --no-run-if-empty awk '
      function escaped(text,   out, at) {
        out = ""
        while ((at = index(text, "\\")) > 0) {
          out = out substr(text, 1, at) "\\"
          text = substr(text, at + 1)
        }
        return out text
      }
      { print escaped(FILENAME ":" FNR); print escaped($0) }' 2>/dev/null | head -n 400000 || true
}

title "Collecting text to store"
packages_as_pairs >"$pairs" || true
source="descriptions of Debian packages (apt-cache dumpavail)"
if [ "$(head -n 2000 "$pairs" | wc -l)" -lt 2000 ]; then
  source="lines of this machine's documentation"
  documents_as_pairs >"$pairs"
fi
echo "$(($(wc -l <"$pairs") / 2)) $source, $(du -h "$pairs" | cut -f 1)B"

title "Loading them, while two readers check snapshot after snapshot"
rm -f "$database" "$database-lock"
printf '$ johnny-load -T --readers 2 %s < %s\n' "$database" "$pairs"
johnny-load -T --readers 2 "$database" <"$pairs"

title "2004 coins change hands; no snapshot may ever show another sum"
run johnny-ledger --threads 4 --auditors 2 --seconds 3 "$database"

title "What is in the file now"
run johnny-stat "$database"
echo
run johnny-stat --tables "$database"
echo
run johnny-stat --verify "$database"

first_key=$(head -n 1 "$pairs")
title "Look further"
cat <<END
PATH=$PWD/$build/tools:\$PATH
johnny-stat --map $database
johnny-stat --path '$first_key' $database
johnny-stat --free $database
johnny-stat --help
END
