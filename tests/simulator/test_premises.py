"""The files that the simulator writes are files that the real programs read."""

import socket
from pathlib import Path

from center.config import read as read_center
from firmware.config import load as load_device
from firmware.devices.registry import KINDS
from simulator.premises import HOST, Premises, Timing, free_port, plan_counters, port_is_free


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


def test_a_port_in_use_is_not_free() -> None:
    """A port that somebody listens on is told from one that is free."""
    port = free_port()
    assert port_is_free(port)
    with socket.socket() as listener:
        listener.bind((HOST, port))
        listener.listen()
        assert not port_is_free(port)
