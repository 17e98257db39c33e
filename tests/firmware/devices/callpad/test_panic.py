"""The panic keys: held together they call for help and do nothing else, alone they do what they always do."""

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contract.events import CallpadPanic
from contract.states import CallpadDesired
from firmware.devices.callpad.config import CallpadConfig, Key
from firmware.devices.callpad.decisions import ALONE_MS, TOGETHER_MS, CallpadDecisions

NEXT, RECALL, PAUSE = 23, 24, 8
KEYS = {"next": Key(pin=NEXT, led=12), "recall": Key(pin=RECALL, led=16), "pause": Key(pin=PAUSE, led=21)}
CONFIG = CallpadConfig(**KEYS, panic_keys=("recall", "pause"))  # type: ignore[arg-type]


def ids() -> Callable[[], str]:
    """Return what numbers requests from 1."""
    numbers = count(1)
    return lambda: f"request-{next(numbers)}"


@pytest.fixture
def pad(bench: type) -> Any:
    """A pad with panic keys in contact with the center, its counter calling, at 1000 ms."""
    return made(bench)


def made(bench: type, config: CallpadConfig = CONFIG) -> Any:
    """Make one."""
    pad = bench(CallpadDecisions(config, ids()))
    pad.link(up=True)
    pad.desired(CallpadDesired(revision=17, state="calling", waiting=3))
    pad.at(1000)
    return pad


@pytest.mark.parametrize("apart_ms", [0, 5, 16, 80, 140])
def test_keys_that_are_held_together_call_for_help_and_do_nothing_else(pad: Any, apart_ms: int) -> None:
    """Both keys down for half a second are one panic, on record at once, and neither key's own action is asked for."""
    pad.close(RECALL)
    pad.at(1000 + apart_ms)
    pad.close(PAUSE)
    pad.at(1000 + apart_ms + 480)
    assert pad.facts == []
    pad.at(1000 + apart_ms + 560)
    assert [type(fact) for fact in pad.facts] == [CallpadPanic]
    assert 500 <= pad.facts[0].held_ms < 560
    pad.at(5000)
    pad.open(RECALL, PAUSE)
    pad.at(6000)
    assert len(pad.facts) == 1
    assert pad.asks == []


def test_a_panic_is_silent(pad: Any) -> None:
    """No light shows whoever stands before the counter that help was called."""
    before = set(pad.lit)
    pad.close(RECALL, PAUSE)
    pad.at(3000)
    pad.open(RECALL, PAUSE)
    pad.at(4000)
    assert len(pad.facts) == 1
    assert (pad.lit, pad.switched[-1:]) == (before, [one for one in pad.switched if one[0] < 1000][-1:])


def test_a_panic_needs_no_contact(bench: type) -> None:
    """Without the center, and before it ever spoke, a panic goes on record: the outbox brings it as soon as it can."""
    pad = bench(CallpadDecisions(CONFIG, ids()))
    pad.at(1000)
    pad.close(RECALL, PAUSE)
    pad.at(2000)
    assert len(pad.facts) == 1


def test_pressed_again_is_another_panic(pad: Any) -> None:
    """To let one key go and hold it again calls again; what belongs together the camera knows."""
    pad.close(RECALL, PAUSE)
    pad.at(2000)
    pad.open(PAUSE)
    pad.at(2100)
    pad.close(PAUSE)
    pad.at(4000)
    assert len(pad.facts) == 1, "the other key had been down for long: that is no pressing together"
    pad.open(RECALL, PAUSE)
    pad.at(4100)
    pad.close(RECALL, PAUSE)
    pad.at(5000)
    assert len(pad.facts) == 2


@pytest.mark.parametrize("for_ms", [30, 60, 140, 400])
def test_a_panic_key_alone_does_what_it_always_does(pad: Any, for_ms: int) -> None:
    """A short press counts when the key is let go, a longer one after a sixth of a second, once."""
    pad.close(RECALL)
    pad.at(1000 + for_ms)
    pad.open(RECALL)
    pad.at(1000 + max(for_ms + 40, ALONE_MS + 40))
    assert [one.action for one in pad.asks] == ["recall"]
    assert pad.facts == []


def test_a_short_press_is_not_kept_waiting(pad: Any) -> None:
    """A panic key that was let go asks as soon as that is sure."""
    pad.close(RECALL)
    pad.at(1030)
    pad.open(RECALL)
    pad.at(1050)
    assert [one.action for one in pad.asks] == ["recall"]


def test_a_hand_on_three_keys_calls_nobody_up(bench: type) -> None:
    """Where next is a panic key, too, a hand that falls on it first calls for help and no number."""
    pad = made(bench, CallpadConfig(**KEYS, panic_keys=("next", "recall", "pause")))
    pad.close(NEXT)
    pad.at(1050)
    pad.close(RECALL, PAUSE)
    pad.at(3000)
    assert (len(pad.facts), pad.asks) == (1, [])


def test_other_keys_wait_for_nothing(pad: Any) -> None:
    """A key that is no panic key asks as soon as its contact has settled."""
    pad.close(NEXT)
    pad.at(1040)
    assert [one.action for one in pad.asks] == ["call_next"]


def test_a_hand_that_slips_over_two_keys_is_no_panic(pad: Any) -> None:
    """Both keys for less than half a second call nobody, and ask for nothing."""
    pad.close(RECALL, PAUSE)
    pad.at(1400)
    pad.open(RECALL, PAUSE)
    pad.at(4000)
    assert (pad.facts, pad.asks) == ([], [])


def test_a_key_that_is_stuck_does_not_make_the_other_one_a_panic(pad: Any) -> None:
    """With one key down for long, the other pressed and held is no panic; the stuck key is reported."""
    pad.close(RECALL)
    pad.at(1000 + TOGETHER_MS + 200)
    pad.close(PAUSE)
    pad.at(4000)
    assert pad.facts == []
    pad.open(PAUSE)
    pad.at(12_000)
    assert pad.reports[-1].trouble == "stuck:recall"
    pad.close(PAUSE)
    pad.at(14_000)
    assert pad.facts == []


def test_keys_that_are_down_when_the_pad_starts_are_a_fault_and_no_panic(bench: type) -> None:
    """A cable that lies to ground does not call for help with each start; after it is mended, keys do."""
    pad = bench(CallpadDecisions(CONFIG, ids()))
    pad.close(RECALL, PAUSE, heard=False)
    pad._do(pad.decisions.on_start(0))
    pad._drain()
    pad.at(9_000)
    assert pad.facts == []
    pad.open(RECALL, PAUSE)
    pad.at(9_100)
    pad.close(RECALL, PAUSE)
    pad.at(10_000)
    assert len(pad.facts) == 1


def test_a_pad_without_panic_keys_has_no_panic(bench: type) -> None:
    """Whatever is held on a pad whose file names no panic keys calls nobody, and keys ask as they did."""
    pad = made(bench, CallpadConfig(**KEYS))
    pad.close(RECALL)
    pad.at(1040)
    assert [one.action for one in pad.asks] == ["recall"]
    pad.close(PAUSE, NEXT)
    pad.at(5000)
    assert pad.facts == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])  # it is a class
@given(
    st.lists(
        st.tuples(st.sampled_from([RECALL, PAUSE, NEXT]), st.booleans(), st.integers(1, 400)), min_size=1, max_size=25
    )
)
def test_no_panic_without_both_keys_down_for_long_enough(bench: type, moves: list[tuple[int, bool, int]]) -> None:
    """Whatever fingers do, each panic has half a second with both keys down before it, and no pad spins or hangs."""
    pad = made(bench)
    down_at: dict[int, int] = {}
    open_at: dict[int, int] = {}  # a key that opened is believed to be down until that has lasted
    longest = 0
    for pin, down, wait_ms in moves:
        still_ms = pad.now_ms - open_at.get(pin, 0)
        if down:
            if pin not in pad.closed and (pin not in down_at or still_ms >= CONFIG.debounce_ms):
                down_at[pin] = pad.now_ms
            open_at.pop(pin, None)
        elif pin in pad.closed or still_ms < CONFIG.debounce_ms:
            open_at[pin] = pad.now_ms
        (pad.close if down else pad.open)(pin)
        before = len(pad.facts)
        pad.at(pad.now_ms + wait_ms)
        if both := {RECALL, PAUSE} <= down_at.keys():
            ends = [open_at.get(each, pad.now_ms) + CONFIG.debounce_ms for each in (RECALL, PAUSE)]
            longest = max(longest, min(pad.now_ms, *ends) - max(down_at[RECALL], down_at[PAUSE]))
        if len(pad.facts) > before:
            assert both
            assert min(pad.now_ms, *ends) - max(down_at[RECALL], down_at[PAUSE]) >= CONFIG.panic_hold_ms
    if longest < CONFIG.panic_hold_ms:
        assert pad.facts == []


def test_a_release_that_is_not_believed_yet_does_not_call_off_a_panic(pad: Any) -> None:
    """A key that opens within the debounce time before the half second is over has been held for it."""
    pad.close(RECALL, PAUSE)
    pad.at(1490)
    pad.open(RECALL)
    pad.at(1560)
    assert len(pad.facts) == 1
    pad.open(PAUSE)
    pad.at(3000)
    pad.close(RECALL, PAUSE)
    pad.at(3470)
    pad.open(RECALL)
    pad.at(4000)
    assert len(pad.facts) == 1
