"""What the center says of itself on the wire: its own retained status, and whether somebody else contradicts it."""

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from center.clock import Clock, rfc3339
from center.ingest.link import State
from contract.codec import decode, encode
from contract.errors import ContractError
from contract.states import Status
from contract.topics import DEFAULT_ROOT, Channel, center_address

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class CenterPresence:
    """The status of one center."""

    def __init__(self, center: str, *, root: str = DEFAULT_ROOT, clock: Clock) -> None:
        self._clock = clock
        self._topic = center_address(center, root=root).topic(Channel.STATUS)
        self._version = _version()
        self._boot_id = _BOOT_ID.read_text(encoding="ascii").strip()

    @property
    def topic(self) -> str:
        """Where it is said."""
        return self._topic

    def status(self, state: State, *, since_ms: int) -> bytes:
        """Return how it is said of a connection that began then."""
        since = rfc3339(since_ms)
        clock_ms = monotonic_ms(self._clock) if state == "online" else None
        return encode(Status(state=state, version=self._version, bootid=self._boot_id, since=since, clock_ms=clock_ms))

    def is_denied_by(self, payload: bytes) -> bool:
        """Whether what is said there, by an old session's will that came late or by a stranger, is not `online`."""
        try:
            return decode(payload, Status).state != "online"
        except ContractError:
            return True


def monotonic_ms(clock: Clock) -> int:
    """Return what devices are told of the clock that never steps, and what they reckon with."""
    return round(clock.monotonic_s() * 1000)


def _version() -> str:
    try:
        return version("motcua")
    except PackageNotFoundError:  # run from a source tree
        return "unknown"
