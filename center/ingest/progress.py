"""How far each outbox has been stored, so that an ack by number never covers what is not. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

STREAMS = 2_000
"""So many outboxes are followed; a center has a few hundred, replaced cards included."""

_Name = tuple[str, str]


class Progress:
    """Per source and stream: everything from 1 to `upto` is stored or in quarantine; `highest` was seen."""

    def __init__(self, rows: Iterable[Mapping[str, Any]] = ()) -> None:
        self._known: dict[_Name, tuple[int, int]] = {
            (row["source"], row["stream"]): (row["upto"], row["highest"]) for row in rows
        }
        self._next: dict[_Name, tuple[int, int]] = {}

    def add(self, source: str, stream: str, sequence: int) -> bool:
        """Note that an event is about to be stored or put aside; whether it is certainly the first with its number."""
        name = (source, stream)
        upto, highest = self._of(name)
        if (upto, highest) == (0, 0) and len(self._known) + len(self._next) >= STREAMS:
            return False
        fresh = sequence > highest > 0
        upto = sequence if sequence == upto + 1 else upto
        if (upto, max(highest, sequence)) != self._of(name):
            self._next[name] = (upto, max(highest, sequence))
        return fresh

    def covered(self, source: str, stream: str, sequence: int) -> bool:
        """Whether everything up to a number is stored once what was added is."""
        return 0 < sequence <= self._of((source, stream))[0]

    def rows(self) -> list[dict[str, Any]]:
        """Return what was added, as rows of the store."""
        return [
            {"source": source, "stream": stream, "upto": upto, "highest": highest}
            for (source, stream), (upto, highest) in self._next.items()
        ]

    def stored(self) -> None:
        """What was added has been committed."""
        self._known.update(self._next)
        self._next.clear()

    def failed(self) -> None:
        """What was added has not been committed."""
        self._next.clear()

    def _of(self, name: _Name) -> tuple[int, int]:
        return self._next.get(name) or self._known.get(name, (0, 0))
