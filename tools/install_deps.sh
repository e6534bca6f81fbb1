#!/usr/bin/env bash
# Installs the Debian packages that building and testing need, those that are missing only.
# usage: install_deps.sh [--ci]    --ci: also what the continuous integration and the benchmarks use
set -euo pipefail

packages=(
  meson ninja-build g++ pkg-config python3
  libabsl-dev libxxhash-dev
  libcli11-dev nlohmann-json3-dev
  libgtest-dev libgmock-dev librapidcheck-dev libbenchmark-dev
)
case "${1:-}" in
  --ci) packages+=(ccache clang clang-format clang-tidy libclang-rt-14-dev liblmdb-dev librocksdb-dev libleveldb-dev libsqlite3-dev groff-base valgrind) ;;
  "") ;;
  *)
    echo "usage: $0 [--ci]" >&2
    exit 2
    ;;
esac

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
  echo "Not a Debian system; these packages, or what they are called here, are needed: ${packages[*]}" >&2
  exit 0
fi

missing=()
for package in "${packages[@]}"; do
  if [ "$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null || true)" != installed ]; then
    missing+=("$package")
  fi
done
[ ${#missing[@]} -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "As root, run: apt-get install ${missing[*]}" >&2
    exit 1
  fi
  as_root=(sudo)
fi
apt() {
  local log
  log=$(mktemp)
  if ! "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get --quiet --yes "$@" >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    rm -f "$log"
    return 1
  fi
  rm -f "$log"
}

echo "Installing ${missing[*]}"
# Without package lists, or with old ones, the first attempt fails.
if ! apt install --no-install-recommends "${missing[@]}" 2>/dev/null; then
  apt update
  apt install --no-install-recommends "${missing[@]}"
fi
