"""What is done with each picture, in the thread that brings it: it is looked at, people are hidden, it is encoded.

What takes long is others': the recorder reads the rings, `Presence` looks at the newest picture.
"""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from contract.cameras import check_zones
from contract.states import Zone
from firmware.devices.camera.config import CITIZEN
from firmware.devices.camera.encoder import Encoder
from firmware.devices.camera.frames import Frame, Plane
from firmware.devices.camera.looking import Looking
from firmware.devices.camera.motion import Motion
from firmware.devices.camera.presence import People
from firmware.devices.camera.privacy import Blocks, Masks, thumbnail
from firmware.devices.camera.ring import Ring
from firmware.devices.camera.signals import ALL, Seen, Settings, Thumbnail
from firmware.devices.camera.signals import Presence as Found
from firmware.devices.camera.sources.pictures import SMALL_HEIGHT, SMALL_WIDTH
from firmware.devices.camera.tamper import Tamper
from firmware.errors import ConfigError
from firmware.ports import Clock, Post
from firmware.pulse import Pulse

_log = logging.getLogger(__name__)

TOLD_EVERY_MS = 120
"""Of what is seen: each second picture at fifteen a second, also where they come unsteadily."""
RING_S = 65
"""The longest that may be asked for of what was, and the longest that the recorder may be late."""

RING_BYTES = 24 * 1024 * 1024
MOVES_FROM = 0.01
"""Of a zone: with less nothing moves."""

EVERYWHERE = Zone(name=CITIZEN, points=((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)))
"""Where citizens may be as long as nobody has said where they are."""

LOOK_EVERY_MS = 1000
"""So often people are looked for on an average, at most."""
AT_ONCE, AT_ONCE_EVERY_MS = 4, 250
"""So many looks may be made in advance, so far apart: when something begins to move in a place that was still."""

_KNOWN_FOR_MS = 3_000  # so long what was found holds while things move: the next look is under way
_LOOK_HANGS_AFTER_MS = 30_000
_CLOSE_WITHIN_S = 5.0


@dataclass(frozen=True, slots=True)
class _Places:
    """What is made of the zones and masks, for pictures of one size."""

    zones: Sequence[Zone]
    covered: Sequence[Zone]
    masks: Masks
    blocks: Blocks


class Pipeline:
    """One camera's pictures, from the source to the rings. `take` and `draw` are for the capture thread."""

    def __init__(
        self,
        *,
        size: tuple[int, int],
        fps: int,
        zones: Sequence[Zone],
        masks: Sequence[Zone],
        sealed: bool,
        clock: Clock,
    ) -> None:
        """Prepare for pictures of `size` (width, height); raise ConfigError without x264.

        What the station's own file hides stays hidden, whatever is set later: nobody far away takes a mask off.
        """
        width, height = size
        self._size = size
        self._own_masks = tuple(masks)
        self._own_citizen = tuple(zone for zone in zones if zone.name == CITIZEN)
        self._clock = clock
        self.shown = Ring(seconds=RING_S, most_bytes=RING_BYTES)
        self.clear = Ring(seconds=RING_S, most_bytes=RING_BYTES) if sealed else None
        self._shown_encoder = Encoder(width=width, height=height, fps=fps)
        self._clear_encoder = Encoder(width=width, height=height, fps=fps) if sealed else None
        self._places = self._placed(zones, masks)
        self._post: Post = _nowhere
        self._presence: Presence | None = None
        self._looking: Looking | None = None
        self._lock = threading.Lock()
        self._pictures: list[str] = []  # incidents that want one; under the lock

        # Below: the capture thread's own.
        self._known = self._places
        self._motion = Motion(zones)
        self._tamper = Tamper(masks)
        self._moved: dict[str, float] = {}
        self._stirs: dict[str, float] = {}
        self._faults: frozenset[str] = frozenset()
        self._told_ms: int | None = None

    @property
    def zones(self) -> Sequence[Zone]:
        """What is where, now: the same object until it is changed."""
        return self._places.zones

    def begin(self, post: Post, presence: "Presence | None", looking: Looking | None = None) -> None:
        """Tell what is seen to `post` from now on, and show it to whoever looks."""
        self._post, self._presence, self._looking = post, presence, looking

    def draw(self, main: Plane, small: Plane) -> None:
        """Draw the masks; a source calls it before anybody has the picture."""
        self._places.masks.draw(main, small)

    def set(self, settings: Settings) -> None:
        """Look at other parts of the picture. Any thread; what cannot be is said, and changes nothing."""
        try:
            check_zones(settings.zones)
            check_zones(settings.masks, "masks")
        except ValueError as error:
            _log.warning("the center's settings are not taken: %s", error)
            return
        self._places = self._placed(settings.zones, settings.masks)

    def picture(self, incident: str) -> None:
        """Make a thumbnail of the next picture. Any thread."""
        with self._lock:
            self._pictures.append(incident)

    def take(self, frame: Frame) -> None:
        """Do everything with a picture."""
        places = self._places
        if places is not self._known:
            self._known = places
            self._motion = Motion(places.zones)
            self._tamper = Tamper(places.covered)
        self._look(frame)
        if self._clear_encoder is not None and self.clear is not None:
            self.clear.put(self._clear_encoder.encode(frame.main, number=frame.number, at_ms=frame.at_ms))
        shown = places.blocks.drawn(frame.main)
        if self._looking is not None:
            self._looking.offer(shown, frame.at_ms)
        self.shown.put(self._shown_encoder.encode(shown, number=frame.number, at_ms=frame.at_ms))
        if self._told_ms is None or frame.at_ms - self._told_ms >= TOLD_EVERY_MS:
            self._tell(frame.at_ms)
        self._make_thumbnails(shown)

    def _look(self, frame: Frame) -> None:
        for zone, share in self._motion.look(frame.small).items():
            self._moved[zone] = max(share, self._moved.get(zone, 0.0))
        for zone, share in self._motion.stirs.items():
            self._stirs[zone] = max(share, self._stirs.get(zone, 0.0))
        moves = self._moved.get(ALL, 0.0) >= MOVES_FROM
        if self._motion.ready:
            self._faults = self._tamper.look(frame.small, frame.at_ms, moving=moves)
        if self._presence is not None:
            self._presence.offer(
                frame, moves=any(self._moved[zone] >= MOVES_FROM for zone in self._moved.keys() - {ALL})
            )

    def _tell(self, at_ms: int) -> None:
        self._told_ms = at_ms
        moved, self._moved = self._moved, {}
        stirs, self._stirs = self._stirs, {}
        known = self._presence.known(at_ms) if self._presence is not None else None
        looked_ms, people = known or (None, None)
        now: datetime | None = self._clock.now() if self._clock.synchronised() else None
        self._post(
            Seen(
                at_ms=at_ms,
                motion=moved,
                stirs=stirs,
                people=people,
                looked_ms=looked_ms,
                faults=self._faults,
                dark=self._tamper.dark,
                now=now,
            )
        )

    def _make_thumbnails(self, shown: Plane) -> None:
        if not self._pictures:
            return
        with self._lock:
            wanted, self._pictures = self._pictures, []
        jpeg = thumbnail(shown)
        for incident in wanted:
            self._post(Thumbnail(incident, jpeg))

    def _placed(self, zones: Sequence[Zone], masks: Sequence[Zone]) -> _Places:
        covered = _joined(self._own_masks, masks)
        citizen = _joined(self._own_citizen, [zone for zone in zones if zone.name == CITIZEN])
        return _Places(
            zones=tuple(zones),
            covered=covered,
            masks=Masks(covered, self._size, (SMALL_WIDTH, SMALL_HEIGHT)),
            blocks=Blocks(citizen or [EVERYWHERE], self._size),
        )


def _joined(own: Sequence[Zone], more: Sequence[Zone]) -> tuple[Zone, ...]:
    return (*own, *(zone for zone in more if zone not in own))


class Presence:
    """Looks for people in the newest picture, once a second on an average and only after something moved in a zone.

    A place in which nothing moved is looked at more often for the first second in which something does: so it is known
    to a quarter of a second when somebody came. Time is the pictures', so what is looked at is the same in each run.
    """

    def __init__(self, model: Path, zones: Callable[[], Sequence[Zone]], *, monotonic_ms: Callable[[], int]) -> None:
        self._model = model
        self._zones = zones
        self._pulse = Pulse(limit_ms=_LOOK_HANGS_AFTER_MS, monotonic_ms=monotonic_ms)
        self._stop = False
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._post: Post = _nowhere
        self._paid_ms: int | None = None  # until then the looks that were made are the average
        self._newest: Frame | None = None
        self._moved_ms: int | None = None  # when something moved last, by the frames' time
        self._found: tuple[int, Mapping[str, int] | None] | None = None  # of which picture, and what

    def open(self, post: Post) -> None:
        """Start the thread."""
        self._post = post
        self._thread = threading.Thread(target=self._run, name="presence", daemon=True)
        self._thread.start()

    def alive(self) -> bool:
        """Whether the thread runs, or has said that there is no network, and does not hang in it."""
        return self._thread is not None and not self._pulse.lost()

    def close(self) -> None:
        """Stop the thread."""
        self._stop = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(_CLOSE_WITHIN_S)

    def offer(self, frame: Frame, *, moves: bool) -> None:
        """Have the newest picture; for the capture thread."""
        self._newest = frame
        if moves or self._moved_ms is None:
            self._moved_ms = frame.at_ms
        if self._wants(frame):
            self._wake.set()

    def known(self, at_ms: int) -> tuple[int, Mapping[str, int] | None] | None:
        """Return when the newest picture that was looked at was taken, and zone → how many people are in it.

        None if nobody looked since things moved; None for the people where it was too dark to tell.
        """
        found, moved_ms = self._found, self._moved_ms
        if found is None or (moved_ms is not None and moved_ms > found[0] and at_ms - found[0] > _KNOWN_FOR_MS):
            return None
        return found

    def look(self, people: People) -> None:
        """Look at the newest picture if that is wanted; the thread does it when it is woken."""
        frame = self._newest
        if frame is None or not self._wants(frame):
            return
        earliest_ms = frame.at_ms - (AT_ONCE - 1) * LOOK_EVERY_MS
        paid_ms = earliest_ms if self._paid_ms is None else max(earliest_ms, self._paid_ms)
        self._paid_ms = paid_ms + LOOK_EVERY_MS
        self._found = (frame.at_ms, people.look(frame.y))

    def _wants(self, frame: Frame) -> bool:
        """Return whether something moved since the last look, and the next may be made already."""
        found, moved_ms, paid_ms = self._found, self._moved_ms, self._paid_ms
        if found is None or paid_ms is None:
            return True
        if moved_ms is None or found[0] >= moved_ms:
            return False
        return frame.at_ms >= max(paid_ms, found[0] + AT_ONCE_EVERY_MS)

    def _run(self) -> None:
        try:
            self._pulse.beat()
            zones = self._zones()
            people = People(self._model, zones)
        except ConfigError as error:
            _log.warning("nobody is looked for in the picture: %s", error)
            self._pulse.rest()
            self._post(Found(there=False))
            return
        while True:
            self._pulse.rest()
            self._wake.wait()
            self._wake.clear()
            if self._stop:
                return
            self._pulse.beat()
            if self._zones() is not zones:
                zones = self._zones()
                people = People(self._model, zones)
            self.look(people)


def _nowhere(signal: object) -> None:
    """Stand in for the inbox until the driver is opened."""
