"""A clock that moves when a test says so."""

from datetime import UTC, datetime, timedelta


class ManualClock:
    """`firmware.ports.Clock` under a test's control: monotonic and wall time move together with `advance`."""

    def __init__(
        self,
        *,
        monotonic_ms: int = 1_000_000,
        now: datetime = datetime(2026, 11, 23, 1, 2, 3, tzinfo=UTC),
        synchronised: bool = True,
        boot_id: str = "7c1d8b9e-0000-4000-8000-00000000b001",
    ) -> None:
        self._monotonic_ms = monotonic_ms
        self._now = now
        self._synchronised = synchronised
        self._boot_id = boot_id

    @property
    def boot_id(self) -> str:
        """The identity of this boot."""
        return self._boot_id

    def monotonic_ms(self) -> int:
        """Milliseconds that never step."""
        return self._monotonic_ms

    def seconds_until(self, deadline_ms: int) -> float:
        """How long it is until a deadline."""
        return (deadline_ms - self._monotonic_ms) / 1000

    def now(self) -> datetime:
        """The wall clock in UTC."""
        return self._now

    def synchronised(self) -> bool:
        """Whether the wall clock was set."""
        return self._synchronised

    def advance(self, ms: int) -> None:
        """Let time pass."""
        self._monotonic_ms += ms
        self._now += timedelta(milliseconds=ms)

    def set_wall(self, now: datetime, *, synchronised: bool = True) -> None:
        """Set the wall clock, as a time source does; the monotonic clock does not notice."""
        self._now = now
        self._synchronised = synchronised

    def reboot(self, boot_id: str, *, monotonic_ms: int = 10_000, synchronised: bool = False) -> None:
        """Begin another boot."""
        self._boot_id = boot_id
        self._monotonic_ms = monotonic_ms
        self._synchronised = synchronised
