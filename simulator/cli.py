"""`motcua demo`: a whole center in a box, to be clicked, or to play a day by itself."""

import argparse
import asyncio
import contextlib
import importlib.util
import logging
import signal
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from simulator.brokers import choose_broker, mosquitto
from simulator.cameras import HOW, CameraError, choose_camera, lacking
from simulator.control import ControlServer
from simulator.daytime import DayPlan, morning_zone, play_day
from simulator.folders import Folders, FoldersError, folders
from simulator.ports import free_port, port_is_free
from simulator.premises import MQTT_PORT, TIMEZONE, CameraPlace, Premises, Timing, plan_counters
from simulator.processes import ProgramError
from simulator.report import Verdict
from simulator.welcome import set_the_scene
from simulator.world import World

HTTP_PORT = 8080
MOST_COUNTERS = 40
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # the last: the terminal was closed
OF_A_DAY = {"speed": 600.0, "visits": 240, "seed": 1, "chaos": False, "json": False}
"""The options that mean nothing without `--day`, and what they are where they are not given."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo; returns the exit code: 0 good, 1 failed or something was lost, 2 asked wrongly."""
    try:
        options = _options(argv)
    except SystemExit as error:  # argparse has said why
        return error.code if isinstance(error.code, int) else 2
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    if options.broker == "mosquitto" and mosquitto() is None:
        return _fail("mosquitto is not installed: sudo apt install mosquitto, or use --broker amqtt")
    if options.keys and choose_broker(options.broker) != "mosquitto":
        return _fail("--keys needs mosquitto: sudo apt install mosquitto, and not --broker amqtt")
    if any(importlib.util.find_spec(library) is None for library in ("litestar", "pymodbus")):
        return _fail("the center's libraries are missing: pip install 'motcua[center,modbus]'")
    try:
        camera = choose_camera(asked=not options.no_camera, video=options.video)
    except CameraError as error:
        return _fail(str(error))
    try:
        http_port = _port("--http-port", options.http_port, HTTP_PORT)
        mqtt_port = _port("--mqtt-port", options.mqtt_port, MQTT_PORT, but=http_port)
    except PortBusyError as error:
        return _fail(str(error))
    if http_port == mqtt_port:
        return _fail(f"--http-port and --mqtt-port are both {http_port}: choose two different ones")
    try:
        with folders(options.data) as made:
            return _run(options, made, http_port=http_port, mqtt_port=mqtt_port, camera=camera)
    except FoldersError as error:
        return _fail(str(error))


def _run(
    options: argparse.Namespace, made: Folders, *, http_port: int, mqtt_port: int, camera: CameraPlace | None
) -> int:
    """Run what was asked for, in these folders."""
    premises = Premises(
        folder=made.data,
        run=made.run,
        http_port=http_port,
        mqtt_port=mqtt_port,
        counters=plan_counters(options.counters),
        timing=DayPlan.TIMING if options.day else Timing(),
        timezone=morning_zone(datetime.now(UTC)) if options.day else TIMEZONE,
        keys=options.keys,
        camera=camera,
    )
    if options.day and any(premises.center_data.glob("*.db")):
        return _fail(f"{options.data} has a center already: a day begins with an empty folder")
    world = World(premises, broker=choose_broker(options.broker))
    try:
        code = asyncio.run(_day(world, options) if options.day else _demo(world))
    except ProgramError as error:
        return _fail(str(error))
    except asyncio.CancelledError:
        return _fail("interrupted")
    if code:
        made.kept = True
        _say(f"data and logs are kept in {made.data}")
    return code


async def _demo(world: World) -> int:
    """Serve the page until somebody ends it."""
    control = ControlServer(world)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in ENDING:
        loop.add_signal_handler(number, ended.set)
    opening = asyncio.create_task(world.__aenter__())
    ending = asyncio.create_task(ended.wait())
    try:
        _say(f"Starting {world.broker}, the center and {len(world.premises.counters)} counters …")
        await control.open()
        first: set[asyncio.Future[Any]] = {opening, ending}
        await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        if not opening.done():
            return 0
        opening.result()
        await set_the_scene(world)
        sys.stdout.write(addresses(world.premises, lacking=lacking()) + "\n")
        sys.stdout.flush()
        failure = world.supervisor.failure
        watching: set[asyncio.Future[Any]] = {ending, failure}
        await asyncio.wait(watching, return_when=asyncio.FIRST_COMPLETED)
        if failure.done():
            raise failure.result()
        _say("Stopping …")
    finally:
        ending.cancel()
        opening.cancel()
        with contextlib.suppress(asyncio.CancelledError, ProgramError):
            await opening
        await control.close()
        await world.close()
    return 0


async def _day(world: World, options: argparse.Namespace) -> int:
    """Play a day and print its account."""
    plan = DayPlan(visits=options.visits, seed=options.seed, speed=options.speed, chaos=options.chaos)
    day = asyncio.ensure_future(play_day(world, plan, say=_say))
    loop = asyncio.get_running_loop()
    for number in ENDING:
        loop.add_signal_handler(number, day.cancel)
    verdict: Verdict = await day
    figures = msgspec.json.encode(verdict.figures)
    sys.stdout.write((figures if options.json else msgspec.json.format(figures)).decode() + "\n")
    for reason in verdict.reasons:
        _say(f"not good: {reason}")
    return 0 if verdict.good else 1


class PortBusyError(Exception):
    """A port that was asked for is in use."""


def _port(option: str, asked: int | None, usual: int, *, but: int = 0) -> int:
    """Return the port to use; a usual one that is taken is replaced, one that was asked for is not."""
    if asked is not None:
        if asked and not port_is_free(asked):
            raise PortBusyError(f"port {asked} is in use: stop the program that uses it, or choose another {option}")
        return asked or _any_port(but)
    if usual != but and port_is_free(usual):
        return usual
    port = _any_port(but)
    _say(f"port {usual} is in use, taking {port} instead (choose one with {option})")
    return port


def _any_port(but: int) -> int:
    """Return a free port that is not this one: nobody listens on it yet, so that the system may name it again."""
    while (port := free_port()) == but:
        pass
    return port


def _of_camera(camera: CameraPlace | None) -> list[tuple[str, str]]:
    if camera is None:
        return []
    if camera.video is not None:
        to_watch = f"what it finds in {camera.video.name}"
    else:
        to_watch = "what it finds: leave the counter alone for 75 s, and a citizen waits there without an officer"
    return [(f"/cameras/{camera.counter}", "what its camera sees, live"), ("/demo/review", to_watch)]


def addresses(premises: Premises, *, lacking: bool = False) -> str:
    """Return what a demo says when it is live: every page's address, and how to end it.

    `lacking` is that there would be a camera if its libraries were installed.
    """
    pages = [
        ("/kiosk", "take a number"),
        ("/board", "the hall board"),
        *((f"/counter/{counter.id}", f"the desk of counter {counter.label}") for counter in premises.counters),
        ("/demo/devices", "the devices"),
        *_of_camera(premises.camera),
    ]
    width = max(len(path) for path, _ in pages)
    lines = [
        "",
        f"  Open {premises.base_url}/demo in a browser: the counters, to be pressed. Or one screen alone:",
        "",
        *(f"  {premises.base_url}{path:{width}}  {what}" for path, what in pages),
        "",
        *([] if premises.camera or not lacking else [f"  Without its camera: {HOW}, then start it again.", ""]),
        f"  MQTT on port {premises.mqtt_port}; data and logs in {premises.folder}; Ctrl-C ends it all.",
        "",
    ]
    return "\n".join(lines)


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line; exit with 2 where it cannot be meant."""
    parser = _parser()
    options = parser.parse_args(argv)
    if not options.day:
        for name in OF_A_DAY:
            if getattr(options, name) != parser.get_default(name):
                parser.error(f"--{name} needs --day")
    for name, usual in OF_A_DAY.items():
        if getattr(options, name) is None:
            setattr(options, name, usual)
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="motcua demo",
        description="A whole center in a box: broker, center and the real device programs on simulated hardware.",
    )
    parser.add_argument("--http-port", type=_port_number, metavar="N", help="for the pages (8080, or a free one)")
    parser.add_argument("--mqtt-port", type=_port_number, metavar="N", help="for the broker (1883, or a free one)")
    parser.add_argument("--data", type=Path, metavar="DIR", help="keep data and logs here (a temporary folder)")
    parser.add_argument("--broker", choices=("auto", "mosquitto", "amqtt"), default="auto")
    parser.add_argument("--keys", action="store_true", help="as on a site: nobody reaches the broker without a key")
    eyes = parser.add_mutually_exclusive_group()
    eyes.add_argument("--video", type=Path, metavar="FILE", help="what the camera of the first counter sees")
    eyes.add_argument("--no-camera", action="store_true", help="without a camera at the first counter")
    parser.add_argument("--counters", type=_counters, default=3, metavar="N", help="how many counters (3)")
    day = parser.add_argument_group("a day that plays itself")
    day.add_argument("--day", action="store_true", help="play a compressed day and print its account as JSON")
    day.add_argument("--speed", type=_speed, metavar="X", help="people's times divided by X (600)")
    day.add_argument("--visits", type=_visits, metavar="N", help="how many people come (240)")
    day.add_argument("--seed", type=int, metavar="N", help="which people, and which mishaps (1)")
    day.add_argument("--chaos", action="store_true", help="kill -9 broker, center and devices all day long")
    day.add_argument("--json", action="store_true", help="the account on one line")
    return parser


def _port_number(text: str) -> int:
    return _between(text, 0, 65_535)


def _counters(text: str) -> int:
    return _between(text, 1, MOST_COUNTERS)


def _visits(text: str) -> int:
    return _between(text, 1, 5_000)


def _between(text: str, least: int, most: int) -> int:
    value = int(text)
    if not least <= value <= most:
        raise argparse.ArgumentTypeError(f"must be {least} to {most}, got {value}")
    return value


def _speed(text: str) -> float:
    value = float(text)
    if not 1 <= value <= 10_000:
        raise argparse.ArgumentTypeError(f"must be 1 to 10000, got {text}")
    return value


def _say(words: str) -> None:
    sys.stderr.write(f"{words}\n")


def _fail(words: str) -> int:
    _say(f"motcua demo: {words}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
