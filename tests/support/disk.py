"""A small file system of its own that can be filled: what a full disk really does, not what we think it does."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


class SmallDisk:
    """A mounted tmpfs of a few hundred kilobytes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self) -> None:
        """Leave no block free."""
        with self._ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(bytes(4096)):
                pass
        assert os.statvfs(self.folder).f_bavail == 0

    def free(self) -> None:
        """Give the room back."""
        self._ballast.unlink()


@contextlib.contextmanager
def small_disk(folder: Path, *, kilobytes: int) -> Iterator[SmallDisk]:
    """Mount a disk of this size on a new folder; skips the test where that is not allowed."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root: sudo make test")
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no right to mount a tmpfs here: {done.stderr.strip()}")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


class DyingCard:
    """A mounted ext4 file system that the kernel makes read-only, as it does when a card fails under it."""

    def __init__(self, folder: Path, image: Path) -> None:
        self.folder, self._image = folder, image
        self._device = ""

    def mount(self) -> None:
        """Put it in."""
        attached = _run("losetup", "--find", "--show", str(self._image))
        if attached.returncode:
            pytest.skip(f"no loop device here: {attached.stderr.strip()}")
        self._device = attached.stdout.strip()
        mounted = _run("mount", "-t", "ext4", "-o", "errors=remount-ro", self._device, str(self.folder))
        if mounted.returncode:
            self.remove()
            pytest.skip(f"no right to mount ext4 here: {mounted.stderr.strip()}")

    def fail(self) -> None:
        """Fail as the kernel's own test does: what is open stays open, and nothing can be written any more."""
        trigger = Path("/sys/fs/ext4", Path(self._device).name, "trigger_fs_error")
        if not trigger.exists():
            pytest.skip(f"this kernel cannot make ext4 fail: {trigger} is missing")
        trigger.write_text("1")

    def remove(self) -> None:
        """Take it out."""
        _run("umount", str(self.folder))
        if self._device:
            _run("losetup", "--detach", self._device)
            self._device = ""

    def mend(self) -> None:
        """Take it out, repair it, put it in again, as a boot does."""
        self.remove()
        done = _run("e2fsck", "-p", str(self._image))
        assert done.returncode in (0, 1), done.stdout
        self.mount()


@contextlib.contextmanager
def dying_card(folder: Path) -> Iterator[DyingCard]:
    """Mount a card on a new folder; skips the test where that is not allowed."""
    if os.geteuid() != 0:
        pytest.skip("mounting a card needs root: sudo make test")
    image = folder.with_name(folder.name + ".img")
    with image.open("wb") as file:
        file.truncate(16 * 1024 * 1024)
    try:
        made = _run("mkfs.ext4", "-q", str(image))
    except FileNotFoundError:
        pytest.skip("mkfs.ext4 is missing: sudo apt install e2fsprogs")
    assert made.returncode == 0, made.stderr
    folder.mkdir()
    card = DyingCard(folder, image)
    card.mount()
    try:
        yield card
    finally:
        card.remove()


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)
