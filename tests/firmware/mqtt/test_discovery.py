"""What Home Assistant is told: checked by what its documentation allows, and rendered with real messages."""

import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jinja2
import pytest

from contract.codec import encode
from contract.envelope import seal
from contract.events import DeviceHealth, Fact, RatingGiven
from contract.states import CallpadReported, DisplayReported, RatingReported, Status
from contract.topics import Address, Channel, discovery_topic
from firmware.mqtt.discovery import announcement
from tests.support.brokers import Broker
from tests.support.center import CenterSide
from tests.support.waiting import wait_for

ADDRESS = Address(center="ben-tre", station="q03", device="rating")
KINDS = ("rating", "callpad", "display")

# https://www.home-assistant.io/integrations/mqtt/#discovery-messages-and-schema and the pages of the platforms.
_AVAILABILITY = {"availability", "availability_mode", "availability_template", "availability_topic"}
_AVAILABILITY |= {"payload_available", "payload_not_available"}
DOCUMENT_KEYS = {"device", "origin", "components", "qos", "encoding", "state_topic", "command_topic"} | _AVAILABILITY
DEVICE_KEYS = {
    "configuration_url", "connections", "hw_version", "identifiers", "manufacturer", "model", "model_id", "name",
    "serial_number", "suggested_area", "sw_version", "via_device",
}  # fmt: skip
ORIGIN_KEYS = {"name", "sw_version", "support_url"}
_ENTITY_KEYS = _AVAILABILITY | {
    "platform", "unique_id", "name", "icon", "device_class", "enabled_by_default", "encoding", "entity_category",
    "entity_picture", "expire_after", "force_update", "json_attributes_template", "json_attributes_topic", "qos",
    "state_topic", "value_template", "default_entity_id", "object_id",
}  # fmt: skip
PLATFORM_KEYS = {
    "sensor": _ENTITY_KEYS
    | {"last_reset_value_template", "options", "state_class", "suggested_display_precision", "unit_of_measurement"},
    "binary_sensor": _ENTITY_KEYS | {"off_delay", "payload_off", "payload_on"},
}
REQUIRED = {"state_topic", "unique_id", "platform", "name"}
DEVICE_CLASSES = {"sensor": {"temperature", "data_size"}, "binary_sensor": {"connectivity", "problem"}}
UNITS = {"temperature": {"°C"}, "data_size": {"MB"}}


def document(kind: str = "rating") -> dict[str, Any]:
    """Return what is published of a kind of device."""
    found: dict[str, Any] = json.loads(announcement(ADDRESS, kind=kind, version="0.1.0")[1])
    return found


def rendered(component: dict[str, Any], payload: bytes) -> str:
    """Return what Home Assistant makes of a message: its templates are Jinja's."""
    return jinja2.Environment(autoescape=True).from_string(component["value_template"]).render(
        value_json=json.loads(payload)
    )  # fmt: skip


def event(fact: Fact) -> bytes:
    """Return an event as it is on the wire."""
    return seal(
        fact, event_id="e", source="/ben-tre/q03/rating", time=datetime(2026, 11, 23, tzinfo=UTC), sequence=1,
        stream="s", boot_id="b", monotonic_ms=1, clock_synced=True,
    )  # fmt: skip


def status(state: str) -> bytes:
    """Return a status."""
    return encode(Status(state=state, version="0.1.0", bootid="b", since="2026-11-23T01:02:03Z"))  # type: ignore[arg-type]


HEALTH = event(
    DeviceHealth(
        outbox_depth=7, uptime_s=1, clocksynced=True, version="0.1.0", temperature_c=51.5, throttled=True,
        disk_free_mb=900, memory_mb=24.5,
    )
)  # fmt: skip
RATED = event(RatingGiven(level=1, scale="vn-3", ticket="t", armed_for_ms=1, pressed_ms=2))


@pytest.mark.parametrize("kind", KINDS)
def test_every_key_is_documented_by_home_assistant(kind: str) -> None:
    """Document, device, origin and each component have the keys that Home Assistant knows, and those it needs."""
    found = document(kind)
    assert set(found) <= DOCUMENT_KEYS
    assert {"device", "origin", "components"} <= set(found)
    assert set(found["device"]) <= DEVICE_KEYS
    assert found["device"]["identifiers"]
    assert set(found["origin"]) <= ORIGIN_KEYS
    assert found["origin"]["name"]
    for component in found["components"].values():
        platform = component["platform"]
        assert set(component) <= PLATFORM_KEYS[platform]
        assert set(component) >= REQUIRED
        device_class = component.get("device_class")
        assert device_class in {None, *DEVICE_CLASSES[platform]}
        assert {component.get("unit_of_measurement")} <= UNITS.get(device_class, {None})


@pytest.mark.parametrize("kind", KINDS)
def test_every_entity_is_its_own_and_reads_the_device_s_own_topics(kind: str) -> None:
    """No two entities have one id, and none listens anywhere else."""
    components = document(kind)["components"]
    ids = [component["unique_id"] for component in components.values()]
    assert len(set(ids)) == len(ids)
    own = {ADDRESS.topic(channel) for channel in (Channel.STATUS, Channel.REPORTED, Channel.EVENT)}
    assert {component["state_topic"] for component in components.values()} <= own


def test_a_lost_device_has_no_figures() -> None:
    """Three states become Home Assistant's two: everything but the connection itself is unavailable unless online."""
    for name, component in document()["components"].items():
        if name == "connection":
            assert "availability" not in component
            assert [rendered(component, status(each)) for each in ("online", "offline", "lost")] == ["ON", "OFF", "OFF"]
            continue
        (given,) = component["availability"]
        assert given["topic"] == ADDRESS.topic(Channel.STATUS)
        said = [rendered(given, status(each)) for each in ("online", "offline", "lost")]
        assert said == ["online", "offline", "offline"]


def test_health_gives_figures_and_no_other_event_changes_them() -> None:
    """A figure is rendered from a health event; a rating renders to nothing, which Home Assistant ignores."""
    figures = {name: each for name, each in document()["components"].items() if each["state_topic"].endswith("/event")}
    assert {name: rendered(each, HEALTH) for name, each in figures.items()} == {
        "temperature_c": "51.5", "disk_free_mb": "900", "memory_mb": "24.5", "outbox_depth": "7", "power": "ON",
    }  # fmt: skip
    assert {rendered(each, RATED) for each in figures.values()} == {""}


def test_nothing_of_a_rating_is_shown() -> None:
    """Neither a level nor the counts of presses can be read off any entity."""
    for kind in KINDS:
        text = announcement(ADDRESS, kind=kind, version="0.1.0")[1].decode()
        assert "level" not in text
        assert "presses" not in text
        assert "rating.given" not in text


def test_trouble_is_told_in_its_own_word() -> None:
    """What troubles a device is its word, or none; a display tells also what it shows."""
    trouble = document()["components"]["trouble"]
    assert rendered(trouble, encode(RatingReported(revision=1, armed=None, trouble="stuck:2"))) == "stuck:2"
    assert rendered(trouble, encode(CallpadReported(revision=1))) == "none"
    shown = document("display")["components"]["text"]
    assert rendered(shown, encode(DisplayReported(revision=1, text="A007", proof="echoed"))) == "A007"
    assert "text" not in document("rating")["components"]


def test_two_devices_never_share_a_topic() -> None:
    """Hyphens within names do not make two addresses one."""
    one = Address(center="a-b", station="c", device="d")
    other = Address(center="a", station="b-c", device="d")
    assert discovery_topic(one) == "homeassistant/device/motcua_a-b_c_d/config"
    assert discovery_topic(one) != discovery_topic(other)


@pytest.mark.mosquitto
@pytest.mark.parametrize("asked", [True, False])
def test_a_daemon_announces_itself_if_its_file_says_so(mosquitto_broker: Broker, tmp_path: Path, asked: bool) -> None:
    """The announcement is kept by the broker for whoever comes later; without the key there is none."""
    config = tmp_path / "station.toml"
    config.write_text(
        f'center = "ben-tre"\nstation = "q03"\nstate_dir = "{tmp_path}"\n[broker]\nport = {mosquitto_broker.port}\n'
        f'home_assistant = {str(asked).lower()}\n[device.panel]\nkind = "display"\ncodec = "screen"\n'
    )
    command = [sys.executable, "-m", "motcua.cli", "device", "run", "panel", "--config", str(config)]
    panel = Address(center="ben-tre", station="q03", device="panel")
    with CenterSide(mosquitto_broker, panel) as wire, subprocess.Popen(command, env=os.environ) as daemon:
        try:
            wait_for(lambda: wire.heard(Channel.REPORTED) and wire.heard(Channel.STATUS), timeout_s=30)
        finally:
            daemon.send_signal(signal.SIGTERM)
    everything = Address(center="x", station="x", device="x", root="homeassistant")
    with CenterSide(mosquitto_broker, everything) as late:
        if not asked:
            late.say(Channel.STATUS, b"the end")
        heard = wait_for(late.everything)
    if asked:
        assert (heard[0].topic, heard[0].retained) == ("homeassistant/device/motcua_ben-tre_q03_panel/config", True)
        assert json.loads(heard[0].payload)["device"]["model"] == "display"
    else:
        assert [each.payload for each in heard] == [b"the end"]
