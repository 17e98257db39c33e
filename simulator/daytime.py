"""A day from opening to the account: the people of `day`, the mishaps of `chaos`, the judgement of `report`."""

import asyncio
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar

from simulator.chaos import Fate, Mishap
from simulator.day import Hall, play
from simulator.ear import Ear
from simulator.eyes import PadEyes, PanelEyes
from simulator.keys import ear_file
from simulator.people import OPENING_S_PER_VISIT, Pace, invite
from simulator.premises import RATING_LEDS, Timing
from simulator.readings import read_store
from simulator.report import Stored, Verdict, judge
from simulator.world import BROKER, CAMERA, CENTER, World, device_name

DRAIN_WITHIN_S = 30.0
DRAIN_LOOK_S = 0.1
TELL_EVERY_S = 5.0
SLACK = 6.0
SLACK_S = 120.0
"""A day may take so many times its length, and so many seconds more, before it counts as stuck."""

TRACEBACK = re.compile(r"^Traceback \(most recent call last\)", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class DayPlan:
    """What was asked for."""

    visits: int
    seed: int
    speed: float
    chaos: bool

    TIMING: ClassVar[Timing] = Timing(
        arm_seconds=5, thanks_ms=300, callpad_lockout_ms=200, callpad_answer_within_ms=1500
    )
    """Windows and lock-outs are for people, so they are compressed as people are; nothing else is."""

    def longest_s(self, counters: int) -> float:
        """After so many real seconds the day is stuck."""
        return SLACK * OPENING_S_PER_VISIT * self.visits / counters / self.speed + SLACK_S


def morning_zone(now: datetime) -> str:
    """Return a time zone where the clock says eight to nine now: a day that is played must not meet a midnight."""
    ahead = (8 - now.astimezone(UTC).hour + 12) % 24 - 12
    return f"Etc/GMT{-ahead:+d}"  # POSIX counts hours the other way round


async def play_day(world: World, plan: DayPlan, *, say: Callable[[str], None]) -> Verdict:
    """Play a day in a world that is not open yet, and judge it."""
    premises = world.premises
    began = time.monotonic()
    reasons: list[str] = []
    ear = Ear(premises.mqtt_port)
    say(f"Opening: {world.broker}, {len(premises.counters)} counters, {plan.visits} visits, seed {plan.seed}")
    async with world:
        hall = _hall(world, Pace(speed=plan.speed))
        if premises.keys:
            ear.open(trust=premises.keys_dir / "root.pem", key=ear_file(premises))
        else:
            ear.open()
        tasks = [
            asyncio.create_task(hall.eyes.run(), name="eyes on the panels"),
            asyncio.create_task(_tell(hall, plan, say), name="progress"),
        ]
        mishaps: dict[str, int] = {}
        if plan.chaos:
            fate = Fate(seed=plan.seed, counters=[counter.id for counter in premises.counters])
            tasks.append(asyncio.create_task(_haunt(world, fate, mishaps), name="chaos"))
        opened = time.monotonic()
        visits = invite(seed=plan.seed, visits=plan.visits, counters=premises.counters)
        reasons += await play(hall, visits, seed=plan.seed, within_s=plan.longest_s(len(premises.counters)))
        day_s = time.monotonic() - opened
        for task in tasks[1:]:
            task.cancel()
        await asyncio.gather(*tasks[1:], return_exceptions=True)
        for counter in premises.counters:
            world.plug(counter.id)
        say("Closing: waiting until everything is stored")
        reasons += await _drain(world)
        hall.eyes.look()
        tasks[0].cancel()
        hall.journal.sightings.extend(hall.eyes.sightings)
        kills, crashes = world.supervisor.kills, world.supervisor.crashes
        crashes = {name: times for name, times in crashes.items() if times}
        words = {name: world.supervisor.last_words(name) for name in crashes}
    ear.close()
    stored = read_store(premises.center_data / "center.db", ear)
    return _account(plan, world, hall, stored, reasons, {
        "seconds": round(time.monotonic() - began, 1),
        "day_seconds": round(day_s, 1),
        "kills": _by_kind(kills),
        "cables_pulled": mishaps.get("cable", 0),
        "retries_http": sum(each.retries for each in (world.browser, *world.officers.values())),
    }, {name: f"{times} times: {words[name]}" for name, times in crashes.items()})  # fmt: skip


def _hall(world: World, pace: Pace) -> Hall:
    premises = world.premises
    leds = {int(level): pin for level, pin in RATING_LEDS.items()}
    return Hall(
        browser=world.browser,
        officers=world.officers,
        boards=world.boards,
        eyes=PanelEyes(world.panels),
        pads={counter.id: PadEyes(world.boards[counter.id, "rating"], leds) for counter in premises.counters},
        counters=premises.counters,
        pace=pace,
        debounce_ms=premises.timing.debounce_ms,
    )


def _account(
    plan: DayPlan,
    world: World,
    hall: Hall,
    stored: Stored,
    reasons: list[str],
    extra: dict[str, Any],
    crashes: dict[str, str],
) -> Verdict:
    verdict = judge(hall.journal, stored, visits=plan.visits)
    reasons = [*reasons, *verdict.reasons]
    reasons += [f"{name} ended by itself {how}" for name, how in sorted(crashes.items())]
    traces = _tracebacks(world)
    reasons += [f"{name}.log has {count} tracebacks" for name, count in sorted(traces.items())]
    figures = {
        **verdict.figures,
        "visits": plan.visits,
        "seed": plan.seed,
        "speed": plan.speed,
        "broker": world.broker,
        "counters": len(world.premises.counters),
        "chaos": plan.chaos,
        **extra,
        "debounce_ms": world.premises.timing.debounce_ms,
        "good": not reasons,
    }
    return Verdict(figures, reasons)


async def _drain(world: World) -> list[str]:
    """Wait until every outbox is empty; return what is not."""
    deadline = asyncio.get_running_loop().time() + DRAIN_WITHIN_S
    while True:
        full = {place: depth for place in world.places() if (depth := world.outbox_depth(*place)) != 0}
        if not full:
            return []
        if asyncio.get_running_loop().time() >= deadline:
            return [f"the outbox of {device_name(*place)} still has {depth} facts" for place, depth in full.items()]
        await asyncio.sleep(DRAIN_LOOK_S)


async def _haunt(world: World, fate: Fate, mishaps: dict[str, int]) -> None:
    """Let everything go wrong that fate has in store, until the day is over."""
    cables: set[asyncio.Task[None]] = set()
    try:
        while True:
            mishap = fate.next()
            await asyncio.sleep(mishap.after_s)
            if mishap.kind == "cable":
                mishaps["cable"] = mishaps.get("cable", 0) + 1
                cable = asyncio.create_task(_pull_cable(world, mishap))
                cables.add(cable)
                cable.add_done_callback(cables.discard)
            else:
                world.kill(_program(world, mishap))
    finally:
        for cable in cables:
            cable.cancel()
        await asyncio.gather(*cables, return_exceptions=True)


def _program(world: World, mishap: Mishap) -> str:
    if mishap.kind in {BROKER, CENTER}:
        return mishap.kind
    camera = world.premises.camera
    return device_name(camera.counter if mishap.kind == CAMERA and camera else mishap.counter, mishap.kind)


async def _pull_cable(world: World, mishap: Mishap) -> None:
    world.unplug(mishap.counter)
    try:
        await asyncio.sleep(mishap.lasts_s)
    finally:
        world.plug(mishap.counter)


async def _tell(hall: Hall, plan: DayPlan, say: Callable[[str], None]) -> None:
    began = time.monotonic()
    while True:
        await asyncio.sleep(TELL_EVERY_S)
        issued = len({slip.ticket for slip in hall.journal.slips})
        rated = len({press.ticket for press in hall.journal.presses if press.light_ns is not None})
        say(
            f"{time.monotonic() - began:4.0f} s: {issued} of {plan.visits} came, "
            f"{len(hall.journal.endings)} done, {rated} rated"
        )


def _by_kind(kills: dict[str, int]) -> dict[str, int]:
    kinds: dict[str, int] = {}
    for name, times in kills.items():
        kind = name.partition("-")[2] or name
        kinds[kind] = kinds.get(kind, 0) + times
    return kinds


def _tracebacks(world: World) -> dict[str, int]:
    logs = world.premises.logs.glob("*.log")
    counts = {path.stem: len(TRACEBACK.findall(path.read_text("utf-8", "replace"))) for path in logs}
    # The broker is somebody else's program; what it does to ours shows in the figures.
    return {name: count for name, count in counts.items() if count and name != BROKER}
