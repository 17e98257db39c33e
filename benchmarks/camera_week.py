"""A week of a camera in minutes: seven days and nights through pipeline, decisions, recorder and folder of clips.

The clock is virtual and a picture comes every four seconds, at night once a minute unless somebody is there, so times
and figures of quality mean nothing here. What is asked is what is left behind: memory after the first day's end, the
quota, the number of files, and whether a clip that is held is there, byte for byte, to the end. By day a service
follows the other, one of fifteen is rated low, an officer leaves a citizen alone, somebody covers the lens, panic keys
are pressed; by night somebody passes. Nobody uploads: what is held stays. The network is not asked, it would take an
hour.
"""

import gc
import hashlib
import tempfile
from collections import Counter
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import cv2
import numpy as np
import psutil

from benchmarks.camera_people import Place
from benchmarks.camera_virtual import Camera
from benchmarks.figures import Row, at_most
from contract.events import CameraStarted
from contract.states import CameraDesired, Hours, Keep
from firmware.devices.camera.clips import Folder
from firmware.devices.camera.config import CameraConfig
from firmware.devices.camera.recorder import Recorder
from host.sealing import make_keys, read_public_key
from simulator.scene import SCREEN, ZONES, Person, Picture

DAYS = 7
EVERY_S, QUIET_S = 4, 60
QUOTA = 18_000_000
GROWTH_GOAL_MB = 5.0
_SIZE = (160, 120)
_BEGIN = datetime(2026, 11, 22, 17, 0, tzinfo=ZoneInfo("UTC"))  # midnight at the counter
_OPEN = tuple(
    Hours(days=(1, 2, 3, 4, 5, 6, 7), begin=begin, end=end) for begin, end in (("07:30", "11:30"), ("13:30", "17:00"))
)
_DAY_S = 86_400
_SERVICE_S = 360
MOST_BYTES = QUOTA + 2_000_000
"""The quota, and what is recorded between two looks at it."""
MOST_FILES = 1_200
"""Three for each clip that the quota has room for: they have 50 KB and more."""


class Seen:
    """What the days left behind, at each day's end."""

    def __init__(self) -> None:
        self.resident_mb: list[float] = []
        self.folder_mb: list[float] = []
        self.files: list[int] = []
        self.held: dict[str, str] = {}  # clip → the hash of its file when it was seen first
        self.lost = 0
        self.incidents: Counter[str] = Counter()
        self.recorded = 0  # incidents and services
        self.largest_mb = 0.0

    @property
    def growth_mb(self) -> float:
        """Memory at the end, less that after the first day."""
        return self.resident_mb[-1] - self.resident_mb[0]


def run(_rounds: int, *, days: int = DAYS) -> list[Row]:
    """Play the week once."""
    seen = week(days)
    print(f"MB at each day's end: {seen.resident_mb}; clips, MB: {seen.folder_mb}; files: {seen.files}")
    print(f"incidents: {dict(seen.incidents)}")
    return [
        at_most("memory after the first day's end", seen.growth_mb, "MB", GROWTH_GOAL_MB),
        Row("recordings", seen.recorded, ""),
        at_most("most that the clips had", seen.largest_mb, "MB", MOST_BYTES / 1e6),
        at_most("most files at a day's end", max(seen.files), "", MOST_FILES),
        at_most(f"held clips that are gone or changed, of {len(seen.held)}", seen.lost, "", 0),
    ]


def week(days: int) -> Seen:
    """Play so many days."""
    shm = Path("/dev/shm")  # noqa: S108 – a disk would be synced two hundred thousand times
    with tempfile.TemporaryDirectory(dir=shm if shm.is_dir() else None) as name:
        return _Week(Path(name) / "clips").play(days)


class _Week:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = Seen()
        self._random = np.random.default_rng(17)
        key = make_keys()[1]
        config = CameraConfig(
            source="picamera2", width=_SIZE[0], height=_SIZE[1], fps=1, zones=ZONES, masks=SCREEN, hours=_OPEN,
            center_key=key,
        )  # fmt: skip
        self._camera = Camera(config, begin=_BEGIN, recorder=lambda camera: self._recorder(camera, key), step_ms=2000)
        self._pictures = _pictures()
        self._number = 0
        self._revision = 0
        self._keeps: tuple[Keep, ...] = ()
        self._panic: str | None = None
        self._ids: set[str] = set()

    def _recorder(self, camera: Camera, key: str) -> Recorder:
        self._folder = Folder(self._path, quota_bytes=QUOTA, clock=camera.clock, spare_bytes=0)
        clear = camera.pipeline.clear
        return Recorder(
            folder=self._folder,
            shown=camera.pipeline.shown,
            clear=(clear, read_public_key(key)) if clear is not None else None,
            size=_SIZE,
            fps=1,
            service_kept_s=3600,
            clock=camera.clock,
            post=camera.posted.append,
        )

    def play(self, days: int) -> Seen:
        for day in range(days):
            passers = sorted(float(at) for at in self._random.uniform(0, 7 * 3600, 12))
            for second in range(0, _DAY_S, EVERY_S):
                if second % QUIET_S and not self._is_open(second) and not any(abs(at - second) < 90 for at in passers):
                    continue
                self._center(second)
                self._camera.see(day * _DAY_S + second, self._picture(second, passers))
                self._number += 1
                if second % 600 == 0:
                    self._look_at_the_folder()
            self._end_day()
        return self._seen

    def _center(self, second: int) -> None:
        """Say what the center says: a service every six minutes, the last minute of it nobody's."""
        if second % 60 or not self._is_open(second):
            if second % 60 == 0 and second % 3600 == 0:
                self._say("closed")
            return
        into = second % _SERVICE_S
        service = f"t-{self._camera.clock.ms // 1000 // _SERVICE_S}"
        if into == 0:
            self._say("serving", service)
        elif into == 300:
            if self._random.random() < 1 / 15:
                self._keeps = (*self._keeps[-31:], Keep(id=f"k-{service}", why="low_rating", ticket=service))
            if self._random.random() < 1 / 30:
                self._panic = f"p-{service}"
            self._say("open")

    def _say(self, state: str, ticket: str | None = None) -> None:
        self._revision += 1
        self._camera.hear(
            CameraDesired(revision=self._revision, state=state, ticket=ticket, keep=self._keeps, panic=self._panic)  # type: ignore[arg-type]  # one of them
        )

    def _picture(self, second: int, passers: list[float]) -> Picture:
        """Return what is to be seen."""
        turn = self._number % 4
        if not self._is_open(second):
            return self._pictures["walks" if any(at <= second < at + 16 for at in passers) else "empty"][turn]
        of_hour = second % 3600
        if of_hour < 40 and second % 7200 < 3600:
            return self._pictures["covered"][turn]
        if 1500 <= of_hour < 1680:
            return self._pictures["alone"][turn]
        return self._pictures["service" if second % _SERVICE_S < 300 else "officer"][turn]

    @staticmethod
    def _is_open(second: int) -> bool:
        return 27_000 <= second < 41_400 or 48_600 <= second < 61_200

    def _look_at_the_folder(self) -> None:
        size = sum(file.stat().st_size for file in self._path.iterdir())
        self._seen.largest_mb = max(self._seen.largest_mb, size / 1e6)
        for clip in self._folder.clips():
            self._ids.add(clip.id)
            if clip.held and not clip.recording and clip.id not in self._seen.held:
                self._seen.held[clip.id] = _hash(self._folder.video(clip.id))

    def _end_day(self) -> None:
        seen = self._seen
        seen.lost = sum(_hash(self._folder.video(id_)) != known for id_, known in seen.held.items())
        seen.recorded = len(self._ids)
        seen.incidents.update(fact.kind for _, fact in self._camera.facts if isinstance(fact, CameraStarted))
        self._camera.facts.clear()  # the center has them
        files = list(self._path.iterdir())
        seen.files.append(len(files))
        seen.folder_mb.append(round(sum(file.stat().st_size for file in files) / 1e6, 1))
        gc.collect()
        seen.resident_mb.append(round(psutil.Process().memory_info().rss / 1e6, 1))


def _pictures() -> dict[str, list[Picture]]:
    """Draw four pictures of each sight; one after the other they move."""
    place = Place(640, 480)
    sights: dict[str, list[list[Person]]] = {
        "empty": [[]] * 4,
        "officer": [[Person("officer", at)] for at in (1.0, 0.93, 0.97, 0.9)],
        "alone": [[Person("citizen", at, 1)] for at in (1.0, 0.9, 0.95, 0.85)],
        "service": [[Person("officer", at), Person("citizen", at, 2)] for at in (1.0, 0.92, 0.96, 0.9)],
        "walks": [[Person("citizen", at, 3)] for at in (0.3, 0.6, 0.9, 0.5)],
    }
    drawn = {
        name: [_small(place.draw(turn * 1.1, people)) for turn, people in enumerate(sight)]
        for name, sight in sights.items()
    }
    noise = np.random.default_rng(5)
    drawn["covered"] = [noise.normal(40, 2, (_SIZE[1], _SIZE[0], 3)).clip(0, 255).astype(np.uint8) for _ in range(4)]
    return drawn


def _small(picture: Picture) -> Picture:
    return cv2.resize(picture, _SIZE, interpolation=cv2.INTER_AREA).astype(np.uint8)


def _hash(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.exists() else ""
