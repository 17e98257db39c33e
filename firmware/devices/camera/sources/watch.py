"""The thread that keeps pictures coming: reads, notices silence, lets the camera go and opens it again."""

import logging
import threading
from collections.abc import Callable

from firmware.devices.camera.frames import Frame, Source
from firmware.devices.camera.signals import Back, Lost
from firmware.devices.camera.sources import ProcessSpentError
from firmware.errors import ConfigError, HardwareError
from firmware.ports import Post
from firmware.pulse import Pulse

_log = logging.getLogger(__name__)

SILENCE_S = 5.0
RETRY_FIRST_S = 1.0
RETRY_LAST_S = 60.0
CLOSE_WITHIN_S = 7.0
HANGS_AFTER_MS = 30_000
"""Opening a camera or reading a picture takes a few seconds at most: every wait of ours is bounded."""


class Watch:
    """Takes pictures from a source and gives them to `take`, in a thread of its own.

    `source` makes a source that is not open yet; each opening numbers its pictures anew. What goes wrong is said once
    as Lost, and once as Back when pictures come again; between those it is opened again and again, ever more seldom.
    How seldom is forgotten only after a minute of pictures: one that flaps must not fill the log and the outbox.
    A configuration that cannot work ends it, but not once it has worked: then it is the camera that has changed.
    """

    def __init__(
        self,
        *,
        name: str,
        source: Callable[[], Source],
        take: Callable[[Frame], None],
        monotonic_ms: Callable[[], int],
        silence_s: float = SILENCE_S,
        retry_first_s: float = RETRY_FIRST_S,
        retry_last_s: float = RETRY_LAST_S,
        close_within_s: float = CLOSE_WITHIN_S,
        hangs_after_ms: int = HANGS_AFTER_MS,
    ) -> None:
        self._name = name
        self._source = source
        self._take = take
        self._monotonic_ms = monotonic_ms
        self._silence_s = silence_s
        self._retry_first_s = retry_first_s
        self._retry_last_s = retry_last_s
        self._close_within_s = close_within_s
        self._pulse = Pulse(limit_ms=hangs_after_ms, monotonic_ms=monotonic_ms)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._post: Post = _nowhere
        self._refused: ConfigError | None = None
        # Below: the thread's own.
        self._lost: str | None = None
        self._retry_s = retry_first_s
        self._since_ms: int | None = None  # when the first picture of this opening came
        self._lasted_s = 0.0  # how long pictures came, when they came last
        self._seen_any = False

    def open(self, post: Post) -> None:
        """Start the thread. A camera that is missing or busy is its affair: it tries until there is one."""
        self._post = post
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, name=f"capture-{self._name}", daemon=True)
        self._thread.start()

    def alive(self) -> bool:
        """Whether the thread runs and does not hang in the camera; raise ConfigError if only a person can mend it."""
        if self._refused is not None:
            raise self._refused
        if self._thread is None or not self._thread.is_alive():
            return False
        if not self._pulse.lost():
            return True
        _log.error("%s: the camera's library hangs: unplug the camera and plug it in again", self._name)
        return False

    def close(self) -> None:
        """End the thread and let the camera go; bounded in time, whatever a library does."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._stop.set()
        thread.join(self._close_within_s)
        if thread.is_alive():
            _log.error("%s: the capture thread hangs in the camera's library; it ends with the program", self._name)

    # --- the thread ------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._pulse.beat()
                with self._source() as source:
                    ended = not self._read(source)
                if ended:
                    self._end()
            except ProcessSpentError as error:
                self._leave(error)
                return
            except HardwareError as error:
                self._lose(str(error))
            except ConfigError as error:
                if not self._seen_any:
                    _log.error("%s: %s", self._name, error)  # the daemon looks when its watchdog is due
                    self._refused = error
                    return
                self._lose(str(error))

    def _read(self, source: Source) -> bool:
        """Take pictures until the stop; return False where the source has ended."""
        self._since_ms = None
        while not self._stop.is_set():
            self._pulse.beat()
            frame = source.read(self._silence_s)
            if frame is None:
                return False
            self._has_come()
            self._take(frame)
        return True

    def _has_come(self) -> None:
        now_ms = self._monotonic_ms()
        if self._since_ms is None:
            self._since_ms = now_ms
            if self._lost is not None:
                self._lost = None
                _log.info("%s: pictures come again", self._name)
                self._say(Back())
            elif not self._seen_any:
                _log.info("%s: pictures come", self._name)
            self._seen_any = True
        self._lasted_s = (now_ms - self._since_ms) / 1000
        if self._lasted_s >= self._retry_last_s:
            self._retry_s = self._retry_first_s

    def _lose(self, why: str) -> None:
        """Say once why there are no pictures, and wait before the next try."""
        if self._stop.is_set():
            return
        if self._lost is None:
            _log.warning("%s: %s; trying again", self._name, why)
            self._say(Lost(why=why))
        self._lost = why
        _log.debug("%s: %s; trying again in %g s", self._name, why, self._retry_s)
        self._rest(self._retry_s)
        self._retry_s = min(self._retry_s * 2, self._retry_last_s)

    def _end(self) -> None:
        """A video has ended: that is no fault, but nothing comes any more."""
        self._lost = "the video has ended"
        _log.info("%s: %s", self._name, self._lost)
        self._say(Lost(why=self._lost))
        self._rest(None)

    def _leave(self, error: ProcessSpentError) -> None:
        """End the thread, so that the daemon ends and is started anew: once a minute at most, if that does not help."""
        self._rest(0 if self._lasted_s >= self._retry_last_s else self._retry_last_s)
        if not self._stop.is_set():
            _log.warning("%s: %s", self._name, error)

    def _rest(self, seconds: float | None) -> None:
        self._pulse.rest()
        self._stop.wait(seconds)
        self._pulse.beat()

    def _say(self, signal: object) -> None:
        try:
            self._post(signal)
        except Exception:  # noqa: BLE001 - whatever is wrong with the inbox, pictures must go on
            _log.exception("%s: a signal was lost inside the program; report this", self._name)


def _nowhere(signal: object) -> None:
    """Stand in for the inbox until the watch is opened."""
