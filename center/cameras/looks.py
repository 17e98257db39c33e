"""Who looks through which camera, and the newest picture of each: in memory only, never on the disk.

While somebody looks, the camera's desired state has a `Look`: where it sends pictures, one after another. However many
people look through one camera, it sends each picture once. Its newest is all that is kept, and whoever reads slowly
skips pictures.

Everything here belongs to the pages' event loop, but `wanted`, which the hall's thread asks, too.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal, Self

from center.clock import Clock
from center.errors import CenterError
from contract.states import PICTURE_BYTES, Look

log = logging.getLogger(__name__)

PATH = "/api/looks"
LIVE_EVERY_MS = 100
STILL_EVERY_MS = 3_600_000
"""A still is a look of one picture: nobody looks for so long that there would be a second."""

LINGERS_S = 10.0
"""So long after the last one has gone the desk still says that somebody looks, and who comes back need not wait."""

RENEWED_S = 600.0
DEAD_AFTER_S = 900
"""A camera ends a look by itself after so long, whoever forgot to; one that lasts is renewed before."""

SILENT_S = 5.0
PER_CAMERA, TOGETHER = 8, 32
"""So many may look at once."""

OWN_PER_CAMERA, OWN_TOGETHER = 2, 4
"""So many of them may be one person's, on however many desks: nobody shuts the others out."""

_OVER_REMEMBERED = 64
_TICK_S = 1.0
_FIRST, _LAST = b"\xff\xd8\xff", b"\xff\xd9"  # ITU-T T.81: start of image, end of image

Coming = Literal["none", "waiting", "coming", "silent"]
"""Whether pictures come: nobody looks, none was there yet, they do, none for `SILENT_S`."""


class FullError(CenterError):
    """As many look as may at once."""


class OwnFullError(FullError):
    """One person looks as often as one may."""


class WrongTokenError(CenterError):
    """This token is not that look's."""


class OverError(CenterError):
    """Nobody looks there any more."""


class TooSoonError(CenterError):
    """The last picture came a moment ago."""


class NoPictureError(CenterError):
    """What came is no JPEG, or a larger one than was agreed."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture, and when it was taken, on the clock that never steps."""

    number: int
    jpeg: bytes
    taken_s: float


@dataclass(slots=True)
class _Place:
    """One camera that somebody looks through."""

    station: str
    look: Look
    made_s: float
    viewers: "set[Viewer]" = field(default_factory=set)
    newest: Picture | None = None
    came_s: float | None = None
    number: int = 0
    ending: asyncio.TimerHandle | None = None
    coming: Coming = "waiting"

    @property
    def live(self) -> bool:
        """Whether pictures are to follow each other."""
        return self.look.every_ms == LIVE_EVERY_MS


class Viewer:
    """Somebody who looks. What came before is not shown: `next` gives pictures that came since."""

    def __init__(self, looks: "Looks", place: _Place, session: str, actor: str) -> None:
        self.session, self.actor = session, actor
        self.shown = 0
        self.news = asyncio.Event()
        self.ended = False
        self._looks, self._place = looks, place
        self._number = place.number

    async def next(self, within_s: float) -> Picture | None:
        """Wait for a picture newer than the last one; None where none came in time, or the look has ended."""
        try:
            async with asyncio.timeout(within_s):
                while not self.ended and self._place.number == self._number:
                    self.news.clear()
                    await self.news.wait()
        except TimeoutError:
            return None
        if self.ended:
            return None
        self._number = self._place.number
        self.shown += 1
        return self._place.newest

    def end(self) -> None:
        """Show nothing more."""
        self.ended = True
        self.news.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._looks.leave(self._place, self)


class Looks:
    """All looks of a center."""

    def __init__(self, clock: Clock) -> None:
        self.on_change: Callable[[str], None] = lambda _station: None
        """Called with a station whose `wanted` is another one: who publishes desired states sets it."""
        self.on_news: Callable[[], None] = lambda: None
        """Called when pages have something else to say: the hub sets it."""
        self._clock = clock
        self._places: dict[str, _Place] = {}
        self._over: dict[str, None] = {}
        self._ticking: asyncio.TimerHandle | None = None
        self._closed = False

    # --- what others ask ---------------------------------------------------------------------------------------------

    def wanted(self, station: str) -> Look | None:
        """Return what a camera's desired state has to say. Any thread."""
        place = self._places.get(station)
        return place.look if place is not None else None

    def watched(self, station: str) -> bool:
        """Whether somebody looks through a camera, or did a moment ago."""
        return station in self._places

    def coming(self, station: str) -> Coming:
        """Return whether pictures come."""
        place = self._places.get(station)
        return place.coming if place is not None else "none"

    def now_s(self) -> float:
        """The clock that pictures are stamped by."""
        return self._clock.monotonic_s()

    # --- looking -----------------------------------------------------------------------------------------------------

    def view(self, station: str, session: str, actor: str, *, live: bool) -> Viewer:
        """Look through a camera until the viewer is closed; raises FullError, and OwnFullError for one's own."""
        place = self._places.get(station)
        own = {name: sum(one.actor == actor for one in each.viewers) for name, each in self._places.items()}
        if own.get(station, 0) >= OWN_PER_CAMERA or sum(own.values()) >= OWN_TOGETHER:
            raise OwnFullError("this person looks as often as one may")
        if self._closed or sum(len(each.viewers) for each in self._places.values()) >= TOGETHER:
            raise FullError("too many people look through cameras")
        if place is not None and len(place.viewers) >= PER_CAMERA:
            raise FullError("too many people look through this camera")
        if place is None:
            place = self._places[station] = _Place(station, _look(live=live), self._clock.monotonic_s())
            self._changed(place)
        elif not place.live and (live or not place.viewers):  # one still is shared by all who wait for it
            self._renew(place, live=live)
        if place.ending is not None:
            place.ending.cancel()
            place.ending = None
        viewer = Viewer(self, place, session, actor)
        place.viewers.add(viewer)
        self._tick_soon()
        return viewer

    def leave(self, place: _Place, viewer: Viewer) -> None:
        """Take note that somebody has gone; the look ends a while after the last one."""
        place.viewers.discard(viewer)
        if not place.viewers and not self._closed:
            place.ending = asyncio.get_running_loop().call_later(LINGERS_S, self._end, place)

    def end(self, session: str) -> None:
        """Show nothing more to who was logged in there."""
        for place in self._places.values():
            for viewer in place.viewers:
                if viewer.session == session:
                    viewer.end()

    def close(self) -> None:
        """Show nothing more to anybody, so that the server can stop."""
        self._closed = True
        if self._ticking is not None:
            self._ticking.cancel()
        for place in self._places.values():
            if place.ending is not None:
                place.ending.cancel()
            for viewer in place.viewers:
                viewer.end()

    # --- what a camera sends -----------------------------------------------------------------------------------------

    def may_send(self, look: str, token: str) -> str:
        """Return whose look this is; raises OverError, WrongTokenError."""
        for place in self._places.values():
            if place.look.path == f"{PATH}/{look}":
                if not secrets.compare_digest(place.look.token, token):
                    raise WrongTokenError("this is not the token of this look")
                return place.station
        raise (
            OverError("nobody looks here any more") if look in self._over else WrongTokenError("there is no such look")
        )

    def take(self, station: str, jpeg: bytes, *, age_ms: int) -> None:
        """Show a picture to all who look; raises TooSoonError, NoPictureError, OverError."""
        place = self._places.get(station)
        if place is None:
            raise OverError("nobody looks here any more")
        if len(jpeg) > PICTURE_BYTES or not jpeg.startswith(_FIRST) or not jpeg.endswith(_LAST):
            raise NoPictureError(f"this is no JPEG of at most {PICTURE_BYTES} bytes")
        now = self._clock.monotonic_s()
        if place.came_s is not None and now - place.came_s < place.look.every_ms / 2000:
            raise TooSoonError("the last picture came a moment ago")
        place.number += 1
        place.newest = Picture(place.number, jpeg, now - age_ms / 1000)
        place.came_s = now
        self._say(place, "coming")
        for viewer in place.viewers:
            viewer.news.set()
        if place.viewers and now - place.made_s >= RENEWED_S:
            self._renew(place, live=place.live)

    # --- inside ------------------------------------------------------------------------------------------------------

    def _renew(self, place: _Place, *, live: bool) -> None:
        self._forget(place.look)
        if not (live and place.live):
            place.came_s = None
            self._say(place, "waiting")
        place.look, place.made_s = _look(live=live), self._clock.monotonic_s()
        self._changed(place)

    def _end(self, place: _Place) -> None:
        self._forget(place.look)
        del self._places[place.station]
        self._changed(place)

    def _forget(self, look: Look) -> None:
        self._over[look.path.rpartition("/")[2]] = None
        if len(self._over) > _OVER_REMEMBERED:
            del self._over[next(iter(self._over))]

    def _changed(self, place: _Place) -> None:
        self.on_change(place.station)
        self.on_news()

    def _say(self, place: _Place, coming: Coming) -> None:
        if place.coming != coming:
            place.coming = coming
            self.on_news()

    def _tick_soon(self) -> None:
        if self._ticking is None and not self._closed:
            self._ticking = asyncio.get_running_loop().call_later(_TICK_S, self._tick)

    def _tick(self) -> None:
        """Notice cameras that have fallen silent."""
        self._ticking = None
        now = self._clock.monotonic_s()
        for place in self._places.values():
            since = place.made_s if place.came_s is None else place.came_s
            if now - since >= SILENT_S and (place.live or place.came_s is None):
                self._say(place, "silent")
        if self._places:
            self._tick_soon()


def _look(*, live: bool) -> Look:
    return Look(
        path=f"{PATH}/{secrets.token_hex(8)}",
        token=secrets.token_urlsafe(32),
        every_ms=LIVE_EVERY_MS if live else STILL_EVERY_MS,
        seconds=DEAD_AFTER_S,
    )
