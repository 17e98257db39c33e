"""Looking: pictures go to a small real HTTP server, as long as somebody looks and no longer."""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count, pairwise

import cv2
import numpy as np
import pytest

from contract.states import PICTURE_BYTES, CameraDesired, Look
from firmware.clock import SystemClock
from firmware.devices.camera import looking as module
from firmware.devices.camera.config import CameraConfig
from firmware.devices.camera.decisions import CameraDecisions
from firmware.devices.camera.frames import Plane
from firmware.devices.camera.looking import SIZE, Looking
from firmware.devices.camera.privacy import photograph
from firmware.devices.camera.signals import Watched
from firmware.ports import Drive
from tests.support.dribble import dribble
from tests.support.waiting import wait_for

GREY: Plane = np.full((720, 640), 128, np.uint8)


class Center:
    """What takes pictures; `status` is what it answers, `late_s` how long it thinks."""

    def __init__(self) -> None:
        self.status, self.late_s = 204, 0.0
        self.endless = self.dribbles = False
        self.came: list[tuple[float, str, str, int, bytes]] = []  # when, path, token, age, picture
        self.connections = 0
        center = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                center.connections += 1
                super().setup()

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                token, age = self.headers["Authorization"], int(self.headers["Picture-Age-Ms"])
                assert self.headers["Content-Type"] == "image/jpeg"
                time.sleep(center.late_s)
                center.came.append((time.monotonic(), self.path, token, age, body))
                if center.dribbles:
                    dribble(self)
                    return
                if center.endless:
                    self._talk()
                    return
                self.send_response(center.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def _talk(self) -> None:
                self.send_response(200)
                self.end_headers()
                self.close_connection = True
                with suppress(OSError):
                    while True:
                        self.wfile.write(bytes(65536))

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = False
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def center() -> Iterator[Center]:
    """A center that takes everything."""
    one = Center()
    yield one
    one.close()


class Camera:
    """A capture thread that offers fifty pictures a second, each brighter than the one before."""

    def __init__(self, config: CameraConfig) -> None:
        self.looking = Looking(config, clock=SystemClock())
        self.offers_s: list[float] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="capture")

    def __enter__(self) -> "Camera":
        self.looking.open()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self.looking.close()

    def _run(self) -> None:
        for number in count():
            picture = GREY.copy()
            picture[:480] = number % 200 + 20
            began = time.monotonic()
            self.looking.offer(picture, SystemClock().monotonic_ms())
            self.offers_s.append(time.monotonic() - began)
            if self._stop.wait(0.02):
                return


@pytest.fixture
def camera(center: Center) -> Iterator[Camera]:
    """A camera of that center."""
    with Camera(config(center.url)) as one:
        yield one


def config(url: str) -> CameraConfig:
    """Return the table of a camera whose center is there."""
    return CameraConfig(source="picamera2", center=url)


def look(number: int = 1, *, every_ms: int = 100, seconds: int = 60) -> Look:
    """Return a look."""
    return Look(path=f"/api/looks/{number}", token=f"t{number}", every_ms=every_ms, seconds=seconds)


def brightness(picture: bytes) -> float:
    """Return how bright a JPEG is."""
    return float(cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_GRAYSCALE).mean())


def test_nothing_is_encoded_while_nobody_looks(center: Center, camera: Camera, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before a look, and after it, no picture is made into a JPEG and none is kept."""
    made: list[int] = []
    monkeypatch.setattr(module, "photograph", lambda *args, **named: made.append(1) or photograph(*args, **named))
    time.sleep(0.1)
    assert not made
    camera.looking.want(look())
    wait_for(lambda: len(center.came) >= 2)
    camera.looking.want(None)
    wait_for(lambda: camera.looking._way is None)
    before = len(made)
    time.sleep(0.15)
    assert len(made) == before
    assert camera.looking._newest is None


def test_pictures_go_one_after_another_as_often_as_is_wanted(center: Center, camera: Camera) -> None:
    """The first goes at once, others when they are due, on one connection, to the look's address with its token."""
    began = time.monotonic()
    camera.looking.want(look(7))
    wait_for(lambda: len(center.came) >= 5)
    assert center.came[4][0] - began >= 0.4
    assert center.connections == 1
    assert {(path, token) for _, path, token, _, _ in center.came} == {("/api/looks/7", "Bearer t7")}
    shown = [brightness(picture) for *_, picture in center.came]
    assert shown == sorted(shown)
    assert len(set(shown)) == len(shown)
    assert all(age < 10_000 for *_, age, _ in center.came)


def test_a_still_is_one_picture(center: Center, camera: Camera) -> None:
    """A look whose second picture is due in an hour brings one; the next look brings another at once."""
    camera.looking.want(look(1, every_ms=3_600_000))
    wait_for(lambda: center.came)
    time.sleep(0.15)
    assert len(center.came) == 1
    camera.looking.want(look(1, every_ms=3_600_000))  # the state was published anew
    camera.looking.want(look(2, every_ms=3_600_000))
    wait_for(lambda: len(center.came) == 2)
    assert center.came[1][1] == "/api/looks/2"


def test_a_slow_network_skips_pictures_and_delays_no_capture(center: Center, camera: Camera) -> None:
    """What is sent after a slow answer is what is seen then; whoever offers pictures never waits."""
    center.late_s = 0.25
    camera.looking.want(look())
    wait_for(lambda: len(center.came) >= 4)
    shown = [brightness(picture) for *_, picture in center.came]
    assert all(later - sooner >= 2 for sooner, later in pairwise(shown))
    assert all(age < 10_000 for *_, age, _ in center.came)
    assert sorted(camera.offers_s)[len(camera.offers_s) // 2] < center.late_s / 5


@pytest.mark.parametrize("status", [401, 410])
def test_who_is_told_that_nobody_looks_stops(center: Center, camera: Camera, status: int) -> None:
    """After one such answer nothing is sent, though the look is still wanted; another look begins anew."""
    center.status = status
    camera.looking.want(look(1))
    wait_for(lambda: center.came)
    camera.looking.want(look(1))
    time.sleep(0.2)
    assert len(center.came) == 1
    center.status = 204
    camera.looking.want(look(2))
    wait_for(lambda: len(center.came) >= 2)


def test_a_look_that_nobody_ended_ends(center: Center, camera: Camera) -> None:
    """After its seconds a camera sends nothing more, whoever forgot to say so."""
    camera.looking.want(look(1, seconds=1))
    wait_for(lambda: center.came)
    wait_for(lambda: camera.looking._way is None)
    before = len(center.came)
    camera.looking.want(look(1, seconds=1))
    time.sleep(0.2)
    assert len(center.came) == before


def test_a_center_that_is_away_is_said_once_and_found_again(
    center: Center, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lost is one line with the key to look at, back is another; the picture that comes then is a new one."""
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(module, "_FIRST_RETRY_MS", 20)
    monkeypatch.setattr(module, "_LAST_RETRY_MS", 40)
    center.status = 503
    with Camera(config(center.url)) as camera:
        camera.looking.want(look())
        wait_for(lambda: len(center.came) >= 3)
        center.status = 204
        before = len(center.came)
        wait_for(lambda: len(center.came) >= before + 2)
    lines = [each.getMessage() for each in caplog.records if each.name == module.__name__]
    assert lines == [
        f"somebody wants to look through the camera and cannot: {center.url}: it answered 503",
        "who looks through the camera sees it again",
    ]
    caplog.clear()
    with Camera(config("http://127.0.0.1:9")) as camera:
        camera.looking.want(look())
        wait_for(lambda: caplog.records)
        assert camera.looking.alive()
    assert "http://127.0.0.1:9: connection refused" in caplog.records[0].getMessage()


def test_an_answer_without_an_end_is_not_listened_to(center: Center, camera: Camera) -> None:
    """Whatever answers there and does not stop to fills no memory: it is hung up on, and the next picture goes."""
    center.endless = True
    camera.looking.want(look())
    wait_for(lambda: len(center.came) >= 3)
    assert center.connections >= 3


def test_an_answer_that_dribbles_is_cut_off(center: Center, monkeypatch: pytest.MonkeyPatch) -> None:
    """A center that answers byte by byte, each in time, holds up no thread: the camera is not restarted for it."""
    monkeypatch.setattr(module, "_ANSWERED_WITHIN_MS", 200)
    center.dribbles = True
    with Camera(config(center.url)) as camera:
        camera.looking.want(look())
        wait_for(lambda: camera.looking.alive() and len(center.came) >= 2)


def test_a_picture_is_within_its_bounds_whatever_it_shows() -> None:
    """Noise in the largest size is made to fit; a small picture is not made larger."""
    noise = np.random.default_rng(1).integers(0, 256, (1620, 1920), np.uint8)
    jpeg = photograph(noise, within=SIZE, most_bytes=PICTURE_BYTES)
    assert len(jpeg) <= PICTURE_BYTES
    height, width = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_GRAYSCALE).shape
    assert width <= SIZE[0]
    assert height <= SIZE[1]
    small = photograph(np.full((240, 160), 90, np.uint8), within=SIZE, most_bytes=PICTURE_BYTES)
    assert cv2.imdecode(np.frombuffer(small, np.uint8), cv2.IMREAD_COLOR).shape == (160, 160, 3)


def test_the_decisions_pass_a_look_on_once() -> None:
    """A look that is wanted, another and none go to the driver; the same one in a further state does not."""
    ids = count(1)
    decisions = CameraDecisions(CameraConfig(source="picamera2"), new_id=lambda: f"id-{next(ids)}", memory={})
    decisions.on_start(0)

    def told(wanted: Look | None) -> list[Look | None]:
        effects = decisions.on_desired(CameraDesired(revision=1, state="open", look=wanted), 0)
        return [each.command.look for each in effects if isinstance(each, Drive) and isinstance(each.command, Watched)]

    assert told(None) == []
    assert told(look(1)) == [look(1)]
    assert told(look(1)) == []
    assert told(look(2)) == [look(2)]
    assert told(None) == [None]
