"""The account's second source: what sqlite3 reads from a database that the center's own code has made."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

from center.storage.store import Store
from simulator.ear import Ear
from simulator.readings import read_store
from simulator.report import StoredEvent, StoredRating, StoredTicket

EVENT = "vn.motcua.rating.given.v1"


def test_the_centers_database_is_read_as_it_is(tmp_path: Path) -> None:
    """Tickets, queue events in order, counted ratings and quarantine come out as they stand in the tables."""
    path = tmp_path / "center.db"
    Store(f"sqlite:///{path}").close()
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(
            "INSERT INTO ticket (id, day, number, service, priority, state, issued_at, version, recalls, behind)"
            " VALUES ('t1', '2026-11-23', 'A001', 'dat-dai', 'normal', 'served', 1, 4, 0, 0)"
        )
        for seq, body in enumerate(
            [
                {"event": "day_started", "at": 1, "day": "2026-11-23"},
                {"event": "ticket_called", "at": 2, "ticket": "t1", "counter": "q01"},
                {"event": "counter_opened", "at": 3, "counter": "q01", "officer": None, "services": []},
            ]
        ):
            values = (seq, "2026-11-23", seq, json.dumps(body), "test")
            db.execute("INSERT INTO queue_event (seq, day, at, body, actor) VALUES (?, ?, ?, ?, ?)", values)
        db.execute(
            "INSERT INTO device_event (id, type, source, stream, sequence, time, clock_synced, occurred_at,"
            " received_at, body) VALUES ('e1', ?, '/bentre/q01/rating', 's1', 7, 1, 1, 1, 1, '{}')",
            (EVENT,),
        )
        for row in [("e1", "t1", 3), ("tablet-key", None, 2)]:
            db.execute(
                "INSERT INTO rating (id, ticket, counter, source, scale, level, given_at, received_at)"
                " VALUES (?, ?, 'q01', 'x', 'vn-3', ?, 1, 1)",
                row,
            )
        db.execute(
            "INSERT INTO quarantine (digest, received_at, topic, reason, size, body) VALUES ('d', 1, 't', 'r', 1, 'x')"
        )
    stored = read_store(path, Ear(1))
    assert stored.tickets == [StoredTicket(id="t1", number="A001", state="served")]
    assert stored.events == [StoredEvent(kind="ticket_called", ticket="t1", counter="q01")]
    assert stored.ratings == [
        StoredRating(ticket="t1", level=3, acknowledged_ns=None),
        StoredRating(ticket=None, level=2, acknowledged_ns=None),
    ]
    assert stored.quarantined == 1
