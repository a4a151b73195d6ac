#!/usr/bin/env bash
# A Rust toolchain for aarch64-unknown-linux-gnu on an amd64 Debian 12, from Debian packages only: rustc with the standard
# libraries of both architectures, and the glibc 2.31 of Debian 11 to link against, so that what is built starts on JetPack 5
# and Raspberry Pi OS bullseye as well. The machine's own dpkg and rustup are not touched.
#
#   toolchain.sh        result in target/aarch64/toolchain, kept until the package's version changes
#
# Afterwards: . target/aarch64/toolchain/env; cargo build --target aarch64-unknown-linux-gnu
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=$here/../../target/aarch64/toolchain
mkdir -p "$folder/debs"
folder=$(cd "$folder" && pwd)

log() { echo "aarch64 toolchain: $*" >&2; }

# ---- a private apt root for both architectures, on the mirrors of this machine
apt_root=$folder/apt
uri() { apt-get indextargets --format '$(REPO_URI) $(RELEASE)' | awk -v release="$1" '$2 == release { print $1; exit }'; }
if [ -z "$(find "$apt_root/updated" -mmin -720 2>/dev/null)" ]; then
    main_uri=$(uri bookworm) security_uri=$(uri bookworm-security)
    if [ -z "$main_uri" ] || [ -z "$security_uri" ]; then
        log "this machine's apt has no bookworm and bookworm-security; run 'apt-get update' first"
        exit 1
    fi
    mkdir -p "$apt_root"/{state/lists/partial,cache/archives/partial,no_parts}
    : > "$apt_root/status"
    signed=signed-by=/usr/share/keyrings/debian-archive-keyring.gpg
    cat > "$apt_root/sources.list" <<SOURCES
deb [$signed] $main_uri bookworm main
deb [$signed] $security_uri bookworm-security main
deb [$signed arch=amd64] $main_uri bullseye main
SOURCES
    cat > "$apt_root/apt.conf" <<CONF
Dir::State "$apt_root/state"; Dir::State::status "$apt_root/status"; Dir::Cache "$apt_root/cache";
Dir::Etc::sourcelist "$apt_root/sources.list"; Dir::Etc::sourceparts "$apt_root/no_parts";
Dir::Etc::preferencesparts "$apt_root/no_parts";
APT::Architecture "amd64"; APT::Architectures { "amd64"; "arm64"; }; APT::Sandbox::User "root";
Acquire::Languages "none"; Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Acquire::Retries "3"; Acquire::http::Timeout "30";
CONF
    APT_CONFIG=$apt_root/apt.conf timeout 120 apt-get -q update >&2
    touch "$apt_root/updated"
fi
export APT_CONFIG=$apt_root/apt.conf

# ---- packages, by name: versions in bookworm-security move and the old ones vanish
version=$(apt-cache policy rustc-web | sed -n 's/.*Candidate: //p')
release=$(sed -E 's/^([0-9]+\.[0-9]+).*/\1/' <<< "$version")
llvm=$(apt-cache depends "libstd-rust-web-$release" | sed -n 's/^ *Depends: \(libllvm[0-9]*\).*/\1/p' | head -1)
[ -n "$llvm" ] || { log "no package rustc-web in bookworm-security"; exit 1; }
stamp="$version $(sha256sum < "$here/toolchain.sh" | cut -c1-16)"
if [ "$(cat "$folder/stamp" 2>/dev/null)" = "$stamp" ]; then
    log "kept, rustc $version"
    exit 0
fi
log "unpacking rustc $version"
rm -rf "$folder"/{debs,root,glibc,stamp}
mkdir -p "$folder"/{debs,root,glibc}
(cd "$folder/debs" && timeout 400 apt-get -q download "rustc-web=$version" "libstd-rust-web-$release:amd64=$version" \
    "libstd-rust-web-dev:amd64=$version" "libstd-rust-web-dev:arm64=$version" "$llvm:amd64" >&2)
for file in "$folder/debs"/*.deb; do dpkg -x "$file" "$folder/root"; done
rm "$folder/debs"/*
(cd "$folder/debs" && timeout 100 apt-get -q download {libc6,libc6-dev,libgcc-s1}-arm64-cross/bullseye >&2)
for file in "$folder/debs"/*.deb; do dpkg -x "$file" "$folder/glibc"; done
rm -r "$folder/debs"
libraries=$folder/glibc/usr/aarch64-linux-gnu/lib
# libc.so is a linker script with absolute paths.
sed -i "s#/usr/aarch64-linux-gnu/lib/#$libraries/#g" "$libraries/libc.so"

cat > "$folder/rustc" <<WRAPPER
#!/bin/sh
LD_LIBRARY_PATH=$folder/root/usr/lib/x86_64-linux-gnu exec $folder/root/usr/bin/rustc "\$@"
WRAPPER
mkdir -p "$folder/bin"
cat > "$folder/bin/aarch64-linux-gnu-gcc" <<WRAPPER
#!/bin/sh
exec /usr/bin/aarch64-linux-gnu-gcc -B$libraries/ -L$libraries "\$@"
WRAPPER
chmod 755 "$folder/rustc" "$folder/bin/aarch64-linux-gnu-gcc"
# Build scripts and procedural macros run with the same compiler, hence a target folder of its own.
cat > "$folder/env" <<ENV
export RUSTC=$folder/rustc
export CARGO_TARGET_DIR=$(dirname "$folder")/build
export PATH=$folder/bin:\$PATH
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
export CC_aarch64_unknown_linux_gnu=aarch64-linux-gnu-gcc AR_aarch64_unknown_linux_gnu=aarch64-linux-gnu-ar
ENV
"$folder/rustc" --version >&2
echo "$stamp" > "$folder/stamp"
