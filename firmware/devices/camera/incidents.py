"""What is an incident, from when until when: observations in; begun, grown and ended out. Pure.

`docs/design/camera.md` has the table. Everywhere None is *not known*, which is neither yes nor no.
"""

from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence

import msgspec

from firmware.devices.camera.config import CITIZEN, OFFICER
from firmware.devices.camera.signals import ALL, Seen

TAMPER = ("covered", "defocused", "moved", "frozen")
HIDDEN_BY_NIGHT = frozenset({"covered", "defocused", "moved"})
"""What cannot be told from a hall in which the lights are out."""
TAMPER_BEGINS_MS, TAMPER_ENDS_MS = 3_000, 10_000
PANIC_MS = 60_000
SAME_PANIC_MS = 10_000
"""Panic keys that are pressed again so soon are one panic."""

GAP_MS = 5_000
"""After a longer time of which nothing is known, times start anew."""
MOVED, MOVED_WHOLE = 0.01, 0.003
"""The share of a zone, and of the whole picture, that has to move to count as motion."""
MOVING_MS = 400
"""Motion for so long is somebody's; of a shorter one a flickering lamp is capable."""
PAUSE_MS = 1_000
"""Motion that pauses for no longer is the same: who walks in may stop for a step."""
STIRS, STAYS_MS = 0.005, 3_000
"""Who was found in a zone, or moved in it, is still there while so much of it changes, with pauses of so long."""
STILL_MS = 60_000
"""Without a network: motion so recently stands for somebody, none for so long for nobody."""
MOST, MOST_WITHIN_MS = 6, 600_000
"""So many incidents of a kind begin in so long: what flickers for a day must not wear out a memory card."""

SEEN, SURMISED, SURE = 0.9, 0.5, 1.0
"""How sure the camera is: by its network or its picture, by motion alone, by a press of keys."""
WHOLE = "picture"
"""The zone of what concerns all of the picture."""


class Counter(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the counter while it is looked at."""

    open: bool | None = None
    """Whether somebody should be there; None before the center has said anything."""
    after_hours: bool | None = None
    ticket: str | None = None
    zones: frozenset[str] = frozenset()
    """Which zones there are."""


class Incident(msgspec.Struct, frozen=True, kw_only=True):
    """One incident. Its id stays from its start to its end."""

    id: str
    kind: str
    zone: str
    confidence: float
    ticket: str | None = None


class Started(msgspec.Struct, frozen=True):
    """An incident began: its condition has held for its time."""

    incident: Incident
    at_ms: int


class Updated(msgspec.Struct, frozen=True):
    """An incident goes on: the camera is surer, or the panic keys are pressed again and again."""

    incident: Incident
    at_ms: int


class Ended(msgspec.Struct, frozen=True):
    """An incident is over."""

    incident: Incident
    at_ms: int


Change = Started | Updated | Ended


class Allowance:
    """At most `MOST` in `MOST_WITHIN_MS`."""

    def __init__(self) -> None:
        self._taken: deque[int] = deque(maxlen=MOST)

    def take(self, at_ms: int) -> bool:
        """Take one, or return False where that would be too many."""
        if len(self._taken) == MOST and at_ms - self._taken[0] < MOST_WITHIN_MS:
            return False
        self._taken.append(at_ms)
        return True


class Watch:
    """Whether a condition counts: it begins to, and ceases, when it has held, or not, for its time without a gap."""

    def __init__(self, *, begins_ms: int, ends_ms: int) -> None:
        self.on = False
        self._begins_ms = begins_ms
        self._ends_ms = ends_ms
        self._allowance = Allowance()
        self._other_since_ms: int | None = None
        self._known_ms: int | None = None

    def look(self, holds: bool | None, at_ms: int, *, since_ms: int | None = None) -> bool:
        """Take whether the condition holds at an instant, None where that is not known; return whether `on` changed.

        `since_ms` is since when it holds, where that is known better than by the first time of being asked.
        """
        if holds is None or (self._known_ms is not None and at_ms < self._known_ms):
            return False
        if self._known_ms is None or at_ms - self._known_ms > GAP_MS:
            self._other_since_ms = since_ms = None
        self._known_ms = at_ms
        if holds == self.on:
            self._other_since_ms = None
            return False
        if self._other_since_ms is None:
            self._other_since_ms = at_ms if since_ms is None or not holds else since_ms
        if at_ms - self._other_since_ms < (self._ends_ms if self.on else self._begins_ms):
            return False
        if holds and not self._allowance.take(at_ms):
            return False
        self.on = holds
        self._other_since_ms = None
        return True

    def forget(self) -> None:
        """Be off, and know nothing."""
        self.on = False
        self._other_since_ms = self._known_ms = None


class _Part(msgspec.Struct):
    """Of a part of a condition: since when it holds, and when it was seen last that it does not."""

    since_ms: int | None = None
    not_ms: int | None = None


class _Run(msgspec.Struct):
    """From when until when a zone moved, short pauses included."""

    began_ms: int
    last_ms: int


class _Sight:
    """Who is where, as far as one can tell from what was seen up to now."""

    def __init__(self) -> None:
        self.finds_people = False
        self._seen: Seen | None = None
        self._since_ms = 0
        self._runs: dict[str, _Run] = {}
        self._moving_since_ms: dict[str, int] = {}
        self._signs_ms: dict[str, int] = {}  # of somebody in a zone, the last
        self._stirred_ms: dict[str, int] = {}  # and when they stirred last

    def take(self, seen: Seen) -> None:
        """Take the next observation."""
        if self._seen is None or seen.at_ms - self._seen.at_ms > GAP_MS:
            self._since_ms = seen.at_ms
            self._runs.clear()
            self._moving_since_ms.clear()
            self._signs_ms.clear()
            self._stirred_ms.clear()
        self._seen = seen
        self.finds_people |= seen.people is not None
        moving = {zone: seen.at_ms for zone, share in seen.motion.items() if share >= MOVED}
        self._moving_since_ms = {zone: self._moving_since_ms.get(zone, at_ms) for zone, at_ms in moving.items()}
        for zone, at_ms in moving.items():
            run = self._runs.get(zone)
            if run is None or at_ms - run.last_ms > PAUSE_MS:
                run = self._runs[zone] = _Run(at_ms, at_ms)
            run.last_ms = at_ms
        for zone, share in seen.stirs.items():
            stays = share >= STIRS and seen.at_ms - self._signs_ms.get(zone, seen.at_ms - STAYS_MS - 1) <= STAYS_MS
            if stays:
                self._stirred_ms[zone] = seen.at_ms
            if stays or self.moves(zone) or (self.people or {}).get(zone):
                self._signs_ms[zone] = seen.at_ms

    def forget(self) -> None:
        """Begin anew with the next observation."""
        self._seen = None

    @property
    def at_ms(self) -> int:
        """When something was seen last."""
        return 0 if self._seen is None else self._seen.at_ms

    @property
    def looked_ms(self) -> int:
        """When the picture was taken in which people were looked for last."""
        return self.at_ms if self._seen is None or self._seen.looked_ms is None else self._seen.looked_ms

    def came_ms(self, zone: str, not_ms: int) -> int:
        """Return since when somebody is in a zone who was found, and was not at `not_ms`: since it moved then."""
        run = self._runs.get(zone)
        return self.looked_ms if run is None or run.last_ms < not_ms else max(run.began_ms, not_ms)

    def left_ms(self, zone: str, not_ms: int) -> int:
        """Return since when a zone is empty that was not at `not_ms`: since it moved no more."""
        run = self._runs.get(zone)
        last_ms = max(-1 if run is None else run.last_ms, self._stirred_ms.get(zone, -1))
        return self.looked_ms if last_ms < not_ms else last_ms

    @property
    def people(self) -> Mapping[str, int] | None:
        """Zone → how many people; None where that is not known: a picture with a fault says nothing."""
        return None if self._seen is None or self._seen.faults else self._seen.people

    @property
    def surmises(self) -> bool:
        """Whether motion has to stand for people."""
        return not self.finds_people

    def at_least(self, zone: str, count: int) -> bool | None:
        """Return whether so many people are in a zone; without a network more than one are never known of."""
        if self.people is not None:
            return self.people.get(zone, 0) >= count
        if self.finds_people or self._seen is None or self._seen.faults:
            return None
        run = self._runs.get(zone)
        if self._seen.at_ms - (self._since_ms if run is None else run.last_ms) > STILL_MS:
            return False
        return True if count == 1 and run is not None else None

    def moves(self, zone: str) -> bool:
        """Return whether a zone has moved for so long that somebody moves in it."""
        return self.at_ms - self._moving_since_ms.get(zone, self.at_ms) >= MOVING_MS

    def sign_ms(self, zone: str) -> int:
        """Return when there was the last sign that somebody is in a zone, beside what the network found."""
        if self.moves(zone):
            return self.at_ms
        stirred_ms = self._stirred_ms.get(zone)
        return self.looked_ms if stirred_ms is None or not self._stays(zone) else stirred_ms

    def _stays(self, zone: str) -> bool:
        return self.at_ms - self._stirred_ms.get(zone, self.at_ms - STAYS_MS - 1) <= STAYS_MS

    def nobody(self, zone: str) -> bool | None:
        """Return whether a zone is empty. Who bends over papers shows no face to a network, but moves, if little."""
        somebody = self.at_least(zone, 1)
        return not (self.moves(zone) or self._stays(zone)) if somebody is False else _not(somebody)

    def motion(self) -> bool | None:
        """Return whether anything moves now; None where that cannot be seen. In the dark a torch moves."""
        if self._seen is None or "frozen" in self._seen.faults:
            return None
        if "covered" in self._seen.faults and not self._seen.dark:
            return None
        motion = self._seen.motion
        if ALL in motion:
            return motion[ALL] >= MOVED_WHOLE
        return any(share >= MOVED for share in motion.values())

    def most_moved(self) -> str:
        """Return the zone of which the largest share moves; the picture, where it is outside of all zones."""
        motion = {} if self._seen is None else self._seen.motion
        moved = [zone for zone in sorted(motion) if zone != ALL and motion[zone] >= MOVED]
        return max(moved, key=lambda zone: motion[zone], default=WHOLE)

    def exists(self, zone: str, zones: Collection[str]) -> bool | None:
        """Return whether there is such a zone."""
        if self._seen is None:
            return None
        if zone in zones or zone in self._seen.motion:
            return True
        return None if self._seen.people is None else zone in self._seen.people


class Incidents:
    """One state machine for each kind. No kind has two incidents at once; different ones may go on together."""

    def __init__(self, *, waiting_s: int, absent_s: int, crowd: int, new_id: Callable[[], str]) -> None:
        self._crowd = crowd
        self._new_id = new_id
        self._sight = _Sight()
        self._watches = {
            "waiting_alone": Watch(begins_ms=waiting_s * 1000, ends_ms=5_000),
            "officer_absent": Watch(begins_ms=absent_s * 1000, ends_ms=5_000),
            "crowding": Watch(begins_ms=20_000, ends_ms=10_000),
            "after_hours": Watch(begins_ms=1_000, ends_ms=30_000),
            **{kind: Watch(begins_ms=TAMPER_BEGINS_MS, ends_ms=TAMPER_ENDS_MS) for kind in TAMPER},
        }
        self._parts: dict[tuple[str, str], _Part] = {}  # of the conditions, by kind and name
        self._allowed: frozenset[str] = frozenset()
        self._open: dict[str, Incident] = {}
        self._panic_ms = 0
        self._panics = Allowance()
        self._goes_on_ms: int | None = None  # when it was said last that a panic goes on
        self._last_ms: int | None = None

    @property
    def open(self) -> Sequence[Incident]:
        """What goes on."""
        return tuple(self._open.values())

    @property
    def finds_people(self) -> bool:
        """Whether there is a network that finds people; an observation that knows of people proves it."""
        return self._sight.finds_people

    @finds_people.setter
    def finds_people(self, there: bool) -> None:
        self._sight.finds_people = there

    def allow(self, kinds: Collection[str], at_ms: int) -> Sequence[Change]:
        """Look for these kinds from now on, `tamper` being four; what goes on of another kind ends at once."""
        self._allowed = frozenset(kinds) | (frozenset(TAMPER) if "tamper" in kinds else frozenset())
        for kind in self._watches.keys() - self._allowed:
            self._watches[kind].forget()
        return [self._end(kind, at_ms) for kind in list(self._open) if kind not in self._allowed]

    def forget(self, at_ms: int) -> Sequence[Change]:
        """End everything, and begin to look anew."""
        self._sight.forget()
        self._parts.clear()
        self._last_ms = None
        for watch in self._watches.values():
            watch.forget()
        return [self._end(kind, at_ms) for kind in list(self._open)]

    def look(self, seen: Seen, counter: Counter) -> Sequence[Change]:
        """Take an observation; one that is older than the last is dropped."""
        if self._last_ms is not None and seen.at_ms < self._last_ms:
            return ()
        self._last_ms = seen.at_ms
        self._sight.take(seen)
        changes: list[Change] = []
        for kind, watch in self._watches.items():
            if kind not in self._allowed:
                continue
            holds = self._holds(kind, seen, counter)
            confidence = SURMISED if kind == "waiting_alone" and self._sight.surmises else SEEN
            if watch.look(holds, seen.at_ms, since_ms=self._since_ms(kind)):
                if watch.on:
                    changes.append(self._begin(kind, confidence, counter.ticket, seen.at_ms))
                else:
                    changes.append(self._end(kind, seen.at_ms))
            elif watch.on and holds and confidence > self._open[kind].confidence:
                self._open[kind] = msgspec.structs.replace(self._open[kind], confidence=confidence)
                changes.append(Updated(self._open[kind], seen.at_ms))
        return changes

    def panic(self, counter: Counter, now_ms: int) -> Sequence[Change]:
        """Take a press of the panic keys: an incident of its own, unless it is the same panic still.

        Keys that fire on and on lengthen the last panic when there were too many, which is said once a minute. What is
        pressed while there is none begins one, always.
        """
        if "panic" not in self._allowed:
            return ()
        again = "panic" in self._open
        if again and now_ms - self._panic_ms < SAME_PANIC_MS:
            return ()
        self._panic_ms = now_ms
        if not self._panics.take(now_ms) and again:
            if self._goes_on_ms is not None and now_ms - self._goes_on_ms < PANIC_MS:
                return ()
            self._goes_on_ms = now_ms
            return [Updated(self._open["panic"], now_ms)]
        self._goes_on_ms = None
        ended = [self._end("panic", now_ms)] if again else []
        return [*ended, self._begin("panic", SURE, counter.ticket, now_ms)]

    def on_time(self, now_ms: int) -> Sequence[Change]:
        """End a panic that was a minute ago. All else ends by what is seen."""
        due_ms = self.deadline_ms()
        return () if due_ms is None or now_ms < due_ms else [self._end("panic", now_ms)]

    def deadline_ms(self) -> int | None:
        """When `on_time` wants to be called; None while nothing is pending."""
        return self._panic_ms + PANIC_MS if "panic" in self._open else None

    # --- what counts ---------------------------------------------------------------------------------------------

    def _holds(self, kind: str, seen: Seen, counter: Counter) -> bool | None:
        sight = self._sight
        match kind:
            case "waiting_alone":
                return _all(
                    self._manned(kind, counter),
                    sight.exists(CITIZEN, counter.zones),
                    self._come(kind, 1),
                    self._left(kind),
                )
            case "officer_absent":
                nobody = self._left(kind)
                # Who reads moves little: that nothing moves is enough to say that a citizen was left alone, not that
                # the chair is empty.
                return _all(
                    self._manned(kind, counter),
                    None if nobody and sight.surmises else nobody,
                )
            case "crowding":
                return _all(sight.exists(CITIZEN, counter.zones), self._come(kind, self._crowd))
            case "after_hours":
                return _all(counter.after_hours, sight.motion())
            case _:
                return has_fault(kind, seen, after_hours=counter.after_hours)

    def _manned(self, kind: str, counter: Counter) -> bool | None:
        """Return whether an officer belongs there, and note since when: the place may be drawn after it was opened."""
        is_a_place = self._sight.exists(OFFICER, counter.zones)
        return _noted(self._part(kind, "counter"), _all(counter.open, is_a_place), self._sight.at_ms)

    def _come(self, kind: str, count: int) -> bool | None:
        """Return whether so many are in the citizens' zone, and note since when: the last came when it moved."""
        sight = self._sight
        part = self._part(kind, CITIZEN)
        there = sight.at_least(CITIZEN, count)
        if there and part.since_ms is None and part.not_ms is not None:
            part.since_ms = sight.came_ms(CITIZEN, part.not_ms)
        return _noted(part, there, sight.looked_ms)

    def _left(self, kind: str) -> bool | None:
        """Return whether the officer's zone is empty, and note since when: who left was the last that moved there."""
        sight = self._sight
        part = self._part(kind, OFFICER)
        nobody = sight.nobody(OFFICER)
        if nobody and part.since_ms is None and part.not_ms is not None:
            part.since_ms = sight.left_ms(OFFICER, part.not_ms)
        return _noted(part, nobody, sight.sign_ms(OFFICER))

    def _part(self, kind: str, name: str) -> _Part:
        return self._parts.setdefault((kind, name), _Part())

    def _since_ms(self, kind: str) -> int | None:
        """Return since when all parts of a condition hold that are noted."""
        sinces = [part.since_ms for (of, _), part in self._parts.items() if of == kind]
        return max((since_ms for since_ms in sinces if since_ms is not None), default=None)

    def _begin(self, kind: str, confidence: float, ticket: str | None, at_ms: int) -> Started:
        zone = {"waiting_alone": CITIZEN, "officer_absent": OFFICER, "crowding": CITIZEN}.get(kind, WHOLE)
        if kind == "after_hours":
            zone = self._sight.most_moved()
        incident = Incident(id=self._new_id(), kind=kind, zone=zone, confidence=confidence, ticket=ticket)
        self._open[kind] = incident
        return Started(incident, at_ms)

    def _end(self, kind: str, at_ms: int) -> Ended:
        return Ended(self._open.pop(kind), at_ms)


def has_fault(kind: str, seen: Seen, *, after_hours: bool | None) -> bool | None:
    """Return whether a picture has a fault; None where it is dark because the center is closed."""
    if seen.dark and after_hours and kind in HIDDEN_BY_NIGHT:
        return None
    return kind in seen.faults


def _noted(part: _Part, holds: bool | None, at_ms: int) -> bool | None:
    """Note whether a part of a condition holds, by what was seen at an instant."""
    if holds is False:
        part.since_ms, part.not_ms = None, at_ms
    elif holds and part.since_ms is None:
        part.since_ms = at_ms
    return holds


def _all(*parts: bool | None) -> bool | None:
    """Return whether all hold: not, as soon as one does not; not known, where one of the others is not."""
    if False in parts:
        return False
    return None if None in parts else True


def _not(part: bool | None) -> bool | None:
    return None if part is None else not part
