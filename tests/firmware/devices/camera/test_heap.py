"""How a camera's threads share memory, in a program of its own."""

import subprocess
import sys

_PROGRAM = """
import ctypes, threading
from firmware.devices.camera import heap
{first}
met = threading.Barrier(4)
def take():
    pieces = [bytearray(100_000) for _ in range(10)]
    met.wait()
threads = [threading.Thread(target=take) for _ in range(4)]
for each in threads: each.start()
for each in threads: each.join()
ctypes.CDLL(None).malloc_stats()
"""


def _heaps(first: str) -> int:
    ran = subprocess.run(
        [sys.executable, "-c", _PROGRAM.format(first=first)], check=True, capture_output=True, text=True
    )
    return ran.stderr.count("Arena ")


def test_threads_have_one_heap() -> None:
    """However many threads hold pictures at once, what one of them gives back any other may have."""
    assert _heaps("pass") > 1  # or this tests nothing
    assert _heaps("heap.share()") == 1
