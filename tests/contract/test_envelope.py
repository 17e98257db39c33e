"""The envelope of a fact: CloudEvents 1.0 in structured JSON, checked more strictly than its own SDKs do."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest

from contract.envelope import MAX_BYTES, MAX_SEQUENCE, Envelope, open_envelope, seal, seal_encoded
from contract.errors import ContractError
from contract.events import CameraStarted, DeviceHealth, Fact, RatingGiven, RatingIgnored

GIVEN = RatingGiven(level=3, scale="vn-3", ticket="0197-t", armed_for_ms=4210, pressed_ms=15)

GOLDEN = (
    b'{"specversion":"1.0","id":"0197-e","type":"vn.motcua.rating.given.v1","source":"/bentre/q03/rating",'
    b'"time":"2026-11-23T01:02:03.456Z","datacontenttype":"application/json","sequence":"0000000042",'
    b'"stream":"9f3c","bootid":"5d3b","monotonicms":"1234567","clocksynced":true,'
    b'"data":{"level":3,"scale":"vn-3","ticket":"0197-t","armed_for_ms":4210,"pressed_ms":15}}'
)


def sealed(fact: Fact = GIVEN, **changes: Any) -> bytes:
    """Seal a fact as the golden example's device would, but for the changes."""
    about: dict[str, Any] = {
        "event_id": "0197-e",
        "source": "/bentre/q03/rating",
        "time": datetime(2026, 11, 23, 1, 2, 3, 456_789, tzinfo=UTC),
        "sequence": 42,
        "stream": "9f3c",
        "boot_id": "5d3b",
        "monotonic_ms": 1_234_567,
        "clock_synced": True,
    }
    return seal(fact, **(about | changes))


def changed(**changes: Any) -> bytes:
    """Return the golden example with attributes changed, added, or (with `...`) left out."""
    event = json.loads(GOLDEN) | changes
    return json.dumps({name: value for name, value in event.items() if value is not ...}).encode()


def refused(payload: bytes) -> ContractError:
    """Return why an event is refused."""
    with pytest.raises(ContractError) as caught:
        open_envelope(payload).fact()
    return caught.value


def test_an_event_has_these_bytes() -> None:
    """A sealed fact is exactly this JSON, its time in UTC and cut to the millisecond."""
    assert sealed() == GOLDEN


def test_an_event_is_read_back() -> None:
    """What was sealed is opened: the attributes first, the fact by its type."""
    event = open_envelope(GOLDEN)
    assert event == Envelope(
        specversion="1.0",
        id="0197-e",
        type="vn.motcua.rating.given.v1",
        source="/bentre/q03/rating",
        time=datetime(2026, 11, 23, 1, 2, 3, 456_000, tzinfo=UTC),
        datacontenttype="application/json",
        sequence="0000000042",
        stream="9f3c",
        bootid="5d3b",
        monotonicms="1234567",
        clocksynced=True,
        data=event.data,
    )
    assert event.sequence_number == 42
    assert event.fact() == GIVEN


def test_order_and_space_do_not_matter() -> None:
    """Another program's JSON is read whatever the order of its names and the space between them."""
    spacious = json.dumps(dict(reversed(json.loads(GOLDEN).items())), indent=4).encode()
    assert open_envelope(spacious).fact() == GIVEN
    assert open_envelope(bytearray(GOLDEN)).fact() == GIVEN


def test_a_time_with_an_offset_is_the_same_instant() -> None:
    """Vietnamese local time with its offset is as good as UTC, and is sealed as UTC."""
    local = datetime(2026, 11, 23, 8, 2, 3, 456_000, tzinfo=timezone(timedelta(hours=7)))
    assert open_envelope(changed(time="2026-11-23T08:02:03.456+07:00")).time == local
    assert sealed(time=local) == GOLDEN


def test_the_whole_range_of_sequences() -> None:
    """A stream counts from 1 to 9,999,999,999, and sorts as text all along."""
    first, last = sealed(sequence=1), sealed(sequence=MAX_SEQUENCE)
    assert open_envelope(first).sequence == "0000000001"
    assert open_envelope(last).sequence == "9999999999"
    assert open_envelope(last).sequence_number == MAX_SEQUENCE


@pytest.mark.parametrize("name", Envelope.__struct_fields__)
def test_no_attribute_may_be_missing(name: str) -> None:
    """An event without any one of its attributes is refused, never filled in."""
    error = refused(changed(**{name: ...}))
    assert (error.field, error.reason) == (name, "is missing")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("specversion", "0.3"),
        ("specversion", 1.0),
        ("id", ""),
        ("id", None),
        ("id", 7),
        ("id", "a b"),
        ("id", "a\n"),
        ("id", "đ"),
        ("id", "x" * 65),
        ("type", ""),
        ("type", "vn.motcua.rating.given.v1\n"),
        ("type", "x" * 129),
        ("source", "bentre/q03/rating"),
        ("source", "/bentre/q03"),
        ("source", "/bentre/q03/rating/"),
        ("source", "/bentre/q03/rating\n"),
        ("source", "/Bentre/q03/rating"),
        ("source", "/bentre//rating"),
        ("source", "/bentre/-q/rating"),
        ("source", "/bentre/" + "q" * 33 + "/rating"),
        ("time", "2026-11-23T01:02:03.456"),
        ("time", "2026-11-23"),
        ("time", "2026-13-23T01:02:03Z"),
        ("time", "2026-02-30T01:02:03Z"),
        ("time", "2026-11-23T25:02:03Z"),
        ("time", "2026-11-23T01:02:60Z"),
        ("time", "yesterday"),
        ("time", 1_763_859_723),
        ("time", None),
        ("time", "0001-01-01T00:00:00+07:00"),
        ("time", "9999-12-31T23:59:59-07:00"),
        ("datacontenttype", "text/plain"),
        ("sequence", 42),
        ("sequence", "42"),
        ("sequence", "0000000000"),
        ("sequence", "-000000042"),
        ("sequence", "00000000042"),
        ("sequence", "0000000042\n"),
        ("sequence", "9223372036854775808"),
        ("sequence", "٠٠٠٠٠٠٠٠٤٢"),
        ("stream", ""),
        ("stream", {"of": "q03"}),
        ("bootid", []),
        ("monotonicms", 1_234_567),
        ("monotonicms", ""),
        ("monotonicms", "-5"),
        ("monotonicms", "1e3"),
        ("monotonicms", "9" * 19),
        ("clocksynced", 1),
        ("clocksynced", "true"),
        ("clocksynced", None),
        ("data", None),
        ("data", []),
        ("data", "e30="),
    ],
)
def test_a_wrong_attribute_is_named(name: str, value: object) -> None:
    """An attribute outside the contract is refused, and the error names it."""
    assert refused(changed(**{name: value})).field == name


@pytest.mark.parametrize("value", [{"trace": {"id": 1}}, ["a"], "a", 1, None])
def test_an_extension_that_is_not_ours_is_refused(value: object) -> None:
    """Any attribute beside ours is refused: nested ones, which CloudEvents forbids, and plain ones alike."""
    assert refused(changed(traceparent=value)).field == "traceparent"


def test_data_in_base64_is_refused() -> None:
    """Facts are JSON: `data_base64` is not a way around their types."""
    assert refused(changed(data=..., data_base64="e30=")).field in {"data", "data_base64"}


def test_a_wrong_field_of_the_data_is_named_with_its_path() -> None:
    """The error for a wrong fact says where in the event it is and what was expected."""
    assert str(refused(changed(data={"level": 6}))) == "data.level: expected `int` <= 5"
    assert str(refused(changed(data={"level": 3}))) == "data.scale: is missing"
    assert str(refused(changed(data={"stars": 5}))) == "data.stars: is not a field of the contract"


def test_an_unknown_type_is_opened_but_has_no_fact() -> None:
    """The envelope of an unknown type is read, so that its event can be acknowledged and put aside by its id."""
    event = open_envelope(changed(type="vn.motcua.rating.given.v9", data={"anything": [1, {"goes": None}]}))
    assert event.id == "0197-e"
    with pytest.raises(ContractError, match=r"^type: unknown event type 'vn\.motcua\.rating\.given\.v9'$"):
        event.fact()


def test_a_name_given_twice_is_refused_with_its_path() -> None:
    """Of two values under one name no reader may choose: SQLite takes the first, most programs take the last."""
    assert str(refused(b'{"id":"x",' + GOLDEN[1:])) == "id: is given twice"
    assert str(refused(GOLDEN.replace(b'"level":3', b'"level":1,"level":3'))) == "data.level: is given twice"
    assert str(refused(GOLDEN.replace(b'"level":3', b'"level":3,"le\\u0076el":3'))) == "data.level: is given twice"
    deep = changed(type="unknown", data="@").replace(b'"@"', b'{"a":[0,{"b":{"c":1,"c":1}}]}')
    assert str(refused(deep)) == "data.a[1].b.c: is given twice"


@pytest.mark.parametrize(
    ("payload", "says"),
    [
        (b"", "JSON is malformed: input data was truncated"),
        (b" ", "JSON is malformed"),
        (GOLDEN[:-1], "JSON is malformed"),
        (GOLDEN + b"x", "JSON is malformed: trailing characters"),
        (GOLDEN + GOLDEN, "JSON is malformed: trailing characters"),
        (b"\xef\xbb\xbf" + GOLDEN, "JSON is malformed"),
        (GOLDEN.decode().encode("utf-16"), "is not UTF-8: byte 0xff at 0"),
        (b"null", "expected `object`, got `null`"),
        (b"[]", "expected `object`, got `array`"),
        (b'"event"', "expected `object`, got `str`"),
        (b"42", "expected `object`, got `int`"),
        (b"[" + GOLDEN + b"]", "expected `object`, got `array`"),
        (GOLDEN.replace(b"0197-e", b"0197\xff"), "is not UTF-8: byte 0xff at 31"),
        (GOLDEN.replace(b"0197-t", b"\xed\xa0\x80"), "is not UTF-8: byte 0xed"),
        (GOLDEN.replace(b"0197-e", b"\\ud800"), "JSON is malformed"),
        (GOLDEN.replace(b"0197-t", b"\\udc00"), "JSON is malformed"),
        (GOLDEN.replace(b"0197-e", b"\\uqqqq"), "JSON is malformed"),
        (GOLDEN.replace(b"0197-e", b"\x00"), "JSON is malformed"),
        (GOLDEN.replace(b":3,", b":NaN,"), "JSON is malformed"),
        (GOLDEN.replace(b":3,", b":-Infinity,"), "JSON is malformed"),
        (GOLDEN.replace(b":3,", b":03,"), "JSON is malformed"),
        (GOLDEN.replace(b":3,", b":0x3,"), "JSON is malformed"),
        (GOLDEN.replace(b":3,", b":" + b"9" * 10_000 + b","), "data.level: "),
        (GOLDEN.replace(b":3,", b":1e999999,"), "data.level: "),
        (GOLDEN.replace(b":3,", b":" + b"[" * 20_000 + b"]" * 20_000 + b","), "JSON is nested too deeply"),
        (GOLDEN.replace(b":3,", b":" + b'{"a":' * 9_000 + b"1" + b"}" * 9_000 + b","), "JSON is nested too deeply"),
        (b"[" * 65_000, "expected `object`, got `array`"),
        (b'{"a":' * 13_000, "a: is not a field of the contract"),
        (b" " * MAX_BYTES + GOLDEN, "bytes long, at most 65536 are allowed"),
    ],
)
def test_hostile_bytes_are_refused(payload: bytes, says: str) -> None:
    """Whatever the bytes, the answer is one short printable line, and no other exception."""
    error = refused(payload)
    assert says in str(error)
    assert str(error).isprintable()
    assert len(str(error)) < 450


def test_unknown_data_cannot_smuggle_a_huge_number_past() -> None:
    """Data that nobody decodes is still checked for names given twice, without converting its numbers."""
    huge = changed(type="unknown", data="@").replace(b'"@"', b'{"n":' + b"9" * 20_000 + b',"f":1e99999}')
    assert open_envelope(huge).type == "unknown"


def test_a_full_picture_fits() -> None:
    """A thumbnail of 24 KB stays well below the limit of an event."""
    fact = CameraStarted(incident="i", kind="k", zone="z", confidence=1.0, thumbnail="A" * 32_768)
    assert open_envelope(sealed(fact)).fact() == fact
    assert len(sealed(fact)) < MAX_BYTES / 1.9


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"sequence": 0}, "sequence"),
        ({"sequence": -1}, "sequence"),
        ({"sequence": MAX_SEQUENCE + 1}, "sequence"),
        ({"time": datetime(2026, 11, 23, 1, 2, 3)}, "time"),  # noqa: DTZ001 – the naive time is what is refused
        ({"time": datetime.min.replace(tzinfo=timezone(timedelta(hours=7)))}, "time"),
        ({"time": datetime.max.replace(tzinfo=timezone(timedelta(hours=-7)))}, "time"),
        ({"event_id": ""}, "id"),
        ({"source": "bentre/q03"}, "source"),
        ({"stream": "a b"}, "stream"),
        ({"boot_id": ""}, "bootid"),
        ({"monotonic_ms": -1}, "monotonicms"),
        ({"fact": RatingGiven(level=9, scale="s", ticket=None, armed_for_ms=None, pressed_ms=0)}, "data.level"),
        ({"fact": RatingIgnored(why="stuck", level=2**70)}, "data.level"),
        ({"fact": RatingGiven(level=1, scale="\ud800", ticket=None, armed_for_ms=None, pressed_ms=0)}, "data"),
    ],
)
def test_what_the_center_would_refuse_is_not_sealed(changes: dict[str, Any], field: str) -> None:
    """A device notices its own mistake at once, rather than fill the center's quarantine."""
    with pytest.raises(ContractError) as caught:
        sealed(**changes)
    assert caught.value.field == field


def test_a_figure_that_is_no_number_is_null() -> None:
    """A sensor that gives no number makes a health event without that figure, not a broken one."""
    fact = DeviceHealth(outbox_depth=0, uptime_s=0, clocksynced=False, version="1", temperature_c=float("nan"))
    health = open_envelope(sealed(fact)).fact()
    assert isinstance(health, DeviceHealth)
    assert health.temperature_c is None


def test_an_outbox_seals_what_it_kept_encoded() -> None:
    """Data that was encoded when it was committed gives the same bytes as the fact itself."""
    assert (
        seal_encoded(
            msgspec.Raw(msgspec.json.encode(GIVEN)),
            type_name="vn.motcua.rating.given.v1",
            event_id="0197-e",
            source="/bentre/q03/rating",
            time=datetime(2026, 11, 23, 1, 2, 3, 456_789, tzinfo=UTC),
            sequence=42,
            stream="9f3c",
            boot_id="5d3b",
            monotonic_ms=1_234_567,
            clock_synced=True,
        )
        == GOLDEN
    )
