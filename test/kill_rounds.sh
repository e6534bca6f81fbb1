#!/usr/bin/env bash
# A campaign of kill rounds: 1,000 of them for each page size, or what the arguments say, and a new seed each time.
#
# usage: kill_rounds.sh [arguments of kill_rounds]    e.g. kill_rounds.sh --rounds 5000 --seed 7
# JOHNNY_BUILD: where it was built (default: build/test)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

build=${JOHNNY_BUILD:-build/test}
ninja -C "$build" test/kill_rounds
for page_size in 4096 8192 16384 32768; do
  # The last of an option given twice counts.
  nice -n 10 "$build/test/kill_rounds" --rounds 1000 --seed "$(date +%s)" --page-size "$page_size" "$@"
done
