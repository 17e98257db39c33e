"""Notes what somebody was told, in the block log itself. Runs inside the virtual machine.

A note is a write behind the file system on the disk under test, past every cache. Its place in the log is after what it
tells: a commit's flush is done before the light, the light is seen before the note. So a power cut behind a note must
have left what was told.
"""

import json
import mmap
import os
import threading

DEVICE = "/dev/vdb"
PLACE = 60 << 20
"""The file system ends here, the disk a little later. Every note goes to this place: the log keeps them all."""
ROOM = 8192
SECTOR = 512


class Witness:
    """Writes notes; any number of threads and processes may at once."""

    def __init__(self) -> None:
        self._disk = os.open(DEVICE, os.O_WRONLY | os.O_DIRECT)
        self._page = mmap.mmap(-1, ROOM)  # aligned, as O_DIRECT wants it
        self._lock = threading.Lock()

    def note(self, raw: bytes = b"", **told: object) -> None:
        """Note what was told, and bytes behind it; returns when it stands in the log."""
        head = json.dumps({**told, "raw": len(raw)}).encode() + b"\n"
        size = -(-(len(head) + len(raw)) // SECTOR) * SECTOR
        with self._lock:
            self._page[:size] = (head + raw).ljust(size, b"\0")
            os.pwrite(self._disk, memoryview(self._page)[:size], PLACE)
