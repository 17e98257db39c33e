#!/bin/bash
# Make the rig's kernel from Debian packages: OUT/vmlinuz, OUT/modules (a root of lib/modules with gpio-sim) and OUT/release.
#
# Debian 12's kernel has everything the rig needs as a module except gpio-sim: its one file and the simulated interrupt
# controller that it stands on are compiled out of tree, against the headers of the very kernel that boots.
#
#   kernel.sh ABI OUT        ABI as in linux-image-ABI, for example 6.1.0-50-amd64
set -euo pipefail

abi=$1
out=$(realpath -m "$2")
arch=${abi##*-}         # amd64
series=${abi%-"$arch"}  # 6.1.0-50
short=${abi%.*}         # 6.1
work=$(mktemp -d "$out.XXXXXX")
trap 'rm -rf "$work"' EXIT

mkdir -p "$work/deb" "$work/root" "$out"
(
    cd "$work/deb"
    # The headers, the source and kbuild must be of the image's own version: its security update alone would not build.
    version=$(apt-cache show "linux-image-$abi" | sed -n 's/^Version: //p' | head -n 1)
    apt-get -qq -o APT::Sandbox::User=root download \
        "linux-image-$abi=$version" "linux-headers-$abi=$version" "linux-headers-$series-common=$version" \
        "linux-kbuild-$short=$version" "linux-source-$short=$version"
)
for deb in "$work"/deb/linux-{image,headers,kbuild}-*.deb; do dpkg-deb -x "$deb" "$work/root"; done
mkdir "$work/source"
dpkg-deb -x "$work"/deb/linux-source-*.deb "$work/source"
tar -xJf "$work/source/usr/src/linux-source-$short.tar.xz" -C "$work/source" --strip-components=1 --occurrence=1 \
    "linux-source-$short/drivers/gpio/gpio-sim.c" \
    "linux-source-$short/drivers/gpio/gpiolib.h" \
    "linux-source-$short/kernel/irq/irq_sim.c"

headers=$work/root/usr/src/linux-headers-$abi
# The package's Makefile and its link to kbuild hold absolute paths of an installed system.
sed -i "s#/usr/src/linux-headers-$series-common#$work/root/usr/src/linux-headers-$series-common#" "$headers/Makefile"
for link in "$headers" "$work/root/usr/src/linux-headers-$series-common"; do
    for name in scripts tools; do
        if [ -L "$link/$name" ]; then ln -sfn "$work/root/usr/lib/linux-kbuild-$short/$name" "$link/$name"; fi
    done
done

mkdir "$work/module"
cp "$work/source/drivers/gpio/gpio-sim.c" "$work/module/gpio_sim_main.c"
cp "$work/source/drivers/gpio/gpiolib.h" "$work/source/kernel/irq/irq_sim.c" "$work/module/"
# irq_to_desc() is not exported to modules; generic_handle_irq() finds the descriptor itself and calls the same handler.
sed -i 's/handle_simple_irq(irq_to_desc(irqnum));/generic_handle_irq(irqnum);/' "$work/module/irq_sim.c"
grep -q 'generic_handle_irq(irqnum)' "$work/module/irq_sim.c"
printf 'obj-m := gpio-sim.o\ngpio-sim-y := gpio_sim_main.o irq_sim.o\n' >"$work/module/Makefile"
make -s -j"$(nproc)" -C "$headers" M="$work/module" modules

# Only what the rig loads: a whole Debian kernel would be 400 MB of modules in the image.
root=$work/root
mkdir -p "$root/lib/modules/$abi/extra"
cp "$work/module/gpio-sim.ko" "$root/lib/modules/$abi/extra/"
depmod -b "$root" "$abi"
mkdir -p "$out/modules/lib/modules/$abi"
for module in virtio_pci virtio_blk virtio_net virtio_rng ext4 crc32c_generic configfs autofs4 gpio-sim \
    usbserial cdc-acm vivid; do
    modprobe -d "$root" -S "$abi" --show-depends "$module"
done | sed -n 's/^insmod \([^ ]*\).*/\1/p' | sort -u | while read -r file; do
    install -D -m 644 "$file" "$out/modules/${file#"$root"/}"
done
cp "$root/lib/modules/$abi"/modules.{order,builtin,builtin.modinfo} "$out/modules/lib/modules/$abi/"
depmod -b "$out/modules" "$abi"
cp "$root/boot/vmlinuz-$abi" "$out/vmlinuz"
echo "$abi" >"$out/release"
