"""Whether a center is open: the minutes at the edges, days, time zones, and hours that cannot be meant."""

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from contract.states import Hours
from firmware.config import load
from firmware.devices.camera.config import CameraConfig
from firmware.devices.camera.hours import is_open
from firmware.errors import ConfigError

HANOI = "Asia/Ho_Chi_Minh"  # UTC+7 all year
WORKDAYS = (
    Hours(days=(1, 2, 3, 4, 5), begin="07:30", end="11:30"),
    Hours(days=(1, 2, 3, 4, 5), begin="13:00", end="17:00"),
)


def at(text: str) -> datetime:
    """Return an instant in UTC; 2026-11-23 is a Monday."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("utc", "expected"),
    [
        pytest.param("2026-11-23 00:29:59.999", False, id="a second before it opens"),
        pytest.param("2026-11-23 00:30", True, id="when it opens"),
        pytest.param("2026-11-23 04:29:59.999", True, id="in the morning's last second"),
        pytest.param("2026-11-23 04:30", False, id="at the beginning of lunch"),
        pytest.param("2026-11-23 05:59:59", False, id="at the end of lunch"),
        pytest.param("2026-11-23 06:00", True, id="after lunch"),
        pytest.param("2026-11-23 10:00", False, id="when it closes"),
        pytest.param("2026-11-22 01:00", False, id="on Sunday"),
        pytest.param("2026-11-27 09:59", True, id="on Friday at the last minute"),
        pytest.param("2026-11-28 01:00", False, id="on Saturday"),
    ],
)
def test_a_center_is_open_from_its_first_minute_to_its_last(utc: str, expected: bool) -> None:
    """It opens at 07:30:00 and is closed at 11:30:00, by the clock on its own wall."""
    assert is_open(at(utc), HANOI, WORKDAYS) is expected


def test_a_clock_that_is_not_set_knows_no_hours() -> None:
    """While the clock is not set nobody can say whether the center is open."""
    assert is_open(None, HANOI, WORKDAYS) is None
    assert is_open(None, HANOI, ()) is None


def test_a_center_without_hours_is_always_open() -> None:
    """Where no hours are given nothing is ever after hours."""
    assert is_open(at("2026-11-22 19:00"), HANOI, ()) is True


def test_a_center_that_never_closes_is_open_in_the_last_minute_too() -> None:
    """An end of 23:59 is midnight: there is no minute in which a night shift is a burglar."""
    always = (Hours(days=(1, 2, 3, 4, 5, 6, 7), begin="00:00", end="23:59"),)
    assert is_open(at("2026-11-23 16:59:30"), HANOI, always) is True
    assert is_open(at("2026-11-23 17:00"), HANOI, always) is True


def test_the_day_is_the_day_at_the_center() -> None:
    """Monday begins at the center while it is Sunday still in Greenwich, and ends there before it does here."""
    monday = (Hours(days=(1,), begin="00:00", end="23:59"),)
    assert is_open(at("2026-11-22 16:59:59"), HANOI, monday) is False
    assert is_open(at("2026-11-22 17:00"), HANOI, monday) is True
    assert is_open(at("2026-11-23 17:00"), HANOI, monday) is False


def test_a_zone_with_summer_time_is_read_by_its_own_rules() -> None:
    """The same hour in UTC is open in winter and closed in summer where clocks are moved."""
    hours = (Hours(days=(1,), begin="08:00", end="09:00"),)
    assert is_open(at("2026-11-23 07:30"), "Europe/Berlin", hours) is True
    assert is_open(at("2026-06-22 07:30"), "Europe/Berlin", hours) is False
    assert is_open(at("2026-06-22 06:30"), "Europe/Berlin", hours) is True


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('timezone = "Asia/Hanoi2"', 'timezone must be a name as Asia/Ho_Chi_Minh, got "Asia/Hanoi2"'),
        ('timezone = "Asia"', 'timezone must be a name as Asia/Ho_Chi_Minh, got "Asia"'),
        ('timezone = "../../etc/passwd"', 'timezone must be a name as Asia/Ho_Chi_Minh, got "../../etc/passwd"'),
        ('timezone = ""', 'timezone must be a name as Asia/Ho_Chi_Minh, got ""'),
        (
            'hours = [{days = [1], begin = "17:00", end = "07:30"}]',
            "hours must end later on the day they begin, got 17:00 to 07:30: write a night as two",
        ),
        (
            'hours = [{days = [1], begin = "08:00", end = "08:00"}]',
            "hours must end later on the day they begin, got 08:00 to 08:00",
        ),
    ],
)
def test_hours_that_cannot_be_meant_are_refused_at_the_start(tmp_path: Path, line: str, said: str) -> None:
    """A wrong zone, and hours that end before they begin, end the program with one line that says which."""
    file = tmp_path / "station.toml"
    file.write_text(
        'center = "bentre"\nstation = "q03"\nstate_dir = "/nowhere"\n[device.camera]\nsource = "picamera2"\n' + line
    )
    with pytest.raises(ConfigError) as caught:
        load(file, "camera", {"camera": SimpleNamespace(config=CameraConfig)})
    message = str(caught.value)
    assert message.startswith(f"{file}: device.camera: {said}")
    assert "\n" not in message
