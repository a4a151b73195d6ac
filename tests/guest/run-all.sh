#!/usr/bin/env bash
# The tests in the guest: installs what they need, builds image, program and tests, boots, runs, ends with their code.
#
#   run-all.sh [ARGUMENTS OF THE TEST PROGRAM]     e.g. a part of a test's name, or --nocapture
#
# Where qemu or the image cannot be had, it says SKIPPED and ends with 0; BLEMISH_GUEST=required makes that a failure.
# BLEMISH_GUEST_TIMEOUT_S is how long the guest may take. CARGO_PACKAGES chooses what cargo builds ('-p blemish'; '--workspace' after a workspace build, to build nothing twice).
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
read -ra packages <<< "${CARGO_PACKAGES:--p blemish}"
tools=(qemu-system-x86 busybox-static kmod make gcc libc6-dev libelf-dev flex bison xz-utils bc)

skip() {
    printf '\n******** SKIPPED: tests/guest: %s\n******** SKIPPED: no V4L2 driver, GPIO chip, signal or disk was tested\n\n' "$*"
    [ "${BLEMISH_GUEST:-}" = required ] && exit 1
    exit 0
}

[ "$(uname -m)" = x86_64 ] || skip "the host is $(uname -m), and only x86_64 was made to work"
missing=
for program in qemu-system-x86_64 busybox /sbin/modprobe make gcc xz bc; do
    command -v "$program" > /dev/null || missing+=" $program"
done
if [ -n "$missing" ]; then
    log=$(mktemp)
    { timeout 120 apt-get update -qq && timeout 240 apt-get install -y -qq --no-install-recommends "${tools[@]}"; } > "$log" 2>&1 ||
        { tail -5 "$log"; skip "cannot install ${tools[*]}; missing:$missing"; }
fi
timeout 400 "$here/build.sh" amd64 || skip "the image cannot be built, see above"

# Cargo builds the program with the test program.
tests=$(nice -n 5 cargo test --release "${packages[@]}" --test guest --no-run --message-format=json |
    sed -n 's/.*"name":"guest".*"executable":"\([^"]*\)".*/\1/p') ||
    { echo "run-all.sh: cargo did not build the program; what was built before is not tested instead" >&2; exit 1; }
[ -x "$tests" ] || { echo "run-all.sh: cargo built no test program 'guest'" >&2; exit 1; }
ln -sf "$tests" target/guest/tests

# Against a guest that hangs, and long enough for one that gets a twentieth of a processor: its own clock stands meanwhile.
timeout_s=${BLEMISH_GUEST_TIMEOUT_S:-$((3600 + 20 * ${BLEMISH_GUEST_KILLS:-0} + ${BLEMISH_GUEST_SOAK_LINES:-0} / 100 + 20 * ${BLEMISH_GUEST_CAMERA_S:-0}))}
"$here/run.sh" --timeout "$timeout_s" --put target/release/blemish amd64 target/guest/tests --ignored --test-threads=1 "$@"
