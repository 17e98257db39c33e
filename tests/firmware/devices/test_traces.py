"""Real contacts: recorded bounces and the standard's interference, played to the pads as they came."""

from typing import Any

import pytest

from contract.events import RatingGiven
from contract.requests import Reply
from contract.states import Armed, CallpadDesired, RatingDesired
from firmware.devices.callpad.config import CallpadConfig, Key
from firmware.devices.callpad.decisions import CallpadDecisions
from firmware.devices.rating.config import Button, RatingConfig
from firmware.devices.rating.decisions import RatingDecisions
from tests.support.traces import BREAKING, CLOSING, OPENING, Trace, bursts

PIN, OTHER = 17, 27


@pytest.fixture
def rating(bench: type) -> Any:
    """A rating pad that is armed at 1000 ms."""
    pad = bench(RatingDecisions(RatingConfig(scale="vn-3", buttons=tuple(map(_button, (PIN, OTHER, 22)))), {}))
    pad.at(1000)
    pad.desired(RatingDesired(revision=1, armed=Armed(ticket="t1", number="A007", seconds=600)))
    return pad


@pytest.fixture
def callpad(bench: type) -> Any:
    """A call pad in contact with the center, people waiting, at 1000 ms."""
    ids = iter(str(number) for number in range(1000))
    pad = bench(CallpadDecisions(CallpadConfig(next=Key(pin=PIN, led=5)), lambda: next(ids)))
    pad.link(up=True)
    pad.desired(CallpadDesired(revision=17, state="open", waiting=3))
    pad.at(1000)
    return pad


def _button(pin: int) -> Button:
    return Button(level={PIN: 1, OTHER: 2, 22: 3}[pin], pin=pin)


def play(pad: Any, trace: Trace, *, closed: bool, pin: int = PIN) -> None:
    """Let a contact do what was recorded, beginning now; `closed`: its first change closes it."""
    start_ms = pad.now_ms
    for at_us in trace:
        pad.at(start_ms + at_us // 1000)
        (pad.close if closed else pad.open)(pin)
        closed = not closed
        answer(pad)


def answer(pad: Any) -> None:
    """Be the center: whatever was asked is done."""
    for ask in pad.asks:
        pad.reply(Reply(id=ask.request_id, ok=True))


def push(pad: Any, closing: Trace, opening: Trace = OPENING["4"]) -> None:
    """Press and release, half a second each."""
    play(pad, closing, closed=True)
    pad.at(pad.now_ms + 500)
    answer(pad)
    play(pad, opening, closed=False)
    pad.at(pad.now_ms + 500)


def ratings(pad: Any) -> list[RatingGiven]:
    """Return what counts."""
    return [fact for fact in pad.facts if isinstance(fact, RatingGiven)]


@pytest.mark.parametrize("opening", OPENING)
@pytest.mark.parametrize("closing", CLOSING)
def test_a_recorded_press_is_one_press(rating: Any, closing: str, opening: str) -> None:
    """However the contact bounced, one press is recorded: it counts, and nothing is said of a second one."""
    push(rating, CLOSING[closing], OPENING[opening])
    assert [fact.level for fact in rating.facts] == [1]
    assert len(ratings(rating)) == 1


@pytest.mark.parametrize("closing", BREAKING)
def test_a_worn_button_rates_once(rating: Any, closing: str) -> None:
    """A contact that breaks for up to 87 ms under the finger gives one rating; the rest counts for nothing."""
    push(rating, BREAKING[closing])
    assert len(ratings(rating)) == 1
    assert {fact.why for fact in rating.facts[1:]} <= {"repeated"}


@pytest.mark.parametrize("closing", BREAKING | CLOSING)
def test_a_worn_key_calls_once(callpad: Any, closing: str) -> None:
    """One press of the worn key asks the center once, also when the answer comes before the contact has settled."""
    push(callpad, (BREAKING | CLOSING)[closing])
    assert len(callpad.asks) == 1


@pytest.mark.parametrize("pins", [(PIN,), (PIN, OTHER, 22)], ids=["one line", "all lines"])
def test_bursts_of_interference_press_nothing(rating: Any, callpad: Any, pins: tuple[int, ...]) -> None:
    """Fast transients for 20 s, every seventh edge of them lost, are no press and leave the pads at work."""
    for pad, lines in ((rating, pins), (callpad, (PIN,))):
        start_ms = pad.now_ms
        for number, ms in enumerate(bursts(20)):
            pad.at(start_ms + ms)
            for pin in lines:
                pad.close(pin)
                pad.open(pin, heard=number % 7 > 0)
        pad.at(pad.now_ms + 500)
    assert rating.facts == []
    assert callpad.asks == []
    push(rating, CLOSING["5"])
    push(callpad, CLOSING["5"])
    assert len(ratings(rating)) == len(callpad.asks) == 1


def test_a_press_between_bursts_counts(rating: Any) -> None:
    """A finger that presses while transients go on is heard, once: between two bursts the contact is still."""
    start_ms, down = rating.now_ms, range(350, 850)
    closed = False
    for ms in bursts(2):
        rating.at(start_ms + ms)
        if (ms in down) != closed:
            closed = not closed
            (rating.close if closed else rating.open)(PIN)
        (rating.open if closed else rating.close)(PIN)
        (rating.close if closed else rating.open)(PIN)
    rating.at(rating.now_ms + 500)
    assert len(ratings(rating)) == 1
    assert len(rating.facts) == 1
