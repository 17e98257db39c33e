"""A network camera that speaks RTSP."""

from collections.abc import Callable
from urllib.parse import urlsplit

import av
from av.container import InputContainer

from firmware.errors import ConfigError, HardwareError, MotcuaError

_OPEN_WITHIN_S = 5.0
_READ_WITHIN_S = 4.5
"""Less than the silence that counts as lost (5 s). TCP may need some of it to get over a bad moment of a network."""

_OPTIONS = {
    "rtsp_transport": "tcp",  # through any firewall, and no picture in shreds
    "allowed_media_types": "video",  # the sound is not even asked for
    "fflags": "nobuffer",
    "flags": "low_delay",
    "analyzeduration": "500000",  # microseconds; pictures of the look at the stream are lost
}


class NetworkCamera:
    """The way to a network camera. Its pictures have the time at which they came: its clock is not ours."""

    remedy = "check its power and its network cable"
    repeats = False

    def __init__(self, address: str, monotonic_ms: Callable[[], int], *, patience_s: float = _READ_WITHIN_S) -> None:
        self.name = f"the camera {_without_password(address)}"
        self.patience_s = patience_s
        self._address = address
        self._monotonic_ms = monotonic_ms

    def open(self) -> InputContainer:
        """Connect, and ask for the stream."""
        return av.open(self._address, mode="r", options=_OPTIONS, timeout=(_OPEN_WITHIN_S, self.patience_s))

    def ready(self, timeout_s: float) -> bool:
        """Reading has its own time limit."""
        return True

    def at(self, media_ms: float) -> tuple[int, int]:
        """Return the time of now. Over TCP nothing is lost on the way."""
        return self._monotonic_ms(), 0

    def end(self) -> None:
        """A camera does not end."""
        raise HardwareError(f"{self.name} has ended its stream")

    def trouble(self, error: av.FFmpegError) -> MotcuaError:
        """A camera may come back, whatever it said: it may be starting, and a password may be mended at its end."""
        match error:
            case av.error.HTTPUnauthorizedError() | av.error.HTTPForbiddenError():
                why = "refuses the user or the password: check address in the configuration"
            case av.error.HTTPNotFoundError():
                why = "has no stream of this path: check address in the configuration"
            case av.error.ConnectionRefusedError():
                why = "is not listening: it may be starting, or the port is another"
            case av.error.ExitError() | av.error.TimeoutError():
                why = f"does not answer: {self.remedy}"
            case av.error.InvalidDataError():
                why = "answers, but with no stream that can be read"
            case _:
                why = f"cannot be reached ({error.strerror}): {self.remedy}, and the name in its address"
        return HardwareError(f"{self.name} {why}")


def _without_password(address: str) -> str:
    """Return an address without user, password and query; raise ConfigError if it is none."""
    try:
        parts = urlsplit(address)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        parts, port = urlsplit(""), ""
    if parts.scheme not in ("rtsp", "rtsps") or not parts.hostname:
        raise ConfigError("address must be as rtsp://host/path for the source rtsp")
    return f"{parts.scheme}://{parts.hostname}{port}{parts.path}"
