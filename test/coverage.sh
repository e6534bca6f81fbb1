#!/usr/bin/env bash
# Branch coverage of the layers that keep data safe, by all tests but the slow campaigns.
#
# usage: coverage.sh [arguments of gcovr]    e.g. coverage.sh --html-details coverage.html
# JOHNNY_BUILD: where to build (default: build/coverage)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

build=${JOHNNY_BUILD:-build/coverage}
command -v gcovr >/dev/null || {
  echo "gcovr is needed (Debian package gcovr)" >&2
  exit 1
}
[ -f "$build/build.ninja" ] || meson setup "$build" -Dtests=true -Db_coverage=true --optimization=1 >/dev/null
ninja -C "$build" >/dev/null
find "$build" -name '*.gcda' -delete
RC_PARAMS=${RC_PARAMS:-seed=2004 max_success=30 noshrink=1} meson test -C "$build" --no-rebuild --timeout-multiplier 4 \
  --no-suite house --no-suite tools >/dev/null || echo "some tests failed: meson test -C $build" >&2
# Branches that only an exception (memory running out) takes are the allocation tests' business.
gcovr --root . --object-directory "$build" --filter 'lib/(pager|space|readers|txn|env)/' --exclude-throw-branches \
  --exclude-unreachable-branches --branches "$@"
