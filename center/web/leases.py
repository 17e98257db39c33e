"""Who works at which counter: one officer at a counter, one counter for an officer; another takes over on purpose."""

from collections.abc import Callable

import msgspec

from center.people.model import Person

GRACE_S = 10.0
"""So long a desk stays reserved after its page went away: a reload, a switched-off screen, a lost cable."""


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """Who works at a counter. `mark` is the beginning of the session's id: enough to know oneself by, no key."""

    mark: str
    account: str
    who: str
    since: int


class _Held(msgspec.Struct, kw_only=True):
    person: Person
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
        if held is None:
            return None
        person = held.person
        return Lease(mark=person.session[:16], account=person.name, who=person.full_name, since=held.since)

    def places(self) -> dict[str, str]:
        """Return the counter of each officer who works at one, by account."""
        return {held.person.name: counter for counter in tuple(self._held) if (held := self._alive(counter))}

    def claim(self, counter: str, person: Person) -> bool:
        """Take a free counter; return whether this session has it. Whoever works elsewhere does not get a second one.

        From a counter whose page has gone an officer moves on without being asked.
        """
        held = self._alive(counter)
        if held is not None:
            return held.person.session == person.session
        for other in [one for one, held in self._held.items() if held.person.name == person.name]:
            if self._held[other].pages:
                return False
            del self._held[other]
        self._held[counter] = self._new(person)
        return True

    def take(self, counter: str, person: Person) -> Lease | None:
        """Take a counter over, whoever has it, and leave any other; returns who had it, if that was somebody else."""
        before = self.holder(counter)
        for other in [one for one, held in self._held.items() if held.person.name == person.name and one != counter]:
            del self._held[other]
        if before is None or before.mark != person.session[:16]:
            self._held[counter] = self._new(person)
        return before if before is not None and before.account != person.name else None

    def allows(self, counter: str, person: Person) -> bool:
        """Whether a person's command may go to the counter: unless another one works there."""
        held = self._alive(counter)
        return held is None or held.person.name == person.name

    def elsewhere(self, counter: str, person: Person) -> str | None:
        """Return the other counter at which a person has a page open, None where there is none."""
        found = (one for one, held in self._held.items() if held.pages and held.person.name == person.name)
        return next((one for one in found if one != counter), None)

    def joined(self, counter: str, session: str) -> None:
        """A page of the session is open."""
        held = self._held.get(counter)
        if held is not None and held.person.session == session:
            held.pages += 1

    def left(self, counter: str, session: str) -> None:
        """A page of the session is gone."""
        held = self._held.get(counter)
        if held is not None and held.person.session == session:
            held.pages = max(0, held.pages - 1)
            held.left_at_s = self._monotonic_s()

    def ended(self, session: str) -> None:
        """A session is over: its desk is free at once."""
        for counter in [one for one, held in self._held.items() if held.person.session == session]:
            del self._held[counter]

    def _new(self, person: Person) -> _Held:
        return _Held(person=person, since=self._now_ms(), left_at_s=self._monotonic_s())

    def _alive(self, counter: str) -> _Held | None:
        held = self._held.get(counter)
        if held is not None and not held.pages and self._monotonic_s() - held.left_at_s > GRACE_S:
            del self._held[counter]
            return None
        return held
