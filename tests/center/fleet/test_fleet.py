"""The fleet over a hall and a real database: what is stored, what a restart keeps, what pages are shown."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from center.answers import Arrival, Delivery, Panic, Sighting
from center.config import Config
from center.errors import StoreError
from center.fleet.fleet import Fleet
from center.hall import Hall
from center.storage.store import Store
from contract.events import DeviceHealth
from contract.states import Status
from tests.center.conftest import TestClock
from tests.support.waiting import wait_for

MakeFleet = Callable[..., Fleet]


def report(hall: Hall, station: str, device: str, state: str = "online", **figures: Any) -> None:
    """Let a device report."""
    ahead_ms = figures.pop("ahead_ms", 0)
    health = {"outbox_depth": 0, "uptime_s": 60, "clocksynced": True, "version": "0.1.0", **figures}
    sighting = Sighting(
        station=station,
        device=device,
        at=hall.now_ms(),
        status=Status(state=state, version="0.1.0", bootid="b", since="2026-11-23T01:00:00Z"),  # type: ignore[arg-type]
        health=DeviceHealth(**health),
        ahead_ms=ahead_ms,
    )
    assert hall.ingest(Delivery(sightings=[sighting])).result(30) == "stored"


def rows(config: Config, query: str) -> list[Any]:
    """Read the database beside the store."""
    with closing(sqlite3.connect(Path(config.data_dir) / "center.db")) as database:
        return database.execute(query).fetchall()


@pytest.fixture
def make(hall: Hall, config: Config) -> Iterator[MakeFleet]:
    """Make fleets that look when a test says so."""
    made: list[Fleet] = []

    def one(**settings: Any) -> Fleet:
        fleet = Fleet(hall, config, **settings)
        fleet.begin()
        made.append(fleet)
        return fleet

    yield one
    for fleet in made:
        fleet.stop()


def go(fleet: Fleet, clock: TestClock, seconds: int, each: Callable[[], None] = lambda: None) -> None:
    """Let time pass, with a look every ten seconds."""
    for _ in range(seconds // 10):
        clock.advance(10)
        each()
        fleet.look()


def test_a_lost_device_becomes_an_alert_that_is_stored(
    make: MakeFleet, hall: Hall, config: Config, clock: TestClock
) -> None:
    """After a minute a lost device is an alert on the board and in the database; when it is back, the alert ends."""
    fleet = make()
    report(hall, "q01", "rating", "lost")
    go(fleet, clock, 50)
    assert fleet.board.alerts == ()
    go(fleet, clock, 30)
    (alert,) = fleet.board.alerts
    assert (alert.subject, alert.kind, fleet.board.open) == ("q01/rating", "lost", 1)
    assert rows(config, "SELECT id, kind, ended_at FROM alert") == [(alert.id, "lost", None)]
    go(fleet, clock, 180, lambda: report(hall, "q01", "rating"))
    (ended,) = fleet.board.alerts
    assert ended.ended_at is not None
    assert (ended.id, fleet.board.open) == (alert.id, 0)
    assert rows(config, "SELECT ended_at FROM alert") == [(ended.ended_at,)]


def test_a_restart_keeps_alerts_and_the_last_day(make: MakeFleet, hall: Hall, config: Config, clock: TestClock) -> None:
    """Open alerts, who has seen them, and each device's strip are the same after the center was started again."""
    fleet = make()
    report(hall, "q01", "rating", "lost")
    report(hall, "q02", "display", temperature_c=81)
    go(fleet, clock, 180, lambda: report(hall, "q02", "display", temperature_c=81))
    lost = next(one for one in fleet.board.alerts if one.kind == "lost")
    seen = fleet.acknowledge(lost.id, by="person:an").result(30)
    assert seen is not None
    fleet.look()
    before = fleet.board
    assert next(one for one in before.alerts if one.kind == "lost") == seen
    assert before.open == 1
    fleet.stop()
    hall.stop()
    again = Hall(config, Store(config.store_url), clock)
    again.start()
    try:
        after = Fleet(again, config)
        after.begin()
        assert after.board == before
        assert before.strips["q01/rating"].endswith("l")
        assert before.strips["q02/display"].endswith("w")
        after.look()
        assert after.board == before
        after.stop()
    finally:
        again.stop()


def test_the_first_who_saw_an_alert_stays(make: MakeFleet, hall: Hall, config: Config, clock: TestClock) -> None:
    """Who has seen an alert is asked for once, stands in the audit log, and of an unknown alert nothing is noted."""
    fleet = make()
    report(hall, "q01", "rating", "lost")
    go(fleet, clock, 80)
    alert = fleet.board.alerts[0]
    first = fleet.acknowledge(alert.id, by="person:an").result(30)
    second = fleet.acknowledge(alert.id, by="person:binh").result(30)
    assert first is not None
    assert second == first
    assert first.acknowledged_by == "person:an"
    assert fleet.acknowledge("nonsense", by="person:an").result(30) is None
    assert rows(config, "SELECT actor, action, object FROM audit") == [
        ("person:an", "alert_acknowledged", "q01/rating")
    ]


def test_a_forgotten_device_is_gone_and_may_come_back(
    make: MakeFleet, hall: Hall, config: Config, clock: TestClock
) -> None:
    """A device that is taken off the list leaves no row, no strip and no open alert; its next word brings it back."""
    fleet = make()
    report(hall, "q07", "rating", "lost")
    report(hall, "q01", "rating")
    go(fleet, clock, 80, lambda: report(hall, "q01", "rating"))
    assert fleet.forget("q07", "rating", by="person:an").result(30)
    assert not fleet.forget("q07", "rating", by="person:an").result(30)
    fleet.look()
    assert set(fleet.board.strips) == {"q01/rating"}
    assert [one.ended_at is not None for one in fleet.board.alerts] == [True]
    hall.transact(lambda _: None).result(30)  # what followed the forgetting has been stored
    assert rows(config, "SELECT station FROM device") == [("q01",)]
    assert rows(config, "SELECT DISTINCT station FROM device_quarter") == [("q01",)]
    assert rows(config, "SELECT actor, object FROM audit") == [("person:an", "q07/rating")]
    assert [one.station for one in hall.snapshot().devices] == ["q01"]
    report(hall, "q07", "rating")
    fleet.look()
    assert set(fleet.board.strips) == {"q01/rating", "q07/rating"}


def test_a_broker_that_is_away_is_one_alert(make: MakeFleet, hall: Hall, clock: TestClock) -> None:
    """Without the broker nothing is known of devices: one alert about it, none about each of them, and no cells."""
    fleet = make()
    for station in ("q01", "q02", "q03"):
        report(hall, station, "rating")
    fleet.look()
    fleet.reached = lambda: False
    go(fleet, clock, 3600)
    (alert,) = fleet.board.alerts
    assert (alert.subject, alert.kind) == ("center", "broker")
    assert {strip[-3:] for strip in fleet.board.strips.values()} == {"---"}


def test_a_broker_that_starts_again_and_again_is_an_alert(make: MakeFleet, clock: TestClock) -> None:
    """A broker that ended by itself three times within an hour is an alert, until it has run for long."""
    fleet = make()
    ends = iter([0, 1, 2, 2, 2])
    fleet.broker_ends = lambda: next(ends, 3)
    go(fleet, clock, 50)
    assert fleet.board.alerts == ()
    go(fleet, clock, 10)
    (alert,) = fleet.board.alerts
    assert (alert.kind, alert.detail) == ("restarts", "3")
    go(fleet, clock, 6000)
    assert [one.ended_at is not None for one in fleet.board.alerts] == [True]


def test_the_centers_wrong_clock_is_one_alert(make: MakeFleet, hall: Hall, clock: TestClock) -> None:
    """When most devices say another time than the center, the center is named, and none of them."""
    fleet = make()

    def all_report() -> None:
        for station in ("q01", "q02", "q03"):
            report(hall, station, "rating", ahead_ms=-86_400_000)

    go(fleet, clock, 200, all_report)
    (alert,) = fleet.board.alerts
    assert (alert.subject, alert.kind) == ("center", "center_clock")


def test_a_certificate_near_its_end_is_an_alert(make: MakeFleet, hall: Hall, clock: TestClock) -> None:
    """A device whose certificate ends within two weeks is named, with the days it has left, until it has another."""
    fleet = make()
    day_ms = 86_400_000
    ends = {("q01", "rating"): clock.wall_ms + 13 * day_ms, ("q02", "rating"): clock.wall_ms + 15 * day_ms}
    fleet.certificates = lambda: ends

    def both_report() -> None:
        report(hall, "q01", "rating")
        report(hall, "q02", "rating")

    go(fleet, clock, 60, both_report)
    (alert,) = fleet.board.alerts
    assert (alert.subject, alert.kind, alert.detail) == ("q01/rating", "certificate", "12 d")
    ends["q01", "rating"] += 365 * day_ms
    go(fleet, clock, 700, both_report)
    assert [one.ended_at is not None for one in fleet.board.alerts] == [True]


def test_a_revoked_key_is_told_instead_of_a_lost_device(make: MakeFleet, hall: Hall, clock: TestClock) -> None:
    """The alert of a device that was thrown off says that its key was revoked; with a new key it ends."""
    fleet = make()
    revoked = {("q01", "rating"), ("q09", "never-there")}
    report(hall, "q01", "rating", "lost")
    go(fleet, clock, 100)
    assert [(one.kind, one.ended_at) for one in fleet.board.alerts] == [("lost", None)]
    fleet.revoked = lambda: frozenset(revoked)
    go(fleet, clock, 300)
    assert fleet.board.revoked == {"q01/rating"}
    assert {one.kind for one in fleet.board.alerts if one.ended_at is None} == {"revoked"}
    revoked.clear()
    go(fleet, clock, 100, lambda: report(hall, "q01", "rating"))
    assert fleet.board.revoked == frozenset()
    assert [one for one in fleet.board.alerts if one.ended_at is None] == []


def test_a_store_that_fails_is_told_all_the_same(
    make: MakeFleet, hall: Hall, config: Config, clock: TestClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While nothing can be stored an alert says just that; it is stored when storing works again."""
    fleet = make()
    report(hall, "q01", "rating", "lost")
    real = Hall.transact

    def full(self: Hall, _job: Any) -> Any:
        def fail(_connection: Any) -> None:
            raise StoreError("the disk is full", full=True)

        return real(self, fail)

    monkeypatch.setattr(Hall, "transact", full)
    go(fleet, clock, 100)
    assert {one.kind for one in fleet.board.alerts} == {"lost", "store"}
    assert rows(config, "SELECT * FROM alert") == []
    monkeypatch.setattr(Hall, "transact", real)
    go(fleet, clock, 10)
    assert {kind for (kind,) in rows(config, "SELECT kind FROM alert")} == {"lost", "store"}


def test_the_thread_looks_by_itself_and_stops(hall: Hall, config: Config) -> None:
    """A fleet that was started looks without being asked, tells of news, and stops at once."""
    report(hall, "q01", "rating")
    news: list[object] = []
    fleet = Fleet(hall, replace(config, name="x"), every_s=0.01)
    fleet.on_news = lambda: news.append(fleet.board)
    fleet.start()
    wait_for(lambda: fleet.board.strips.get("q01/rating", "").endswith("o"))
    assert news
    fleet.stop()
    assert not fleet._thread.is_alive()


def press(hall: Hall, event: str, station: str = "q01") -> None:
    """Let a call pad tell that its panic keys were pressed."""
    at = hall.now_ms()
    row = {
        "id": event, "type": "vn.motcua.callpad.panic.v1", "source": f"/bentre/{station}/callpad", "stream": "s",
        "sequence": at, "time": at, "clock_synced": True, "occurred_at": at, "received_at": at, "body": "{}",
    }  # fmt: skip
    told = Arrival(row=row, panic=Panic(event, station, "callpad", at))
    sighting = Sighting(station=station, device="callpad", at=at)
    assert hall.ingest(Delivery(arrivals=[told], sightings=[sighting])).result(30) == "stored"


def test_a_camera_with_its_share_is_an_alert(make: MakeFleet, hall: Hall, clock: TestClock) -> None:
    """That a camera keeps its recordings because it has its share here is an alert at once, until it sends again."""
    over = {("q01", "camera"), ("q09", "camera")}
    report(hall, "q01", "camera")
    fleet = make()
    fleet.over_share = lambda: frozenset(over)
    fleet.look()
    assert [(one.subject, one.kind) for one in fleet.board.alerts if one.ended_at is None] == [("q01/camera", "share")]
    over.clear()
    go(fleet, clock, 200, lambda: report(hall, "q01", "camera"))
    assert [one for one in fleet.board.alerts if one.ended_at is None] == []


def test_a_panic_is_an_alert_at_the_next_look(make: MakeFleet, hall: Hall, clock: TestClock) -> None:
    """Panic keys are an alert at once, which stands for two minutes; pressed again later they are another one."""
    fleet = make()
    report(hall, "q01", "callpad")
    press(hall, "p-1")
    assert fleet._wake.is_set()
    fleet.look()
    (alert,) = fleet.board.alerts
    assert (alert.subject, alert.kind, alert.ended_at) == ("q01/callpad", "panic", None)
    press(hall, "p-1")  # sent again by its outbox
    go(fleet, clock, 100, lambda: report(hall, "q01", "callpad"))
    assert [one.ended_at for one in fleet.board.alerts] == [None]
    go(fleet, clock, 40, lambda: report(hall, "q01", "callpad"))
    assert fleet.board.open == 0
    press(hall, "p-2")
    fleet.look()
    assert [one.ended_at is None for one in fleet.board.alerts] == [True, False]
    assert fleet.board.strips["q01/callpad"].strip("-") != "w", "whoever calls for help has no broken device"


def test_a_panic_that_nobody_had_looked_at_is_an_alert_after_a_restart(
    make: MakeFleet, hall: Hall, clock: TestClock
) -> None:
    """A center that was killed between a panic and its alert makes the alert when it is back, and only one."""
    press(hall, "p-1")
    clock.advance(30)
    for _ in range(2):
        fleet = make()
        fleet.look()
        assert [(one.kind, one.ended_at) for one in fleet.board.alerts] == [("panic", None)]
