#!/usr/bin/env bash
# Installs what the tests need, then checks formatting, lints, docs, dependencies, and runs every test of both workspaces.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '\n== %s (%s)\n' "$1" "$(date +%T)"; }

# Debian packages that hold the servers and programs which the tests start.
packages=(age bsdutils chromium faketime fonts-dejavu-core openssh-client patch postgresql postgresql-client procps prometheus python3-aiosmtpd strace zstd)
programs=(age chromium faketime patch pgrep prometheus script ssh-keygen strace zstd)

missing() {
    local program
    for program in "${programs[@]}"; do
        command -v "$program" >/dev/null || { echo "$program"; return; }
    done
    compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || echo postgresql
    [[ -e /usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1 ]] || echo libfaketime
    /usr/bin/python3 -c 'import aiosmtpd' 2>/dev/null || echo python3-aiosmtpd
}

say 'what the tests need'
if [[ -n "$(missing)" ]]; then
    if [[ "$(id -u)" == 0 ]] && command -v apt-get >/dev/null; then
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
    else
        echo "missing: $(missing); install ${packages[*]}" >&2
        exit 1
    fi
fi
rustup component add rustfmt clippy >/dev/null 2>&1 || true
rustup target add wasm32-wasip2 >/dev/null

export CARGO_TERM_COLOR=never INSTA_UPDATE=no
plugins=(--manifest-path plugins/Cargo.toml --target-dir target/plugins)

say 'formatting'
cargo fmt --all --check
cargo fmt --all --check --manifest-path plugins/Cargo.toml
cargo fmt --all --check --manifest-path tests/fuzz/Cargo.toml

say 'build'
cargo build --release --locked --workspace

say 'lints'
cargo clippy --release --locked --workspace --all-targets -- -D warnings
cargo clippy --release --locked "${plugins[@]}" --workspace --target wasm32-wasip2 -- -D warnings

say 'documentation'
RUSTDOCFLAGS='-D warnings' cargo doc --release --locked --workspace --no-deps --quiet

say 'dependencies'
if ! command -v cargo-deny >/dev/null; then
    cargo install cargo-deny --version 0.20.2 --locked --quiet --target-dir target/deny
fi
cargo deny --log-level error check bans licenses sources
cargo deny --log-level error --manifest-path plugins/Cargo.toml --config deny.toml check bans licenses sources

say 'plugin tests'
cargo test --release --locked "${plugins[@]}" --workspace --quiet

say 'tests'
cargo test --release --locked --workspace

say 'done'
