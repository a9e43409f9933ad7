#!/bin/sh
# hookring beside other people's queues: installs what is missing, builds, measures, prints one table.
#
#   benches/peers/run.sh [--quick] [--only BLOCK]... [--json FILE] [--plots DIR] [--docs]
#   benches/peers/run.sh --from FILE [--plots DIR] [--docs]
#
# BLOCK is one of: hook, publish, contention, spinning, sleeping, throughput, journal, flatness, sinks.
# `--docs` puts table and plots into the documentation: for a quiet machine, without `--quick`.
#
# As root on Debian or Ubuntu it installs the C tools that the Aeron media driver is built with;
# elsewhere they must be there: a C and C++ compiler, make, libclang, libuuid, cmake 3.30 or newer (or
# python3 with venv, to install one under the target directory). What cannot be built is left out, and
# the table says so.
set -eu

json_dir=$PWD
cd "$(dirname "$0")"
target=${CARGO_TARGET_DIR:-$PWD/target}
packages="clang g++ libbsd-dev libclang-dev make pkg-config python3-venv uuid-dev zlib1g-dev"

say() { echo "run.sh: $*" >&2; }

# Asked before anything is installed or built.
check_arguments() {
    blocks=$(sed -n 's/^    ("\([a-z]*\)", blocks::.*/\1/p' src/main.rs)
    while [ $# -gt 0 ]; do
        case $1 in
            --help | -h)
                sed -n '2,/^$/s/^#\( \|$\)//p' run.sh | sed '/^set -eu/,$d'
                exit 0
                ;;
            --only)
                if ! echo "$blocks" | grep -qxF -e "${2:-}"; then
                    say "no block is called \`${2:-}\`; there are:" $blocks
                    exit 2
                fi
                shift
                ;;
            --json | --plots | --from)
                [ $# -ge 2 ] || { say "$1 needs a value; see --help"; exit 2; }
                shift
                ;;
            --quick | --docs) ;;
            *)
                say "there is no \`$1\`; see --help"
                exit 2
                ;;
        esac
        shift
    done
}

install_packages() {
    command -v dpkg >/dev/null || return 0
    missing=
    for package in $packages; do
        dpkg -s "$package" >/dev/null 2>&1 || missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" != 0 ]; then
        say "not root, so these are not installed:$missing"
        return 0
    fi
    say "installing$missing"
    # shellcheck disable=SC2086
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
        --no-install-recommends $missing >/dev/null || say "could not install all of$missing"
}

# Aeron asks for cmake 3.30, which is newer than some distributions'.
is_new_enough() {
    version=$("$1" --version 2>/dev/null | sed -n 's/^cmake version \([0-9]*\)\.\([0-9]*\).*/\1 \2/p')
    [ -n "$version" ] || return 1
    # shellcheck disable=SC2086
    set -- $version
    [ "$1" -gt 3 ] || { [ "$1" -eq 3 ] && [ "$2" -ge 30 ]; }
}

find_cmake() {
    for cmake in "${CMAKE:-cmake}" "$target/cmake/bin/cmake"; do
        if is_new_enough "$cmake"; then
            export CMAKE="$cmake"
            return 0
        fi
    done
    say "installing cmake under $target"
    python3 -m venv "$target/cmake" && "$target/cmake/bin/pip" install -q 'cmake>=3.30,<4' &&
        export CMAKE="$target/cmake/bin/cmake"
}

build() { cargo build --release --locked --target-dir "$target" "$@"; }

# hookring's own programs, and the benches that this comparison takes its other figures from.
build_ours() (
    cd ../..
    cargo bench --no-run --package hookring-benches --bench hook_process --bench drain_to_journal
    cargo xtask build
)

check_arguments "$@"
install_packages
if find_cmake && build --features aeron; then
    say "built with Aeron"
else
    say "Aeron cannot be built here: it is left out"
    build
fi
HOOKRING_TEST_BIN_DIR=$(build_ours)
export HOOKRING_TEST_BIN_DIR
cd "$json_dir"
exec "$target/release/hookring-peers" "$@"
