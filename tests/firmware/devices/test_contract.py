"""What every device keeps to. One suite over the registry; a new kind joins by its line there and its rig."""

import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import count
from queue import Empty, SimpleQueue
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contract.codec import decode, encode
from contract.envelope import open_envelope, seal
from contract.requests import Reply, Request, TicketView
from contract.states import REPORTED
from firmware.clock import SystemClock
from firmware.devices.registry import KINDS, DeviceContext, Kind
from firmware.errors import ConfigError, HardwareError, MotcuaError
from firmware.ports import Ask, Decisions, Drive, Driver, Effect, Record, Remember, Report

TIMEOUT_S = 30


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    """Each kind of the registry."""
    return KINDS[request.param]


@pytest.fixture
def rig(kind: Kind, request: pytest.FixtureRequest) -> Any:
    """Return the kind's rig: the fixture `<kind>_rig` of the conftest."""
    return request.getfixturevalue(f"{kind.name}_rig")


def build(kind: Kind, rig: Any) -> tuple[Decisions, Driver]:
    """Make the kind's device from the rig's configuration."""
    numbers = count(1)
    context = DeviceContext(
        station="q03",
        name=kind.name,
        memory={},
        new_id=lambda: f"request-{next(numbers):04}",
        clock=SystemClock(),
        state_dir=getattr(rig, "state_dir", None),
    )
    return kind.build(msgspec.convert(rig.config, kind.config), context)


def soon(condition: Any) -> bool:
    """Wait until a condition holds; False when it does not."""
    end = time.monotonic() + TIMEOUT_S
    while not condition() and time.monotonic() < end:
        time.sleep(0.005)
    return bool(condition())


def heard(posted: "SimpleQueue[object]") -> bool:
    """Whether something is posted in time."""
    try:
        posted.get(timeout=TIMEOUT_S)
    except Empty:
        return False
    return True


# --- drivers ---------------------------------------------------------------------------------------------------------


def test_an_open_driver_posts_what_it_hears(kind: Kind, rig: Any) -> None:
    """What the hardware does is posted."""
    _, driver = build(kind, rig)
    posted: SimpleQueue[object] = SimpleQueue()
    driver.open(posted.put)
    try:
        rig.provoke()
        assert heard(posted)
        assert driver.alive()
    finally:
        driver.close()


def test_a_driver_drives(kind: Kind, rig: Any) -> None:
    """Each command changes what people see."""
    _, driver = build(kind, rig)
    driver.open(lambda _: None)
    try:
        for command in rig.commands:
            before = rig.seen()
            driver.drive(command)
            assert soon(lambda before=before: rig.seen() != before), command
    finally:
        driver.close()


def test_a_closed_driver_holds_nothing(kind: Kind, rig: Any) -> None:
    """After closing, also twice and also without having been opened, no line, port or thread is held."""
    threads = set(threading.enumerate())
    _, driver = build(kind, rig)
    driver.close()
    driver.open(lambda _: None)
    assert rig.taken()
    driver.close()
    driver.close()
    assert not rig.taken()
    assert soon(lambda: set(threading.enumerate()) <= threads)


def test_a_driver_can_be_opened_again(kind: Kind, rig: Any) -> None:
    """What was closed can be taken anew, as the daemon does after a fault."""
    posted: SimpleQueue[object] = SimpleQueue()
    for _ in range(2):
        _, driver = build(kind, rig)
        driver.open(posted.put)
        rig.provoke()
        assert heard(posted)
        driver.close()
        while not posted.empty():
            posted.get()


def test_a_driver_survives_a_post_that_raises(kind: Kind, rig: Any) -> None:
    """An error behind one signal does not keep the next one from being posted."""
    posted: SimpleQueue[object] = SimpleQueue()
    raised = threading.Event()

    def post(signal: object) -> None:
        if not raised.is_set():
            raised.set()
            raise ValueError("the inbox is not what it was")
        posted.put(signal)

    _, driver = build(kind, rig)
    driver.open(post)
    try:
        rig.provoke()
        assert raised.wait(TIMEOUT_S)
        rig.provoke()
        assert heard(posted)
        assert driver.alive()
    finally:
        driver.close()


def test_a_dead_thread_is_noticed(kind: Kind, rig: Any) -> None:
    """When a thread that the driver needs has ended, the driver is not alive, so the watchdog will bite."""
    _, driver = build(kind, rig)
    driver.open(lambda _: None)
    try:
        assert driver.alive()
        rig.kill_thread(driver)
        assert soon(lambda: not driver.alive())
    finally:
        driver.close()


def test_a_failed_opening_says_why_and_holds_nothing(kind: Kind, rig: Any) -> None:
    """A part that is missing or held by others is a HardwareError for an operator, and nothing stays half open.

    A driver with a thread of its own may keep trying there instead: then it says so by a signal.
    """
    threads = set(threading.enumerate())
    rig.spoil()
    held = list(rig.taken())
    _, driver = build(kind, rig)
    posted: SimpleQueue[object] = SimpleQueue()
    try:
        driver.open(posted.put)
    except HardwareError as error:
        posted.put(str(error))
    assert heard(posted)
    driver.close()
    assert list(rig.taken()) == held
    assert soon(lambda: set(threading.enumerate()) <= threads)


def test_a_driver_raises_only_our_errors(kind: Kind, rig: Any) -> None:
    """To drive what is not open raises nothing but our own errors."""
    _, driver = build(kind, rig)
    for command in rig.commands:
        try:
            driver.drive(command)
        except MotcuaError as error:
            assert not isinstance(error, ConfigError)  # noqa: PT017 - raising is allowed, not demanded


# --- decisions -------------------------------------------------------------------------------------------------------

Call = tuple[str, Any, int]


def calls(rig: Any) -> st.SearchStrategy[list[Call]]:
    """Everything that can happen to decisions, with the time that goes by before it."""
    ids = st.integers(1, 6).map(lambda number: f"request-{number:04}")
    ticket = TicketView(id="t1", number="A007", service="dat-dai", state="called", version=1)
    replies = st.builds(
        Reply,
        id=ids,
        ok=st.booleans(),
        ticket=st.none() | st.just(ticket),
        code=st.none() | st.sampled_from(["queue_empty", "stale"]),
    )
    what = st.one_of(
        st.tuples(st.just("signal"), rig.signals),
        st.tuples(st.just("desired"), rig.desired),
        st.tuples(st.just("reply"), replies),
        st.tuples(st.just("link"), st.booleans()),
        st.tuples(st.just("time"), st.none()),
        st.tuples(st.just("start"), st.none()),
        st.tuples(st.just("due"), st.none()),
    )
    return st.lists(st.tuples(what, st.integers(0, 40_000)).map(lambda call: (*call[0], call[1])), max_size=40)


def check(kind: Kind, effects: Sequence[Effect]) -> None:
    """Assert that each effect can be carried out and travels as the contract says."""
    for effect in effects:
        match effect:
            case Record(fact, remember, then, otherwise):
                payload = seal(
                    fact,
                    event_id="e1",
                    source=f"/bentre/q03/{kind.name}",
                    time=datetime(2026, 11, 23, tzinfo=UTC),
                    sequence=1,
                    stream="s1",
                    boot_id="b1",
                    monotonic_ms=0,
                    clock_synced=False,
                )
                assert open_envelope(payload).fact() == fact
                assert all(isinstance(text, str) for pair in remember.items() for text in pair)
                check(kind, then)
                check(kind, otherwise)
            case Remember(memory):
                assert all(isinstance(text, str) for pair in memory.items() for text in pair)
            case Report(state):
                assert type(state) in REPORTED.values()
                assert decode(encode(state), type(state)) == state
            case Ask(request_id, action, args, seen, expires_in_ms):
                ask = Request(id=request_id, action=action, args=args, seen=seen, expires_in_ms=expires_in_ms)
                assert decode(encode(ask), Request) == ask
            case Drive():
                pass
            case _:
                raise AssertionError(f"unknown effect {effect}")


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(data=st.data())
def test_decisions_bear_any_order_of_calls(kind: Kind, rig: Any, data: st.DataObject) -> None:
    """Whatever happens in whatever order raises nothing, makes valid messages, and never leaves a met deadline due."""
    decisions, _ = build(kind, rig)
    now_ms = 1000
    check(kind, decisions.on_start(now_ms))
    for what, content, later_ms in data.draw(calls(rig)):
        now_ms += later_ms
        match what:
            case "signal":
                effects = decisions.on_signal(content, now_ms)
            case "desired":
                effects = decisions.on_desired(content, now_ms)
            case "reply":
                effects = decisions.on_reply(content, now_ms)
            case "link":
                effects = decisions.on_link(up=content, now_ms=now_ms)
            case "start":
                effects = decisions.on_start(now_ms)
            case "due":
                now_ms = max(now_ms, decisions.deadline_ms() or 0)
                effects = decisions.on_time(now_ms)
            case _:
                effects = decisions.on_time(now_ms)
        check(kind, effects)
        if what in ("due", "time"):
            deadline_ms = decisions.deadline_ms()
            assert deadline_ms is None or deadline_ms > now_ms


def test_decisions_report_at_the_start(kind: Kind, rig: Any) -> None:
    """A device that has started reports what it is, before the center has said anything."""
    decisions, _ = build(kind, rig)
    assert any(isinstance(effect, Report) for effect in decisions.on_start(0))
