"""Ten thousand presses while everything is killed: pads and center a hundred times each, the broker twenty times.

Eight rating pads that take every press, each the real daemon behind mock pins; the real center, a real mosquitto. A
finger at each presses as soon as the pad invites again. At random moments a pad, the center or the broker gets kill
-9 and is started again at once, as systemd would. A press that was confirmed by its light must be in the center's
database in the end, exactly once; one whose light was not seen, because the pad died first, was promised to nobody
and may be there or not. An event belongs to a press by the clock of the machine, which all its programs share. The
seed of the moments is printed.
"""

import asyncio
import json
import os
import random
import sqlite3
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks import station
from benchmarks.brokers import Mosquitto, mosquitto
from benchmarks.figures import Row, at_most, render
from simulator.hands import Board, NoPowerError, PinChange
from simulator.ports import free_port
from simulator.premises import CENTER_ID, RATING_BUTTONS, RATING_LEDS, Premises, plan_counters
from simulator.processes import Program, Supervisor, python
from simulator.world import outbox_depth

PRESSES, PADS = 10_000, 8
KILLS = {"pad": 100, "center": 100, "broker": 20}
HELD_S, PAUSE_S = 0.03, 0.03
LIGHT_PATIENCE_S = 10.0
QUIET_S = 120.0
START_TIMEOUT_S = 120.0
_DAY_MS = 86_400_000


@dataclass
class Seen:
    """What hands saw, and what the database holds."""

    presses: int = 0
    confirmed: int = 0
    unseen: int = 0
    stored: int = 0
    double: int = 0
    lost: int = 0
    unpressed: int = 0
    kills: dict[str, int] | None = None
    seconds: float = 0.0


def run(
    _rounds: int, *, presses: int = PRESSES, kills: dict[str, int] | None = None, seed: int | None = None
) -> list[Row]:
    """Press and kill once."""
    seed = int.from_bytes(os.urandom(4)) if seed is None else seed
    print(f"seed {seed}", flush=True)
    seen = press_and_kill(presses, KILLS if kills is None else kills, seed)
    return [
        Row("presses", seen.presses, ""),
        Row("… confirmed by a light", seen.confirmed, ""),
        Row("… whose light nobody saw", seen.unseen, ""),
        *(Row(f"kill -9: {name}", times, "") for name, times in (seen.kills or {}).items()),
        at_most("confirmed presses lost", seen.lost, "", 0),
        at_most("presses stored twice", seen.double, "", 0),
        at_most("stored, but pressed by nobody", seen.unpressed, "", 0),
        Row("time", seen.seconds, "s"),
    ]


def press_and_kill(presses: int, kills: dict[str, int], seed: int) -> Seen:
    """Run the whole; return what could be seen."""
    return asyncio.run(_Kills(presses, kills, seed).play())


@dataclass(frozen=True, slots=True)
class _Press:
    """A finger on a pad, by CLOCK_MONOTONIC, which all programs of one machine share."""

    closed_ms: int
    confirmed: bool


class _Pad:
    """A pad as a hand sees it. A pad that loses power in the middle of a press has confirmed nothing."""

    def __init__(self, socket: Path) -> None:
        self.board = Board(socket, on_change=self._changed)
        self._lit: asyncio.Future[None] | None = None

    async def ready(self) -> None:
        """Wait until the pad invites: all its lights are on."""
        async with asyncio.timeout(START_TIMEOUT_S):
            while not all(self.board.lit(pin) for pin in RATING_LEDS.values()):  # noqa: ASYNC110 – a light is no event
                await asyncio.sleep(0.005)

    async def press(self, level: str) -> _Press:
        """Press once. The light means "stored": the others go out."""
        lit = self._lit = asyncio.get_running_loop().create_future()
        others = {pin for name, pin in RATING_LEDS.items() if name != level}
        closed_ns = time.monotonic_ns()

        def watch(change: PinChange) -> None:
            if change.pin in others and not change.high and not lit.done():
                lit.set_result(None)

        stop = self.board.watch(watch)
        try:
            await self.board.press(RATING_BUTTONS[level])
            await asyncio.wait_for(lit, LIGHT_PATIENCE_S)
            confirmed = True
        except (NoPowerError, TimeoutError):
            confirmed = False
        finally:
            stop()
            self._lit = None
        await asyncio.sleep(HELD_S)
        with suppress(NoPowerError):
            await self.board.release(RATING_BUTTONS[level])
        return _Press(closed_ns // 1_000_000, confirmed=confirmed)

    def _changed(self) -> None:
        if not self.board.powered and self._lit is not None and not self._lit.done():
            self._lit.set_exception(NoPowerError("the power went"))
            self._lit.exception()  # seen, also where nobody waits for it any more


class _Kills:
    def __init__(self, presses: int, kills: dict[str, int], seed: int) -> None:
        self._each, self._kills = presses // PADS, kills
        self._chance = random.Random(seed)  # noqa: S311 – chance, not secrecy
        self._seen = Seen()
        self._kills_done = dict.fromkeys(kills, 0)
        self._presses: dict[str, list[_Press]] = defaultdict(list)  # by pad

    async def play(self) -> Seen:
        """Start everything, press and kill, wait until all is quiet, count."""
        with tempfile.TemporaryDirectory() as name, mosquitto() as broker:
            folder = Path(name)
            premises = Premises(
                folder=folder, run=folder, http_port=free_port(), mqtt_port=broker.port, counters=plan_counters(PADS)
            )
            premises.write()
            supervisor = Supervisor(premises.logs)
            pads = {counter.id: _Pad(premises.board_socket(counter.id, "rating")) for counter in premises.counters}
            hands = [asyncio.create_task(pad.board.run()) for pad in pads.values()]
            center = python("motcua.cli", "center", "serve", "--config", str(premises.center_config))
            began = time.monotonic()
            try:
                await supervisor.start(Program(name="center", argv=center))
                for counter in pads:
                    await supervisor.start(_pad(premises, counter))
                for pad in pads.values():
                    await pad.ready()
                fingers = [asyncio.create_task(self._press(name, pad)) for name, pad in pads.items()]
                killer = asyncio.create_task(self._kill(supervisor, broker, list(pads)))
                await asyncio.gather(*fingers)
                await killer
                await _quiet(premises)
            finally:
                for task in hands:
                    task.cancel()
                await supervisor.close()
            self._seen.seconds = time.monotonic() - began
            self._count(premises)
        return self._seen

    async def _press(self, name: str, pad: _Pad) -> None:
        """Press a pad so often, one press after another, and note what the hand sees."""
        chance = random.Random(self._chance.random())  # noqa: S311
        for _ in range(self._each):
            await pad.ready()
            self._presses[name].append(await pad.press(chance.choice(list(RATING_BUTTONS))))
            self._seen.presses += 1
            await asyncio.sleep(PAUSE_S)

    async def _kill(self, supervisor: Supervisor, broker: Mosquitto, pads: list[str]) -> None:
        """Kill at random moments between the presses; return when all is running again."""
        victims = [name for name, times in self._kills.items() for _ in range(times)]
        self._chance.shuffle(victims)
        moments = sorted(self._chance.randrange(self._each * PADS) for _ in victims)
        for victim, moment in zip(victims, moments, strict=True):
            while self._seen.presses < moment:  # noqa: ASYNC110 – fingers count
                await asyncio.sleep(0.005)
            if victim == "broker":
                await asyncio.to_thread(_restart, broker)
            else:
                program = "center" if victim == "center" else f"pad {self._chance.choice(pads)}"
                while not supervisor.kill(program):  # noqa: ASYNC110 – just now it is being started
                    await asyncio.sleep(0.005)
            self._kills_done[victim] += 1

    def _count(self, premises: Premises) -> None:
        """Hold what the hands saw against the database."""
        seen = self._seen
        with closing(sqlite3.connect(premises.center_data / "center.db")) as database:
            bodies = database.execute(
                "SELECT body FROM device_event WHERE type LIKE 'vn.motcua.rating.given.%'"
            ).fetchall()
            (ratings,) = database.execute("SELECT count(*) FROM rating").fetchone()
        stored: dict[str, list[int]] = defaultdict(list)
        for (body,) in bodies:
            event = json.loads(body)
            stored[event["source"].split("/")[2]].append(int(event["monotonicms"]))
        seen.stored = ratings
        for pad, presses in self._presses.items():
            for press, after in zip(presses, [*presses[1:], None], strict=True):
                until_ms = after.closed_ms if after is not None else press.closed_ms + _DAY_MS
                mine = [ms for ms in stored[pad] if press.closed_ms <= ms < until_ms]
                stored[pad] = [ms for ms in stored[pad] if ms not in mine]
                seen.confirmed += press.confirmed
                seen.unseen += not press.confirmed
                seen.lost += press.confirmed and not mine
                seen.double += max(0, len(mine) - 1)
        seen.unpressed = sum(map(len, stored.values())) + abs(ratings - len(bodies))
        seen.kills = dict(self._kills_done)


def _pad(premises: Premises, counter: str) -> Program:
    """Write the configuration of a pad that is always open; return how it is started."""
    folder = _folder(premises, counter)
    folder.mkdir(parents=True)
    options = station.OPEN
    config = station.write(
        folder / "station.toml", port=premises.mqtt_port, center=CENTER_ID, station=counter, options=options
    )
    socket = premises.board_socket(counter, "rating")
    arguments = ("--socket", str(socket), "--", "run", "rating", "--config", str(config))
    return Program(name=f"pad {counter}", argv=python("simulator.board", *arguments))


def _folder(premises: Premises, counter: str) -> Path:
    return premises.folder / "pads" / counter


def _restart(broker: Mosquitto) -> None:
    broker.kill()
    broker.start()


async def _quiet(premises: Premises) -> None:
    """Wait until the center has everything: every outbox is empty."""
    outboxes = [_folder(premises, one.id) / "rating" / "outbox.db" for one in premises.counters]
    deadline = time.monotonic() + QUIET_S
    while any(outbox_depth(path) != 0 for path in outboxes):
        if time.monotonic() > deadline:
            last = (premises.logs / "center.log").read_text("utf-8").splitlines()[-5:]
            sys.exit("\n".join([f"outboxes did not run empty within {QUIET_S:.0f} s; the center's last words:", *last]))
        await asyncio.sleep(0.2)


if __name__ == "__main__":
    share = int(sys.argv[1]) / PRESSES
    some = {name: round(times * share) for name, times in KILLS.items()}
    print(render(run(1, presses=int(sys.argv[1]), kills=some, seed=int(sys.argv[2]))))
