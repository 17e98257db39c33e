"""Facts: the literal bytes of each, and what each refuses."""

import pytest

from contract.codec import decode, encode
from contract.errors import ContractError
from contract.events import (
    NAMES,
    TYPES,
    CallpadPanic,
    CameraEnded,
    CameraFault,
    CameraStarted,
    CameraUpdated,
    Clip,
    DeviceHealth,
    DisplayShown,
    Fact,
    PrinterState,
    RatingGiven,
    RatingIgnored,
    RatingReason,
    TicketCalled,
)

HASH = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

GOLDEN: dict[str, tuple[bytes, Fact]] = {
    "vn.motcua.rating.given.v1": (
        b'{"level":3,"scale":"vn-3","ticket":"0197-t","armed_for_ms":4210,"pressed_ms":15}',
        RatingGiven(level=3, scale="vn-3", ticket="0197-t", armed_for_ms=4210, pressed_ms=15),
    ),
    "vn.motcua.rating.reason.v1": (
        '{"rating":"0197-r","reasons":["wait","papers"],"comment":"Chờ hơi lâu"}'.encode(),
        RatingReason(rating="0197-r", reasons=("wait", "papers"), comment="Chờ hơi lâu"),
    ),
    "vn.motcua.rating.ignored.v1": (b'{"why":"together","level":null}', RatingIgnored(why="together", level=None)),
    "vn.motcua.display.shown.v1": (
        b'{"revision":17,"proof":"echoed","latency_ms":9}',
        DisplayShown(revision=17, proof="echoed", latency_ms=9),
    ),
    "vn.motcua.ticket.called.v1": (
        b'{"ticket":"0197-t","number":"A007","counter":"q03"}',
        TicketCalled(ticket="0197-t", number="A007", counter="q03"),
    ),
    "vn.motcua.camera.started.v1": (
        b'{"incident":"i-1","kind":"crowding","zone":"citizen","confidence":0.5,'
        b'"ticket":null,"thumbnail":null,"clip":null}',
        CameraStarted(incident="i-1", kind="crowding", zone="citizen", confidence=0.5),
    ),
    "vn.motcua.camera.updated.v1": (
        b'{"incident":"i-1","kind":"crowding","zone":"citizen","confidence":1.0,'
        b'"ticket":"0197-t","thumbnail":"/9j/4AA=","clip":null}',
        CameraUpdated(
            incident="i-1", kind="crowding", zone="citizen", confidence=1.0, ticket="0197-t", thumbnail="/9j/4AA="
        ),
    ),
    "vn.motcua.camera.ended.v1": (
        b'{"incident":"i-1","kind":"crowding","zone":"citizen","confidence":0.0,"ticket":null,"thumbnail":null,'
        b'"clip":{"id":"c-1","start":"2026-11-23T01:02:00Z","seconds":42.5,"bytes":3145728,"sha256":"%b"},'
        b'"lasted_ms":22500}' % HASH.encode(),
        CameraEnded(
            incident="i-1",
            kind="crowding",
            zone="citizen",
            confidence=0.0,
            clip=Clip(id="c-1", start="2026-11-23T01:02:00Z", seconds=42.5, bytes=3_145_728, sha256=HASH),
            lasted_ms=22_500,
        ),
    ),
    "vn.motcua.camera.fault.v1": (b'{"kind":"covered"}', CameraFault(kind="covered")),
    "vn.motcua.callpad.panic.v1": (b'{"held_ms":500}', CallpadPanic(held_ms=500)),
    "vn.motcua.printer.state.v1": (b'{"state":"paper_low"}', PrinterState(state="paper_low")),
    "vn.motcua.device.health.v1": (
        b'{"outbox_depth":0,"uptime_s":86400,"clocksynced":true,"version":"0.1.0","temperature_c":51.5,'
        b'"throttled":false,"disk_free_mb":12345,"memory_mb":null}',
        DeviceHealth(
            outbox_depth=0,
            uptime_s=86_400,
            clocksynced=True,
            version="0.1.0",
            temperature_c=51.5,
            throttled=False,
            disk_free_mb=12_345,
        ),
    ),
}


def test_every_type_has_a_golden_example() -> None:
    """No event type is published without its literal bytes in this file."""
    assert GOLDEN.keys() == TYPES.keys()
    assert len(NAMES) == len(TYPES)


@pytest.mark.parametrize("name", TYPES)
def test_a_fact_has_these_bytes(name: str) -> None:
    """Each fact is written as these bytes and read back from them as itself."""
    payload, fact = GOLDEN[name]
    assert encode(fact) == payload
    assert decode(payload, TYPES[name]) == fact


@pytest.mark.parametrize("name", TYPES)
def test_a_fact_is_frozen(name: str) -> None:
    """What happened cannot be changed afterwards."""
    _, fact = GOLDEN[name]
    with pytest.raises(AttributeError):
        setattr(fact, fact.__struct_fields__[0], None)


@pytest.mark.parametrize("name", TYPES)
def test_a_fact_knows_all_its_fields(name: str) -> None:
    """A field beside the known ones is refused by its name: a misspelt field would otherwise be lost."""
    payload, _ = GOLDEN[name]
    with pytest.raises(ContractError) as caught:
        decode(b'{"colour":1,' + payload[1:], TYPES[name])
    assert (caught.value.field, caught.value.reason) == ("colour", "is not a field of the contract")


def test_what_may_be_left_out() -> None:
    """A camera event without picture, clip and ticket, and a health without figures, are whole."""
    started = decode(b'{"incident":"i","kind":"k","zone":"z","confidence":1}', CameraStarted)
    assert (started.ticket, started.thumbnail, started.clip) == (None, None, None)
    health = decode(b'{"outbox_depth":1,"uptime_s":2,"clocksynced":false,"version":"1"}', DeviceHealth)
    assert (health.temperature_c, health.memory_mb) == (None, None)


@pytest.mark.parametrize(
    ("name", "old", "new", "field"),
    [
        ("rating.given", b'"level":3', b'"level":0', "level"),
        ("rating.given", b'"level":3', b'"level":6', "level"),
        ("rating.given", b'"level":3', b'"level":3.0', "level"),
        ("rating.given", b'"level":3', b'"level":"3"', "level"),
        ("rating.given", b'"level":3', b'"level":true', "level"),
        ("rating.given", b'"level":3,', b"", "level"),
        ("rating.given", b'"vn-3"', b'""', "scale"),
        ("rating.given", b'"vn-3"', b'"' + b"s" * 65 + b'"', "scale"),
        ("rating.given", b'"vn-3"', b'"vn-3\\n"', "scale"),
        ("rating.given", b'"vn-3"', b'"vn\\u0000-3"', "scale"),
        ("rating.given", b'"0197-t"', b'"0197 t"', "ticket"),
        ("rating.given", b'"0197-t"', b'"0197-t\\n"', "ticket"),
        ("rating.given", b'"0197-t"', b"17", "ticket"),
        ("rating.given", b"4210", b"-1", "armed_for_ms"),
        ("rating.given", b":15}", b":9007199254740992}", "pressed_ms"),
        ("rating.reason", b'"wait"', b'""', "reasons[0]"),
        ("rating.reason", b'"papers"', b"null", "reasons[1]"),
        ("rating.reason", b'"papers"', b",".join([b'"r"'] * 10), "reasons"),
        ("rating.reason", "lâu".encode(), b"\\u0000", "comment"),
        ("rating.reason", "lâu".encode(), b"x" * 1001, "comment"),
        ("rating.ignored", b'"together"', b'"bored"', "why"),
        ("display.shown", b'"echoed"', b'"none"', "proof"),
        ("ticket.called", b'"A007"', b'"A07"', "number"),
        ("ticket.called", b'"A007"', b'"a007"', "number"),
        ("ticket.called", b'"A007"', b'"A007\\n"', "number"),
        ("ticket.called", b'"A007"', '"A００７"'.encode(), "number"),
        ("camera.started", b"0.5", b"1.01", "confidence"),
        ("camera.started", b"0.5", b"-0.01", "confidence"),
        ("camera.started", b"0.5", b"1e999", "confidence"),
        ("camera.updated", b'"/9j/4AA="', b'"<svg>"', "thumbnail"),
        ("camera.updated", b'"/9j/4AA="', b'"' + b"A" * 32_769 + b'"', ""),  # the codec's own limit comes first
        ("camera.ended", b"42.5", b"86400.5", "clip.seconds"),
        ("camera.ended", HASH.encode(), HASH.upper().encode(), "clip.sha256"),
        ("camera.ended", b'"id":"c-1",', b"", "clip.id"),
        ("camera.ended", b'"id":"c-1",', b'"id":"c-1","codec":"h264",', "clip.codec"),
        ("camera.fault", b'"covered"', b'"rainy"', "kind"),
        ("printer.state", b'"paper_low"', b"7", "state"),
        ("device.health", b'"clocksynced":true', b'"clocksynced":1', "clocksynced"),
        ("device.health", b'"uptime_s":86400', b'"uptime_s":-5', "uptime_s"),
    ],
)
def test_a_wrong_value_is_named(name: str, old: bytes, new: bytes, field: str) -> None:
    """A value outside the contract is refused, and the error names its field."""
    payload, _ = GOLDEN[f"vn.motcua.{name}.v1"]
    assert old in payload
    with pytest.raises(ContractError) as caught:
        decode(payload.replace(old, new), TYPES[f"vn.motcua.{name}.v1"])
    assert caught.value.field == field
