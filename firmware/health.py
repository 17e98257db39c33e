"""How a device is: what the kernel says about heat, disk and memory, and what the daemon knows itself."""

import os
from collections.abc import Callable
from pathlib import Path

from contract.events import DeviceHealth
from firmware.ports import Clock
from host.power import throttled_bits

_MIB = 1024 * 1024
_THROTTLED_NOW = 0xF
"""Bits 0-3: under-voltage, frequency capped, throttled, soft temperature limit, as of now."""


class HealthProbe:
    """Reads a machine's figures; one that this hardware does not have is None."""

    def __init__(
        self,
        *,
        version: str,
        clock: Clock,
        disk: Path,
        sys: Path = Path("/sys"),
        proc: Path = Path("/proc"),
        statvfs: Callable[[Path], os.statvfs_result] = os.statvfs,
    ) -> None:
        self._version = version
        self._clock = clock
        self._disk = disk
        self._sys = sys
        self._proc = proc
        self._statvfs = statvfs
        self._started_ms = clock.monotonic_ms()

    def measure(self, *, outbox_depth: int) -> DeviceHealth:
        """Return how the device is now; `uptime_s` is the daemon's, so that restarts show."""
        return DeviceHealth(
            outbox_depth=outbox_depth,
            uptime_s=(self._clock.monotonic_ms() - self._started_ms) // 1000,
            clocksynced=self._clock.synchronised(),
            version=self._version,
            temperature_c=self._temperature_c(),
            throttled=self._throttled(),
            disk_free_mb=self._disk_free_mb(),
            memory_mb=self._memory_mb(),
        )

    def _temperature_c(self) -> float | None:
        """Return the hottest thermal zone, from millidegrees (Documentation/driver-api/thermal/sysfs-api.rst)."""
        readings = [_int(zone) for zone in sorted(self._sys.glob("class/thermal/thermal_zone*/temp"))]
        known = [reading / 1000 for reading in readings if reading is not None]
        return round(max(known), 1) if known else None

    def _throttled(self) -> bool | None:
        flags = throttled_bits(self._sys)
        return None if flags is None else bool(flags & _THROTTLED_NOW)

    def _disk_free_mb(self) -> int | None:
        try:
            stat = self._statvfs(self._disk)
        except OSError:
            return None  # the folder is gone: the outbox says so, louder
        return stat.f_bavail * stat.f_frsize // _MIB

    def _memory_mb(self) -> float | None:
        """Return the resident set, the second field of /proc/self/statm, in pages."""
        try:
            pages = int((self._proc / "self/statm").read_text(encoding="ascii").split()[1])
        except (OSError, ValueError, IndexError):
            return None
        return round(pages * os.sysconf("SC_PAGESIZE") / _MIB, 1)


def _int(path: Path) -> int | None:
    """Return the number in a file of the kernel's, None where there is none: hardware differs."""
    try:
        return int(path.read_text(encoding="ascii").strip())
    except (OSError, ValueError):
        return None
