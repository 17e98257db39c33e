"""A camera's whole way with the real program: leave over MQTT, the file over HTTP, and a kill in the middle of it."""

import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from contract.requests import Reply
from contract.topics import Address
from tests.center.cameras.test_uploads import CONTENT, begun, clip, headers
from tests.support.brokers import Mosquitto
from tests.support.device import DeviceSide
from tests.support.program import Program
from tests.support.waiting import wait_for

CAMERA = Address(center="bentre", station="q01", device="camera")
ARGS: dict[str, Any] = {"clip": clip(), "file": "shown", "why": "officer_absent"}


@pytest.fixture
def program(tmp_path: Path, make_mosquitto: Callable[..., Mosquitto]) -> Iterator[Program]:
    """A center whose broker outlives it."""
    disk = shutil.disk_usage(tmp_path)
    if disk.free < disk.total * 0.06:
        pytest.skip(f"{tmp_path}: the center keeps a twentieth of the disk free; free some space")
    one = Program(tmp_path, "external", broker=make_mosquitto())
    with one.config.open("a", encoding="utf-8") as file:
        file.write("[clips]\nspare_gb = 0\n")
    yield one
    one.end(signal.SIGKILL)


@pytest.mark.mosquitto
@pytest.mark.e2e
@pytest.mark.long
def test_an_upload_outlives_a_kill_of_the_center(program: Program) -> None:
    """Killed in the middle of a PATCH, the center knows token and offset again, and the file comes whole."""
    program.start()
    with DeviceSide("127.0.0.1", program.mqtt_port, CAMERA) as camera:
        reply = camera.ask("upload", args=ARGS)
        leave = reply.upload
        assert leave is not None, reply
        half = program.folder / "data" / "clips" / "uploads" / leave.path.rpartition("/")[2]
        with closing(begun(program.http_port, leave, 0)) as link:
            link.sendall(CONTENT[:400_000])
            wait_for(lambda: half.exists() and half.stat().st_size >= 262_144)
            program.end(signal.SIGKILL)
        assert program.rows("SELECT arrived_at FROM clip") == [(None,)]
        program.start()
        with httpx.Client(base_url=f"http://127.0.0.1:{program.http_port}") as client:
            at = int(client.head(leave.path, headers=headers(leave)).headers["upload-offset"])
            assert 262_144 <= at == half.stat().st_size <= 400_000
            done = client.patch(leave.path, content=CONTENT[at:], headers=headers(leave, at))
            assert (done.status_code, done.headers["upload-offset"]) == (204, str(len(CONTENT)))
        again: Reply = camera.ask("upload", args=ARGS)
        assert again.upload is not None
        assert again.upload.offset == len(CONTENT)
    sha256 = clip().sha256
    file = program.folder / "data" / "clips" / sha256[:2] / sha256[2:4] / sha256
    assert file.read_bytes() == CONTENT
    (row,) = program.rows("SELECT why, arrived_at IS NOT NULL FROM clip")
    assert row == ("officer_absent", 1)
