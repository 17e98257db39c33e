"""A camera's ask on the wire: who asks is known by the topic, and the answer comes as a reply."""

from collections.abc import Callable
from typing import Any

import pytest

from center.config import Config
from center.hall import Hall
from center.ingest.ingest import Ingest
from contract.events import Clip
from contract.requests import Reply, Request, Upload
from contract.topics import Address
from tests.center.conftest import with_broker
from tests.support.brokers import Broker
from tests.support.device import DeviceSide
from tests.support.waiting import wait_for

CAMERA = Address(center="bentre", station="q01", device="camera")
CLIP = Clip(id="c-1", start="2026-11-23T01:02:00Z", seconds=9.5, bytes=7, sha256="ab" * 32)


@pytest.mark.mosquitto
def test_a_camera_is_answered_by_whoever_takes_recordings(config: Config, hall: Hall, mosquitto_broker: Broker) -> None:
    """The ask goes on with the station and device of its topic; while nobody takes recordings it is told to wait."""
    ingest = Ingest(with_broker(config, mosquitto_broker.host, mosquitto_broker.port), hall)
    ingest.start()
    asked: list[tuple[str, str, Request]] = []
    leave = Upload(path="/api/uploads/x", token="t0ken", offset=3)  # noqa: S106

    def take(station: str, device: str, request: Request, answer: Callable[[Reply], None]) -> None:
        asked.append((station, device, request))
        answer(Reply(id=request.id, ok=True, upload=leave))

    args: dict[str, Any] = {"clip": CLIP, "file": "sealed"}
    try:
        wait_for(ingest.connected)
        with DeviceSide(mosquitto_broker.host, mosquitto_broker.port, CAMERA) as camera:
            early = camera.ask("upload", args=args)
            assert (early.ok, early.code) == (False, "stopping")
            ingest.upload = take
            assert camera.ask("upload", args=args).upload == leave
    finally:
        ingest.stop()
    ((station, device, request),) = asked
    assert (station, device, request.args.clip, request.args.file) == ("q01", "camera", CLIP, "sealed")
