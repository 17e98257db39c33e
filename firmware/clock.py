"""The time of the machine, as `firmware.ports.Clock` asks for it."""

import time
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_TIMESYNCD = Path("/run/systemd/timesync/synchronized")

_LOOK_EVERY_MS = 1000
"""While the clock is not set, the machine is asked no oftener than this: a press must not wait for the answer."""


class SystemClock:
    """Linux's clocks. The monotonic one counts from boot, so it says the same in every process of this boot."""

    def __init__(self, *, boot_id_file: Path = _BOOT_ID, synchronised_file: Path = _TIMESYNCD) -> None:
        self._boot_id_file = boot_id_file
        self._synchronised_file = synchronised_file
        self._synchronised = False
        self._look_again_ms = 0

    @cached_property
    def boot_id(self) -> str:
        """The kernel's identity of this boot; read when it is asked for, because some units do not see it."""
        return self._boot_id_file.read_text(encoding="ascii").strip()

    def monotonic_ms(self) -> int:
        """Milliseconds of CLOCK_MONOTONIC."""
        return time.monotonic_ns() // 1_000_000

    def seconds_until(self, deadline_ms: int) -> float:
        """Return how long it is until `monotonic_ms()` will say `deadline_ms`; negative if it has."""
        return (deadline_ms * 1_000_000 - time.monotonic_ns()) / 1e9

    def now(self) -> datetime:
        """The wall clock in UTC."""
        return datetime.now(UTC)

    def synchronised(self) -> bool:
        """Whether a time source has set the wall clock in this boot; once true it stays true and costs nothing.

        systemd-timesyncd leaves a file. Where another program sets the time (chrony, a hypervisor's agent), the kernel
        is asked; that needs ctypes, so only a machine without the file pays for it.
        """
        if not self._synchronised and self.monotonic_ms() >= self._look_again_ms:
            self._look_again_ms = self.monotonic_ms() + _LOOK_EVERY_MS
            self._synchronised = self._synchronised_file.exists() or _kernel_says_synchronised()
        return self._synchronised


def _kernel_says_synchronised() -> bool:
    from host.kernel_clock import is_synchronised  # see SystemClock.synchronised

    return is_synchronised()
