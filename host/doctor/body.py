"""Power, heat and memory of the machine."""

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from host.doctor.finding import Finding, ok, problem, warning
from host.doctor.roots import Roots, number_of, text_of
from host.power import throttled_bits

HOT_C = 75.0
TOO_HOT_C = 85.0
LOW_MEMORY_MB = 100
NO_MEMORY_MB = 40

_UNDER_VOLTAGE, _CAPPED, _THROTTLED_NOW, _SOFT_LIMIT = 0x1, 0x2, 0x4, 0x8
_SINCE_START = 16
"""The same bits, shifted by this: ever since the Pi was started."""


@dataclass(frozen=True, slots=True)
class BodyFacts:
    """What the machine feels; None is what this hardware does not tell."""

    throttled: int | None
    temperature_c: float | None
    memory_free_mb: int | None
    ended_for_memory: int | None
    """How many programs the kernel has ended since the start because memory ran out."""


def probe(roots: Roots, *, vcgencmd: str = "vcgencmd") -> BodyFacts:
    """Ask the kernel, and a Pi's own tool where the kernel says nothing of power."""
    zones = [number_of(zone) for zone in sorted(roots.sys.glob("class/thermal/thermal_zone*/temp"))]
    known = [zone / 1000 for zone in zones if zone is not None]
    return BodyFacts(
        throttled=_throttled(roots, vcgencmd),
        temperature_c=max(known) if known else None,
        memory_free_mb=_memory_free_mb(roots),
        ended_for_memory=_ended(roots),
    )


def judge_power(facts: BodyFacts) -> Sequence[Finding]:
    """Judge power and heat; nothing to say of a machine that tells neither."""
    found = []
    if (bits := facts.throttled) is not None:
        adapter = "use the Pi's own power supply (5.1 V, 3 A; 5 A for a Pi 5) and a short, thick cable"
        if bits & _UNDER_VOLTAGE:
            found.append(problem("power-low", "the voltage is too low now: it may restart or spoil its card", adapter))
        elif bits & _UNDER_VOLTAGE << _SINCE_START:
            found.append(warning("power-was-low", "the voltage has been too low since the last start", adapter))
        else:
            found.append(ok("power", "the voltage has been enough since the last start"))
        if bits & (_CAPPED | _THROTTLED_NOW | _SOFT_LIMIT) and not bits & _UNDER_VOLTAGE:
            found.append(
                warning("slowed", "the processor is slowed down now, most often by heat", "clean the ventilation")
            )
    if (heat := facts.temperature_c) is not None:
        said = f"the processor has {heat:.0f} °C"
        if heat >= TOO_HOT_C:
            found.append(problem("heat", said, "let it cool down: clean the ventilation, fit a heat sink or a fan"))
        elif heat >= HOT_C:
            found.append(warning("heat", said, "clean the ventilation: a Pi slows itself down from 80 °C"))
        else:
            found.append(ok("temperature", said))
    return found


def judge_memory(facts: BodyFacts) -> Sequence[Finding]:
    """Judge the memory."""
    found = []
    if (free := facts.memory_free_mb) is not None:
        said = f"{free} MB available"
        look = "see who uses it: ps aux --sort -rss | head"
        if free < NO_MEMORY_MB:
            found.append(problem("memory-low", said, look))
        elif free < LOW_MEMORY_MB:
            found.append(warning("memory-low", said, look))
        else:
            found.append(ok("memory", said))
    if ended := facts.ended_for_memory:
        found.append(
            warning(
                "memory-ran-out",
                f"the kernel has ended {ended} program(s) since the start because memory ran out",
                "journalctl -k -g 'Out of memory' names them",
            )
        )
    return found


def _throttled(roots: Roots, vcgencmd: str) -> int | None:
    if (bits := throttled_bits(roots.sys)) is not None:
        return bits
    try:
        done = subprocess.run(  # noqa: S603 - the Pi's own tool
            [vcgencmd, "get_throttled"], capture_output=True, text=True, timeout=3, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.fullmatch(r"throttled=0x([0-9a-fA-F]+)\s*", done.stdout)
    return int(found[1], 16) if found else None


def _memory_free_mb(roots: Roots) -> int | None:
    found = re.search(r"^MemAvailable:\s*(\d+) kB", text_of(roots.proc / "meminfo") or "", flags=re.MULTILINE)
    return int(found[1]) // 1024 if found else None


def _ended(roots: Roots) -> int | None:
    found = re.search(r"^oom_kill (\d+)", text_of(roots.proc / "vmstat") or "", flags=re.MULTILINE)
    return int(found[1]) if found else None
