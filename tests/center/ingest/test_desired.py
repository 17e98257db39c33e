"""What the devices of a counter should be, in every state of the counter."""

import pytest

from center.ingest import desired
from center.queue.engine import State, decide
from center.queue.model import (
    AnyCommand,
    CallNext,
    CloseCounter,
    Counter,
    Finish,
    Issue,
    OpenCounter,
    PauseCounter,
    Rules,
    Service,
    Start,
    StartDay,
)


@pytest.fixture
def state() -> State:
    """A morning with counter 1 open and one citizen waiting."""
    one = State(
        [Service(id="land", letter="A", vi="Đất đai", en="Land")],
        [Counter(id="q01", label="1", services=("land",))],
        Rules(),
    )
    do(one, StartDay(at=0, day="2026-11-23"), Issue(at=0, ticket_id="t1", service="land"))
    do(one, OpenCounter(at=0, counter="q01"))
    return one


def do(state: State, *commands: AnyCommand) -> None:
    """Carry out commands."""
    for command in commands:
        events = decide(state, command)
        assert isinstance(events, list)
        for event in events:
            state.apply(event)


def test_a_panel_follows_its_counter(state: State) -> None:
    """A panel blinks the called number, shows it still while it is served, and else says open, paused or closed."""

    def shown() -> tuple[str, str | None, bool]:
        panel = desired.display(state, state.counters["q01"])
        assert (panel.counter, panel.revision) == ("1", state.counters["q01"].revision)
        return panel.state, panel.number, panel.blink

    assert shown() == ("idle", None, False)
    do(state, CallNext(at=1, counter="q01"))
    assert shown() == ("calling", "A001", True)
    do(state, Start(at=2, counter="q01"))
    assert shown() == ("serving", "A001", False)
    do(state, Finish(at=3, counter="q01"), PauseCounter(at=3, counter="q01"))
    assert shown() == ("paused", None, False)
    do(state, CloseCounter(at=4, counter="q01"))
    assert shown() == ("closed", None, False)


def test_a_call_pad_follows_its_counter(state: State) -> None:
    """A call pad hears the state, the number at the counter and how many wait."""

    def shown() -> tuple[str, str | None, int]:
        pad = desired.callpad(state, state.counters["q01"])
        return pad.state, pad.number, pad.waiting

    assert shown() == ("open", None, 1)
    do(state, CallNext(at=1, counter="q01"))
    assert shown() == ("calling", "A001", 0)
    do(state, Start(at=2, counter="q01"))
    assert shown() == ("serving", "A001", 0)
    # The key `pause` must lead out of a pause again, so the pad hears of it whoever sits there.
    do(state, PauseCounter(at=3, counter="q01"))
    assert shown() == ("paused", "A001", 0)
    do(state, OpenCounter(at=4, counter="q01"))
    assert shown() == ("serving", "A001", 0)


def test_a_rating_pad_opens_for_whom_was_served_and_closes_by_itself(state: State) -> None:
    """A pad is open for the rest of its time, also when it hears late, and its revision only grows."""
    do(state, CallNext(at=1, counter="q01"), Start(at=2, counter="q01"), Finish(at=10_000, counter="q01"))

    def pad(now_ms: int) -> tuple[int, str | None, int | None]:
        wanted = desired.rating(state, state.counters["q01"], now_ms=now_ms, arm_s=30)
        return wanted.revision, *((wanted.armed.ticket, wanted.armed.seconds) if wanted.armed else (None, None))

    revision = 2 * state.counters["q01"].revision
    assert pad(10_000) == (revision, "t1", 30)
    assert pad(25_001) == (revision, "t1", 15)
    assert pad(39_999) == (revision, "t1", 1)
    assert pad(40_000) == (revision + 1, None, None)
    assert pad(0) == (revision, "t1", 30)  # the clock has stepped back
    do(state, Issue(at=11_000, ticket_id="t2", service="land"), CallNext(at=11_000, counter="q01"))
    assert pad(11_000)[1] == "t1"  # the next one walks up, the last one still rates
    rated = desired.rating(state, state.counters["q01"], now_ms=11_000, arm_s=30, rated={"t1"})
    assert (rated.revision, rated.armed) == (2 * state.counters["q01"].revision + 1, None)
    do(state, Start(at=12_000, counter="q01"))
    assert pad(12_000)[1] is None
