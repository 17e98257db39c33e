"""A serial port that can be unplugged: a kernel pseudo-terminal behind a path that stays."""

import contextlib
import os
import pty
import select
import threading
import tty
from collections.abc import Callable
from pathlib import Path

JOIN_WITHIN_S = 5.0


class PtyPort:
    """The far end of a serial cable. What a program writes to `path` comes to `receive`, in the port's own thread."""

    def __init__(self, path: Path, receive: Callable[[bytes], bytes]):
        """Take `receive`: it gets bytes and returns the answer, empty for none. Nothing is plugged in yet."""
        self.path = path
        self._receive = receive
        self._lock = threading.Lock()
        self._master: int | None = None
        self._slave: int | None = None
        self._bell: tuple[int, int] | None = None
        self._thread: threading.Thread | None = None

    @property
    def plugged(self) -> bool:
        """Whether the path leads to the panel."""
        return self._thread is not None

    def plug(self) -> None:
        """Put the cable in: the path appears."""
        with self._lock:
            if self._thread is not None:
                return
            # The far end's own descriptor on the near side keeps the pair alive while no program has it open.
            self._master, self._slave = pty.openpty()
            tty.setraw(self._slave)
            os.set_blocking(self._master, False)
            self._bell = os.pipe()
            self._thread = threading.Thread(
                target=self._run, args=(self._master, self._bell[0]), name=f"pty-{self.path.name}", daemon=True
            )
            self._thread.start()
            self._link(os.ttyname(self._slave))

    def unplug(self) -> None:
        """Pull the cable: the path disappears, and whoever has it open reads a hang-up."""
        with self._lock:
            thread, self._thread = self._thread, None
            if thread is None or self._bell is None or self._master is None or self._slave is None:
                return
            self.path.unlink(missing_ok=True)
            os.write(self._bell[1], b"\0")
            thread.join(JOIN_WITHIN_S)
            for descriptor in (self._master, self._slave, *self._bell):
                os.close(descriptor)
            self._master = self._slave = self._bell = None

    def _link(self, target: str) -> None:
        """Have the path lead to the new terminal, at once: a program that looks never finds half a link."""
        fresh = self.path.with_name(f".{self.path.name}.new")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(target)
        fresh.replace(self.path)

    def _run(self, master: int, bell: int) -> None:
        while True:
            ready, _, _ = select.select([master, bell], [], [])
            if bell in ready:
                return
            answer = self._receive(os.read(master, 4096))
            if answer:
                with contextlib.suppress(BlockingIOError):  # nobody reads: on a wire the answer would be gone as well
                    os.write(master, answer)
