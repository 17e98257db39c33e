"""A network camera that speaks RTSP."""

from collections.abc import Callable
from urllib.parse import urlsplit

import av
from av.container import InputContainer

from firmware.errors import HardwareError, MotcuaError

_OPEN_WITHIN_S = 4.0  # twice: to connect, and to know the stream
_READ_WITHIN_S = 4.5
"""Less than the silence that counts as lost (5 s). TCP may need some of it to get over a bad moment of a network."""

_CATCHING_UP_MS = 20
"""Pictures whose delay shrinks by more than that from one to the next were waiting for us."""
_JUMP_MS = 5_000
"""A delay that grows by more is no delay: the camera's clock was set back."""

_OPTIONS = {
    "rtsp_transport": "tcp",  # through any firewall, and no picture in shreds
    "allowed_media_types": "video",  # the sound is not even asked for
    "flags": "low_delay",
    # Microseconds. What was read for it is kept, not thrown away as `nobuffer` would: its first picture is the key
    # frame that all others need, and some cameras send the next one after half a minute.
    "analyzeduration": "500000",
}


class Lag:
    """Puts a camera's times on our clock: its pictures come by the least delay that was seen, or later.

    So a bad moment of the network, after which many come at once, does not show in their times. The least delay may
    grow by a thousandth of the time that passes: no clock of a camera is worse than that.
    """

    def __init__(self) -> None:
        self._lag_ms: float | None = None
        self._now_ms = 0
        self._live = False

    def at(self, media_ms: float, now_ms: int) -> int | None:
        """Return when a picture of this time came; None for those that had been waiting for us when we began."""
        passed_ms, self._now_ms = now_ms - self._now_ms, now_ms
        lag_ms = now_ms - media_ms
        if self._lag_ms is None:
            self._lag_ms = lag_ms
            return None
        if not self._live and lag_ms < self._lag_ms - _CATCHING_UP_MS:
            self._lag_ms = lag_ms
            return None
        self._live = True
        least_ms = self._lag_ms + passed_ms / 1000
        self._lag_ms = lag_ms if lag_ms - least_ms > _JUMP_MS else min(lag_ms, least_ms)
        return int(media_ms + self._lag_ms)


class NetworkCamera:
    """The way to a network camera. Its clock is not ours, but it says how far its pictures are apart: see `Lag`."""

    remedy = "check its power and its network cable"
    fault = HardwareError
    repeats = False

    def __init__(self, address: str, monotonic_ms: Callable[[], int], *, patience_s: float = _READ_WITHIN_S) -> None:
        self.name = f"the camera {_without_password(address)}"
        self.patience_s = patience_s
        self._address = address
        self._monotonic_ms = monotonic_ms
        self._lag = Lag()
        self._mute = False

    def open(self) -> InputContainer:
        """Connect, and ask for the stream."""
        self._lag = Lag()
        self._mute, began_ms = False, self._monotonic_ms()
        try:
            return av.open(self._address, mode="r", options=_OPTIONS, timeout=(_OPEN_WITHIN_S, self.patience_s))
        except av.error.InvalidDataError:  # also what FFmpeg says of an answer that never came
            self._mute = self._monotonic_ms() - began_ms >= 900 * _OPEN_WITHIN_S
            raise

    def ready(self, timeout_s: float) -> bool:
        """Reading has its own time limit."""
        return True

    def at(self, media_ms: float) -> tuple[int, int] | None:
        """Return the picture's time, None while the first ones are caught up with. Over TCP none is lost on the way."""
        at_ms = self._lag.at(media_ms, self._monotonic_ms())
        return None if at_ms is None else (at_ms, 0)

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
            case av.error.InvalidDataError() if not self._mute:
                why = "answers, but with no stream that can be read"
            case av.error.ExitError() | av.error.TimeoutError() | av.error.InvalidDataError():
                why = f"does not answer: {self.remedy}"
            case _:
                why = f"cannot be reached ({error.strerror}): {self.remedy}, and the name in its address"
        return HardwareError(f"{self.name} {why}")


def _without_password(address: str) -> str:
    """Return an address without user, password and query."""
    parts = urlsplit(address)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname}{port}{parts.path}"
