"""Retained states: the literal bytes of each, and what each refuses."""

import pytest

from contract.codec import decode, encode
from contract.errors import ContractError
from contract.states import (
    DESIRED,
    REPORTED,
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

GOLDEN: list[tuple[bytes, State]] = [
    (
        b'{"state":"lost","version":"0.1.0","bootid":"5d3b","since":"2026-11-23T00:15:00Z"}',
        Status(state="lost", version="0.1.0", bootid="5d3b", since="2026-11-23T00:15:00Z"),
    ),
    (
        b'{"revision":9,"armed":{"ticket":"0197-t","number":"A007","seconds":30}}',
        RatingDesired(revision=9, armed=Armed(ticket="0197-t", number="A007", seconds=30)),
    ),
    (b'{"revision":10,"armed":null}', RatingDesired(revision=10, armed=None)),
    (
        b'{"revision":9,"armed":"0197-t","presses":{"1":12,"3":640},"trouble":null}',
        RatingReported(revision=9, armed="0197-t", presses={"1": 12, "3": 640}),
    ),
    (
        b'{"revision":17,"state":"calling","counter":"3","number":"A007","blink":true}',
        DisplayDesired(revision=17, state="calling", counter="3", number="A007", blink=True),
    ),
    (
        b'{"revision":17,"text":"A007","proof":"echoed","trouble":null}',
        DisplayReported(revision=17, text="A007", proof="echoed"),
    ),
    (
        b'{"revision":41,"state":"open","waiting":5,"number":null}',
        CallpadDesired(revision=41, state="open", waiting=5),
    ),
    (b'{"revision":41,"trouble":"no_contact"}', CallpadReported(revision=41, trouble="no_contact")),
    (
        b'{"revision":41,"state":"serving","ticket":"0197-t","kinds":["waiting_alone"],'
        b'"hours":[{"days":[1,5],"begin":"07:30","end":"11:30"}],'
        b'"zones":[{"name":"citizen","points":[[0.0,0.5],[1.0,0.5],[1.0,1.0]]}],"masks":null,'
        b'"keep":[{"id":"c-1","why":"low_rating","ticket":"0197-t","before_s":0,"after_s":0}],"panic":null,'
        b'"look":{"path":"/api/looks/1","token":"t","every_ms":100,"seconds":900}}',
        CameraDesired(
            revision=41,
            state="serving",
            ticket="0197-t",
            kinds=("waiting_alone",),
            hours=(Hours(days=(1, 5), begin="07:30", end="11:30"),),
            zones=(Zone(name="citizen", points=((0.0, 0.5), (1.0, 0.5), (1.0, 1.0))),),
            keep=(Keep(id="c-1", why="low_rating", ticket="0197-t"),),
            look=Look(path="/api/looks/1", token="t", every_ms=100, seconds=900),  # noqa: S106
        ),
    ),
    (
        b'{"revision":41,"trouble":"lost","presence":true,"clips":12,"held":2}',
        CameraReported(revision=41, trouble="lost", presence=True, clips=12, held=2),
    ),
]


def test_every_state_has_a_golden_example() -> None:
    """No state is published without its literal bytes in this file."""
    assert {type(state) for _, state in GOLDEN} == {Status, *DESIRED.values(), *REPORTED.values()}
    assert DESIRED.keys() == REPORTED.keys()


@pytest.mark.parametrize(("payload", "state"), GOLDEN, ids=lambda value: type(value).__name__)
def test_a_state_has_these_bytes(payload: bytes, state: State) -> None:
    """Each state is written as these bytes and read back from them as itself."""
    assert encode(state) == payload
    assert decode(payload, type(state)) == state


def test_what_may_be_left_out() -> None:
    """A display needs a number only to show one; a pad that has nothing to say says little."""
    assert decode(b'{"revision":1,"state":"idle","counter":"12A"}', DisplayDesired) == DisplayDesired(
        revision=1, state="idle", counter="12A"
    )
    assert decode(b'{"revision":1,"state":"closed"}', CallpadDesired).waiting == 0
    assert decode(b'{"revision":0,"armed":null}', RatingReported).presses == {}


@pytest.mark.parametrize(
    ("payload", "kind", "field"),
    [
        (b"", RatingDesired, ""),  # an empty payload clears a retained message, and is none
        (b'{"revision":9}', RatingDesired, "armed"),
        (b'{"revision":-1,"armed":null}', RatingDesired, "revision"),
        (b'{"revision":9,"armed":{"ticket":"t","number":"A007","seconds":0}}', RatingDesired, "armed.seconds"),
        (b'{"revision":9,"armed":{"ticket":"t","number":"7","seconds":30}}', RatingDesired, "armed.number"),
        (b'{"revision":9,"armed":{"ticket":"t","number":"A007","seconds":30,"x":1}}', RatingDesired, "armed.x"),
        (b'{"revision":9,"armed":null,"presses":{"6":1}}', RatingReported, "presses"),
        (b'{"revision":9,"armed":null,"presses":{"1":-1}}', RatingReported, "presses[...]"),
        (b'{"revision":9,"armed":null,"presses":{"1":1,"1":2}}', RatingReported, "presses.1"),
        (b'{"revision":1,"state":"off","counter":"3"}', DisplayDesired, "state"),
        (b'{"revision":1,"state":"idle","counter":""}', DisplayDesired, "counter"),
        (b'{"revision":1,"state":"idle","counter":"3\\n"}', DisplayDesired, "counter"),
        (b'{"revision":1,"state":"idle","counter":"3","blink":null}', DisplayDesired, "blink"),
        (
            b'{"revision":1,"state":"open","look":{"path":"//x","token":"t","every_ms":99,"seconds":9}}',
            CameraDesired,
            "look.every_ms",
        ),
        (b'{"state":"asleep","version":"1","bootid":"b","since":"s"}', Status, "state"),
        (b'{"state":"lost","version":"1","bootid":"b b","since":"s"}', Status, "bootid"),
    ],
)
def test_a_wrong_state_is_named(payload: bytes, kind: type[State], field: str) -> None:
    """A state outside the contract is refused, and the error names its field."""
    with pytest.raises(ContractError) as caught:
        decode(payload, kind)
    assert caught.value.field == field
