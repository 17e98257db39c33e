"""GPIO lines: whether they are there, who holds them, and how they are set. Asks the kernel; takes no line."""

import fcntl
import os
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import msgspec

from firmware.devices.gpio import Pin
from host.doctor.finding import Finding, ok, problem, warning
from host.doctor.holders import Holder, Processes
from host.doctor.roots import Roots

HEADER_CHIPS = ("pinctrl-bcm2835", "pinctrl-bcm2711", "pinctrl-rp1", "gpio-sim")
"""What the chip behind the 40 pins is called: Pi 0 to 3, Pi 4, Pi 5; the kernel's simulated one."""

_EEPROM = (0, 1)

# <linux/gpio.h>: GPIO_GET_CHIPINFO_IOCTL fills name[32], label[32], lines; GPIO_V2_GET_LINEINFO_IOCTL takes and fills
# name[32], consumer[32], offset, number of attributes, flags, ten attributes of 16 bytes, four words of padding.
CHIP_INFO, CHIP = 0x8044B401, struct.Struct("32s32sI")
LINE_INFO, LINE = 0xC100B405, struct.Struct("32s32sIIQ160s16s")
_USED, _INPUT, _PULL_UP = 1 << 0, 1 << 2, 1 << 8
_ANY_BIAS = 0b111 << 8


@dataclass(frozen=True, slots=True)
class Use:
    """A line that a device is configured to use: the device, the key, the BCM number."""

    device: str
    key: str
    pin: int

    def __str__(self) -> str:
        """Name it as the file does."""
        return f"{self.device}.{self.key}"


@dataclass(frozen=True, slots=True)
class Line:
    """A line as the kernel has it."""

    consumer: str
    used: bool
    is_input: bool
    pulled_up: bool | None
    """None when the kernel was not told of any bias."""


@dataclass(frozen=True, slots=True)
class Chip:
    """A GPIO chip: its node in /dev, and its lines by number."""

    node: Path
    label: str
    size: int
    lines: Mapping[int, Line]


@dataclass(frozen=True, slots=True)
class PinFacts:
    """The chip of the header, or why there is none, and who holds its lines."""

    chip: Chip | None
    fault: str
    denied: bool = False
    holders: Mapping[int, Holder] | None = None
    """By line, as far as the kernel tells; None where it tells nothing of that."""
    running: Mapping[str, Holder] | None = None
    """Our daemons by device."""


ReadChip = Callable[[Path, Sequence[int]], Chip]
"""Asks one chip for some lines; raises OSError."""


def uses(device: str, options: msgspec.Struct) -> list[Use]:
    """Return every line that a device's options name, found by the type `Pin`."""
    return [Use(device, key, pin) for key, pin in _pins(options, "")]


def judge_uses(all_uses: Sequence[Use]) -> Sequence[Finding]:
    """Judge the configuration alone: lines that two devices name, and lines that are not for this."""
    found = []
    taken: dict[int, Use] = {}
    for use in all_uses:
        first = taken.setdefault(use.pin, use)
        if first is not use and first.device != use.device:
            found.append(
                problem(
                    "pin-twice",
                    f"GPIO {use.pin} is {first} and also {use}",
                    "give one of them another line: only one device can hold it",
                )
            )
        if use.pin in _EEPROM:
            found.append(
                warning(
                    "pin-reserved",
                    f"{use} is GPIO {use.pin}, which the Pi uses at its start to ask an add-on board what it is",
                    "choose another BCM number",
                )
            )
    return found


def probe(
    all_uses: Sequence[Use], running: Mapping[str, Holder], roots: Roots, processes: Processes, *, read: "ReadChip"
) -> PinFacts:
    """Find the header's chip and ask it for the lines in use; `running` are our daemons by device."""
    wanted = sorted({use.pin for use in all_uses})
    found: list[Chip] = []
    fault, denied = "there is no /dev/gpiochip0", False
    for node in sorted(roots.dev.glob("gpiochip*")):
        try:
            found.append(read(node, wanted))
        except PermissionError:
            fault, denied = f"{node} may not be opened by this user", True
        except OSError as error:
            fault = f"{node} does not answer: {error.strerror or error}"
    chip = next((each for each in found if each.label.startswith(HEADER_CHIPS)), found[0] if found else None)
    if chip is None:
        return PinFacts(None, fault, denied)
    held = processes.gpio_lines()
    of_chip = {line: holder for (name, line), holder in held.items() if name == chip.node.resolve().name}
    return PinFacts(chip, "", holders=of_chip if held else None, running=running)


def judge(all_uses: Sequence[Use], facts: PinFacts) -> Sequence[Finding]:
    """Judge each line that is configured."""
    if facts.chip is None:
        if facts.denied:
            return [
                warning("gpio-denied", facts.fault, "run this with sudo; a daemon's user has to be in the group gpio")
            ]
        return [
            problem(
                "gpio-missing",
                f"{facts.fault}, and {len(all_uses)} lines are configured",
                "buttons and lights need a Raspberry Pi; on one, update its system (sudo apt full-upgrade)",
            )
        ]
    found: list[Finding] = []
    if not facts.chip.label.startswith(HEADER_CHIPS):
        found.append(
            warning(
                "gpio-unknown",
                f"{facts.chip.node} calls itself {facts.chip.label}, which is no Raspberry Pi's",
                "check that its numbers are the BCM numbers in the file",
            )
        )
    return found + [_judge_line(use, facts.chip, facts) for use in all_uses]


def _judge_line(use: Use, chip: Chip, facts: PinFacts) -> Finding:
    name = f"GPIO {use.pin} ({use})"
    line = chip.lines.get(use.pin)
    if line is None:
        return problem("pin-missing", f"{name}: {chip.node} has {chip.size} lines only", "choose another BCM number")
    daemon = (facts.running or {}).get(use.device)
    if not line.used:
        if daemon is None:
            return ok("pin-free", f"{name} is free")
        return problem(
            "pin-not-taken",
            f"{name} is not held, although {daemon} runs",
            f"its log says why it waits: journalctl -u motcua-device@{use.device} -n 20",
        )
    holder = (facts.holders or {}).get(use.pin)
    if holder is None and facts.holders is None and daemon is not None:
        holder = daemon  # a kernel that does not tell: our daemon runs, and it would say so if the line were busy
    if holder is None:
        return problem(
            "pin-busy",
            f"{name} is held by {line.consumer or 'something that gives no name'!s}",
            "by a line of /boot/firmware/config.txt (spi, i2c, serial, 1-wire) or another program: switch that off, or"
            " choose another BCM number",
        )
    if holder.device != use.device:
        return problem(
            "pin-busy", f"{name} is held by {holder}", "stop that program, or choose another BCM number for one of them"
        )
    if line.is_input and line.pulled_up is False:
        return warning(
            "pin-pull",
            f"{name} is held by {holder}, but without the pull-up that a contact needs",
            f"sudo systemctl restart motcua-device@{use.device}; if it stays so, report it",
        )
    return ok("pin", f"{name} is held by {holder}" + (", pulled up" if line.is_input and line.pulled_up else ""))


def read_chip(node: Path, wanted: Sequence[int]) -> Chip:
    """Ask a chip what it is and how some of its lines are."""
    descriptor = os.open(node, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _, label, size = CHIP.unpack(fcntl.ioctl(descriptor, CHIP_INFO, bytes(CHIP.size)))
        lines = {}
        for offset in wanted:
            if offset < size:
                asked = LINE.pack(b"", b"", offset, 0, 0, b"", b"")
                _, consumer, _, _, flags, _, _ = LINE.unpack(fcntl.ioctl(descriptor, LINE_INFO, asked))
                lines[offset] = Line(
                    consumer=_name(consumer),
                    used=bool(flags & _USED),
                    is_input=bool(flags & _INPUT),
                    pulled_up=bool(flags & _PULL_UP) if flags & _ANY_BIAS else None,
                )
        return Chip(node, _name(label), size, lines)
    finally:
        os.close(descriptor)


def _name(raw: bytes) -> str:
    return raw.partition(b"\0")[0].decode(errors="replace")


def _pins(options: Any, under: str) -> Iterator[tuple[str, int]]:
    for name, hint in get_type_hints(type(options), include_extras=True).items():
        value = getattr(options, name)
        key = f"{under}{name}"
        if isinstance(value, int) and _names_a_pin(hint):
            yield key, value
        elif isinstance(value, msgspec.Struct):
            yield from _pins(value, f"{key}.")
        elif isinstance(value, tuple):
            for at, each in enumerate(value):
                if isinstance(each, msgspec.Struct):
                    yield from _pins(each, f"{key}[{at}].")


def _names_a_pin(hint: Any) -> bool:
    return hint == Pin or (get_origin(hint) is not Annotated and Pin in get_args(hint))
