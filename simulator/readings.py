"""What the center's database says, read with sqlite3 and nothing of the center's own code."""

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

import msgspec

from simulator.ear import Ear
from simulator.report import Stored, StoredEvent, StoredRating, StoredTicket

GIVEN = "vn.motcua.rating.given.v1"


class _QueueEvent(msgspec.Struct):
    event: str
    ticket: str | None = None
    counter: str | None = None


def newest_incidents(database: Path, limit: int = 3) -> dict[str, Any]:
    """Return how many incidents a center knows, and the newest: kind, began (ms of the epoch), whether it goes on."""
    try:
        with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=0.2)) as db:
            (count,) = db.execute("SELECT count(*) FROM incident").fetchone()
            newest = db.execute(
                "SELECT kind, began_at, ended_at FROM incident ORDER BY began_at DESC LIMIT ?", (limit,)
            )
            rows = [{"kind": kind, "began": began, "on": ended is None} for kind, began, ended in newest]
            return {"count": count, "newest": rows}
    except sqlite3.OperationalError:  # not made yet, or busy
        return {"count": 0, "newest": []}


def read_store(database: Path, ear: Ear) -> Stored:
    """Read tickets, queue events and ratings of a center that has stopped."""
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as db:
        tickets = [
            StoredTicket(id=ticket, number=number, state=state)
            for ticket, number, state in db.execute("SELECT id, number, state FROM ticket")
        ]
        bodies = [
            msgspec.json.decode(body, type=_QueueEvent)
            for (body,) in db.execute("SELECT body FROM queue_event ORDER BY seq")
        ]
        where = {
            event: (stream, int(sequence))
            for event, stream, sequence in db.execute(
                "SELECT id, stream, sequence FROM device_event WHERE type = ?", (GIVEN,)
            )
        }
        ratings = []
        for event, ticket, level in db.execute("SELECT id, ticket, level FROM rating"):
            place = where.get(event)  # a tablet's rating is no device's event
            heard = ear.acknowledged_ns(event=event, stream=place[0], sequence=place[1]) if place else None
            ratings.append(StoredRating(ticket=ticket, level=int(level), acknowledged_ns=heard))
        (quarantined,) = db.execute("SELECT count(*) FROM quarantine").fetchone()
    return Stored(
        tickets=tickets,
        events=[
            StoredEvent(kind=body.event, ticket=body.ticket, counter=body.counter) for body in bodies if body.ticket
        ],
        ratings=ratings,
        quarantined=int(quarantined),
    )
