"""What every source does to a picture before it hands it on. Functions over arrays and times: no camera, no thread."""

from collections import deque

import cv2
import numpy as np

from firmware.devices.camera.frames import Plane

SMALL_WIDTH, SMALL_HEIGHT = 320, 240
"""The size at which pictures are analysed; `Frame.small` is `(SMALL_HEIGHT, SMALL_WIDTH)`."""

_OLDEST_STAMP_MS = 1_000
_NEWEST_STAMP_MS = -100
"""Some drivers stamp a picture with the time at which it should have come, so it may come early."""
_EARLY = 1 / 3
"""The part of a period by which a frame may come early, at most: stamps jitter."""
_RHYTHM = 8
"""So many intervals say how often a camera gives pictures."""


def shrink(y: Plane) -> Plane:
    """Make the brightness `(height, width)` to `(SMALL_HEIGHT, SMALL_WIDTH)`, each pixel the mean of what it covers."""
    small: Plane = np.asarray(cv2.resize(y, (SMALL_WIDTH, SMALL_HEIGHT), interpolation=cv2.INTER_AREA), dtype=np.uint8)
    return small


def unpadded(padded: Plane, width: int, height: int) -> Plane:
    """Copy an I420 picture out of a camera's buffer, without the bytes that fill up its lines.

    `padded` is `(height * 3 // 2, stride)`, as a V4L2 buffer lies in memory: `height` lines of Y of `stride` bytes,
    then U and V, half as many lines of half as many bytes each. So one row of the array holds *two* lines of U or V,
    and cutting off its right edge would cut the picture's middle out. The result is `(height * 3 // 2, width)`.
    """
    stride = padded.shape[1]
    if stride == width:
        return padded.copy()
    flat = padded.reshape(-1)
    picture = np.empty((height * 3 // 2, width), np.uint8)
    picture[:height] = padded[:height, :width]
    chroma = flat[height * stride :].reshape(height, stride // 2)
    picture[height:] = chroma[:, : width // 2].reshape(height // 2, width)
    return picture


def unwoven(woven: Plane, width: int, height: int) -> Plane:
    """Copy an NV12 picture out of a camera's buffer, as I420.

    `woven` is `(height * 3 // 2, width)` or wider: lines of Y, then lines of U and V in turn. The result is
    `(height * 3 // 2, width)`.
    """
    picture = np.empty((height * 3 // 2, width), np.uint8)
    picture[:height] = woven[:height, :width]
    pairs = woven[height:, :width].reshape(height // 2, width // 2, 2)
    picture[height:].reshape(2, height // 2, width // 2)[:] = pairs.transpose(2, 0, 1)
    return picture


def stamp_ms(stamp_ns: int | None, now_ms: int) -> int | None:
    """Return the camera's own stamp of a frame in our milliseconds; None if it is of another clock, or there is none.

    A stamp is better than the time at which a frame was read: it does not know how long the frame waited for us.
    """
    if stamp_ns is None:
        return None
    ms = stamp_ns // 1_000_000
    return ms if _NEWEST_STAMP_MS <= now_ms - ms <= _OLDEST_STAMP_MS else None


class Thinner:
    """Chooses the frames to keep of a source that gives more of them than are wanted. It never drifts."""

    def __init__(self, fps: int) -> None:
        self._period_ms = 1000 / fps
        self._due_ms: float | None = None
        self._last_ms = 0.0

    def wants(self, at_ms: float) -> bool:
        """Whether the frame of this time is one to keep; a time that runs backwards begins anew."""
        due_ms, interval_ms = self._due_ms, at_ms - self._last_ms
        self._last_ms = at_ms
        if due_ms is None or abs(at_ms - due_ms) > 2 * self._period_ms:
            self._due_ms = at_ms + self._period_ms
            return True
        if at_ms < due_ms - min(_EARLY * self._period_ms, interval_ms / 2):  # the next would be nearer
            return False
        self._due_ms = due_ms + self._period_ms
        return True


class Gaps:
    """Counts the frames that were lost between two that came, by their times.

    The rhythm is what the camera keeps, not what it was asked for: many slow down in the dark. It is the shortest of
    the last intervals but one: lost frames make intervals longer, and one that is too short is a stamp that jitters.
    """

    def __init__(self, fps: int) -> None:
        self._last_ms: int | None = None
        self._intervals_ms: deque[float] = deque([1000 / fps] * _RHYTHM, maxlen=_RHYTHM)

    def lost(self, at_ms: int) -> int:
        """Return how many frames should have come since the last one."""
        last_ms, self._last_ms = self._last_ms, at_ms
        if last_ms is None or at_ms <= last_ms:
            return 0
        rhythm_ms = sorted(self._intervals_ms)[1]
        self._intervals_ms.append(at_ms - last_ms)
        return max(0, int((at_ms - last_ms) / rhythm_ms + _EARLY) - 1)
