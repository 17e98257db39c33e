"""What people can see: numbers on the decoded panels, and the lights of a rating pad; no topics and no tables."""

import asyncio
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from simulator.hands import Board, PinChange
from simulator.report import Sighting

LOOK_EVERY_S = 0.01
STEADY_NS = 12_000_000
"""What stands for less is a panel between two texts: nobody reads it."""
NUMBER = re.compile(r"\b[A-Z]\d{3,4}\b")

LIT_NS = 40_000_000
"""A pattern of lights that stands for less is a pad between two patterns."""
PHASE_NS = (480_000_000, 750_000_000)
"""An invitation blinks 600 ms on and off. Lights that went out earlier or stayed dark for longer were another one."""


class _Change(Protocol):
    @property
    def text(self) -> str: ...
    @property
    def at_ns(self) -> int: ...


class _Panel(Protocol):
    @property
    def history(self) -> Sequence[_Change]: ...


class PanelEyes:
    """Everybody in the hall: reads the panels and remembers which numbers came up where, in order."""

    def __init__(self, panels: Mapping[str, _Panel], *, clock_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._panels = panels
        self._clock_ns = clock_ns
        self._read = dict.fromkeys(panels, 0)
        self._came_up = asyncio.Condition()
        self.sightings: list[Sighting] = []
        """Every time a number came up, also when it came back between two blinks."""
        self._showing: dict[str, str | None] = dict.fromkeys(panels)

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            if self.look():
                async with self._came_up:
                    self._came_up.notify_all()
            await asyncio.sleep(LOOK_EVERY_S)

    def look(self) -> bool:
        """Read what is new on the panels; return whether a number came up."""
        before = len(self.sightings)
        now_ns = self._clock_ns()
        for counter, panel in self._panels.items():
            history = panel.history
            for place in range(self._read[counter], len(history)):
                last = place + 1 == len(history)
                until_ns = now_ns if last else history[place + 1].at_ns
                if until_ns - history[place].at_ns >= STEADY_NS:
                    self._notice(counter, history[place])
                elif last:
                    break  # it may yet stand: look again
                self._read[counter] = place + 1
        return len(self.sightings) > before

    def number_at(self, counter: str) -> str | None:
        """The number that a counter's panel shows now; None while it rests or blinks."""
        return self._showing[counter]

    def first_since(self, counter: str, number: str, since_ns: int) -> Sighting | None:
        """When a counter's panel showed this number first since then."""
        found: Sighting | None = None
        for sighting in reversed(self.sightings):
            if sighting.at_ns < since_ns:
                break
            if (sighting.counter, sighting.number) == (counter, number):
                found = sighting
        return found

    async def next_sighting(self, number: str, *, after_ns: int) -> Sighting:
        """Wait until a panel shows this number anew after `after_ns`."""
        async with self._came_up:
            while True:
                for sighting in reversed(self.sightings):
                    if sighting.at_ns <= after_ns:
                        break
                    if sighting.number == number:
                        return sighting
                await self._came_up.wait()

    async def shows(self, counter: str, number: str, *, within_s: float) -> bool:
        """Wait until a counter's panel shows this number; False if it does not in time."""
        try:
            async with asyncio.timeout(within_s), self._came_up:
                while self.number_at(counter) != number:
                    await self._came_up.wait()
        except TimeoutError:
            return False
        return True

    def _notice(self, counter: str, change: _Change) -> None:
        found = NUMBER.search(change.text.replace("\n", " "))
        number = found[0] if found else None
        if number is not None and number != self._showing[counter]:
            self.sightings.append(Sighting(counter=counter, number=number, at_ns=change.at_ns))
        self._showing[counter] = number


class PadEyes:
    """Whoever stands before a rating pad: does it invite, has it said "stored"? `leds` is level → pin."""

    def __init__(
        self, board: Board, leds: Mapping[int, int], *, clock_ns: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self._board = board
        self._leds = dict(leds)
        self._clock_ns = clock_ns
        self._dark_since_ns: int | None = None
        self._inviting_since_ns: int | None = None
        self._all_lit_since_ns: int | None = None
        self._alone_since: tuple[int, int] | None = None  # level, since
        board.watch(self._notice)

    def inviting_since(self) -> int | None:
        """Since when the pad has invited somebody to rate, all lights together and blinking; None if it does not."""
        self._settle(self._clock_ns())
        return self._inviting_since_ns

    def stored(self) -> tuple[int, int] | None:
        """The level whose light stands alone, and since when: the pad's word that it is stored."""
        if not self._board.powered or self._alone_since is None:
            return None
        level, since_ns = self._alone_since
        return (level, since_ns) if self._clock_ns() - since_ns >= LIT_NS else None

    def _notice(self, change: PinChange) -> None:
        if change.pin not in self._leds.values():
            return
        self._settle(change.at_ns)
        lit = [level for level, pin in self._leds.items() if self._board.lit(pin)]
        shortest_ns, longest_ns = PHASE_NS
        if lit and self._dark_since_ns is not None:
            if not shortest_ns <= change.at_ns - self._dark_since_ns <= longest_ns:
                self._inviting_since_ns = None
            self._dark_since_ns = None
        if not lit:
            self._dark_since_ns = change.at_ns
        if len(lit) == len(self._leds):
            self._all_lit_since_ns = change.at_ns
        elif self._all_lit_since_ns is not None:
            if change.at_ns - self._all_lit_since_ns < shortest_ns:
                self._inviting_since_ns = None
            self._all_lit_since_ns = None
        alone = lit[0] if len(lit) == 1 else None
        if alone is None:
            self._alone_since = None
        elif self._alone_since is None or self._alone_since[0] != alone:
            self._alone_since = (alone, change.at_ns)

    def _settle(self, now_ns: int) -> None:
        """Draw from the lights what has stood long enough to mean something."""
        if not self._board.powered:
            self._inviting_since_ns = self._all_lit_since_ns = self._alone_since = None
            self._dark_since_ns = None
            return
        if self._alone_since is not None and now_ns - self._alone_since[1] >= LIT_NS:
            self._inviting_since_ns = None
        if self._dark_since_ns is not None and now_ns - self._dark_since_ns > PHASE_NS[1]:
            self._inviting_since_ns = None
        stands = self._all_lit_since_ns is not None and now_ns - self._all_lit_since_ns >= LIT_NS
        if stands and self._inviting_since_ns is None:
            self._inviting_since_ns = self._all_lit_since_ns
