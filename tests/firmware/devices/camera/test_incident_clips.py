"""What the decisions ask for and what the recorder makes of it, together: an incident and its clip on the disk."""

import hashlib
from itertools import count
from pathlib import Path
from typing import Any

from contract.events import CameraEnded, CameraStarted, Fact
from contract.states import CameraDesired, CameraReported, Keep
from firmware.devices.camera.clips import Folder
from firmware.devices.camera.config import CameraConfig
from firmware.devices.camera.decisions import CameraDecisions
from firmware.devices.camera.recorder import Recorder
from firmware.devices.camera.ring import Ring
from firmware.devices.camera.signals import Begin, End, Forget, Hold, Seen
from firmware.ports import Drive, Effect, Record, Report
from tests.firmware.devices.camera.numbered import FPS, HEIGHT, WIDTH, encoded, numbers, time_of
from tests.support.clock import ManualClock

CONFIG = CameraConfig(source="picamera2", pre_roll_s=5, post_roll_s=3)
STILL = {"": 0.0}


class Station:
    """Decisions and a recorder without its thread, at a camera that plays thirty seconds of pictures."""

    def __init__(self, path: Path) -> None:
        ids = count(1)
        self.clock = ManualClock(monotonic_ms=time_of(0))
        self.folder = Folder(path, quota_bytes=1_000_000_000, clock=self.clock, spare_bytes=0)
        self.ring = Ring(seconds=60, most_bytes=50_000_000)
        self.posted: list[Any] = []
        self.facts: list[Fact] = []
        self.reported: CameraReported | None = None
        self.recorder = Recorder(
            folder=self.folder,
            shown=self.ring,
            clear=None,
            size=(WIDTH, HEIGHT),
            fps=FPS,
            service_kept_s=3600,
            clock=self.clock,
            post=self.posted.append,
        )
        self.decisions = CameraDecisions(CONFIG, new_id=lambda: f"id-{next(ids)}", memory={})
        self.packets = encoded(450)
        self.number = 0
        self.recorder.begin()
        self.do(self.decisions.on_start(self.clock.monotonic_ms()))

    def plays(self, until: int, *, faults: frozenset[str] = frozenset()) -> None:
        """Let the camera see its pictures up to a number; every third one is looked at."""
        for number in range(self.number, until):
            self.clock.advance(time_of(number) - self.clock.monotonic_ms())
            self.ring.put(self.packets[number])
            if number % 3 == 0:
                seen = Seen(at_ms=time_of(number), motion=STILL, people=None, faults=faults)
                self.do(self.decisions.on_signal(seen, self.clock.monotonic_ms()))
                self.recorder.step()
            while self.posted:
                self.do(self.decisions.on_signal(self.posted.pop(0), self.clock.monotonic_ms()))
        self.number = until

    def desired(self, state: Any, ticket: str | None = None, keep: tuple[Keep, ...] = ()) -> None:
        """Hear the center."""
        desired = CameraDesired(revision=1, state=state, ticket=ticket, keep=keep)
        self.do(self.decisions.on_desired(desired, self.clock.monotonic_ms()))

    def do(self, effects: Any) -> None:
        """Carry out effects."""
        effect: Effect
        for effect in effects:
            match effect:
                case Drive(Begin() | End() | Hold() | Forget() as command):
                    self.recorder.take(command)
                case Record(fact):
                    self.facts.append(fact)
                case Report(state):
                    assert isinstance(state, CameraReported)
                    self.reported = state
                case _:
                    pass


def test_an_incident_s_end_names_the_clip_that_lies_on_the_disk(tmp_path: Path) -> None:
    """The clip has every picture from the pre-roll to the post-roll and no other, and the record has its hash."""
    station = Station(tmp_path)
    station.plays(120)
    station.plays(180, faults=frozenset({"covered"}))
    station.plays(450)

    started, ended = (fact for fact in station.facts if isinstance(fact, CameraStarted | CameraEnded))
    assert started.incident == ended.incident
    video = station.folder.video(started.incident).read_bytes()
    # Covered for 3 s at picture 165, whole again for 10 s at picture 333.
    wanted = [n for n in range(450) if time_of(165) - 5_000 <= time_of(n) < time_of(333) + 3_000]
    assert numbers(video) == wanted
    assert ended.clip is not None
    assert (ended.clip.id, ended.clip.bytes) == (started.incident, len(video))
    assert ended.clip.sha256 == hashlib.sha256(video).hexdigest()


def test_a_low_rating_finds_the_service_on_the_disk(tmp_path: Path) -> None:
    """The service is recorded for its ticket; asked for after its end it is held, and the camera reports so."""
    station = Station(tmp_path)
    station.plays(30)
    station.desired("serving", "t1")
    station.plays(200)
    station.desired("open")
    station.plays(300)
    assert station.reported is not None
    assert (station.reported.clips, station.reported.held) == (1, 0)
    station.desired("open", keep=(Keep(id="k-1", why="low_rating", ticket="t1"),))
    station.plays(310)
    (clip,) = station.folder.clips()
    assert (clip.ticket, clip.held, clip.asked) == ("t1", True, ("k-1",))
    assert (station.reported.clips, station.reported.held) == (1, 1)
    assert numbers(station.folder.video(clip.id).read_bytes()) == [
        n for n in range(450) if time_of(29) <= time_of(n) < time_of(199)
    ]
