#!/usr/bin/env bash
# What run.sh boots: Debian's newest 6.12 kernel, its modules, and the modules that Debian does not build (gpio-sim,
# v4l2loopback), in an initramfs with busybox. From Debian packages, resolved by name at run time: versions in
# bookworm-security move and the old ones vanish.
#
#   build.sh amd64|arm64        result in target/guest/ARCH, kept until the kernel or these scripts change
#
# The machine's own dpkg is not touched: a private apt root, `apt-get download` and `dpkg -x`.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
arch=${1:?"usage: build.sh amd64|arm64"}
cache=${BLEMISH_GUEST_CACHE:-$here/../../target/guest}
mkdir -p "$cache/$arch" "$cache/debs"
cache=$(cd "$cache" && pwd)
result=$cache/$arch
work=$cache/work-$arch

log() { echo "guest image ($arch): $*" >&2; }

case $arch in
    amd64) strip=strip libraries=/lib/x86_64-linux-gnu
        loader=/lib64/ld-linux-x86-64.so.2 loader_folder=lib64
        kernel_make=() ;;
    arm64) strip=aarch64-linux-gnu-strip libraries=/usr/aarch64-linux-gnu/lib
        loader=$libraries/ld-linux-aarch64.so.1 loader_folder=lib
        kernel_make=(ARCH=arm64 CROSS_COMPILE=aarch64-linux-gnu-) ;;
    *) log "unknown architecture"; exit 2 ;;
esac

# ---- a private apt root for both architectures, on the mirrors of this machine
apt_root=$cache/apt
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
deb [$signed] $main_uri bookworm-backports main
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
download() { (cd "$cache/debs" && timeout 300 apt-get -q download "$@" >&2); }
# The newest downloaded file of a package: name, architecture.
deb() { ls -t "$cache/debs/$1"_*_"$2".deb | head -1; }

# ---- kernel
image=$(apt-cache depends "linux-image-6.12-$arch:$arch" | sed -n 's/^ *Depends: \(linux-image-[^: ]*\).*/\1/p' | head -1)
[ -n "$image" ] || { log "no package linux-image-6.12-$arch in bookworm-security"; exit 1; }
kernel=${image#linux-image-}
base=${kernel%-"$arch"}
stamp="$kernel $(cat "$here/build.sh" "$here/init" | sha256sum | cut -c1-16)"
if [ "$(cat "$result/stamp" 2>/dev/null)" = "$stamp" ]; then
    log "kept, $kernel"
    exit 0
fi
log "building for $kernel"
rm -rf "$work"
mkdir -p "$work"/{kernel,headers,source,modules,root}
download "$image:$arch" "linux-headers-$kernel:$arch" "linux-headers-$base-common" "linux-kbuild-$base" \
    linux-source-6.12 "busybox-static:$arch" v4l2loopback-dkms/bookworm-backports
dpkg -x "$(deb "$image" "$arch")" "$work/kernel"
cp "$work/kernel/boot/vmlinuz-$kernel" "$result/vmlinuz"
for file in "$(deb "linux-headers-$kernel" "$arch")" "$(deb "linux-headers-$base-common" all)" "$(deb "linux-kbuild-$base" amd64)"; do
    dpkg -x "$file" "$work/headers"
done
headers=$work/headers/usr/src
# The packaged Makefile has absolute paths; and with vmlinux there the build asks for pahole.
echo "include $headers/linux-headers-$base-common/Makefile" > "$headers/linux-headers-$kernel/Makefile"
rm -f "$headers/linux-headers-$kernel/vmlinux"

# ---- modules that Debian does not build
dpkg-deb --fsys-tarfile "$(deb linux-source-6.12 all)" | tar -xO ./usr/src/linux-source-6.12.tar.xz | xz -dc |
    tar -x -C "$work/source" --strip-components=1 linux-source-6.12/drivers/gpio/gpio-sim.c linux-source-6.12/kernel/irq/irq_sim.c
mkdir -p "$work/modules"/{gpio-sim,v4l2loopback}
cp "$work/source/drivers/gpio/gpio-sim.c" "$work/modules/gpio-sim/gpio_sim_main.c"
# irq_to_desc is not exported to modules; generic_handle_irq does the same for the descriptors of irq_sim.
sed 's/handle_simple_irq(irq_to_desc(irqnum))/generic_handle_irq(irqnum)/' "$work/source/kernel/irq/irq_sim.c" \
    > "$work/modules/gpio-sim/irq_sim.c"
printf 'obj-m := gpio-sim.o\ngpio-sim-y := gpio_sim_main.o irq_sim.o\n' > "$work/modules/gpio-sim/Kbuild"
dpkg -x "$(deb v4l2loopback-dkms all)" "$work/loopback"
cp "$work"/loopback/usr/src/v4l2loopback-*/*.[ch] "$work/modules/v4l2loopback/"
printf 'obj-m := v4l2loopback.o\n' > "$work/modules/v4l2loopback/Kbuild"
for module in gpio-sim v4l2loopback; do
    nice -n 5 make -s -C "$headers/linux-headers-$kernel" M="$work/modules/$module" "${kernel_make[@]}" modules \
        > "$work/modules/$module.log" 2>&1 || { cat "$work/modules/$module.log" >&2; exit 1; }
done

# ---- initramfs
root=$work/root
mkdir -p "$root"/{bin,etc,proc,sys,dev,tmp,mnt,run,lib,lib64,"lib/modules/$kernel/extra"}
dpkg -x "$(deb busybox-static "$arch")" "$work/busybox"
cp "$work/busybox/bin/busybox" "$root/bin/"
packaged=$work/kernel/lib/modules/$kernel
[ -d "$packaged" ] || packaged=$work/kernel/usr/lib/modules/$kernel
cp "$work/modules/gpio-sim/gpio-sim.ko" "$work/modules/v4l2loopback/v4l2loopback.ko" "$packaged/kernel/"
/sbin/depmod -b "$work/kernel" "$kernel" 2>/dev/null
for module in vivid v4l2loopback gpio-sim softdog configfs 9p 9pnet_virtio virtio_console virtio_pci; do
    /sbin/modprobe -d "$work/kernel" -S "$kernel" --show-depends "$module"
done | sed -n 's/^insmod \([^ ]*\).*/\1/p' | sort -u | while read -r file; do
    case $file in
        *.xz) xz -dc "$file" > "$root/lib/modules/$kernel/extra/$(basename "$file" .xz)" ;;
        *) cp "$file" "$root/lib/modules/$kernel/extra/" ;;
    esac
done
$strip --strip-debug "$root/lib/modules/$kernel/extra/"*.ko
cp "$packaged"/modules.{builtin,builtin.modinfo,order} "$root/lib/modules/$kernel/"
/sbin/depmod -b "$root" "$kernel"
# What a dynamic glibc program of Rust needs; the last three where it was linked against a glibc before 2.34.
cp -L "$loader" "$root/$loader_folder/"
for library in libc.so.6 libm.so.6 libgcc_s.so.1 libpthread.so.0 libdl.so.2 librt.so.1; do cp -L "$libraries/$library" "$root/lib/"; done
install -m 755 "$here/init" "$root/init"
(cd "$root" && find . | LC_ALL=C sort | busybox cpio -o -H newc 2>/dev/null) > "$result/base.cpio"
rm -rf "$work"
echo "$stamp" > "$result/stamp"
log "done, $(du -h "$result/base.cpio" | cut -f1) initramfs"
