from collections.abc import Callable
from itertools import count
from typing import Any

import pytest

from contract.requests import Args, Reply
from contract.states import CallpadDesired
from firmware.devices.callpad.config import CallpadConfig, Key
from firmware.devices.callpad.decisions import CallpadDecisions
from firmware.ports import Ask

NEXT, RECALL, NO_SHOW, PAUSE = 23, 24, 25, 8
NEXT_LED, RECALL_LED, NO_SHOW_LED, PAUSE_LED = 12, 16, 20, 21
LEDS = {NEXT_LED, RECALL_LED, NO_SHOW_LED, PAUSE_LED}
CONFIG = CallpadConfig(
    next=Key(pin=NEXT, led=NEXT_LED),
    recall=Key(pin=RECALL, led=RECALL_LED),
    no_show=Key(pin=NO_SHOW, led=NO_SHOW_LED),
    pause=Key(pin=PAUSE, led=PAUSE_LED),
)


def ids() -> Callable[[], str]:
    """Return what numbers requests from 1."""
    numbers = count(1)
    return lambda: f"request-{next(numbers)}"


def counter(state: Any, *, waiting: int = 0, revision: int = 1) -> CallpadDesired:
    """Return the desired state of a pad."""
    return CallpadDesired(revision=revision, state=state, waiting=waiting)


@pytest.fixture
def pad(bench: type) -> Any:
    """A pad on the bench in contact with the center, its counter open, three people waiting, at 1000 ms."""
    made = bench(CallpadDecisions(CONFIG, ids()))
    made.link(up=True)
    made.desired(counter("open", waiting=3, revision=17))
    made.at(1000)
    return made


def ask(number: int, action: Any, seen: int) -> Ask:
    """Return the request that the pad sends."""
    return Ask(request_id=f"request-{number}", action=action, args=Args(), seen=seen, expires_in_ms=5000)


# --- what the keys ask -----------------------------------------------------------------------------------------------


def test_next_asks_with_the_revision_that_the_officer_saw(pad: Any) -> None:
    """The key next asks to call the next number, with the counter's revision, for 5 s."""
    pad.press(NEXT)
    assert pad.asks == [ask(1, "call_next", 17)]


@pytest.mark.parametrize(
    ("key", "state", "action"),
    [
        (RECALL, "calling", "recall"),
        (NO_SHOW, "calling", "no_show"),
        (PAUSE, "open", "pause"),
        (PAUSE, "serving", "pause"),
        (PAUSE, "paused", "open"),
        (PAUSE, "closed", "open"),
    ],
)
def test_each_key_asks_for_its_action(pad: Any, key: int, state: str, action: str) -> None:
    """Recall and no-show ask for themselves; pause asks for a pause, and to open when the counter is not."""
    pad.desired(counter(state, revision=18))
    pad.press(key)
    assert pad.asks == [ask(1, action, 18)]


def test_one_request_at_a_time(pad: Any) -> None:
    """While an answer is awaited, no key does anything."""
    pad.press(NEXT)
    pad.press(NEXT)
    pad.press(RECALL)
    assert len(pad.asks) == 1


def test_a_second_press_right_after_a_call_calls_nobody(pad: Any) -> None:
    """For 1.5 s after a successful call next does nothing: a finger that slips does not skip a citizen."""
    pad.press(NEXT)
    pad.reply(Reply(id="request-1", ok=True))
    answered_ms = pad.now_ms
    pad.at(answered_ms + 1400)
    pad.press(NEXT)
    assert len(pad.asks) == 1
    pad.at(answered_ms + 1600)
    pad.press(NEXT)
    assert len(pad.asks) == 2


def test_the_other_keys_are_not_locked_after_a_call(pad: Any) -> None:
    """Recall works at once after a call."""
    pad.press(NEXT)
    pad.reply(Reply(id="request-1", ok=True))
    pad.press(RECALL)
    assert [asked.action for asked in pad.asks] == ["call_next", "recall"]


def test_two_keys_at_once_ask_for_nothing(pad: Any) -> None:
    """A hand on two keys is no request."""
    pad.close(NEXT, NO_SHOW)
    pad.at(1100)
    pad.open(NEXT, NO_SHOW)
    pad.at(2000)
    assert pad.asks == []


# --- what the lights say ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "waiting", "lit"),
    [
        ("open", 3, {NEXT_LED}),
        ("open", 0, set()),
        ("serving", 3, {NEXT_LED}),
        ("calling", 3, {NEXT_LED, RECALL_LED, NO_SHOW_LED}),
        ("calling", 0, {RECALL_LED, NO_SHOW_LED}),
        ("paused", 3, {PAUSE_LED}),
        ("closed", 3, set()),
    ],
)
def test_a_steady_light_is_a_key_that_makes_sense(pad: Any, state: str, waiting: int, lit: set[int]) -> None:
    """Next is lit while people wait, recall and no-show while a number is called, pause while paused."""
    pad.desired(counter(state, waiting=waiting))
    assert pad.lit == lit
    assert pad.decisions.deadline_ms() is None


def test_the_pressed_key_is_lit_alone_until_the_answer(pad: Any) -> None:
    """While the pad waits, only the pressed key's light is on; after the answer the lights are the counter's again."""
    pad.desired(counter("calling", waiting=2))
    pad.press(RECALL)
    assert pad.lit == {RECALL_LED}
    pad.reply(Reply(id="request-1", ok=True))
    assert pad.lit == {NEXT_LED, RECALL_LED, NO_SHOW_LED}


def test_a_refusal_is_two_short_blinks(pad: Any) -> None:
    """A refused key blinks twice."""
    pad.press(RECALL)
    pad.reply(Reply(id="request-1", ok=False, code="no_ticket", message="Chưa gọi số nào."))
    start_ms = pad.now_ms
    pad.at(start_ms + 3000)
    # It was lit while waiting, so the first blink is already on.
    assert pad.seen_from(RECALL_LED, start_ms) == [(150, False), (300, True), (450, False)]
    assert pad.lit == {NEXT_LED}


def test_next_blinks_slowly_while_nobody_waits(pad: Any) -> None:
    """After next was asked of an empty line its light blinks slowly until somebody takes a number."""
    pad.desired(counter("open", waiting=0))
    pad.press(NEXT)
    pad.reply(Reply(id="request-1", ok=False, code="queue_empty", message="Không có ai đang chờ."))
    start_ms = pad.now_ms
    pad.at(start_ms + 2400)
    assert pad.seen_from(NEXT_LED, start_ms) == [(800, False), (1600, True), (2400, False)]
    pad.desired(counter("open", waiting=1, revision=2))
    assert pad.lit == {NEXT_LED}
    assert pad.decisions.deadline_ms() is None


def test_a_pause_ends_the_slow_blinking(pad: Any) -> None:
    """An officer who goes for a break is not blinked at."""
    pad.press(NEXT)
    pad.reply(Reply(id="request-1", ok=False, code="queue_empty"))
    pad.desired(counter("paused", revision=2))
    assert pad.lit == {PAUSE_LED}


# --- no contact ------------------------------------------------------------------------------------------------------

FAST = [(offset, offset % 340 == 0) for offset in range(0, 1700, 170)]


def test_no_answer_is_all_lights_blinking_fast(pad: Any) -> None:
    """Without an answer in 5 s all lights blink five times together, and the report says that nobody answers."""
    pad.close(NEXT)
    pad.at(1015)
    pad.at(6014)
    assert pad.lit == {NEXT_LED}
    pad.at(10_000)
    assert pad.seen_from(PAUSE_LED, 6015) == FAST
    assert pad.seen_from(RECALL_LED, 6015) == FAST
    assert pad.reports[-1].trouble == "no_answer"
    assert pad.lit == {NEXT_LED}


def test_an_answer_ends_the_trouble(pad: Any) -> None:
    """The next answer, also a refusal, takes the trouble out of the report."""
    pad.press(NEXT)
    pad.at(10_000)
    pad.press(NEXT)
    pad.reply(Reply(id="request-2", ok=False, code="stale"))
    assert pad.reports[-1].trouble is None


def test_a_late_answer_changes_nothing(pad: Any) -> None:
    """An answer that comes after the pad gave up is ignored: the counter's state says what happened."""
    pad.press(NEXT)
    pad.at(6100)
    lit = set(pad.lit)
    pad.reply(Reply(id="request-1", ok=True))
    assert pad.lit == lit
    pad.press(NEXT)
    assert len(pad.asks) == 2


def test_an_answer_to_somebody_else_is_ignored(pad: Any) -> None:
    """Only the answer with the request's own id ends the waiting."""
    pad.press(NEXT)
    pad.reply(Reply(id="request-9", ok=True))
    assert pad.lit == {NEXT_LED}
    pad.press(RECALL)
    assert len(pad.asks) == 1


def test_a_press_without_contact_is_not_kept(pad: Any) -> None:
    """Without contact a press asks nothing, now or later, and says so at once with all lights."""
    pad.link(up=False)
    start_ms = pad.now_ms + 15
    pad.press(NEXT)
    pad.at(start_ms + 2000)
    assert pad.seen_from(NEXT_LED, start_ms) == FAST
    pad.link(up=True)
    pad.at(20_000)
    assert pad.asks == []


def test_without_contact_no_light_is_stale(pad: Any) -> None:
    """When contact is lost the steady lights go out and the last key's light flashes every three seconds."""
    pad.link(up=False)
    start_ms = pad.now_ms
    assert NEXT_LED not in pad.lit
    pad.at(start_ms + 3050)
    assert pad.seen_from(PAUSE_LED, start_ms) == [(0, True), (50, False), (3000, True), (3050, False)]
    pad.link(up=True)
    assert pad.lit == {NEXT_LED}


def test_contact_lost_while_waiting_is_told_at_once(pad: Any) -> None:
    """When contact is lost while an answer is awaited, nobody has to wait the full 5 s."""
    pad.press(NEXT)
    start_ms = pad.now_ms
    pad.link(up=False)
    pad.at(start_ms + 1600)
    assert pad.seen_from(RECALL_LED, start_ms) == FAST


def test_before_the_center_has_spoken_nothing_is_asked(bench: type) -> None:
    """Connected to a broker only, the pad does not know its counter and asks nothing."""
    pad = bench(CallpadDecisions(CONFIG, ids()))
    pad.link(up=True)
    pad.press(NEXT)
    assert pad.asks == []
    assert pad.lit in (set(), LEDS)


# --- what is reported ------------------------------------------------------------------------------------------------


def test_the_revision_in_effect_is_reported(pad: Any) -> None:
    """A pad reports the revision whose lights it shows."""
    assert [report.revision for report in pad.reports] == [0, 17]


def test_a_stuck_key_is_reported_and_the_others_work(pad: Any) -> None:
    """A jammed key is named as trouble until it is released; the others go on working."""
    pad.close(NO_SHOW)
    pad.at(2000)
    pad.reply(Reply(id="request-1", ok=False, code="not_calling"))
    pad.at(12_000)
    assert pad.reports[-1].trouble == "stuck:no_show"
    pad.press(NEXT)
    assert pad.asks[-1].action == "call_next"
    pad.reply(Reply(id="request-2", ok=True))
    pad.open(NO_SHOW)
    pad.at(13_000)
    assert pad.reports[-1].trouble is None
