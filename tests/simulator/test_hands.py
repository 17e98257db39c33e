"""A hand and an eye at a board that runs the real rating program in another process, and that may be killed."""

import asyncio
import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from simulator.hands import Board, NoPowerError
from simulator.ports import free_port
from simulator.premises import RATING_BUTTONS, RATING_LEDS, Premises, plan_counters

PATIENCE_S = 30.0


async def until(true: Callable[[], bool]) -> None:
    """Wait for something that another process brings about."""
    async with asyncio.timeout(PATIENCE_S):
        while not true():  # noqa: ASYNC110 - another process does it, which sets no event here
            await asyncio.sleep(0.01)


async def until_watched(board: Board, pin: int) -> None:
    """Wait until the program has taken a contact, which it does after its lights."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            with contextlib.suppress(NoPowerError):
                await board.release(pin)  # it is open already
                return
            await asyncio.sleep(0.01)


def start(premises: Premises) -> subprocess.Popen[bytes]:
    """Start the rating pad of the first counter; nobody is its broker."""
    config, path = premises.station_config("q01"), premises.board_socket("q01", "rating")
    command = [sys.executable, "-m", "simulator.board", "--socket", str(path), "--"]
    return subprocess.Popen([*command, "run", "rating", "--config", str(config)], stderr=subprocess.DEVNULL)


@pytest.fixture
def premises(tmp_path: Path) -> Premises:
    """A place whose broker's port nobody listens on."""
    place = Premises(
        folder=tmp_path, run=tmp_path, http_port=free_port(), mqtt_port=free_port(), counters=plan_counters(1)
    )
    place.write()
    return place


def test_a_press_is_made_on_the_boards_own_clock(premises: Premises) -> None:
    """A contact closes at an instant between the ask and its answer, and opens later."""

    async def run() -> None:
        board = Board(premises.board_socket("q01", "rating"))
        following = asyncio.create_task(board.run())
        await until(lambda: board.powered and set(RATING_LEDS.values()) <= board.pins.keys())
        await until_watched(board, RATING_BUTTONS["3"])
        before_ns = time.monotonic_ns()
        closed_ns = await board.press(RATING_BUTTONS["3"])
        opened_ns = await board.release(RATING_BUTTONS["3"])
        assert before_ns < closed_ns < opened_ns < time.monotonic_ns()
        with pytest.raises(NoPowerError, match="not a contact"):
            await board.press(4)
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)

    with start(premises) as process:
        try:
            asyncio.run(run())
        finally:
            process.kill()


def test_a_killed_board_is_dark_until_it_runs_again(premises: Premises) -> None:
    """A board that was killed cannot be pressed and shows nothing; started again, it is found again."""

    async def run() -> None:
        board = Board(premises.board_socket("q01", "rating"))
        following = asyncio.create_task(board.run())
        first = start(premises)
        await until(lambda: board.powered and bool(board.pins))
        first.send_signal(signal.SIGKILL)
        await until(lambda: not board.powered)
        first.wait()
        assert board.pins == {}
        with pytest.raises(NoPowerError):
            await board.press(RATING_BUTTONS["1"])
        second = start(premises)
        try:
            await until(lambda: board.powered and bool(board.pins))
        finally:
            second.kill()
            second.wait()
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)

    asyncio.run(run())
