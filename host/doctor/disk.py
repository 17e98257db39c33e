"""Where things are kept: room, rights to write, and what the kernel says of a card's health."""

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from host.doctor.finding import Finding, ok, problem, warning
from host.doctor.roots import Roots, number_of, text_of

LOW_MB = 500
FULL_MB = 50
_FEW_INODES = 1_000
_OF_MEMORY = {"tmpfs", "ramfs"}
_MIB = 1024 * 1024
_REPLACE = "copy what matters and replace it soon (docs/guide/operator.md)"


@dataclass(frozen=True, slots=True)
class DiskFacts:
    """One folder and the file system that it is on; None is what this hardware does not tell."""

    folder: Path
    free_mb: int
    inodes_free: int | None
    read_only: bool
    source: str = ""
    in_memory: bool = False
    """Whether it is gone with the power: a tmpfs, or an overlay that writes to one."""
    errors: int | None = None
    """What ext4 has counted since the file system was made or last mended."""
    worn_percent: int | None = None
    """By the card's own word (JEDEC eMMC 5.1, life time estimation), in steps of ten."""
    spare_used: int | None = None
    """Its pre-end-of-life word: 1 normal, 2 most of the spare blocks are used, 3 nearly all."""


def probe(folder: Path, roots: Roots, *, statvfs: Callable[[Path], os.statvfs_result] = os.statvfs) -> DiskFacts:
    """Look at the file system of a folder, or of the nearest above it that is there."""
    there = next((each for each in (folder, *folder.parents) if each.exists()), Path("/"))
    stat = statvfs(there)
    mount = _mounted(there, roots)
    block = _block(mount, roots)
    disk = block.parent if block is not None and (block / "partition").exists() else block
    worn = [int(word, 16) * 10 for word in (text_of(disk / "device/life_time") or "").split()] if disk else []
    return DiskFacts(
        folder=folder,
        free_mb=stat.f_bavail * stat.f_frsize // _MIB,
        inodes_free=stat.f_favail if stat.f_files else None,
        read_only=bool(stat.f_flag & os.ST_RDONLY),
        source=mount.source,
        in_memory=_in_memory(mount, roots),
        errors=number_of(roots.sys / "fs/ext4" / block.name / "errors_count") if block else None,
        worn_percent=max(worn) if any(worn) else None,
        spare_used=number_of(disk / "device/pre_eol_info", base=16) if disk else None,
    )


def judge(facts: DiskFacts) -> Sequence[Finding]:
    """Judge the room and the health of a disk or card."""
    where = f"{facts.folder} on {facts.source}" if facts.source else str(facts.folder)
    found = [_room(facts, where)]
    if facts.inodes_free is not None and facts.inodes_free < _FEW_INODES:
        found.append(
            problem(
                "disk-files",
                f"{where} has room for {facts.inodes_free} more files only",
                "find the folder with very many small files and empty it: sudo du --inodes -xd2 / | sort -n | tail",
            )
        )
    if facts.read_only:
        found.append(
            problem(
                "disk-read-only",
                f"{where} is mounted read-only: nothing can be stored",
                "if it became so by itself, the card or disk fails: dmesg tells; " + _REPLACE,
            )
        )
    if facts.in_memory:
        found.append(
            problem(
                "disk-memory",
                f"{where} is kept in memory: all that is stored there is gone with the power",
                "mount a card or disk there: docs/guide/install.md, A card that nobody writes",
            )
        )
    if facts.errors:
        found.append(
            problem("disk-errors", f"{facts.source} has had {facts.errors} errors of its file system", _REPLACE)
        )
    worn = f"{facts.source} says of itself that {facts.worn_percent} % of its life is used"
    if (facts.worn_percent or 0) > 100 or (facts.spare_used or 0) >= 3:
        found.append(problem("disk-worn", f"{facts.source} says of itself that it is at its end", _REPLACE))
    elif (facts.worn_percent or 0) >= 90 or facts.spare_used == 2:
        found.append(warning("disk-worn", worn, "plan its replacement"))
    elif facts.worn_percent is not None:
        found.append(ok("disk-wear", worn))
    return found


def _room(facts: DiskFacts, where: str) -> Finding:
    if facts.free_mb < FULL_MB:
        return problem(
            "disk-full",
            f"{where}: {facts.free_mb} MB free",
            "free some: sudo journalctl --vacuum-size=200M; then docs/guide/operator.md, The disk is full",
        )
    if facts.free_mb < LOW_MB:
        return warning(
            "disk-low",
            f"{where}: {facts.free_mb} MB free",
            "free some before it is full: sudo du -xh --max-depth=2 / | sort -h | tail",
        )
    return ok("disk-room", f"{where}: {facts.free_mb} MB free")


@dataclass(frozen=True, slots=True)
class _Mount:
    """A line of proc_pid_mountinfo(5)."""

    numbers: str = ""
    kind: str = ""
    source: str = ""
    options: str = ""


def _mounted(folder: Path, roots: Roots) -> _Mount:
    """Return what is mounted where a folder is."""
    depth, best = -1, _Mount()
    real = folder.resolve()
    for line in (text_of(roots.proc / "self/mountinfo") or "").splitlines():
        left, _, right = line.partition(" - ")
        words, more = left.split(), right.split()
        if len(words) < 5 or len(more) < 2:
            continue
        point = Path(words[4].replace(r"\040", " "))
        if real.is_relative_to(point) and len(point.parts) >= depth:
            depth, best = len(point.parts), _Mount(words[2], *more[:3])
    return best


def _block(mount: _Mount, roots: Roots) -> Path | None:
    """Return the kernel's folder of the block device below a mount."""
    link = roots.sys / "dev/block" / mount.numbers
    return link.resolve() if mount.numbers and link.exists() else None


def _in_memory(mount: _Mount, roots: Roots) -> bool:
    if mount.kind != "overlay":
        return mount.kind in _OF_MEMORY
    upper = re.search(r"(?:^|,)upperdir=([^,]+)", mount.options)
    if upper is not None and _mounted(Path(upper[1]), roots).kind in _OF_MEMORY:
        return True
    # An older Pi's overlay writes to a folder that only its first stage of the start could see.
    return "boot=overlay" in (text_of(roots.proc / "cmdline") or "").split()
