#!/bin/sh
# Runs every fuzz target for SECONDS (default 60) each, from the seeds and whatever earlier runs found:
#
#     fuzz/run.sh [SECONDS [TARGET...]]
#
# Needs cargo-fuzz (`cargo install cargo-fuzz --locked`) and a C++ compiler. With a nightly toolchain
# it takes that; with stable alone it asks stable to accept the sanitizer's flags. A crash stops the
# run; its input is in fuzz/artifacts/TARGET/.
set -eu

cd "$(dirname "$0")/.."
seconds=${1:-60}
[ $# -gt 0 ] && shift
[ $# -gt 0 ] || set -- compact config journal_reader record_meta ring spool

if ! command -v cargo-fuzz >/dev/null; then
    echo "run.sh: cargo-fuzz is not there; run: cargo install cargo-fuzz --locked" >&2
    exit 1
fi
if cargo +nightly --version >/dev/null 2>&1; then
    toolchain=+nightly
else
    toolchain=
    export RUSTC_BOOTSTRAP=1
fi

for target in "$@"; do
    mkdir -p "fuzz/corpus/$target"
    echo "== $target, $seconds s"
    # A payload's limit is 64 MiB, but an input is only worth its time while it is small.
    cargo $toolchain fuzz run "$target" "fuzz/corpus/$target" "fuzz/seeds/$target" -- \
        -max_total_time="$seconds" -max_len=16384 -rss_limit_mb=2048 -timeout=20 -print_final_stats=1
done
