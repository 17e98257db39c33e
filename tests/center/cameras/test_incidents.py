"""Incidents are what the events of cameras make of them: in any order, any number of times, and anew from the store."""

import base64
import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from center.answers import Arrival, Delivery
from center.cameras.incidents import astray, rebuild
from center.cameras.names import name_of
from center.hall import Hall
from center.ingest.sorting import Event, Message, sort
from center.storage.tables import device_event, incident
from contract.events import CameraEnded, CameraFault, CameraStarted, CameraUpdated, Clip, Fact
from tests.center.conftest import MORNING_MS
from tests.support.device import sealed

JPEG = b"\xff\xd8\xff\xe0 a picture"
CLIP = Clip(id="c-1", start="2026-11-23T01:02:00Z", seconds=9.5, bytes=7, sha256="ab" * 32)
BEGIN = datetime(2026, 11, 23, 1, 0, tzinfo=UTC)
BEGIN_MS = int(BEGIN.timestamp() * 1000)
SAID: dict[str, Any] = {"incident": "i-1", "kind": "officer_absent", "zone": "officer", "confidence": 0.5}

STARTED = CameraStarted(**SAID)
UPDATED = CameraUpdated(**SAID | {"confidence": 0.9}, ticket="t-1", thumbnail=base64.b64encode(JPEG).decode())
ENDED = CameraEnded(**SAID | {"confidence": 0.7}, clip=CLIP, lasted_ms=1_500)


def arrival(fact: Fact, number: int, *, station: str = "q01", event_id: str | None = None) -> Arrival:
    """Return an event as ingest hands it over, said so many seconds after the beginning."""
    source = f"/bentre/{station}/camera"
    when = BEGIN + timedelta(seconds=number)
    body = sealed(fact, sequence=number, event_id=event_id or f"e-{station}-{number}", source=source, time=when)
    topic = f"motcua/v1{source}/event"
    found = sort(Message(topic=topic, payload=body, size=len(body), retained=False, at=MORNING_MS))
    assert isinstance(found, Event)
    return found.arrival


def deliver(hall: Hall, *arrivals: Arrival) -> None:
    """Have events stored, each in a batch of its own."""
    for one in arrivals:
        assert hall.ingest(Delivery(arrivals=[one])).result(30) == "stored"


def rows(hall: Hall) -> list[dict[str, Any]]:
    """Return all incidents."""
    query = sa.select(incident).order_by(incident.c.station, incident.c.name)
    found = hall.transact(lambda connection: connection.execute(query).mappings().all()).result(30)
    return [dict(row) for row in found]


def test_an_incident_from_started_to_ended(hall: Hall) -> None:
    """One row says when it began and ended, what the newest event thinks of it, and keeps picture, ticket and clip."""
    deliver(hall, arrival(STARTED, 1))
    assert [(row["began_at"], row["ended_at"], row["confidence"]) for row in rows(hall)] == [
        (BEGIN_MS + 1000, None, 0.5)
    ]
    deliver(hall, arrival(UPDATED, 2), arrival(ENDED, 3))
    assert rows(hall) == [
        {
            "id": name_of("q01", "camera", "i-1"), "station": "q01", "device": "camera", "name": "i-1",
            "kind": "officer_absent", "zone": "officer", "confidence": 0.7, "ticket": "t-1",
            "began_at": BEGIN_MS + 1000, "heard_at": BEGIN_MS + 3000, "ended_at": BEGIN_MS + 3000, "lasted_ms": 1500,
            "sequence": 3, "thumbnail": JPEG, "clip": name_of("q01", "camera", "c-1"),
            "reviewed_at": None, "reviewed_by": None, "note": None,
        }
    ]  # fmt: skip


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_any_order_makes_the_same_row(hall: Hall, order: tuple[int, ...]) -> None:
    """However the network turns the events around, and however often each comes, the row is the same."""
    events = [arrival(STARTED, 1), arrival(UPDATED, 2), arrival(ENDED, 3)]
    deliver(hall, *(events[at] for at in order), *(events[at] for at in reversed(order)))
    (row,) = rows(hall)
    assert (row["began_at"], row["ended_at"], row["heard_at"]) == tuple(BEGIN_MS + 1000 * at for at in (1, 3, 3))
    assert (row["confidence"], row["ticket"], row["thumbnail"]) == (0.7, "t-1", JPEG)
    assert row["clip"] == name_of("q01", "camera", "c-1")


def test_what_comes_late_does_not_undo_what_is_newer(hall: Hall) -> None:
    """An older event that comes after a newer one adds what is missing, and replaces nothing."""
    newer = replace(ENDED, ticket="t-9", clip=None)
    deliver(hall, arrival(newer, 9), arrival(replace(UPDATED, clip=CLIP), 2))
    (row,) = rows(hall)
    assert (row["ticket"], row["confidence"], row["sequence"]) == ("t-9", 0.7, 9)
    assert (row["thumbnail"], row["clip"]) == (JPEG, name_of("q01", "camera", "c-1"))


def test_the_recording_of_an_incident_stays_the_one_that_was_named_first(hall: Hall) -> None:
    """No later event gives an incident another recording, nor one that has ended another picture, kind or end."""
    deliver(hall, arrival(STARTED, 1), arrival(replace(UPDATED, clip=CLIP), 2))
    deliver(hall, arrival(replace(UPDATED, clip=replace(CLIP, id="c-2")), 3))
    assert [row["clip"] for row in rows(hall)] == [name_of("q01", "camera", "c-1")]
    deliver(hall, arrival(ENDED, 4))
    before = rows(hall)
    other = base64.b64encode(JPEG + b"another").decode()
    deliver(hall, arrival(replace(UPDATED, clip=replace(CLIP, id="c-3"), thumbnail=other, kind="tamper"), 500))
    deliver(hall, arrival(replace(ENDED, lasted_ms=9), 501))
    assert rows(hall) == before
    assert hall.transact(astray).result(5) == []


def test_what_ended_without_a_start_is_there(hall: Hall) -> None:
    """An incident of which only the end came begins when it was first heard of."""
    deliver(hall, arrival(ENDED, 3))
    assert [(row["began_at"], row["ended_at"]) for row in rows(hall)] == [(BEGIN_MS + 3000, BEGIN_MS + 3000)]


def test_two_stations_may_use_one_id(hall: Hall) -> None:
    """The same id at two counters is two incidents, and so are their clips."""
    deliver(hall, arrival(ENDED, 1), arrival(replace(ENDED, kind="crowding"), 1, station="q02"))
    found = rows(hall)
    assert [(row["station"], row["kind"]) for row in found] == [("q01", "officer_absent"), ("q02", "crowding")]
    assert found[0]["clip"] != found[1]["clip"]


def test_an_event_that_is_dropped_says_nothing(hall: Hall) -> None:
    """An event with the id of another one is not stored, so it changes no incident, however new its number is."""
    deliver(hall, arrival(STARTED, 1, event_id="e-1"))
    deliver(hall, replace(arrival(ENDED, 9, event_id="e-1"), fresh=True))
    assert [row["ended_at"] for row in rows(hall)] == [None]


def test_the_cameras_own_trouble_is_no_incident(hall: Hall) -> None:
    """A fault of the camera is an event and no incident; a thumbnail that is no base64 is none."""
    deliver(hall, arrival(CameraFault(kind="covered"), 1))
    assert rows(hall) == []
    deliver(hall, arrival(replace(UPDATED, thumbnail="AAAAA"), 2))
    assert [row["thumbnail"] for row in rows(hall)] == [None]


def test_the_rows_can_be_made_anew(hall: Hall) -> None:
    """Rows that were lost or spoilt are what the events make of them again; a review is kept."""
    numbers = itertools.count(1)
    for station, name in itertools.product(("q01", "q02"), ("i-1", "i-2", "i-3")):
        for fact in (STARTED, ENDED, UPDATED):
            deliver(hall, arrival(replace(fact, incident=name), next(numbers), station=station))
    review = sa.update(incident).where(incident.c.name == "i-2", incident.c.station == "q01")
    reviewed = {"reviewed_at": 5, "reviewed_by": "person:dung", "note": "đã xem"}
    hall.transact(lambda connection: connection.execute(review.values(reviewed))).result(30)
    before = rows(hall)
    assert hall.transact(astray).result(30) == []

    def spoil(connection: sa.Connection) -> None:
        connection.execute(sa.delete(incident).where(incident.c.name == "i-1"))
        connection.execute(sa.update(incident).where(incident.c.name == "i-3").values(kind="?", thumbnail=None))

    hall.transact(spoil).result(30)
    assert len(hall.transact(astray).result(30)) == 4
    assert hall.transact(rebuild).result(30) == 6
    assert rows(hall) == before
    assert hall.transact(astray).result(30) == []


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    st.lists(
        st.tuples(
            st.sampled_from((CameraStarted, CameraUpdated, CameraEnded)),
            st.sampled_from(("i-1", "i-2")),
            st.integers(1, 12),
            st.sampled_from(("q01", "q02")),
            st.booleans(),
        ),
        max_size=12,
    )
)
def test_whatever_comes_the_rows_are_those_of_the_events(
    hall: Hall, said: list[tuple[Any, str, int, str, bool]]
) -> None:
    """After any events, in any order and with any numbers twice, the rows equal those made anew from the store."""

    def forget(connection: sa.Connection) -> None:
        connection.execute(sa.delete(incident))
        connection.execute(sa.delete(device_event))

    hall.transact(forget).result(30)
    arrivals = []
    for kind, name, number, station, pictured in said:
        picture = base64.b64encode(JPEG + bytes([number])).decode() if pictured else None
        fact = kind(incident=name, kind=f"k{number}", zone="z", confidence=number / 12, thumbnail=picture)
        arrivals.append(arrival(fact, number, station=station))
    assert hall.ingest(Delivery(arrivals=arrivals)).result(30) == "stored"
    assert hall.transact(astray).result(30) == []
    kept = rows(hall)
    hall.transact(rebuild).result(30)
    assert rows(hall) == kept
    assert all(row["began_at"] <= (row["ended_at"] or row["heard_at"]) <= row["heard_at"] for row in kept)
