#!/usr/bin/env bash
# The group `real`, which `cargo xtask test` leaves out: what needs more than the Rust toolchain, or takes longer.
# Arguments go to the test programs, e.g. `tests/real.sh --test receivers -- --nocapture`. It needs python3 with venv,
# node and npm, which are installed where they are missing and this runs as root; libraries for both, and receivers of
# OTLP, come from their registries into a folder below target/. Where one cannot be had, this fails.
set -euo pipefail
cd "$(dirname "$0")/.."

# Each package in the version that the tests were written with.
readonly PYTHON_PACKAGES=(cloudevents==2.2.0 standardwebhooks==1.1.0 opentelemetry-proto==1.45.2 rotel==0.0.1a15)
readonly JAVASCRIPT_PACKAGES=(cloudevents@10.0.0 standardwebhooks@1.1.1 @elastic/mockotlpserver@0.10.0)
readonly DIR="${CARGO_TARGET_DIR:-$PWD/target}/real"

main() {
    local all=()
    install_programs
    install_libraries
    install_prometheus
    HOOKRING_TEST_BIN_DIR="$(cargo xtask build)"
    export HOOKRING_TEST_BIN_DIR HOOKRING_TEST_REAL_DIR="$DIR"
    [ $# -gt 0 ] || mapfile -t all < <(real_tests)
    cargo test --package hookring-tests --features real "${all[@]}" "$@"
}

# Each as the argument that has cargo run it: those that the feature is required for.
real_tests() {
    awk -F '"' '/^name =/ { name = $2 } /^required-features =.*"real"/ { print "--test=" name }' tests/Cargo.toml
}

install_programs() {
    if python3 -c 'import ensurepip, venv' && command -v node && command -v npm; then
        return
    fi >/dev/null 2>&1
    if ! command -v apt-get >/dev/null || [ "$(id -u)" != 0 ]; then
        echo "tests/real.sh: python3 with venv, node or npm is missing; install them and run this again" >&2
        exit 1
    fi
    apt-get update -q
    apt-get install -qy --no-install-recommends python3 python3-venv nodejs npm
}

# Once for each choice of versions.
install_libraries() {
    local wanted="${PYTHON_PACKAGES[*]} ${JAVASCRIPT_PACKAGES[*]}"
    if [ "$(cat "$DIR/installed" 2>/dev/null)" = "$wanted" ]; then
        return
    fi
    rm -rf "$DIR"
    mkdir -p "$DIR/javascript"
    python3 -m venv "$DIR/python"
    "$DIR/python/bin/pip" install --quiet --disable-pip-version-check "${PYTHON_PACKAGES[@]}"
    npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$DIR/javascript" \
        "${JAVASCRIPT_PACKAGES[@]}"
    echo "$wanted" >"$DIR/installed"
}

# Debian's, unpacked and not installed: its service would begin to listen.
install_prometheus() {
    local root="$DIR/prometheus"
    if [ -x "$root/usr/bin/promtool" ]; then
        return
    fi
    rm -rf "$root"
    mkdir -p "$root"
    if ! command -v apt-get >/dev/null || ! command -v dpkg >/dev/null; then
        echo "tests/real.sh: Prometheus is taken from Debian's packages, and there is no apt-get or dpkg here" >&2
        exit 1
    fi
    (cd "$root" && { apt-get download -q prometheus || { apt-get update -q && apt-get download -q prometheus; }; })
    dpkg -x "$root"/prometheus_*.deb "$root"
    rm "$root"/prometheus_*.deb
}

main "$@"
