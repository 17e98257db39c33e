"""What QEMU recorded of a disk (`blklogwrites`), and what a power cut could have left of it.

The log has the format of Linux's dm-log-writes, little-endian, in sectors of 512 bytes:

    | head | entry | data ... | entry | data ... |
    head:  magic u64, version u64, entries u64 (so far, at the last flush), sector size u32
    entry: first sector u64, sectors u64, flags u64 (1: a flush), 0

QEMU adds an entry when the write or the flush is done, and tells the machine afterwards. What the machine began after
it had heard of something stands behind that in the log, whatever processor, process or file did it.
"""

import mmap
import random
import struct
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

SECTOR = 512
PAGE = 4096
FLUSH = 1
_MAGIC = 0x6A736677736872
_HEAD = struct.Struct("<QQQI")
_ENTRY = struct.Struct("<QQQQ")

Left = Literal["nothing", "some writes", "some pages"]
"""What became of the writes after the last flush."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One write, or a flush: then it has no data."""

    sector: int
    data: bytes
    flush: bool = False


def read(path: Path) -> list[Entry]:
    """Return a log's entries. The machine must be at rest, or the last ones may be missing."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as log:
        magic, version, _, sector = _HEAD.unpack_from(log)
        if (magic, version, sector) != (_MAGIC, 1, SECTOR):
            raise ValueError(f"{path}: is no log of writes in sectors of {SECTOR} bytes")
        entries: list[Entry] = []
        at = SECTOR
        while at + SECTOR <= len(log):
            first, sectors, flags, _ = _ENTRY.unpack_from(log, at)
            if not sectors and not flags:
                break  # the file may be longer than what is written in it
            if flags & ~FLUSH:
                raise ValueError(f"{path}: entry {len(entries)} has flags {flags}: discarding is not known here")
            at += SECTOR
            entries.append(Entry(first, log[at : at + sectors * SECTOR], bool(flags & FLUSH)))
            at += sectors * SECTOR
    return entries


class Medium:
    """The content of a disk, in pages; what was never written is zeros."""

    def __init__(self, pages: dict[int, bytes] | None = None) -> None:
        self._pages = pages or {}

    def copy(self) -> "Medium":
        """Return the same content, to be changed apart from this one."""
        return Medium(dict(self._pages))

    def write(self, sector: int, data: bytes) -> None:
        """Put sectors in place."""
        at, offset = 0, sector * SECTOR
        while at < len(data):
            page, start = divmod(offset + at, PAGE)
            piece = data[at : at + PAGE - start]
            if len(piece) < PAGE:
                old = self._pages.get(page, bytes(PAGE))
                self._pages[page] = old[:start] + piece + old[start + len(piece) :]
            else:
                self._pages[page] = piece
            at += len(piece)

    def save(self, path: Path, size: int) -> None:
        """Write a file of this content and size."""
        with path.open("wb", buffering=1 << 20) as file:
            behind = -1
            for page, data in sorted(self._pages.items()):
                if page * PAGE < size:
                    if page != behind:
                        file.seek(page * PAGE)
                    file.write(data)
                    behind = page + 1
            file.truncate(size)


@dataclass(frozen=True, slots=True)
class Cut:
    """A power cut before entry `point`: entries before `flushed` are on the medium, of the others what `left` says."""

    point: int
    flushed: int
    left: Left
    medium: Medium


def cuts(
    entries: Sequence[Entry], points: Iterable[int], chance: random.Random, *, forgets: Collection[int] = ()
) -> Iterator[Cut]:
    """Yield what power cuts can leave, for points in rising order.

    A disk keeps all that was written before its last flush. Of what came after, any part may be there: nothing here, a
    random half of the writes, or a random half of their pages (less than a page no card writes; ext4 itself could not
    stand a superblock of which half is old). `forgets` names flushes that the disk has confirmed and not done: nobody
    can stand such a disk, so it shows that a check sees what is missing.
    """
    durable, done = Medium(), 0
    last_flush = _last_flushes(entries, forgets)
    for number, point in enumerate(sorted(points)):
        flushed = max(done, last_flush[point])
        for entry in entries[done:flushed]:
            durable.write(entry.sector, entry.data)
        done = flushed
        left: Left = ("nothing", "some writes", "some pages")[number % 3]
        medium = durable.copy()
        for entry in entries[flushed:point]:
            _keep_some(medium, entry, left, chance)
        yield Cut(point, flushed, left, medium)


def _last_flushes(entries: Sequence[Entry], forgets: Collection[int]) -> list[int]:
    """Return for each point the number of the flush before it, 0 where there is none."""
    found = [0]
    for number, entry in enumerate(entries):
        found.append(number if entry.flush and number not in forgets else found[-1])
    return found


def _keep_some(medium: Medium, entry: Entry, left: Left, chance: random.Random) -> None:
    if left == "some writes" and chance.random() < 0.5:
        medium.write(entry.sector, entry.data)
    elif left == "some pages":
        at = 0
        while at < len(entry.data):
            sector = entry.sector + at // SECTOR
            length = PAGE - sector * SECTOR % PAGE
            if chance.random() < 0.5:
                medium.write(sector, entry.data[at : at + length])
            at += length
