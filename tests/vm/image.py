"""The virtual machine's image: kernel, disk and a snapshot of the booted machine, made once and kept in `.cache/vm`."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.vm.machine import HARDWARE, Machine

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
CACHE = ROOT / ".cache" / "vm"
PROGRAMS = {
    "qemu-system-x86_64": "qemu-system-x86",
    "qemu-img": "qemu-utils",
    "mmdebstrap": "mmdebstrap",
    "modprobe": "kmod",
    "busybox": "busybox-static",
    "cpio": "cpio",
    "mke2fs": "e2fsprogs",
    "ssh": "openssh-client",
    "gcc": "gcc",
    "make": "make",
    "xz": "xz-utils",
    "git": "git",
    "mosquitto": "mosquitto",
    "setpriv": "util-linux",
}
"""What the rig starts → the Debian package that has it."""
HOW = "sudo make system-packages"


class UnavailableError(Exception):
    """This machine cannot run the rig; the message says what is missing and how to get it."""


@dataclass(frozen=True, slots=True)
class Image:
    """Files that Machine starts from; `disk` holds the snapshot `booted`."""

    kernel: Path
    initrd: Path
    disk: Path
    key: Path


def ready() -> Image:
    """Return the image of this kernel version and these scripts, made now where the cache has it not."""
    missing = sorted({package for program, package in PROGRAMS.items() if _which(program) is None})
    if missing:
        raise UnavailableError(f"the virtual machine needs {', '.join(missing)}: {HOW}")
    abi, version = _kernel_package()
    kernel_key = digest(version, HERE / "recipe" / "kernel.sh")
    disk_key = digest(kernel_key, HERE / "recipe" / "rootfs.sh", *sorted((HERE / "recipe" / "board").rglob("*")))
    booted_key = digest(disk_key + " ".join(HARDWARE) + _qemu_version())
    with locked():
        kernel = stage("kernel", kernel_key, lambda out: _script("kernel.sh", abi, str(out)))
        disk = stage("disk", disk_key, lambda out: _make_disk(kernel, out))
        booted = stage("booted", booted_key, lambda out: _boot_once(kernel, disk, out))
    return Image(kernel / "vmlinuz", disk / "initrd", booted / "disk.qcow2", disk / "id_ed25519")


def libcamera(fill: Callable[[Path], None], needs: str) -> Path:
    """Return the root of a Debian 13 with libcamera's virtual camera; `fill` adds to a fresh one what it needs."""
    if os.geteuid() != 0:
        raise UnavailableError("another Debian is made, and entered, as root: sudo make test-vm")
    missing = sorted({PROGRAMS[program] for program in ("mmdebstrap", "gcc") if _which(program) is None})
    if missing or _which("apt-get") is None:
        raise UnavailableError(f"another Debian needs {', '.join(missing) or 'apt'}: {HOW}")
    key = digest(needs, HERE / "recipe" / "libcamera.sh", *sorted((HERE / "recipe" / "libcamera").iterdir()))

    def make(out: Path) -> None:
        try:
            _script("libcamera.sh", str(out))
            fill(out / "root")
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            raise UnavailableError(f"another Debian could not be had: {error}") from error

    with locked():
        return stage("libcamera", key, make) / "root"


def _make_disk(kernel: Path, out: Path) -> None:
    if os.geteuid() != 0:
        raise UnavailableError("the virtual machine's disk is made as root, once: sudo make test-vm")
    _script("rootfs.sh", str(kernel), str(out))


def _boot_once(kernel: Path, disk: Path, out: Path) -> None:
    """Boot the disk until systemd is at rest and keep that moment, memory and all, inside a copy of the disk."""
    out.mkdir()
    copy = out / "disk.qcow2"
    shutil.copyfile(disk / "disk.qcow2", copy)
    image = Image(kernel / "vmlinuz", disk / "initrd", copy, disk / "id_ed25519")
    with tempfile.TemporaryDirectory(prefix="motcua-vm-") as folder:
        machine = Machine(image.kernel, image.initrd, image.disk, image.key, Path(folder))
        machine.start(timeout_s=300)
        try:
            machine.run("systemctl is-system-running --wait && sync", timeout_s=180)
            machine.close_login()
            machine.monitor(f"savevm {Machine.SNAPSHOT}")
        finally:
            machine.stop()


def stage(name: str, key: str, make: Callable[[Path], None]) -> Path:
    """Return `.cache/vm/<name>-<key>`; where it is missing, make it whole or not at all and remove its predecessors."""
    made = CACHE / f"{name}-{key}"
    if made.is_dir():
        return made
    draft = CACHE / f"draft-{name}-{key}"
    shutil.rmtree(draft, ignore_errors=True)
    started = time.monotonic()
    make(draft)
    _give_to_owner(draft)
    draft.rename(made)
    for old in CACHE.glob(f"{name}-*"):
        if old != made:
            shutil.rmtree(old)
    print(f"made the virtual machine's {name} in {time.monotonic() - started:.0f} s", file=sys.stderr)
    return made


def _give_to_owner(folder: Path) -> None:
    """Let whoever owns the work tree use what root has made, the key above all."""
    if os.geteuid() == 0:
        owner = ROOT.stat()
        for path in (CACHE.parent, CACHE, CACHE / "lock", folder, *folder.rglob("*")):
            os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


def _script(name: str, *arguments: str) -> None:
    log = CACHE / f"{name}.log"
    with log.open("wb") as output:
        code = subprocess.run(
            ["bash", HERE / "recipe" / name, *arguments],
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PATH": _path()},
            timeout=900,
        ).returncode
    if code:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        raise RuntimeError(f"{name} ended with {code}; a stale package list is mended by: sudo apt-get update\n{tail}")


def _kernel_package() -> tuple[str, str]:
    """Return the ABI name and the version of the kernel that Debian 12 gives out now."""
    release = Path("/etc/os-release").read_text()
    if "VERSION_CODENAME=bookworm" not in release or _which("apt-cache") is None:
        raise UnavailableError(
            "the virtual machine's image is made from the packages of Debian 12 (bookworm), on Debian 12"
        )
    fields = dict(
        line.split(": ", 1)
        for line in reversed(_output("apt-cache", "--no-all-versions", "show", "linux-image-amd64").splitlines())
        if line.startswith(("Depends: ", "Version: "))
    )
    if not fields:
        raise UnavailableError(f"apt knows no linux-image-amd64 for the virtual machine: {HOW}")
    return fields["Depends"].split()[0].removeprefix("linux-image-"), fields["Version"]


def _qemu_version() -> str:
    return _output("qemu-system-x86_64", "--version").splitlines()[0]


def _output(*command: str) -> str:
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60).stdout


def _which(program: str) -> str | None:
    return shutil.which(program, path=_path())


def _path() -> str:
    return os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"  # where a user's PATH does not look


def digest(start: str, *files: Path) -> str:
    """Name a content: the text and each file's name, mode and bytes; a missing file and a folder count as nothing."""
    total = hashlib.sha256(start.encode())
    for file in files:
        if file.is_file():
            total.update(f"\0{file.relative_to(ROOT)}\0{file.stat().st_mode:o}\0".encode() + file.read_bytes())
    return total.hexdigest()[:16]


@contextmanager
def locked() -> Iterator[None]:
    """Let one test run at a time make what the cache lacks; the others wait for it."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
