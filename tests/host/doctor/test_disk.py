"""Disks and cards: room, rights, and what the kernel tells of their health."""

import os
from pathlib import Path

import pytest

from host.doctor import disk
from host.doctor.disk import DiskFacts
from host.doctor.roots import Roots
from tests.support.disk import small_disk

WELL = DiskFacts(Path("/var/lib/motcua"), free_mb=9000, inodes_free=100_000, read_only=False, source="/dev/mmcblk0p2")


def changed(**changes: object) -> DiskFacts:
    """Return a disk that is well, but for these."""
    return DiskFacts(**({name: getattr(WELL, name) for name in DiskFacts.__slots__} | changes))


@pytest.mark.parametrize(
    ("facts", "found"),
    [
        (WELL, [("disk-room", "ok")]),
        (changed(free_mb=499), [("disk-low", "warning")]),
        (changed(free_mb=49), [("disk-full", "problem")]),
        (changed(inodes_free=999), [("disk-room", "ok"), ("disk-files", "problem")]),
        (changed(inodes_free=None), [("disk-room", "ok")]),
        (changed(read_only=True), [("disk-room", "ok"), ("disk-read-only", "problem")]),
        (changed(in_memory=True), [("disk-room", "ok"), ("disk-memory", "problem")]),
        (changed(errors=0), [("disk-room", "ok")]),
        (changed(errors=3), [("disk-room", "ok"), ("disk-errors", "problem")]),
        (changed(worn_percent=80, spare_used=1), [("disk-room", "ok"), ("disk-wear", "ok")]),
        (changed(worn_percent=90), [("disk-room", "ok"), ("disk-worn", "warning")]),
        (changed(worn_percent=10, spare_used=2), [("disk-room", "ok"), ("disk-worn", "warning")]),
        (changed(worn_percent=110), [("disk-room", "ok"), ("disk-worn", "problem")]),
        (changed(worn_percent=10, spare_used=3), [("disk-room", "ok"), ("disk-worn", "problem")]),
    ],
)
def test_a_disk_is_judged(facts: DiskFacts, found: list[tuple[str, str]]) -> None:
    """Room, files, rights and health each have a line, when there is something to say."""
    assert [(each.code, each.level) for each in disk.judge(facts)] == found


def test_a_full_disk_is_seen_as_it_is(tmp_path: Path) -> None:
    """A real disk without a free block has none here either; a folder not made yet is judged by the one above it."""
    with small_disk(tmp_path / "card", kilobytes=512) as card:
        card.fill()
        found = disk.probe(card.folder / "motcua" / "rating", Roots())
    assert found.free_mb == 0
    assert (found.source, found.in_memory) == ("tmpfs", True)
    assert not found.read_only


OVERLAY = "22 1 0:30 / / rw - overlay overlayroot rw,lowerdir=/media/root-ro,upperdir={upper}/overlay,workdir=/work\n"
MEMORY = "23 22 0:31 / /media/root-rw rw - tmpfs tmpfs-root rw\n"
CARD = "24 22 179:2 / /media/card rw - ext4 /dev/mmcblk0p2 rw\n"


@pytest.mark.parametrize(
    ("mounts", "cmdline", "in_memory"),
    [
        (OVERLAY.format(upper="/media/root-rw") + MEMORY + CARD, "overlayroot=tmpfs", True),
        (OVERLAY.format(upper="/media/card") + MEMORY + CARD, "", False),
        (OVERLAY.format(upper="/upper"), "quiet boot=overlay", True),
        ("22 1 179:2 / / rw - ext4 /dev/mmcblk0p2 rw\n" + MEMORY, "overlayroot=tmpfs:recurse=0", False),
    ],
    ids=["overlay on memory", "overlay on a card", "overlay of an older Pi", "a card beside the overlay"],
)
def test_a_folder_that_is_gone_with_the_power_is_seen(
    tmp_path: Path, mounts: str, cmdline: str, in_memory: bool
) -> None:
    """An overlay is as lasting as what it writes to: on memory a press would be called stored and be lost."""
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/mountinfo").write_text(mounts)
    (tmp_path / "proc/cmdline").write_text(cmdline + "\n")
    roots = Roots(proc=tmp_path / "proc", sys=tmp_path / "sys")
    assert disk.probe(Path("/var/lib"), roots).in_memory is in_memory


def test_a_card_s_own_word_is_read(tmp_path: Path) -> None:
    """From a folder the way leads by its mount to its card: errors of ext4, life and spare blocks."""
    folder = tmp_path / "var"
    folder.mkdir()
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/mountinfo").write_text(
        "22 1 179:1 / / rw shared:1 - ext4 /dev/mmcblk0p1 rw\n"
        f"23 22 179:2 / {folder} rw,noatime shared:2 - ext4 /dev/mmcblk0p2 rw\n"
    )
    block = tmp_path / "sys/devices/mmc/block/mmcblk0"
    (block / "mmcblk0p2").mkdir(parents=True)
    (block / "mmcblk0p2/partition").write_text("2\n")
    (block / "device").mkdir()
    (block / "device/life_time").write_text("0x02 0x09\n")
    (block / "device/pre_eol_info").write_text("0x01\n")
    (tmp_path / "sys/dev/block").mkdir(parents=True)
    (tmp_path / "sys/dev/block/179:2").symlink_to(block / "mmcblk0p2")
    (tmp_path / "sys/fs/ext4/mmcblk0p2").mkdir(parents=True)
    (tmp_path / "sys/fs/ext4/mmcblk0p2/errors_count").write_text("4\n")
    found = disk.probe(folder, Roots(proc=tmp_path / "proc", sys=tmp_path / "sys"))
    assert (found.source, found.errors, found.worn_percent, found.spare_used) == ("/dev/mmcblk0p2", 4, 90, 1)


def test_a_read_only_disk_is_seen(tmp_path: Path) -> None:
    """The kernel's flag is believed: trying to write would be the wrong way to ask."""

    def statvfs(path: Path) -> os.statvfs_result:
        whole = list(os.statvfs(path))
        whole[8] |= os.ST_RDONLY
        return os.statvfs_result(whole)

    assert disk.probe(tmp_path, Roots(), statvfs=statvfs).read_only
