#!/usr/bin/env bash
# Boots the guest that build.sh made, runs a program of this machine in it, and comes back with its output and exit
# code. TCG: /dev/kvm of a cloud machine often cannot boot this kernel, and a test must not depend on it.
#
#   run.sh [--put FILE]... [--timeout S] amd64|arm64 PROGRAM [ARGUMENTS]
#
#   --put FILE    copied beside the program, into /job of the guest
#   --timeout S   300 by default
#
# target/guest/host is /host in the guest, to read and write. Environment variables BLEMISH_* and RUST_* go along.
# Exit code: the program's; 124 the guest was not ready in time; 125 it died (console on stderr).
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${BLEMISH_GUEST_CACHE:-$here/../../target/guest}
timeout_s=300
put=()
while [ $# -gt 0 ]; do
    case $1 in
        --put) put+=("$2"); shift 2 ;;
        --timeout) timeout_s=$2; shift 2 ;;
        -*) echo "run.sh: unknown option $1" >&2; exit 2 ;;
        *) break ;;
    esac
done
arch=${1:?"usage: run.sh [options] amd64|arm64 PROGRAM [ARGUMENTS]"}
program=${2:?"no program given"}
shift 2
[ -f "$cache/$arch/stamp" ] || { echo "run.sh: no image in $cache/$arch; run build.sh $arch" >&2; exit 125; }

temporary=$(mktemp -d)
trap 'rm -rf "$temporary"' EXIT
mkdir -p "$temporary/root/job" "$cache/host"
for file in "$program" "${put[@]+"${put[@]}"}"; do
    # What debug information there is would only cost the guest memory.
    strip --strip-debug -o "$temporary/root/job/${file##*/}" "$file" 2>/dev/null || cp "$file" "$temporary/root/job/"
done
{
    echo '#!/bin/busybox sh'
    env | grep -E '^(BLEMISH|RUST)_[A-Z_]*=' | while IFS='=' read -r name value; do printf 'export %s=%q\n' "$name" "$value"; done
    printf 'exec'
    printf ' %q' "./${program##*/}" "$@"
    echo
} > "$temporary/root/job/run"
chmod 755 "$temporary/root/job"/*
(cd "$temporary/root" && find . | busybox cpio -o -H newc 2>/dev/null) > "$temporary/job.cpio"
cat "$cache/$arch/base.cpio" "$temporary/job.cpio" > "$temporary/initrd"

case $arch in
    # A machine that is starved while the guest boots fails the kernel's test of its timer, which is a panic.
    amd64) qemu=(qemu-system-x86_64 -M q35 -cpu max) console="ttyS0 no_timer_check" ;;
    arm64) qemu=(qemu-system-aarch64 -M virt,gic-version=3 -cpu cortex-a76) console=ttyAMA0 ;;
    *) echo "run.sh: unknown architecture $arch" >&2; exit 2 ;;
esac
# icount: the guest's clock counts instructions, one a nanosecond, and skips what it waits for, so that a busy host
# makes a test longer but never later.
# no_timer_check: on a busy host the kernel's test of its timer fails for want of time, and it panics.
# One CPU: with two, qemu 7.2 at times runs into the int3 of a kernel that is patching itself on the other, and panics.
qemu+=(
    -accel tcg -icount shift=0,sleep=off -smp 1 -m 1536 -nodefaults -net none -display none -no-reboot
    -kernel "$cache/$arch/vmlinuz" -initrd "$temporary/initrd"
    -append "console=$console quiet loglevel=4 panic=-1 oops=panic random.trust_cpu=on mitigations=off no_timer_check"
    -serial "file:$temporary/console"
    -device virtio-rng-pci -device virtio-serial-pci
    -chardev "file,id=out,path=$temporary/out" -device virtserialport,chardev=out,name=out
    -chardev "file,id=code,path=$temporary/code" -device virtserialport,chardev=code,name=code
    -virtfs "local,path=$cache/host,mount_tag=host,security_model=none"
)
started=$SECONDS
timeout --foreground --kill-after=10 "$timeout_s" nice -n 5 "${qemu[@]}" < /dev/null
ended=$?
cat "$temporary/out"
if [ -s "$temporary/code" ]; then
    read -r code < "$temporary/code"
    echo "guest ($arch): exit code $code after $((SECONDS - started)) s" >&2
    exit "$code"
fi
tail -40 "$temporary/console" >&2
if [ $ended = 124 ] || [ $ended = 137 ]; then
    echo "guest ($arch): not done after $timeout_s s; its console is above" >&2
    exit 124
fi
echo "guest ($arch): died, qemu's exit code is $ended; its console is above" >&2
exit 125
