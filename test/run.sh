#!/usr/bin/env bash
# Builds everything with its tests in build/test and runs them.
# usage: run.sh [arguments of meson test]    e.g. run.sh --suite api -v
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

build=${JOHNNY_BUILD:-build/test}
tools/install_deps.sh
[ -f "$build/build.ninja" ] || meson setup "$build" -Dtests=true
ninja -C "$build"
meson test -C "$build" --no-rebuild --print-errorlogs "$@"
