#!/usr/bin/env bash
# A long run of the crash-state enumerator: each scenario in a process of its own, as many at a time as there are processors. In all
# runs all subsets of up to 12 unsynced changes are tried, and master pages are torn at every byte.
#
# usage: test/crash_campaign.sh [-o DIRECTORY] [STATES [SEED]]    default: 20000000 states, seed 1, build/crash_campaign
# Each scenario's output is kept in DIRECTORY; the last lines tell how many states there were in all, and which scenarios failed.
# Interrupted, it goes on where it was when it is called again with the same arguments. JOHNNY_BUILD: where to build.
# JOHNNY_CRASH_SCENARIOS: these only, such as "shrink lazy", for a campaign in parts.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

out=build/crash_campaign
if [ "${1:-}" = -o ]; then
  out=$2
  shift 2
fi
states=${1:-20000000}
seed=${2:-1}
build=${JOHNNY_BUILD:-build/campaign}

[ -f "$build/build.ninja" ] || meson setup "$build" --buildtype=release -Dtests=true >/dev/null
ninja -C "$build" test/test_crash >/dev/null
mkdir -p "$out"
cp "$build/test/test_crash" "$out/test_crash"  # what is built meanwhile does not disturb

if [ "$(cat "$out/arguments" 2>/dev/null)" != "$states $seed" ]; then
  rm -f "$out"/*.txt
  echo "$states $seed" >"$out/arguments"
fi

# Runs one scenario unless it has been: one NAME
one() {
  local file=$out/$1.txt
  if ! grep -qs ' ran\. (' "$file"; then
    JOHNNY_CRASH_STATES=$states JOHNNY_CRASH_SEED=$seed "$out/test_crash" --gtest_filter="Scenarios/CrashTest.*/$1" >"$file" 2>&1 || true
  fi
}
export -f one
export out states seed

start=$(date +%s)
{
  if [ -n "${JOHNNY_CRASH_SCENARIOS:-}" ]; then
    printf '%s\n' $JOHNNY_CRASH_SCENARIOS
  else
    "$out/test_crash" --gtest_list_tests --gtest_filter='Scenarios/CrashTest.*' | sed -n 's|.*LeavesAnAllowedState/\([a-z_]*\).*|\1|p'
  fi
} | xargs -P "$(nproc)" -I {} bash -c 'one {}'

awk '/distinct states/ { states += $2; points += $5; again += $7; runs += $10 }
  END { printf "%d distinct states, %d points, %d second crashes, %d runs\n", states, points, again, runs }' "$out"/*.txt
echo "took $(($(date +%s) - start)) s"
failed=$(grep -LE '^\[  PASSED  \] 1 test' "$out"/*.txt || true)
if [ -n "$failed" ]; then
  echo "FAILED: $failed"
  exit 1
fi
echo "no finding"
