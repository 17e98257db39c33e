"""A device's figures for Prometheus: off unless asked for, on loopback only, and never in the device's way."""

import json
import socket
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from contract.events import DeviceHealth
from firmware.config import load
from firmware.devices.registry import KINDS
from firmware.errors import ConfigError
from firmware.health import HealthProbe
from firmware.metrics import MetricsServer, render
from firmware.mqtt.outbox import Outbox
from simulator.ports import free_port
from tests.support.brokers import Broker
from tests.support.clock import ManualClock
from tests.support.pad import ADDRESS, Pad
from tests.support.waiting import wait_for

FILE = """
center = "bentre"
station = "q03"
state_dir = "/tmp"
[metrics]
port = 9101
[device.rating]
scale = "vn-3"
buttons = [{level = 1, pin = 17, led = 5}, {level = 2, pin = 27, led = 6}, {level = 3, pin = 22, led = 13}]
[device.callpad]
[device.display]
"""


def parsed(text: bytes) -> dict[str, float]:
    """Read figures as Prometheus would, strictly."""
    found = {}
    for family in text_string_to_metric_families(text.decode()):
        assert family.documentation
        assert family.type == "gauge"
        (sample,) = family.samples
        assert (sample.labels["station"], sample.labels["device"]) == (ADDRESS.station, ADDRESS.device)
        found[sample.name.removeprefix("motcua_device_")] = sample.value
    return found


def test_figures_are_what_the_device_measures() -> None:
    """Each figure is in base units; one that this hardware does not have is left out, and no text breaks the format."""
    health = DeviceHealth(
        outbox_depth=0, uptime_s=60, clocksynced=True, version='0.1 "x" \\', temperature_c=51.5, disk_free_mb=2
    )
    assert parsed(render(ADDRESS, health, 7, contact=False)) == {
        "info": 1,
        "contact": 0,
        "outbox_events": 7,
        "uptime_seconds": 60,
        "clock_synchronised": 1,
        "temperature_celsius": 51.5,
        "disk_free_bytes": 2 * 2**20,
    }
    assert "outbox_events" not in parsed(render(ADDRESS, health, None, contact=True))


@pytest.fixture
def make(tmp_path: Path) -> MetricsServer:
    """A server on a free port, over an outbox in which two events wait."""
    clock = ManualClock()
    outbox = Outbox(tmp_path, clock=clock, new_id=iter(map(str, range(99))).__next__)
    outbox.open()
    probe = HealthProbe(version="0.1.0", clock=clock, disk=tmp_path)
    for _ in range(2):
        outbox.append(probe.measure(outbox_depth=0))
    return MetricsServer(free_port(), address=ADDRESS, probe=probe, outbox=tmp_path / "outbox.db", contact=lambda: True)


def test_a_scrape_reads_the_outbox_beside_the_device(make: MetricsServer) -> None:
    """What waits is counted while the device has its outbox open; another path is not there; a stop frees the port."""
    make.start()
    try:
        with urlopen(f"http://127.0.0.1:{make.port}/metrics") as answer:
            assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
            found = parsed(answer.read())
        assert found["outbox_events"] == 2
        assert found["contact"] == 1
        assert found["memory_bytes"] > 1e6
        with pytest.raises(OSError, match="404"):
            urlopen(f"http://127.0.0.1:{make.port}/")
    finally:
        make.stop()
    with socket.create_server(("127.0.0.1", make.port or 0)):
        pass


def test_a_port_in_use_is_a_line_and_no_more(make: MetricsServer, caplog: pytest.LogCaptureFixture) -> None:
    """A device whose port for figures is taken works without them and says what to do."""
    with socket.create_server(("127.0.0.1", make._port)):
        make.start()
    assert make.port is None
    make.stop()
    assert "set [metrics] port to a free one" in caplog.text


def test_each_device_of_a_station_has_a_port_of_its_own(tmp_path: Path) -> None:
    """The first device of the file has the port, each next one the next; without the section there is none."""
    file = tmp_path / "station.toml"
    file.write_text(FILE)
    assert load(file, "rating", KINDS).metrics_port == 9101
    file.write_text(FILE.replace("[metrics]\nport = 9101\n", ""))
    assert load(file, "rating", KINDS).metrics_port is None
    reordered = FILE.replace("[device.callpad]\n", "").replace("[device.rating]", "[device.callpad]\n[device.rating]")
    file.write_text(reordered)
    assert load(file, "rating", KINDS).metrics_port == 9102
    file.write_text(FILE.replace("9101", "80"))
    with pytest.raises(ConfigError, match=r"metrics\.port: a TCP port from 1024 to 65000, got 80"):
        load(file, "rating", KINDS)


def test_an_idle_device_loads_nothing_of_it() -> None:
    """Whoever does not ask for figures does not pay for them: no HTTP server is in a device's memory."""
    code = "import json, sys, firmware.cli; print(json.dumps(sorted(sys.modules)))"
    loaded = json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
    assert "firmware.daemon" in loaded
    assert not {"http.server", "firmware.metrics", "socketserver"} & set(loaded)


def test_a_running_pad_tells_its_figures(mosquitto_broker: Broker, tmp_path: Path) -> None:
    """A pad whose file asks for it answers while it works, and says whether the center is in contact."""
    port = free_port()
    with Pad(tmp_path, mosquitto_broker, rating=f"[metrics]\nport = {port}") as pad:

        def contact() -> bool:
            try:
                with urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
                    return parsed(answer.read())["contact"] == 1
            except OSError:
                return False

        wait_for(contact, timeout_s=30)
        assert pad.pid
