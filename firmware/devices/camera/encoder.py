"""Pictures in, H.264 out: x264 in software on every model, one packet for each picture, at once."""

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

_QUALITY = "26"
"""x264's constant rate factor: 42 dB and 1.1 MB in ten seconds of pedestrians; 23 takes 1.5 MB for 2 dB more."""

_BITS_A_PIXEL = 0.5
"""What noise may cost: 2.3 Mbit/s at 640 × 480 and 15 frames a second. A usual picture needs a third of it."""

_BT601 = 6  # ITU-T H.273: as primaries, transfer and matrix; the range is limited unless said


class Encoder:
    """One stream. A key frame, with its parameter sets before it, comes every second, however few pictures there are.

    `codec` names another of FFmpeg's encoders. Raises ConfigError where there is none.
    """

    def __init__(self, *, width: int, height: int, fps: int, codec: str = CODEC) -> None:
        bits = int(width * height * fps * _BITS_A_PIXEL)
        try:
            context = cast("VideoCodecContext", av.CodecContext.create(codec, "w"))
        except av.codec.codec.UnknownCodecError as error:
            raise ConfigError(
                f"camera: this PyAV has no {codec} (its wheels for 32 bit have none): use a 64-bit operating system"
            ) from error
        context.width, context.height, context.pix_fmt = width, height, "yuv420p"
        context.time_base, context.framerate = Fraction(1, TIMESCALE), Fraction(fps)
        context.gop_size, context.max_b_frames, context.thread_count = fps, 0, 1
        context.color_primaries = context.color_trc = context.colorspace = _BT601
        context.options = {
            "preset": "ultrafast",
            "tune": "zerolatency",
            "crf": _QUALITY,
            "maxrate": str(bits),
            "bufsize": str(bits),
            "forced-idr": "1",
            "x264-params": "scenecut=0:repeat-headers=1",
        }
        self._context = context
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
        if self._key_ms is None or at_ms - self._key_ms >= KEY_EVERY_MS:
            frame.pict_type = PictureType.I
        (packet,) = self._context.encode(frame)  # zerolatency: neither none nor two
        if packet.is_keyframe:
            self._key_ms = at_ms
        return Packet(number, at_ms, packet.is_keyframe, bytes(packet))


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
