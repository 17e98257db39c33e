"""The files that the simulator writes are files that the real programs read."""

import socket
from dataclasses import replace
from pathlib import Path

import pytest

from center.config import read as read_center
from firmware.config import load as load_device
from firmware.devices.camera.config import CameraConfig
from firmware.devices.registry import KINDS
from host.sealing import public_text, read_private_key
from simulator.ports import HOST, free_port, port_is_free
from simulator.premises import CameraPlace, Premises, Timing, plan_counters


def premises(tmp_path: Path) -> Premises:
    """A center of three counters in a folder."""
    return Premises(
        folder=tmp_path,
        run=tmp_path / "r",
        http_port=8081,
        mqtt_port=1884,
        counters=plan_counters(3),
        timing=Timing(arm_seconds=7, callpad_lockout_ms=300),
    )


def test_the_center_reads_its_file(tmp_path: Path) -> None:
    """The center takes the written configuration, with the ports, services and counters of the premises."""
    place = premises(tmp_path)
    place.write()
    config = read_center(place.center_config)
    assert (config.http.port, config.broker.port, config.broker.kind) == (8081, 1884, "external")
    assert [counter.id for counter in config.counters()] == ["q01", "q02", "q03"]
    assert [service.letter for service in config.services()] == list("ABCDEF")
    assert config.rating.arm_seconds == 7


def test_each_device_reads_its_file(tmp_path: Path) -> None:
    """Rating pad, call pad and display of every counter take the written configuration."""
    place = premises(tmp_path)
    place.write()
    for counter in place.counters:
        for device in ("rating", "callpad", "display"):
            config = load_device(place.station_config(counter.id), device, KINDS)
            assert (config.kind, config.address.station, config.broker.port) == (device, counter.id, 1884)


@pytest.mark.parametrize("video", [None, "street.avi"])
def test_a_camera_reads_its_file(tmp_path: Path, video: str | None) -> None:
    """The camera takes its table too: a drawn room or a video, without an end, and the center's own address."""
    place = replace(premises(tmp_path), camera=CameraPlace(counter="q02", video=Path(video) if video else None))
    place.write()
    config = load_device(place.station_config("q02"), "camera", KINDS)
    assert isinstance(config.options, CameraConfig)
    assert config.options.address == (video or str(place.lens_pipe))
    assert (config.options.loop, config.options.center) == (True, place.base_url)
    assert {zone.name for zone in config.options.zones} == {"citizen", "officer"}
    assert bool(config.options.masks) == (video is None)
    pem = Path(read_center(place.center_config).clips.reveal_key_file or "").read_text("utf-8")
    assert config.options.center_key == public_text(read_private_key(pem))
    assert "device.camera" not in place.station_config("q01").read_text()


def test_a_port_in_use_is_not_free() -> None:
    """A port that somebody listens on is told from one that is free."""
    port = free_port()
    assert port_is_free(port)
    with socket.socket() as listener:
        listener.bind((HOST, port))
        listener.listen()
        assert not port_is_free(port)
