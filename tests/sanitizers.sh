#!/usr/bin/env bash
# The tests of bus, producer and journal under the compiler's sanitizers, as far as that goes, and under
# Miri those that make no system call. Arguments: which of `address`, `thread` and `miri`; none, or `all`: as
# many of the three as there are. Each builds everything anew, in minutes; what is left out, and why, is said
# at the end. One that was asked for by its name and cannot run is a failure.
#
# The project's compiler ships the sanitizers' runtimes and, told to, takes the flags that a nightly one
# does. It ships no source of the standard library, so that stays as it was built.
set -euo pipefail
cd "$(dirname "$0")/.."

export RUSTC_BOOTSTRAP=1 CARGO_PROFILE_DEV_DEBUG=line-tables-only
TARGET="$(rustc --version --verbose | sed -n 's/^host: //p')"
BASE_DIR="${CARGO_TARGET_DIR:-$PWD/target}"
readonly TARGET BASE_DIR
readonly CRATES=(--package hookring-bus --package hookring-producer)

left_out=()
# Those of which nothing ran.
not_run=()

main() {
    local step steps=("$@")
    if [ $# -eq 0 ] || [ "$*" = all ]; then
        steps=(address thread miri)
    fi
    for step in "${steps[@]}"; do
        case "$step" in
            address | thread | miri) ;;
            --help)
                sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' tests/sanitizers.sh
                exit 0
                ;;
            *)
                echo "tests/sanitizers.sh: there is no \`$step\`: address, thread, miri or all" >&2
                exit 2
                ;;
        esac
    done
    for step in "${steps[@]}"; do
        printf '\n== %s\n' "$step"
        "run_$step"
    done
    printf '\n== left out\n'
    printf -- '- %s\n' "${left_out[@]}"
    if [ ${#not_run[@]} -gt 0 ]; then
        printf '\n== NOT RUN: %s\n' "${not_run[*]}"
        [ $# -eq 0 ] || [ "$*" = all ] || exit 1
    fi
}

# Memory that is used out of bounds or after its end, and leaks.
run_address() {
    build_with address
    find_planted_fault address 'let b = vec![1u8]; let p = b.as_ptr(); drop(b); println!("{}", unsafe { *p });'
    cargo test --target "$TARGET" --tests "${CRATES[@]}" --package hookring-journal
    left_out+=(
        "address: what happens inside a mapping of the ring. The bus maps it with its own system calls, and all of a mapping is there to be used; Region checks every access itself"
        "address: the hook command without std, which has no runtime to report to; its source is tested as built with std"
        "address: the whole-system tests, which kill thousands of the released programs (cargo xtask test)"
    )
}

# Threads of one process that meet in memory.
run_thread() {
    local suppressions="$BASE_DIR/thread-suppressions"
    build_with thread
    # What the standard library orders inside code that was built without the sanitizer. Any frame counts,
    # so no name here may be one that every thread begins with.
    printf 'race:%s\n' 'std::sync::mpmc::' 'std::thread::lifecycle::Packet' \
        'Option<test::run_test' >"$suppressions"
    export TSAN_OPTIONS="suppressions=$suppressions"
    find_planted_fault thread 'static mut N: u64 = 0; let add = || for _ in 0..9999 { unsafe { N += 1 } };
        let other = std::thread::spawn(add); add(); other.join().unwrap();'
    # One test at a time, since the test harness, too, orders its threads inside std.
    cargo test --target "$TARGET" --tests "${CRATES[@]}" -- --test-threads=1 --skip truncated --skip cut_off
    unset TSAN_OPTIONS
    left_out+=(
        "thread: races between processes, and between two mappings in one, which have other addresses: tests/loom.sh has those"
        "thread: orderings by fences, which this sanitizer does not know: tests/loom.sh has those"
        "thread: tests that cut a file off under its mapping. The signal comes while the sanitizer holds a lock of its own, which the handler's atomics then wait for"
        "thread: the journal, whose threads meet in a Condvar and in Arcs. Both order memory inside the standard library, which is not built with the sanitizer, so it sees races where there are none"
    )
}

# Undefined behaviour in what makes no system call: the format, positions, ids, checksums.
run_miri() {
    local toolchain found=""
    for toolchain in "" +nightly; do
        # shellcheck disable=SC2086 # no word, or one
        if cargo $toolchain miri --version >/dev/null 2>&1; then
            found=yes
            break
        fi
    done
    if [ -z "$found" ]; then
        not_run+=(miri)
        left_out+=("miri: neither the project's toolchain nor nightly has it; \`rustup +nightly component add miri\`, and run this again")
        return
    fi
    # Proptest asks the system for its directory and for randomness.
    # shellcheck disable=SC2086
    RUSTFLAGS="" MIRIFLAGS="-Zmiri-disable-isolation" PROPTEST_CASES=8 CARGO_TARGET_DIR="$BASE_DIR/miri" \
        cargo $toolchain miri test --package hookring-bus --lib -- \
        crc:: ident:: lane:: layout:: names:: record::
    left_out+=("miri: everything that maps, locks or opens a file, which is the rest of the bus")
}

build_with() {
    # The flag goes to every crate of the target, and std was built without it.
    export RUSTFLAGS="-Zsanitizer=$1 -Cunsafe-allow-abi-mismatch=sanitizer"
    export CARGO_TARGET_DIR="$BASE_DIR/$1"
}

# A sanitizer that finds nothing where something is says nothing about the rest.
find_planted_fault() {
    local program="$CARGO_TARGET_DIR/planted"
    mkdir -p "$CARGO_TARGET_DIR"
    # shellcheck disable=SC2086 # these are words
    printf 'fn main() { %s }\n' "$2" |
        rustc --target "$TARGET" --edition 2024 -o "$program" $RUSTFLAGS -
    if "$program" >/dev/null 2>&1; then
        echo "tests/sanitizers.sh: the $1 sanitizer did not find a fault that was put there for it" >&2
        return 1
    fi
}

main "$@"
