#!/bin/bash
# Make the rig's disk from Debian packages: OUT/disk.qcow2, OUT/initrd and OUT/id_ed25519, the key to the machine's root.
#
#   rootfs.sh KERNEL OUT     KERNEL is what kernel.sh made; needs root, as mmdebstrap keeps the owners of files
set -euo pipefail

here=$(dirname "$(realpath "$0")")
kernel=$(realpath "$1")
out=$(realpath -m "$2")
abi=$(cat "$kernel/release")
work=$(mktemp -d "$out.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir -p "$out"

# The mirrors that this host's apt uses itself: the rig brings no addresses of its own.
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
apt-get indextargets --format '$(ORIGIN) $(REPO_URI) $(CODENAME) $(COMPONENT)' 'Created-By: Packages' |
    awk -v keyring="$keyring" '$1 == "Debian" { print "deb [signed-by=" keyring "]", $2, $3, $4 }' |
    sort -u >"$work/sources.list"
apt-config dump | grep -E '^Acquire::(http|https|Check-Valid-Until|Check-Date)' >"$work/apt.conf" || true

mmdebstrap --quiet --variant=minbase --aptopt="$work/apt.conf" --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --include=systemd,systemd-sysv,dbus,udev,kmod,iproute2,openssh-server,openssl,python3,gpiod,sqlite3,procps \
    bookworm "$work/root" "$work/sources.list"
root=$work/root

cp -r "$kernel/modules/lib/modules" "$root/lib/"
cp -r "$here/board/." "$root/"
ssh-keygen -q -t ed25519 -N '' -C motcua-rig -f "$work/id_ed25519"
install -D -m 600 "$work/id_ed25519.pub" "$root/root/.ssh/authorized_keys"
echo motcua-rig >"$root/etc/hostname"
echo '127.0.0.1 localhost motcua-rig' >"$root/etc/hosts"
printf '/dev/vda / ext4 rw,noatime 0 1\n' >"$root/etc/fstab"
systemd-machine-id-setup --root="$root" >/dev/null 2>&1 || dd if=/dev/urandom bs=16 count=1 status=none | od -An -tx1 | tr -d ' \n' >"$root/etc/machine-id"
# Raspberry Pi OS has this group; the board's udev rule gives it the GPIO chips.
chroot "$root" groupadd --system gpio
chroot "$root" systemctl --quiet enable systemd-networkd ssh sim-board
chroot "$root" systemctl --quiet mask systemd-binfmt proc-sys-fs-binfmt_misc.automount proc-sys-fs-binfmt_misc.mount \
    apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer systemd-timesyncd
rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/*


truncate -s 2G "$work/disk.raw"
mke2fs -q -t ext4 -O ^orphan_file -d "$root" "$work/disk.raw" 2>/dev/null || mke2fs -q -t ext4 -d "$root" "$work/disk.raw"
qemu-img convert -O qcow2 "$work/disk.raw" "$work/disk.qcow2"

# The initrd only loads the disk's and the file system's modules, in the order that they need, and mounts the disk.
init=$work/init
mkdir -p "$init"/{bin,dev,proc,sys,mnt,modules}
cp "$(command -v busybox)" "$init/bin/busybox"
{
    echo '#!/bin/busybox sh'
    echo 'set -e'
    echo '/bin/busybox mount -t devtmpfs none /dev'
    for module in virtio_pci virtio_blk crc32c_generic ext4; do
        modprobe -d "$kernel/modules" -S "$abi" --show-depends "$module"
    done | sed -n 's/^insmod \([^ ]*\).*/\1/p' | awk '!seen[$0]++' | while read -r file; do
        cp "$file" "$init/modules/"
        echo "/bin/busybox insmod /modules/$(basename "$file")"
    done
    echo 'while [ ! -b /dev/vda ]; do /bin/busybox sleep 0.05; done'
    echo '/bin/busybox mount -t ext4 -o rw,noatime /dev/vda /mnt'
    echo 'exec /bin/busybox switch_root /mnt /sbin/init'
} >"$init/init"
chmod 755 "$init/init"
(cd "$init" && find . | cpio --quiet -o -H newc | gzip -1) >"$work/initrd"

mv "$work/disk.qcow2" "$work/initrd" "$work/id_ed25519" "$out/"
