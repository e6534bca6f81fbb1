#!/usr/bin/env bash
# Real power cuts, as far as one machine can make them: writers run on a file system of their own in a file (ext4, then XFS), which
# is shut down under them with all that it has not written yet, mounted anew and checked: nothing acknowledged may be lost, and no
# snapshot may be half of one. Needs root and loop devices; says so and ends with 0 where there are none.
#
# usage: power_cuts.sh [--rounds N] [--seed S] [--page-size B] [--fs NAME]    rounds: for each file system, default 100
# JOHNNY_BUILD: where it was built (default: build/test)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

rounds=100 seed=$(date +%s) page_size=4096 file_systems=(ext4 xfs)
while [ $# -gt 1 ]; do
  case "$1" in
    --rounds) rounds=$2 ;;
    --seed) seed=$2 ;;
    --page-size) page_size=$2 ;;
    --fs) file_systems=("$2") ;;
    *) break ;;
  esac
  shift 2
done
if [ $# -gt 0 ]; then
  echo "usage: $0 [--rounds N] [--seed S] [--page-size B] [--fs NAME]" >&2
  exit 2
fi

build=${JOHNNY_BUILD:-build/test}
ninja -C "$build" test/power_cuts >/dev/null
program=$build/test/power_cuts
work=$(mktemp -d "${TMPDIR:-/tmp}/power_cuts_XXXXXX")
disk=$work/disk mount=$work/mount shared=$work/shared
mkdir "$mount"
finish() {
  # shellcheck disable=SC2046
  kill -9 $(jobs -p) 2>/dev/null || true
  wait 2>/dev/null || true
  mountpoint -q "$mount" && umount "$mount"
  [ -n "${keep:-}" ] || rm -rf "$work"
}
trap finish EXIT
RANDOM=$((seed % 32768))
found() {
  keep=yes
  echo "FINDING on $fs in round $round, seed $seed, page size $page_size; kept: $work" >&2
  exit 1
}

# One step that must succeed: step ROLE DURABILITY
step() { "$program" "$1" "$mount/db" "$shared" "$RANDOM" "$page_size" "$2" 63 || found; }

for fs in "${file_systems[@]}"; do
  rm -f "$disk"
  truncate -s 400M "$disk"
  if ! "mkfs.$fs" -q "$disk" 2>/dev/null || ! mount -o loop "$disk" "$mount" 2>/dev/null; then
    echo "skipped: $fs cannot be made and mounted here"
    continue
  fi
  round=0 early=0
  "$program" prepare "$shared"
  step create 1
  for ((round = 1; round <= rounds; ++round)); do
    durability=$((1 + RANDOM % 3))
    writers=()
    for ((slot = 0; slot <= RANDOM % 2; ++slot)); do
      "$program" writer "$mount/db" "$shared" "$RANDOM" "$page_size" "$durability" "$slot" &
      writers+=($!)
    done
    if [ $((RANDOM % 5)) -eq 0 ]; then # while they open it, and recover what the cut before has left
      early=$((early + 1))
      sleep "0.00$((RANDOM % 10))"
    else
      sleep "0.$((RANDOM % 4))$((RANDOM % 10))$((RANDOM % 10))"
    fi
    "$program" cut "$mount" "$shared" $((1 + RANDOM % 2)) || found
    for writer in "${writers[@]}"; do
      code=0
      wait "$writer" || code=$?
      # 135: SIGBUS, from reading through the mapping of a file system that is gone
      [ $code -eq 0 ] || [ $code -eq 135 ] || found
    done
    umount "$mount"
    mount -o loop "$disk" "$mount"
    step check "$durability"
  done
  echo "$fs: $rounds power cuts, $early of them early; $("$program" report "$shared"); seed $seed, page size $page_size, 0 findings"
  umount "$mount"
done
