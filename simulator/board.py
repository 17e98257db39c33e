"""A simulated board: the real device program on gpiozero's mock pins, with a socket for hands and eyes.

    python -m simulator.board --socket PATH -- run NAME --config FILE

The program runs unchanged in this process's main thread. The Unix socket speaks JSON lines with any number of clients:

    in   {"do": "press", "pin": 17}     {"do": "release", "pin": 17}     {"do": "pins"}
    out  {"done": "press", "pin": 17, "at_ns": 81231…}                   the edge, on CLOCK_MONOTONIC
         {"pins": [{"pin": 17, "function": "input", "high": true}, …]}
         {"error": "GPIO 4 is not a contact of this device"}
    out, on connecting and whenever an output changes
         {"pin": 5, "high": true, "at_ns": 81234…}
"""

import argparse
import contextlib
import logging
import selectors
import socket
import stat
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import gpiozero
import msgspec
from gpiozero.pins.mock import MockFactory, MockPin

from firmware.devices.gpio import Pin

_log = logging.getLogger(__name__)

LINE_BYTES = 4096
BACKLOG_BYTES = 1 << 20
"""A client that reads so slowly is dropped rather than waited for: the device must not feel who watches."""


class Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a client asks for. A hand needs a pin."""

    do: Literal["press", "release", "pins"]
    pin: Pin | None = None


class Change(msgspec.Struct, frozen=True):
    """An output is at a level since `at_ns`."""

    pin: int
    high: bool
    at_ns: int


class Done(msgspec.Struct, frozen=True):
    """A hand moved; `at_ns` is the time of the edge."""

    done: str
    pin: int
    at_ns: int


class PinState(msgspec.Struct, frozen=True):
    """One pin that the program has taken."""

    pin: int
    function: str
    high: bool


class Pins(msgspec.Struct, frozen=True):
    """Every pin that the program has taken."""

    pins: tuple[PinState, ...]


class Refused(msgspec.Struct, frozen=True):
    """Why an order was not carried out."""

    error: str


Answer = Done | Pins | Refused
_encode = msgspec.json.Encoder().encode
_orders = msgspec.json.Decoder(Order)


def bcm(pin: MockPin) -> int:
    """Return a pin's BCM number."""
    return int(pin.info.name.removeprefix("GPIO"))


class Board:
    """Mock pins that a program takes through gpiozero, and that hands press and eyes watch, from any thread."""

    def __init__(self) -> None:
        self._seen: dict[int, Change] = {}
        self._taken: dict[int, MockPin] = {}
        self._watchers: list[Callable[[Change], None]] = []
        self._lock = threading.Lock()
        board = self

        class BoardPin(MockPin):  # type: ignore[misc]  # gpiozero ships no types
            """A pin that tells its board when it is taken and when its output changes."""

            def _set_function(self, value: str) -> None:
                super()._set_function(value)
                board._function(self, value)

            def _change_state(self, value: bool) -> bool:
                changed: bool = super()._change_state(value)
                self.clear_states()  # a mock pin keeps all it ever was; a real one keeps nothing
                if changed and self._function == "output":
                    board._output(self, high=value)
                return changed

        self.factory = MockFactory(pin_class=BoardPin)

    def watch(self, watcher: Callable[[Change], None]) -> None:
        """Call `watcher` with each output as it is, then with each change, in whose thread it must not block."""
        with self._lock:
            for change in self._seen.values():
                watcher(change)
            self._watchers.append(watcher)

    def unwatch(self, watcher: Callable[[Change], None]) -> None:
        """Call `watcher` no more."""
        with self._lock:
            self._watchers.remove(watcher)

    def move(self, pin: int, *, closed: bool) -> int:
        """Close or open a contact to ground; return when, in monotonic nanoseconds. KeyError for what is none."""
        contact = self._taken[pin]
        if contact.function != "input":
            raise KeyError(pin)
        at_ns = time.monotonic_ns()
        if closed:
            contact.drive_low()
        else:
            contact.drive_high()
        return at_ns

    def pins(self) -> Sequence[PinState]:
        """Return every pin that was taken."""
        return [PinState(number, pin.function, bool(pin.state)) for number, pin in sorted(self._taken.items())]

    def _function(self, pin: MockPin, function: str) -> None:
        with self._lock:
            self._taken[bcm(pin)] = pin
        if function == "output":
            self._output(pin, high=bool(pin.state))

    def _output(self, pin: MockPin, *, high: bool) -> None:
        change = Change(bcm(pin), high, time.monotonic_ns())
        with self._lock:
            self._seen[change.pin] = change
            for watcher in self._watchers:
                watcher(change)


class _Client:
    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.heard = b""
        self.unsent = bytearray()


class BoardSocket:
    """Serves a board on a Unix socket, in one thread of its own."""

    def __init__(self, board: Board, path: Path) -> None:
        self._board = board
        self._path = path
        self._changes: deque[Change] = deque()
        self._stopping = threading.Event()
        self._wake_in, self._wake_out = socket.socketpair()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._selector = selectors.DefaultSelector()
        self._clients: set[_Client] = set()
        self._known: dict[int, Change] = {}
        self._thread = threading.Thread(target=self._run, name="board-socket", daemon=True)

    def open(self) -> None:
        """Listen; raise OSError where that is impossible."""
        try:
            _remove_stale(self._path)
            self._listener.bind(str(self._path))
        except OSError:
            self._close_sockets()
            raise
        self._listener.listen()
        for end in (self._listener, self._wake_in, self._wake_out):
            end.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
        self._selector.register(self._wake_in, selectors.EVENT_READ, self._tell_changes)
        self._board.watch(self._changed)
        self._thread.start()

    def close(self) -> None:
        """Stop listening, let the clients go, remove the socket."""
        self._board.unwatch(self._changed)
        self._stopping.set()
        self._wake()
        self._thread.join(timeout=5)
        self._close_sockets()
        self._path.unlink(missing_ok=True)

    def _close_sockets(self) -> None:
        for client in self._clients:
            client.connection.close()
        for end in (self._listener, self._wake_in, self._wake_out):
            end.close()
        self._selector.close()

    def _changed(self, change: Change) -> None:
        """Runs in the device's own threads: note, wake, return."""
        self._changes.append(change)
        self._wake()

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):  # full: it is awake already
            self._wake_out.send(b"!")

    def _run(self) -> None:
        while not self._stopping.is_set():
            for key, events in self._selector.select():
                if isinstance(key.data, _Client):
                    self._serve(key.data, events)
                else:
                    key.data()

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        connection.setblocking(False)
        client = _Client(connection)
        self._tell_changes()
        self._clients.add(client)
        self._selector.register(connection, selectors.EVENT_READ, client)
        for change in self._known.values():
            self._send(client, change)

    def _tell_changes(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._wake_in.recv(4096)
        while self._changes:
            change = self._changes.popleft()
            self._known[change.pin] = change
            for client in tuple(self._clients):
                self._send(client, change)

    def _serve(self, client: _Client, events: int) -> None:
        try:
            if events & selectors.EVENT_WRITE:
                self._flush(client)
            if events & selectors.EVENT_READ:
                self._hear(client)
        except OSError as error:
            _log.debug("a client of the board is gone: %s", error)
            self._drop(client)

    def _hear(self, client: _Client) -> None:
        received = client.connection.recv(LINE_BYTES)
        if not received:
            self._drop(client)
            return
        *lines, client.heard = (client.heard + received).split(b"\n")
        for line in lines:
            if line.strip():
                self._send(client, self._obey(line))
        if len(client.heard) > LINE_BYTES:
            self._send(client, Refused(f"a line is at most {LINE_BYTES} bytes long"))
            self._drop(client)

    def _obey(self, line: bytes) -> Answer:
        try:
            order = _orders.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            return Refused(f"not an order: {error}")
        if order.do == "pins":
            return Pins(tuple(self._board.pins()))
        if order.pin is None:
            return Refused(f"{order.do} needs a pin")
        try:
            at_ns = self._board.move(order.pin, closed=order.do == "press")
        except KeyError:
            return Refused(f"GPIO {order.pin} is not a contact of this device")
        return Done(order.do, order.pin, at_ns)

    def _send(self, client: _Client, message: Answer | Change) -> None:
        if client not in self._clients:
            return
        client.unsent += _encode(message) + b"\n"
        try:
            self._flush(client)
        except OSError as error:
            _log.debug("a client of the board is gone: %s", error)
            self._drop(client)

    def _flush(self, client: _Client) -> None:
        with contextlib.suppress(BlockingIOError):
            while client.unsent:
                del client.unsent[: client.connection.send(client.unsent)]
        if len(client.unsent) > BACKLOG_BYTES:
            _log.warning("a client of the board does not read: dropped")
            self._drop(client)
            return
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if client.unsent else 0)
        self._selector.modify(client.connection, wanted, client)

    def _drop(self, client: _Client) -> None:
        if client in self._clients:
            self._clients.remove(client)
            self._selector.unregister(client.connection)
            client.connection.close()


def _remove_stale(path: Path) -> None:
    """Remove the socket that a killed board left behind; raise OSError if somebody listens, or if it is no socket."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise FileExistsError(f"{path} exists and is not a socket")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
        else:
            raise FileExistsError(f"another board listens on {path}")


def main(arguments: Sequence[str] | None = None, program: Callable[[list[str]], int] | None = None) -> int:
    """Run the device program on a simulated board; return its exit code, or 2 for a socket that cannot be."""
    parser = argparse.ArgumentParser(prog="python -m simulator.board", description=__doc__.partition("\n")[0])
    parser.add_argument("--socket", type=Path, required=True, help="path of the Unix socket for hands and eyes")
    parser.add_argument("command", nargs="+", help="-- run NAME --config FILE, as for `motcua device`")
    options = parser.parse_args(arguments)
    board = Board()
    gpiozero.Device.pin_factory = board.factory
    board_socket = BoardSocket(board, options.socket)
    try:
        board_socket.open()
    except OSError as error:
        sys.stderr.write(f"{options.socket}: the board's socket cannot be opened: {error}\n")
        return 2
    try:
        return (program or _firmware())(options.command)
    finally:
        board_socket.close()


def _firmware() -> Callable[[list[str]], int]:
    from firmware.cli import main as run  # the board must stand before anything of the program is loaded

    return run


if __name__ == "__main__":
    sys.exit(main())
