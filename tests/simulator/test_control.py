"""The world's control socket: what the demo's page asks of it, and what it tells."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from simulator.control import HOLD_S, Answer, Ask, ControlServer, WorldGoneError, ask_world, watch_world
from simulator.hands import Board
from simulator.panels import ModbusLedPanel
from simulator.premises import Premises, plan_counters
from simulator.world import PADS, World

PATIENCE_S = 30.0


@asynccontextmanager
async def world_without_power(folder: Path) -> AsyncIterator[World]:
    """A world of one counter whose programs do not run: a panel on its port, pads without power, a control socket."""
    premises = Premises(folder=folder, run=folder, http_port=1, mqtt_port=1, counters=plan_counters(1))
    world = World(premises, broker="mosquitto")
    panel = ModbusLedPanel(premises.panel_port("q01"))
    panel.plug()
    world.panels["q01"] = panel
    for device in PADS:
        world.boards["q01", device] = Board(premises.board_socket("q01", device))
    server = ControlServer(world)
    await server.open()
    try:
        yield world
    finally:
        await server.close()
        panel.close()


def in_world(folder: Path, act: Callable[[World, Path], Awaitable[None]]) -> None:
    """Run something beside such a world."""

    async def run() -> None:
        async with asyncio.timeout(PATIENCE_S), world_without_power(folder) as world:
            await act(world, world.premises.control_socket)

    asyncio.run(run())


def test_a_cable_is_pulled_and_put_back(tmp_path: Path) -> None:
    """Unplug and plug act on the panel of the counter that is named."""

    async def act(world: World, path: Path) -> None:
        assert await ask_world(path, Ask(do="unplug", counter="q01")) == Answer(ok=True)
        assert not world.panels["q01"].plugged
        assert await ask_world(path, Ask(do="plug", counter="q01")) == Answer(ok=True)
        assert world.panels["q01"].plugged

    in_world(tmp_path, act)


@pytest.mark.parametrize(
    ("ask", "why"),
    [
        (Ask(do="press", counter="q01", device="rating", button="9"), "no button"),
        (Ask(do="press", counter="q01", button="1"), "no button"),
        (Ask(do="press", counter="q09", device="rating", button="1"), "q09"),
        (Ask(do="unplug", counter="q09"), "q09"),
        (Ask(do="press", counter="q01", device="rating", button="1"), "no power"),
    ],
)
def test_what_cannot_be_done_is_told(tmp_path: Path, ask: Ask, why: str) -> None:
    """An unknown button or counter, and a pad without power, are answered with the reason."""

    async def act(_: World, path: Path) -> None:
        answer = await ask_world(path, ask)
        assert not answer.ok
        assert why in answer.message

    in_world(tmp_path, act)


def test_the_shortest_click_holds_a_button_for_a_while(tmp_path: Path) -> None:
    """A contact that is let go at once stays closed for 60 ms, which every pad takes for a press."""
    moved: list[tuple[str, float]] = []

    async def pad(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            order = msgspec.json.decode(line)
            moved.append((order["do"], time.monotonic()))
            answer = {"done": order["do"], "pin": order["pin"], "at_ns": time.monotonic_ns()}
            writer.write(msgspec.json.encode(answer) + b"\n")
        writer.close()

    async def act(world: World, path: Path) -> None:
        board = world.boards["q01", "callpad"]
        server = await asyncio.start_unix_server(pad, str(world.premises.board_socket("q01", "callpad")))
        running = asyncio.create_task(board.run())
        while not board.powered:  # noqa: ASYNC110 - it tells everybody, but sets no event here
            await asyncio.sleep(0.01)
        for do in ("press", "release"):
            assert (await ask_world(path, Ask(do=do, counter="q01", device="callpad", button="next"))).ok  # type: ignore[arg-type]
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        server.close()

    in_world(tmp_path, act)
    (press, pressed_at), (release, released_at) = moved
    assert (press, release) == ("press", "release")
    assert released_at - pressed_at >= HOLD_S - 0.005


@pytest.mark.parametrize("line", [b"nonsense\n", b'{"do": "dance"}\n', b'{"do": "plug", "who": 1}\n', b"\xff\n"])
def test_a_broken_line_is_answered_and_the_socket_goes_on(tmp_path: Path, line: bytes) -> None:
    """What is not an ask gets a reason, and the next line on the same connection is served."""

    async def act(_: World, path: Path) -> None:
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(line + b'{"do": "plug", "counter": "q01"}\n')
        assert not msgspec.json.decode(await reader.readline(), type=Answer).ok
        assert msgspec.json.decode(await reader.readline(), type=Answer).ok
        writer.close()
        await writer.wait_closed()

    in_world(tmp_path, act)


def test_a_watcher_gets_everything_and_then_what_changes(tmp_path: Path) -> None:
    """The first line has every part, each later one only the parts that look different."""

    async def act(world: World, path: Path) -> None:
        lines = watch_world(path)
        first: dict[str, Any] = msgspec.json.decode(await anext(lines))
        assert first.keys() == {"broker", "services", "q01"}
        assert first["q01"]["panel"]["plugged"] is True
        assert first["q01"]["rating"] == {
            "powered": False,
            "leds": {"1": False, "2": False, "3": False},
            "outbox": None,
            "buzzer": False,
        }
        world.unplug("q01")
        change: dict[str, Any] = msgspec.json.decode(await anext(lines))
        assert change.keys() == {"q01"}
        assert change["q01"]["panel"]["plugged"] is False
        await lines.aclose()

    in_world(tmp_path, act)


def test_a_world_that_is_gone_is_told(tmp_path: Path) -> None:
    """Where no demo listens, the page's routes get one clear error."""

    async def run() -> None:
        with pytest.raises(WorldGoneError):
            await ask_world(tmp_path / "nobody", Ask(do="plug"))
        with pytest.raises(WorldGoneError):
            await anext(watch_world(tmp_path / "nobody"))

    asyncio.run(run())
