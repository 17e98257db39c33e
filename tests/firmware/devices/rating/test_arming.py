"""Arming against a model: the model is what a person would write down beside the pad."""

import importlib.util
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from contract.events import RatingGiven
from contract.states import Armed, RatingDesired
from firmware.devices.rating.config import Button, RatingConfig
from firmware.devices.rating.decisions import RatingDecisions

PINS = (17, 27, 22)
BUZZER = 18
CONFIG = RatingConfig(
    scale="vn-3",
    buttons=tuple(
        Button(level=level, pin=pin, led=led) for level, pin, led in zip((1, 2, 3), PINS, (5, 6, 13), strict=True)
    ),
    buzzer=BUZZER,
)


def bench_class() -> Any:
    """Return the class Bench of the conftest: a state machine gets no fixtures."""
    spec = importlib.util.spec_from_file_location("bench", Path(__file__).parents[1] / "conftest.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Bench


Bench = bench_class()


class Arming(RuleBasedStateMachine):
    """Tickets come and go, citizens press, the disk fails, the power fails; the card stays."""

    def __init__(self) -> None:
        super().__init__()
        self.pad = Bench(RatingDecisions(CONFIG, {}))
        self.facts: list[Any] = []
        self.tickets = 0
        self.heard: RatingDesired | None = None
        self.opened_ms = -1
        self.until_ms = -1
        self.store_works = True
        self.kept_before = 0
        self.tones_before = 0

    def _harvest(self) -> None:
        """Check every new rating against the model."""
        for fact in self.pad.facts:
            if isinstance(fact, RatingGiven):
                assert fact.ticket is not None
                assert fact.ticket not in {earlier.ticket for earlier in self.facts if isinstance(earlier, RatingGiven)}
                assert self.heard is not None
                assert fact.armed_for_ms is not None
                assert self.heard.armed is not None
                assert fact.ticket == self.heard.armed.ticket
                assert 0 <= fact.armed_for_ms < self.until_ms - self.opened_ms
            self.facts.append(fact)
        self.pad.facts.clear()

    @rule(seconds=st.integers(1, 40))
    def serve_the_next(self, seconds: int) -> None:
        """The center arms the pad for a new ticket, not sooner than the tone for the last one has ended."""
        self.pad.at(self.pad.now_ms + 200)
        self.tickets += 1
        self._hear(
            RatingDesired(revision=self.tickets, armed=Armed(ticket=f"t{self.tickets}", number="A001", seconds=seconds))
        )

    @rule()
    def disarm(self) -> None:
        """The center closes the pad."""
        self.tickets += 1
        self._hear(RatingDesired(revision=self.tickets, armed=None))

    @rule()
    def say_it_again(self) -> None:
        """The center repeats itself."""
        if self.heard is not None:
            self.pad.desired(self.heard)

    def _hear(self, desired: RatingDesired) -> None:
        self.heard = desired
        if desired.armed is None:
            self.until_ms = min(self.until_ms, self.pad.now_ms)
        else:
            self.opened_ms, self.until_ms = self.pad.now_ms, self.pad.now_ms + desired.armed.seconds * 1000
        self.pad.desired(desired)

    @rule(pin=st.sampled_from(PINS), for_ms=st.sampled_from([5, 14, 15, 16, 80, 400]), heard=st.booleans())
    def press(self, pin: int, for_ms: int, heard: bool) -> None:
        """A finger, or interference, of which the release may get lost."""
        self.pad.close(pin)
        self.pad.at(self.pad.now_ms + for_ms)
        self.pad.open(pin, heard=heard)
        self.pad.at(self.pad.now_ms + 40)

    @rule(pins=st.permutations(PINS), gap_ms=st.integers(0, 30))
    def press_two(self, pins: list[int], gap_ms: int) -> None:
        """A hand that is not sure."""
        self.pad.close(pins[0])
        self.pad.at(self.pad.now_ms + gap_ms)
        self.pad.close(pins[1])
        self.pad.at(self.pad.now_ms + 60)
        self.pad.open(*pins[:2])
        self.pad.at(self.pad.now_ms + 40)

    @rule(ms=st.sampled_from([1, 100, 2000, 7000, 29_000, 45_000]))
    def wait(self, ms: int) -> None:
        """Time goes by."""
        self.pad.at(self.pad.now_ms + ms)

    @rule(works=st.booleans())
    def disk(self, works: bool) -> None:
        """The disk fills up, or has room again."""
        self.store_works = self.pad.store_works = works

    @rule()
    def power_cut(self) -> None:
        """The pad starts again with what its card holds, and the broker hands it the retained state."""
        self._harvest()
        memory, now_ms = self.pad.memory, self.pad.now_ms
        self.pad = Bench(RatingDecisions(CONFIG, memory))
        self.pad.memory = dict(memory)
        self.pad.store_works = self.store_works
        self.tones_before = 0
        self.kept_before = sum(isinstance(fact, RatingGiven) for fact in self.facts)
        self.pad.at(now_ms)
        if self.heard is not None:
            self._hear(self.heard)

    @invariant()
    def ratings_and_thanks_are_right(self) -> None:
        """No ticket has two ratings, none came outside its window, and there is a tone for each that was stored."""
        self._harvest()
        tones = sum(on for _, pin, on in self.pad.switched if pin == BUZZER)
        assert tones == sum(isinstance(fact, RatingGiven) for fact in self.facts) - self.kept_before


Arming.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestArming = Arming.TestCase
TestArming.__doc__ = (
    """Never two ratings for one ticket, none outside its window, and thanks only for what is stored."""
)
