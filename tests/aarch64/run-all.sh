#!/usr/bin/env bash
# The program as Raspberry Pi and Jetson get it: built for aarch64, looked at, and its core and integer kernels tested on
# emulated Cortex-A72 (no int8 dot product) and Cortex-A76 (with it), the kernels on a processor with i8mm as well.
#
#   run-all.sh [FILTERS OF THE TEST PROGRAM]
#   run-all.sh --guest [ARGUMENTS OF THE TEST PROGRAM]     instead of that, the tests of tests/guest in an emulated aarch64 machine
#
# Where compiler, emulator or packages cannot be had, it says SKIPPED and ends with 0; BLEMISH_AARCH64=required makes that a
# failure. The program built here lies in target/aarch64/build/aarch64-unknown-linux-gnu/release.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
target=aarch64-unknown-linux-gnu
tools=(gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user libclang1)
# JetPack 5 and Raspberry Pi OS bullseye have glibc 2.31; Raspberry Pi OS bookworm 2.36.
newest_glibc=2.31
# The core, and what it is fed by; tests that need a kernel's devices or minutes of an emulator are not among them.
core=(web:: reject:: engine::kernels:: geometry:: verdict:: histogram:: metrics:: light:: pins::counting board::)

skip() {
    printf '\n******** SKIPPED: tests/aarch64: %s\n******** SKIPPED: nothing was built for a Pi or a Jetson, no NEON kernel was tested\n\n' "$*"
    [ "${BLEMISH_AARCH64:-}" = required ] && exit 1
    exit 0
}
fail() { echo "tests/aarch64: $*" >&2; exit 1; }

[ "$(uname -m)" = x86_64 ] || skip "the host is $(uname -m), and only x86_64 was made to work"
guest=
if [ "${1:-}" = --guest ]; then
    shift
    guest=qemu-system-aarch64
    tools+=(qemu-system-arm busybox-static kmod make gcc libc6-dev libelf-dev flex bison xz-utils bc)
fi
missing=
for program in aarch64-linux-gnu-gcc aarch64-linux-gnu-objdump qemu-aarch64 $guest; do
    command -v "$program" > /dev/null || missing+=" $program"
done
if [ -n "$missing" ]; then
    log=$(mktemp)
    { timeout 120 apt-get update -qq && timeout 240 apt-get install -y -qq --no-install-recommends "${tools[@]}"; } > "$log" 2>&1 ||
        { tail -5 "$log"; skip "cannot install ${tools[*]}; missing:$missing"; }
fi
"$here/toolchain.sh" || skip "the toolchain cannot be put together, see above"
. target/aarch64/toolchain/env

# Dependencies are not optimized: that takes a quarter of the time and changes none of their results. The program itself is.
# One call, since another selection would compile tract once more; the program comes with the test program that runs it.
built=$(nice -n 5 cargo --config 'profile.release.package."*".opt-level=0' test --release -p blemish --lib --test guest \
    --target $target --no-run --message-format=json) || fail "the program does not build for $target"
executable() { sed -n "s/.*\"kind\":\\[\"$1\"\\].*\"executable\":\"\\([^\"]*\\)\".*/\\1/p" <<< "$built"; }
tests=$(executable lib)
[ -x "$tests" ] || fail "the program does not build for $target"
program=$CARGO_TARGET_DIR/$target/release/blemish

# ---- what a board must have to start it
needs=$(aarch64-linux-gnu-objdump -T "$program" | grep -o 'GLIBC_[0-9.]*' | sed 's/GLIBC_//' | sort -uV | tail -1)
[ -n "$needs" ] || fail "$program asks for no version of glibc: is it the program?"
[ "$(printf '%s\n' "$needs" $newest_glibc | sort -V | tail -1)" = $newest_glibc ] ||
    fail "$program needs glibc $needs, and JetPack 5 has $newest_glibc"
# ---- dot products in our own kernels, not just somewhere in tract's
code=$(aarch64-linux-gnu-objdump -d --no-show-raw-insn "$program" |
    awk '/^[0-9a-f]+ </ { ours = /kernels.*int8/ } ours && ($2 == "sdot" || $2 == "usmmla") { print $2 }')
for instruction in sdot usmmla; do
    found=$(grep -c "^$instruction$" <<< "$code")
    [ "$found" -ge 8 ] || fail "the integer kernels have $found $instruction instructions: has the assembler or the inlining changed?"
    echo "$target: $found $instruction instructions in the integer kernels"
done
echo "$target: needs glibc $needs, $(stat -c %s "$program") bytes"

# ---- on real kernel interfaces
if [ -n "$guest" ]; then
    timeout 600 tests/guest/build.sh arm64 || skip "the guest's image cannot be built, see above"
    cp "$(executable test)" target/aarch64/guest-tests
    exec tests/guest/run.sh --timeout "${BLEMISH_GUEST_TIMEOUT_S:-3600}" --put "$program" arm64 target/aarch64/guest-tests \
        --ignored --test-threads=1 "$@"
fi

# ---- on the processors
filters=("${@:-${core[@]}}")
for cpu in cortex-a72 cortex-a76; do
    emulator=(nice -n 5 qemu-aarch64 -cpu $cpu -L target/aarch64/toolchain/glibc/usr/aarch64-linux-gnu)
    "${emulator[@]}" "$program" --version > /dev/null || fail "the program does not start on $cpu"
    "${emulator[@]}" "$program" board show raspberry-pi-5 > /dev/null || fail "the shipped model is refused on $cpu"
    echo "== $cpu"
    "${emulator[@]}" "$tests" -q "${filters[@]}" || fail "tests failed on $cpu"
done
# Debian 12's emulator knows i8mm on no named processor.
echo "== max, with i8mm"
emulator=(nice -n 5 qemu-aarch64 -cpu max -L target/aarch64/toolchain/glibc/usr/aarch64-linux-gnu)
"${emulator[@]}" "$program" board show raspberry-pi-5 > /dev/null || fail "the shipped model is refused with i8mm"
"${emulator[@]}" "$tests" -q engine::kernels:: || fail "tests failed with i8mm"
