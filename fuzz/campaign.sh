#!/usr/bin/env bash
# Fuzzes all targets in turn, one on each core, for hours and unattended: a finding is kept and the target goes on.
#
# usage: fuzz/campaign.sh HOURS [BUILD-DIRECTORY]      HOURS in all, such as 0.5; the build has -Dfuzz=true (default: build/fuzz)
#        fuzz/campaign.sh summary [BUILD-DIRECTORY]    what has been run so far, as a table; also of a campaign that is running
#
# JOHNNY_FUZZ_SECONDS: so long for each target, instead of HOURS
# JOHNNY_FUZZ_TARGETS: these only, such as "file page"
# JOHNNY_FUZZ_JOBS: so many at a time (default: one for each core)
# JOHNNY_FUZZ_SLICE: the targets take turns after so many seconds (default: 600)
# JOHNNY_FUZZ_WORK: corpora that have grown, findings, logs and runs.tsv (default: BUILD-DIRECTORY/campaign)
#
# An interrupted campaign (Ctrl-C, SIGTERM) writes down what it has done; the next one goes on with its corpora and adds to its
# counts. The exit code is 0 if this one found nothing. fuzz/README.md has what to do with a finding, and with a corpus that has grown.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

hours=${1:?usage: fuzz/campaign.sh HOURS|summary [BUILD-DIRECTORY]}
build=${2:-build/fuzz}
work=${JOHNNY_FUZZ_WORK:-$build/campaign}
jobs=${JOHNNY_FUZZ_JOBS:-$(nproc)}
# In the order of their turns: those that a whole database goes through are slow, and get more of them when time is given in hours.
all="file page lock_file records operations tools arguments"
turns="file page lock_file operations file records lock_file operations tools file page operations lock_file arguments"
runs=$work/runs.tsv # a line for each run: target, executions, processor seconds, edges covered, features, inputs kept, findings
most_findings=20    # of a target in one slice; there is something to repair before it is worth going on

length_of() {
  case $1 in
    file) echo 5000 ;;
    page) echo 250 ;;
    records | tools | arguments) echo 400 ;;
    *) echo 150 ;;
  esac
}

# The number behind NAME in the log's last line that has one: last_number NAME LOG
last_number() {
  grep -a -o -E "$1 *[0-9]+" "$2" | tail -n 1 | grep -o -E '[0-9]+$' || echo 0
}

# Sets $processor to the seconds of it that this shell's children have taken so far.
processor_seconds() {
  local file=$work/logs/times.$BASHPID
  times >"$file"
  processor=$(awk 'NR == 2 { split($1 "m" $2, t, /[ms]+/); printf "%.1f", t[1] * 60 + t[2] + t[3] * 60 + t[4] }' "$file")
  rm "$file"
}

# Writes down the run that has left LOG: record TARGET LOG SECONDS FINDINGS. What reading the corpus executed does not count.
record() {
  local units loaded
  units=$(last_number 'stat::number_of_executed_units:' "$2")
  [ "$units" -gt 0 ] || units=$(last_number '^#' "$2")
  loaded=$(sed -n -E 's/^#([0-9]+)\s+INITED.*/\1/p' "$2" | head -n 1)
  local executions=$((units > ${loaded:-0} ? units - ${loaded:-0} : 0))
  printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$1" "$executions" "$3" "$(last_number 'cov:' "$2")" "$(last_number 'ft:' "$2")" \
    "$(last_number 'corp:' "$2")" "$4" >>"$runs"
}

# One run of TARGET: fuzz TARGET SECONDS. -entropic=0 since its bookkeeping takes most of the time where an input has tens of
# thousands of features; -timeout leaves room for a busy machine.
fuzz() {
  local target=$1 seconds=$2 log began good=yes
  processor_seconds
  began=$processor
  log=$work/logs/$target-$(date +%s%N).log
  nice "$build/fuzz/fuzz_$target" -max_total_time="$seconds" -entropic=0 -len_control=0 -max_len="$(length_of "$target")" -timeout=60 \
    -rss_limit_mb=2000 -print_final_stats=1 -print_funcs=0 -artifact_prefix="$work/findings/$target-" \
    "$work/$target" "fuzz/corpus/$target" >"$log" 2>&1 &
  child=$!
  wait "$child" || good=no
  if [ -n "$stopped" ]; then
    wait "$child" || true
    good=yes
  fi
  child=
  processor_seconds
  local taken
  taken=$(awk "BEGIN { print $processor - $began }")
  if [ "$good" = yes ]; then
    record "$target" "$log" "$taken" 0
    mv "$log" "$work/$target.log"
    return 0
  fi
  record "$target" "$log" "$taken" 1
  echo "FOUND in $target, see $log:"
  grep -a -m 3 -E 'DEFECT|ERROR|runtime error' "$log" || tail -n 3 "$log"
  return 1
}

# Takes slices off the queue until none is left.
worker() {
  local target slice_end findings
  child=
  stopped=
  trap 'stopped=yes; [ -z "$child" ] || kill -INT "$child" 2>/dev/null || true' INT TERM
  while [ -z "$stopped" ] && target=$(next_slice); do
    slice_end=$((SECONDS + slice))
    findings=0
    while [ -z "$stopped" ] && [ $((slice_end - SECONDS)) -gt 0 ] && [ "$findings" -lt "$most_findings" ]; do
      fuzz "$target" $((slice_end - SECONDS)) || findings=$((findings + 1))
    done
  done
}

next_slice() {
  exec 9>>"$work/queue.lock"
  flock 9
  local target
  target=$(head -n 1 "$work/queue")
  sed -i 1d "$work/queue"
  exec 9>&-
  [ -n "$target" ] && echo "$target"
}

summary() {
  [ -s "$runs" ] || { echo "campaign.sh: nothing has been run" >&2; return 0; }
  sort -s -k 1,1 "$runs" | awk -F '\t' '
    BEGIN { print "| target | executions | core hours | a second | edges | features | inputs kept | findings |\n|---|---|---|---|---|---|---|---|" }
    function line(name, n, s, cov, ft, kept, found) {
      printf "| %s | %.0f | %.2f | %.0f | %s | %s | %s | %d |\n", name, n, s / 3600, (s > 0 ? n / s : 0), cov, ft, kept, found
    }
    $1 != target && target != "" { line(target, n, s, cov, ft, kept, found); n = s = found = cov = ft = kept = 0 }
    { target = $1; n += $2; s += $3; found += $7; all_n += $2; all_s += $3; all_found += $7
      if ($4 > cov) cov = $4
      if ($5 > ft) ft = $5
      if ($6 > kept) kept = $6 }
    END { line(target, n, s, cov, ft, kept, found); line("all", all_n, all_s, "", "", "", all_found) }'
}

if [ "$hours" = summary ]; then
  summary
  exit 0
fi

[ -n "${JOHNNY_FUZZ_SECONDS:-}" ] && turns=$all
read -r -a targets <<<"${JOHNNY_FUZZ_TARGETS:-$turns}"
seconds=${JOHNNY_FUZZ_SECONDS:-$(awk "BEGIN { printf \"%d\", $hours * 3600 * $jobs / ${#targets[@]} }")}
[ "$seconds" -gt 0 ] || { echo "campaign.sh: no time to fuzz" >&2; exit 2; }
slice=${JOHNNY_FUZZ_SLICE:-600}
rounds=$(((seconds + slice - 1) / slice))
slice=$(((seconds + rounds - 1) / rounds))
mkdir -p "$work/findings" "$work/logs"
: >"$work/queue"
for ((i = 0; i < rounds; ++i)); do
  printf '%s\n' "${targets[@]}" >>"$work/queue"
done
for target in "${targets[@]}"; do
  mkdir -p "$work/$target"
done
touch "$runs"
before=$(awk -F '\t' '{ n += $7 } END { print n + 0 }' "$runs")

workers=()
trap 'kill -TERM "${workers[@]}" 2>/dev/null || true' INT TERM
for ((i = 0; i < jobs; ++i)); do
  worker &
  workers+=($!)
done
for pid in "${workers[@]}"; do
  while kill -0 "$pid" 2>/dev/null; do # wait returns early when a signal comes
    wait "$pid" || true
  done
done
summary
after=$(awk -F '\t' '{ n += $7 } END { print n + 0 }' "$runs")
exit $((after > before))
