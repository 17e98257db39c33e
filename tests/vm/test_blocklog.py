import random
import struct
from pathlib import Path

import pytest

from tests.vm.blocklog import SECTOR, Entry, Medium, cuts, read

HEAD = struct.pack("<QQQI", 0x6A736677736872, 1, 3, 512).ljust(SECTOR, b"\0")
FLUSH = Entry(0, b"", flush=True)


def entry(sector: int, sectors: int, flags: int = 0) -> bytes:
    """Return the sector in front of an entry's data."""
    return struct.pack("<QQQQ", sector, sectors, flags, 0).ljust(SECTOR, b"\0")


def write(sector: int, letter: str) -> Entry:
    """Return a write of one sector."""
    return Entry(sector, letter.encode() * SECTOR)


def letters(medium: Medium, sectors: int, folder: Path) -> str:
    """Return what is on a disk, one letter a sector, a dot for zeros."""
    file = folder / "disk"
    medium.save(file, sectors * SECTOR)
    data = file.read_bytes()
    assert len(data) == sectors * SECTOR
    return "".join(chr(data[at] or ord(".")) for at in range(0, len(data), SECTOR))


def test_a_log_is_read_up_to_what_was_written_last(tmp_path: Path) -> None:
    """Writes and flushes come out of a block log in their order; the unused end of its file is no entry."""
    log = tmp_path / "log"
    log.write_bytes(HEAD + entry(7, 2) + b"a" * 1024 + entry(0, 0, 1) + entry(0, 1) + b"b" * 512 + bytes(4096))
    assert read(log) == [Entry(7, b"a" * 1024), FLUSH, Entry(0, b"b" * 512)]


@pytest.mark.parametrize("content", [bytes(4096), HEAD + entry(3, 8, 4)])
def test_a_log_that_says_something_unknown_is_refused(content: bytes, tmp_path: Path) -> None:
    """What is no block log, or discards sectors, is not taken for a disk on which nothing was written."""
    log = tmp_path / "log"
    log.write_bytes(content)
    with pytest.raises(ValueError, match="log"):
        read(log)


def test_a_disk_has_what_was_written_last_and_zeros_elsewhere(tmp_path: Path) -> None:
    """Sectors keep their place across pages, and the later write of a sector wins."""
    medium = Medium()
    medium.write(6, b"a" * SECTOR * 4)
    medium.write(7, b"b" * SECTOR)
    assert letters(medium, 12, tmp_path) == "......abaa.."


def test_a_cut_leaves_all_that_was_flushed_and_any_part_of_the_rest(tmp_path: Path) -> None:
    """What was written before the last flush is there after every cut; what came later is there at times."""
    entries = [write(0, "a"), write(1, "b"), FLUSH, write(0, "c"), write(2, "d")]
    seen = set()
    for seed in range(50):
        for cut in cuts(entries, [5, 5, 5], random.Random(seed)):  # noqa: S311 - for no secret
            seen.add((cut.left == "nothing", letters(cut.medium, 4, tmp_path)))
            assert (cut.point, cut.flushed) == (5, 2)
    assert seen == {(True, "ab.."), (False, "ab.."), (False, "cb.."), (False, "abd."), (False, "cbd.")}


def test_a_cut_knows_nothing_of_what_came_after_it(tmp_path: Path) -> None:
    """A point in the log stands for all entries before it and none behind."""
    entries = [write(0, "a"), FLUSH, write(0, "b"), FLUSH]
    found = [letters(cut.medium, 1, tmp_path) for cut in cuts(entries, [0, 1, 2, 2, 4], random.Random(1))]  # noqa: S311
    assert found[:1] == ["."]
    assert found[2:] == ["a", "a", "b"]


def test_a_disk_that_forgets_a_flush_keeps_only_what_an_earlier_one_saved(tmp_path: Path) -> None:
    """A disk can be made to lie about some flushes, so that a check is seen to find what is missing."""
    entries = [write(0, "a"), FLUSH, write(0, "b"), FLUSH]
    (cut,) = cuts(entries, [4], random.Random(1), forgets={3})  # noqa: S311 - for no secret
    assert (cut.left, letters(cut.medium, 1, tmp_path)) == ("nothing", "a")
