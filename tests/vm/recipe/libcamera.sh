#!/bin/bash
# Make a Debian 13 with libcamera, whose virtual camera Debian 12 lacks: OUT/root. Needs root, as mmdebstrap does.
#
#   libcamera.sh OUT
set -euo pipefail

here=$(dirname "$(realpath "$0")")
out=$(realpath -m "$1")
work=$(mktemp -d "$out.XXXXXX")
trap 'rm -rf "$work"' EXIT

# The mirror that this host's apt uses itself, for another suite: the rig brings no addresses of its own.
mirror=$(apt-get indextargets --format '$(ORIGIN) $(REPO_URI) $(CODENAME)' 'Created-By: Packages' |
    awk '$1 == "Debian" && $3 == "bookworm" { print $2; exit }')
apt-config dump | grep -E '^Acquire::(http|https|Check-Valid-Until|Check-Date)' >"$work/apt.conf" || true
mmdebstrap --quiet --variant=minbase --aptopt="$work/apt.conf" --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --include=python3,python3-libcamera,libcamera-ipa,python3-jsonschema,python3-pil,python3-libarchive-c,python3-piexif,python3-tqdm,python3-prctl \
    trixie "$work/root" "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie main"
root=$work/root
rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/*

install -D -m 644 "$here/libcamera/virtual.yaml" "$root/usr/share/libcamera/pipeline/virtual/virtual.yaml"
install -D -m 644 "$here/libcamera/virtual_camera.py" "$root/opt/rig/virtual_camera.py"
# Picamera2 imports what shows pictures on a screen and what writes raw ones; neither is used.
printf 'from unittest.mock import MagicMock\n\nPixelFormat = MagicMock()\n' >"$root/opt/rig/pykms.py"
mkdir -p "$root"/opt/{rig/pidng,motcua,site,scene} "$root/mnt" "$root/run/systemd/timesync"
printf 'class Picamera2Camera:\n    """None."""\n' >"$root/opt/rig/pidng/camdefs.py"
printf 'class PICAM2DNG:\n    """None."""\n' >"$root/opt/rig/pidng/core.py"
touch "$root/run/systemd/timesync/synchronized" # as timesyncd says it
gcc -shared -fPIC -O2 -Wall -Wextra -Werror -o "$root/opt/rig/buffers.so" "$here/libcamera/buffers.c" -ldl
mkdir -p "$out"
mv "$root" "$out/root"
