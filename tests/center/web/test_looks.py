"""Looks: who sees what a camera sees, when it begins and ends, and what of it is written down."""

import contextlib
import re
import socket
import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection, IncompleteRead
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest
import sqlalchemy as sa

from center.cameras import looks as looks_module
from center.cameras.looks import LIVE_EVERY_MS, PER_CAMERA, STILL_EVERY_MS
from center.errors import StoreError
from center.storage import tables
from center.web import cameras as cameras_module
from center.web.gate import COOKIE
from contract.states import PICTURE_BYTES, Look
from tests.center.web.site import Center
from tests.center.web.test_pages import report
from tests.support.waiting import wait_for


def jpeg(number: int) -> bytes:
    """Return a small picture of one grey."""
    return cv2.imencode(".jpg", np.full((48, 64), number % 256, np.uint8))[1].tobytes()


@pytest.fixture
def camera(center: Center) -> Iterator["Camera"]:
    """A camera at counter 1 that does as it is told."""
    with Camera(center) as one:
        yield one


class Camera:
    """What a camera does with a look: one picture at once, further ones when they are due, until it is told to stop."""

    def __init__(self, center: Center, station: str = "q01") -> None:
        self.looks: list[Look | None] = []
        self.sent = 0
        self.answers: list[int] = []
        self._center, self._station = center, station
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="camera")

    def __enter__(self) -> "Camera":
        report(self._center, self._station, "camera")
        wait_for(lambda: f"{self._station}/camera" in self._center.hub.mirror.devices)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(30)

    def post(self, look: Look, picture: bytes | None = None, **headers: str) -> httpx.Response:
        """Send a picture to a look."""
        every = {
            "Authorization": f"Bearer {look.token}",
            "Content-Type": "image/jpeg",
            "Picture-Age-Ms": "20",
            **headers,
        }
        content = jpeg(self.sent) if picture is None else picture
        # Plain HTTP on loopback; saves loading roots.
        return httpx.post(self._center.url + look.path, content=content, headers=every, verify=False)  # noqa: S501

    def wanted(self) -> Look | None:
        """Return what the camera's desired state says of looks."""
        return self._center.hub.looks.wanted(self._station)

    def _run(self) -> None:
        served, due_s = "", 0.0
        while not self._stop.wait(0.01):
            look = self.wanted()
            if not self.looks or self.looks[-1] != look:
                self.looks.append(look)
            if look is None or (look.token == served and time.monotonic() < due_s):
                continue
            served, due_s = look.token, time.monotonic() + look.every_ms / 1000
            self.sent += 1
            with contextlib.suppress(httpx.HTTPError):
                self.answers.append(self.post(look).status_code)


class Looking:
    """A page that looks live: it reads what comes until it has gone."""

    def __init__(self, center: Center, person: str = "hanh-1") -> None:
        self.parts: list[bytes] = []
        self.over = threading.Event()
        self._connection = HTTPConnection("127.0.0.1", center.port, timeout=30)
        self._person = person
        self._thread = threading.Thread(target=self._run, name="looking")

    def __enter__(self) -> "Looking":
        self._connection.request("GET", LIVE, headers={"Cookie": f"{COOKIE}={self._person}"})
        self._answer = self._connection.getresponse()
        assert self._answer.status == 200
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._connection.sock.shutdown(socket.SHUT_RDWR)
        self._thread.join(30)
        self._answer.close()
        self._connection.close()

    def _run(self) -> None:
        rest = b""
        with contextlib.suppress(OSError, IncompleteRead):
            while chunk := self._answer.read1():
                *whole, rest = (rest + chunk).split(b"--picture\r\nContent-Type: image/jpeg\r\n\r\n")
                self.parts += [part.removesuffix(b"\r\n") for part in whole if part]
        self.over.set()


LIVE, STILL = "/api/cameras/q01/live", "/api/cameras/q01/still"


def log(center: Center) -> list[tuple[str, ...]]:
    """Return what the audit log says of looks."""

    def read(connection: sa.Connection) -> list[tuple[str, ...]]:
        of = tables.audit.c
        rows = connection.execute(sa.select(of.actor, of.action, of.object, of.detail).order_by(of.seq))
        return [tuple(row) for row in rows if row.action.startswith("camera_")]

    return center.hall.transact(read).result(30)


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let looks end at once when nobody looks any more."""
    monkeypatch.setattr(looks_module, "LINGERS_S", 0.05)


def test_a_still_is_one_picture_and_one_entry_of_the_log(center: Center, camera: Camera) -> None:
    """The camera sends one picture, which comes back as it was sent; that somebody looked is in the log, by name."""
    answer = center.http.get(STILL)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")
    assert answer.content == jpeg(1)
    assert int(answer.headers["picture-age-ms"]) >= 20
    assert answer.headers["cache-control"] == "no-store"
    assert log(center) == [("person:hanh", "camera_looked", "q01", "still")]
    look = camera.wanted()
    assert look is not None
    assert look.every_ms == STILL_EVERY_MS
    assert camera.sent == 1
    center.http.get(STILL)
    assert camera.sent == 2  # the one before was of before


@pytest.mark.usefixtures("camera")
def test_it_is_in_the_log_before_the_first_picture(center: Center, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the log cannot be written nobody sees anything, and the look ends."""
    monkeypatch.setattr(center.people, "record", _fail)
    assert center.http.get(STILL).status_code == 503
    assert center.http.get(LIVE).status_code == 503
    assert not any(place.viewers for place in center.hub.looks._places.values())


async def _fail(*_: object) -> None:
    raise StoreError("no")


@pytest.mark.usefixtures("brief")
def test_a_live_look_ends_with_its_last_viewer(center: Center, camera: Camera) -> None:
    """Pictures follow each other while somebody looks, and the desk says so; then the log says how many they were."""
    with Looking(center) as page:
        wait_for(lambda: len(page.parts) >= 3)
        look = camera.wanted()
        assert look is not None
        assert look.every_ms == LIVE_EVERY_MS
        assert center.hub.view("officer", "q01")["watched"]
        assert not center.hub.view("officer", "q02")["watched"]
        assert center.hub.view("cameras")["q01"].coming == "coming"
        assert page.parts[0].startswith(b"\xff\xd8")
    wait_for(lambda: camera.wanted() is None)
    (began, ended) = wait_for(lambda: found if len(found := log(center)) == 2 else None)
    assert began == ("person:hanh", "camera_looked", "q01", "live")
    assert ended[:3] == ("person:hanh", "camera_left", "q01")
    assert int(ended[3].split()[2]) >= 3
    assert camera.post(look).status_code == 410


@pytest.mark.usefixtures("camera")
def test_no_picture_and_no_token_is_on_the_disk(center: Center) -> None:
    """Whatever was seen is in no file of the center, and neither is what lets a camera send it."""
    with Looking(center) as page:
        wait_for(lambda: len(page.parts) >= 2)
        look = center.hub.looks.wanted("q01")
    assert look is not None
    files = [each.read_bytes() for each in Path(center.config.data_dir).rglob("*") if each.is_file()]
    assert any(b"camera_looked" in each for each in files)
    assert not any(secret in each for each in files for secret in (page.parts[0], look.token.encode()))


def test_ten_viewers_cost_the_camera_one_upload(
    center: Center, camera: Camera, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many look, a picture is sent once; one more than may is refused, and told to come back."""
    monkeypatch.setattr(looks_module, "PER_CAMERA", 10)
    monkeypatch.setattr(looks_module, "OWN_PER_CAMERA", 10)
    monkeypatch.setattr(looks_module, "OWN_TOGETHER", 10)
    pages = [Looking(center, f"dung-{number % 4}") for number in range(10)]
    try:
        for page in pages:
            page.__enter__()
        wait_for(lambda: all(len(page.parts) >= 5 for page in pages))
        assert len({look.token for look in camera.looks if look is not None}) == 1
        assert max(len(page.parts) for page in pages) <= camera.sent
        assert camera.answers.count(204) >= 5
        assert set(camera.answers) <= {204, 429}  # on a busy machine one may come late, and the next too soon after it
        full = center.http.get(LIVE)
        assert (full.status_code, full.json()["code"]) == (429, "viewers_full")
        assert int(full.headers["retry-after"]) > 0
    finally:
        for page in pages:
            page.__exit__()
    assert sum(action == "camera_looked" for _, action, _, _ in log(center)) == 10
    assert PER_CAMERA >= 8


@pytest.mark.usefixtures("camera")
def test_one_person_does_not_take_all_places(center: Center) -> None:
    """Who looks at a camera twice, on whatever desk, is told to close one; another person sees it all the same."""
    with Looking(center, "dung-0") as one, Looking(center, "dung-1") as two:
        wait_for(lambda: one.parts and two.parts)
        with center.client("dung-2") as third:
            full = third.get(LIVE)
        assert (full.status_code, full.json()["code"]) == (429, "viewers_own")
        with Looking(center, "hanh-1") as other:
            wait_for(lambda: other.parts)


@pytest.mark.usefixtures("camera")
def test_who_is_shut_out_sees_nothing_more(center: Center) -> None:
    """A session that is ended ends the look that it had."""
    with Looking(center, "dung-2") as page:
        wait_for(lambda: page.parts)
        with center.client("dung-2") as client:
            client.post("/api/logout", json={})
        assert page.over.wait(30)


@pytest.mark.usefixtures("camera")
def test_a_look_ends_after_ten_minutes(center: Center, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody looks for ever because a page was forgotten: the center ends it, the page asks."""
    monkeypatch.setattr(cameras_module, "LIVE_S", 3.0)
    with Looking(center) as page:
        assert page.over.wait(30)
        assert page.parts


def test_a_stop_of_the_center_does_not_wait_for_who_looks(center: Center, camera: Camera) -> None:
    """Whoever looks is cut off at once, and a center starts again with nobody looking."""
    with Looking(center) as page:
        wait_for(lambda: page.parts)
        assert center.stop() < 10
    center.start()
    assert camera.wanted() is None


def test_a_camera_that_sends_nothing_is_said(center: Center, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever wants a still hears that none came; the pages know that the camera is silent."""
    monkeypatch.setattr(cameras_module, "STILL_WITHIN_S", 0.2)
    monkeypatch.setattr(looks_module, "SILENT_S", 0.1)
    monkeypatch.setattr(looks_module, "_TICK_S", 0.05)
    report(center, "q01", "camera")
    answer = center.http.get(STILL)
    assert (answer.status_code, answer.json()["code"]) == (504, "no_picture")
    assert "Camera không gửi hình" in answer.json()["message"]
    wait_for(lambda: center.hub.view("cameras")["q01"].coming == "silent")
    assert center.http.get("/api/cameras/q02/still").status_code == 404


NO_PICTURES: list[tuple[dict[str, str], bytes | None, int]] = [
    ({"Authorization": ""}, None, 401),
    ({"Authorization": "Bearer x"}, None, 401),
    ({"Content-Type": "text/html"}, None, 415),
    ({"Picture-Age-Ms": "-1"}, None, 400),
    ({}, b"<html>", 422),
    ({}, b"", 422),
    ({}, jpeg(0)[:-2], 422),
    ({}, b"\xff\xd8\xff" + bytes(PICTURE_BYTES) + b"\xff\xd9", 413),
]


def test_what_is_no_picture_is_refused(center: Center) -> None:
    """Only a JPEG of at most 80 KB, with the look's own token, is taken; what was there stays."""
    camera = Camera(center)
    report(center, "q01", "camera")
    with Looking(center):
        look = wait_for(camera.wanted)
        assert camera.post(look, jpeg(7)).status_code == 204
        for headers, picture, status in NO_PICTURES:
            assert camera.post(look, picture, **headers).status_code == status, (headers, picture)
        newest = center.hub.looks._places["q01"].newest
        assert newest is not None
        assert newest.jpeg == jpeg(7)


def test_a_camera_that_sends_too_much_is_told(center: Center, monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture that comes right after another is refused, and one of another look is, too."""
    monkeypatch.setattr(looks_module, "LIVE_EVERY_MS", 60_000)  # however slow this machine is
    camera = Camera(center)
    report(center, "q01", "camera")
    with Looking(center):
        look = wait_for(camera.wanted)
        assert [camera.post(look).status_code for _ in range(2)] == [204, 429]
        other = Look(path=f"{look.path}0", token=look.token, every_ms=100, seconds=9)
        assert camera.post(other).status_code == 401


def test_a_look_that_goes_on_gets_a_new_token(center: Center, camera: Camera, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token does not last as long as people look: pictures go on under the next one."""
    monkeypatch.setattr(looks_module, "RENEWED_S", 0.3)
    with Looking(center) as page:
        first = wait_for(camera.wanted)
        wait_for(lambda: camera.wanted() != first)
        before = len(page.parts)
        wait_for(lambda: len(page.parts) > before + 2)
        assert camera.post(first).status_code == 410


def test_who_reads_slowly_sees_the_newest(center: Center, monkeypatch: pytest.MonkeyPatch) -> None:
    """A viewer who does not read for a while is shown what is now afterwards, and holds nobody up."""
    monkeypatch.setattr(f"{__name__}.jpeg", lambda number: b"\xff\xd8\xff%08d%s\xff\xd9" % (number, bytes(70_000)))
    with Camera(center) as camera, Looking(center) as page:
        with socket.create_connection(("127.0.0.1", center.port)) as slow:
            slow.sendall(f"GET {LIVE} HTTP/1.1\r\nHost: localhost\r\nCookie: {COOKIE}=dung-3\r\n\r\n".encode())
            wait_for(lambda: camera.sent >= 25)
            now, came = camera.sent, b""
            while not (seen := [int(one) for one in re.findall(rb"\xff\xd8\xff(\d{8})", came)]) or seen[-1] <= now:
                came += slow.recv(1 << 20)
        assert sum(number < now - 2 for number in seen) < now / 2
        assert len(page.parts) > now / 2  # who reads at once may miss one on a busy machine, and is not held up
