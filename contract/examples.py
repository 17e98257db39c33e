"""One message of every kind, as the published documents show it. Not imported by anything that runs at a counter."""

from datetime import UTC, datetime

from contract.envelope import seal
from contract.events import (
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
from contract.requests import Ack, Args, Reply, Request, TicketView, Upload
from contract.states import (
    Armed,
    CallpadDesired,
    CallpadReported,
    CameraDesired,
    CameraReported,
    DisplayDesired,
    DisplayReported,
    Hours,
    Keep,
    Look,
    RatingDesired,
    RatingReported,
    State,
    Status,
    Zone,
)

_TICKET = "019ab9f2-5d40-7c3e-9a01-5b1c6f1d2e3f"
_RATING = "019ab9f4-02c0-7b8a-8f6d-2f0c9d4e7a11"
_BOOT = "5d3b1c52-8f4e-4b0a-9c55-0f6f2f1f7a01"
_STREAM = "9f3c4b7e1a2d4c5f8e6b0a9d7c1e2f34"

FACTS: tuple[Fact, ...] = (
    RatingGiven(level=3, scale="vn-3", ticket=_TICKET, armed_for_ms=4210, pressed_ms=15),
    RatingReason(rating=_RATING, reasons=("wait", "papers"), comment="Chờ hơi lâu"),
    RatingIgnored(why="repeated", level=1),
    DisplayShown(revision=17, proof="echoed", latency_ms=9),
    TicketCalled(ticket=_TICKET, number="A007", counter="q03"),
    CameraStarted(incident="i-20261123-0001", kind="officer_absent", zone="officer", confidence=0.82),
    CameraUpdated(
        incident="i-20261123-0001",
        kind="officer_absent",
        zone="officer",
        confidence=0.91,
        ticket=_TICKET,
        thumbnail="/9j/4AAQSkZJRg==",
    ),
    CameraEnded(
        incident="i-20261123-0001",
        kind="officer_absent",
        zone="officer",
        confidence=0.91,
        clip=Clip(
            id="c-0001",
            start="2026-11-23T01:02:00Z",
            seconds=42.5,
            bytes=3_145_728,
            sha256="9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        ),
        lasted_ms=22_500,
    ),
    CameraFault(kind="covered"),
    CallpadPanic(held_ms=500),
    PrinterState(state="paper_low"),
    DeviceHealth(
        outbox_depth=0,
        uptime_s=86_400,
        clocksynced=True,
        version="0.1.0",
        temperature_c=51.5,
        throttled=False,
        disk_free_mb=12_345,
        memory_mb=21.4,
    ),
)

STATUS = Status(state="online", version="0.1.0", bootid=_BOOT, since="2026-11-23T00:15:00Z")
DESIRED: dict[str, State] = {
    "rating": RatingDesired(revision=9, armed=Armed(ticket=_TICKET, number="A007", seconds=30)),
    "display": DisplayDesired(revision=17, state="calling", counter="3", number="A007", blink=True),
    "callpad": CallpadDesired(revision=41, state="open", waiting=5),
    "camera": CameraDesired(
        revision=41,
        state="serving",
        ticket=_TICKET,
        hours=(Hours(days=(1, 2, 3, 4, 5), begin="07:30", end="11:30"),),
        zones=(Zone(name="citizen", points=((0.0, 0.4), (0.5, 0.4), (0.5, 1.0), (0.0, 1.0))),),
        keep=(Keep(id="c-0001", why="low_rating", ticket=_TICKET),),
        look=Look(
            path="/api/looks/5b1c6f1d2e3f019a",
            token="Zk1QW3mVjDgGq0xkK2QF6mH3bT7yL9sR",  # noqa: S106 (an example's)
            every_ms=100,
            seconds=900,
        ),
    ),
}
REPORTED: dict[str, State] = {
    "rating": RatingReported(revision=9, armed=_TICKET, presses={"1": 12, "2": 101, "3": 640}),
    "display": DisplayReported(revision=17, text="A007", proof="echoed"),
    "callpad": CallpadReported(revision=41, trouble="no_contact"),
    "camera": CameraReported(revision=41, presence=True, clips=12, held=2),
}
REQUEST = Request(id="019ab9f1-aa10-7d55-b0b1-6a2f3c4d5e6f", action="call_next", seen=41, asked_at_ms=86_412_345)
CALL = Request(id="019ab9f1-bb20-7e66-b1c2-7b304d5e6f70", action="call", args=Args(number="A007"), seen=41)
_BODY = "MIHZMIGAAgEAMB4xHDAaBgNVBAMME3EwMy9yYXRpbmc="
RENEW = Request(
    id="019ab9f1-cc30-7f77-b2d3-8c415e6f7081",
    action="renew",
    args=Args(device="rating", csr=f"-----BEGIN CERTIFICATE REQUEST-----\n{_BODY}\n-----END CERTIFICATE REQUEST-----"),
    expires_in_ms=20_000,
)
RENEWED = Reply(id=RENEW.id, ok=True, certificate=f"-----BEGIN CERTIFICATE-----\n{_BODY}\n-----END CERTIFICATE-----")
UPLOAD = Request(
    id="019ab9f1-dd40-7088-83e4-9d526f708192",
    action="upload",
    args=Args(
        clip=Clip(
            id="c-0001",
            start="2026-11-23T01:02:00Z",
            seconds=42.5,
            bytes=3_145_728,
            sha256="9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        ),
        file="shown",
        why="low_rating",
        ticket=_TICKET,
    ),
)
LEAVE = Reply(
    id=UPLOAD.id,
    ok=True,
    upload=Upload(
        path="/api/uploads/5b1c6f1d2e3f019ab9f25d407c3e9a01",
        token="Zk3v9sQm0bXo1rTq7uYw2pLh8dNc4eJa6gFi5kVtMxE",  # noqa: S106 – an example's
        offset=1_048_576,
    ),
)
DONE = Reply(
    id=REQUEST.id,
    ok=True,
    ticket=TicketView(id=_TICKET, number="A007", service="dat-dai", state="called", version=2),
)
REFUSED = Reply(id=REQUEST.id, ok=False, code="queue_empty", message="Không còn ai chờ")
ACK = Ack(stream=_STREAM, upto=42)
ACK_BY_ID = Ack(ids=(_RATING,))

_DEVICES: dict[type[Fact], str] = {
    DisplayShown: "display",
    TicketCalled: "callpad",
    CameraStarted: "camera",
    CameraUpdated: "camera",
    CameraEnded: "camera",
    CameraFault: "camera",
    PrinterState: "printer",
}


def event(fact: Fact) -> bytes:
    """Return a fact as it travels, from the device that would say it."""
    return seal(
        fact,
        event_id=_RATING,
        source=f"/bentre/q03/{_DEVICES.get(type(fact), 'rating')}",
        time=datetime(2026, 11, 23, 1, 2, 3, 456_000, tzinfo=UTC),
        sequence=42,
        stream=_STREAM,
        boot_id=_BOOT,
        monotonic_ms=2_823_456,
        clock_synced=True,
    )
