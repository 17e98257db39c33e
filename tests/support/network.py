"""A network that can be made bad: a namespace of its own and one cable to it, two tun devices with a program between.

The kernel's netem would do the same; many kernels come without it, and hardly one without tun.
"""

import fcntl
import heapq
import os
import random
import select
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_MISSING = "a network of its own needs root, iproute2 and /dev/net/tun: sudo make system-packages, then as root"
_TUNSETIFF = 0x400454CA  # linux/if_tun.h
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000
_PACKET = 65536


class Cable:
    """A cable from here to a namespace; `host` is this end. What is set holds for each direction, from then on."""

    def __init__(self, name: str, host: str, here: int, there: int) -> None:
        self.name, self.host = name, host
        self.delay_s = self.jitter_s = self.loss = 0.0
        self.cut = False
        self.lost = 0
        self._ends = here, there
        self._chance = random.Random(20261123)  # noqa: S311 - chance that can be repeated
        self._wake, self._waker = os.pipe()
        self._thread = threading.Thread(target=self._carry, name="cable", daemon=True)
        self._thread.start()

    @property
    def prefix(self) -> list[str]:
        """What a command begins with to run at the other end."""
        return ["ip", "netns", "exec", self.name]

    def close(self) -> None:
        """Take it away."""
        os.close(self._waker)
        self._thread.join(30)
        for descriptor in (*self._ends, self._wake):
            os.close(descriptor)

    def _carry(self) -> None:
        here, there = self._ends
        waiting: list[tuple[float, int, int, bytes]] = []
        count = 0
        while True:
            patience = max(waiting[0][0] - time.monotonic(), 0) if waiting else None
            readable, _, _ = select.select([here, there, self._wake], [], [], patience)
            if self._wake in readable:
                return
            for end in readable:
                packet = os.read(end, _PACKET)
                if self.cut or self._chance.random() < self.loss:
                    self.lost += 1
                    continue
                due = time.monotonic() + self.delay_s + self._chance.uniform(-1, 1) * self.jitter_s
                count += 1
                heapq.heappush(waiting, (due, count, there if end == here else here, packet))
            while waiting and waiting[0][0] <= time.monotonic():
                _, _, end, packet = heapq.heappop(waiting)
                if not self.cut:
                    os.write(end, packet)


@contextmanager
def cable() -> Iterator[Cable]:
    """Lay a cable, in addresses that are kept for documentation (RFC 5737); skip the test where that is not allowed."""
    if os.geteuid() != 0 or not Path("/dev/net/tun").exists():
        pytest.skip(_MISSING)
    number = os.getpid() % 60
    name = f"motcua{os.getpid() % 10_000_000}"
    host, other = f"198.51.100.{4 * number + 1}", f"198.51.100.{4 * number + 2}"
    try:
        done = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip(_MISSING)
    if done.returncode:
        pytest.skip(f"no right to make a network namespace here: {done.stderr.strip()}")
    try:
        here, there = _tun(f"{name}a"), _tun(f"{name}b")
        _ip("link", "set", f"{name}b", "netns", name)
        _ip("-n", name, "link", "set", "lo", "up")
        for inside, end, address, peer in (([], "a", host, other), (["-n", name], "b", other, host)):
            _ip(*inside, "address", "add", address, "peer", peer, "dev", f"{name}{end}")
            _ip(*inside, "link", "set", f"{name}{end}", "up")
        made = Cable(name, host, here, there)
        try:
            yield made
        finally:
            made.close()
    finally:
        subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


def _tun(name: str) -> int:
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    fcntl.ioctl(descriptor, _TUNSETIFF, struct.pack("16sH", name.encode(), _IFF_TUN | _IFF_NO_PI))
    return descriptor


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)
