"""What a check-up says: to a technician, and to a program."""

import json
from datetime import UTC, datetime

from host.doctor.finding import Level, Section, as_json, as_text, ok, problem, verdict, warning

WELL = Section("disk", (ok("disk-room", "/var on /dev/sda1: 900 MB free"),))
WORSE = Section("clock", (warning("clock-unset", "nobody has set it", "set it"),))
WORST = Section("pins", (problem("pin-busy", "GPIO 8 is held by spi0", "choose another"), ok("pin-free", "GPIO 9")))


def test_what_is_wrong_has_what_to_do_below_it() -> None:
    """A terminal shows each finding on a line with its level and code, the advice below, and the sum at the end."""
    assert as_text([WORSE, WORST]).splitlines() == [
        "clock",
        "  warning  nobody has set it  [clock-unset]",
        "           -> set it",
        "pins",
        "  problem  GPIO 8 is held by spi0  [pin-busy]",
        "           -> choose another",
        "  ok       GPIO 9  [pin-free]",
        "",
        "1 problem, 1 warning, 1 ok.",
    ]


def test_a_check_with_nothing_to_say_is_no_line() -> None:
    """What a machine does not have, as a camera, is not talked about; and when all is well, that is said."""
    assert as_text([Section("cameras", ()), WELL]).splitlines() == [
        "disk", "  ok       /var on /dev/sda1: 900 MB free  [disk-room]", "", "All is well (1 looked at).",
    ]  # fmt: skip


def test_the_worst_decides() -> None:
    """One problem outweighs everything that is well."""
    assert verdict([WELL]) is Level.OK
    assert verdict([WELL, WORSE]) is Level.WARNING
    assert verdict([WELL, WORSE, WORST]) is Level.PROBLEM


def test_a_program_gets_the_same_in_a_stable_shape() -> None:
    """The JSON has a version, the time, the verdict, and each finding with the same five keys."""
    document = json.loads(as_json([WELL, WORSE], program="0.1.0", at=datetime(2026, 11, 23, 1, 2, 3, tzinfo=UTC)))
    assert document == {
        "version": 1,
        "program": "0.1.0",
        "at": "2026-11-23T01:02:03Z",
        "verdict": "warning",
        "findings": [
            {"check": "disk", "code": "disk-room", "level": "ok", "says": "/var on /dev/sda1: 900 MB free", "do": ""},
            {"check": "clock", "code": "clock-unset", "level": "warning", "says": "nobody has set it", "do": "set it"},
        ],
    }


def test_a_name_from_outside_does_not_drive_the_terminal() -> None:
    """A control character in a process's or certificate's name is shown as a question mark."""
    assert "?[31mred" in as_text([Section("pins", (ok("pin", "held by \x1b[31mred"),))])
