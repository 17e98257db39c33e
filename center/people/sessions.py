"""The sessions of a center, and how long each of them lives. Pure, but for the clock that is passed in."""

import hashlib
from collections.abc import Callable, Iterable, Mapping

from msgspec.structs import replace

from center.people.model import Session

EACH = 10
"""So many of one account; one more, and the one that was used longest ago ends."""

_SEEN_EVERY_MS = 5 * 60_000
_STEP_BACK_MS = 60 * 60_000  # the wall clock may be set; a session that would end too late by it ends at once
_NOTE_EVERY_MS = 1_000


class Sessions:
    """Who is logged in. A session lives while it is used within `idle_ms`, and `longest_ms` at the most."""

    def __init__(self, now_ms: Callable[[], int], *, idle_ms: int, longest_ms: int) -> None:
        self._now_ms = now_ms
        self._idle_ms = idle_ms
        self._longest_ms = longest_ms
        self._known: dict[str, Session] = {}
        self._written: dict[str, int] = {}  # when a session was seen, as the database has it

    def start(self, sessions: Iterable[Session]) -> None:
        """Begin with what the database has."""
        for one in sessions:
            self.add(one)

    def make(self, token: str, account: str, address: str) -> Session:
        """Return a new session, to be committed and then added."""
        now = self._now_ms()
        return Session(
            id=id_of(token),
            account=account,
            made_at=now,
            seen_at=now,
            ends_at=now + self._longest_ms,
            address=address[:64],
        )

    def add(self, session: Session) -> None:
        """Remember a session as it has been committed."""
        self._known[session.id] = session
        self._written[session.id] = session.seen_at

    def drop(self, session: Session) -> bool:
        """Forget a session; return whether it was there."""
        self._written.pop(session.id, None)
        return self._known.pop(session.id, None) is not None

    def find(self, session_id: str) -> Session | None:
        """Return a session that lives; asking is no use of it."""
        session = self._known.get(session_id)
        return session if session is not None and self._lives(session, self._now_ms()) else None

    def use(self, session: Session) -> None:
        """Note that a session was used now."""
        now = self._now_ms()
        if now - session.seen_at >= _NOTE_EVERY_MS:
            self._known[session.id] = replace(session, seen_at=now)

    def living(self, account: str | None = None) -> list[Session]:
        """Return the sessions that live, of one account or of all, the last to be seen first."""
        now = self._now_ms()
        newest_first = reversed(self._known.values())
        found = (one for one in newest_first if account in (None, one.account) and self._lives(one, now))
        return sorted(found, key=lambda one: -one.seen_at)

    def over(self) -> list[Session]:
        """Return what is still kept and lives no more."""
        now = self._now_ms()
        return [one for one in self._known.values() if not self._lives(one, now)]

    def of(self, account: str) -> list[Session]:
        """Return whatever is kept of an account."""
        return [one for one in self._known.values() if one.account == account]

    def marked(self, mark: str) -> list[Session]:
        """Return the sessions that a mark stands for."""
        return [one for one in self._known.values() if one.mark == mark]

    def seen(self) -> dict[str, int]:
        """Return when sessions were last used, of those that have moved on enough to be written."""
        return {
            one.id: one.seen_at
            for one in self._known.values()
            if one.seen_at - self._written.get(one.id, 0) >= _SEEN_EVERY_MS
        }

    def wrote(self, seen: Mapping[str, int]) -> None:
        """Note what has been written."""
        self._written.update((one, at) for one, at in seen.items() if one in self._known)

    def _lives(self, session: Session, now: int) -> bool:
        left = session.ends_at - now
        return 0 < left <= self._longest_ms + _STEP_BACK_MS and now - session.seen_at < self._idle_ms


def id_of(token: str) -> str:
    """Return the id of a token's session, of which no token can be made."""
    return hashlib.sha256(token.encode()).hexdigest()
