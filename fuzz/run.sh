#!/usr/bin/env bash
# Runs fuzz targets one after the other, from the seeds and whatever earlier runs found:
#
#     fuzz/run.sh [SECONDS [TARGET...]]                  each for SECONDS, or 60
#     fuzz/run.sh --cpu-minutes MINUTES [TARGET...]      each until it has used so much CPU time itself
#
# Needs cargo-fuzz (`cargo install cargo-fuzz --locked`) and a C++ compiler. The sanitizer's flags are
# a nightly compiler's; the pinned stable one is asked to take them. A crash stops the run; its input
# is in fuzz/artifacts/TARGET/.
set -euo pipefail

cd "$(dirname "$0")/.."

# The second form runs slices of at most this length, since elapsed time says little on a busy machine.
readonly SLICE_S=60

main() {
    if [ "${1:-}" = --help ]; then
        sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' fuzz/run.sh
        exit 0
    fi
    local run=run_for amount=${1:-60}
    if [ "$amount" = --cpu-minutes ]; then
        run=run_cpu_seconds amount=$((${2:?MINUTES are missing} * 60))
        shift
    fi
    if ! [[ $amount =~ ^[0-9]+$ ]]; then
        echo "run.sh: \`$amount\` is no number of seconds; see fuzz/run.sh --help" >&2
        exit 2
    fi
    [ $# -eq 0 ] || shift
    if [ $# -eq 0 ]; then
        set -- fuzz/fuzz_targets/*.rs
        set -- "${@##*/}"
        set -- "${@%.rs}"
    fi
    prepare
    local target
    for target in "$@"; do
        mkdir -p "fuzz/corpus/$target"
        "$run" "$target" "$amount"
    done
}

prepare() {
    if ! command -v cargo-fuzz >/dev/null; then
        echo "run.sh: cargo-fuzz is not there; run: cargo install cargo-fuzz --locked" >&2
        exit 1
    fi
    export RUSTC_BOOTSTRAP=1
    scratch=$(mktemp)
    trap 'rm -f "$scratch"' EXIT
    # All of them now, so that no target's time goes into it.
    cargo fuzz build
}

# run_for TARGET SECONDS
run_for() {
    echo "== $1, $2 s"
    # A payload's limit is 64 MiB, but an input is only worth its time while it is small.
    cargo fuzz run "$1" "fuzz/corpus/$1" "fuzz/seeds/$1" -- \
        -max_total_time="$2" -max_len=16384 -rss_limit_mb=2048 -print_final_stats=1
}

# run_cpu_seconds TARGET SECONDS
run_cpu_seconds() {
    local begin=0 used=0 executions=0 left log
    cpu_seconds begin
    log=$(mktemp)
    while ((used < $2)); do
        left=$(($2 - used))
        if ! run_for "$1" $((left < SLICE_S ? left : SLICE_S)) >"$log" 2>&1; then
            cat "$log"
            rm "$log"
            return 1
        fi
        executions=$((executions + $(awk '/number_of_executed_units/ { print $2 }' "$log")))
        cpu_seconds used
        used=$((used - begin))
    done
    rm "$log"
    echo "== $1: $used s of CPU, $executions executions"
}

# cpu_seconds VARIABLE: sets it to the CPU time of all ended children.
cpu_seconds() {
    # Not in a subshell, which has had no children.
    times >"$scratch"
    printf -v "$1" %s "$(awk -F '[ms ]+' 'NR == 2 { print int(60 * ($1 + $3) + $2 + $4) }' "$scratch")"
}

main "$@"
