"""The check-up on a real kernel, beside a daemon that runs as a unit."""

import json
from typing import Any

import pytest

from tests.vm.center import Center, Listener, wait_for
from tests.vm.machine import Machine
from tests.vm.pad import Pad
from tests.vm.software import PREFIX
from tests.vm.test_rating_pad import start

pytestmark = [pytest.mark.vm, pytest.mark.mosquitto, pytest.mark.timeout(900)]

LINES = 7
"""Three contacts, three lights and a buzzer."""


def findings(machine: Machine) -> dict[str, list[dict[str, Any]]]:
    """Return what root is told in the machine, by check."""
    said = machine.run(f"{PREFIX}/bin/motcua doctor --json", check=False)
    found: dict[str, list[dict[str, Any]]] = {}
    for each in json.loads(said)["findings"]:
        found.setdefault(each["check"], []).append(each)
    return found


def codes(found: list[dict[str, Any]]) -> list[str]:
    """Return the codes of findings."""
    return [each["code"] for each in found]


def test_a_running_pad_is_well_by_the_kernel_s_own_word(
    pad: Pad, machine: Machine, center: Center, listener: Listener
) -> None:
    """Each line is the daemon's, its unit runs, its outbox is whole, the broker knows it; it hears nothing of it."""
    pad.configure(port=center.mqtt_port, mode="open")
    start(pad, listener)
    since = pad.cursor()
    found = findings(machine)
    assert codes(found["pins"]) == ["pin"] * LINES, found["pins"]
    assert all("motcua-device@rating" in each["says"] for each in found["pins"])
    assert [each["says"].endswith("pulled up") for each in found["pins"]].count(True) == 3
    assert codes(found["broker"]) == [
        "broker-answers", "broker-login", "center-online", "device-online", "device-connected",
    ]  # fmt: skip
    assert codes(found["outboxes"]) == ["outbox"]
    assert "motcua-device@rating" in found["outboxes"][0]["says"]
    assert codes(found["units"])[0] == "unit", found["units"]
    assert "problem" not in {each["level"] for name in ("configuration", "permissions") for each in found[name]}
    assert pad.journal(since).strip() in ("", "-- No entries --")


def test_a_line_that_another_program_holds_is_named(pad: Pad, machine: Machine, center: Center) -> None:
    """While the pad is stopped its lines are free, but for the one that gpiomon watches."""
    pad.configure(port=center.mqtt_port, mode="open")
    pad.stop()
    machine.run("systemd-run --quiet --unit=stranger gpiomon gpiochip0 27")
    try:
        wait_for(lambda: "gpiomon" in machine.run("gpioinfo gpiochip0"), timeout_s=30, what="the stranger")
        found = findings(machine)
    finally:
        machine.run("systemctl stop stranger", check=False)
    by_line = {each["says"].split(" (")[0]: each for each in found["pins"]}
    assert len(by_line) == LINES
    assert by_line.pop("GPIO 27")["code"] == "pin-busy"
    assert set(codes(list(by_line.values()))) == {"pin-free"}
    assert codes(found["units"])[0] == "unit-stopped"
