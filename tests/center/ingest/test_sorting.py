"""Sorting: an event, a sight of a device, or quarantine with a reason."""

import tracemalloc
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from center.answers import Device, Sighting
from center.ingest.sorting import KEPT_BYTES, Broken, Event, Message, lenient, sort
from contract.codec import encode
from contract.envelope import MAX_BYTES
from contract.events import DeviceHealth
from contract.states import RatingReported, Status
from contract.topics import Channel, center_address
from tests.support.device import rated, sealed

NOW_MS = 1_795_395_600_000
EVENT = "motcua/v1/bentre/q01/rating/event"


def message(topic: str, payload: bytes, *, retained: bool = False) -> Message:
    """Return a message that has just come."""
    return Message(topic=topic, payload=payload[:MAX_BYTES], size=len(payload), retained=retained, at=NOW_MS)


def broken(payload: bytes, *, topic: str = EVENT) -> Broken:
    """Sort something that must be put aside."""
    found = sort(message(topic, payload))
    assert isinstance(found, Broken)
    return found


def test_an_event_becomes_a_row_and_a_rating() -> None:
    """A press that counted is stored as the event it is, and as a rating of its ticket at its counter."""
    payload = sealed(rated(2, ticket="t1"), sequence=42, event_id="e1")
    found = sort(message(EVENT, payload))
    assert isinstance(found, Event)
    assert found.arrival.row == {
        "id": "e1",
        "type": "vn.motcua.rating.given.v1",
        "source": "/bentre/q01/rating",
        "stream": "stream-1",
        "sequence": 42,
        "time": 1_795_399_200_000,
        "clock_synced": True,
        "occurred_at": 1_795_399_200_000,
        "received_at": NOW_MS,
        "body": payload.decode(),
    }
    rating = found.arrival.rating
    assert rating is not None
    assert (rating.ticket, rating.counter, rating.level) == ("t1", "q01", 2)


@pytest.mark.parametrize("channel", ["ack", "desired", "reply"])
def test_our_own_words_that_come_back_are_no_message(channel: str) -> None:
    """The retained states that amqtt hands back to the center are neither stored nor put aside."""
    assert sort(message(f"motcua/v1/bentre/q01/rating/{channel}", b'{"upto": 7}', retained=True)) is None


def test_an_unset_clock_is_not_believed() -> None:
    """An event of a device whose clock was never set happened, as far as we know, when it arrived."""
    found = sort(message(EVENT, sealed(rated(), sequence=1, synced=False, time=datetime(1970, 1, 1, tzinfo=UTC))))
    assert isinstance(found, Event)
    assert (found.arrival.row["time"], found.arrival.row["occurred_at"]) == (0, NOW_MS)


@pytest.mark.parametrize("year", [2027, 9999])
def test_what_is_yet_to_come_has_not_happened(year: int) -> None:
    """A clock that says it was set and is months ahead is not believed: what it speaks of has happened by now."""
    found = sort(message(EVENT, sealed(rated(), sequence=1, time=datetime(year, 12, 31, 23, tzinfo=UTC))))
    assert isinstance(found, Event)
    assert found.arrival.row["time"] > found.arrival.row["occurred_at"] == NOW_MS


def test_health_is_kept_with_the_device() -> None:
    """A device's health is an event, and what the devices page shows of it."""
    health = DeviceHealth(outbox_depth=0, uptime_s=7, clocksynced=True, version="1")
    found = sort(message(EVENT, sealed(health, sequence=1)))
    assert isinstance(found, Event)
    assert (found.sighting.health, found.sighting.at) == (health, NOW_MS)


def test_a_device_s_clock_is_compared_with_the_center_s() -> None:
    """A report tells how far a device's clock is from the center's, unless that clock was never set."""
    early = datetime.fromtimestamp(NOW_MS / 1000 - 300, UTC)
    for synced, ahead_ms in ((True, -300_000), (False, None)):
        found = sort(message(EVENT, sealed(rated(), sequence=1, synced=synced, time=early)))
        assert isinstance(found, Event)
        assert found.sighting.ahead_ms == ahead_ms


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "input data was truncated"),
        (b"\xff\xfe", "is not UTF-8"),
        (b"[]", "expected `object`, got `array`"),
        (sealed(rated(), sequence=1, source="/bentre/q02/rating"), "source: says /bentre/q02/rating but came from"),
        (sealed(rated(), sequence=1).replace(b"given.v1", b"given.v9"), "type: unknown event type"),
        (sealed(rated(), sequence=1).replace(b'"level":3', b'"level":9'), "data.level"),
        (sealed(rated(4), sequence=1), "data.level: scale vn-3 has no level 4"),
        (sealed(rated(), sequence=1).replace(b'"vn-3"', b'"vn-8"'), "data.scale: is not known"),
        (sealed(rated(), sequence=9_999_999_999).replace(b'"9999999999"', b'"99999999999"'), "sequence"),
        (sealed(rated(), sequence=1).replace(b'"data":', b'"extra":1,"data":'), "extra"),
        (sealed(rated(), sequence=1)[:-9], "truncated"),
        (b"{" * 50_000, "malformed"),
        (b'{"id":"big","x":"' + b"x" * MAX_BYTES + b'"}', f"at most {MAX_BYTES} are allowed"),
    ],
)
def test_what_breaks_the_contract_is_put_aside_with_a_reason(payload: bytes, reason: str) -> None:
    """A broken event is kept with the field and the reason, and at most 8 KB of it."""
    row = broken(payload).row
    assert reason in row["reason"]
    assert (row["topic"], row["size"], row["received_at"]) == (EVENT, len(payload), NOW_MS)
    assert row["body"] == payload[:KEPT_BYTES]


def test_a_broken_event_can_still_be_acknowledged() -> None:
    """What can be read of a broken event's id, stream and number lets its device be told."""
    payload = sealed(rated(), sequence=7, event_id="e7").replace(b"given.v1", b"given.v9")
    found = broken(payload)
    assert (found.event_id, found.stream, found.sequence) == ("e7", "stream-1", 7)


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b'{"id":"e1","stream":"s","sequence":"0000000003"}', ("e1", "s", 3)),
        (b'{"id":5,"stream":"s","sequence":"0000000003"}', (None, "s", 3)),
        (b'{"id":"e1","stream":[],"sequence":3}', ("e1", None, None)),
        (b'{"id":"e1","sequence":"\xd9\xa3"}', ("e1", None, None)),  # an Arabic three
        ('{"id":"mã","stream":"a b"}'.encode(), (None, None, None)),  # an ack could not name them
        (b'{"specversion":"1.0","id" : "e1","type":', ("e1", None, None)),
        (b'{"specversion":"1.0","data":{"clip":{"id":"c1"', (None, None, None)),
        (b"nothing", (None, None, None)),
        (b"[1]", (None, None, None)),
    ],
)
def test_lenient_reading_takes_only_what_is_certain(
    payload: bytes, expected: tuple[str | None, str | None, int | None]
) -> None:
    """Of a broken event only its own id counts: never that of a thing inside its data."""
    assert lenient(payload) == expected


def test_the_same_broken_message_has_one_digest() -> None:
    """A broken message that is sent again stands in quarantine once."""
    assert broken(b"x").row["digest"] == broken(b"x").row["digest"] != broken(b"y").row["digest"]


def test_a_birth_is_a_sight_of_the_device() -> None:
    """A device that says it is online was seen now."""
    status = Status(state="online", version="1", bootid="b", since="2026-11-23T01:00:00Z")
    found = sort(message("motcua/v1/bentre/q01/rating/status", encode(status)))
    assert found == Sighting(station="q01", device="rating", at=NOW_MS, status=status)


@pytest.mark.parametrize(("state", "retained"), [("lost", False), ("online", True)])
def test_the_broker_speaking_for_a_device_is_no_sight_of_it(state: str, retained: bool) -> None:
    """A last will, or a state the broker kept, does not make a device seen now."""
    status = msgspec.convert({"state": state, "version": "1", "bootid": "b", "since": "x"}, Status)
    found = sort(message("motcua/v1/bentre/q01/rating/status", encode(status), retained=retained))
    assert isinstance(found, Sighting)
    assert (found.at, found.status) == (0, status)


def test_what_a_device_reports_is_checked_by_its_kind() -> None:
    """A reported state is kept as it is, if it is one of its kind."""
    topic = "motcua/v1/bentre/q01/rating/reported"
    state = encode(RatingReported(revision=3, armed=None, presses={"3": 9}))
    good = sort(message(topic, state))
    assert isinstance(good, Sighting)
    assert good.reported == state.decode()
    assert "revision" in broken(b'{"armed":null}', topic=topic).row["reason"]


def test_what_a_stranger_reports_takes_no_more_memory_than_it_is_long() -> None:
    """A state of a device that the contract does not know is kept as text, however much it would be once it is read."""
    state = b'{"trouble":7,"x":[' + b"{}," * 5_000 + b"{}]}"
    tracemalloc.start()
    try:
        seen = sort(message("motcua/v1/bentre/q01/kiosk/reported", state))
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert isinstance(seen, Sighting)
    assert Device(station="q01", device="kiosk", seen_at=0, reported=seen.reported).trouble == ""
    assert kept < 4 * len(state)


@pytest.mark.parametrize("kind", ["rating", "kiosk"])
def test_of_an_overlong_state_only_the_trouble_is_kept(kind: str) -> None:
    """Two thousand made-up devices take 2 MB with what they report, not 32; what is wrong with one is still told."""
    state = encode(RatingReported(revision=3, armed=None, presses={"3": 9}, trouble="stuck:2"))
    found = sort(message(f"motcua/v1/bentre/q01/{kind}/reported", state + b" " * 15_000))
    assert isinstance(found, Sighting)
    assert found.reported == '{"trouble":"stuck:2"}'
    mute = sort(message("motcua/v1/bentre/q01/kiosk/reported", b'{"trouble":"%s"}' % (b"x" * 15_000)))
    assert isinstance(mute, Sighting)
    assert mute.reported == '{"trouble":"%s"}' % ("x" * 64)
    longest = RatingReported(revision=2**53 - 1, armed="t" * 64, presses=dict.fromkeys("12345", 2**53 - 1), trouble="t")
    whole = sort(message("motcua/v1/bentre/q01/rating/reported", encode(longest)))
    assert isinstance(whole, Sighting)
    assert whole.reported == encode(longest).decode()


def test_a_broken_state_waits_for_no_ack() -> None:
    """Only events are acknowledged: a broken status has nobody to be told."""
    assert broken(b"{}", topic="motcua/v1/bentre/q01/rating/status").address is None


def test_a_cleared_state_and_our_own_words_say_nothing() -> None:
    """An empty retained message, and what the center itself publishes, are passed over."""
    assert sort(message("motcua/v1/bentre/q01/rating/status", b"")) is None
    assert sort(message("motcua/v1/bentre/q01/rating/desired", b"{}")) is None


@pytest.mark.parametrize("payload", [encode(Status(state="online", version="1", bootid="b", since="x")), b"rubbish"])
def test_the_center_is_no_device_of_its_own(payload: bytes) -> None:
    """What is said of the center itself is neither a sight of a device nor kept as something broken."""
    assert sort(message(center_address("bentre").topic(Channel.STATUS), payload)) is None


@given(st.binary(max_size=300))
def test_no_bytes_make_sorting_fail(payload: bytes) -> None:
    """Whatever arrives as an event is stored or put aside; nothing raises."""
    assert isinstance(sort(message(EVENT, payload)), Event | Broken)


@given(st.integers(min_value=0, max_value=400), st.binary(min_size=1, max_size=4))
def test_no_damage_to_an_event_makes_sorting_fail(at: int, noise: bytes) -> None:
    """An event damaged anywhere is stored or put aside; its id is the one it says."""
    whole = sealed(rated(), sequence=1, event_id="0197")
    damaged = whole[:at] + noise + whole[at + len(noise) :]
    found = sort(message(EVENT, damaged))
    assert isinstance(found, Event | Broken)
    if isinstance(found, Event):
        assert msgspec.json.decode(damaged, type=dict[str, Any])["id"] == found.event_id
