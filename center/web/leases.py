"""Which browser works at which counter: one at a time, and another takes over only on purpose."""

from collections.abc import Callable

import msgspec

GRACE_S = 10.0
"""So long a desk stays reserved after its page went away: a reload, a switched-off screen, a lost cable."""


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """Who works at a counter. `mark` is the beginning of the session's id: enough to know oneself by, no key."""

    mark: str
    since: int


class _Held(msgspec.Struct, kw_only=True):
    session: str
    since: int
    pages: int = 0
    left_at_s: float = 0.0


class Leases:
    """The desks in use, kept in memory: after a restart the first page that claims a counter has it again."""

    def __init__(self, now_ms: Callable[[], int], monotonic_s: Callable[[], float]) -> None:
        self._now_ms = now_ms
        self._monotonic_s = monotonic_s
        self._held: dict[str, _Held] = {}

    def holder(self, counter: str) -> Lease | None:
        """Return who works at a counter, None where nobody does any more."""
        held = self._alive(counter)
        return None if held is None else Lease(mark=held.session[:8], since=held.since)

    def claim(self, counter: str, session: str) -> bool:
        """Take a free counter; return whether the session has it."""
        held = self._alive(counter)
        if held is None:
            self.take(counter, session)
            return True
        return held.session == session

    def take(self, counter: str, session: str) -> None:
        """Take a counter over, whoever has it."""
        held = self._held.get(counter)
        if held is None or held.session != session:
            self._held[counter] = _Held(session=session, since=self._now_ms(), left_at_s=self._monotonic_s())

    def allows(self, counter: str, session: str | None) -> bool:
        """Whether a command of this session may go to the counter; programs without a session may."""
        held = self._alive(counter)
        return session is None or held is None or held.session == session

    def joined(self, counter: str, session: str) -> None:
        """A page of the session is open."""
        held = self._held.get(counter)
        if held is not None and held.session == session:
            held.pages += 1

    def left(self, counter: str, session: str) -> None:
        """A page of the session is gone."""
        held = self._held.get(counter)
        if held is not None and held.session == session:
            held.pages = max(0, held.pages - 1)
            held.left_at_s = self._monotonic_s()

    def _alive(self, counter: str) -> _Held | None:
        held = self._held.get(counter)
        if held is not None and not held.pages and self._monotonic_s() - held.left_at_s > GRACE_S:
            del self._held[counter]
            return None
        return held
