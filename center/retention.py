"""How long what is kept: the bounds, and the thread that takes out what is older, at quiet moments.

Age is reckoned by the record's own days, not by the clock: a day is as old as the days between it and today that have a
neighbour in the record within a month. A clock that is years ahead therefore makes nothing older, and after a long
closure everything is kept for so much longer; nothing ever goes too early. A clock that is a month ahead looks like a
month of holidays: a gap of more than a week counts when a week of days has followed it.
"""

import itertools
import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import TimeoutError as TimedOut
from datetime import date, datetime
from typing import TypeVar

from sqlalchemy import Connection

from center.answers import Change
from center.cameras import wiping
from center.cameras.uploads import make_vault
from center.cameras.vault import VaultError
from center.clock import business_day
from center.config import Config, Retention
from center.errors import StoreError
from center.fleet.strip import CELL_MS, CELLS
from center.hall import Hall
from center.storage import sweep
from center.storage.sweep import Bounds

log = logging.getLogger(__name__)

T = TypeVar("T")

GAP_DAYS = 31
"""Days of the record that are farther apart count as following each other: that may have been the clock."""

DOUBT_DAYS = 7
"""A longer gap counts when so many days of the record have followed it: by then somebody has set a wrong clock."""

ROUND_S = 600.0
"""So often there may be something: a window of health has become a day old."""

QUIET_S = 2.0
"""So long nobody took, called or finished anything: now nobody waits for the hall."""

PATIENCE_S = 30.0
"""If it is never quiet, a step is done all the same after so long."""

PAUSE_S = 0.2
_ANSWER_S = 60.0


def kept_from(recorded: Sequence[str], keep_days: int) -> str | None:
    """Return the oldest day that is kept, of the days of the record, the newest first; None if all are."""
    age = 0
    for followed, (newer, older) in enumerate(itertools.pairwise(recorded), 1):
        gap = (date.fromisoformat(newer) - date.fromisoformat(older)).days
        age += gap if gap <= (DOUBT_DAYS if followed <= DOUBT_DAYS else GAP_DAYS) else 0
        if age >= keep_days:
            return newer
    return None


def bounds(recorded: Sequence[str], rule: Retention, *, config: Config, now_ms: int) -> Bounds:
    """Return what may go, by the days of the record, the newest first."""

    def instant(keep_days: int) -> int | None:
        day = kept_from(recorded, keep_days)
        if day is None:
            return None
        midnight = datetime.combine(date.fromisoformat(day), datetime.min.time(), config.zone)
        return int(midnight.timestamp() * 1000)

    return Bounds(
        tickets_before=kept_from(recorded, rule.tickets_days),
        ratings_before=instant(rule.ratings_days),
        events_before=instant(max(rule.tickets_days, rule.ratings_days)),
        health_before=instant(rule.health_days),
        quarantine_before=instant(rule.quarantine_days),
        alerts_before=instant(rule.alerts_days),
        quarters_before=now_ms - (CELLS + 1) * CELL_MS,
        clips_before=instant(rule.clips_days),
    )


class Sweeper:
    """Takes out what is older than the rule, one short transaction after another, while nobody waits for the hall."""

    def __init__(self, hall: Hall, config: Config, *, pause_s: float = PAUSE_S, quiet_s: float = QUIET_S) -> None:
        self._hall, self._config, self._clock = hall, config, hall.clock
        self._vault = make_vault(config)
        self._pause_s, self._quiet_s = pause_s, quiet_s
        self._asked_s = self._clock.monotonic_s()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sweeper", daemon=True)
        self._failing = False

    def start(self) -> None:
        """Begin, after a while."""
        self._hall.subscribe(self._on_change)
        self._thread.start()

    def stop(self) -> None:
        """Stop after the step that is under way."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(5)
        if self._hall.alive():
            self._hall.unsubscribe(self._on_change)

    def sweep(self) -> dict[str, int]:
        """Take out all that is too old; returns how many rows of what went. Returns early when it is stopped."""
        now_ms = self._clock.now_ms()
        today = business_day(now_ms, self._config.zone)
        recorded = self._do(lambda connection: sweep.days(connection, upto=today))
        rule = bounds(recorded, self._config.retention, config=self._config, now_ms=now_ms)
        gone: dict[str, int] = {}
        while (count := self._do(lambda connection: sweep.thin(connection, now_ms=now_ms))) is not None:
            gone["thinned"] = gone.get("thinned", 0) + count
            if not self._wait():
                return gone
        for name, step in sweep.steps(rule):
            while (count := self._do(step)) > 0:
                gone[name] = gone.get(name, 0) + count
                if not self._wait():
                    return gone
        failed: VaultError | None = None
        for name, clear in wiping.steps(self._vault, rule.clips_before, now_ms=now_ms):
            try:
                while (count := clear(self._do)) > 0:
                    gone[name] = gone.get(name, 0) + count
                    if not self._wait():
                        return gone
            except VaultError as error:
                failed = error  # a store of recordings that is away keeps no picture in the database
        if failed is not None:
            raise failed
        return gone

    def _on_change(self, change: Change) -> None:
        if change.events:
            self._asked_s = self._clock.monotonic_s()

    def _do(self, step: Callable[[Connection], T]) -> T:
        return self._hall.transact(step).result(_ANSWER_S)

    def _wait(self) -> bool:
        """Wait for a quiet moment; false if there is none any more."""
        patience_s = PATIENCE_S
        while not self._stop.wait(self._pause_s):
            patience_s -= self._pause_s
            if patience_s <= 0 or self._clock.monotonic_s() - self._asked_s >= self._quiet_s:
                return True
        return False

    def _run(self) -> None:
        while self._wait():
            try:
                gone = self.sweep()
            except (StoreError, VaultError, TimedOut) as error:
                if not self._failing:
                    log.warning("what is too old could not be taken out: %s; trying again", error)
                self._failing = True
                gone = {}
            except Exception:
                log.exception("taking out what is too old failed; the queue goes on; please report these lines")
                gone = {}
            else:
                self._failing = False
            if old := {name: count for name, count in gone.items() if name != "thinned"}:
                log.info("taken out, kept long enough: %s", ", ".join(f"{count} {name}" for name, count in old.items()))
            if self._stop.wait(ROUND_S):
                return
