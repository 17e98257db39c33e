"""The units on a real systemd: installed, watched, logged, and on a root that nobody can write."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.vm.center import Center, wait_for
from tests.vm.line import Line
from tests.vm.machine import Machine
from tests.vm.pad import BUTTONS, BUZZER, HOST, LIGHTS, UNIT, Hand, Pad
from tests.vm.software import PREFIX

pytestmark = [pytest.mark.vm, pytest.mark.mosquitto, pytest.mark.timeout(900)]

SLOW_S = 60
HERE = Path(__file__).parent
FAULTS = "/usr/local/lib/rig/faults"
DISPLAY = "motcua-device@display.service"
SECOND = "motcua-device@second.service"
SECOND_PINS, SECOND_LIGHTS, SECOND_BUZZER = {1: 23, 2: 24, 3: 25}, {1: 12, 2: 16, 3: 20}, 21

STATION = f"""\
center = "bentre"
station = "q03"

[broker]
host = "{HOST}"
port = {{port}}
keepalive_s = 5

[device.rating]
scale = "vn-3"
mode = "open"
lockout_ms = 0
buttons = {{buttons}}
buzzer = {BUZZER}

[device.second]
kind = "rating"
scale = "vn-3"
mode = "open"
lockout_ms = 0
buttons = {{second_buttons}}
buzzer = {SECOND_BUZZER}

[device.display]
codec = "cd5220"
port = "/dev/ttyS1"
refresh_s = 1
"""

DROP_IN = f"""\
[Service]
Environment=PYTHONPATH={FAULTS} RIG_FAULT={{fault}}
"""


@dataclass(frozen=True)
class Station:
    """A counter with two pads and a display; each can be given one fault."""

    machine: Machine
    line: Line

    def show(self, unit: str, name: str) -> str:
        """Return a property of a unit."""
        return self.machine.run(f"systemctl show {unit} --property={name} --value").strip()

    def journal(self) -> str:
        """Return what all devices said."""
        return self.machine.run("journalctl --unit='motcua-device@*' --output=short-monotonic --no-pager | tail -200")

    def entries(self, unit: str) -> list[dict[str, Any]]:
        """Return what a device itself said since it was started, with all fields."""
        run = self.show(unit, "InvocationID")
        said = self.machine.run(f"journalctl _SYSTEMD_INVOCATION_ID={run} --output=json --no-pager")
        return [json.loads(line) for line in said.splitlines()]


@pytest.fixture(scope="module")
def station(machine: Machine, center: Center, request: pytest.FixtureRequest) -> Iterator[Station]:
    """The counter, started."""
    request.getfixturevalue("installed")
    units = {UNIT: "loop", SECOND: "network", DISPLAY: "port"}
    machine.put(
        f"{FAULTS}/sitecustomize.py", Path(__file__).with_name("faults").joinpath("sitecustomize.py").read_bytes()
    )
    write_configuration(machine, center)
    for unit, fault in units.items():
        machine.put(f"/etc/systemd/system/{unit}.d/fault.conf", DROP_IN.format(fault=fault))
    machine.run(f"{PREFIX}/bin/motcua install-units --device")
    line = Line(machine.line)
    try:
        machine.run(f"systemctl restart {' '.join(units)}", timeout_s=120)
        yield Station(machine, line)
    finally:
        print(machine.run("journalctl --unit='motcua-device@*' --output=short-monotonic --no-pager | tail -60"))
        line.close()
        machine.run(f"systemctl stop {' '.join(units)}; rm -r /etc/systemd/system/motcua-device@*.service.d/fault.conf")
        machine.run("systemctl daemon-reload")


def write_configuration(machine: Machine, center: Center) -> None:
    """Write the station's file."""
    text = STATION.format(
        port=center.mqtt_port, buttons=buttons(BUTTONS, LIGHTS), second_buttons=buttons(SECOND_PINS, SECOND_LIGHTS)
    )
    machine.put("/etc/motcua/station.toml", text)


def buttons(pins: dict[int, int], lights: dict[int, int]) -> str:
    """Return the buttons of a pad as its configuration has them."""
    return f"[{', '.join(f'{{level = {level}, pin = {pin}, led = {lights[level]}}}' for level, pin in pins.items())}]"


def test_installing_can_be_undone_and_done_again(pad: Pad, center: Center, machine: Machine) -> None:
    """Uninstalling stops and removes all but the data; installing starts it again, its rule gives the pins."""
    pad.configure(port=center.mqtt_port, mode="open")
    machine.run(f"systemctl enable --now {UNIT}", timeout_s=90)
    machine.run(f"{PREFIX}/bin/motcua install-units --uninstall", timeout_s=120)
    assert (pad.show("ActiveState"), pad.show("LoadState")) == ("inactive", "not-found")
    left = "ls /etc/systemd/system/*.wants/motcua* /etc/*/motcua.conf /etc/udev/rules.d/*motcua* 2>/dev/null"
    assert machine.run(left, check=False) == ""
    machine.run("ls -d /var/lib/motcua /etc/motcua/station.toml")
    machine.run("rm -f /etc/udev/rules.d/99-gpio.rules && chgrp root /dev/gpiochip0 && chmod 600 /dev/gpiochip0")
    machine.run(f"{PREFIX}/bin/motcua install-units --device rating --enable", timeout_s=120)
    assert machine.run("stat -c %G:%a /dev/gpiochip0").strip() == "gpio:660"
    assert (pad.show("ActiveState"), pad.show("UnitFileState")) == ("active", "enabled")
    said = machine.run("journalctl --unit=systemd-udevd --output=cat --no-pager")
    assert "motcua" not in said, said
    machine.run(f"systemctl disable {UNIT}")


def test_a_root_that_is_read_only_is_enough(pad: Pad, center: Center, hand: Hand, machine: Machine) -> None:
    """With a place of its own for its state a pad starts, stores and logs while nobody can write the root."""
    pad.configure(port=center.mqtt_port, mode="open", more="lockout_ms = 0")
    pad.stop()
    known, since = len(center.ratings()), pad.cursor()
    machine.run("mount -t tmpfs -o mode=755 state /var/lib/motcua && sync && mount -o remount,ro /")
    try:
        assert "Read-only file system" in machine.run("touch /var/lib/proof", check=False)
        assert "/var/lib/motcua" in pad.show("RequiresMountsFor")
        pad.restart()
        press_until_heard(hand, 17, BUZZER)
        wait_for(lambda: len(center.ratings()) > known, timeout_s=SLOW_S, what="a rating", log=pad.journal)
        pad.restart()
        press_until_heard(hand, 22, BUZZER)
        wait_for(lambda: len(center.ratings()) > known + 1, timeout_s=SLOW_S, what="a rating", log=pad.journal)
    finally:
        pad.stop()
        machine.run("mount -o remount,rw / && umount /var/lib/motcua")
    assert [level for _, level in center.ratings()[known:]] == [1, 3]
    assert pad.journal(since).count("connected to the broker") == 2


def test_the_journal_has_fields(station: Station) -> None:
    """An entry names priority, logger, place in the code, center, station and device, for whoever reads JSON."""
    start = next(entry for entry in station.entries(SECOND) if " starts" in entry["MESSAGE"])
    wanted = {
        "PRIORITY": "6",
        "SYSLOG_IDENTIFIER": "motcua",
        "LOGGER": "firmware.cli",
        "CODE_FUNC": "run",
        "MOTCUA_CENTER": "bentre",
        "MOTCUA_STATION": "q03",
        "MOTCUA_DEVICE": "second",
        "_TRANSPORT": "journal",
        "_SYSTEMD_UNIT": SECOND,
    }
    assert {name: start.get(name) for name in wanted} == wanted
    assert start["MESSAGE"].startswith("/bentre/q03/second starts as rating")
    by_field = station.machine.run("journalctl MOTCUA_DEVICE=second --output=cat --no-pager")
    assert start["MESSAGE"] in by_field


def test_a_line_that_is_held_up_is_named_and_heals_by_itself(station: Station) -> None:
    """A serial line whose other end takes nothing is named, without a restart; the picture is back when it goes on."""
    wait_for(lambda: station.line.taken() > 0, timeout_s=SLOW_S, what="a picture on the line", log=station.journal)
    pid = station.show(DISPLAY, "MainPID")
    station.line.hold_up()
    # The buffers between the machine and the test hold seconds of a display's bytes: fill them at once.
    station.machine.run("timeout 5 dd if=/dev/zero of=/dev/ttyS1 bs=4096 count=1 2>/dev/null", check=False)
    wait_for(lambda: "takes no bytes" in station.journal(), timeout_s=SLOW_S, what="the warning", log=station.journal)
    station.line.let_go()
    wait_for(lambda: "the panel is back" in station.journal(), timeout_s=SLOW_S, what="the panel", log=station.journal)
    assert station.show(DISPLAY, "MainPID") == pid


def test_what_hangs_or_dies_ends_in_a_restart(station: Station, center: Center, hand: Hand, figures: list[str]) -> None:
    """A hung loop, a dead network thread, a port that never returns: each daemon is back, the next press is stored."""
    pids = {unit: station.show(unit, "MainPID") for unit in (UNIT, SECOND, DISPLAY)}
    wait_for(lambda: station.line.taken() > 0, timeout_s=SLOW_S, what="a picture on the line", log=station.journal)
    known = len(center.ratings())
    began_ns = hand.ask(do="time")["time_ns"]
    station.machine.run(f"systemctl kill --signal=USR1 {UNIT} {SECOND} {DISPLAY}")
    took = {}

    def all_back() -> bool:
        for unit in pids.keys() - took.keys():
            if station.show(unit, "ActiveState") == "active" and station.show(unit, "MainPID") not in ("0", pids[unit]):
                took[unit] = (hand.ask(do="time")["time_ns"] - began_ns) / 1e9
        return took.keys() == pids.keys()

    wait_for(all_back, timeout_s=120, what="three restarts", log=station.journal, every_s=0.5)
    figures.append(f"hung loop → active again: {took[UNIT]:.0f} s")
    figures.append(f"dead network thread → active again: {took[SECOND]:.0f} s")
    figures.append(f"port that never returns → active again: {took[DISPLAY]:.0f} s")
    said = station.journal()
    assert "Watchdog timeout" in said
    assert "the network thread has ended, or hangs" in said
    assert "a thread of the device's driver has ended, or hangs" in said
    taken = station.line.taken()
    wait_for(lambda: station.line.taken() > taken, timeout_s=SLOW_S, what="the picture again", log=station.journal)
    press_until_heard(hand, 27, BUZZER)
    press_until_heard(hand, SECOND_PINS[3], SECOND_BUZZER)
    wait_for(lambda: len(center.ratings()) >= known + 2, timeout_s=SLOW_S, what="2 ratings", log=station.journal)
    assert [level for _, level in center.ratings()[known:]] == [2, 3]


def test_a_wrong_configuration_is_an_error_in_the_journal(station: Station, center: Center) -> None:
    """`journalctl -p err` shows why a device does not start."""
    station.machine.put("/etc/motcua/station.toml", 'center = "bentre"\nstation = "q03"\nsurprise = 1\n')
    station.machine.run(f"systemctl restart {SECOND}", check=False)
    wait_for(
        lambda: station.show(SECOND, "ActiveState") == "failed", timeout_s=SLOW_S, what="the end", log=station.journal
    )
    assert station.show(SECOND, "ExecMainStatus") == "2"
    worst = [entry for entry in station.entries(SECOND) if int(entry["PRIORITY"]) <= 3]
    assert any("surprise" in entry["MESSAGE"] for entry in worst), worst
    write_configuration(station.machine, center)


def press_until_heard(hand: Hand, pin: int, buzzer: int) -> None:
    """Press once more if need be: a daemon that has just started may not have its lines yet."""
    for _ in range(20):
        answer = hand.ask(
            do="press",
            pin=pin,
            lamps=[buzzer],
            bounces=[],
            closed_ms=150,
            watch_ms=2000,
            after=[buzzer, 250],
            wait_dark=None,
        )
        if any(line == buzzer and lit for line, lit, _ in answer["changes"]):
            return
    raise AssertionError("no press was heard")
