"""The display's daemon as a process, with a real broker and a panel on a pseudo-terminal."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest

from simulator.panels import ModbusLedPanel
from tests.support.brokers import Broker
from tests.support.program import Program
from tests.support.waiting import wait_for

TOPIC = "motcua/v1/bentre/q03/display"
STALE_AFTER_S = 5

pytestmark = pytest.mark.mosquitto


class Center:
    """A center as the broker sees it: it wants, and it hears."""

    def __init__(self, broker: Broker) -> None:
        self.reported: list[dict[str, Any]] = []
        self.facts: list[dict[str, Any]] = []
        self._client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
        self._client.on_connect = lambda client, *_: client.subscribe([(f"{TOPIC}/reported", 1), (f"{TOPIC}/event", 1)])
        self._client.on_message = self._hear
        self._client.connect(broker.host, broker.port)
        self._client.loop_start()

    def want(self, **desired: object) -> None:
        """Publish the retained desired state."""
        self._client.publish(f"{TOPIC}/desired", json.dumps(desired), qos=1, retain=True).wait_for_publish(5)

    def is_(self, state: str) -> None:
        """Say of the center itself how it is."""
        status = {"state": state, "version": "1", "bootid": "b", "since": "x"}
        info = self._client.publish("motcua/v1/bentre/center/hall/status", json.dumps(status), qos=1, retain=True)
        info.wait_for_publish(5)

    def close(self) -> None:
        """Go."""
        self._client.disconnect()
        self._client.loop_stop()

    def _hear(self, _client: object, _userdata: object, message: mqtt.MQTTMessage) -> None:
        content = json.loads(message.payload)
        if message.topic.endswith("/reported"):
            self.reported.append(content)
        elif content["type"] == "vn.motcua.display.shown.v1":
            self.facts.append(content["data"])


@pytest.fixture
def panel(tmp_path: Path) -> Iterator[ModbusLedPanel]:
    """A plugged-in panel."""
    made = ModbusLedPanel(tmp_path / "panel")
    made.plug()
    yield made
    made.close()


@pytest.fixture
def station() -> str:
    """Where the display stands."""
    return "q03"


@pytest.fixture
def daemon(
    tmp_path: Path, panel: ModbusLedPanel, mosquitto_broker: Broker, station: str
) -> Iterator[subprocess.Popen[bytes]]:
    """The daemon, running."""
    config = tmp_path / "motcua.toml"
    config.write_text(
        f'center = "bentre"\nstation = "{station}"\nstate_dir = "{tmp_path / "state"}"\n'
        f"[broker]\nport = {mosquitto_broker.port}\n"
        f'[device.display]\ncodec = "modbus-led"\nport = "{panel.path}"\nstale_after_s = {STALE_AFTER_S}\n',
        encoding="utf-8",
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "motcua.cli", "device", "run", "display", "--config", str(config)]
    )
    yield process
    process.terminate()
    assert process.wait(30) == 0


@pytest.fixture
def center(tmp_path: Path, mosquitto_broker: Broker) -> Iterator[Program]:
    """A real center on that broker, which outlives it."""
    (tmp_path / "center").mkdir()
    program = Program(tmp_path / "center", "external", broker=mosquitto_broker)
    program.start()
    yield program
    program.end(signal.SIGKILL)


@pytest.mark.parametrize("station", ["q01"])
def test_a_number_does_not_outlive_its_center(
    center: Program, daemon: subprocess.Popen[bytes], panel: ModbusLedPanel
) -> None:
    """A killed center leaves the number for stale_after_s, though the broker lives; with the center it comes back."""
    center.post("/api/counters/q01/open", "1", {})
    center.post("/api/tickets", "2", {"service": "dat-dai"})
    center.post("/api/counters/q01/call_next", "3", {})
    panel.wait_for("A001")

    shown = len(panel.history)
    gone_at = time.monotonic()
    center.end(signal.SIGKILL)
    panel.wait_for("-    -", STALE_AFTER_S + 30, since=shown)
    assert time.monotonic() - gone_at >= STALE_AFTER_S - 0.1

    shown = len(panel.history)
    center.start()
    panel.wait_for("A001", since=shown)
    assert daemon.poll() is None


def test_a_center_that_restarts_does_not_make_the_number_flicker(
    daemon: subprocess.Popen[bytes], panel: ModbusLedPanel, mosquitto_broker: Broker
) -> None:
    """A stop, a start and the same word again leave the glass as it is, also beyond what would have been too long."""
    center = Center(mosquitto_broker)
    call = {"revision": 17, "state": "calling", "number": "A007", "counter": "3", "blink": False}
    center.want(**call)
    center.is_("online")
    panel.wait_for("A007")
    shown = len(panel.history)
    center.is_("offline")
    time.sleep(STALE_AFTER_S / 2)
    center.is_("online")
    center.want(**call)
    time.sleep(STALE_AFTER_S / 2 + 1)
    assert [change.text for change in panel.history[shown:]] == []
    assert panel.shown == "A007"
    assert daemon.poll() is None
    center.close()


def test_a_number_lives_as_long_as_somebody_vouches_for_it(
    daemon: subprocess.Popen[bytes], panel: ModbusLedPanel, mosquitto_broker: Broker
) -> None:
    """A call is shown, reported and recorded once; without contact the offline sign follows; contact brings it back."""
    center = Center(mosquitto_broker)
    center.want(revision=17, state="calling", number="A007", counter="3", blink=False)
    panel.wait_for("A007")
    wait_for(lambda: center.reported and center.reported[-1]["text"] == "A007")
    assert center.reported[-1] == {"revision": 17, "text": "A007", "proof": "echoed", "trouble": None}
    wait_for(lambda: center.facts)
    assert (center.facts[0]["revision"], center.facts[0]["proof"]) == (17, "echoed")

    shown = len(panel.history)
    lost_at = time.monotonic()
    mosquitto_broker.kill()
    panel.wait_for("-    -", STALE_AFTER_S + 30, since=shown)
    assert time.monotonic() - lost_at >= STALE_AFTER_S - 0.1
    center.close()

    shown = len(panel.history)
    mosquitto_broker.start()
    center = Center(mosquitto_broker)
    time.sleep(0.5)
    assert panel.shown == "-    -"  # contact alone proves nothing
    center.want(revision=17, state="calling", number="A007", counter="3", blink=False)
    panel.wait_for("A007", 40, since=shown)
    wait_for(lambda: center.reported and center.reported[-1]["trouble"] is None)
    assert daemon.poll() is None
    center.close()
