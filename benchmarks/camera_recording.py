"""A camera's recording: encode, hold, write.

Encoded are real pedestrians (Debian's opencv-doc), scaled to 640 × 480 and shown at 15 frames a second; without the
package a drawn scene. Beside a clip on the disk, fragments made, hashed and synced one by one, stand the same bytes
written and synced in as many pieces: the floor of the same disk. Times are processor time of this thread but where a
disk is waited for.
"""

import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import av
import numpy as np

from benchmarks.figures import Row, at_most, median
from firmware.clock import SystemClock
from firmware.devices.camera.clips import Folder
from firmware.devices.camera.encoder import Encoder
from firmware.devices.camera.frames import Plane
from firmware.devices.camera.mp4 import Muxer, beginning_at
from firmware.devices.camera.recorder import Recorder
from firmware.devices.camera.ring import Packet, Ring
from firmware.devices.camera.signals import Begin, End, Kept
from host.sealing import Sealer, make_keys, read_public_key

WIDTH, HEIGHT, FPS = 640, 480, 15
SECONDS = 30
FRAMES = SECONDS * FPS
VTEST = Path("/usr/share/doc/opencv-doc/examples/data/vtest.avi")
_MB = 1_000_000


def run(rounds: int) -> list[Row]:
    """Measure and return medians of the rounds."""
    pictures = list(_pictures(FRAMES))
    name = "pedestrians" if VTEST.exists() else "drawn scene"
    rounds_seen = [_round(pictures) for _ in range(rounds)]

    def middle(what: str) -> float:
        return median([seen[what] for seen in rounds_seen])

    return [
        at_most(f"encode a picture, {name} 640 × 480, one stream", middle("encode"), "ms", 1.5),
        Row("encode the beginning of a clip anew, half a second", middle("anew"), "ms"),
        Row("10 s in the ring, one stream", middle("ring"), "MB"),
        Row("mux 30 s", middle("mux"), "ms", beside=middle("join"), beside_name="joining the packets"),
        Row("seal 30 s", middle("seal"), "ms"),
        Row(
            f"clip of 30 s onto the disk, {SECONDS} syncs",
            middle("clip"),
            "ms",
            beside=middle("write"),
            beside_name="the same bytes in as many pieces",
        ),
    ]


def _round(pictures: list[Plane]) -> dict[str, float]:
    seen: dict[str, float] = {}
    encoder = Encoder(width=WIDTH, height=HEIGHT, fps=FPS)
    began = time.thread_time()
    packets = [encoder.encode(picture, number=number, at_ms=_at_ms(number)) for number, picture in enumerate(pictures)]
    seen["encode"] = _since(began) / len(packets)

    ring = Ring(seconds=10, most_bytes=64 * _MB)
    for packet in packets:
        ring.put(packet)
    seen["ring"] = ring.bytes / _MB

    began = time.thread_time()
    beginning_at(_at_ms(FPS // 2), packets[:FPS], Encoder(width=WIDTH, height=HEIGHT, fps=FPS))
    seen["anew"] = _since(began)

    began = time.thread_time()
    muxer = Muxer(width=WIDTH, height=HEIGHT, fps=FPS)
    pieces = [piece for piece in (*(muxer.add(packet) for packet in packets), muxer.end()) if piece]
    seen["mux"] = _since(began)
    began = time.thread_time()
    b"".join(packet.data for packet in packets)
    seen["join"] = _since(began)

    began = time.thread_time()
    sealer = Sealer(read_public_key(make_keys()[1]), "bench")
    for piece in pieces:
        sealer.seal(piece)
    seen["seal"] = _since(began)

    with tempfile.TemporaryDirectory() as name:
        seen["clip"] = _clip_ms(Path(name) / "clips", packets)
        seen["write"] = _write_ms(Path(name) / "floor", pieces)
    return seen


def _clip_ms(folder: Path, packets: list[Packet]) -> float:
    """Time a whole clip on the disk, its sidecar included, by the wall clock: it comes second by second."""
    ring = Ring(seconds=60, most_bytes=64 * _MB)
    posted: list[object] = []
    clock = SystemClock()
    first_ms = clock.monotonic_ms()  # what is over for long would be ended with the pictures that it has
    recorder = Recorder(
        folder=Folder(folder, quota_bytes=10_000 * _MB, clock=clock, spare_bytes=0),
        shown=ring,
        clear=None,
        size=(WIDTH, HEIGHT),
        fps=FPS,
        service_kept_s=3600,
        clock=clock,
        post=posted.append,
    )
    recorder.begin()
    began = time.perf_counter()
    recorder.take(Begin("bench", first_ms, 0, "bench", held=False))
    recorder.take(End("bench", first_ms, _at_ms(FRAMES - 1)))
    for number, packet in enumerate(packets, 1):
        ring.put(replace(packet, at_ms=first_ms + packet.at_ms))
        if number % FPS == 0:
            recorder.step()
    took_ms = (time.perf_counter() - began) * 1000
    if not any(isinstance(each, Kept) and each.seconds > SECONDS - 1 for each in posted):
        raise RuntimeError(f"no whole clip was kept: {posted}")
    return took_ms


def _write_ms(file: Path, pieces: list[bytes]) -> float:
    began = time.perf_counter()
    with file.open("wb", buffering=0) as out:
        for piece in pieces:
            out.write(piece)
            os.fdatasync(out.fileno())
    return (time.perf_counter() - began) * 1000


def _pictures(count: int) -> Iterator[Plane]:
    """Yield I420 pictures, over and over from the beginning."""
    if not VTEST.exists():
        for number in range(count):
            yield _drawn(number)
        return
    made = 0
    while made < count:
        with av.open(VTEST) as container:
            for frame in container.decode(video=0):
                if made == count:
                    return
                made += 1
                yield frame.to_ndarray(width=WIDTH, height=HEIGHT, format="yuv420p").astype(np.uint8)


def _drawn(number: int) -> Plane:
    drawn = np.full((HEIGHT * 3 // 2, WIDTH), 128, np.uint8)
    drawn[:HEIGHT] = np.linspace(40, 200, WIDTH, dtype=np.uint8)
    left = number * 7 % (WIDTH - 80)
    drawn[200:400, left : left + 80] = 90
    drawn[:HEIGHT] += np.random.default_rng(number).integers(0, 6, (HEIGHT, WIDTH), dtype=np.uint8)
    return drawn


def _at_ms(number: int) -> int:
    return number * 1000 // FPS


def _since(began: float) -> float:
    return (time.thread_time() - began) * 1000
