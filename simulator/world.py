"""The world around a center's programs: it keeps them running, holds their pins and panels, and can be looked at.

One event loop owns everything here. The programs are the real ones, each a process of its own; what is simulated is
only what their wires end in.
"""

import asyncio
import contextlib
import logging
import os
import sqlite3
from base64 import b64encode
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import msgspec

from simulator.brokers import Broker, broker_program
from simulator.cameras import first_picture
from simulator.desk import Desk
from simulator.hands import Board, NoPowerError
from simulator.keys import keys_of_broker, make_keys
from simulator.panels import Cd5220Panel, ModbusLedPanel
from simulator.plot import Doing, Plot, write_whole
from simulator.ports import HOST
from simulator.premises import (
    BUZZER,
    CALLPAD_BUTTONS,
    CALLPAD_LEDS,
    RATING_BUTTONS,
    RATING_LEDS,
    SERVICES,
    CameraPlace,
    Codec,
    CounterPlace,
    Premises,
)
from simulator.processes import Program, ProgramError, Supervisor, python
from simulator.readings import newest_incidents
from simulator.web_client import Browser, NoAnswerError

log = logging.getLogger(__name__)

BROKER = "broker"
CENTER = "center"
LENS = "lens"
PADS = ("rating", "callpad")
DEVICES = (*PADS, "display")
CAMERA = "camera"
"""At one of the counters, if at all."""
BUTTONS = {"rating": RATING_BUTTONS, "callpad": CALLPAD_BUTTONS}
LEDS = {"rating": RATING_LEDS, "callpad": CALLPAD_LEDS}
READY_WITHIN_S = 60.0
LOOK_EVERY_S = 0.05
PLOT_EVERY_S = 0.5

Panel = ModbusLedPanel | Cd5220Panel
_PANELS: dict[Codec, type[Panel]] = {"modbus-led": ModbusLedPanel, "cd5220": Cd5220Panel}


def device_name(counter: str, device: str) -> str:
    """The name of a device's program, as `q01-rating`."""
    return f"{counter}-{device}"


class World:
    """A whole center in a box. Use as an async context manager: inside, everything is live."""

    def __init__(self, premises: Premises, *, broker: Broker) -> None:
        self.premises = premises
        self.broker = broker
        self.browser = Browser(premises.http_port)
        """Anybody's: the kiosk, the tablets; and the demo's own visitor's."""
        self.officers = {counter.id: Browser(premises.http_port) for counter in premises.counters}
        """At each counter the computer of its officer, who is logged in there."""
        self.boards: dict[tuple[str, str], Board] = {}
        self.panels: dict[str, Panel] = {}
        self.broker_stopped = False
        self._let_in_already = False
        self._plot = Plot()
        self._supervisor: Supervisor | None = None
        self._watchers: set[Callable[[], None]] = set()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def supervisor(self) -> Supervisor:
        """Who keeps the programs running."""
        if self._supervisor is None:
            raise RuntimeError("the world is not open")
        return self._supervisor

    async def __aenter__(self) -> "World":
        try:
            await self._open()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _open(self) -> None:
        self.premises.write()
        if self.premises.keys:
            make_keys(self.premises)
        self._supervisor = Supervisor(self.premises.logs)
        await self.supervisor.start(self._broker_program())
        await self.supervisor.start(
            Program(
                name=CENTER,
                argv=python(
                    "simulator.center_process",
                    "--config", str(self.premises.center_config),
                    "--world", str(self.premises.control_socket),
                ),
            )
        )  # fmt: skip
        if (camera := self.premises.camera) is not None and camera.video is None:
            await self._open_lens(camera)
        elif camera is not None and camera.video is not None:
            write_whole(self.premises.lens_picture, await asyncio.to_thread(first_picture, camera.video))
        for counter in self.premises.counters:
            panel = _PANELS[counter.codec](self.premises.panel_port(counter.id))
            panel.plug()
            self.panels[counter.id] = panel
            for device in PADS:
                board = Board(self.premises.board_socket(counter.id, device), on_change=self.changed)
                self.boards[counter.id, device] = board
                self._tasks.append(asyncio.create_task(board.run(), name=f"board {counter.id} {device}"))
        for place, device in self.places():
            await self.supervisor.start(self._device_program(place, device))
        self._tasks.append(asyncio.create_task(self._look_at_panels(), name="look at panels"))
        await self._until_live()

    async def close(self) -> None:
        """Stop every program, let every wire go."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        if self._supervisor is not None:
            await self._supervisor.close()
        for panel in self.panels.values():
            await asyncio.to_thread(panel.close)
        self.panels.clear()

    # --- what can be done to it --------------------------------------------------------------------------------

    async def press(self, counter: str, device: str, button: str) -> int:
        """Close the contact of a button; return when, on CLOCK_MONOTONIC. Raise NoPowerError."""
        return await self.boards[counter, device].press(BUTTONS[device][button])

    async def release(self, counter: str, device: str, button: str) -> int:
        """Open the contact of a button; return when, on CLOCK_MONOTONIC. Raise NoPowerError."""
        return await self.boards[counter, device].release(BUTTONS[device][button])

    def unplug(self, counter: str) -> None:
        """Pull the cable of a panel."""
        self.panels[counter].unplug()
        self.changed()

    def plug(self, counter: str) -> None:
        """Put the cable of a panel back."""
        self.panels[counter].plug()
        self.changed()

    async def stop_broker(self) -> None:
        """Stop the broker and leave it so."""
        if not self.broker_stopped:
            self.broker_stopped = True
            await self.supervisor.stop(BROKER)
            self.changed()

    async def start_broker(self) -> None:
        """Start the broker again."""
        if self.broker_stopped:
            self.broker_stopped = False
            await self.supervisor.start(self._broker_program())
            self.changed()

    def cover(self, counter: str, *, covered: bool) -> None:
        """Hold a hand before the drawn camera's lens, or take it away; KeyError where there is none."""
        place = self.premises.camera
        if place is None or place.video is not None or place.counter != counter:
            raise KeyError(counter)
        self._plot = msgspec.structs.replace(self._plot, covered=covered)
        self._write_plot()
        self.changed()

    def kill(self, program: str) -> bool:
        """Kill -9 a program; it is restarted as on a site."""
        return self.supervisor.kill(program)

    def places(self) -> Sequence[tuple[str, str]]:
        """Every device there is: its counter and its name."""
        places = [(counter.id, device) for counter in self.premises.counters for device in DEVICES]
        return [*places, *([(camera.counter, CAMERA)] if (camera := self.premises.camera) else [])]

    # --- what can be seen of it --------------------------------------------------------------------------------

    def watch(self, watcher: Callable[[], None]) -> Callable[[], None]:
        """Call `watcher` at every change; returns what ends the watching."""
        self._watchers.add(watcher)
        return lambda: self._watchers.discard(watcher)

    def changed(self) -> None:
        """Tell the watchers that something looks different."""
        for watcher in tuple(self._watchers):
            watcher()

    def describe(self) -> dict[str, Any]:
        """Return what can be seen, part by part: `broker`, `services` and each counter by its id."""
        parts: dict[str, Any] = {
            "broker": {"kind": self.broker, "port": self.premises.mqtt_port, "running": not self.broker_stopped},
            "services": [{"id": service.id, "letter": service.letter, "vi": service.vi, "en": service.en}
                         for service in SERVICES if any(service.id in one.services for one in self.premises.counters)],
        }  # fmt: skip
        for counter in self.premises.counters:
            parts[counter.id] = self._describe_counter(counter)
        if self.premises.camera is not None:
            parts[CAMERA] = self._describe_camera(self.premises.camera)
        return parts

    def outbox_depth(self, counter: str, device: str) -> int | None:
        """How many facts a device keeps that the center has not acknowledged; None before it has an outbox."""
        return outbox_depth(self.premises.station_state(counter) / device / "outbox.db")

    def _describe_counter(self, counter: CounterPlace) -> dict[str, Any]:
        letters = {service.id: service.letter for service in SERVICES}
        seen: dict[str, Any] = {
            "id": counter.id,
            "label": counter.label,
            "letters": [letters[service] for service in counter.services],
            "codec": counter.codec,
            "panel": {
                "shown": self.panels[counter.id].shown,
                "svg": self.panels[counter.id].svg(),
                "plugged": self.panels[counter.id].plugged,
            },
        }
        for device in PADS:
            board = self.boards[counter.id, device]
            seen[device] = {
                "powered": board.powered,
                "leds": {name: board.lit(pin) for name, pin in LEDS[device].items()},
                "outbox": self.outbox_depth(counter.id, device),
            }
        seen["rating"]["buzzer"] = self.boards[counter.id, "rating"].lit(BUZZER)
        return seen

    def _describe_camera(self, place: CameraPlace) -> dict[str, Any]:
        picture = b""
        with contextlib.suppress(OSError):
            picture = self.premises.lens_picture.read_bytes()
        return {
            "counter": place.counter,
            "video": place.video.name if place.video is not None else None,
            "picture": b64encode(picture).decode(),
            "covered": self._plot.covered,
            "running": self.supervisor.running(device_name(place.counter, CAMERA)),
            "outbox": self.outbox_depth(place.counter, CAMERA),
            "incidents": newest_incidents(self.premises.center_data / "center.db"),
        }

    # --- inside ------------------------------------------------------------------------------------------------

    def _broker_program(self) -> Program:
        return broker_program(
            self.broker,
            name=BROKER,
            host=HOST,
            port=self.premises.mqtt_port,
            folder=self.premises.run,
            keys=keys_of_broker(self.premises) if self.premises.keys else None,
        )

    def _device_program(self, counter: str, device: str) -> Program:
        run = ("run", device, "--config", str(self.premises.station_config(counter)))
        if device in PADS:
            socket = str(self.premises.board_socket(counter, device))
            argv = python("simulator.board", "--socket", socket, "--", *run)
        else:
            argv = python("motcua.cli", "device", *run)
        return Program(name=device_name(counter, device), argv=argv)

    async def _open_lens(self, place: CameraPlace) -> None:
        """Have drawn what the camera sees, in time with the queue."""
        self._write_plot()
        self.premises.lens_pipe.unlink(missing_ok=True)
        os.mkfifo(self.premises.lens_pipe)
        label = next(counter.label for counter in self.premises.counters if counter.id == place.counter)
        files = ("--pipe", str(self.premises.lens_pipe), "--plot", str(self.premises.lens_plot))
        argv = python("simulator.lens", *files, "--picture", str(self.premises.lens_picture), "--label", label)
        await self.supervisor.start(Program(name=LENS, argv=argv))
        self._tasks.append(asyncio.create_task(self._follow_queue(place.counter), name="follow the queue"))

    async def _follow_queue(self, counter: str) -> None:
        """Let people come and go before the lens as they do at the counter."""
        desk = Desk(self.officers[counter], counter)
        while True:
            if self._let_in_already:
                with contextlib.suppress(NoAnswerError, KeyError):
                    view = await desk.look()
                    doing = cast("Doing", view.ticket_state or view.state)
                    if doing != self._plot.doing:
                        self._plot = msgspec.structs.replace(self._plot, doing=doing)
                        self._write_plot()
            await asyncio.sleep(PLOT_EVERY_S)

    def _write_plot(self) -> None:
        write_whole(self.premises.lens_plot, msgspec.json.encode(self._plot))

    async def _look_at_panels(self) -> None:
        """Panels live in their ports' threads and tell nobody; a look is cheap."""
        seen: dict[str, str] = {}
        while True:
            now = {counter: panel.shown for counter, panel in self.panels.items()}
            if now != seen:
                seen = now
                self.changed()
            await asyncio.sleep(LOOK_EVERY_S)

    async def _until_live(self) -> None:
        """Wait until every page, pad and panel works; raise ProgramError when one cannot."""
        waiting = ""
        try:
            async with asyncio.timeout(READY_WITHIN_S):
                while waiting := await self._not_live():
                    if self.supervisor.failure.done():
                        raise self.supervisor.failure.result()
                    await asyncio.sleep(LOOK_EVERY_S)
        except TimeoutError:
            words = "\n".join(filter(None, (self.supervisor.last_words(name) for name in waiting.split(", "))))
            raise ProgramError(f"not live after {READY_WITHIN_S:.0f} s: {waiting}\n{words}") from None

    async def _not_live(self) -> str:
        """The names of what does not work yet, joined; empty when all is well."""
        with contextlib.suppress(NoAnswerError):
            health = await self.browser.get("/healthz")
            if health.ok:
                await self._let_in()
                answer = await self.browser.get("/api/devices")
                online = _online(answer.body) if answer.ok else set()
                wanted = set(self.places())
                dark = {place for place, board in self.boards.items() if not board.powered}
                return ", ".join(sorted(device_name(*place) for place in (wanted - online) | dark))
        return CENTER

    async def _let_in(self) -> None:
        """Log everybody in, once: a login outlives the center's program."""
        if self._let_in_already:
            return
        for counter, browser in self.officers.items():
            await browser.enter("/demo/enter", {"counter": counter})
        await self.browser.enter("/demo/enter", {})
        self._let_in_already = True


def outbox_depth(path: Path) -> int | None:
    """Count the facts in an outbox without disturbing its owner; None where there is none yet or it is busy."""
    if not path.exists():
        return None
    try:
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=0.2)) as db:
            count: int = db.execute("SELECT count(*) FROM event").fetchone()[0]
            return count
    except sqlite3.OperationalError:
        return None


def _online(devices: Any) -> set[tuple[str, str]]:
    """The places of the devices that the center hears."""
    return {(row["station"], row["device"]) for row in devices["devices"] if row["level"] in {"ok", "warn"}}


__all__ = ["NoPowerError", "World", "device_name", "outbox_depth"]
