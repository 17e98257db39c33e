"""Wishes: what the center asks of its cameras, put together and published in this one place.

A camera follows the queue as panels and pads do, and hears besides what it shall look at and for (settings), what it
shall keep, whether the panic keys were pressed, and whether somebody looks. What is asked stands in the desired state
until the camera has confirmed a revision in which it stood: to confirm is to have carried out.

It all happens in the hall's thread: as a listener, as its timers, and by `Hall.run`.
"""

import hashlib
import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec
import sqlalchemy as sa

from center.answers import Change, Device, Panic, RatingStored
from center.cameras import book, desired
from center.cameras.book import PANIC_OLD_MS, Drawn, Known, Served, Wish
from center.cameras.desired import Setting
from center.config import Config
from center.errors import StoreError
from center.hall import Hall
from center.queue.state import State
from contract.codec import encode
from contract.states import CameraDesired, Look
from contract.topics import Address, Channel

log = logging.getLogger(__name__)

T = TypeVar("T")

CAMERA = "camera"
KEPT_MS = 86_400_000
"""So long a service is asked for: a camera keeps one for an hour, and no longer than a day (`service_kept_min`)."""

SERVICE_MS = 3_600_000
"""What ended longer ago than this when the center starts is not drawn any more: its recording is gone as a rule."""

ASKED_S = 15.0
"""So long an interval is asked for: it counts from when the camera hears it, so a later one would be another."""

PANIC_S = 60.0
AGAIN_S = 5.0
_HIGHEST = 2**52  # a camera that claims to have heard a higher revision has not heard it from any center

Publish = Callable[[str, bytes], bool]


class _Reported(msgspec.Struct):
    revision: int = 0


_reported = msgspec.json.Decoder(_Reported)


@dataclass(slots=True)
class _Camera:
    """A station's camera."""

    revision: int
    said: CameraDesired | None = None  # what it was told last, but for the revision
    counter_revision: int = -1
    since: dict[str, int] = field(default_factory=dict)  # what is asked, and the first revision in which it stood


class Wishes:
    """What is asked of every camera. `publish` is set by whoever has a broker, `look` by who watches the watchers."""

    def __init__(self, hall: Hall, config: Config) -> None:
        self.publish: Publish | None = None
        self.look: Callable[[str], Look | None] = lambda _station: None
        """What a station's camera shall send to whoever looks through it; any change of it is told by `touch`."""
        self._hall, self._clock = hall, hall.clock
        self._center, self._root = config.id, config.root
        self._most = config.clips.sample_per_week
        self._cameras: dict[str, _Camera] = {}
        self._settings: dict[str, Setting] = {}
        self._wishes: dict[str, dict[str, Wish]] = {}
        self._panics: dict[str, str] = {}
        self._officers: dict[str, str | None] = {}
        self._ready = False
        self._early: list[Change] = []  # what came while the rows were read; never its state
        self._failing = False
        # Each run counts from where no earlier one can have come, so no camera confirms what this one has not asked.
        self._first = self._clock.now_ms()

    def start(self) -> None:
        """Go on with what the last run left. The hall must have been started; raises StoreError."""
        now = self._clock.now_ms()
        snapshot = self._hall.subscribe(self._on_change)
        since, panics_since = now - KEPT_MS, now - round(PANIC_S * 1000)
        left = self._hall.transact(lambda rows: book.load(rows, since=since, panics_since=panics_since)).result()
        day, served_since = snapshot.state.day, now - SERVICE_MS
        served: Sequence[Served] = ()
        if self._most:
            served = self._hall.transact(lambda rows: book.served_since(rows, day, served_since)).result()
        officers = {counter.id: counter.officer for counter in snapshot.state.counters.values()}
        self._hall.run(lambda state: self._begin(state, snapshot.devices, left, served, officers)).result()

    def stop(self) -> None:
        """Ask nothing more."""
        if self._hall.alive():
            self._hall.unsubscribe(self._on_change)

    # --- for everybody ---------------------------------------------------------------------------------------------

    def speak(self, publish: Publish) -> None:
        """Publish with this from now on."""
        self.publish = publish
        self.everything()

    def everything(self) -> None:
        """Tell every camera all: the broker may have forgotten, or another center may have spoken. Any thread."""
        self._hall.run(self._everything)

    def touch(self, station: str) -> None:
        """Tell a camera what has changed, if anything has. Any thread."""
        self._hall.run(lambda state: self._tell(state, station))

    def known(self, station: str) -> "Future[tuple[Known, list[Wish]]]":
        """Return a station's settings, and what was asked of its camera last. Any thread."""
        return self._hall.transact(lambda rows: (book.setting(rows, station), book.last(rows, station)))

    def has_camera(self, station: str) -> "Future[bool]":
        """Return whether a camera was ever heard there. Any thread."""
        return self._hall.run(lambda _state: station in self._cameras)

    def set(self, station: str, seen: int, setting: Setting, *, by: str) -> "Future[Known]":
        """Change what a camera looks at and for; raises StaleSettingError. Any thread."""
        at = self._clock.now_ms()
        asked = self._hall.transact(lambda rows: book.put(rows, station, seen, setting, at=at, by=by))

        def then(state: State, known: Known) -> None:
            self._settings[station] = known.setting
            self._tell(state, station)

        self._after(asked, then)
        return asked

    def ask(self, station: str, *, before_s: int, after_s: int, note: str, key: str, by: str) -> "Future[Wish]":
        """Have so much before and after now kept, as a person wants it; a key that was used asks nothing new."""
        own = hashlib.sha256(f"{by} {station} {before_s} {after_s} {key}".encode())  # a key again, but another ask
        wish = Wish(
            id=f"asked-{own.hexdigest()[:32]}",
            station=station,
            why="asked",
            before_s=before_s,
            after_s=after_s,
            note=note,
            asked_at=self._clock.now_ms(),
            asked_by=by[:64],
        )
        asked = self._hall.transact(lambda rows: book.ask(rows, wish))
        self._after(asked, self._want)
        return asked

    # --- what happens ----------------------------------------------------------------------------------------------

    def _begin(
        self,
        state: State,
        devices: Iterable[Device],
        left: book.Left,
        served: Sequence[Served],
        officers: Mapping[str, str | None],
    ) -> None:
        self._officers = {**officers, **self._officers}
        for station, known in left.settings.items():
            self._settings.setdefault(station, known.setting)
        for wish in left.open:
            self._wishes.setdefault(wish.station, {})[wish.id] = wish
        for device in devices:
            if device.device == CAMERA:
                self._meet(device.station)
                self._hear(state, device)
        self._ready = True
        now = self._clock.now_ms()
        for wish in left.open:
            self._give_up_later(wish, now)
        for low in left.low:
            if low.counter in self._cameras:
                self._keep_service(low.counter, low.ticket, low.id)
        for each in served:
            if each.station in self._cameras:
                self._draw(each)
        for panic in {one.station: one for one in left.panics}.values():  # a camera remembers no panic but the last
            self._panic(state, panic)
        early, self._early = self._early, []
        for change in early:
            self._take_in(state, change)
        self._everything(state)

    def _on_change(self, change: Change) -> None:
        state = change.state
        for device in change.devices:
            if device.device == CAMERA:
                is_new = self._meet(device.station)
                self._hear(state, device)
                if is_new:
                    self._tell(state, device.station)
        for station, name in change.forgotten:
            if name == CAMERA and self._cameras.pop(station, None) is not None and self.publish is not None:
                self.publish(self._topic(station), b"")
        if self._ready:
            self._take_in(state, change)
        else:
            self._early.append(change)

    def _take_in(self, state: State, change: Change) -> None:
        for panic in change.panics:
            self._panic(state, panic)
        for rating in change.ratings:
            self._rated(rating)
        if change.events:
            self._follow(state, change)

    def _follow(self, state: State, change: Change) -> None:
        for served in book.services(change.events, self._officers, day=state.day):
            if self._most and served.station in self._cameras:
                self._draw(served)
        for station, camera in self._cameras.items():
            counter = state.counters.get(station)
            if counter is not None and counter.revision != camera.counter_revision:
                self._tell(state, station)

    def _meet(self, station: str) -> bool:
        """Take note of a camera; true if it is a new one."""
        if station in self._cameras:
            return False
        self._cameras[station] = _Camera(self._first)
        return True

    def _hear(self, state: State, device: Device) -> None:
        """Take a camera's word for what it has carried out."""
        camera = self._cameras[device.station]
        try:
            heard = _reported.decode(device.reported or "{}").revision
        except (msgspec.MsgspecError, RecursionError):  # no camera of ours says what cannot be read
            return
        if heard > camera.revision:
            if heard < _HIGHEST:  # of a center whose clock was ahead: it would not listen to less
                camera.revision = heard
                camera.said = None
                self._tell(state, device.station)
            return
        confirmed = [each for each, since in camera.since.items() if since <= heard]
        if confirmed:
            self._confirmed(state, device.station, confirmed)

    def _confirmed(self, state: State, station: str, names: Collection[str]) -> None:
        camera = self._cameras[station]
        for name in names:
            del camera.since[name]
        if self._panics.get(station) in names:
            del self._panics[station]
        wishes = self._wishes.get(station, {})
        kept = [name for name in names if wishes.pop(name, None) is not None]
        if kept:
            at = self._clock.now_ms()
            self._store(lambda rows: book.done(rows, kept, at=at), lambda _state, _none: None)
        self._tell(state, station)

    # --- what is asked ---------------------------------------------------------------------------------------------

    def _rated(self, rating: RatingStored) -> None:
        if rating.counter in self._cameras and rating.ticket is not None and desired.is_low(rating):
            self._keep_service(rating.counter, rating.ticket, rating.id)

    def _keep_service(self, station: str, ticket: str, rating: str) -> None:
        wish = Wish(id=rating, station=station, why="low_rating", ticket=ticket, asked_at=self._clock.now_ms())
        self._store(lambda rows: book.add(rows, wish), lambda state, new: self._want(state, wish) if new else None)

    def _draw(self, served: Served) -> None:
        most, now = self._most, self._clock.now_ms()
        self._store(lambda rows: book.enter(rows, served, most=most, now_ms=now), self._drawn)

    def _drawn(self, state: State, drawn: Drawn) -> None:
        for wishes in self._wishes.values() if drawn.gone else ():
            for name in drawn.gone:
                wishes.pop(name, None)
        if drawn.wish is not None:
            self._want(state, drawn.wish)

    def _want(self, state: State, wish: Wish) -> None:
        if wish.done_at is not None or wish.gone_at is not None:
            return
        wishes = self._wishes.setdefault(wish.station, {})
        if wish.id not in wishes:
            wishes[wish.id] = wish
            self._give_up_later(wish, self._clock.now_ms())
        self._tell(state, wish.station)

    def _give_up_later(self, wish: Wish, now: int) -> None:
        within_s = ASKED_S if wish.why == "asked" else KEPT_MS / 1000
        left_s = min(within_s, max(0.0, within_s - (now - wish.asked_at) / 1000))
        self._hall.later(left_s, lambda state: self._give_up(state, wish))

    def _give_up(self, state: State, wish: Wish) -> None:
        if self._wishes.get(wish.station, {}).pop(wish.id, None) is None:
            return
        log.warning(
            "the camera at %s did not say in time that it keeps what was asked (%s): it is asked no more",
            wish.station,
            wish.why,
        )
        at = self._clock.now_ms()
        self._store(lambda rows: book.give_up(rows, [wish.id], at=at), lambda _state, _none: None)
        self._tell(state, wish.station)

    def _panic(self, state: State, panic: Panic) -> None:
        """Tell the station's camera, for a minute; what is heard long after is an alert only (center/fleet)."""
        if self._clock.now_ms() - panic.at > PANIC_OLD_MS or panic.station not in self._cameras:
            return
        self._panics[panic.station] = panic.id
        self._tell(state, panic.station)

        def over(state: State) -> None:
            if self._panics.get(panic.station) == panic.id:
                del self._panics[panic.station]
                self._tell(state, panic.station)

        self._hall.later(PANIC_S, over)

    # --- what is told ----------------------------------------------------------------------------------------------

    def _everything(self, state: State) -> None:
        for station, camera in self._cameras.items():
            camera.said = None
            self._tell(state, station)

    def _tell(self, state: State, station: str) -> None:
        """Publish what a camera should do, if it is another thing than before."""
        camera = self._cameras.get(station)
        if camera is None or self.publish is None or not self._ready:
            return
        counter = state.counters.get(station)
        wishes = sorted(self._wishes.get(station, {}).values(), key=lambda wish: (wish.asked_at, wish.id))
        # The latest; what has to step back comes forward again when one of them is done.
        latest = wishes[-desired.KEEPS :]
        wanted = desired.camera(
            state,
            counter,
            setting=self._settings.get(station, _FILE),
            keep=[wish.keep for wish in latest],
            panic=self._panics.get(station),
            look=self.look(station),
        )
        camera.counter_revision = counter.revision if counter is not None else -1
        if wanted == camera.said:
            return
        camera.revision += 1
        told = self.publish(self._topic(station), encode(msgspec.structs.replace(wanted, revision=camera.revision)))
        camera.said = wanted if told else None
        asked = {wish.id for wish in latest} | ({wanted.panic} if wanted.panic is not None else set())
        since = {name: revision for name, revision in camera.since.items() if name in asked}
        camera.since = {**dict.fromkeys(asked, camera.revision), **since} if told else since

    def _topic(self, station: str) -> str:
        return Address(center=self._center, station=station, device=CAMERA, root=self._root).topic(Channel.DESIRED)

    # --- rows ------------------------------------------------------------------------------------------------------

    def _store(self, job: Callable[[sa.Connection], T], then: Callable[[State, T], None]) -> None:
        """Write something down and go on with it, in the hall's thread; while the store fails, again and again."""

        def settled(done: "Future[T]") -> None:
            if done.cancelled():
                return
            error = done.exception()
            if error is None:
                if self._failing:
                    log.info("what cameras are asked is stored again")
                self._failing = False
                result = done.result()
                self._hall.run(lambda state: then(state, result))
            elif isinstance(error, StoreError) and not error.poison:
                if not self._failing:
                    log.warning("what cameras are asked cannot be stored, and waits: %s", error)
                self._failing = True
                self._hall.later(AGAIN_S, lambda _state: self._store(job, then))
            else:
                log.error("what a camera should be asked is lost; please report these lines", exc_info=error)

        self._hall.transact(job).add_done_callback(settled)

    def _after(self, asked: "Future[T]", then: Callable[[State, T], None]) -> None:
        def settled(done: "Future[T]") -> None:
            if not done.cancelled() and done.exception() is None:
                result = done.result()
                self._hall.run(lambda state: then(state, result))

        asked.add_done_callback(settled)


_FILE = Setting()
