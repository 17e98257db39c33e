"""What stands before a simulated camera, drawn: `python -m simulator.lens --pipe P --plot F --picture J`.

The camera reads the pipe as it would read a video: raw pictures (YUV4MPEG2), as fast as it takes them, so its own
clock is the only one. When it dies the pipe breaks, and the next camera gets a new video from now on. What happens at
the counter is read from the plot, a line of JSON that the world writes whole; the last picture lies beside it as a
JPEG, for the demo's page.
"""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np

from simulator.plot import read_plot, write_whole
from simulator.scene import Picture, Scene
from simulator.stage import Stage

WIDTH, HEIGHT = 640, 480
FPS = 10
PICTURE_EVERY_S = 0.5
"""How often the page's picture is written."""


def main(argv: Sequence[str] | None = None) -> int:
    """Draw until somebody ends it; for each camera that opens the pipe, from now on."""
    parser = argparse.ArgumentParser(prog="python -m simulator.lens", description=__doc__)
    for name in ("pipe", "plot", "picture"):
        parser.add_argument(f"--{name}", type=Path, required=True, metavar="FILE")
    parser.add_argument("--label", default="1", help="of the counter")
    options = parser.parse_args(argv)
    cv2.setNumThreads(1)
    shots = _shots(options.label, options.plot, options.picture)
    while True:
        try:
            with options.pipe.open("wb", buffering=0) as pipe:  # waits until somebody reads
                film(pipe, shots)
        except BrokenPipeError:
            continue


def film(pipe: BinaryIO, shots: Iterator[Picture]) -> None:
    """Write pictures, BGR of `HEIGHT` × `WIDTH`, as a video; raise BrokenPipeError when nobody reads any more."""
    _all(pipe, f"YUV4MPEG2 W{WIDTH} H{HEIGHT} F{FPS}:1 Ip A1:1 C420mpeg2\n".encode())
    for shot in shots:
        _all(pipe, b"FRAME\n")
        _all(pipe, np.asarray(cv2.cvtColor(shot, cv2.COLOR_BGR2YUV_I420), np.uint8).data)


def _shots(label: str, plot_file: Path, picture_file: Path) -> Iterator[Picture]:
    """Draw picture after picture."""
    scene, stage = Scene(WIDTH, HEIGHT, label=label), Stage()
    number = 0
    while True:
        plot = read_plot(plot_file)
        people = stage.step(1 / FPS, plot.doing)
        picture = scene.covered() if plot.covered else scene.draw(number / FPS, people)
        if number % round(PICTURE_EVERY_S * FPS) == 0:
            small = cv2.resize(picture, (WIDTH // 2, HEIGHT // 2), interpolation=cv2.INTER_AREA)
            write_whole(picture_file, cv2.imencode(".jpg", small, (cv2.IMWRITE_JPEG_QUALITY, 70))[1].tobytes())
        yield picture
        number += 1


def _all(pipe: BinaryIO, content: bytes | memoryview) -> None:
    """Write all of it: a pipe may take a part only."""
    left = memoryview(content).cast("B")
    while left:
        left = left[os.write(pipe.fileno(), left) :]


if __name__ == "__main__":
    sys.exit(main())
