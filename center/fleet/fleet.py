"""Looks at all devices every few seconds: signs, alerts, each device's last day; in a thread of its own.

Nothing waits for it. What it finds is stored through the hall, shown by the pages, and told to a webhook. While the
store fails it goes on in memory, because just then somebody must be told.
"""

import logging
import shutil
import threading
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as TimedOut
from pathlib import Path

import msgspec

from center.answers import Change, Device
from center.cameras.book import panics
from center.config import Config
from center.errors import CenterError, StoreError
from center.fleet import book
from center.fleet.alerts import PATIENCE, Alert, Alerts, Subject
from center.fleet.signs import Center, Sign, Signs, center_clock, center_signs, level, signs
from center.fleet.strip import Cell, Strips
from center.fleet.webhook import Webhook
from center.hall import Hall
from contract.ids import uuid7
from contract.topics import CENTER_STATION

log = logging.getLogger(__name__)

EVERY_S = 5.0
CERTIFICATES_S = 600.0
CENTER: Subject = (CENTER_STATION, "")
"""Whom an alert is about that is about the center itself."""

_STORE_S = 10.0
_HOUR_S = 3600.0
_MIB = 1 << 20


class Board(msgspec.Struct, frozen=True):
    """What the pages show of it: open alerts and those that ended lately, the newest first; each device's last day."""

    alerts: tuple[Alert, ...] = ()
    strips: Mapping[str, str] = {}
    revoked: frozenset[str] = frozenset()
    """The devices that no key is good for any more."""

    @property
    def open(self) -> int:
        """How many alerts are open that nobody has seen yet."""
        return sum(one.ended_at is None and one.acknowledged_at is None for one in self.alerts)


class Fleet:
    """The fleet of one center. `reached` and `broker_ends` are set by the program that runs ingest and broker."""

    def __init__(self, hall: Hall, config: Config, *, webhook: Webhook | None = None, every_s: float = EVERY_S) -> None:
        self.board = Board()
        self.reached: Callable[[], bool] = lambda: True
        self.broker_ends: Callable[[], int] = lambda: 0
        self.certificates: Callable[[], Mapping[Subject, int]] = dict
        """Until when each device's certificate is good, in UTC milliseconds; asked once in ten minutes."""
        self.over_share: Callable[[], frozenset[Subject]] = frozenset
        """Whose recordings the center takes no more of; asked at each look."""
        self.revoked: Callable[[], frozenset[Subject]] = frozenset
        """Whose keys are all revoked; asked at each look."""
        self.on_news: Callable[[], None] = lambda: None
        """Called in the fleet's thread when the board has changed."""
        self._hall, self._clock = hall, hall.clock
        self._disk = Path(config.data_dir)
        self._webhook = webhook
        self._every_s = every_s
        self._arrived: deque[Change | Alert] = deque()
        self._devices: dict[Subject, Device] = {}
        self._ended: deque[Alert] = deque(maxlen=book.RECENT)
        self._unwritten_alerts: dict[str, Alert] = {}
        self._unwritten_cells: dict[tuple[Subject, int], Cell] = {}
        self._panics: set[Subject] = set()  # where panic keys were pressed since the last look
        self._ends: deque[float] = deque()
        self._ends_seen = 0
        self._certificates: Mapping[Subject, int] = {}
        self._certificates_at_s = -CERTIFICATES_S
        self._revoked: frozenset[Subject] = frozenset()
        self._failing = False
        self._alerts: Alerts
        self._strips: Strips
        self._wake = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="fleet", daemon=True)

    # --- for everybody ---------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Read what the last run left and begin to look."""
        self.begin()
        self._thread.start()

    def begin(self) -> None:
        """Read what the last run left and follow the hall, without a thread: whoever calls this calls `look`."""
        now_ms, tells = self._clock.now_ms(), self._webhook is not None
        for device in self._hall.subscribe(self._hear).devices:
            self._devices[device.station, device.device] = device
        since = now_ms - round(1000 * PATIENCE["panic"].well_s)  # one that was stored just before the last run ended
        try:
            kept = self._hall.transact(lambda connection: book.load(connection, now_ms=now_ms, tells=tells)).result()
            pressed = self._hall.transact(lambda connection: panics(connection, since)).result()
            self._panics.update((each.station, each.device) for each in pressed)
        except StoreError as error:
            log.warning("what was known of alerts cannot be read: %s", error)
            kept = book.Kept((), (), (), ())
        self._alerts = Alerts(kept.open, new_id=uuid7, steady_s=self._clock.monotonic_s())
        self._strips = Strips(kept.cells)
        self._ended.extend(reversed(kept.ended))
        if self._webhook is not None:
            self._webhook.told = self._told
            for alert, known in kept.untold:
                self._webhook.put(alert, known)
            self._webhook.start()
        self._publish()

    def stop(self) -> None:
        """Stop looking; bounded."""
        self._stopping = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(_STORE_S)
        if self._webhook is not None:
            self._webhook.stop()
        if self._hall.alive():
            self._hall.unsubscribe(self._hear)

    def acknowledge(self, alert_id: str, *, by: str) -> "Future[Alert | None]":
        """Note who has seen an alert; the first one stays. None if there is no such alert."""
        at = self._clock.now_ms()
        asked = self._hall.transact(lambda connection: book.acknowledge(connection, alert_id, at=at, by=by))
        asked.add_done_callback(self._acknowledged)
        return asked

    def forget(self, station: str, device: str, *, by: str) -> "Future[bool]":
        """Take a device off the list that was taken away; false if it was not on it. Its alerts end."""
        at = self._clock.now_ms()
        gone = self._hall.forget(station, device)

        def note(done: "Future[bool]") -> None:
            if not done.cancelled() and done.exception() is None and done.result():
                self._hall.transact(lambda connection: book.forget(connection, station, device, at=at, by=by))

        gone.add_done_callback(note)
        return gone

    # --- a look ----------------------------------------------------------------------------------------------------

    def look(self) -> None:
        """Take in what has happened and say what follows from it."""
        self._take_in()
        now_ms, steady_s = self._clock.now_ms(), self._clock.monotonic_s()
        self._ask_certificates(steady_s)
        self._revoked = self.revoked()
        reached = self.reached()
        off = reached and center_clock(self._devices.values())
        seen: dict[Subject, Signs | None] = {CENTER: center_signs(self._center(steady_s, reached=reached, off=off))}
        for subject, device in self._devices.items():
            until = self._certificates.get(subject)
            seen[subject] = found = (
                signs(
                    device,
                    now_ms,
                    center_is_off=off,
                    certificate_ends_at=until,
                    revoked=subject in self._revoked,
                )
                if reached
                else None
            )
            if reached and (cell := self._strips.note(subject, level(device, found), now_ms)) is not None:
                self._unwritten_cells[cell[0], cell[1]] = cell
        for subject in self.over_share():
            if (known := seen.get(subject)) is not None:
                seen[subject] = {**known, "share": Sign("bad")}
        for subject in self._panics:
            seen[subject] = {**(seen.get(subject) or {}), "panic": Sign("bad")}
        self._panics.clear()
        for word, alert in self._alerts.look(seen, now_ms=now_ms, steady_s=steady_s):
            self._happened(word, alert)
        self._write()
        self._publish()

    def _hear(self, change: Change) -> None:
        """Take note of what has happened, in the hall's thread; a panic is looked at now."""
        self._arrived.append(change)
        if change.panics:
            self._wake.set()

    def _take_in(self) -> None:
        while self._arrived:
            news = self._arrived.popleft()
            if isinstance(news, Alert):
                self._alerts.acknowledge(news.id, at=news.acknowledged_at or 0, by=news.acknowledged_by or "")
                seen = [news if one.id == news.id else one for one in self._ended]
                self._ended = deque(seen, maxlen=book.RECENT)
                continue
            for device in news.devices:
                self._devices[device.station, device.device] = device
            for panic in news.panics:
                self._panics.add((panic.station, panic.device))
            for subject in news.forgotten:
                self._devices.pop(subject, None)
                self._strips.forget(subject)
                self._unwritten_cells = {key: cell for key, cell in self._unwritten_cells.items() if key[0] != subject}

    def _ask_certificates(self, steady_s: float) -> None:
        if steady_s - self._certificates_at_s < CERTIFICATES_S:
            return
        self._certificates_at_s = steady_s
        try:
            self._certificates = self.certificates()
        except CenterError as error:
            log.debug("certificates are not known: %s", error)  # who keeps them says it louder

    def _center(self, steady_s: float, *, reached: bool, off: bool) -> Center:
        ends = self.broker_ends()
        self._ends.extend([steady_s] * min(ends - self._ends_seen, 100))
        self._ends_seen = ends
        while self._ends and steady_s - self._ends[0] > _HOUR_S:
            self._ends.popleft()
        try:
            free_mb = shutil.disk_usage(self._disk).free // _MIB
        except OSError:
            free_mb = None  # the folder is gone: the store says so, louder
        return Center(
            storing=self._hall.storing() and not self._failing,
            reached=reached,
            disk_free_mb=free_mb,
            restarts=len(self._ends),
            clock_is_off=off,
        )

    def _happened(self, word: str, alert: Alert) -> None:
        self._unwritten_alerts[alert.id] = alert
        if word == "changed":
            return
        if word == "began":
            log.warning("alert: %s: %s %s", alert.subject, alert.kind, alert.detail)
        else:
            log.info("no alert any more: %s: %s %s", alert.subject, alert.kind, alert.detail)
            self._ended.append(alert)
        if self._webhook is not None:
            self._webhook.put(alert, book.NOTHING if word == "began" else book.BEGAN)

    def _write(self) -> None:
        if not self._unwritten_alerts and not self._unwritten_cells:
            return
        alerts, cells = list(self._unwritten_alerts.values()), list(self._unwritten_cells.values())
        tells = self._webhook is not None
        asked = self._hall.transact(lambda connection: book.write(connection, alerts, cells, tells=tells))
        try:
            asked.result(_STORE_S)
        except (StoreError, TimedOut) as error:
            if not self._failing:
                log.warning("alerts cannot be stored and stand in memory only: %s", error)
            self._failing = True
            return
        self._failing = False
        self._unwritten_alerts.clear()
        self._unwritten_cells.clear()

    def _publish(self) -> None:
        now_ms = self._clock.now_ms()
        ended = [one for one in reversed(self._ended) if (one.ended_at or 0) > now_ms - book.RECENT_MS]
        board = Board(
            alerts=(*reversed(self._alerts.open()), *ended),
            strips={"/".join(subject): self._strips.of(subject, now_ms) for subject in self._devices},
            revoked=frozenset("/".join(subject) for subject in self._revoked & self._devices.keys()),
        )
        if board != self.board:
            self.board = board
            self.on_news()

    # --- threads ---------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopping:
            try:
                self.look()
            except Exception:
                log.exception("a look at the devices failed; the queue goes on; please report these lines")
            self._wake.wait(self._every_s)
            self._wake.clear()

    def _acknowledged(self, done: "Future[Alert | None]") -> None:
        if not done.cancelled() and done.exception() is None and (alert := done.result()) is not None:
            self._arrived.append(alert)
            self._wake.set()

    def _told(self, alert_id: str, what: int) -> None:
        self._hall.transact(lambda connection: book.told(connection, alert_id, what))
