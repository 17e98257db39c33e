"""The world's control socket: JSON lines over a Unix socket, so that the demo page can look and touch.

    {"do": "watch"}                                                       → {"q01": {…}, "broker": {…}}, …
    {"do": "press", "counter": "q01", "device": "rating", "button": "3"}  → {"ok": true}
    {"do": "release", …}
    {"do": "unplug" | "plug", "counter": "q01"}
    {"do": "cover" | "uncover", "counter": "q01"}                         the camera's lens, where it is drawn
    {"do": "broker", "running": true | false}

A watcher gets every part first, then the parts that changed, gathered so that a flickering light costs at most
`LOOKS_PER_S` lines a second.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Any, Literal

import msgspec

from simulator.hands import NoPowerError
from simulator.world import BUTTONS, World

log = logging.getLogger(__name__)

LOOKS_PER_S = 30
HOLD_S = 0.06
"""A finger is on a button for so long at least. A click on a page can be shorter than what a pad takes for a press."""
GLANCE_S = 0.5
"""What tells nobody that it changed (an outbox on the disk) is looked at this often."""


class Ask(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One line of a client."""

    do: Literal["watch", "press", "release", "unplug", "plug", "cover", "uncover", "broker"]
    counter: str = ""
    device: Literal["", "rating", "callpad"] = ""
    button: str = ""
    running: bool = True


class Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The answer to anything but watching."""

    ok: bool
    message: str = ""


class ControlServer:
    """Serves one world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()
        self._pressed_at: dict[tuple[str, str, str], float] = {}

    async def open(self) -> None:
        """Begin to listen."""
        path = self._world.premises.control_socket
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._accept, str(path))

    async def close(self) -> None:
        """Stop listening and let the clients go."""
        if self._server is not None:
            self._server.close()
        for client in self._clients:
            client.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = asyncio.current_task()
        if client is not None:
            self._clients.add(client)
            client.add_done_callback(self._clients.discard)
        try:
            while line := await reader.readline():
                await self._answer(line, writer)
        except (OSError, asyncio.CancelledError) as error:
            log.debug("a client of the world left: %r", error)
        finally:
            writer.close()

    async def _answer(self, line: bytes, writer: asyncio.StreamWriter) -> None:
        try:
            ask = msgspec.json.decode(line, type=Ask)
        except msgspec.MsgspecError as error:
            await _say(writer, Answer(ok=False, message=str(error)))
            return
        if ask.do == "watch":
            await self._watch(writer)
        else:
            await _say(writer, await self._do(ask))

    async def _do(self, ask: Ask) -> Answer:
        world = self._world
        try:
            match ask.do:
                case "press" | "release":
                    if ask.device == "" or ask.button not in BUTTONS[ask.device]:
                        return Answer(ok=False, message=f"no button {ask.button!r} on {ask.device!r}")
                    await self._touch(ask)
                case "unplug":
                    world.unplug(ask.counter)
                case "plug":
                    world.plug(ask.counter)
                case "cover" | "uncover":
                    world.cover(ask.counter, covered=ask.do == "cover")
                case "broker":
                    await (world.start_broker if ask.running else world.stop_broker)()
        except NoPowerError as error:
            return Answer(ok=False, message=str(error))
        except KeyError:
            return Answer(ok=False, message=f"no counter {ask.counter!r}")
        return Answer(ok=True)

    async def _touch(self, ask: Ask) -> None:
        """Close a contact, or open it after it was closed for a while."""
        key = (ask.counter, ask.device, ask.button)
        now = asyncio.get_running_loop().time
        if ask.do == "press":
            await self._world.press(*key)
            self._pressed_at[key] = now()
        else:
            if (since := self._pressed_at.pop(key, None)) is not None:
                await asyncio.sleep(since + HOLD_S - now())
            await self._world.release(*key)

    async def _watch(self, writer: asyncio.StreamWriter) -> None:
        changed = asyncio.Event()
        forget = self._world.watch(changed.set)
        sent: dict[str, bytes] = {}
        try:
            while True:
                changed.clear()
                parts = {name: msgspec.json.encode(part) for name, part in self._world.describe().items()}
                fresh = {name: msgspec.Raw(part) for name, part in parts.items() if sent.get(name) != part}
                if fresh:
                    sent = parts
                    await _say(writer, fresh)
                await asyncio.sleep(1 / LOOKS_PER_S)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(changed.wait(), GLANCE_S)
        finally:
            forget()


async def _say(writer: asyncio.StreamWriter, message: Any) -> None:
    writer.write(msgspec.json.encode(message) + b"\n")
    await writer.drain()


class WorldGoneError(ConnectionError):
    """The demo that this center belongs to is not there."""


async def ask_world(path: Path, ask: Ask) -> Answer:
    """Ask once; raise WorldGoneError."""
    async with _connected(path) as (reader, writer):
        await _say(writer, ask)
        line = await reader.readline()
    if not line:
        raise WorldGoneError("the demo closed the line")
    return msgspec.json.decode(line, type=Answer)


async def watch_world(path: Path) -> AsyncGenerator[bytes, None]:
    """Yield lines of changed parts until the world goes; raise WorldGoneError when it is not there."""
    async with _connected(path) as (reader, writer):
        await _say(writer, Ask(do="watch"))
        while line := await reader.readline():
            yield line.rstrip(b"\n")


@contextlib.asynccontextmanager
async def _connected(path: Path) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    try:
        reader, writer = await asyncio.open_unix_connection(str(path), limit=2**20)
    except OSError as error:
        raise WorldGoneError(f"the demo does not answer: {error}") from error
    try:
        yield reader, writer
    except OSError as error:
        raise WorldGoneError(f"the demo went away: {error}") from error
    finally:
        writer.close()
