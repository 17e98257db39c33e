"""Power, heat and memory, in the words of a Pi's kernel and of its own tool."""

from pathlib import Path

import pytest

from host.doctor import body
from host.doctor.body import BodyFacts
from host.doctor.roots import Roots

NOTHING = BodyFacts(throttled=None, temperature_c=None, memory_free_mb=None, ended_for_memory=None)


def power(throttled: int | None, temperature_c: float | None = None) -> list[tuple[str, str]]:
    """Return what is found of power and heat, by code and level."""
    return [(each.code, each.level) for each in body.judge_power(BodyFacts(throttled, temperature_c, None, None))]


def test_a_machine_that_tells_nothing_gets_no_line() -> None:
    """A PC has no word on its voltage: nothing is said of it."""
    assert body.judge_power(NOTHING) == body.judge_memory(NOTHING) == []


@pytest.mark.parametrize(
    ("bits", "found"),
    [
        (0x0, [("power", "ok")]),
        (0x1, [("power-low", "problem")]),
        (0x50005, [("power-low", "problem")]),
        (0x50000, [("power-was-low", "warning")]),
        (0x8, [("power", "ok"), ("slowed", "warning")]),
        (0xE0006, [("power", "ok"), ("slowed", "warning")]),
        (0xE0000, [("power", "ok")]),
    ],
)
def test_the_pi_s_bits_are_told_in_words(bits: int, found: list[tuple[str, str]]) -> None:
    """Low voltage now is a problem, since the start a warning; slowed down without it is heat."""
    assert power(bits) == found


@pytest.mark.parametrize(
    ("heat", "found"), [(74.9, ("temperature", "ok")), (75.0, ("heat", "warning")), (85.0, ("heat", "problem"))]
)
def test_heat_is_judged(heat: float, found: tuple[str, str]) -> None:
    """From 75 °C it is a warning, as on the devices' page; from 85 a problem."""
    assert power(None, heat) == [found]


@pytest.mark.parametrize(
    ("free", "ended", "found"),
    [
        (100, 0, [("memory", "ok")]),
        (99, None, [("memory-low", "warning")]),
        (39, None, [("memory-low", "problem")]),
        (900, 2, [("memory", "ok"), ("memory-ran-out", "warning")]),
    ],
)
def test_memory_is_judged(free: int, ended: int | None, found: list[tuple[str, str]]) -> None:
    """Little memory is told, and also that it ran out some time before."""
    facts = BodyFacts(None, None, free, ended)
    assert [(each.code, each.level) for each in body.judge_memory(facts)] == found


@pytest.mark.parametrize("soc", ["soc/soc:firmware", "soc@107c000000/soc@107c000000:firmware"], ids=["Pi 4", "Pi 5"])
def test_the_kernel_s_figures_are_read(tmp_path: Path, soc: str) -> None:
    """Power, the hottest zone and memory are read where a Pi's kernel has them."""
    (tmp_path / "sys/devices/platform" / soc).mkdir(parents=True)
    (tmp_path / "sys/devices/platform" / soc / "get_throttled").write_text("50005\n")
    for zone, heat in enumerate((48_312, 51_540)):
        (tmp_path / f"sys/class/thermal/thermal_zone{zone}").mkdir(parents=True)
        (tmp_path / f"sys/class/thermal/thermal_zone{zone}/temp").write_text(f"{heat}\n")
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text("MemTotal:  3884772 kB\nMemFree: 100 kB\nMemAvailable:  204800 kB\n")
    (tmp_path / "proc/vmstat").write_text("nr_free_pages 1\noom_kill 3\n")
    found = body.probe(Roots(proc=tmp_path / "proc", sys=tmp_path / "sys"), vcgencmd="/none")
    assert found == BodyFacts(throttled=0x50005, temperature_c=51.54, memory_free_mb=200, ended_for_memory=3)


def test_a_pi_s_own_tool_is_asked_where_the_kernel_is_silent(tmp_path: Path) -> None:
    """The answer of vcgencmd is read; one that is no answer is none."""
    tool = tmp_path / "vcgencmd"
    tool.write_text('#!/bin/sh\n[ "$*" = get_throttled ] && echo throttled=0x50000\n')
    tool.chmod(0o755)
    roots = Roots(proc=tmp_path, sys=tmp_path)
    assert body.probe(roots, vcgencmd=str(tool)).throttled == 0x50000
    tool.write_text("#!/bin/sh\necho 'VCHI initialization failed'\n")
    assert body.probe(roots, vcgencmd=str(tool)).throttled is None
