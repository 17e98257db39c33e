"""What lights and buzzers do over time: patterns, and the switching they ask for. Pure: no thread, only deadlines."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from firmware.devices.gpio import Switch
from firmware.ports import Drive


@dataclass(frozen=True, slots=True)
class Pattern:
    """On for `on_ms`, off for `off_ms`, `times` over (None: for ever)."""

    on_ms: int
    off_ms: int
    times: int | None = None

    def lit(self, elapsed_ms: int) -> bool:
        """Whether the lamp is on this long after the pattern began."""
        cycle, into_ms = divmod(elapsed_ms, self.on_ms + self.off_ms)
        return (self.times is None or cycle < self.times) and into_ms < self.on_ms

    def next_change_ms(self, elapsed_ms: int) -> int | None:
        """How long after the pattern began the lamp switches next; None if never."""
        if self.on_ms == 0 or (self.off_ms == 0 and self.times is None):
            return None
        period_ms = self.on_ms + self.off_ms
        cycle, into_ms = divmod(elapsed_ms, period_ms)
        if self.times is not None and cycle >= self.times:
            return None
        if into_ms < self.on_ms:
            return cycle * period_ms + self.on_ms
        return None if self.times is not None and cycle + 1 >= self.times else (cycle + 1) * period_ms


DARK = Pattern(0, 1)
STEADY = Pattern(1, 0)


def once(on_ms: int) -> Pattern:
    """Return a single pulse."""
    return Pattern(on_ms, 1, times=1)


class Lamps:
    """Follows the patterns of some outputs and switches an output only when it has to change."""

    def __init__(self, pins: Iterable[int]) -> None:
        self._patterns = dict.fromkeys(pins, DARK)
        self._began_ms = dict.fromkeys(self._patterns, 0)
        self._lit: dict[int, bool | None] = dict.fromkeys(self._patterns)
        self._now_ms = 0

    def forget(self) -> None:
        """Take no output's state for granted: the hardware was opened anew."""
        self._lit = dict.fromkeys(self._patterns)

    def show(self, patterns: Mapping[int, Pattern], now_ms: int) -> Sequence[Drive]:
        """Follow these patterns from now on; an output not named is dark, one that keeps its pattern goes on."""
        for pin, old in self._patterns.items():
            pattern = patterns.get(pin, DARK)
            if pattern != old:
                self._patterns[pin] = pattern
                self._began_ms[pin] = now_ms
        return self.on_time(now_ms)

    def on_time(self, now_ms: int) -> Sequence[Drive]:
        """Switch what is due."""
        self._now_ms = now_ms
        effects = []
        for pin, pattern in self._patterns.items():
            lit = pattern.lit(max(0, now_ms - self._began_ms[pin]))
            if lit is not self._lit[pin]:
                self._lit[pin] = lit
                effects.append(Drive(Switch(pin, on=lit)))
        return effects

    def deadline_ms(self) -> int | None:
        """When the next output has to change."""
        dues = []
        for pin, pattern in self._patterns.items():
            change_ms = pattern.next_change_ms(max(0, self._now_ms - self._began_ms[pin]))
            if change_ms is not None:
                dues.append(self._began_ms[pin] + change_ms)
        return min(dues, default=None)
