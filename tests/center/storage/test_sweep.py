"""What was kept long enough goes, in short transactions, and nothing else."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from center.storage import sweep
from center.storage.store import Batch, Row, Store
from center.storage.sweep import FULL_MS, HEALTH, ROWS, WINDOW_MS, Bounds

NOW = 1_795_395_600_000
GIVEN = "vn.motcua.rating.given.v1"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the database is."""
    return tmp_path / "center.db"


@pytest.fixture
def store(file: Path) -> Iterator[Store]:
    """A fresh database."""
    one = Store(f"sqlite:///{file}")
    yield one
    one.close()


def rows(file: Path, query: str) -> list[Any]:
    """Read the database beside the store."""
    with closing(sqlite3.connect(file)) as database:
        return database.execute(query).fetchall()


def event(number: int, at: int, *, kind: str = HEALTH, source: str = "/c/q01/rating") -> Row:
    """Return a device event's row."""
    return {
        "id": f"e{number}", "type": kind, "source": source, "stream": "s", "sequence": number, "time": at,
        "clock_synced": True, "occurred_at": at, "received_at": at, "body": "{}",
    }  # fmt: skip


def day_row(seq: int, day: str) -> Row:
    """Return a queue event's row."""
    return {
        "seq": seq,
        "day": day,
        "at": seq,
        "body": f'{{"event":"day_started","at":1,"day":"{day}"}}',
        "actor": "test",
        "key": None,
    }


def ticket(number: int, day: str) -> Row:
    """Return a ticket's row."""
    return {
        "id": f"t{day}-{number}", "day": day, "number": f"A{number:03}", "service": "dat-dai", "priority": "normal",
        "state": "served", "issued_at": 1, "version": 1, "counter": "q01", "called_at": 1, "started_at": 1,
        "ended_at": 1, "recalls": 0, "outcome": None, "behind": 0,
    }  # fmt: skip


def rating(number: int, at: int) -> Row:
    """Return a rating's row."""
    return {
        "id": f"r{number}", "ticket": None, "counter": f"q{number % 3}", "source": "s", "scale": "vn-3", "level": 1,
        "given_at": at, "received_at": at,
    }  # fmt: skip


def nothing(**bounds: Any) -> Bounds:
    """Return bounds of which only some are set."""
    none: dict[str, Any] = {
        "tickets_before": None, "ratings_before": None, "events_before": None, "health_before": None,
        "quarantine_before": None, "alerts_before": None, "quarters_before": 0,
    }  # fmt: skip
    return Bounds(**{**none, **bounds})


def run(store: Store, bounds: Bounds) -> list[tuple[str, int]]:
    """Do every step to its end; return what each transaction took."""
    taken = []
    for name, step in sweep.steps(bounds):
        while count := store.transact(step):
            taken.append((name, count))
    return taken


def test_days_are_found_newest_first(store: Store) -> None:
    """The record's own days are known without reading its events, and none after the one that was asked for."""
    assert store.transact(lambda connection: sweep.days(connection, upto="2026-11-23")) == []
    days = ["2026-11-20", "2026-11-23", "2031-01-01"]
    store.write(Batch(queue_events=[day_row(seq, day) for seq, day in enumerate(sorted(days * 3))]))
    assert store.transact(lambda connection: sweep.days(connection, upto="2026-11-23")) == ["2026-11-23", "2026-11-20"]


def test_old_days_go_whole_and_newer_ones_stay(store: Store, file: Path) -> None:
    """Tickets and queue events of days before the bound go, a few at a time; not one of a later day does."""
    old, new = "2021-11-22", "2021-11-23"
    store.write(
        Batch(
            queue_events=[day_row(seq, old if seq <= 450 else new) for seq in range(1, 501)],
            tickets=[ticket(number, day) for day in (old, new) for number in range(1, 251)],
        )
    )
    taken = run(store, nothing(tickets_before=new))
    assert [count for name, count in taken if name == "tickets"] == [ROWS, 50]
    assert [count for name, count in taken if name == "queue events"] == [ROWS, ROWS, 50]
    assert rows(file, "SELECT day, count(*) FROM ticket GROUP BY day") == [(new, 250)]
    assert rows(file, "SELECT day, count(*) FROM queue_event GROUP BY day") == [(new, 50)]


def test_each_kind_has_its_own_time(store: Store, file: Path) -> None:
    """A bound for health takes no press, a bound for ratings no ticket's event: each thing goes by its own rule."""
    store.write(
        Batch(
            device_events=[event(1, 100), event(2, 200), event(3, 100, kind=GIVEN), event(4, 200, kind=GIVEN)],
            ratings=[rating(number, at) for number, at in enumerate([100, 200, 100, 200, 100])],
        )
    )
    assert run(store, nothing()) == []
    assert run(store, nothing(health_before=200)) == [(HEALTH, 1)]
    assert rows(file, "SELECT id FROM device_event ORDER BY id") == [("e2",), ("e3",), ("e4",)]
    assert run(store, nothing(ratings_before=200)) == [("ratings", 3)]
    assert rows(file, "SELECT DISTINCT given_at FROM rating") == [(200,)]
    assert run(store, nothing(events_before=200)) == [(GIVEN, 1)]
    assert rows(file, "SELECT id FROM device_event ORDER BY id") == [("e2",), ("e4",)]


def test_open_alerts_stay_however_old(store: Store, file: Path) -> None:
    """An alert goes by its end: one that is still open is kept, whenever it began."""
    with closing(sqlite3.connect(file)) as database:
        for name, ended in (("a", None), ("b", 100), ("c", 200)):
            database.execute("INSERT INTO alert VALUES (?, 'q', 'd', 'hot', '', 1, ?, NULL, NULL, 2)", (name, ended))
        database.execute("INSERT INTO device_quarter VALUES ('q', 'd', 100, 'o'), ('q', 'd', 200, 'o')")
        database.commit()
    assert run(store, nothing(alerts_before=200, quarters_before=200)) == [("alerts", 1)]
    assert rows(file, "SELECT id FROM alert ORDER BY id") == [("a",), ("c",)]
    assert rows(file, "SELECT at FROM device_quarter") == [(200,)]


def test_the_broken_go_by_their_arrival(store: Store, file: Path) -> None:
    """What cannot be read is kept for its time and then goes."""
    broken = [
        {"digest": f"d{at}", "received_at": at, "topic": "t", "event_id": None, "reason": "r", "size": 1, "body": b"x"}
        for at in (100, 200)
    ]
    store.write(Batch(quarantine=broken))
    assert run(store, nothing(quarantine_before=200)) == [("quarantine", 1)]
    assert rows(file, "SELECT digest FROM quarantine") == [("d200",)]


def thin(store: Store, now_ms: int = NOW) -> list[int]:
    """Thin until there is nothing more to thin; return what each transaction took."""
    taken: list[int] = []
    while (count := store.transact(lambda connection: sweep.thin(connection, now_ms=now_ms))) is not None:
        taken.append(count)
        assert len(taken) < 10_000
    return taken


def test_health_is_thinned_after_a_day(store: Store, file: Path) -> None:
    """Of health that is older than a day one report of each device in ten minutes stays; the last day stays whole."""
    sources = ("/c/q01/rating", "/c/q02/display")
    begin = NOW - 2 * FULL_MS
    events = [
        event(number, begin + number * 60_000, source=source)
        for number, source in enumerate(source for _ in range(1440) for source in sources)
    ]
    events += [event(9_000, begin, kind=GIVEN), event(9_001, begin + 1, kind=GIVEN)]
    store.write(Batch(device_events=events))
    taken = thin(store)
    assert max(taken) <= ROWS
    kept = rows(file, "SELECT source, occurred_at FROM device_event WHERE type LIKE '%health%'")
    for source in sources:
        old = [at for name, at in kept if name == source and at < NOW - FULL_MS]
        windows = [at // WINDOW_MS for at in old]
        assert len(windows) == len(set(windows)) >= 144
        young = [at for name, at in kept if name == source and at >= NOW - FULL_MS]
        assert len(young) == 720
    assert rows(file, "SELECT count(*) FROM device_event WHERE type LIKE '%given%'") == [(2,)]
    assert thin(store) == []
    assert [count for count in thin(store, NOW + WINDOW_MS) if count] == [8]


def test_a_crowded_window_is_thinned_in_parts(store: Store, file: Path) -> None:
    """A flood of health in one window goes a few rows at a time, too."""
    store.write(Batch(device_events=[event(number, NOW - 2 * FULL_MS + number) for number in range(1001)]))
    assert thin(store) == [ROWS] * 5 + [0]
    assert rows(file, "SELECT count(*), min(id) FROM device_event") == [(1, "e0")]


def test_a_clock_that_was_ahead_does_not_stop_the_thinning(store: Store) -> None:
    """After a clock that was years ahead, thinning goes on from where it would have been."""
    store.write(Batch(device_events=[event(number, NOW + number * 1000) for number in range(10)]))
    year = 365 * FULL_MS
    assert sum(thin(store, NOW + year)) == 9
    store.write(Batch(device_events=[event(20 + number, NOW + year + number * 1000) for number in range(10)]))
    thin(store, NOW + 2 * year)
    back = NOW + 2 * FULL_MS
    store.write(Batch(device_events=[event(50 + number, back + number * 1000) for number in range(10)]))
    thin(store, back)
    assert sum(thin(store, back + 2 * FULL_MS)) == 9


def test_an_empty_store_needs_no_sweeping(store: Store) -> None:
    """Nothing to take out is nothing done."""
    assert thin(store) == []
    assert run(store, nothing(tickets_before="2026-11-23", ratings_before=NOW, health_before=NOW)) == []
