#!/bin/sh
# rust/build.sh CARGO CRATE TARGET_DIR OUTPUT: one release build of the crate, for meson.
# Several build folders of one tree may share what cargo built: CARGO_TARGET_DIR, when set, wins.
# A package build sets CARGO_NET_OFFLINE and a vendored source in its own cargo configuration.
set -eu
cargo=$1 crate=$2 target=$3 output=$4
target=${CARGO_TARGET_DIR:-$target}
CARGO_TARGET_DIR=$target "$cargo" build --quiet --release --locked --manifest-path "$crate/Cargo.toml"
cp "$target/release/libsallyport_rust.a" "$output"
