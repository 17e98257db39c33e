import importlib.util
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import gpiozero
import pytest

from firmware.devices.debounce import Edge, Reading
from firmware.devices.gpio import Echo, Read, Switch
from firmware.ports import Ask, Drive, Effect, Record, Report
from simulator.board import Board


def eventually(condition: Callable[[], object], timeout_s: float = 5) -> bool:
    """Wait until a condition holds, which other threads bring about; False when it does not."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.005)
    return bool(condition())


@pytest.fixture(autouse=True)
def _no_thread_stays() -> Iterator[None]:
    """A test that leaves a thread behind fails."""
    before = set(threading.enumerate())
    yield
    assert eventually(lambda: set(threading.enumerate()) <= before), threading.enumerate()


@pytest.fixture
def board() -> Iterator[Board]:
    """A simulated board that gpiozero takes its pins from."""
    made = Board()
    gpiozero.Device.pin_factory = made.factory
    yield made
    gpiozero.Device.pin_factory = None
    made.factory.close()


def load_rig(kind: str) -> ModuleType:
    """Return the module `<kind>/rig.py` beside this file."""
    path = Path(__file__).parent / kind / "rig.py"
    spec = importlib.util.spec_from_file_location(f"rig_{kind}", path)
    assert spec is not None, f"the kind {kind!r} needs a rig for the contract suite: {path}"
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def rig_of() -> Callable[[str], ModuleType]:
    """How a test gets the rig of a kind."""
    return load_rig


class Bench:
    """Carries out what decisions of a GPIO device want, as the daemon and its lines would, at literal times.

    What was done is kept with its time.
    """

    def __init__(self, decisions: Any) -> None:
        self.decisions = decisions
        self.now_ms = 0
        self.closed: set[int] = set()
        self.lit: set[int] = set()
        self.switched: list[tuple[int, int, bool]] = []
        self.facts: list[Any] = []
        self.memory: dict[str, str] = {}
        self.reports: list[Any] = []
        self.asks: list[Ask] = []
        self.store_works = True
        self.listening = True  # an echo arrives
        self._inbox: list[object] = []
        self._do(decisions.on_start(0))
        self._drain()

    def close(self, *pins: int, heard: bool = True) -> None:
        """Close contacts to ground; unheard if the edge gets lost."""
        self._move(pins, closed=True, heard=heard)

    def open(self, *pins: int, heard: bool = True) -> None:
        """Open contacts."""
        self._move(pins, closed=False, heard=heard)

    def press(self, pin: int, *, for_ms: int = 60) -> None:
        """Close a contact for a while; afterwards the time has gone on by that and the debounce of the release."""
        self.close(pin)
        self.at(self.now_ms + for_ms)
        self.open(pin)
        self.at(self.now_ms + 40)

    def desired(self, state: Any) -> None:
        """Hear the center."""
        self._do(self.decisions.on_desired(state, self.now_ms))
        self._drain()

    def link(self, *, up: bool) -> None:
        """Make or lose contact to the center."""
        self._do(self.decisions.on_link(up=up, now_ms=self.now_ms))
        self._drain()

    def reply(self, reply: Any) -> None:
        """Hear an answer."""
        self._do(self.decisions.on_reply(reply, self.now_ms))
        self._drain()

    def at(self, ms: int) -> None:
        """Let the time go on, with every deadline on the way met in time."""
        while (due := self.decisions.deadline_ms()) is not None and due <= ms:
            self.now_ms = max(self.now_ms, due)
            self._do(self.decisions.on_time(self.now_ms))
            self._drain()
            later = self.decisions.deadline_ms()
            assert later is None or later > self.now_ms, "a deadline that was met stays due: the daemon would spin"
        self.now_ms = ms

    def stall(self, ms: int) -> None:
        """Let the time go on while nobody looks at deadlines, as a slow disk does."""
        self.now_ms = ms

    def seen_from(self, pin: int, start_ms: int) -> list[tuple[int, bool]]:
        """Return when an output was switched since, in milliseconds after `start_ms`."""
        return [(ms - start_ms, on) for ms, which, on in self.switched if which == pin and ms >= start_ms]

    def _move(self, pins: Sequence[int], *, closed: bool, heard: bool) -> None:
        for pin in pins:
            (self.closed.add if closed else self.closed.discard)(pin)
            if heard:
                self._do(self.decisions.on_signal(Edge(pin, closed, self.now_ms), self.now_ms))
        self._drain()

    def _drain(self) -> None:
        while self._inbox:
            self._do(self.decisions.on_signal(self._inbox.pop(0), self.now_ms))

    def _do(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case Record(fact, remember, then, otherwise):
                    if self.store_works:
                        self.facts.append(fact)
                        self.memory.update(remember)
                    self._do(then if self.store_works else otherwise)
                case Report(state):
                    self.reports.append(state)
                case Ask():
                    self.asks.append(effect)
                case Drive(Switch(pin, on)):
                    if on is not (pin in self.lit):
                        self.switched.append((self.now_ms, pin, on))
                    (self.lit.add if on else self.lit.discard)(pin)
                case Drive(Read(pin)):
                    self._inbox.append(Reading(pin, pin in self.closed, self.now_ms))
                case Drive(Echo(signal)):
                    if self.listening:
                        self._inbox.append(signal)
                case _:
                    raise AssertionError(f"unknown effect {effect}")


@pytest.fixture
def bench() -> type[Bench]:
    """Return the class Bench: tests cannot import a conftest."""
    return Bench
