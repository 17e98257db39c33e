"""Figures of a device, from files such as the kernel makes."""

from pathlib import Path

import pytest

from firmware.health import HealthProbe
from tests.support.clock import ManualClock


def probe(tmp_path: Path, clock: ManualClock | None = None) -> HealthProbe:
    """Return a probe of a made-up machine."""
    return HealthProbe(
        version="1.2.3",
        clock=clock or ManualClock(),
        disk=tmp_path,
        sys=tmp_path / "sys",
        proc=tmp_path / "proc",
    )


@pytest.mark.parametrize("soc", ["soc/soc:firmware", "soc@107c000000/soc@107c000000:firmware"], ids=["Pi 4", "Pi 5"])
def test_a_pis_figures_are_read(tmp_path: Path, soc: str) -> None:
    """Heat is the hottest zone's, throttling is what holds now, memory is the resident set."""
    for zone, heat in (("0", "48312\n"), ("1", "51050\n")):
        folder = tmp_path / f"sys/class/thermal/thermal_zone{zone}"
        folder.mkdir(parents=True)
        (folder / "temp").write_text(heat)
    firmware = tmp_path / "sys/devices/platform" / soc
    firmware.mkdir(parents=True)
    (firmware / "get_throttled").write_text("50005\n")
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/statm").write_text("12000 5120 1000 1 0 900 0\n")
    health = probe(tmp_path).measure(outbox_depth=3)
    assert (health.temperature_c, health.throttled, health.memory_mb) == (51.0, True, 20.0)
    (firmware / "get_throttled").write_text("50000\n")
    assert probe(tmp_path).measure(outbox_depth=0).throttled is False


def test_what_a_machine_does_not_have_is_null(tmp_path: Path) -> None:
    """A board without sensors reports the rest."""
    health = HealthProbe(
        version="1", clock=ManualClock(synchronised=False), disk=tmp_path / "gone", sys=tmp_path, proc=tmp_path
    ).measure(outbox_depth=7)
    assert (health.temperature_c, health.throttled, health.memory_mb, health.disk_free_mb) == (None, None, None, None)
    assert (health.outbox_depth, health.version, health.clocksynced) == (7, "1", False)


def test_uptime_is_the_daemons(tmp_path: Path) -> None:
    """Uptime counts from the daemon's start, so that restarts show."""
    clock = ManualClock()
    running = probe(tmp_path, clock)
    clock.advance(90_500)
    assert running.measure(outbox_depth=0).uptime_s == 90


def test_this_machine_can_be_measured(tmp_path: Path) -> None:
    """On a real Linux, memory and disk are figures that make sense."""
    health = HealthProbe(version="1", clock=ManualClock(), disk=tmp_path).measure(outbox_depth=0)
    assert health.memory_mb is not None
    assert 5 < health.memory_mb < 2000
    assert health.disk_free_mb is not None
    assert health.disk_free_mb > 0
