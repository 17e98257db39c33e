"""The hands and eyes at a simulated board: presses its buttons and watches its lights, over the board's Unix socket.

The board runs in the daemon's own process (`simulator/board.py`); a press here is a contact that closes there, and a
light is a pin that the daemon drives. Both carry the board's own CLOCK_MONOTONIC stamp, so no time of this process is
in them.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

log = logging.getLogger(__name__)

RECONNECT_S = 0.05
REMEMBERED = 512
"""Changes of pins that are kept: far more than one citizen causes."""


class NoPowerError(ConnectionError):
    """The board has no power: its daemon is not running just now."""


@dataclass(frozen=True, slots=True)
class PinChange:
    """A pin took a level; `at_ns` is CLOCK_MONOTONIC at the board."""

    pin: int
    high: bool
    at_ns: int


class Board:
    """One board. `pins` is what it drives now; without power everything is dark."""

    def __init__(self, path: Path, *, on_change: Callable[[], None] | None = None) -> None:
        self._path = path
        self._on_change = on_change or (lambda: None)
        self._writer: asyncio.StreamWriter | None = None
        self._replies: deque[tuple[str, int, asyncio.Future[int]]] = deque()
        self._watchers: set[Callable[[PinChange], None]] = set()
        self.pins: dict[int, bool] = {}
        self.history: deque[PinChange] = deque(maxlen=REMEMBERED)

    @property
    def powered(self) -> bool:
        """Whether the board can be touched."""
        return self._writer is not None

    def lit(self, pin: int) -> bool:
        """Whether the daemon drives this pin high."""
        return self.pins.get(pin, False)

    async def run(self) -> None:
        """Stay connected until cancelled; a board that restarts is found again."""
        while True:
            try:
                reader, writer = await asyncio.open_unix_connection(str(self._path))
            except OSError:
                await asyncio.sleep(RECONNECT_S)
                continue
            self._writer = writer
            self._on_change()
            try:
                await self._listen(reader)
            except OSError as error:
                log.debug("%s: %s", self._path.name, error)
            finally:
                self._lose()
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()

    async def press(self, pin: int) -> int:
        """Close a contact; return when it closed, on the board's clock."""
        return await self._move("press", pin)

    async def release(self, pin: int) -> int:
        """Open a contact; return when it opened, on the board's clock."""
        return await self._move("release", pin)

    def watch(self, watcher: Callable[[PinChange], None]) -> Callable[[], None]:
        """Call `watcher` at every change; returns what ends the watching."""
        self._watchers.add(watcher)
        return lambda: self._watchers.discard(watcher)

    async def _move(self, what: str, pin: int) -> int:
        if self._writer is None:
            raise NoPowerError(f"{self._path.name} has no power")
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._replies.append((what, pin, answer))
        self._writer.write(msgspec.json.encode({"do": what, "pin": pin}) + b"\n")
        return await answer

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        while line := await reader.readline():
            message: dict[str, Any] = msgspec.json.decode(line)
            if "done" in message:
                self._answer(message)
            elif "error" in message:
                self._refuse(message["error"])
            elif "pin" in message:
                self._notice(PinChange(int(message["pin"]), bool(message["high"]), int(message["at_ns"])))

    def _answer(self, message: dict[str, Any]) -> None:
        if self._replies and self._replies[0][:2] == (message["done"], message.get("pin")):
            answer = self._replies.popleft()[2]
            if not answer.done():
                answer.set_result(int(message["at_ns"]))

    def _refuse(self, why: str) -> None:
        """The program has not taken its pins yet: a button that nobody listens to."""
        if self._replies:
            answer = self._replies.popleft()[2]
            if not answer.done():
                answer.set_exception(NoPowerError(f"{self._path.name}: {why}"))

    def _notice(self, change: PinChange) -> None:
        self.pins[change.pin] = change.high
        self.history.append(change)
        for watcher in tuple(self._watchers):
            watcher(change)
        self._on_change()

    def _lose(self) -> None:
        self._writer = None
        self.pins.clear()
        while self._replies:
            answer = self._replies.popleft()[2]
            if not answer.done():
                answer.set_exception(NoPowerError(f"{self._path.name} lost power"))
        self._on_change()
