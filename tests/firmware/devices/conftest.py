import contextlib
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC
from pathlib import Path
from typing import Any, Protocol

import gpiozero
import msgspec
import pytest
from hypothesis import strategies as st

from contract.cameras import KINDS
from contract.states import Armed, CallpadDesired, CameraDesired, DisplayDesired, Keep, RatingDesired
from firmware.devices.camera.driver import CameraDriver
from firmware.devices.camera.signals import (
    Back,
    Begin,
    Forget,
    Held,
    Hold,
    Lost,
    Presence,
    Room,
    Seen,
    Thumbnail,
    Unkept,
)
from firmware.devices.camera.signals import (
    Kept as KeptClip,
)
from firmware.devices.debounce import Edge, Reading
from firmware.devices.display.driver import PanelDriver
from firmware.devices.display.signs import PortBack, PortLost, Show, Shown, Sign
from firmware.devices.gpio import Echo, Read, Switch, system_monotonic_ms
from firmware.devices.rating.decisions import Kept, NotKept
from firmware.ports import Ask, Drive, Driver, Effect, Record, Report
from simulator import scene, scene_video
from simulator.board import Board, Change
from simulator.panels import ModbusLedPanel


def eventually(condition: Callable[[], object], timeout_s: float = 30) -> bool:
    """Wait until a condition holds, which other threads bring about; False when it does not."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.005)
    return bool(condition())


@pytest.fixture(autouse=True)
def _no_thread_stays() -> Iterator[None]:
    """A test that leaves a thread behind fails."""
    before = set(threading.enumerate())
    yield
    assert eventually(lambda: set(threading.enumerate()) <= before), threading.enumerate()


@pytest.fixture
def board() -> Iterator[Board]:
    """A simulated board that gpiozero takes its pins from."""
    made = Board()
    gpiozero.Device.pin_factory = made.factory
    yield made
    gpiozero.Device.pin_factory = None
    made.factory.close()


class Bench:
    """Carries out what decisions of a GPIO device want, as the daemon and its lines would, at literal times.

    What was done is kept with its time.
    """

    def __init__(self, decisions: Any) -> None:
        self.decisions = decisions
        self.now_ms = 0
        self.closed: set[int] = set()
        self.lit: set[int] = set()
        self.switched: list[tuple[int, int, bool]] = []
        self.facts: list[Any] = []
        self.memory: dict[str, str] = {}
        self.reports: list[Any] = []
        self.asks: list[Ask] = []
        self.store_works = True
        self.listening = True  # an echo arrives
        self._inbox: list[object] = []
        self._do(decisions.on_start(0))
        self._drain()

    def close(self, *pins: int, heard: bool = True) -> None:
        """Close contacts to ground; unheard if the edge gets lost."""
        self._move(pins, closed=True, heard=heard)

    def open(self, *pins: int, heard: bool = True) -> None:
        """Open contacts."""
        self._move(pins, closed=False, heard=heard)

    def press(self, pin: int, *, for_ms: int = 60) -> None:
        """Close a contact for a while; afterwards the time has gone on by that and the debounce of the release."""
        self.close(pin)
        self.at(self.now_ms + for_ms)
        self.open(pin)
        self.at(self.now_ms + 40)

    def desired(self, state: Any) -> None:
        """Hear the center."""
        self._do(self.decisions.on_desired(state, self.now_ms))
        self._drain()

    def link(self, *, up: bool) -> None:
        """Make or lose contact to the center."""
        self._do(self.decisions.on_link(up=up, now_ms=self.now_ms))
        self._drain()

    def reply(self, reply: Any) -> None:
        """Hear an answer."""
        self._do(self.decisions.on_reply(reply, self.now_ms))
        self._drain()

    def at(self, ms: int) -> None:
        """Let the time go on, with every deadline on the way met in time."""
        while (due := self.decisions.deadline_ms()) is not None and due <= ms:
            self.now_ms = max(self.now_ms, due)
            self._do(self.decisions.on_time(self.now_ms))
            self._drain()
            later = self.decisions.deadline_ms()
            assert later is None or later > self.now_ms, "a deadline that was met stays due: the daemon would spin"
        self.now_ms = ms

    def stall(self, ms: int) -> None:
        """Let the time go on while nobody looks at deadlines, as a slow disk does."""
        self.now_ms = ms

    def seen_from(self, pin: int, start_ms: int) -> list[tuple[int, bool]]:
        """Return when an output was switched since, in milliseconds after `start_ms`."""
        return [(ms - start_ms, on) for ms, which, on in self.switched if which == pin and ms >= start_ms]

    def _move(self, pins: Sequence[int], *, closed: bool, heard: bool) -> None:
        for pin in pins:
            (self.closed.add if closed else self.closed.discard)(pin)
            if heard:
                self._do(self.decisions.on_signal(Edge(pin, closed, self.now_ms), self.now_ms))
        self._drain()

    def _drain(self) -> None:
        while self._inbox:
            self._do(self.decisions.on_signal(self._inbox.pop(0), self.now_ms))

    def _do(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case Record(fact, remember, then, otherwise):
                    if self.store_works:
                        self.facts.append(fact)
                        self.memory.update(remember)
                    self._do(then if self.store_works else otherwise)
                case Report(state):
                    self.reports.append(state)
                case Ask():
                    self.asks.append(effect)
                case Drive(Switch(pin, on)):
                    if on is not (pin in self.lit):
                        self.switched.append((self.now_ms, pin, on))
                    (self.lit.add if on else self.lit.discard)(pin)
                case Drive(Read(pin)):
                    self._inbox.append(Reading(pin, pin in self.closed, self.now_ms))
                case Drive(Echo(signal)):
                    if self.listening:
                        self._inbox.append(signal)
                case _:
                    raise AssertionError(f"unknown effect {effect}")


@pytest.fixture
def bench() -> type[Bench]:
    """Return the class Bench: tests cannot import a conftest."""
    return Bench


# --- rigs: what the contract suite needs of each kind of device -------------------------------------------------------


class Rig(Protocol):
    """Simulated hardware of one kind of device. The fixture `<kind>_rig` gives one and takes it down afterwards."""

    config: Mapping[str, Any]
    """The device's table as a configuration file has it."""
    commands: Sequence[object]
    """Commands of which each changes what is seen."""
    signals: st.SearchStrategy[object]
    """Whatever the driver may post."""
    desired: st.SearchStrategy[object]
    """Whatever the center may want."""

    def provoke(self) -> None:
        """Let the hardware do something of which the driver posts a signal."""
        ...

    def seen(self) -> object:
        """Return what people see of the hardware."""
        ...

    def taken(self) -> Collection[object]:
        """Return which lines, ports or files the driver holds."""
        ...

    def spoil(self) -> None:
        """Make that the next opening fails, as a part that is missing or held by another program does."""
        ...

    def kill_thread(self, driver: Driver) -> None:
        """End a thread that the driver cannot work without."""
        ...


class NotifyThread(threading.Thread):
    """Stands for lgpio's thread that brings the edges; it is known by the module of its class."""

    __module__ = "lgpio"

    def __init__(self) -> None:
        super().__init__(name="notify")
        self.ended = threading.Event()

    def run(self) -> None:
        """Wait for the end."""
        self.ended.wait()


class GpioRig:
    """The rig of a device that is made of GPIO lines."""

    def __init__(
        self,
        board: Board,
        config: Mapping[str, Any],
        *,
        contact: int,
        lamp: int,
        signals: st.SearchStrategy[object],
        desired: st.SearchStrategy[object],
    ) -> None:
        self.config = config
        self.commands = (Switch(lamp, on=True), Switch(lamp, on=False))
        pins = st.integers(0, 27)
        stamps = st.integers(-100, 100_000)
        self.signals = st.one_of(
            st.builds(Edge, pins, st.booleans(), stamps), st.builds(Reading, pins, st.booleans(), stamps), signals
        )
        self.desired = desired
        self._board = board
        self._contact = contact
        self._levels: dict[int, bool] = {}
        self._thread = NotifyThread()
        self._thread.start()
        self._holder: gpiozero.InputDevice | None = None
        board.watch(self._see)

    def provoke(self) -> None:
        """Press and release a button."""
        self._board.move(self._contact, closed=True)
        self._board.move(self._contact, closed=False)

    def seen(self) -> object:
        """Return which outputs are on."""
        return dict(self._levels)

    def taken(self) -> Collection[object]:
        """Return the reserved pins."""
        reserved = self._board.factory._reservations
        return [pin for pin, holders in reserved.items() if any(holder() is not None for holder in holders)]

    def spoil(self) -> None:
        """Hold the contact's line, as another program would."""
        self._holder = gpiozero.InputDevice(self._contact)

    def kill_thread(self, driver: Driver) -> None:
        """End the notifying thread."""
        self._thread.ended.set()
        self._thread.join()

    def close(self) -> None:
        """Take the rig down."""
        if self._holder is not None:
            self._holder.close()
        self._thread.ended.set()
        self._thread.join()

    def _see(self, change: Change) -> None:
        self._levels[change.pin] = change.high


@pytest.fixture
def rating_rig(board: Board) -> Iterator[Rig]:
    """A rating pad with three buttons."""
    tickets = st.sampled_from(["t1", "t2"])
    armed = st.none() | st.builds(Armed, ticket=tickets, number=st.just("A007"), seconds=st.integers(1, 60))
    rig = GpioRig(
        board,
        {
            "scale": "vn-3",
            "buttons": [{"level": 1, "pin": 17, "led": 5}, {"level": 2, "pin": 27, "led": 6}, {"level": 3, "pin": 22}],
            "buzzer": 18,
        },
        contact=17,
        lamp=5,
        signals=st.one_of(st.builds(Kept, st.none() | tickets, st.integers(1, 3)), st.just(NotKept())),
        desired=st.builds(RatingDesired, revision=st.integers(0, 5), armed=armed),
    )
    yield rig
    rig.close()


@pytest.fixture
def callpad_rig(board: Board) -> Iterator[Rig]:
    """A call pad with two keys."""
    rig = GpioRig(
        board,
        {"next": {"pin": 23, "led": 12}, "pause": {"pin": 8, "led": 21}},
        contact=23,
        lamp=12,
        signals=st.nothing(),
        desired=st.builds(
            CallpadDesired,
            revision=st.integers(0, 5),
            state=st.sampled_from(["closed", "open", "calling", "serving", "paused"]),
            waiting=st.integers(0, 2),
        ),
    )
    yield rig
    rig.close()


class DisplayRig:
    """The rig of a display: a seven-segment panel on a pseudo-terminal."""

    def __init__(self, folder: Path) -> None:
        self._panel = ModbusLedPanel(folder / "panel")
        self._panel.plug()
        self.config: Mapping[str, Any] = {"codec": "modbus-led", "port": str(self._panel.path)}
        self.commands: Sequence[object] = tuple(
            Show(revision, Sign("calling", "3", f"A{revision:03}"), 0) for revision in (1, 2)
        )
        numbers = st.sampled_from([None, "A007", "B1000"])
        kinds = st.sampled_from(["calling", "serving", "idle", "closed", "paused"])
        words = st.characters(exclude_categories=["Cc", "Cs"])
        labels = st.text(words, min_size=1, max_size=8)
        shows = st.builds(
            Show,
            st.none() | st.integers(0, 5),
            st.builds(Sign, kinds | st.just("offline"), labels, numbers, st.booleans()),
            st.integers(0, 100_000),
        )
        proofs = st.sampled_from(["echoed", "written", "none"])
        self.signals: st.SearchStrategy[object] = st.one_of(
            st.builds(Shown, shows, st.text(words, max_size=100), proofs, st.integers(-100, 100_000)),
            st.builds(PortLost, st.sampled_from(["port_missing", "panel_silent"])),
            st.just(PortBack()),
        )
        self.desired: st.SearchStrategy[object] = st.builds(
            DisplayDesired,
            revision=st.integers(0, 5),
            state=kinds,
            counter=labels,
            number=numbers,
            blink=st.booleans(),
        )

    def provoke(self) -> None:
        """Pull the cable as soon as the driver has the port open."""
        self._panel.plug()
        assert eventually(lambda: _openings(self._panel.path)[1:])
        self._panel.unplug()

    def seen(self) -> object:
        """Return what the panel reads."""
        return self._panel.shown

    def taken(self) -> Collection[object]:
        """Return the panel's thread, and who else than the panel itself has the port open."""
        threads = [thread.name for thread in threading.enumerate() if thread.name == "panel-display"]
        return [*threads, *_openings(self._panel.path)[1:]]

    def spoil(self) -> None:
        """Pull the cable."""
        self._panel.unplug()

    def kill_thread(self, driver: Driver) -> None:
        """End the panel's thread."""
        assert isinstance(driver, PanelDriver)
        driver._stop.set()
        driver._ring()

    def close(self) -> None:
        """Take the panel away."""
        self._panel.close()


def _openings(path: Path) -> list[str]:
    """Return the descriptors of this process that lead to a terminal."""
    if not path.exists():
        return []
    terminal = path.readlink()
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():  # the panel's own is the lowest
        with contextlib.suppress(FileNotFoundError):  # closed since, as that of this very listing
            if descriptor.readlink() == terminal:
                found.append(descriptor.name)
    return found


@pytest.fixture
def display_rig(tmp_path: Path) -> Iterator[Rig]:
    """A display with a seven-segment panel."""
    rig = DisplayRig(tmp_path)
    yield rig
    rig.close()


class CameraRig:
    """The rig of a camera: a drawn counter, as a video that begins again where it ends."""

    def __init__(self, folder: Path) -> None:
        self._video = scene_video.write(folder / "counter.mp4", scene_video.empty, seconds=2)
        self.state_dir = folder
        self.config: Mapping[str, Any] = {
            "source": "file",
            "address": str(self._video),
            "loop": True,
            "width": 320,
            "height": 240,
            "fps": 10,
            "zones": [msgspec.to_builtins(zone) for zone in scene.ZONES],
        }
        now_ms = system_monotonic_ms()
        self.commands: Sequence[object] = (
            Begin("c1", at_ms=now_ms, before_ms=0, why="panic", held=False),
            Begin("c2", at_ms=now_ms, before_ms=0, why="asked", held=True, ticket="t1"),
            Hold("k1", ticket="t1", why="low_rating"),
            Forget("c1"),
        )
        shares = st.dictionaries(st.sampled_from(["", "citizen", "officer"]), st.floats(0, 1), max_size=3)
        counts = st.dictionaries(st.sampled_from(["citizen", "officer"]), st.integers(0, 9), max_size=2)
        ids = st.sampled_from([*(f"request-{number:04}" for number in range(1, 7)), "c1"])
        self.signals: st.SearchStrategy[object] = st.one_of(
            st.builds(
                Seen,
                at_ms=st.integers(0, 100_000),
                motion=shares,
                people=st.none() | counts,
                faults=st.frozensets(st.sampled_from(["covered", "defocused", "moved", "frozen"])),
                now=st.none() | st.datetimes(timezones=st.just(UTC)),
            ),
            st.sampled_from([Lost("unplugged"), Back(), Presence(there=True), Presence(there=False)]),
            st.builds(Thumbnail, ids, st.binary(max_size=30)),
            st.builds(
                KeptClip,
                ids,
                st.datetimes(timezones=st.just(UTC)),
                st.floats(0, 3600),
                st.integers(0, 10**9),
                st.just("0" * 64),
            ),
            st.builds(Unkept, ids, st.text(max_size=20)),
            st.builds(Held, ids, st.tuples(ids)),
            st.builds(Room, clips=st.integers(0, 99), held=st.integers(0, 9), tight=st.booleans()),
        )
        keeps = st.builds(
            Keep,
            id=ids,
            why=st.sampled_from(["low_rating", "sample", "asked"]),
            ticket=st.none() | st.sampled_from(["t1", "t2"]),
            before_s=st.integers(0, 60),
            after_s=st.integers(0, 60),
        )
        self.desired: st.SearchStrategy[object] = st.builds(
            CameraDesired,
            revision=st.integers(0, 5),
            state=st.sampled_from(["closed", "open", "calling", "serving", "paused"]),
            ticket=st.none() | st.sampled_from(["t1", "t2"]),
            kinds=st.none() | st.lists(st.sampled_from([*KINDS, "strange"]), max_size=3).map(tuple),
            zones=st.none() | st.just(scene.ZONES[:1]),
            masks=st.none() | st.just(scene.SCREEN),
            keep=st.lists(keeps, max_size=3).map(tuple),
            panic=st.none() | st.sampled_from(["e1", "e2"]),
        )

    def provoke(self) -> None:
        """Do nothing: the counter is looked at five times a second."""

    def seen(self) -> object:
        """Return what lies in the folder of the clips."""
        seen = {}
        for file in (self.state_dir / "clips").glob("*.json"):
            with contextlib.suppress(FileNotFoundError):  # it goes while we look
                seen[file.name] = file.read_bytes()
        return seen

    def taken(self) -> Collection[object]:
        """Return the camera's threads."""
        return [one.name for one in threading.enumerate() if one.name in ("capture-camera", "recorder", "presence")]

    def spoil(self) -> None:
        """Take the video away."""
        self._video.unlink()

    def kill_thread(self, driver: Driver) -> None:
        """End the recorder's thread."""
        assert isinstance(driver, CameraDriver)
        assert driver._recording is not None
        driver._recording._mail.put(None)


@pytest.fixture
def camera_rig(tmp_path: Path) -> Rig:
    """Make the rig of a camera."""
    return CameraRig(tmp_path)
