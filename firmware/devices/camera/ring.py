"""The last minute in memory: encoded pictures, for whoever reads them in their own time.

One thread writes, others read. The writer never waits for a reader: who falls behind by more than the ring holds is
told how much was lost, and goes on at a key frame.
"""

import threading
from collections import deque
from dataclasses import dataclass
from itertools import islice


@dataclass(frozen=True, slots=True)
class Packet:
    """One encoded picture: H.264 in Annex B, a key frame with its parameter sets before it.

    `number` and `at_ms` are the frame's; `at_ms` grows from packet to packet of one encoder.
    """

    number: int
    at_ms: int
    key: bool
    data: bytes


class Ring:
    """Holds the last `seconds`, in at most `most_bytes`; begins with a key frame, and forgets from one to the next."""

    def __init__(self, *, seconds: float, most_bytes: int) -> None:
        self._held_ms = int(seconds * 1000)
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._packets: deque[Packet] = deque()
        self._keys: deque[int] = deque()  # which packets are key frames, counted as `_first` is
        self._first = 0  # how many packets there were before the oldest one that is held
        self._bytes = 0

    @property
    def bytes(self) -> int:
        """How much is held."""
        return self._bytes

    def put(self, packet: Packet) -> None:
        """Take a packet, and forget what is too old or too much. Pictures before the first key frame are dropped."""
        with self._lock:
            if not packet.key and not self._packets:
                self._first += 1
                return
            if packet.key:
                self._keys.append(self._first + len(self._packets))
            self._packets.append(packet)
            self._bytes += len(packet.data)
            while self._bytes > self._most_bytes or self._is_old(packet.at_ms):
                self._forget()

    def reader(self, from_ms: int) -> "Reader":
        """Return a reader that begins where decoding must begin to show `from_ms`, or else with the oldest packet."""
        with self._lock:
            start = next((key for key in reversed(self._keys) if self._at(key).at_ms <= from_ms), self._first)
        return Reader(self, start)

    def since(self, place: int) -> tuple[list[Packet], int]:
        """Return what came from the packet that was counted as `place` on, and how many before those are gone."""
        with self._lock:
            lost = max(self._first - place, 0)
            return list(islice(self._packets, max(place - self._first, 0), None)), lost

    def _at(self, place: int) -> Packet:
        return self._packets[place - self._first]

    def _is_old(self, now_ms: int) -> bool:
        """Whether the second key frame is already as old as the ring reaches back."""
        return len(self._keys) > 1 and self._at(self._keys[1]).at_ms <= now_ms - self._held_ms

    def _forget(self) -> None:
        """Drop the oldest key frame and what hangs on it."""
        self._keys.popleft()
        end = self._keys[0] if self._keys else self._first + len(self._packets)
        while self._first < end:
            self._bytes -= len(self._packets.popleft().data)
            self._first += 1


class Reader:
    """A place in a ring. Used by one thread."""

    def __init__(self, ring: Ring, place: int) -> None:
        self._ring = ring
        self._place = place
        self.lost = 0
        """How many packets were forgotten before they were read."""

    def read(self) -> list[Packet]:
        """Return what is new, in order. What follows a loss begins with a key frame."""
        packets, lost = self._ring.since(self._place)
        self.lost += lost
        self._place += lost + len(packets)
        return packets
