"""What is done with each picture: what is told of it, what is hidden in it, what is kept of it."""

import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import cast

import cv2
import numpy as np
import pytest

from contract.states import Zone
from firmware.clock import SystemClock
from firmware.devices.camera import pipeline as module
from firmware.devices.camera.encoder import decode
from firmware.devices.camera.frames import Frame, Plane
from firmware.devices.camera.pipeline import Pipeline, Presence
from firmware.devices.camera.presence import People
from firmware.devices.camera.privacy import planes
from firmware.devices.camera.ring import Ring
from firmware.devices.camera.signals import Presence as Found
from firmware.devices.camera.signals import Seen, Settings, Thumbnail
from firmware.devices.camera.sources.pictures import shrink
from simulator.scene import SCREEN, ZONES, Person, Scene

SIZE = (640, 480)
FPS = 15


class Clock(SystemClock):
    """A clock that was set, or was not."""

    def __init__(self, *, synced: bool) -> None:
        super().__init__()
        self._synced = synced

    def synchronised(self) -> bool:
        """Say what was asked for."""
        return self._synced

    def now(self) -> datetime:
        """Return one instant."""
        return datetime(2026, 11, 23, 1, 2, 3, tzinfo=UTC)


class Camera:
    """A pipeline that is given drawn pictures, one after another, as fast as it takes them."""

    def __init__(
        self,
        *,
        sealed: bool = False,
        zones: Sequence[Zone] = ZONES,
        masks: Sequence[Zone] = (),
        synced: bool = True,
    ) -> None:
        self.told: list[object] = []
        self.pipeline = Pipeline(
            size=SIZE, fps=FPS, zones=zones, masks=masks, sealed=sealed, clock=Clock(synced=synced)
        )
        self.pipeline.begin(self.told.append, None)
        self._scene = Scene(*SIZE)
        self._number = 0

    def see(self, people: Sequence[Person], *, frames: int) -> None:
        """Show the pipeline some pictures."""
        for _ in range(frames):
            at_ms = 1_000_000 + self._number * 1000 // FPS
            picture = self._scene.draw(self._number / FPS, people)
            main: Plane = np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420), np.uint8)
            small = shrink(main[: SIZE[1]])
            self.pipeline.draw(main, small)  # as a source does
            self.pipeline.take(Frame(self._number, at_ms, main, small))
            self._number += 1

    def seen(self) -> list[Seen]:
        """Return what was told of what was seen."""
        return [each for each in self.told if isinstance(each, Seen)]


def shown(ring: Ring) -> list[Plane]:
    """Return the pictures of a ring."""
    return [picture for _, picture in decode(ring.reader(0).read())]


def part(picture: Plane, left: float, top: float, right: float, bottom: float) -> Plane:
    """Return the brightness of a part, in fractions."""
    y, _, _ = planes(np.ascontiguousarray(picture))
    return y[round(top * SIZE[1]) : round(bottom * SIZE[1]), round(left * SIZE[0]) : round(right * SIZE[0])]


def detail(brightness: Plane) -> float:
    """Return how much fine structure there is."""
    return float(cv2.Laplacian(brightness, cv2.CV_64F).var())


def test_it_is_told_with_each_second_picture_what_moves() -> None:
    """Two seconds are fifteen observations or sixteen; who comes in moves the citizen's zone and no other."""
    camera = Camera()
    camera.see([], frames=40)
    before = len(camera.seen())
    camera.see([Person("citizen", at=1.0)], frames=30)
    after = camera.seen()[before:]
    assert 14 <= len(after) <= 16
    assert max(each.motion["citizen"] for each in after) > 0.1
    assert max(each.motion["officer"] for each in after) < 0.01
    assert all(each.people is None and each.faults == frozenset() for each in after)


@pytest.mark.parametrize("synced", [True, False])
def test_a_clock_that_is_not_set_tells_no_time(synced: bool) -> None:
    """The wall clock goes along only if it was set."""
    camera = Camera(synced=synced)
    camera.see([], frames=1)
    assert [each.now is not None for each in camera.seen()] == [synced]


def test_clips_and_thumbnails_show_the_citizen_in_blocks_and_the_clear_version_does_not() -> None:
    """The citizen's face has no detail in what may be shown; the officer's has, and so has the clear version."""
    camera = Camera(sealed=True)
    camera.pipeline.picture("i1")
    camera.see([Person("citizen", at=1.0), Person("officer", at=1.0)], frames=3)
    face, officer = (0.34, 0.24, 0.46, 0.42), (0.82, 0.28, 0.95, 0.42)
    (thumbnail,) = [each for each in camera.told if isinstance(each, Thumbnail)]
    small = cv2.imdecode(np.frombuffer(thumbnail.jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert small is not None
    assert camera.pipeline.clear is not None
    blocks, clear = shown(camera.pipeline.shown)[-1], shown(camera.pipeline.clear)[-1]
    assert detail(part(blocks, *face)) < detail(part(clear, *face)) / 3
    assert detail(part(blocks, *officer)) > detail(part(clear, *officer)) / 2
    large: Plane = np.asarray(cv2.resize(small, SIZE, interpolation=cv2.INTER_NEAREST), np.uint8)
    column = slice(round(0.34 * SIZE[0]), round(0.46 * SIZE[0]))
    assert len(np.unique(large[round(0.3 * SIZE[1]), column] // 16)) <= 4
    assert thumbnail.incident == "i1"


def test_without_a_key_there_is_no_clear_version() -> None:
    """Nothing of it is encoded."""
    assert Camera(sealed=False).pipeline.clear is None


def test_what_a_mask_hides_is_black_in_every_version() -> None:
    """The officer's screen is in no picture that anybody can see."""
    camera = Camera(sealed=True, masks=SCREEN)
    camera.see([Person("officer", at=1.0)], frames=2)
    assert camera.pipeline.clear is not None
    for ring in (camera.pipeline.shown, camera.pipeline.clear):
        assert part(shown(ring)[-1], 0.71, 0.46, 0.82, 0.58).max() < 40


def test_other_zones_and_masks_hold_from_the_next_picture_on() -> None:
    """What the center draws on its page is looked at and hidden at once; what cannot be changes nothing."""
    camera = Camera()
    camera.see([], frames=4)
    door = Zone(name="door", points=((0.0, 0.0), (0.5, 0.0), (0.5, 0.5)))
    camera.pipeline.set(Settings(zones=(door,), masks=SCREEN))
    camera.see([], frames=4)
    assert set(camera.seen()[-1].motion) == {"", "door"}
    assert part(shown(camera.pipeline.shown)[-1], 0.71, 0.46, 0.82, 0.58).max() < 40
    flat = Zone(name="flat", points=((0.0, 0.0), (0.5, 0.0), (1.0, 0.0)))
    camera.pipeline.set(Settings(zones=(flat,), masks=()))
    assert camera.pipeline.zones == (door,)


def test_what_the_station_s_file_hides_nobody_can_show() -> None:
    """Other zones and masks of the center hide more, never less: not even with empty ones, or a citizen in a corner."""
    camera = Camera(masks=SCREEN)
    corner = Zone(name="citizen", points=((0.0, 0.0), (0.1, 0.0), (0.1, 0.1), (0.0, 0.1)))
    for zones in ((), (corner,)):
        camera.pipeline.set(Settings(zones=zones, masks=()))
        camera.see([Person("citizen", at=1.0), Person("officer", at=1.0)], frames=2)
        picture = shown(camera.pipeline.shown)[-1]
        assert part(picture, 0.71, 0.46, 0.82, 0.58).max() < 40
        assert detail(part(picture, 0.34, 0.24, 0.46, 0.42)) < detail(part(picture, 0.82, 0.28, 0.95, 0.42)) / 3


def test_where_nobody_said_where_citizens_are_all_is_blocks() -> None:
    """A camera without the zone `citizen` shows nobody's face until there is one, from its file or from the center."""
    camera = Camera(zones=())
    officer = (0.82, 0.28, 0.95, 0.42)
    camera.see([Person("officer", at=1.0)], frames=2)
    hidden = detail(part(shown(camera.pipeline.shown)[-1], *officer))
    camera.pipeline.set(Settings(zones=tuple(ZONES), masks=()))
    camera.see([Person("officer", at=1.0)], frames=2)
    assert hidden < detail(part(shown(camera.pipeline.shown)[-1], *officer)) / 3


def test_a_new_mask_is_no_tampering() -> None:
    """What turns black because somebody drew a mask over it is not taken for a camera that was covered or moved."""
    camera = Camera()
    camera.see([], frames=180)
    zones = camera.pipeline.zones
    black = Zone(name="left", points=((0.0, 0.0), (0.75, 0.0), (0.75, 1.0), (0.0, 1.0)))
    camera.pipeline.set(Settings(zones=zones, masks=(black,)))
    camera.see([], frames=300)
    assert {fault for seen in camera.seen() for fault in seen.faults} == set()


def test_a_ring_holds_every_picture() -> None:
    """No picture is lost between the source and the ring, in either version."""
    camera = Camera(sealed=True)
    camera.see([], frames=45)
    for ring in (camera.pipeline.shown, camera.pipeline.clear):
        assert ring is not None
        assert [packet.number for packet in ring.reader(0).read()] == list(range(45))


# --- who is there ----------------------------------------------------------------------------------------------------


class Network:
    """Stands for the network: finds so many, and keeps what it was shown."""

    looked = 0

    def __init__(self, _model: Path, zones: Sequence[Zone]) -> None:
        self.zones = zones

    def look(self, _picture: Plane) -> dict[str, int]:
        """Find one in each zone."""
        Network.looked += 1
        return {zone.name: 1 for zone in self.zones}


def blank(number: int, at_ms: int) -> Frame:
    """Return a picture of nothing."""
    main: Plane = np.zeros((SIZE[1] * 3 // 2, SIZE[0]), np.uint8)
    return Frame(number, at_ms, main, main[:240, :320])


def wait_for(condition: object, timeout_s: float = 30) -> bool:
    """Wait until a condition holds."""
    assert callable(condition)
    done = threading.Event()
    for _ in range(int(timeout_s / 0.01)):
        if condition():
            return True
        done.wait(0.01)
    return False


def test_people_are_looked_for_only_after_something_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first picture and each after motion is looked at; a still room costs nothing, and what was found holds."""
    monkeypatch.setattr(module, "People", Network)
    Network.looked = 0
    presence = Presence(Path("model"), lambda: ZONES, monotonic_ms=SystemClock().monotonic_ms)
    presence.open(lambda _: None)
    try:
        presence.offer(blank(0, 1000), moves=False)
        assert wait_for(lambda: presence.known(1000) == (1000, {"citizen": 1, "officer": 1}))
        for number in range(1, 30):
            presence.offer(blank(number, 1000 + number), moves=False)
        assert presence.known(600_000) == (1000, {"citizen": 1, "officer": 1})
        presence.offer(blank(30, 700_000), moves=True)
        assert wait_for(lambda: presence.known(700_000) == (700_000, {"citizen": 1, "officer": 1}))
        assert Network.looked == 2
    finally:
        presence.close()


def looks(moves: range | list[int], *, until_ms: int) -> list[int]:
    """Return when people are looked for, at fifteen pictures a second, while something moves at these milliseconds."""
    presence = Presence(Path("model"), lambda: ZONES, monotonic_ms=SystemClock().monotonic_ms)
    people = cast("People", Network(Path("model"), ZONES))
    looked: list[int] = []
    for number in range(until_ms * FPS // 1000):
        at_ms = number * 1000 // FPS
        presence.offer(blank(number, at_ms), moves=at_ms in moves)
        presence.look(people)
        known = presence.known(at_ms)
        if known is not None and known[0] not in looked:
            looked.append(known[0])
    return looked


def test_who_comes_into_a_still_place_is_looked_for_at_once() -> None:
    """The first second of motion has four looks, from its first picture on; then there is one each second."""
    assert looks(range(10_000, 14_000), until_ms=20_000) == [
        0,
        10_000,
        10_266,
        10_533,
        10_800,
        11_066,
        12_000,
        13_000,
        14_000,
    ]


def test_a_hall_that_never_rests_is_looked_at_once_a_second() -> None:
    """Where something moves all the time the network looks once a second, but for what it spends at first."""
    looked = looks(range(60_000), until_ms=60_000)
    assert len(looked) <= 60 + module.AT_ONCE
    assert all(later - earlier >= 1000 for earlier, later in pairwise(looked[module.AT_ONCE + 1 :]))


def test_what_moves_outside_of_all_zones_needs_no_look() -> None:
    """Nobody is counted outside of zones, so what moves there costs no look of the network."""
    offered: list[bool] = []

    class Listens(Presence):
        """Notes whether it was told that something moves."""

        def offer(self, frame: Frame, *, moves: bool) -> None:
            """Note it."""
            offered.append(moves)

    corner = Zone(name="citizen", points=((0.9, 0.0), (1.0, 0.0), (1.0, 0.1), (0.9, 0.1)))
    camera = Camera(zones=(corner,))
    camera.pipeline.begin(
        camera.told.append, Listens(Path("model"), lambda: (corner,), monotonic_ms=SystemClock().monotonic_ms)
    )
    camera.see([], frames=40)
    camera.see([Person("citizen", at=1.0)], frames=8)
    assert max(each.motion[""] for each in camera.seen()) > 0.01
    assert offered == [False] * 48


def test_it_is_told_of_which_picture_people_are_known() -> None:
    """What the network found goes along with the time of the picture in which it did."""
    camera = Camera()
    presence = Presence(Path("model"), lambda: ZONES, monotonic_ms=SystemClock().monotonic_ms)
    presence._found = (999_500, {"citizen": 1})
    camera.pipeline.begin(camera.told.append, presence)
    camera.see([], frames=1)
    assert [(each.looked_ms, each.people) for each in camera.seen()] == [(999_500, {"citizen": 1})]


def test_what_was_found_before_things_moved_is_not_known_any_more() -> None:
    """When the look after a motion does not come, nobody says who is there."""
    presence = Presence(Path("model"), lambda: ZONES, monotonic_ms=SystemClock().monotonic_ms)
    presence._found = (1000, {"citizen": 1})
    presence._moved_ms = 2000
    assert presence.known(3500) == (1000, {"citizen": 1})
    assert presence.known(4500) is None


def test_without_the_network_the_camera_works_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A model that is not there is one line and a word to the decisions, not the end of the camera."""
    told: list[object] = []
    presence = Presence(tmp_path / "none.onnx", lambda: ZONES, monotonic_ms=SystemClock().monotonic_ms)
    presence.open(told.append)
    try:
        assert wait_for(lambda: told == [Found(there=False)])
        assert presence.alive()
        assert [record.message for record in caplog.records if "motcua camera model" in record.message]
    finally:
        presence.close()
