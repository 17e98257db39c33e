"""Looking through a camera with all programs real: center, broker, the camera's daemon and its desired state."""

import http.client
import signal
from pathlib import Path

import cv2
import numpy as np
import pytest

from contract.topics import Channel
from tests.support.brokers import Broker
from tests.support.center import CenterSide
from tests.support.lens import ADDRESS, Lens
from tests.support.program import Program
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.mosquitto, pytest.mark.e2e]


def still(center: Program) -> tuple[int, bytes]:
    """Ask for a picture; returns the answer's status and content."""
    connection = http.client.HTTPConnection("127.0.0.1", center.http_port, timeout=30)
    try:
        connection.request("GET", "/api/cameras/q01/still", headers={"Cookie": center.cookie()})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_a_supervisor_sees_what_the_camera_sees(mosquitto_broker: Broker, tmp_path: Path) -> None:
    """A picture comes from a camera that heard of it over the broker, and again after its center was killed."""
    for name in ("center", "camera"):
        (tmp_path / name).mkdir()
    center = Program(tmp_path / "center", "external", broker=mosquitto_broker)
    lens = Lens(tmp_path / "camera", mosquitto_broker, center.http_port)
    center.start()
    try:
        lens.start()
        with CenterSide(mosquitto_broker, ADDRESS) as wire:
            wait_for(lambda: wire.heard(Channel.REPORTED), timeout_s=30)
            wait_for(lambda: still(center)[0] != 404, timeout_s=30)
            status, picture = still(center)
            assert status == 200, (picture, lens.log())
            shown = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_GRAYSCALE)
            assert shown.shape == (160, 160)
            assert 90 < shown.mean() < 115
            assert b'"look":{"path":"/api/looks/' in wire.heard(Channel.DESIRED)[-1].payload
            center.end(signal.SIGKILL)
            center.start()
            wait_for(lambda: b'"look":null' in wire.heard(Channel.DESIRED)[-1].payload, timeout_s=30)
            status, picture = still(center)
            assert status == 200, (picture, lens.log())
        looked = center.rows("SELECT actor, object, detail FROM audit WHERE action = 'camera_looked'")
        assert set(looked) == {("person:quantri", "q01", "still")}
        assert lens.running()
    finally:
        lens.end(signal.SIGTERM)
        center.end(signal.SIGTERM)
    assert "cannot" not in lens.log()
