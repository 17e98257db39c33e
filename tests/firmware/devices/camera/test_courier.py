"""Recordings on their way to a real center, and to one that answers as it likes."""

import hashlib
import itertools
import logging
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from center.cameras.uploads import Uploads
from center.config import Clips, Http
from center.storage.tables import clip as clip_table
from contract.ids import uuid7
from contract.requests import Args, Reply, Request, Upload
from contract.states import Hours
from firmware.clock import SystemClock
from firmware.devices.camera import courier as module
from firmware.devices.camera.clips import SERVICE, Clip, Folder
from firmware.devices.camera.config import CameraConfig
from firmware.devices.camera.courier import OLDEST_EVERY, OPEN, Courier, Throttle, choose
from firmware.devices.camera.mp4 import Muxer
from firmware.devices.camera.signals import Answer, Contact, Unsent, Wants
from firmware.ports import Clock
from simulator.ports import free_port
from tests.center.web.site import Center
from tests.firmware.devices.camera.numbered import FPS, HEIGHT, WIDTH, encoded, read
from tests.support.certificates import Office
from tests.support.clock import ManualClock
from tests.support.disk import small_disk
from tests.support.dribble import dribble
from tests.support.road import Road
from tests.support.waiting import wait_for

START = datetime(2026, 11, 23, 1, 2, 3, tzinfo=UTC)
PLENTY = 1_000_000_000


def content(seed: object, size: int) -> bytes:
    """Return what a recording is made of."""
    return random.Random(str(seed)).randbytes(size)  # noqa: S311 - the same ones each time


class Device:
    """A folder of recordings and the courier that empties it; whoever answers its asks is given."""

    def __init__(
        self,
        path: Path,
        answer: Callable[[Wants], Answer | None],
        *,
        port: int = 1,
        clock: Clock | None = None,
        config: CameraConfig | None = None,
        **keys: Any,
    ) -> None:
        keys.setdefault("center", f"http://127.0.0.1:{port}")
        self.config = config or CameraConfig(source="picamera2", **keys)
        self.clock = clock or SystemClock()
        self.folder = Folder(path, quota_bytes=PLENTY, clock=self.clock, spare_bytes=0)
        self.folder.open()
        self.asked: list[Wants] = []
        self.long: list[bool] = []
        self._answer = answer
        self.courier = Courier(self.config, self.folder, clock=self.clock, post=self._post, first_s=0.01)

    def __enter__(self) -> "Device":
        self.courier.start()
        self.courier.take(Contact(up=True))
        wait_for(lambda: self.courier._up)
        return self

    def __exit__(self, *_: object) -> None:
        assert self.courier.alive()
        self.courier.close()
        assert not self.courier.alive()

    def add(
        self,
        id_: str,
        *,
        size: int = 100_000,
        sealed: int = 0,
        age_s: int = 0,
        data: bytes | None = None,
        **fields: Any,
    ) -> Clip:
        """Put a recording there."""
        data = content(id_, size) if data is None else data
        one = Clip(
            **{
                "id": id_,
                "why": "panic",
                "held": False,
                "start": START - timedelta(seconds=age_s),
                "boot": "an earlier one",
                "start_ms": 0,
                "seconds": 20.0,
                "recording": False,
                "bytes": len(data),
                "sha256": hashlib.sha256(data).hexdigest(),
                "sealed_bytes": sealed,
                "sealed_sha256": hashlib.sha256(content(id_ + "s", sealed)).hexdigest() if sealed else "",
                **fields,
            }
        )
        self.folder.add(msgspec.structs.replace(one, recording=True))
        self.folder.video(id_).write_bytes(data)
        if sealed:
            self.folder.sealed(id_).write_bytes(content(id_ + "s", sealed))
        self.folder.change(one)
        return one

    def left(self) -> set[str]:
        """Return which recordings are here."""
        return {clip.id for clip in self.folder.clips()}

    def wait_empty(self, timeout_s: float = 30.0) -> None:
        """Wait until the center has everything."""
        wait_for(lambda: not self.left(), timeout_s=timeout_s)

    def _post(self, signal: object) -> None:
        if isinstance(signal, Unsent):
            self.long.append(signal.since_long)
            return
        assert isinstance(signal, Wants)
        self.asked.append(signal)
        if (answer := self._answer(signal)) is not None:
            self.courier.take(answer)


# --- a real center -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def center(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Center]:
    """A center, with leave for as many as ask."""
    one = Center(tmp_path_factory.mktemp("courier") / "center", clips=Clips(spare_gb=0, largest_mb=50))
    with serving(one):
        yield one


@contextmanager
def serving(one: Center) -> Iterator[None]:
    """Run a center."""
    one.start()
    one.uploads.vault._spare_share = 0  # whatever room there is on the machine of a test
    one.uploads._asks = type(one.uploads._asks)((1000, 1000.0))
    together = threading.Barrier(one.uploads._pool._max_workers + 1)  # all its threads are there before a test looks
    for _ in range(together.parties - 1):
        one.uploads.run(together.wait)
    together.wait(30)
    yield
    one.http.close()
    one.stop()


def leave_of(uploads: Uploads, station: str) -> Callable[[Wants], Answer | None]:
    """Return how a station's camera is answered, as over MQTT."""

    def answer(wants: Wants) -> Answer:
        request = Request(
            id=uuid7(),
            action="upload",
            args=Args(clip=wants.clip, file=wants.file, why=wants.why, ticket=wants.ticket, thumbnail=wants.thumbnail),
        )
        got: list[Reply] = []
        uploads.ask(station, "camera", request, got.append)
        wait_for(lambda: got)
        reply = got[0]
        return Answer(ask=wants.ask, upload=reply.upload, code=reply.code, message=reply.message)

    return answer


def rows(center: Center, station: str) -> dict[str, Any]:
    """Return what the center has of a station's recordings, by their names."""
    query = sa.select(clip_table).where(clip_table.c.station == station)
    found = center.hall.transact(lambda connection: connection.execute(query).all()).result(30)
    return {row.name: row for row in found}


def has(center: Center, data: bytes) -> bool:
    """Whether the center has this file, byte for byte."""
    path = center.uploads.vault.path(hashlib.sha256(data).hexdigest())
    return path.exists() and path.read_bytes() == data


def test_what_is_meant_to_be_kept_goes_to_the_center_and_leaves_the_device(center: Center, tmp_path: Path) -> None:
    """Incidents and held services come whole, both versions; what nobody asked for and what is recorded stays."""
    with Device(tmp_path, leave_of(center.uploads, "a01"), port=center.port) as device:
        device.add("i-1", sealed=90_000, ticket="t-9")
        device.add("s-1", why=SERVICE, keep_s=3600, ticket="t-1", sealed=5_000)
        device.add("s-2", why=SERVICE, keep_s=3600, ticket="t-2")
        device.add("r-1", recording=True)
        device.folder.hold("t-1", "keep-7", "low_rating")
        device.courier.wake()
        wait_for(lambda: device.left() == {"s-2", "r-1"})
        assert {wants.clip.id for wants in device.asked} == {"i-1", "keep-7"}
    found = rows(center, "a01")
    assert {(row.name, row.why, row.ticket) for row in found.values()} == {
        ("i-1", "panic", "t-9"),
        ("keep-7", "low_rating", "t-1"),
    }
    assert all(row.arrived_at is not None and row.sealed_at is not None for row in found.values())
    assert found["i-1"].start == int(START.timestamp() * 1000)
    for id_, size, sealed in (("i-1", 100_000, 90_000), ("s-1", 100_000, 5_000)):
        assert has(center, content(id_, size))
        assert has(center, content(id_ + "s", sealed))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r-1.json", "r-1.mp4", "s-2.json", "s-2.mp4"]


def test_a_kept_service_comes_with_a_picture_of_its_middle(center: Center, tmp_path: Path) -> None:
    """Whoever reviews sees one without opening it, blurred as the recording; an incident has one already.

    What is no video goes without.
    """
    muxer = Muxer(width=WIDTH, height=HEIGHT, fps=FPS)
    video = b"".join([*(muxer.add(packet) for packet in encoded(45)), muxer.end()])
    with Device(tmp_path, leave_of(center.uploads, "a40"), port=center.port) as device:
        device.add("r-1", why="asked", data=video, sealed=3_000)
        device.add("r-2", why="sample", size=3_000)
        device.add("i-1", why="panic", data=video[:-1])
        device.courier.wake()
        device.wait_empty()
        pictures = {(wants.clip.id, wants.file): wants.thumbnail for wants in device.asked}
    assert {key for key, picture in pictures.items() if picture is not None} == {("r-1", "shown")}
    found = {name: row.thumbnail for name, row in rows(center, "a40").items()}
    assert (found["r-2"], found["i-1"]) == (None, None)
    grey = cv2.imdecode(np.frombuffer(found["r-1"], np.uint8), cv2.IMREAD_GRAYSCALE)
    assert read(np.asarray(grey, np.uint8)) == 15


def test_what_the_center_has_already_is_not_sent_again(center: Center, tmp_path: Path) -> None:
    """A power cut between the center's word and the deletion costs one more ask."""
    answer = leave_of(center.uploads, "a02")
    with Device(tmp_path / "one", answer, port=center.port) as device:
        device.add("i-1", size=50_000)
        device.courier.wake()
        device.wait_empty()
    with Road(lambda: center.port) as road, Device(tmp_path / "two", answer, port=road.port) as again:
        again.add("i-1", size=50_000)
        again.courier.wake()
        again.wait_empty()
    assert road.passed == 0


def test_a_name_that_is_taken_gives_way_to_another(center: Center, tmp_path: Path) -> None:
    """The center has another recording by the name it asked for: this one goes by its own id, and none is lost."""
    with Device(tmp_path, leave_of(center.uploads, "a03"), port=center.port) as device:
        for number, ticket in enumerate(("t-1", "t-1", "t-2")):
            device.add(f"s-{number}", why=SERVICE, keep_s=3600, ticket=ticket, age_s=number)
            device.folder.hold(ticket, "keep-1", "sample")
            device.courier.wake()
            device.wait_empty()
        device.add("s-2", size=70_000)
        device.add("s-1", size=60_000, why=SERVICE, ticket="t-1")
        device.folder.hold("t-1", "keep-1", "sample")
        device.courier.wake()
        device.wait_empty()
    one, two = (hashlib.sha256(content(*each)).hexdigest() for each in (("s-1", 60_000), ("s-2", 70_000)))
    assert set(rows(center, "a03")) == {"keep-1", "s-1", "s-2", f"s-1-{one[:8]}", f"s-2-{two[:8]}"}


def test_one_that_was_wiped_at_the_center_goes_here_too(center: Center, tmp_path: Path) -> None:
    """What the center kept long enough is not kept longer by a camera that was away."""
    answer = leave_of(center.uploads, "a04")
    with Device(tmp_path, answer, port=center.port) as device:
        device.add("i-1", size=1_000)
        device.courier.wake()
        device.wait_empty()
        wiped = sa.update(clip_table).where(clip_table.c.station == "a04").values(wiped_at=1)
        center.hall.transact(lambda connection: connection.execute(wiped)).result(30)
        device.add("i-1", size=1_000)
        device.courier.wake()
        device.wait_empty()


@pytest.mark.parametrize("seed", range(2))
def test_a_road_that_breaks_at_any_byte_loses_nothing(
    center: Center, tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Connections break within the head, within a part or before the answer: what came counts, and the rest follows."""
    chance = random.Random(seed)  # noqa: S311
    monkeypatch.setattr(module, "PART", 100_000)
    cuts = iter([chance.choice([chance.randint(1, 600), chance.randint(600, 200_000)]) for _ in range(12)])
    station = f"b{seed:02}"
    with (
        Road(lambda: center.port, lambda: next(cuts, None)) as road,
        Device(tmp_path, leave_of(center.uploads, station), port=road.port) as device,
    ):
        for number in range(3):
            device.add(f"{station}-{number}", size=400_000 + number, sealed=300_000, age_s=number)
        device.courier.wake()
        device.wait_empty()
    assert road.cuts >= 3
    assert road.passed < 3 * 700_000 + 12 * 200_000
    for number in range(3):
        assert has(center, content(f"{station}-{number}", 400_000 + number))
        assert has(center, content(f"{station}-{number}s", 300_000))
    assert list(tmp_path.iterdir()) == []


def test_the_network_is_left_to_others(center: Center, tmp_path: Path) -> None:
    """With `upload_kbit_s` no more goes over the network than that."""
    with Device(tmp_path, leave_of(center.uploads, "a05"), port=center.port, upload_kbit_s=4_000) as device:
        device.add("i-1", size=300_000)
        clock = SystemClock()
        began_ms = clock.monotonic_ms()
        device.courier.wake()
        device.wait_empty()
        assert clock.monotonic_ms() - began_ms >= 300_000 / 500 - 250


def test_recordings_go_over_https(tmp_path: Path) -> None:
    """A center with a certificate of the authority that `center_ca` names gets recordings, in parts and whole."""
    office = Office(tmp_path / "office")
    paper = office.paper("center")
    http = Http(cert_file=str(paper.certificate), key_file=str(paper.key))
    one = Center(tmp_path / "center", clips=Clips(spare_gb=0), http=http)
    with serving(one):
        config = CameraConfig(
            source="picamera2", center=f"https://127.0.0.1:{one.port}", center_ca=str(office.root), upload_kbit_s=80_000
        )
        with Device(tmp_path / "clips", leave_of(one.uploads, "q01"), config=config) as device:
            device.courier._part = 300_000
            device.add("i-1", size=1_000_000, sealed=10)
            device.courier.wake()
            device.wait_empty()
        assert has(one, content("i-1", 1_000_000))
        assert has(one, content("i-1s", 10))


# --- a center that answers as it likes -------------------------------------------------------------------------------

TOKEN = "t0ken"  # noqa: S105
Said = tuple[int, dict[str, str]]
CUT, DRIBBLE = 0, -1
"""In the place of a status: half of the body counts, and the connection ends without an answer; or it never ends."""


@dataclass
class Whim:
    """A center whose answers a test writes down; after them it takes everything, into `files`."""

    answers: list[Said] = field(default_factory=list)
    files: dict[str, bytearray] = field(default_factory=dict)
    heard: list[tuple[str, str, str | None]] = field(default_factory=list)
    sizes: dict[str, int] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    """Paths that are always refused, and with which status."""
    codes: list[str | None] = field(default_factory=list)
    """What the next asks are refused with; None is leave, after them always."""

    def answer(self, wants: Wants) -> Answer:
        """Answer an ask."""
        code = self.codes.pop(0) if self.codes else None
        if code is not None:
            return Answer(ask=wants.ask, upload=None, code=code, message="because")
        path = f"/{wants.clip.id}/{wants.file}"
        there = self.files.setdefault(path, bytearray())
        self.sizes[path] = wants.clip.bytes
        return Answer(ask=wants.ask, upload=Upload(path=path, token=TOKEN, offset=len(there)))

    def do(self, request: BaseHTTPRequestHandler) -> None:
        """Answer a request."""
        path, there = request.path, self.files[request.path]
        self.heard.append((request.command, path, request.headers["Upload-Offset"]))
        assert request.headers["Authorization"] == f"Bearer {TOKEN}"
        assert request.headers["Tus-Resumable"] == "1.0.0"
        body = request.rfile.read(int(request.headers["Content-Length"] or 0))
        status, headers = self.answers.pop(0) if self.answers else (self.refused.get(path, 204), {})
        if status == 204 and request.command == "PATCH" and not headers:
            assert int(request.headers["Upload-Offset"]) == len(there)
            there += body
        if status == CUT:
            there += body[: len(body) // 2]
            request.close_connection = True
            return
        if status == 460:
            there.clear()
        if status == DRIBBLE:
            dribble(request)
            return
        words = b'{"code": "x", "message": "because"}' if status >= 400 and request.command != "HEAD" else b""
        request.send_response(status)
        if status < 300:
            request.send_header("Upload-Offset", str(len(there)))
        for name, value in headers.items():
            request.send_header(name, value)
        if status != 204:
            request.send_header("Content-Length", str(len(words)))
        request.end_headers()
        request.wfile.write(words)


@contextmanager
def whimsical(*answers: Said) -> Iterator[tuple[Whim, int]]:
    """Serve such a center."""
    whim = Whim(list(answers))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        do_HEAD = do_PATCH = lambda self: whim.do(self)  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield whim, server.server_address[1]
    finally:
        server.shutdown()
        thread.join(30)
        server.server_close()


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what the courier said to an operator."""
    return [
        record.message for record in caplog.records if record.levelno >= logging.INFO and record.name == module.__name__
    ]


@pytest.mark.parametrize(
    ("status", "headers", "asks", "requests"),
    [
        (CUT, {}, 1, ["PATCH", "HEAD", "PATCH"]),
        (401, {}, 2, ["PATCH", "PATCH"]),
        (410, {}, 2, ["PATCH", "PATCH"]),
        (409, {}, 1, ["PATCH", "HEAD", "PATCH"]),
        (423, {"Retry-After": "0"}, 1, ["PATCH", "HEAD", "PATCH"]),
        (503, {"Retry-After": "0"}, 2, ["PATCH", "PATCH"]),
        (507, {"Retry-After": "0"}, 2, ["PATCH", "PATCH"]),
        (400, {}, 2, ["PATCH", "PATCH"]),
        (412, {}, 2, ["PATCH", "PATCH"]),
        (413, {}, 2, ["PATCH", "PATCH"]),
        (415, {}, 2, ["PATCH", "PATCH"]),
        (404, {}, 2, ["PATCH", "PATCH"]),
        (302, {"Location": "http://127.0.0.1:1/"}, 2, ["PATCH", "PATCH"]),
        (204, {"Upload-Offset": "0"}, 2, ["PATCH", "PATCH"]),
    ],
)
def test_each_refusal_is_taken_as_it_is_meant(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    status: int,
    headers: dict[str, str],
    asks: int,
    requests: list[str],
) -> None:
    """The table of statuses: another token, another look at the offset, or later; then the file comes whole.

    What happens on any day is no line in the log.
    """
    with whimsical((status, headers)) as (whim, port), Device(tmp_path, whim.answer, port=port) as device:
        device.add("i-1", size=5_000)
        device.courier.wake()
        device.wait_empty()
    assert whim.files["/i-1/shown"] == content("i-1", 5_000)
    assert [command for command, _, _ in whim.heard] == requests
    assert len(device.asked) == asks
    said = [line.partition(f":{port} ")[2].partition(":")[0] for line in lines(caplog)]
    assert said == ([] if status in (CUT, 401, 409, 410, 423) else [f"says {status}"])


def test_a_recording_that_arrives_with_another_hash_lets_others_go_first(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One damaged file is sent again later, ever more seldom; the others go on meanwhile."""
    clock = ManualClock()
    with whimsical((460, {})) as (whim, port), Device(tmp_path, whim.answer, port=port, clock=clock) as device:
        device.add("i-new", size=5_000)
        device.add("i-old", size=5_000, age_s=10)
        clock.advance(1_000)
        device.courier.wake()
        wait_for(lambda: device.left() == {"i-new"})
        clock.advance(60_000)
        device.courier.wake()
        device.wait_empty()
    assert lines(caplog) == [
        "the recording i-new stays here for now: it arrived with another hash than it was recorded with: does the card"
        " fail?"
    ]


def test_a_full_disk_is_emptied_by_sending(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """No word can be written, not even that the center has one version: both go, also by another name, and the clip."""
    with (
        small_disk(tmp_path / "disk", kilobytes=400) as disk,
        whimsical() as (whim, port),
        Device(disk.folder / "clips", whim.answer, port=port) as device,
    ):
        whim.codes = ["clip_exists"]
        device.add("i-1", size=5_000, sealed=3_000)
        disk.fill()
        device.courier.wake()
        device.wait_empty()
        assert [wants.file for wants in device.asked] == ["shown", "shown", "sealed"]
        assert list((disk.folder / "clips").iterdir()) == []
    assert lines(caplog) == []


@pytest.mark.parametrize("status", [403, 413, 500])
def test_a_recording_that_is_refused_again_and_again_lets_others_go_first(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    """What is wrong with one file, in a proxy or at the center, holds back no other."""
    clock = ManualClock()
    with whimsical() as (whim, port), Device(tmp_path, whim.answer, port=port, clock=clock) as device:
        whim.refused = {"/i-new/shown": status}
        device.add("i-new", size=5_000)
        device.add("i-old", size=5_000, age_s=10)
        for _ in range(module.REFUSALS):
            tries = len(whim.heard)
            clock.advance(400_000)
            wait_for(lambda tries=tries: device.courier.wake() or len(whim.heard) > tries)  # type: ignore[misc,func-returns-value]
            wait_for(lambda: max(device.courier._again_ms, *device.courier._aside.values(), 0) > clock.monotonic_ms())
        wait_for(lambda: device.courier.wake() or device.left() == {"i-new"})  # type: ignore[func-returns-value]
        whim.refused = {}
        clock.advance(4_000_000)
        wait_for(lambda: device.courier.wake() or not device.left())  # type: ignore[func-returns-value]
    assert f"the recording i-new stays here for now: http://127.0.0.1:{port} says {status}: because" in lines(caplog)


def test_an_answer_that_dribbles_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A center that answers byte by byte, each in time, holds up one part and not the camera; then the file comes."""
    monkeypatch.setattr(module, "_NOTHING_WITHIN_MS", 200)
    with whimsical((DRIBBLE, {})) as (whim, port), Device(tmp_path, whim.answer, port=port) as device:
        device.add("i-1", size=5_000)
        device.courier.wake()
        wait_for(lambda: device.courier.alive() and not device.left())
    assert whim.files["/i-1/shown"] == content("i-1", 5_000)


def test_a_line_that_breaks_and_breaks_is_used_as_long_as_something_comes(tmp_path: Path) -> None:
    """Each cut after which more is there than before begins the waiting anew, so a bad line carries what it can."""
    with whimsical() as (whim, port), Device(tmp_path, whim.answer, port=port) as device:
        whim.answers = [(CUT, {}), (200, {})] * 12
        most = 0
        before = whim.do

        def do(request: BaseHTTPRequestHandler) -> None:
            nonlocal most
            most = max(most, device.courier._failures)
            before(request)

        whim.do = do  # type: ignore[method-assign]
        device.add("i-1", size=50_000)
        device.courier.wake()
        device.wait_empty()
    assert whim.files["/i-1/shown"] == content("i-1", 50_000)
    assert most == 1


@pytest.mark.parametrize(
    "code", ["disk_low", "store_full", "store_failed", "overloaded", "stopping", "of_another_version"]
)
def test_who_gets_no_leave_now_asks_again(tmp_path: Path, caplog: pytest.LogCaptureFixture, code: str) -> None:
    """A center that cannot take recordings is asked again; the log has one line for the stop and one for the end."""
    caplog.set_level(logging.INFO)
    with whimsical() as (whim, port), Device(tmp_path, whim.answer, port=port) as device:
        whim.codes = [code] * 4
        device.add("i-1", size=5_000)
        device.courier.wake()
        device.wait_empty()
    assert len(device.asked) == 5
    assert lines(caplog) == [
        f"recordings wait here: the center says: because ({code}); trying again",
        "recordings go to the center again",
    ]


def test_the_center_hears_that_recordings_wait_for_long(tmp_path: Path) -> None:
    """After ten minutes without a byte it is a trouble of the camera, and none as soon as one goes."""
    clock = ManualClock()
    with whimsical() as (whim, port), Device(tmp_path, whim.answer, port=port, clock=clock) as device:
        whim.codes = ["store_failed"] * 3
        device.add("i-1", size=5_000)
        for asks, minutes in ((1, 1), (2, 9), (3, 10)):
            assert device.long == []
            clock.advance(minutes * 60_000)
            device.courier.wake()
            wait_for(lambda asks=asks: len(device.asked) == asks and device.courier._again_ms > clock.monotonic_ms())
        wait_for(lambda: device.long == [True])
        device.folder.delete("i-1")
        clock.advance(600_000)
        device.courier.wake()
        wait_for(lambda: device.long == [True, False])
        whim.codes = ["store_failed"] * 2
        device.add("i-2", size=5_000)
        for _ in range(3):
            device.courier.wake()
            clock.advance(600_000)
            wait_for(
                lambda: device.courier.wake() or device.courier._again_ms > clock.monotonic_ms() or not device.left()
            )
        device.wait_empty()
        wait_for(lambda: device.long == [True, False, True, False])


@pytest.mark.parametrize("code", ["clip_too_large", "request_invalid"])
def test_what_the_center_does_not_take_stays_and_hinders_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, code: str
) -> None:
    """One recording that is refused for good lies on the device; it is said once, and asked for again each hour."""
    clock = ManualClock()
    with whimsical() as (whim, port), Device(tmp_path, whim.answer, port=port, clock=clock) as device:
        whim.codes = [code, None, code, None]
        device.add("i-new", size=5_000)
        device.add("i-old", size=5_000, age_s=10)
        clock.advance(1_000)
        device.courier.wake()
        wait_for(lambda: device.left() == {"i-new"})
        clock.advance(3_600_000)
        device.courier.wake()
        wait_for(lambda: len(device.asked) == 3 and device.courier._aside.get("i-new", 0) > clock.monotonic_ms())
        clock.advance(3_600_000)
        wait_for(lambda: device.courier.wake() or not device.left())  # type: ignore[func-returns-value]
    said = f"the recording i-new stays here for now: the center does not take it: because ({code})"
    assert lines(caplog) == [said]


def test_contact_that_is_lost_during_an_ask_is_no_fault(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """An ask that dies with the connection is made again when there is one; nobody has to read about it."""
    with whimsical() as (whim, port), Device(tmp_path, whim.answer, port=port) as device:

        def answer(wants: Wants) -> Answer | None:
            if wants.ask == 1:
                return None
            device.courier.take(Answer(ask=1, upload=Upload(path="/late", token=TOKEN, offset=0)))
            return whim.answer(wants)

        device._answer = answer
        device.add("i-1", size=5_000)
        device.courier.wake()
        wait_for(lambda: device.asked)
        device.courier.take(Contact(up=False))
        assert device.left() == {"i-1"}
        device.courier.take(Contact(up=True))
        device.wait_empty()
    assert [path for _, path, _ in whim.heard] == ["/i-1/shown"], "an answer that comes late is not taken"
    assert lines(caplog) == []


def test_not_all_begin_at_once_after_a_blackout(tmp_path: Path) -> None:
    """Cameras that hear of the center at the same moment begin at moments of their own."""
    clock, moments = ManualClock(), set()
    for number in range(5):
        with Device(tmp_path / str(number), Whim().answer, clock=clock) as device:
            wait_for(lambda device=device: device.courier._again_ms)
            moments.add(device.courier._again_ms)
    assert len(moments) > 1


def test_without_contact_nothing_is_tried(tmp_path: Path) -> None:
    """Until the center can be asked no recording asks."""
    with whimsical() as (whim, port), Device(tmp_path, whim.answer, port=port) as device:
        device.courier.take(Contact(up=False))
        wait_for(lambda: not device.courier._up)
        device.add("i-1", size=5_000)
        device.courier.wake()
        device.courier.take(Contact(up=True))
        wait_for(lambda: device.courier._up)
        device.wait_empty()
        assert len(device.asked) == 1


def test_recordings_go_in_their_hours_only(tmp_path: Path) -> None:
    """With `upload_hours` what is recorded by day goes by night, local time."""
    night = (Hours(days=(1, 2, 3, 4, 5, 6, 7), begin="22:00", end="23:00"),)
    clock = ManualClock(now=datetime(2026, 11, 23, 14, 59, 49, tzinfo=UTC))
    with (
        whimsical() as (whim, port),
        Device(tmp_path, whim.answer, port=port, clock=clock, upload_hours=night) as device,
    ):
        device.add("i-1", size=5_000)
        clock.advance(10_000)
        looks = count_looks(device)
        wait_for(lambda: device.courier.wake() or next(looks) > 3)  # type: ignore[func-returns-value]
        assert device.asked == []
        clock.advance(2_000)
        device.courier.wake()
        device.wait_empty()


def test_a_clock_that_is_never_set_keeps_no_recording_for_ever(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With `upload_hours` and no clock the center hears after ten minutes that recordings wait; after an hour they go.

    As soon as the clock is set the hours count, and what is recorded by day waits for the night.
    """
    caplog.set_level(logging.INFO)
    night = (Hours(days=(1, 2, 3, 4, 5, 6, 7), begin="22:00", end="23:00"),)
    clock = ManualClock(synchronised=False)
    with (
        whimsical() as (whim, port),
        Device(tmp_path, whim.answer, port=port, clock=clock, upload_hours=night) as device,
    ):
        wait_for(lambda: device.courier._again_ms)
        device.add("i-1", size=5_000)
        tries: list[int] = []

        def tried() -> bool:
            device.courier.wake()
            return device.left() == set() or device.courier._failures > len(tries)

        while device.left():
            clock.advance(400_000)
            wait_for(tried)
            tries.append(clock.monotonic_ms())
            if len(tries) < 3:
                assert device.long == [], "ten minutes are not over"
            elif len(tries) == 3:
                wait_for(lambda: device.long == [True])
        assert 3_600_000 <= tries[-1] - tries[0] < 4_000_000
        wait_for(lambda: device.long == [True, False])
        clock.set_wall(datetime(2026, 11, 23, 5, 0, tzinfo=UTC))
        device.add("i-2", size=5_000)
        clock.advance(120_000)
        looks = count_looks(device)
        wait_for(lambda: device.courier.wake() or next(looks) > 3)  # type: ignore[func-returns-value]
        assert [wants.clip.id for wants in device.asked] == ["i-1"]
    assert lines(caplog) == [
        "recordings wait here: upload_hours is set, and this device's clock is not: after an hour they go at any time;"
        " trying again",
        "recordings go to the center again",
    ]


def count_looks(device: Device) -> Iterator[int]:
    """Yield how often the courier has looked whether it is time."""
    looked = itertools.count(1)
    seen = [0]
    before = device.courier._is_time

    def look() -> bool:
        found = before()
        seen[0] = next(looked)
        return found

    device.courier._is_time = look  # type: ignore[method-assign]
    while True:
        yield seen[0]


@pytest.mark.parametrize("damage", ["gone", "short", "long"])
def test_a_file_that_is_not_as_it_was_recorded_stays(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    """A file that somebody deleted or a card cut is no fault of the others; the log names it, once."""
    with whimsical() as (whim, port), Device(tmp_path, whim.answer, port=port) as device:
        device.courier.take(Contact(up=False))
        wait_for(lambda: not device.courier._up)
        device.add("i-new", size=5_000)
        device.add("i-old", size=5_000, age_s=10)
        video = device.folder.video("i-new")
        if damage == "gone":
            video.unlink()
        else:
            video.write_bytes(bytes(4_000 if damage == "short" else 6_000))
        device.courier.take(Contact(up=True))
        wait_for(lambda: device.left() == {"i-new"})
    (line,) = lines(caplog)
    assert line.startswith(f"the recording i-new stays here for now: its file {video}")


def test_a_center_that_is_not_trusted_is_one_line_that_names_the_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """However often it is tried, the operator reads once which file is wrong, and nothing is sent."""
    office, other = Office(tmp_path / "office"), Office(tmp_path / "other", "Motcua other")
    config = CameraConfig(source="picamera2", center="https://127.0.0.1:1", center_ca=str(office.root))
    with tls_door(other) as port:
        config = msgspec.structs.replace(config, center=f"https://127.0.0.1:{port}")
        with Device(tmp_path / "clips", Whim().answer, config=config) as device:
            device.add("i-1", size=5_000)
            device.courier.wake()
            wait_for(lambda: device.courier._failures >= 4)
            assert device.left() == {"i-1"}
    assert lines(caplog) == [
        f"recordings wait here: {config.center}: its certificate is of another authority than {office.root}"
        " (center_ca); trying again"
    ]


@contextmanager
def tls_door(office: Office) -> Iterator[int]:
    """Serve TLS with a certificate of this authority; nobody should get further than that."""
    import ssl

    paper = office.paper("center")
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(paper.certificate, paper.key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join(30)
        server.server_close()


def test_a_center_that_is_not_there_is_said_once_and_so_is_its_return(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody listens: one line, however often it is tried; and one when recordings go again."""
    caplog.set_level(logging.INFO)
    port = [free_port()]
    with (
        whimsical() as (whim, real),
        Road(lambda: port[0]) as road,
        Device(tmp_path, whim.answer, port=road.port) as device,
    ):
        device.add("i-1", size=5_000)
        device.courier.wake()
        wait_for(lambda: device.courier._failures >= 4)
        port[0] = real
        device.wait_empty()
    first, last = lines(caplog)
    assert first.startswith(f"recordings wait here: http://127.0.0.1:{road.port}: ")
    assert last == "recordings go to the center again"


def test_a_courier_is_told_to_end_in_the_middle_of_a_file(tmp_path: Path) -> None:
    """A center that takes a file and says nothing does not keep a camera from stopping."""
    import socket

    whim = Whim()
    with socket.create_server(("127.0.0.1", 0)) as door:
        with Device(tmp_path, whim.answer, port=door.getsockname()[1]) as device:
            device.add("i-1", size=1_000_000)
            device.courier.wake()
            link, _ = door.accept()
            heard = 0
            while heard < 1_000_000:
                heard += len(link.recv(65_536))
            clock = SystemClock()
            began_ms = clock.monotonic_ms()
        assert clock.monotonic_ms() - began_ms < 10_000
        link.close()
    assert device.left() == {"i-1"}


def test_a_newer_recording_goes_before_one_that_has_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After each part the newest comes first, and what has begun goes on where it was."""
    monkeypatch.setattr(module, "PART", 1_000)
    with whimsical() as (whim, port):
        device = Device(tmp_path, whim.answer, port=port)
        device.add("i-old", size=3_000, age_s=10)
        before = whim.do

        def do(request: BaseHTTPRequestHandler) -> None:
            if not whim.heard:
                device.add("i-new", size=2_000)
            before(request)

        whim.do = do  # type: ignore[method-assign]
        with device:
            device.courier.wake()
            device.wait_empty()
    assert [(path, offset) for _, path, offset in whim.heard] == [
        ("/i-old/shown", "0"),
        ("/i-new/shown", "0"),
        ("/i-new/shown", "1000"),
        ("/i-old/shown", "1000"),
        ("/i-old/shown", "2000"),
    ]
    assert len(device.asked) == 2


def test_a_fault_in_the_program_is_no_end_of_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What nobody thought of is logged with its trace and tried again; the camera goes on."""
    clock = ManualClock()
    with whimsical() as (whim, port), Device(tmp_path, whim.answer, port=port, clock=clock) as device:
        before, device.folder.start_of = device.folder.start_of, Whim.do  # type: ignore[method-assign, assignment]
        device.add("i-1", size=10)
        clock.advance(1_000)
        device.courier.wake()
        wait_for(lambda: device.courier._again_ms > clock.monotonic_ms())
        device.folder.start_of = before  # type: ignore[method-assign]
        clock.advance(600_000)
        device.courier.wake()
        device.wait_empty()
    assert [bool(record.exc_info) for record in caplog.records if record.name == module.__name__] == [True, False]


def test_many_damaged_files_hinder_nobody(tmp_path: Path) -> None:
    """More of them than may be on their way at a time; what is whole goes."""
    with whimsical() as (whim, port):
        device = Device(tmp_path, whim.answer, port=port)
        for number in range(OPEN + 2):
            device.add(f"i-{number}", size=10, age_s=number)
            device.folder.video(f"i-{number}").write_bytes(b"")
        device.add("i-whole", size=10, age_s=100)
        with device:
            wait_for(lambda: "i-whole" not in device.left())
    assert len(device.left()) == OPEN + 2


def test_the_oldest_goes_between_newer_ones(tmp_path: Path) -> None:
    """While a new recording comes for each that goes, the oldest is the fourth."""
    with whimsical() as (whim, port):
        device = Device(tmp_path, whim.answer, port=port)
        device.add("i-old", size=10, age_s=100)
        device.add("i-0", size=10, age_s=50)
        before = whim.do

        def do(request: BaseHTTPRequestHandler) -> None:
            if len(whim.heard) < 8:
                device.add(f"i-{len(whim.heard) + 1}", size=10, age_s=40 - len(whim.heard))
            before(request)

        whim.do = do  # type: ignore[method-assign]
        with device:
            device.courier.wake()
            device.wait_empty()
    paths = [path for _, path, _ in whim.heard]
    assert paths.index("/i-old/shown") == OLDEST_EVERY - 1


def test_no_more_files_are_begun_than_the_center_lets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where new recordings come faster than they go, what has begun is finished."""
    monkeypatch.setattr(module, "PART", 1_000)
    with whimsical() as (whim, port):
        device = Device(tmp_path, whim.answer, port=port)
        device.add("i-00", size=2_000, age_s=100)
        before = whim.do
        most = [0]

        def do(request: BaseHTTPRequestHandler) -> None:
            number = len(whim.heard) + 1
            if number <= 30:
                device.add(f"i-{number:02}", size=2_000, age_s=100 - number)
            before(request)
            most[0] = max(most[0], sum(0 < len(there) < 2_000 for there in whim.files.values()))

        whim.do = do  # type: ignore[method-assign]
        with device:
            device.courier.wake()
            device.wait_empty()
    assert most[0] == OPEN


# --- which one goes ------------------------------------------------------------------------------------------------


def lying(number: int, **fields: Any) -> Clip:
    """Return a recording of so many seconds after the first."""
    one = Clip(
        id=f"c-{number}", why="panic", held=False, start=START + timedelta(seconds=number), boot="b", start_ms=0,
        bytes=1, recording=False,
    )  # fmt: skip
    return msgspec.structs.replace(one, **fields)


def chosen(clips: Sequence[Clip], *, oldest: bool = False) -> tuple[str, str] | None:
    """Return which file goes."""
    found = choose(clips, lambda clip: clip.start, oldest=oldest)
    return None if found is None else (found[0].id, found[1])


def test_the_newest_goes_first_and_what_can_be_shown_before_what_is_sealed() -> None:
    """A supervisor can look at everything before the first sealed version is sent."""
    clips = [lying(number, sealed_bytes=5) for number in range(3)]
    assert chosen(clips) == ("c-2", "shown")
    clips[2] = lying(2, sealed_bytes=5, sent=True)
    assert chosen(clips) == ("c-1", "shown")
    clips = [msgspec.structs.replace(clip, sent=True) for clip in clips]
    assert chosen(clips) == ("c-2", "sealed")
    assert chosen(clips, oldest=True) == ("c-0", "sealed")
    assert chosen([lying(1, why=SERVICE), lying(2, recording=True)]) is None
    assert chosen([lying(1, why=SERVICE, held=True)]) == ("c-1", "shown")


@given(st.lists(st.booleans(), max_size=30), st.integers(1, 3))
def test_no_recording_waits_for_ever(sealed: list[bool], new_each_time: int) -> None:
    """However many newer ones come meanwhile, the oldest is through after a bounded number of files."""
    clips = [lying(number, sealed_bytes=int(each)) for number, each in enumerate(sealed)]
    wait = {clip.id for clip in clips}
    files = 0
    while wait:
        clips += [lying(100 + len(clips), sealed_bytes=1) for _ in range(new_each_time)]
        found = choose(clips, lambda clip: clip.start, oldest=files % OLDEST_EVERY == OLDEST_EVERY - 1)
        assert found is not None
        clip, file = found
        files += 1
        assert files <= OLDEST_EVERY * 2 * (len(sealed) + 1)
        clips.remove(clip)
        if file == "shown" and clip.sealed_bytes:
            clips.append(msgspec.structs.replace(clip, sent=True))
        else:
            wait.discard(clip.id)


@given(st.integers(8_000, 10_000_000), st.lists(st.tuples(st.integers(1, 32_768), st.integers(0, 500)), max_size=200))
def test_the_limit_holds_over_any_time(rate: int, pieces: list[tuple[int, int]]) -> None:
    """Whoever waits as told sends in no stretch of time more than the limit and a quarter of a second's worth."""
    throttle, now_ms, gone = Throttle(rate), 0.0, [(0.0, 0)]
    for size, pause_ms in pieces:
        now_ms += pause_ms
        now_ms += throttle.wait_ms(size, int(now_ms))
        gone.append((now_ms, gone[-1][1] + size))
    for at, (from_ms, before) in enumerate(gone):
        for to_ms, after in gone[at:]:
            # a piece that goes at the beginning of the stretch was paid for before it
            assert after - before <= rate * (to_ms - from_ms + 250 + 1) / 1000 + 32_768
