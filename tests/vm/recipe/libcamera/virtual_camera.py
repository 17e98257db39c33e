"""Fits libcamera's virtual camera to Picamera2, which is as it comes; then is the program `motcua`.

Picamera2 asks each camera for its raw modes, of which a virtual one has none, and would have buffers of one plane. The
camera gives pictures as fast as its buffers come back: each comes back a fifteenth of a second after the one before.
"""

import sys
import time
from typing import Any

import picamera2
from picamera2.allocators import LibcameraAllocator
from picamera2.request import CompletedRequest

PERIOD_S = 1 / 15

_release = CompletedRequest.release


def _pace(request: Any) -> None:
    if request.ref_count == 1:
        time.sleep(PERIOD_S)
    _release(request)


class VirtualCamera(picamera2.Picamera2):
    """What is imported as `Picamera2` from here on."""

    def __init__(self) -> None:
        super().__init__(allocator="of the camera, below")
        self.allocator = LibcameraAllocator(self.camera)

    def _get_raw_modes(self) -> list[dict[str, Any]]:
        return [{"format": "SBGGR8", "size": (640, 480)}]


CompletedRequest.release = _pace
picamera2.Picamera2 = VirtualCamera

if __name__ == "__main__":
    from motcua.cli import main

    sys.exit(main(sys.argv[1:]))
