"""GPIO lines: what the kernel says of each, against what the file wants."""

import struct
from collections.abc import Sequence
from pathlib import Path

import pytest

from firmware.devices.callpad.config import CallpadConfig, Key
from firmware.devices.rating.config import Button, RatingConfig
from firmware.doctor import pins
from firmware.doctor.pins import Chip, Line, PinFacts, Use
from host.doctor.holders import Holder, Processes
from host.doctor.roots import Roots

USE = Use("rating", "buttons[0].pin", 17)
DAEMON = Holder(700, "motcua device run rating", "motcua-device@rating.service")
STRANGER = Holder(800, "/usr/bin/blink")
FREE = Line(consumer="", used=False, is_input=True, pulled_up=None)
TAKEN = Line(consumer="lg", used=True, is_input=True, pulled_up=True)


def judged(line: Line | None, **facts: object) -> tuple[str, str]:
    """Return what is found of a line, by code and level."""
    chip = Chip(Path("/dev/gpiochip0"), "pinctrl-bcm2711", 54, {} if line is None else {17: line})
    (finding,) = pins.judge([USE], PinFacts(chip, "", **facts))  # type: ignore[arg-type]  # whatever a case needs
    return finding.code, finding.level


@pytest.mark.parametrize(
    ("line", "facts", "found"),
    [
        (None, {}, ("pin-missing", "problem")),
        (FREE, {}, ("pin-free", "ok")),
        (FREE, {"running": {"rating": DAEMON}}, ("pin-not-taken", "problem")),
        (TAKEN, {"holders": {17: DAEMON}, "running": {"rating": DAEMON}}, ("pin", "ok")),
        # A kernel before 6.1 does not tell who holds a line.
        (TAKEN, {"holders": None, "running": {"rating": DAEMON}}, ("pin", "ok")),
        (TAKEN, {"holders": None, "running": {}}, ("pin-busy", "problem")),
        (TAKEN, {"holders": {17: STRANGER}, "running": {"rating": DAEMON}}, ("pin-busy", "problem")),
        (Line("spi0 CS0", True, False, None), {"holders": {4: DAEMON}}, ("pin-busy", "problem")),
        (Line("lg", True, True, None), {"holders": {17: DAEMON}}, ("pin", "ok")),
        (Line("lg", True, True, False), {"holders": {17: DAEMON}}, ("pin-pull", "warning")),
        (Line("lg", True, False, False), {"holders": {17: DAEMON}}, ("pin", "ok")),
    ],
)  # fmt: skip
def test_a_line_is_judged(line: Line | None, facts: dict[str, object], found: tuple[str, str]) -> None:
    """Held by its own daemon is well, free is well while that does not run, and anybody else is a problem."""
    assert judged(line, **facts) == found


def test_who_holds_a_line_is_named() -> None:
    """The line says who to stop, or which name the kernel gives."""
    chip = Chip(Path("/dev/gpiochip0"), "pinctrl-bcm2711", 54, {17: Line("spi0 CS0", True, False, None)})
    (finding,) = pins.judge([USE], PinFacts(chip, ""))
    assert finding.says == "GPIO 17 (rating.buttons[0].pin) is held by spi0 CS0"
    (finding,) = pins.judge([USE], PinFacts(chip, "", holders={17: STRANGER}))
    assert finding.says == "GPIO 17 (rating.buttons[0].pin) is held by blink (pid 800)"


def test_lines_of_the_configuration_are_found_by_their_type() -> None:
    """Every pin of every device is found, whatever its key is called, and no other number is."""
    rating = RatingConfig(
        scale="vn-3",
        buttons=tuple(Button(level=level, pin=20 + level, led=level + 3) for level in (1, 2, 3)),
        buzzer=18,
    )
    found = {use.key: use.pin for use in pins.uses("rating", rating)}
    assert found == {
        "buttons[0].pin": 21, "buttons[0].led": 4, "buttons[1].pin": 22, "buttons[1].led": 5,
        "buttons[2].pin": 23, "buttons[2].led": 6, "buzzer": 18,
    }  # fmt: skip
    pad = CallpadConfig(next=Key(pin=7, led=8))
    assert {use.key: use.pin for use in pins.uses("callpad", pad)} == {"next.pin": 7, "next.led": 8}


def test_a_line_of_two_devices_is_found_in_the_file() -> None:
    """What no single device's section shows to be wrong is said before any of them starts."""
    (finding,) = pins.judge_uses([USE, Use("callpad", "next.pin", 17), Use("callpad", "next.led", 5)])
    assert (finding.code, finding.level) == ("pin-twice", "problem")
    assert finding.says == "GPIO 17 is rating.buttons[0].pin and also callpad.next.pin"
    assert [each.code for each in pins.judge_uses([Use("rating", "buzzer", 1)])] == ["pin-reserved"]


def dev(folder: Path, *names: str) -> Roots:
    """Return a machine with these GPIO chips."""
    for name in names:
        (folder / name).touch()
    return Roots(dev=folder, proc=folder / "proc")


def test_the_header_s_chip_is_chosen_by_its_name(tmp_path: Path) -> None:
    """A Pi 5 has several chips; the one with the 40 pins is asked, whatever its number is."""
    labels = {"gpiochip0": "gpio-brcmstb@107d508500", "gpiochip4": "pinctrl-rp1", "gpiochip10": "gpio-brcmstb@1"}

    def read(node: Path, wanted: Sequence[int]) -> Chip:
        return Chip(node, labels[node.name], 54, dict.fromkeys(wanted, FREE))

    found = pins.probe([USE], {}, dev(tmp_path, *labels), Processes(tmp_path), read=read)
    assert found.chip is not None
    assert (found.chip.label, list(found.chip.lines)) == ("pinctrl-rp1", [17])
    assert [each.code for each in pins.judge([USE], found)] == ["pin-free"]


def test_a_machine_without_pins_is_told_what_it_needs(tmp_path: Path) -> None:
    """No chip, a chip that may not be opened, and one of another machine each have their line."""

    def denied(node: Path, _wanted: Sequence[int]) -> Chip:
        raise PermissionError(13, "Permission denied", str(node))

    def other(node: Path, wanted: Sequence[int]) -> Chip:
        return Chip(node, "INT33FF:00", 98, dict.fromkeys(wanted, FREE))

    def codes(read: pins.ReadChip) -> list[tuple[str, str]]:
        facts = pins.probe([USE], {}, Roots(dev=tmp_path), Processes(tmp_path), read=read)
        return [(each.code, each.level) for each in pins.judge([USE], facts)]

    assert codes(denied) == [("gpio-missing", "problem")]
    (tmp_path / "gpiochip0").touch()
    assert codes(denied) == [("gpio-denied", "warning")]
    assert codes(other) == [("gpio-unknown", "warning"), ("pin-free", "ok")]


def test_what_is_no_chip_is_no_answer(tmp_path: Path) -> None:
    """A file in a chip's place is refused by the kernel, not guessed at."""
    (tmp_path / "gpiochip0").touch()
    facts = pins.probe([USE], {}, Roots(dev=tmp_path), Processes(tmp_path), read=pins.read_chip)
    assert facts.chip is None
    assert "Inappropriate ioctl" in facts.fault


def test_the_kernel_s_structures_have_the_kernel_s_sizes() -> None:
    """The sizes stand in the numbers of the two requests (ioctl(2)), so they are those of <linux/gpio.h>."""
    for request, layout in ((pins.CHIP_INFO, pins.CHIP), (pins.LINE_INFO, pins.LINE)):
        assert isinstance(layout, struct.Struct)
        assert request >> 16 & 0x3FFF == layout.size
    assert (pins.CHIP.size, pins.LINE.size) == (68, 256)
