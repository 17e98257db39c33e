"""The page in a browser: the center serves it, so there is no port and nothing here that could prove what is seen."""

from collections.abc import Callable

from firmware.devices.display.signs import Show, Shown, Sign
from firmware.ports import Post

_WORDS = {"idle": "Xin chờ", "paused": "Tạm nghỉ", "closed": "Đóng cửa", "offline": "Xin chờ"}


def text(sign: Sign) -> str:
    """Return what the page says for a sign."""
    return sign.number or _WORDS[sign.kind]


class ScreenDriver:
    """A display without hardware: it says back what it was asked to show, with proof `none`, so nothing is recorded."""

    def __init__(self, *, monotonic_ms: Callable[[], int]):
        self._monotonic_ms = monotonic_ms
        self._post: Post | None = None

    def open(self, post: Post) -> None:
        """Have somewhere to answer."""
        self._post = post

    def drive(self, show: Show) -> None:
        """Say what the page shows."""
        if self._post is not None:
            self._post(Shown(show=show, text=text(show.sign), proof="none", at_ms=self._monotonic_ms()))

    def alive(self) -> bool:
        """Live: there is no thread that could die."""
        return True

    def close(self) -> None:
        """Answer no more."""
        self._post = None
