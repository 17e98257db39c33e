"""Requests, replies and acks: the literal bytes of each, and what each refuses."""

import msgspec
import pytest

from contract.codec import decode, encode
from contract.envelope import MAX_SEQUENCE
from contract.errors import ContractError
from contract.events import Clip
from contract.requests import ACTIONS, Ack, Args, Reply, Request, TicketView, Upload

SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
CLIP = Clip(id="c-1", start="2026-11-23T01:02:00Z", seconds=42.5, bytes=7, sha256=SHA256)

GOLDEN: list[tuple[bytes, msgspec.Struct]] = [
    (
        b'{"id":"0197-request","action":"call_next","args":{},"expires_in_ms":5000,"asked_at_ms":null,"seen":41}',
        Request(id="0197-request", action="call_next", seen=41),
    ),
    (
        b'{"id":"0197-request","action":"call","args":{"number":"A007"},"expires_in_ms":1000,"asked_at_ms":null,"seen":null}',
        Request(id="0197-request", action="call", args=Args(number="A007"), expires_in_ms=1000),
    ),
    (
        b'{"id":"0197-request","ok":true,"ticket":'
        b'{"id":"0197-t","number":"A007","service":"dat-dai","state":"called","version":2}}',
        Reply(
            id="0197-request",
            ok=True,
            ticket=TicketView(id="0197-t", number="A007", service="dat-dai", state="called", version=2),
        ),
    ),
    (
        '{"id":"0197-request","ok":false,"code":"queue_empty","message":"Không còn ai chờ"}'.encode(),
        Reply(id="0197-request", ok=False, code="queue_empty", message="Không còn ai chờ"),
    ),
    (
        b'{"id":"0197-request","action":"upload","args":{"clip":{"id":"c-1","start":"2026-11-23T01:02:00Z",'
        b'"seconds":42.5,"bytes":7,"sha256":"' + SHA256.encode() + b'"},"file":"sealed","why":"low_rating",'
        b'"ticket":"0197-t"},"expires_in_ms":5000,"asked_at_ms":null,"seen":null}',
        Request(
            id="0197-request",
            action="upload",
            args=Args(clip=CLIP, file="sealed", why="low_rating", ticket="0197-t"),
        ),
    ),
    (
        b'{"id":"0197-request","ok":true,"upload":{"path":"/api/uploads/5b1c","token":"t0ken","offset":3}}',
        Reply(id="0197-request", ok=True, upload=Upload(path="/api/uploads/5b1c", token="t0ken", offset=3)),  # noqa: S106
    ),
    (b'{"stream":"9f3c","upto":42}', Ack(stream="9f3c", upto=42)),
    (b'{"ids":["0197-e1","0197-e2"]}', Ack(ids=("0197-e1", "0197-e2"))),
    (b'{"stream":"9f3c","upto":1,"ids":["0197-e1"]}', Ack(stream="9f3c", upto=1, ids=("0197-e1",))),
]


@pytest.mark.parametrize(("payload", "message"), GOLDEN, ids=lambda value: type(value).__name__)
def test_a_message_has_these_bytes(payload: bytes, message: msgspec.Struct) -> None:
    """Each message is written as these bytes and read back from them as itself."""
    assert encode(message) == payload
    assert decode(payload, type(message)) == message


def test_the_least_request() -> None:
    """An id and an action make a request; it expires after 5 s."""
    asked = decode(b'{"id":"12345678","action":"recall"}', Request)
    assert (asked.args, asked.expires_in_ms, asked.seen) == (Args(), 5000, None)


def test_the_officers_actions() -> None:
    """A device can ask for exactly these actions."""
    assert set(ACTIONS) == {
        "call_next", "call", "recall", "start", "finish", "no_show", "park", "transfer", "open", "close", "pause",
        "renew", "upload",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("payload", "kind", "field"),
    [
        (b'{"action":"recall"}', Request, "id"),
        (b'{"id":"1234567","action":"recall"}', Request, "id"),
        (b'{"id":"1234 5678","action":"recall"}', Request, "id"),
        (b'{"id":"12345678","action":"fly"}', Request, "action"),
        (b'{"id":"12345678","action":"call","args":{"numbers":"A007"}}', Request, "args.numbers"),
        (b'{"id":"12345678","action":"call","args":{"number":"7"}}', Request, "args.number"),
        (b'{"id":"12345678","action":"call","args":[]}', Request, "args"),
        (b'{"id":"12345678","action":"renew","args":{"csr":"-----BEGIN X-----"}}', Request, "args.csr"),
        (
            b'{"id":"12345678","action":"renew","args":{"csr":"-----BEGIN X-----\\n-----END X-----\\n"}}',
            Request,
            "args.csr",
        ),
        (b'{"id":"12345678","action":"upload","args":{"file":"clear"}}', Request, "args.file"),
        (b'{"id":"12345678","action":"upload","args":{"clip":{"id":"c"}}}', Request, "args.clip.start"),
        (b'{"id":"r","ok":true,"upload":{"path":"//x y","token":"t","offset":0}}', Reply, "upload.path"),
        (b'{"id":"r","ok":true,"upload":{"path":"/x","token":"t","offset":-1}}', Reply, "upload.offset"),
        (b'{"id":"12345678","action":"recall","expires_in_ms":0}', Request, "expires_in_ms"),
        (b'{"id":"12345678","action":"recall","expires_in_ms":60001}', Request, "expires_in_ms"),
        (b'{"id":"12345678","action":"recall","seen":-1}', Request, "seen"),
        (b'{"id":"12345678","action":"recall","seen":9007199254740992}', Request, "seen"),
        (b'{"id":"12345678","action":"recall","action":"call_next"}', Request, "action"),
        (b'{"id":"r","ok":1}', Reply, "ok"),
        (b'{"id":"r","ok":true,"ticket":{"id":"t"}}', Reply, "ticket.number"),
        (b'{"stream":"s","upto":0}', Ack, "upto"),
        (b'{"stream":"s","upto":10000000000}', Ack, "upto"),
        (b'{"stream":"s","upto":9223372036854775808}', Ack, "upto"),
        (b'{"upto":42}', Ack, "stream"),
        (b'{"stream":"s"}', Ack, "upto"),
        (b'{"ids":["e",7]}', Ack, "ids[1]"),
        (b'{"ids":[]}', Ack, ""),
        (b"{}", Ack, ""),
    ],
)
def test_a_wrong_message_is_named(payload: bytes, kind: type[msgspec.Struct], field: str) -> None:
    """A message outside the contract is refused, and the error names its field."""
    with pytest.raises(ContractError) as caught:
        decode(payload, kind)
    assert caught.value.field == field


def test_an_ack_that_names_nothing_cannot_even_be_made() -> None:
    """The center cannot send an ack that a device would have to guess at."""
    with pytest.raises(ContractError, match="names no event"):
        Ack()
    with pytest.raises(ContractError, match="`stream` and `upto` go together"):
        Ack(upto=42)
    assert Ack(stream="s", upto=MAX_SEQUENCE).upto == 9_999_999_999
