"""How it is known that a thread hangs: it beats while it works, and whoever feeds the watchdog looks when it last did.

A thread that has ended is easy to see. One that never comes back from a call into a driver or a library is still alive.
"""

from collections.abc import Callable


class Pulse:
    """When a thread last showed that it moves. `beat` and `rest` are called by the thread, `lost` by any other."""

    def __init__(self, *, limit_ms: int, monotonic_ms: Callable[[], int]) -> None:
        self._limit_ms = limit_ms
        self._monotonic_ms = monotonic_ms
        self._beat_ms: int | None = None  # one value, written whole: it needs no lock

    def beat(self) -> None:
        """Say that what comes now takes less than the limit."""
        self._beat_ms = self._monotonic_ms()

    def rest(self) -> None:
        """Say that what comes now may take for ever, as waiting for work does."""
        self._beat_ms = None

    def lost(self) -> bool:
        """Whether something takes longer than the limit."""
        beat_ms = self._beat_ms
        return beat_ms is not None and self._monotonic_ms() - beat_ms > self._limit_ms
