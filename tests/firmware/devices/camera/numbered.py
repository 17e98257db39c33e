"""Pictures that carry their number as blocks, readable after coding and in a browser, and packets made of them."""

from collections.abc import Iterator, Sequence
from io import BytesIO

import av
import numpy as np

from firmware.devices.camera.encoder import Encoder
from firmware.devices.camera.frames import Plane
from firmware.devices.camera.ring import Packet

WIDTH, HEIGHT, FPS = 320, 240, 15
BLOCK = 20
BITS = 16
_CLOUDS = [
    np.random.default_rng(seed).integers(90, 160, (HEIGHT // 8, WIDTH // 8), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    for seed in range(5)
]


def picture(number: int) -> Plane:
    """Draw a picture, I420 of 320 × 240: its number in the first row of blocks, the lowest bit on the left."""
    drawn = np.full((HEIGHT * 3 // 2, WIDTH), 128, np.uint8)
    drawn[:HEIGHT] = _CLOUDS[number % len(_CLOUDS)]
    for bit in range(BITS):
        drawn[:BLOCK, bit * BLOCK : (bit + 1) * BLOCK] = 235 if number >> bit & 1 else 16
    return drawn


def read(drawn: Plane) -> int:
    """Return the number of a picture."""
    middles = drawn[BLOCK // 2, BLOCK // 2 : BITS * BLOCK : BLOCK]
    return sum(1 << bit for bit, value in enumerate(middles) if value > 128)


def time_of(number: int) -> int:
    """Return when a picture was taken: fifteen a second, as unsteady as a camera is."""
    return 1_000_000 + number * 1000 // FPS + (0, 7, -5, 2)[number % 4]


def encoded(count: int, first: int = 0) -> list[Packet]:
    """Return so many pictures as packets of one encoder."""
    encoder = Encoder(width=WIDTH, height=HEIGHT, fps=FPS)
    return [
        encoder.encode(picture(number), number=number, at_ms=time_of(number)) for number in range(first, first + count)
    ]


def shown(video: bytes) -> Iterator[tuple[int, int]]:
    """Yield the number of each picture of an MP4, and its milliseconds from the beginning, as PyAV plays it."""
    with av.open(BytesIO(video)) as container:
        for frame in container.decode(video=0):
            assert frame.time is not None
            yield read(frame.to_ndarray(format="yuv420p").astype(np.uint8)), round(frame.time * 1000)


def numbers(video: bytes) -> Sequence[int]:
    """Return the numbers of an MP4's pictures."""
    return [number for number, _ in shown(video)]
