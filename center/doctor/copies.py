"""Copies of the store: whether there are any, and how old the newest is."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from host.doctor.finding import Finding, ok, problem, warning

FOLDER = Path("/var/backups/motcua-center")
"""Where the guide's nightly copy goes."""

LATE = timedelta(days=2)
OLD = timedelta(days=14)
_SET_UP = "set the nightly copy up: docs/guide/operator.md, Backup"


@dataclass(frozen=True, slots=True)
class CopyFacts:
    """The folder of copies, and the newest one in it."""

    folder: Path
    there: bool
    newest: datetime | None = None
    size: int = 0
    fault: str = ""


def probe(folder: Path = FOLDER) -> CopyFacts:
    """Look for the newest copy by its date, not into it."""
    try:
        if not folder.is_dir():
            return CopyFacts(folder, there=False)
        found = max((each.stat() for each in folder.glob("center-*.db")), key=lambda one: one.st_mtime, default=None)
        next(folder.iterdir(), None)  # glob() is silent where the folder may not be read
    except OSError as error:
        return CopyFacts(folder, there=True, fault=(error.strerror or str(error)).lower())
    if found is None:
        return CopyFacts(folder, there=True)
    return CopyFacts(folder, there=True, newest=datetime.fromtimestamp(found.st_mtime, UTC), size=found.st_size)


def judge(facts: CopyFacts, *, now: datetime) -> Sequence[Finding]:
    """Judge how much would be lost with the disk."""
    if facts.fault:
        return [warning("copies-unread", f"{facts.folder}: {facts.fault}", "run this with sudo")]
    if facts.newest is None:
        why = "has no copy in it" if facts.there else "is not there"
        return [warning("copies-none", f"no copy of the store is known of: {facts.folder} {why}", _SET_UP)]
    age = now - facts.newest
    said = f"the newest copy in {facts.folder} is of {facts.newest:%Y-%m-%d %H:%M} UTC"
    if not facts.size:
        return [problem("copies-empty", f"{said}, and empty", "journalctl -u motcua-backup says why")]
    if age > OLD:
        return [problem("copies-old", f"{said}: {age.days} days old", "journalctl -u motcua-backup says why")]
    if age > LATE:
        return [warning("copies-late", f"{said}: {age.days} days old", "systemctl list-timers motcua-backup.timer")]
    return [ok("copies", said)]
