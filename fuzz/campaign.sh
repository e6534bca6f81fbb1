#!/usr/bin/env bash
# Fuzzes all targets, two at a time, and says for each how many inputs it ran and what it found.
#
# usage: fuzz/campaign.sh HOURS [BUILD-DIRECTORY]    HOURS in all, such as 0.5; the build has -Dfuzz=true (default: build/fuzz)
# JOHNNY_FUZZ_SECONDS: so long for each target, instead
# JOHNNY_FUZZ_WORK: corpora that have grown, findings and logs (default: BUILD-DIRECTORY/campaign)
#
# The exit code is 0 if nothing was found. fuzz/README.md has what to do with a finding, and with a corpus that has grown.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

hours=${1:?usage: fuzz/campaign.sh HOURS [BUILD-DIRECTORY]}
build=${2:-build/fuzz}
work=${JOHNNY_FUZZ_WORK:-$build/campaign}
targets=(file lock_file operations tools)
rounds=$(((${#targets[@]} + 1) / 2))
seconds=${JOHNNY_FUZZ_SECONDS:-$(awk "BEGIN { printf \"%d\", $hours * 3600 / $rounds }")}

# Fuzzes TARGET: -entropic=0 since its bookkeeping takes most of the time where an input has tens of thousands of features;
# -timeout leaves room for a busy machine.
fuzz() {
  local target=$1 length=320
  [ "$target" != file ] || length=8000
  mkdir -p "$work/$target" "$work/findings"
  nice "$build/fuzz/fuzz_$target" -max_total_time="$seconds" -entropic=0 -len_control=0 -max_len=$length -timeout=60 \
    -rss_limit_mb=2000 -print_final_stats=1 -artifact_prefix="$work/findings/$target-" \
    "$work/$target" "fuzz/corpus/$target" >"$work/$target.log" 2>&1
}

# A line for TARGET: summarize TARGET yes|no (whether it ended well)
summarize() {
  local target=$1 good=$2 units
  units=$(sed -n 's/^stat::number_of_executed_units: *//p' "$work/$target.log")
  if [ "$good" = yes ]; then
    echo "$target: ${units:-0} inputs in $seconds s, $((${units:-0} / (seconds > 0 ? seconds : 1))) a second, nothing found"
  else
    echo "$target: FOUND after ${units:-?} inputs, see $work/$target.log:"
    grep -a -m 3 -E 'DEFECT|ERROR|runtime error' "$work/$target.log" || tail -n 3 "$work/$target.log"
  fi
}

[ "$seconds" -gt 0 ] || { echo "campaign.sh: no time to fuzz" >&2; exit 2; }
found=0
for ((i = 0; i < ${#targets[@]}; i += 2)); do
  pids=()
  for target in "${targets[@]:i:2}"; do
    fuzz "$target" &
    pids+=($!)
  done
  for j in "${!pids[@]}"; do
    good=yes
    wait "${pids[j]}" || good=no
    [ "$good" = yes ] || found=$((found + 1))
    summarize "${targets[i + j]}" "$good"
  done
done
exit $((found > 0))
