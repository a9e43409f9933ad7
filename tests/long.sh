#!/usr/bin/env bash
# All tests, and those that have a long form in that: the crash tests then kill 10,000 producers and
# 100 daemons, the storms go on for hundreds of rounds, conservation is tried for ten minutes, and
# processes are stopped after each instruction. Takes hours (`--test crash` minutes) and 4 GB in /dev/shm.
# Arguments go to `cargo test --workspace`, e.g. `tests/long.sh --test crash -- --nocapture`; HOOKRING_TEST_SEED=… repeats the choices of a run.
set -euo pipefail
cd "$(dirname "$0")/.."

HOOKRING_TEST_LONG=1 exec cargo xtask test "$@"
