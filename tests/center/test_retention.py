"""How long what is kept: by the record's own days, never too short, and never in anybody's way."""

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from center.clock import SystemClock
from center.config import Config, Retention
from center.hall import Hall
from center.queue.model import Issue
from center.retention import GAP_DAYS, Sweeper, bounds, kept_from
from center.storage.store import Batch, Store
from tests.center.conftest import MORNING_MS, TestClock
from tests.center.storage.test_sweep import day_row, event, rating, ticket
from tests.support.waiting import wait_for

TODAY = date(2026, 11, 23)
DAY_MS = 86_400_000


def record(*ages: int) -> list[str]:
    """Return days of a record by their age, the newest first."""
    return [(TODAY - timedelta(days=age)).isoformat() for age in sorted(ages)]


def test_a_day_goes_when_it_is_as_old_as_the_rule_says() -> None:
    """With a day's record for each day, exactly what is younger than the rule is kept."""
    assert kept_from(record(*range(100)), 90) == record(89)[0]
    assert kept_from(record(*range(90)), 90) is None
    assert kept_from([], 90) is None


def test_a_clock_that_is_years_ahead_deletes_nothing() -> None:
    """One day that the clock put years after the others makes none of them older."""
    ahead = (TODAY + timedelta(days=3650)).isoformat()
    assert kept_from([ahead, *record(*range(80))], 90) is None
    assert kept_from([ahead, *record(*range(100))], 90) == record(89)[0]


def test_a_clock_that_is_a_month_ahead_deletes_nothing_for_a_week() -> None:
    """A few days that the clock put a month after the others make none older; a month of holidays counts in the end."""
    ahead = record(*range(-36, -29))
    assert kept_from([*ahead, *record(*range(80))], 90) is None
    assert kept_from([record(-37)[0], *ahead, *record(*range(80))], 90) == record(52)[0]


def test_after_a_long_closure_all_is_kept_for_longer() -> None:
    """A center that was closed for a season keeps everything for a season more."""
    assert kept_from(record(0, *range(100, 190)), 90) is None
    assert kept_from(record(0, *range(100, 200)), 90) == record(189)[0]


@given(st.lists(st.integers(0, 4000), max_size=80, unique=True), st.integers(1, 2000), st.integers(0, 5000))
def test_nothing_ever_goes_too_early(ages: list[int], keep: int, ahead: int) -> None:
    """Whatever days there are, and whatever the clock made of one of them, what goes is at least as old as the rule."""
    days = [(TODAY + timedelta(days=ahead)).isoformat(), *record(*ages)] if ahead > GAP_DAYS else record(*ages)
    oldest = kept_from(days, keep)
    if oldest is not None:
        gone = [day for day in days if day < oldest]
        assert gone
        assert all((TODAY - date.fromisoformat(day)).days >= keep for day in gone)


def test_bounds_follow_the_rule(config: Config) -> None:
    """Each kind has its own bound, at midnight of the center's own time; a press outlasts ticket and rating."""
    rule = Retention(health_days=10, tickets_days=50, ratings_days=20, quarantine_days=30, alerts_days=40)
    found = bounds(record(*range(100)), rule, config=config, now_ms=MORNING_MS)
    midnight = MORNING_MS - 8 * 3_600_000
    assert found.tickets_before == record(49)[0]
    assert found.ratings_before == midnight - 19 * DAY_MS
    assert found.events_before == midnight - 49 * DAY_MS
    assert found.health_before == midnight - 9 * DAY_MS
    assert found.quarantine_before == midnight - 29 * DAY_MS
    assert found.alerts_before == midnight - 39 * DAY_MS


def counts(config: Config) -> dict[str, int]:
    """Return how many rows each table has."""
    with closing(sqlite3.connect(Path(config.data_dir) / "center.db")) as database:
        return {
            table: database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608 – names of ours
            for table in ("queue_event", "ticket", "rating", "device_event")
        }


def fill(config: Config, days: int) -> None:
    """Write a record of so many days up to yesterday: two tickets, a rating and two reports each."""
    store = Store(config.store_url)
    batch = Batch()
    for age in range(days, 0, -1):
        day, at = record(age)[0], MORNING_MS - age * DAY_MS
        seq = days - age
        batch.queue_events += [day_row(2 * seq + 1, day), day_row(2 * seq + 2, day)]
        batch.tickets += [ticket(number, day) for number in (1, 2)]
        batch.ratings.append(rating(seq, at))
        batch.device_events += [event(2 * seq, at), event(2 * seq + 1, at + WINDOW)]
    store.write(batch)
    store.close()


WINDOW = 600_000


@pytest.fixture
def kept(config: Config) -> Config:
    """A center with a short memory and a record of a hundred days."""
    fill(config, 100)
    return replace(config, retention=Retention(health_days=10, tickets_days=50, ratings_days=50))


@pytest.fixture
def swept(kept: Config, clock: TestClock) -> Iterator[tuple[Hall, Sweeper]]:
    """That center, with a sweeper that does not wait."""
    hall = Hall(kept, Store(kept.store_url), clock)
    hall.start()
    hall.snapshot()  # the day has begun
    yield hall, Sweeper(hall, kept, pause_s=0, quiet_s=0)
    hall.stop()


def test_what_is_too_old_goes_and_the_center_goes_on(swept: tuple[Hall, Sweeper], kept: Config) -> None:
    """A sweep leaves just what the rule keeps; a second one finds nothing; the center starts from what is left."""
    hall, sweeper = swept
    before = counts(kept)
    gone = sweeper.sweep()
    after = counts(kept)
    assert (before["ticket"], after["ticket"]) == (200, 98)
    assert (before["rating"], after["rating"]) == (100, 49)
    assert (before["device_event"], after["device_event"]) == (200, 18)
    assert after["queue_event"] == 98 + 1  # and today's beginning
    assert gone["tickets"] == 102
    assert sweeper.sweep() == {}
    assert hall.submit(Issue(at=MORNING_MS, ticket_id="t", service="dat-dai"), key="k", actor="test").result(30)
    hall.stop()
    again = Hall(kept, Store(kept.store_url), TestClock())
    again.start()
    assert [one.number for one in again.snapshot().state.tickets.values()] == ["A001"]
    again.stop()


def test_a_wrong_clock_takes_nothing_out(kept: Config) -> None:
    """A center that starts with a clock that is ten years ahead keeps its whole record, whatever the rule says."""
    clock = TestClock()
    clock.wall_ms += 3653 * DAY_MS
    long = replace(kept, retention=Retention(health_days=100))
    hall = Hall(long, Store(kept.store_url), clock)
    hall.start()
    hall.snapshot()
    before = counts(kept)
    try:
        assert Sweeper(hall, long, pause_s=0, quiet_s=0).sweep() == {"thinned": 0}
    finally:
        hall.stop()
    assert counts(kept) == before


def test_nobody_waits_for_a_sweep(kept: Config) -> None:
    """While a record of thousands of rows is taken out, no number takes longer than one step of it and one commit."""
    store = Store(kept.store_url)
    old = MORNING_MS - 60 * DAY_MS
    store.write(Batch(device_events=[event(1000 + number, old + number) for number in range(6000)]))
    store.close()
    clock = SystemClock()
    hall = Hall(kept, Store(kept.store_url), clock)
    hall.start()
    hall.snapshot()
    sweeper = Sweeper(hall, kept, pause_s=0.001, quiet_s=0)
    done = threading.Event()
    result: list[dict[str, int]] = []

    def run() -> None:
        result.append(sweeper.sweep())
        done.set()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        waits: list[float] = []
        while not done.is_set():
            number = len(waits)
            began = time.monotonic()
            hall.submit(
                Issue(at=clock.now_ms(), ticket_id=f"n{number}", service="dat-dai"), key=f"n{number}", actor="test"
            ).result(20)
            waits.append(time.monotonic() - began)
    finally:
        thread.join(60)
        hall.stop()
    assert sum(result[0].values()) > 6000
    assert len(waits) >= 5  # thirty steps: were the hall held for longer, fewer numbers would fit between them
    middle, longest = (1000 * sorted(waits)[at] for at in (len(waits) // 2, -1))
    print(f"{len(waits)} numbers during a sweep: median {middle:.1f} ms, longest {longest:.1f} ms")


def test_the_thread_waits_for_a_quiet_moment(swept: tuple[Hall, Sweeper], kept: Config, clock: TestClock) -> None:
    """While numbers are taken nothing is taken out; when the hall has been quiet for a while it is."""
    hall, _ = swept
    before = counts(kept)
    sweeper = Sweeper(hall, kept, pause_s=0.001, quiet_s=2)
    sweeper.start()
    hall.submit(Issue(at=clock.now_ms(), ticket_id="t", service="dat-dai"), key="k", actor="test").result(30)
    time.sleep(0.1)
    assert counts(kept)["ticket"] == before["ticket"] + 1
    clock.advance(3)
    give_up = time.monotonic() + 30
    while counts(kept)["ticket"] > 99 and time.monotonic() < give_up:
        time.sleep(0.01)
    sweeper.stop()
    assert counts(kept)["ticket"] == 99


def test_a_fault_does_not_end_it_for_good(swept: tuple[Hall, Sweeper], monkeypatch: pytest.MonkeyPatch) -> None:
    """After a sweep that failed for whatever reason the next one comes all the same."""
    _, sweeper = swept
    tried: list[int] = []

    def sweep() -> dict[str, int]:
        tried.append(1)
        raise ValueError("a day that is none")

    monkeypatch.setattr(sweeper, "sweep", sweep)
    monkeypatch.setattr("center.retention.ROUND_S", 0.01)
    monkeypatch.setattr(sweeper, "_quiet_s", 0.0)
    sweeper.start()
    try:
        wait_for(lambda: len(tried) >= 2, timeout_s=30)
    finally:
        sweeper.stop()


def test_stopping_ends_a_sweep_at_its_next_step(swept: tuple[Hall, Sweeper]) -> None:
    """A center that stops does not wait until all is taken out."""
    _, sweeper = swept
    sweeper.stop()
    gone: Any = sweeper.sweep()
    assert sum(gone.values()) <= 200
