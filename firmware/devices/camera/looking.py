"""Sends the newest picture to the center while somebody looks there: a thread that nothing waits for.

Only what is shown comes here, with masks and blocks drawn. Pictures are made into JPEGs while a look lasts and never
else; a slow network skips pictures, and none is ever queued.
"""

import logging
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from contract.states import PICTURE_BYTES, Look
from firmware.devices.camera.config import CameraConfig
from firmware.devices.camera.frames import Plane
from firmware.devices.camera.http import connect, cut, explain
from firmware.devices.camera.privacy import photograph
from firmware.ports import Clock
from firmware.pulse import Pulse

if TYPE_CHECKING:
    from http.client import HTTPConnection
    from socket import socket

_log = logging.getLogger(__name__)

SIZE = (640, 480)
"""A picture is no larger, whatever the camera gives."""

_WITHIN_S = 5.0
_FIRST_RETRY_MS, _LAST_RETRY_MS = 500, 5_000
_ANSWERED_WITHIN_MS = 30_000
"""An answer may come byte by byte, each in time, without an end: that is the center's fault, no thread that hangs."""
_HANGS_AFTER_MS = 60_000
_CLOSE_WITHIN_S = 1.0
_ANSWER_BYTES = 4096
_OVER = frozenset({401, 410})


@dataclass(slots=True)
class _Way:
    """One look: until when it lasts, and when its next picture is due."""

    look: Look
    until_ms: int
    due_ms: int
    retry_ms: int = _FIRST_RETRY_MS


class Looking:
    """Where pictures go now. `want` and `offer` may be called from any thread and return at once."""

    def __init__(self, config: CameraConfig, *, clock: Clock) -> None:
        self._config, self._clock = config, clock
        self._pulse = Pulse(limit_ms=_HANGS_AFTER_MS, monotonic_ms=clock.monotonic_ms)
        self._patience = Pulse(limit_ms=_ANSWERED_WITHIN_MS, monotonic_ms=clock.monotonic_ms)
        self._link: socket | None = None  # of the connection
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()
        self._stopping = False
        self._wanted: Look | None = None
        self._over: str | None = None  # the token of a look that has ended, though it may still be wanted
        self._newest: tuple[Plane, int] | None = None

        # Below: the thread's own.
        self._way: _Way | None = None
        self._connection: HTTPConnection | None = None
        self._failing = False

    def open(self) -> None:
        """Start the thread; again after a close."""
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="looking", daemon=True)
        self._thread.start()

    def alive(self) -> bool:
        """Whether the thread runs and does not hang; what takes too long over the network is cut off."""
        if self._patience.lost():
            cut(self._link)
        return self._thread is not None and self._thread.is_alive() and not self._pulse.lost()

    def close(self) -> None:
        """Stop the thread; a picture on its way may be cut off."""
        self._stopping = True
        self._wake.set()
        cut(self._link)
        if self._thread is not None:
            self._thread.join(_CLOSE_WITHIN_S)

    def want(self, look: Look | None) -> None:
        """Send pictures there from now on, or nowhere. The same look again is no new one."""
        self._wanted = look
        self._wake.set()

    def offer(self, shown: Plane, at_ms: int) -> None:
        """Have the newest picture, I420; it must not be changed afterwards."""
        wanted = self._wanted
        if wanted is not None and wanted.token != self._over:
            self._newest = (shown, at_ms)
            self._wake.set()

    # --- the thread --------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            self._pulse.rest()
            self._patience.rest()
            self._wake.wait(self._idle_s())
            self._wake.clear()
            if self._stopping:
                self._hang_up()
                return
            self._pulse.beat()
            self._patience.beat()
            way = self._current()
            if way is not None and self._newest is not None and self._clock.monotonic_ms() >= way.due_ms:
                (shown, at_ms), self._newest = self._newest, None
                self._send(way, shown, at_ms)

    def _idle_s(self) -> float | None:
        if self._way is None:
            return None
        next_ms = self._way.due_ms if self._newest is not None else self._way.until_ms
        return max(0, next_ms - self._clock.monotonic_ms()) / 1000

    def _current(self) -> _Way | None:
        """Return the look that lasts now; a new one begins at once."""
        wanted, way, now = self._wanted, self._way, self._clock.monotonic_ms()
        if way is not None and now >= way.until_ms:
            self._over = way.look.token
        if wanted is None or wanted.token == self._over:
            self._way = self._newest = None
            self._hang_up()
        elif way is None or way.look.token != wanted.token:
            self._way = _Way(wanted, until_ms=now + wanted.seconds * 1000, due_ms=now)
        return self._way

    def _send(self, way: _Way, shown: Plane, at_ms: int) -> None:
        began_ms = self._clock.monotonic_ms()
        jpeg = photograph(shown, within=SIZE, most_bytes=PICTURE_BYTES)
        try:
            status = self._post(way.look, jpeg, at_ms)
        except Exception as error:  # noqa: BLE001 - whatever it is, a camera goes on
            self._hang_up()
            self._say(explain(error, self._config))
            self._later(way)
            return
        if status in _OVER:
            _log.debug("nobody looks any more")
            self._over, self._way, self._newest = way.look.token, None, None
            self._hang_up()
        elif status >= 500 or status == 404:
            self._say(f"{self._config.center}: it answered {status}")
            self._later(way)
        else:
            self._say(None)
            way.due_ms, way.retry_ms = began_ms + way.look.every_ms, _FIRST_RETRY_MS

    def _post(self, look: Look, jpeg: bytes, at_ms: int) -> int:
        """Send a picture; returns the answer's status. A connection that had ended meanwhile is made anew, once."""
        if self._connection is not None:
            try:
                return self._ask(self._connection, look, jpeg, at_ms)
            except ConnectionError:
                self._hang_up()
        self._connection = connect(self._config, clock_is_set=self._clock.synchronised(), timeout_s=_WITHIN_S)
        self._link = self._connection.sock
        return self._ask(self._connection, look, jpeg, at_ms)

    def _ask(self, connection: "HTTPConnection", look: Look, jpeg: bytes, at_ms: int) -> int:
        headers = {
            "Authorization": f"Bearer {look.token}",
            "Content-Type": "image/jpeg",
            "Picture-Age-Ms": str(max(0, self._clock.monotonic_ms() - at_ms)),
        }
        connection.request("POST", look.path, jpeg, headers)
        answer = connection.getresponse()
        answer.read(_ANSWER_BYTES)
        if answer.will_close or not answer.isclosed():
            self._hang_up()  # it ends here, or says more than there is to say
        return answer.status

    def _later(self, way: _Way) -> None:
        way.due_ms = self._clock.monotonic_ms() + way.retry_ms
        way.retry_ms = min(way.retry_ms * 2, _LAST_RETRY_MS)

    def _say(self, fault: str | None) -> None:
        """Say once that pictures do not get through, and once that they do again."""
        if fault is not None and not self._failing:
            _log.warning("somebody wants to look through the camera and cannot: %s", fault)
        elif fault is None and self._failing:
            _log.info("who looks through the camera sees it again")
        self._failing = fault is not None

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = self._link = None
