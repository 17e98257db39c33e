"""The audit log: who did what to what, in a chain of hashes that shows every entry that was changed or taken out.

An entry's hash is SHA-256 of the JSON array `[seq, at, actor, action, object, detail, previous]`, UTF-8 without spaces;
`previous` is the hash of the entry before, and 64 zeros for the first. Whoever can write the file could make the whole
chain anew: therefore its head goes to the journal at every start and once a day, and `verify` compares with one.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec
import sqlalchemy as sa

from center.storage.tables import audit

FIRST = "0" * 64
"""What stands before the first entry."""

_HEAD = re.compile(r"(\d{1,18}):([0-9a-f]{64})", re.ASCII)
_encode = msgspec.json.Encoder().encode


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was done, or refused to a person. What is longer than its column is cut.

    `actor`: `person:NAME`, `http:ADDRESS` before anybody is known, `technician` for the command line, `center` for the
    program itself. `action`: a past event in a word, as `login_failed`, `desk_taken_over`, `key_revoked`.
    `object`: what it was done to. `detail`: a few words; never a password, a token or a citizen's data.
    """

    at: int
    actor: str
    action: str
    object: str = ""
    detail: str = ""


class Written(Entry, frozen=True, kw_only=True):
    """An entry as it stands in the log."""

    seq: int


@dataclass(frozen=True, slots=True)
class Head:
    """How long the chain is, and the hash of its last entry; in the journal as `SEQ:HASH`."""

    seq: int
    hash: str

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash}"


@dataclass(frozen=True, slots=True)
class Broken:
    """The first entry that is not as it was written, and why."""

    seq: int
    why: str


def append(connection: sa.Connection, *entries: Entry) -> None:
    """Add entries in the transaction of what they tell of: inside `Hall.transact`, so that both happen or neither."""
    last = head(connection)
    rows = []
    for entry in entries:
        row = {
            "seq": last.seq + 1,
            "at": entry.at,
            "actor": entry.actor[:80],
            "action": entry.action[:40],
            "object": entry.object[:200],
            "detail": entry.detail[:500],
            "previous": last.hash,
        }
        row["hash"] = _hash(row)
        rows.append(row)
        last = Head(last.seq + 1, str(row["hash"]))
    if rows:
        connection.execute(sa.insert(audit), rows)


def head(connection: sa.Connection) -> Head:
    """Return where the chain ends."""
    row = connection.execute(sa.select(audit.c.seq, audit.c.hash).order_by(audit.c.seq.desc()).limit(1)).first()
    return Head(row.seq, row.hash) if row else Head(0, FIRST)


def newest(connection: sa.Connection, before: int | None, count: int) -> list[Written]:
    """Return the last entries, newest first; `before` goes further back from an entry's number."""
    columns = (audit.c.seq, audit.c.at, audit.c.actor, audit.c.action, audit.c.object, audit.c.detail)
    query = sa.select(*columns).order_by(audit.c.seq.desc()).limit(count)
    if before is not None:
        query = query.where(audit.c.seq < before)
    return [Written(**row) for row in connection.execute(query).mappings()]


def parse_head(text: str) -> Head | None:
    """Read a head as the journal has it."""
    found = _HEAD.fullmatch(text.strip())
    return Head(int(found[1]), found[2]) if found else None


def verify(connection: sa.Connection, known: Iterable[Head] = ()) -> Head | Broken:
    """Read the whole chain; return its head, or its first broken entry. `known`: heads that the journal has."""
    wanted = {one.seq: one.hash for one in known if one.seq > 0}
    last = Head(0, FIRST)
    rows = connection.execution_options(yield_per=1000).execute(sa.select(audit).order_by(audit.c.seq))
    for row in rows.mappings():
        if row["seq"] != last.seq + 1:
            return Broken(last.seq + 1, f"is missing: entry {row['seq']} comes next")
        if row["previous"] != last.hash:
            return Broken(row["seq"], "does not follow from the entry before")
        if row["hash"] != _hash(row):
            return Broken(row["seq"], "was changed: its hash is not that of what it says")
        if wanted.pop(row["seq"], row["hash"]) != row["hash"]:
            return Broken(row["seq"], "is not the entry that the journal knew: the chain was made anew")
        last = Head(row["seq"], row["hash"])
    if wanted:
        return Broken(last.seq + 1, f"is missing: the journal knew {max(wanted)} entries, the log ends before")
    return last


def _hash(row: Any) -> str:
    parts = [row[name] for name in ("seq", "at", "actor", "action", "object", "detail", "previous")]
    return hashlib.sha256(_encode(parts)).hexdigest()
