#!/usr/bin/env bash
# Counts the instructions of a publish, of a hook process and of making an event, and compares them with the figures in
# benches/instructions.txt: times are worth nothing on a machine that does other work, these are.
#
#   benches/instructions.sh [--update]
#
# It fails if a count is more than a few per cent above its figure, and also if it is so far below:
# `--update` then writes the new figures, and the change is reviewed like any other. Figures are the
# compiler's, so a new compiler asks for an update, too. valgrind is installed where it is missing and
# this runs as root.
#
# What the kernel does is not counted, nor is the clock, which under valgrind is a system call. A hook
# learns from the kernel (AT_HWCAP2) whether it may use the instruction for its CRC. valgrind hides
# that, so what is counted here has the CRC by table: about 9 instructions per byte that a real hook
# does not need.
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "$0")/.."

readonly FIGURES=benches/instructions.txt
readonly TOLERANCE_PERCENT=3
# The difference of two runs is what is counted, so that their starts do not matter.
readonly FEW=3200 MANY=35200
readonly FEW_EVENTS=300 MANY_EVENTS=1500

main() {
    local mode="${1:-compare}"
    [[ $# -le 1 && "$mode" =~ ^(compare|--update)$ ]] || {
        echo "usage: benches/instructions.sh [--update]" >&2
        exit 2
    }
    install_valgrind
    bin_dir="$(cargo xtask build)"
    cargo build --release --package hookring-benches --example instructions
    program="${CARGO_TARGET_DIR:-target}/release/examples/instructions"
    program="$(realpath "$program")"
    # Always of the same length: paths are worked on, too.
    dir="$(mktemp -d "$([[ -d /dev/shm ]] && echo /dev/shm || echo /tmp)/hookring-XXXXXX")"
    trap 'rm -rf "$dir"' EXIT
    compiler="$(rustc --version | cut -d' ' -f1,2 | tr ' ' -)-$(uname -m)"

    measured="$(measure)"
    if [[ "$mode" == --update ]]; then
        update
    else
        compare
    fi
}

install_valgrind() {
    command -v valgrind >/dev/null && return
    if ! command -v apt-get >/dev/null || [[ "$(id -u)" != 0 ]]; then
        echo "benches/instructions.sh: valgrind is missing; install it and run this again" >&2
        exit 1
    fi
    apt-get update -q >&2
    apt-get install -qy --no-install-recommends valgrind >&2
}

# Lines of a name and a count.
measure() {
    local batch bytes instructions
    for batch in 1 32; do
        instructions="$(publishes "$batch")"
        echo "publish_256_b_batch_$batch $instructions"
    done
    for bytes in 1500 60000; do
        instructions="$(hook "$bytes")"
        echo "hookring_emit_$bytes $instructions"
    done
    instructions="$(events events)"
    echo "pipeline_session_event $instructions"
    instructions="$(events watched)"
    echo "watched_session_event $instructions"
}

# publishes BATCH: instructions per event.
publishes() {
    local few many
    few="$(count "$program" publish "$(fresh_dir)" "$FEW" "$1" </dev/null)"
    many="$(count "$program" publish "$(fresh_dir)" "$MANY" "$1" </dev/null)"
    echo $(((many - few) / (MANY - FEW)))
}

# events MODE: instructions per event, from a session's payload to the event's members, all rules on; `watched`: and
# into the metrics.
events() {
    local few many
    few="$(count "$program" "$1" "$FEW_EVENTS" </dev/null)"
    many="$(count "$program" "$1" "$MANY_EVENTS" </dev/null)"
    echo $(((many - few) / (MANY_EVENTS - FEW_EVENTS)))
}

# hook BYTES: instructions of a whole process that publishes so many bytes into a ring. With a pipe for
# stdin, as agents have it, and nothing in its environment but what it needs.
hook() {
    local ring
    ring="$(fresh_dir)"
    "$program" drain "$ring" 0
    head -c "$1" /dev/zero | tr '\0' x >"$dir/payload"
    # The pipe has all of it, and its end, before valgrind has started.
    (cd "$ring" && cat "$dir/payload" | count env -i HOOKRING_DIR="$ring" "$bin_dir/hookring-emit")
    "$program" drain "$ring" 1
}

fresh_dir() {
    mktemp -d "$dir/XXXXXX"
}

# count [env -i VARIABLE=VALUE] PROGRAM ARGS...: runs it and prints the number of its instructions.
count() {
    local prefix=() said
    if [[ "$1" == env ]]; then
        prefix=("${@:1:3}")
        shift 3
    fi
    if ! said="$("${prefix[@]}" "$(command -v valgrind)" --tool=callgrind \
        --callgrind-out-file=/dev/null "$@" 2>&1)"; then
        echo "$said" >&2
        return 1
    fi
    # A call that valgrind does not know fails, and the program goes another way than usual.
    if grep -q 'unhandled' <<<"$said"; then
        echo "$said" >&2
        return 1
    fi
    sed -n 's/.*Collected : \([0-9]*\)$/\1/p' <<<"$said" | grep .
}

update() {
    local old
    old="$(grep -v "^#\|^rustc-[^ ]*-$(uname -m) " "$FIGURES" || true)"
    {
        echo "# Instructions, as benches/instructions.sh counts and compares them: compiler and machine,"
        echo "# what was counted (a publish; a whole hook process; an event), how many."
        echo "# Last written with $(valgrind --version) and $(getconf GNU_LIBC_VERSION), whose copying is part of it."
        [[ -z "$old" ]] || echo "$old"
        sed "s/^/$compiler /" <<<"$measured"
    } >"$FIGURES.new"
    mv "$FIGURES.new" "$FIGURES"
    cat "$FIGURES"
}

compare() {
    local name count figure verdict failed=0
    while read -r name count; do
        figure="$(sed -n "s/^$compiler $name //p" "$FIGURES")"
        if [[ -z "$figure" ]]; then
            verdict="there is no figure for $compiler"
        elif ((count * 100 > figure * (100 + TOLERANCE_PERCENT))); then
            verdict="MORE than its figure, $figure"
        elif ((count * 100 < figure * (100 - TOLERANCE_PERCENT))); then
            verdict="less than its figure, $figure, which is out of date"
        else
            printf '%-24s %6d  as it was (%d)\n' "$name" "$count" "$figure"
            continue
        fi
        failed=1
        printf '%-24s %6d  %s\n' "$name" "$count" "$verdict"
    done <<<"$measured"
    if ((failed)); then
        echo "if this is meant to be: benches/instructions.sh --update, and say why in the commit" >&2
    fi
    return "$failed"
}

main "$@"
