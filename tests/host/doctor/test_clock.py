"""The clock, as a machine with or without time source and battery has it."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from host.doctor import clock
from host.doctor.clock import BatteryClock, ClockFacts
from host.doctor.roots import Roots

NOW = datetime(2026, 11, 23, 1, 2, 3, tzinfo=UTC)
AGREES = BatteryClock(NOW)


def codes(facts: ClockFacts, *, decides_the_day: bool = False) -> list[tuple[str, str]]:
    """Return what is found, by code and level."""
    return [(each.code, each.level) for each in clock.judge(facts, decides_the_day=decides_the_day)]


def facts(now: datetime = NOW, *, synchronised: bool = True, battery_clock: BatteryClock | None = AGREES) -> ClockFacts:
    """Return a clock that is well, but for what is given."""
    return ClockFacts(now, synchronised, "Asia/Ho_Chi_Minh", battery_clock)


def test_a_set_clock_with_a_battery_is_well_anywhere() -> None:
    """A clock that a time source has set and a battery keeps needs nobody, at a station or at the center."""
    well = [("clock-set", "ok"), ("clock-zone", "ok"), ("clock-battery", "ok")]
    assert codes(facts()) == codes(facts(), decides_the_day=True) == well


@pytest.mark.parametrize(
    ("battery_clock", "decides", "level"),
    [(None, False, "warning"), (AGREES, False, "warning"), (AGREES, True, "warning"), (None, True, "problem")],
)
def test_a_clock_that_nobody_has_set(battery_clock: BatteryClock | None, decides: bool, level: str) -> None:
    """It is a warning, and a problem where it decides the business day and no battery kept it."""
    found = codes(facts(synchronised=False, battery_clock=battery_clock), decides_the_day=decides)
    assert ("clock-unset", level) in found


@pytest.mark.parametrize("year", [1970, 2025, 2100])
def test_a_year_that_cannot_be_is_a_problem(year: int) -> None:
    """A clock before this program was written, or in the next century, was never set, whoever says so."""
    assert codes(facts(datetime(year, 6, 1, tzinfo=UTC))) == [("clock-year", "problem")]


def test_only_the_center_needs_a_battery() -> None:
    """A Pi may boot without the time; the server that decides the day should not."""
    assert ("clock-no-battery", "warning") in codes(facts(battery_clock=None), decides_the_day=True)
    assert codes(facts(battery_clock=None)) == [("clock-set", "ok"), ("clock-zone", "ok")]


@pytest.mark.parametrize(
    ("battery_clock", "code"),
    [
        (BatteryClock(NOW + timedelta(seconds=29)), "clock-battery"),
        (BatteryClock(NOW - timedelta(seconds=31)), "clock-battery-differs"),
        (BatteryClock(NOW, battery_uv=2_900_000), "clock-battery"),
        (BatteryClock(NOW, battery_uv=12_000), "clock-battery-flat"),
    ],
)
def test_the_battery_s_clock_is_compared(battery_clock: BatteryClock, code: str) -> None:
    """It is well when it agrees and its battery is not flat."""
    assert codes(facts(battery_clock=battery_clock))[-1][0] == code


@pytest.mark.parametrize(
    ("apart_s", "said"),
    [
        (0, "it agrees with the center's server"),
        (-30, "it agrees with the center's server"),
        (31, "it is 31 s ahead of the center's server"),
        (-7200, "it is 2 hours behind the center's server"),
        (86_400 * 400, "it is 400 days ahead of the center's server"),
    ],
)
def test_two_clocks_are_compared_in_words(apart_s: int, said: str) -> None:
    """How far apart they are, and which is ahead, is said in words."""
    found = clock.compare(NOW + timedelta(seconds=apart_s), NOW, whose="the center's server")
    assert found.says == said
    assert found.code == ("clock-agrees" if "agrees" in said else "clock-differs")


def test_the_machine_s_own_clock_is_read(tmp_path: Path) -> None:
    """Synchronised, zone and battery's clock are read where Linux keeps them."""
    rtc = tmp_path / "sys/class/rtc/rtc0"
    rtc.mkdir(parents=True)
    (rtc / "since_epoch").write_text(f"{NOW.timestamp():.0f}\n")
    (rtc / "battery_voltage").write_text("2985000\n")
    (tmp_path / "run/systemd/timesync").mkdir(parents=True)
    (tmp_path / "run/systemd/timesync/synchronized").touch()
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/localtime").symlink_to("/usr/share/zoneinfo/Asia/Ho_Chi_Minh")
    found = clock.probe(Roots(sys=tmp_path / "sys", run=tmp_path / "run", etc=tmp_path / "etc"))
    assert (found.synchronised, found.zone) == (True, "Asia/Ho_Chi_Minh")
    assert found.battery_clock == BatteryClock(NOW, battery_uv=2_985_000)
    bare = clock.probe(Roots(sys=tmp_path / "none", run=tmp_path / "none", etc=tmp_path / "none"))
    assert (bare.zone, bare.battery_clock) == ("UTC", None)


class _Answers(BaseHTTPRequestHandler):
    """A web server that knows no page, but what time it is."""

    def do_GET(self) -> None:
        self.send_error(404)

    def date_time_string(self, timestamp: float | None = None) -> str:
        return "Mon, 23 Nov 2026 01:02:03 GMT"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        pass


@pytest.fixture
def server() -> Iterator[str]:
    """A real web server's address."""
    with HTTPServer(("127.0.0.1", 0), _Answers) as one:
        thread = threading.Thread(target=one.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{one.server_port}/healthz"
        one.shutdown()
        thread.join()


def test_any_answer_of_a_web_server_tells_the_time(server: str) -> None:
    """Even "no such page" has a date; where nobody answers there is none."""
    assert clock.date_of(server, timeout_s=5) == NOW
    assert clock.date_of("http://127.0.0.1:9/healthz", timeout_s=1) is None
