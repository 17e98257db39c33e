"""The machine's clocks."""

import subprocess
import sys
import time
from pathlib import Path

from firmware.clock import SystemClock


def test_the_boot_is_the_kernels() -> None:
    """Two clocks in one boot name the same boot, by the kernel's own identity."""
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert SystemClock().boot_id == SystemClock().boot_id == boot_id


def test_milliseconds_are_those_since_boot_and_deadlines_are_met_exactly() -> None:
    """The monotonic clock is the kernel's, and waiting until a deadline ends when the clock says that number."""
    clock = SystemClock()
    before_ns, now_ms = time.clock_gettime_ns(time.CLOCK_MONOTONIC), clock.monotonic_ms()
    assert before_ns // 1_000_000 <= now_ms <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1_000_000
    assert 30 < clock.seconds_until(now_ms + 60_000) <= 60
    deadline_ms = clock.monotonic_ms() + 5
    left_s = clock.seconds_until(deadline_ms)
    assert left_s <= 0.005
    time.sleep(max(left_s, 0))
    assert clock.monotonic_ms() >= deadline_ms
    assert clock.seconds_until(deadline_ms) <= 0


def test_time_of_day_has_its_zone() -> None:
    """The wall clock is in UTC and says so."""
    before = time.time()
    now = SystemClock().now()
    assert now.utcoffset() is not None
    assert before - 0.001 <= now.timestamp() <= time.time() + 0.001


def test_timesyncd_says_when_the_clock_is_set(tmp_path: Path) -> None:
    """The mark that systemd-timesyncd leaves makes the clock synchronised, for the rest of this boot."""
    mark = tmp_path / "synchronized"
    mark.touch()
    clock = SystemClock(synchronised_file=mark)
    assert clock.synchronised()
    mark.unlink()
    assert clock.synchronised()


def test_without_the_mark_the_kernel_is_asked(tmp_path: Path) -> None:
    """Where another program sets the time the kernel's own word counts; it is an answer, whichever."""
    clock = SystemClock(synchronised_file=tmp_path / "none")
    assert clock.synchronised() in (True, False)


def test_where_the_mark_is_nothing_is_loaded_to_ask_the_kernel(tmp_path: Path) -> None:
    """A station whose time comes from systemd-timesyncd does not carry ctypes, which is 0.4 MB."""
    (tmp_path / "synchronized").touch()
    script = (
        "import sys; from pathlib import Path; from firmware.clock import SystemClock;"
        "clock = SystemClock(synchronised_file=Path(sys.argv[1]));"
        "print(clock.synchronised(), 'ctypes' in sys.modules)"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "synchronized")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.split() == ["True", "False"]
