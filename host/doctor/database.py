"""An SQLite file while others use it: opened read-only, checked within a time, closed again."""

import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

CHECK_S = 8.0
"""A long look keeps the file's log from being emptied; a bigger database is not looked through whole."""

LARGE_MB = 300
"""More than a card reads in that time; SQLite before 3.41 cannot be interrupted in the middle of it."""

_EVERY = 1000  # steps of SQLite's machine: well below a millisecond


@dataclass(frozen=True, slots=True)
class DatabaseFacts:
    """What a look into a file gave; `fault` says why there was none."""

    path: Path
    exists: bool
    size_mb: float = 0.0
    quick_check: str | None = None
    """SQLite's own word, "ok" when whole; None when there was not enough time."""
    answers: dict[str, Any] = field(default_factory=dict)
    fault: str = ""


def probe(
    path: Path, questions: dict[str, str], *, check_s: float = CHECK_S, large_mb: float = LARGE_MB
) -> DatabaseFacts:
    """Ask each question, which gives one value, then let SQLite look through the file."""
    try:
        if not path.exists():
            return DatabaseFacts(path, exists=False)
    except OSError as error:  # of a folder that is not for this user
        return DatabaseFacts(path, exists=True, fault=(error.strerror or str(error)).lower())
    log = path.with_name(path.name + "-wal")
    size_mb = sum(each.stat().st_size for each in (path, log) if each.exists()) / 1_048_576
    # Without a log nobody writes: `immutable` then makes no file beside it, also where this user may not.
    mode = "mode=ro" if log.exists() else "mode=ro&immutable=1"
    answers: dict[str, Any] = {}
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?{mode}", uri=True, timeout=2)) as database:
            for name, question in questions.items():
                row = database.execute(question).fetchone()
                answers[name] = row[0] if row else None
            said = _quick_check(database, check_s) if size_mb <= large_mb else None
    except sqlite3.Error as error:
        return DatabaseFacts(path, exists=True, size_mb=size_mb, answers=answers, fault=str(error))
    return DatabaseFacts(path, exists=True, size_mb=size_mb, quick_check=said, answers=answers)


def _quick_check(database: sqlite3.Connection, limit_s: float) -> str | None:
    deadline = time.monotonic() + limit_s
    database.set_progress_handler(lambda: time.monotonic() >= deadline, _EVERY)
    try:
        rows: Sequence[tuple[str]] = database.execute("PRAGMA quick_check(1)").fetchall()
    except sqlite3.OperationalError as error:
        if "interrupt" in str(error):
            return None
        raise
    return rows[0][0] if rows else None
