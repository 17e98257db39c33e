"""The whole check-up of a station, beside a real daemon, a real broker and a real serial line."""

import os
import pty
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from contract.codec import decode, encode
from contract.states import Status
from contract.topics import Address, Channel, center_address
from firmware.doctor import checks
from firmware.doctor.pins import Chip, Line
from host.doctor.examine import examine
from host.doctor.finding import Finding
from host.doctor.holders import Processes
from host.doctor.roots import Roots
from simulator.ports import free_port
from tests.support.brokers import Mosquitto
from tests.support.center import CenterSide
from tests.support.keys import Client, Site
from tests.support.waiting import wait_for

DISPLAY = Address(center="bentre", station="q01", device="display")


def found(
    config: Path, *, lines: Mapping[int, Line] | None = None, dev: Path | None = None
) -> dict[str, list[Finding]]:
    """Return what is found of a station's file, by check; `lines` are those of a simulated chip."""

    def read(node: Path, _wanted: Sequence[int]) -> Chip:
        return Chip(node, "pinctrl-bcm2711", 54, lines or {})

    looks = checks(config, roots=Roots() if dev is None else Roots(dev=dev), read_chip=read)
    sections = examine([replace(each, limit_s=90) for each in looks])
    return {section.check: list(section.findings) for section in sections}


def codes(findings: Sequence[Finding]) -> list[str]:
    """Return the codes of findings."""
    return [each.code for each in findings]


@pytest.fixture
def port() -> Iterator[Path]:
    """A serial line."""
    master, slave = pty.openpty()
    path = Path(os.ttyname(slave))
    os.close(slave)
    yield path
    os.close(master)


def written(folder: Path, broker_port: int, sections: str) -> Path:
    """Write a station's file."""
    file = folder / "station.toml"
    file.write_text(
        f'center = "bentre"\nstation = "q01"\nstate_dir = "{folder}/state"\n[broker]\nport = {broker_port}\n{sections}'
    )
    file.chmod(0o640)
    return file


@contextmanager
def repeating(word: Callable[[], object]) -> Iterator[None]:
    """Let a center say its word again and again, as a real one does every 5 s."""
    stop = threading.Event()

    def speak() -> None:
        while not stop.wait(0.1):
            word()

    thread = threading.Thread(target=speak)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@pytest.mark.mosquitto
def test_a_running_station_is_well_and_stays_so(mosquitto_broker: Mosquitto, tmp_path: Path, port: Path) -> None:
    """Beside a running display everything is ok; it keeps its connection, port and outbox."""
    config = written(tmp_path, mosquitto_broker.port, f'[device.display]\ncodec = "cd5220"\nport = "{port}"\n')
    command = [sys.executable, "-m", "motcua.cli", "device", "run", "display", "--config", str(config)]
    center = center_address("bentre")
    status = Status(state="online", version="0.1.0", bootid="b", since="2026-11-23T01:02:03Z")
    with CenterSide(mosquitto_broker, center) as wire, subprocess.Popen(command) as display:
        try:
            topic = DISPLAY.topic(Channel.STATUS)
            wait_for(lambda: [each for each in wire.everything() if each.topic == topic], timeout_s=30)
            wait_for(lambda: Processes(Path("/proc")).holding(port).by, timeout_s=30)
            with repeating(lambda: wire.say(Channel.STATUS, status)):
                sections = found(config)
            said = [decode(each.payload, Status).state for each in wire.everything() if each.topic == topic]
            assert said == ["online"]
            assert display.poll() is None
        finally:
            display.send_signal(signal.SIGTERM)
    assert codes(sections["configuration"]) == ["config-read"]
    assert codes(sections["serial ports"]) == ["port"]
    assert codes(sections["broker"]) == [
        "broker-answers", "broker-login", "center-online", "device-online", "device-connected",
    ]  # fmt: skip
    assert codes(sections["outboxes"]) == ["outbox"]
    assert f"(pid {display.pid})" in sections["outboxes"][0].says
    assert codes(sections["permissions"]) == ["folder"]
    assert "pins" not in sections


@pytest.mark.mosquitto
def test_each_device_is_tried_with_its_own_key(tmp_path: Path) -> None:
    """The center is heard by a device's own right, beside its daemon; a revoked and a missing key are named."""
    site = Site(tmp_path)
    keys = site.provision("q01/display", "q01/second", "q01/third")
    site.authority.revoke("q01", "second")
    (keys / "q01" / "third.pem").unlink()
    panels = "".join(
        f'[device.{name}]\nkind = "display"\ncodec = "screen"\n' for name in ("display", "second", "third")
    )
    config = written(tmp_path, site.port, f'keys_dir = "{keys}"\n{panels}')
    command = [sys.executable, "-m", "motcua.cli", "device", "run", "display", "--config", str(config)]
    status = encode(Status(state="online", version="0.1.0", bootid="b", since="2026-11-23T01:02:03Z"))
    with (
        site,
        Client(site, site.authority.center_file, subscribe=["motcua/#"]) as center,
        subprocess.Popen(command) as display,
    ):
        try:
            wait_for(lambda: DISPLAY.topic(Channel.STATUS) in {topic for topic, _ in center.heard}, timeout_s=30)
            with repeating(lambda: center.say(center_address("bentre").topic(Channel.STATUS), status)):
                sections = found(config)
            assert not [payload for topic, payload in center.heard if topic.endswith("/status") and b"lost" in payload]
            assert display.poll() is None
        finally:
            display.send_signal(signal.SIGTERM)
    assert codes(sections["broker, as display"]) == [
        "broker-answers", "certificate", "broker-login", "center-online", "device-online", "device-connected",
    ]  # fmt: skip
    (revoked,) = sections["broker, as second"]
    assert (revoked.code, "was revoked" in revoked.says) == ("broker-key-refused", True)
    assert "motcua provision renew q01" in revoked.do
    assert codes(sections["broker, as third"]) == ["broker-files"]
    assert codes(sections["certificates"]) == ["certificate"] * 3 + ["certificate-unread"]


def test_keys_that_systemd_hands_over_are_looked_for_where_it_has_them(tmp_path: Path) -> None:
    """A path below the credentials is that of the device's own unit, not of whoever runs the check-up."""
    config = written(
        tmp_path,
        free_port(),
        'ca_file = "$CREDENTIALS_DIRECTORY/root.pem"\n[device.display]\ncodec = "screen"\n',
    )
    (unread,) = found(config)["certificates"]
    assert "/run/credentials/motcua-device@display.service/root.pem" in unread.says


def test_a_station_that_does_not_run_yet(tmp_path: Path) -> None:
    """Before the first start: free pins, a missing port, a silent broker, no outbox; each one line."""
    config = written(
        tmp_path,
        free_port(),
        "[device.callpad]\nnext = {pin = 23, led = 12}\npause = {pin = 8, led = 21}\n"
        '[device.display]\ncodec = "cd5220"\nport = "/dev/no-such-port"\n',
    )
    (tmp_path / "gpiochip0").touch()
    free = Line(consumer="", used=False, is_input=True, pulled_up=None)
    spi = Line(consumer="spi0 CS0", used=True, is_input=False, pulled_up=None)
    sections = found(config, lines={23: free, 12: free, 8: spi, 21: free}, dev=tmp_path)
    assert codes(sections["pins"]) == ["pin-free", "pin-free", "pin-busy", "pin-free"]
    assert codes(sections["serial ports"]) == ["port-missing"]
    assert codes(sections["broker"]) == ["broker-silent"]
    assert codes(sections["outboxes"]) == ["outbox-none", "outbox-none"]
    assert codes(sections["permissions"]) == ["folder-missing"]
    for findings in sections.values():
        for each in findings:
            assert (each.level == "ok") != bool(each.do), each


def test_one_mistake_hides_no_other(tmp_path: Path) -> None:
    """A device whose section is wrong is named; the others are looked at all the same."""
    config = written(
        tmp_path,
        free_port(),
        '[device.rating]\nscale = 3\nbuttons = []\n[device.display]\ncodec = "screen"\n[device.lamp]\npin = 3\n',
    )
    sections = found(config)
    assert codes(sections["configuration"]) == ["config", "config", "config-read"]
    assert sections["configuration"][0].says == f"{config}: device.rating.scale: a text, got 3"
    assert "device.lamp.kind: one of" in sections["configuration"][1].says
    assert codes(sections["outboxes"]) == ["outbox-none"]


def test_a_network_camera_s_wrong_address_is_the_program_s_own_line(tmp_path: Path) -> None:
    """An address that is not one of RTSP is corrected in the file: no power or cable of a camera is to be checked."""
    config = written(tmp_path, free_port(), '[device.camera]\nsource = "rtsp"\naddress = "http://camera/live"\n')
    sections = found(config)
    (wrong,) = sections["configuration"]
    assert wrong.says == f"{config}: device.camera: address must be as rtsp://host/path for the source rtsp"
    assert "camera-silent" not in codes(sections["cameras"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "cannot be read: no such file or directory"),
        ("station = \n", "line 1, column 11: valid TOML, got: invalid value"),
        ('center = "bentre"\nstation = "Quầy 1"\n[device.rating]\n[device.display]\n', "station: 1 to 32 of a-z"),
        ('center = "bentre"\nstation = "q01"\n[device]\n', "device: at least one device, got none"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_problem(tmp_path: Path, text: str | None, said: str) -> None:
    """What is wrong above the devices is said once, and the machine itself is looked at all the same."""
    config = tmp_path / "station.toml"
    if text is not None:
        config.write_text(text)
    sections = found(config)
    (finding,) = sections["configuration"]
    assert (finding.code, finding.level) == ("config", "problem")
    assert f"{config}: {said}" in finding.says
    assert "memory" in sections
    assert "broker" not in sections
