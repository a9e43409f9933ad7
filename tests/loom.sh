#!/usr/bin/env bash
# The ring's algorithms under the model checker loom: `bus/src/drain/models` has the models. Takes
# seconds once it is built; HOOKRING_TEST_LONG=1 lets processes be interrupted more often, which takes
# minutes. Arguments go to the test program, e.g. `tests/loom.sh doorbell -- --nocapture`.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ "${1:-}" = --help ]; then
    sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' tests/loom.sh
    exit 0
fi
export RUSTFLAGS="--cfg loom ${RUSTFLAGS:-}"
# In a folder of its own, since the flag reaches every crate.
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target}/loom"
# With the debug build's assertions, and fast enough.
export CARGO_PROFILE_DEV_OPT_LEVEL=2 CARGO_PROFILE_DEV_DEBUG=line-tables-only
chosen=(--package hookring-bus --lib "models::${1:-}")
# Not `grep -q`, which would end before cargo has said everything.
if ! cargo test "${chosen[@]}" -- --list | grep ': test$' >/dev/null; then
    echo "tests/loom.sh: no model has \`${1:-}\` in its name, or they do not build" >&2
    exit 1
fi
exec cargo test "${chosen[@]}" "${@:2}"
