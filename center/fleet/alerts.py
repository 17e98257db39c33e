"""Alerts: what needs somebody, from when to when. Pure; one for each device and kind at a time.

A sign has to be bad for a while before there is an alert, and well for a while before it ends. A device that comes and
goes is one alert, not a hundred: what was well for less than that while counts as not well.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import msgspec
from msgspec.structs import replace

from center.fleet.signs import Kind, Sign, Signs

Subject = tuple[str, str]
"""Station and device."""

OPEN = 200
"""So many alerts may be open: a hall in which everything is broken is said by fewer."""

_MINUTE_S = 60.0
_DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a sign has to be bad before there is an alert, and well before it ends."""

    bad_s: float
    well_s: float


PATIENCE: Mapping[Kind, Patience] = {
    "lost": Patience(_MINUTE_S, 2 * _MINUTE_S),
    "revoked": Patience(_MINUTE_S, _MINUTE_S),
    "twins": Patience(0, 2 * _MINUTE_S),
    "silent": Patience(_MINUTE_S, 2 * _MINUTE_S),
    "trouble": Patience(_MINUTE_S, 2 * _MINUTE_S),
    "outbox": Patience(2 * _MINUTE_S, 2 * _MINUTE_S),
    "hot": Patience(2 * _MINUTE_S, 5 * _MINUTE_S),
    "throttled": Patience(_MINUTE_S, 10 * _MINUTE_S),
    "disk": Patience(_MINUTE_S, 5 * _MINUTE_S),
    "clock_off": Patience(2 * _MINUTE_S, 2 * _MINUTE_S),
    "clock": Patience(_DAY_S, _MINUTE_S),
    "certificate": Patience(0, _MINUTE_S),
    "panic": Patience(0, 2 * _MINUTE_S),  # bad at the moment of the press only
    "share": Patience(0, 2 * _MINUTE_S),
    "store": Patience(10, _MINUTE_S),
    "broker": Patience(30, _MINUTE_S),
    "restarts": Patience(0, 30 * _MINUTE_S),
    "center_disk": Patience(0, 5 * _MINUTE_S),
    "center_clock": Patience(2 * _MINUTE_S, 2 * _MINUTE_S),
}


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """Something that needs somebody. `ended_at` is null while it is so."""

    id: str
    station: str
    device: str
    kind: Kind
    detail: str
    begun_at: int
    ended_at: int | None = None
    acknowledged_at: int | None = None
    acknowledged_by: str | None = None

    @property
    def subject(self) -> str:
        """Whom it is about, as people write it."""
        return f"{self.station}/{self.device}" if self.device else self.station


News = tuple[Literal["began", "changed", "ended"], Alert]
"""What became of an alert; `changed` is its detail only."""


@dataclass(slots=True)
class _Watched:
    """One sign of one subject that was bad lately."""

    bad_since_s: float
    bad_since_ms: int
    well_since_s: float | None = None
    well_since_ms: int = 0
    alert: Alert | None = None


class Alerts:
    """Follows the signs of all subjects. `open_before`: the alerts that were open when the last run ended."""

    def __init__(self, open_before: Iterable[Alert], *, new_id: Callable[[], str], steady_s: float) -> None:
        self._new_id = new_id
        self._watched: dict[tuple[Subject, Kind], _Watched] = {}
        for alert in open_before:
            watched = _Watched(steady_s, alert.begun_at, alert=alert)
            self._watched[(alert.station, alert.device), alert.kind] = watched

    def open(self) -> list[Alert]:
        """Return the alerts that are open, the oldest first."""
        found = (one.alert for one in self._watched.values() if one.alert is not None)
        return sorted(found, key=lambda alert: (alert.begun_at, alert.id))

    def look(self, seen: Mapping[Subject, Signs | None], *, now_ms: int, steady_s: float) -> list[News]:
        """Take in how all subjects are; return the alerts that began, changed their detail or ended.

        Of a subject with None nothing is known: its alerts stay as they are. A subject that is not there at all is
        gone, and so are its alerts.
        """
        changed: list[News] = []
        for key, watched in list(self._watched.items()):
            subject, kind = key
            if subject not in seen:
                self._end(key, watched, now_ms, changed)
            elif (found := seen[subject]) is not None:
                self._go_on(key, watched, found.get(kind, Sign("well")), (now_ms, steady_s), changed)
        for subject, found in seen.items():
            for kind, sign in (found or {}).items():
                if sign.condition == "bad" and (subject, kind) not in self._watched:
                    self._watched[subject, kind] = watched = _Watched(steady_s, now_ms)
                    self._go_on((subject, kind), watched, sign, (now_ms, steady_s), changed)
        return changed

    def acknowledge(self, alert_id: str, *, at: int, by: str) -> None:
        """Remember who has seen an alert; nothing to do if it has ended."""
        for watched in self._watched.values():
            if watched.alert is not None and watched.alert.id == alert_id:
                watched.alert = replace(watched.alert, acknowledged_at=at, acknowledged_by=by)

    def _go_on(
        self, key: tuple[Subject, Kind], watched: _Watched, sign: Sign, now: tuple[int, float], changed: list[News]
    ) -> None:
        subject, kind = key
        now_ms, steady_s = now
        patience = PATIENCE[kind]
        if sign.condition == "well":
            if watched.well_since_s is None:
                watched.well_since_s, watched.well_since_ms = steady_s, now_ms
            if steady_s - watched.well_since_s >= patience.well_s:
                self._end(key, watched, watched.well_since_ms, changed)
            return
        watched.well_since_s = None
        if sign.condition == "between":
            return
        if watched.alert is None:
            if steady_s - watched.bad_since_s >= patience.bad_s and self._open_count() < OPEN:
                watched.alert = Alert(
                    id=self._new_id(),
                    station=subject[0],
                    device=subject[1],
                    kind=kind,
                    detail=sign.detail,
                    begun_at=watched.bad_since_ms,
                )
                changed.append(("began", watched.alert))
        elif kind == "trouble" and sign.detail != watched.alert.detail:
            watched.alert = replace(watched.alert, detail=sign.detail)
            changed.append(("changed", watched.alert))

    def _open_count(self) -> int:
        return sum(one.alert is not None for one in self._watched.values())

    def _end(self, key: tuple[Subject, Kind], watched: _Watched, at_ms: int, changed: list[News]) -> None:
        del self._watched[key]
        if watched.alert is not None:
            changed.append(("ended", replace(watched.alert, ended_at=max(at_ms, watched.alert.begun_at))))
