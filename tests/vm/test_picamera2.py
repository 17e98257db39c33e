"""The real Picamera2 on the real libcamera, whose virtual camera stands for a module: another Debian, in a chroot."""

import json
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from simulator.scene import Person, Scene
from tests.vm import image, software
from tests.vm.center import Center, wait_for

pytestmark = [pytest.mark.vm, pytest.mark.mosquitto, pytest.mark.timeout(900)]

PICAMERA2 = ("picamera2==0.3.38", "videodev2==0.0.4", "simplejpeg==1.9.0", "OpenEXR==3.5.3")
"""What pip would install with it, but for what writes raw pictures and needs a compiler."""
PYTHON = "3.13"
FPS, SECONDS = 15, 10
ENOUGH_BYTES = 50_000
"""Some seconds in blocks: nobody has said where in the picture citizens stand."""
WALKS_FROM_S, WALKS_UNTIL_S = 5.0, 9.0

STATION = """\
center = "bentre"
station = "q03"
state_dir = "/mnt/state"

[broker]
host = "127.0.0.1"
port = {port}

[device.camera]
source = "picamera2"
fps = 15
pre_roll_s = 2
post_roll_s = 2
hours = [{{ days = [1, 2, 3, 4, 5, 6, 7], begin = "{begin}", end = "{end}" }}]
"""

LOOK = """\
import json, time
import virtual_camera
import numpy as np
from contract.states import Zone
from firmware.devices.camera.config import CameraConfig
from firmware.devices.camera.privacy import Masks
from firmware.devices.camera.sources import ProcessSpentError, make_source

masks = Masks([Zone(name="screen", points=((0.0, 0.0), (0.5, 0.0), (0.5, 0.5), (0.0, 0.5)))], (640, 480), (320, 240))
config = CameraConfig(source="picamera2", fps=15)
with make_source(config, masks.draw, lambda: time.monotonic_ns() // 1_000_000) as source:
    [source.read(5.0) for _ in range(20)]  # its first buffers come all at once
    frames = [source.read(5.0) for _ in range(60)]
try:
    make_source(config, masks.draw, lambda: 0).__enter__()
    spent = ""
except ProcessSpentError as error:
    spent = str(error)
np.save("/mnt/main.npy", frames[-1].main)
np.save("/mnt/small.npy", frames[-1].small)
print(json.dumps({"numbers": [f.number for f in frames], "at_ms": [f.at_ms for f in frames], "spent": spent}))
"""


@dataclass(frozen=True)
class Elsewhere:
    """The other Debian, entered with our work tree, a folder of a test and the scene that its camera shows."""

    root: Path
    folder: Path
    scene: Path

    def command(self, *words: str) -> list[str]:
        """Return the command that runs Python there; what is mounted for it nobody else sees."""
        mounts = [f"mount --rbind /dev {self.root}/dev", f"mount -t proc proc {self.root}/proc"]
        for source, at in ((image.ROOT, "opt/motcua"), (self.folder, "mnt"), (self.scene, "opt/scene")):
            mounts.append(f"mount --bind {source} {self.root}/{at}")
        settings = {
            "HOME": "/tmp",  # noqa: S108 – of a root of its own
            "PATH": "/usr/bin:/bin",
            "LC_ALL": "C.UTF-8",
            "LD_PRELOAD": "/opt/rig/buffers.so",
            # libcamera 0.4 does not set the status of a virtual picture: memory that is new has to be zero.
            "GLIBC_TUNABLES": "glibc.malloc.perturb=255:glibc.malloc.tcache_count=0",
            "LIBCAMERA_LOG_LEVELS": "*:ERROR",
            "PYTHONPATH": "/opt/motcua:/opt/rig:/opt/site",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        there = " ".join(f"{name}={value}" for name, value in settings.items())
        script = f'{" && ".join(mounts)} && exec chroot {self.root} env -i {there} python3 "$@"'
        return ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", *words]


@pytest.fixture(scope="module")
def root() -> Path:
    """Debian 13 with libcamera, Picamera2 and what we need for its Python."""

    def fill(made: Path) -> None:
        software.install_wheels(made / "opt/site", *software.requirements("camera"), *PICAMERA2[1:], python=PYTHON)
        software.install_wheels(made / "opt/site", "--no-deps", PICAMERA2[0], python=PYTHON)

    needs = image.digest(" ".join(PICAMERA2), image.ROOT / "pyproject.toml", image.ROOT / "constraints.txt")
    try:
        return image.libcamera(fill, needs)
    except image.UnavailableError as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten seconds of a counter, over and over: nobody, and then somebody who comes and goes."""
    folder = tmp_path_factory.mktemp("scene")
    drawn = Scene()
    for number in range(FPS * SECONDS):
        at_s = number / FPS
        near = min(1.0, at_s - WALKS_FROM_S, WALKS_UNTIL_S - at_s)
        picture = drawn.draw(at_s, [Person("citizen", near)] if near > 0 else [])
        cv2.imwrite(str(folder / f"{number:03}.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, 95])
    return folder


@pytest.fixture
def elsewhere(root: Path, scene: Path, tmp_path: Path) -> Elsewhere:
    """The other Debian, for one test."""
    return Elsewhere(root, tmp_path, scene)


@contextmanager
def running(elsewhere: Elsewhere, *words: str) -> Iterator[Path]:
    """Run a program of ours there; yields its log, which is shown when the test fails."""
    log = elsewhere.folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(elsewhere.command(*words), stdout=output, stderr=output)
    try:
        yield log
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0, log.read_text()
    finally:
        process.kill()
        process.wait(10)
        print(log.read_text())


def test_pictures_of_a_real_libcamera_are_taken_as_they_are(elsewhere: Elsewhere, figures: list[str]) -> None:
    """All planes right, masked in both sizes, none missing, by the camera's clock; a second opening is refused."""
    (elsewhere.folder / "look.py").write_text(LOOK)
    done = subprocess.run(elsewhere.command("/mnt/look.py"), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    seen: Mapping[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert seen["numbers"] == list(range(seen["numbers"][0], seen["numbers"][0] + 60))
    assert "once in a process" in seen["spent"]
    apart_ms = np.diff(seen["at_ms"])
    assert (apart_ms > 0).all()
    figures.append(f"picamera2 with a virtual camera: a picture each {np.median(apart_ms):.0f} ms, none of 60 missing")

    main, small = np.load(elsewhere.folder / "main.npy"), np.load(elsewhere.folder / "small.npy")
    assert (main.shape, small.shape) == ((720, 640), (240, 320))
    assert len(np.unique(main[:240, :320])) == len(np.unique(small[:120, :160])) == 1
    drawn = [_planes(cv2.imread(str(path))) for path in elsewhere.scene.iterdir()]
    apart = min(np.abs(main[:, 320:].astype(int) - picture[:, 320:]).mean() for picture in drawn)
    assert apart < 3, "not the picture that was drawn"
    whole = cv2.resize(main[:480], (320, 240), interpolation=cv2.INTER_AREA)
    assert np.abs(small[:, 160:].astype(int) - whole[:, 160:]).mean() < 2


def test_the_daemon_records_what_a_real_libcamera_shows(elsewhere: Elsewhere, center: Center) -> None:
    """Somebody who comes after hours is an incident at the center, and on the disk in a recording that plays."""
    other = datetime.now(ZoneInfo("Asia/Ho_Chi_Minh")) + timedelta(hours=12)
    text = STATION.format(port=center.mqtt_port, begin=f"{other:%H}:00", end=f"{other:%H}:30")
    (elsewhere.folder / "station.toml").write_text(text)
    command = ("/opt/rig/virtual_camera.py", "device", "run", "camera", "--config", "/mnt/station.toml")
    clips = elsewhere.folder / "state" / "camera" / "clips"
    with running(elsewhere, *command) as log:
        incident = "SELECT kind FROM incident WHERE station = 'q03' AND kind = 'after_hours'"
        wait_for(lambda: center._query(incident), timeout_s=90, what="the incident", log=log.read_text)
        wait_for(lambda: _recorded(clips), timeout_s=90, what="the recording", log=log.read_text)
    assert "Traceback" not in log.read_text()
    with av.open(str(_recorded(clips)[0])) as container:
        pictures = [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]
    assert len(pictures) > 2 * FPS  # the pre-roll alone
    assert pictures[0].shape == (480, 640, 3)


def _planes(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a BGR picture as I420 of a JPEG's full range."""
    y, v, u = cv2.split(cv2.cvtColor(picture, cv2.COLOR_BGR2YCrCb))
    small = [cv2.resize(plane, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) for plane in (u, v)]
    return np.concatenate([y, *(plane.reshape(-1, y.shape[1]) for plane in small)])


def _recorded(clips: Path) -> list[Path]:
    """Return the recordings of some seconds; a stop cuts one as a power cut does, behind a whole fragment."""
    return [path for path in clips.rglob("*.mp4") if path.stat().st_size > ENOUGH_BYTES]
