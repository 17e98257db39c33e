"""Pictures in, H.264 out: x264 in software on every model, one packet for each picture, at once."""

import math
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import cast

import av
import numpy as np
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType

from firmware.devices.camera.frames import Plane
from firmware.devices.camera.ring import Packet
from firmware.errors import ConfigError

CODEC = "libx264"
KEY_EVERY_MS = 1000
TIMESCALE = 90_000
"""Units a second, of every time stamp in a clip."""

_QUANTISER = 23
"""x264's, of a picture between two key frames: 42 dB and 1.1 MB in ten seconds of pedestrians; 24 has 0.7 dB less.

A constant one costs six to eight tenths of the time of its rate factor, which looks at each picture twice.
"""

_COARSEST = 44
_BITS_A_PIXEL = 0.5
"""What noise may cost: 2.3 Mbit/s at 640 × 480 and 15 frames a second. A usual picture needs a third of it.

A second that has cost more makes the next one coarser: so much that it costs as much as it may.
"""

_BT601 = 6  # ITU-T H.273: as primaries, transfer and matrix; the range is limited unless said


class Encoder:
    """One stream. A key frame, with its parameter sets before it, comes every second, however few pictures there are.

    `codec` names another of FFmpeg's encoders. Raises ConfigError where there is none.
    """

    def __init__(self, *, width: int, height: int, fps: int, codec: str = CODEC) -> None:
        self._size = (width, height)
        self._fps = fps
        self._codec = codec
        self._most_bytes = width * height * fps * _BITS_A_PIXEL / 8  # in a second
        self._quantiser = _QUANTISER
        self._context = self._opened()
        self._pictures = self._spent = 0  # since the last key frame, it included; and their bytes
        self._key_ms: int | None = None
        self._last_ms: int | None = None

    def encode(self, picture: Plane, *, number: int, at_ms: int) -> Packet:
        """Return a picture as a packet. `picture` is I420, uint8 of `(height * 3 // 2, width)`.

        Times grow: a picture of the same millisecond as the one before comes a millisecond later.
        """
        if self._last_ms is not None:
            at_ms = max(at_ms, self._last_ms + 1)
        self._last_ms = at_ms
        frame = av.VideoFrame.from_numpy_buffer(np.ascontiguousarray(picture), format="yuv420p")
        frame.time_base = self._context.time_base
        frame.pts = at_ms * (TIMESCALE // 1000)
        if self._key_ms is None or self._pictures >= self._fps or at_ms - self._key_ms >= KEY_EVERY_MS:
            frame.pict_type = PictureType.I
            self._adapt(at_ms)
        (packet,) = self._context.encode(frame)  # zerolatency: neither none nor two
        if packet.is_keyframe:
            self._key_ms, self._pictures, self._spent = at_ms, 0, 0
        self._pictures += 1
        self._spent += packet.size
        return Packet(number, at_ms, packet.is_keyframe, bytes(packet))

    def _adapt(self, at_ms: int) -> None:
        """Begin the next second coarser where the last one cost too much, finer where it could have been."""
        if self._key_ms is None:
            return
        share = self._spent * 1000 / max(at_ms - self._key_ms, KEY_EVERY_MS) / self._most_bytes
        step = (
            math.ceil(6 * math.log2(share)) if share > 1 else -3 if share < 0.5 else 0
        )  # six are half or twice the bytes
        wanted = min(max(self._quantiser + step, _QUANTISER), _COARSEST)
        if wanted != self._quantiser:
            self._quantiser = wanted
            self._context = self._opened()

    def _opened(self) -> VideoCodecContext:
        try:
            context = cast("VideoCodecContext", av.CodecContext.create(self._codec, "w"))
        except av.codec.codec.UnknownCodecError as error:
            raise ConfigError(
                f"camera: this PyAV has no {self._codec} (its wheels for 32 bit have none): "
                "use a 64-bit operating system"
            ) from error
        context.width, context.height = self._size
        context.pix_fmt = "yuv420p"
        context.time_base, context.framerate = Fraction(1, TIMESCALE), Fraction(self._fps)
        context.gop_size, context.max_b_frames, context.thread_count = self._fps, 0, 1
        context.color_primaries = context.color_trc = context.colorspace = _BT601
        context.options = {
            "preset": "ultrafast",
            "tune": "zerolatency",
            "qp": str(self._quantiser),
            "forced-idr": "1",
            # Stitchable: the parameter sets are the same whatever the quantiser.
            "x264-params": "scenecut=0:repeat-headers=1:stitchable=1",
        }
        return context


def decode(packets: Iterable[Packet]) -> Iterator[tuple[Packet, Plane]]:
    """Yield each packet with its picture, I420 as it was encoded; the first packet is a key frame."""
    context = av.CodecContext.create("h264", "r")
    context.thread_count = 1
    waiting: list[Packet] = []
    for packet in packets:
        waiting.append(packet)
        for frame in context.decode(av.Packet(packet.data)):
            yield waiting.pop(0), _plane(frame)
    for frame in context.decode(None):
        yield waiting.pop(0), _plane(frame)


def _plane(frame: av.VideoFrame) -> Plane:
    return np.asarray(frame.to_ndarray(format="yuv420p"), dtype=np.uint8)
