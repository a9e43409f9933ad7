#!/usr/bin/env bash
# The long tests, which `cargo xtask test` leaves out: the group `real`. Arguments go to the test
# programs, e.g. `tests/real.sh -- --nocapture`. They need python3, which is installed where it is
# missing and this runs as root.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v python3 >/dev/null; then
    if ! command -v apt-get >/dev/null || [ "$(id -u)" != 0 ]; then
        echo "tests/real.sh: python3 is missing; install it and run this again" >&2
        exit 1
    fi
    apt-get update -q
    apt-get install -qy --no-install-recommends python3
fi

HOOKRING_TEST_BIN_DIR="$(cargo xtask build)"
export HOOKRING_TEST_BIN_DIR
cargo test --package hookring-tests --features real "$@"
