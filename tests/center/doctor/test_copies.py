"""Copies of the store: how much would be lost with the disk."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from center.doctor import copies

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)


def copy(folder: Path, name: str, age: timedelta, content: bytes = b"SQLite") -> None:
    """Make a copy of some age."""
    file = folder / name
    file.write_bytes(content)
    at = (NOW - age).timestamp()
    os.utime(file, (at, at))


@pytest.mark.parametrize(
    ("age", "found"),
    [
        (timedelta(hours=31), ("copies", "ok")),
        (timedelta(hours=49), ("copies-late", "warning")),
        (timedelta(days=15), ("copies-old", "problem")),
    ],
)
def test_the_newest_copy_counts(tmp_path: Path, age: timedelta, found: tuple[str, str]) -> None:
    """A nightly copy is at most two days old, one that failed a night included."""
    copy(tmp_path, "center-new.db", age)
    copy(tmp_path, "center-old.db", timedelta(days=20))
    copy(tmp_path, "other.txt", timedelta(0))
    (finding,) = copies.judge(copies.probe(tmp_path), now=NOW)
    assert (finding.code, finding.level) == found


def test_no_copy_is_a_warning(tmp_path: Path) -> None:
    """No folder, an empty folder, and an empty file are no copies."""
    for folder, code in ((tmp_path / "none", "copies-none"), (tmp_path, "copies-none")):
        assert [each.code for each in copies.judge(copies.probe(folder), now=NOW)] == [code]
    copy(tmp_path, "center-1.db", timedelta(0), b"")
    assert [each.code for each in copies.judge(copies.probe(tmp_path), now=NOW)] == ["copies-empty"]
