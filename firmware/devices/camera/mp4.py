"""Packets in, the bytes of a fragmented MP4 out: a fragment from key frame to key frame."""

import os
from collections.abc import Sequence
from fractions import Fraction
from io import BytesIO
from typing import BinaryIO

import av
import numpy as np

from firmware.devices.camera.encoder import TIMESCALE, Encoder, decode
from firmware.devices.camera.frames import Plane
from firmware.devices.camera.ring import Packet

_PER_MS = TIMESCALE // 1000
_LONGEST_S = 86_400


class Muxer:
    """One clip's file, in memory: `add` returns what is to be appended to it, nothing until a fragment is whole.

    The first packet is a key frame. Each picture is shown until the next one's time; times count from the first.
    """

    def __init__(self, *, width: int, height: int, fps: int) -> None:
        self._made = _Tray()
        flags = "frag_keyframe+delay_moov+default_base_moof+skip_trailer"
        # delay_moov: FFmpeg takes the decoder's parameters out of the first packet, so the file begins with it.
        self._container = av.open(
            self._made,
            "w",
            format="mp4",
            options={"movflags": flags, "use_editlist": "0", "fflags": "bitexact", "flush_packets": "1"},
        )
        self._stream = self._container.add_mux_stream("h264", rate=fps, width=width, height=height)
        self._stream.time_base = Fraction(1, TIMESCALE)
        self._usual_ms = round(1000 / fps)
        self._first_ms = 0
        self._waiting: Packet | None = None  # for the next one's time
        self.end_ms = 0
        """When the last picture that was added is over."""

    def add(self, packet: Packet) -> bytes:
        """Take the next packet."""
        if self._waiting is None:
            self._first_ms = packet.at_ms
        else:
            self._write(self._waiting, packet.at_ms)
        self._waiting = packet
        self.end_ms = packet.at_ms + self._usual_ms
        return self._made.take()

    def end(self, at_ms: int | None = None) -> bytes:
        """End the file, its last picture at `at_ms` or after a usual picture's time. Nothing may be added after it."""
        if self._waiting is not None:
            self.end_ms = self.end_ms if at_ms is None else at_ms
            self._write(self._waiting, self.end_ms)
            self._waiting = None
        self._container.close()
        return self._made.take()

    def _write(self, packet: Packet, until_ms: int) -> None:
        made = av.Packet(packet.data)
        made.stream = self._stream
        made.time_base = Fraction(1, TIMESCALE)
        made.pts = made.dts = (packet.at_ms - self._first_ms) * _PER_MS
        made.duration = (until_ms - packet.at_ms) * _PER_MS
        made.is_keyframe = packet.key
        self._container.mux(made)


def beginning_at(from_ms: int, packets: Sequence[Packet], encoder: Encoder) -> list[Packet]:
    """Return the packets from a time on, the first one a key frame; `packets` are one key frame and what hangs on it.

    What cannot be shown without pictures from before is decoded and encoded anew. An edit list would be cheaper, but
    not every player heeds it, and what was before would still be in the file.
    """
    if packets[0].at_ms >= from_ms:
        return list(packets)
    return [
        encoder.encode(picture, number=packet.number, at_ms=packet.at_ms)
        for packet, picture in decode(packets)
        if packet.at_ms >= from_ms
    ]


def whole_length(file: BinaryIO) -> int:
    """Return how much of a fragmented MP4 that was cut is its head and whole fragments (moof and mdat)."""
    _, ends = _fragments(file)
    return ends[-1] if ends else 0


def still(file: BinaryIO) -> Plane:
    """Return a picture from the middle of a fragmented MP4, I420; raise ValueError where there is none.

    Nothing is decoded but that one: it is the first of its fragment.
    """
    head_end, ends = _fragments(file)
    if not ends:
        raise ValueError("it has no pictures")
    middle = len(ends) // 2
    file.seek(0)
    piece = file.read(head_end)
    begin = ends[middle - 1] if middle else head_end
    file.seek(begin)
    piece += file.read(ends[middle] - begin)
    try:
        with av.open(BytesIO(piece), "r", format="mp4") as container:
            container.streams.video[0].codec_context.thread_count = 1
            picture = next(container.decode(video=0), None)
    except (av.FFmpegError, LookupError, UnicodeError) as error:
        raise ValueError(f"it is damaged: {error}") from error
    if picture is None:
        raise ValueError("it is damaged: nothing can be decoded")
    return np.asarray(picture.to_ndarray(format="yuv420p"), dtype=np.uint8)


def _fragments(file: BinaryIO) -> tuple[int, list[int]]:
    """Return where the head of a fragmented MP4 ends, and where each of its whole fragments does."""
    end = file.seek(0, os.SEEK_END)
    head_end, ends, at = 0, [], 0
    while at + 8 <= end:
        file.seek(at)
        box = file.read(8)
        length = int.from_bytes(box[:4], "big")
        if length < 8 or at + length > end:
            break
        if box[4:] == b"moof" and not head_end:
            head_end = at
        at += length
        if box[4:] == b"mdat":
            ends.append(at)
    return head_end, ends


def measure(file: BinaryIO) -> tuple[float, int]:
    """Return how long a whole MP4 is, in seconds, and its pictures; raise ValueError for what is none."""
    file.seek(0)
    try:
        with av.open(file, "r", format="mp4") as container:
            pictures = sum(1 for packet in container.demux(video=0) if packet.size)
            seconds = (container.duration or 0) / av.time_base
    except (av.FFmpegError, LookupError, UnicodeError) as error:  # no track in it; names that are no text
        if isinstance(error, OSError):
            raise
        raise ValueError(f"it is damaged: {error}") from error
    if not 0 <= seconds <= _LONGEST_S:
        raise ValueError(f"it is damaged: it would last {seconds:.0f} s")
    return seconds, pictures


class _Tray:
    """What the muxer wrote and nobody has taken. Not seekable: what was taken does not change any more."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def write(self, data: bytes) -> int:
        self._bytes += data
        return len(data)

    def take(self) -> bytes:
        taken = bytes(self._bytes)
        self._bytes.clear()
        return taken
