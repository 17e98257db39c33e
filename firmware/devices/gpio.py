"""GPIO lines through gpiozero: contacts to ground with the internal pull-up, and outputs that are on or off.

One driver for every device that is made of contacts and lamps. It stamps edges and moves levels, nothing else; what
they mean is the business of `debounce` and of each device's decisions.
"""

import contextlib
import importlib
import logging
import os
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Annotated, Any

import msgspec

from firmware.devices.debounce import Edge, Reading
from firmware.errors import ConfigError, HardwareError
from firmware.ports import Post

_log = logging.getLogger(__name__)

Pin = Annotated[int, msgspec.Meta(ge=0, le=27, description="a BCM number from 0 to 27")]

_KERNEL_STAMP_AGE_S = 1.0
"""A stamp of the library older than this is not on our clock."""

_LIBRARIES = frozenset({"lgpio", "pigpio", "gpiozero", "RPi"})


@dataclass(frozen=True, slots=True)
class Switch:
    """Switch an output."""

    pin: int
    on: bool


@dataclass(frozen=True, slots=True)
class Read:
    """Read a contact and post the Reading."""

    pin: int


@dataclass(frozen=True, slots=True)
class Echo:
    """Post this signal back: so decisions hear which branch of a Record was taken."""

    signal: object


Command = Switch | Read | Echo


def system_monotonic_ms() -> int:
    """Return milliseconds on the kernel's monotonic clock."""
    return time.monotonic_ns() // 1_000_000


class Lines:
    """The lines of one device: `inputs` are contacts to ground, `outputs` are high when on."""

    def __init__(
        self,
        *,
        inputs: Sequence[int],
        outputs: Sequence[int],
        monotonic_ms: Callable[[], int] = system_monotonic_ms,
    ) -> None:
        self._input_pins = tuple(inputs)
        self._output_pins = tuple(outputs)
        self._monotonic_ms = monotonic_ms
        self._post: Post | None = None
        self._inputs: dict[int, Any] = {}
        self._outputs: dict[int, Any] = {}
        self._handlers: list[Callable[[float, int], None]] = []
        self._threads: tuple[threading.Thread, ...] = ()

    def open(self, post: Post) -> None:
        """Take the lines: outputs off, contacts pulled up and watched. On failure no line stays taken."""
        self._post = post
        try:
            gpiozero = _gpiozero()
            for pin in self._output_pins:
                with _translated(pin):
                    self._outputs[pin] = gpiozero.DigitalOutputDevice(pin)
            for pin in self._input_pins:
                with _translated(pin):
                    self._inputs[pin] = contact = gpiozero.InputDevice(pin, pull_up=True)
                    # The pin's own callback, not the device's: that one swallows an edge after it has missed one.
                    handler = self._handler(pin, post)
                    self._handlers.append(handler)  # gpiozero keeps a weak reference only
                    contact.pin.edges = "both"
                    contact.pin.when_changed = handler
        except BaseException:
            self.close()
            raise
        self._threads = tuple(
            thread for thread in threading.enumerate() if type(thread).__module__.partition(".")[0] in _LIBRARIES
        )

    def drive(self, command: Command) -> None:
        """Switch an output, read a contact, or echo."""
        if self._post is None:
            raise HardwareError("the GPIO lines are closed: open them first")
        match command:
            case Switch(pin, on):
                with _translated(pin):
                    output = self._outputs[pin]
                    if on:
                        output.on()
                    else:
                        output.off()
            case Read(pin):
                at_ms = self._monotonic_ms()  # before the reading: an edge after it must count as later
                with _translated(pin):
                    closed = bool(self._inputs[pin].value)
                self._post(Reading(pin, closed=closed, at_ms=at_ms))
            case Echo(signal):
                self._post(signal)

    def alive(self) -> bool:
        """Whether the library's own threads, which bring the edges, still run."""
        return all(thread.is_alive() for thread in self._threads)

    def close(self) -> None:
        """Switch everything off and give the lines back."""
        self._post = None
        self._threads = ()
        for pin, contact in self._inputs.items():
            with _logged(pin):
                contact.pin.when_changed = None  # lgpio's pin would go on calling
                contact.close()
        for pin, output in self._outputs.items():
            with _logged(pin):
                output.off()
                output.close()
        self._inputs.clear()
        self._outputs.clear()
        self._handlers.clear()

    def _handler(self, pin: int, post: Post) -> Callable[[float, int], None]:
        """Return the callback of one contact. It may run in any thread and must not raise: lgpio's would end by it."""

        def changed(ticks: float, state: int) -> None:
            try:
                now_ms = self._monotonic_ms()
                post(Edge(pin, closed=not state, at_ms=_edge_ms(ticks, now_ms)))
            except Exception:  # noqa: BLE001 - a foreign thread calls: whatever it is, the next edge must still come
                _log.exception("GPIO %d: an edge was lost inside the program; report this", pin)

        return changed


def _edge_ms(ticks_s: object, now_ms: int) -> int:
    """Return when an edge happened: the kernel's own stamp where it is on our clock, else now.

    lgpio hands over the kernel's time of the edge; the callback runs 4 ms later and up to 60 on a busy Pi, which would
    make a 5 ms pulse look like a press. gpiozero promises nothing about these ticks, so they are believed only if near.
    """
    if isinstance(ticks_s, float) and 0 <= now_ms / 1000 - ticks_s <= _KERNEL_STAMP_AGE_S:
        return int(ticks_s * 1000)
    return now_ms


def _gpiozero() -> Any:
    """Return gpiozero with a working pin factory. Imported late: only a device with pins pays for it."""
    with _light_import(), warnings.catch_warnings(record=True) as fallbacks:
        warnings.simplefilter("always")
        try:
            import gpiozero
        except ImportError as error:
            raise ConfigError(f"gpiozero is missing ({error}): install motcua with its extra 'pi'") from error
        try:
            gpiozero.Device.ensure_pin_factory()
        except Exception as error:
            raise _no_factory(error, "; ".join(str(warning.message) for warning in fallbacks)) from error
    for warning in fallbacks:
        _log.warning("GPIO: %s; set GPIOZERO_PIN_FACTORY=lgpio to see the reason as an error", warning.message)
    return gpiozero


def _no_factory(error: Exception, fallbacks: str) -> ConfigError | HardwareError:
    """Say what to do about a missing pin factory, then why. `fallbacks` is what gpiozero tried, one after the other."""
    reasons = fallbacks.replace("Falling back from ", "") or str(error)
    if ".lgd-nfy" in reasons:  # lgpio's FIFO, which it makes where LG_WD says, else in the working directory
        return HardwareError(f"lgpio cannot make its pipe: set LG_WD to a folder this user may write to ({reasons})")
    if isinstance(error, ImportError) and "lgpio" not in sys.modules:
        return ConfigError(
            f"no GPIO library works here: on a Raspberry Pi install motcua with its extra 'pi' ({reasons})"
        )
    return HardwareError(
        "the GPIO chip cannot be opened: check that this is a Raspberry Pi, that /dev/gpiochip0 exists and that this "
        f"user is in the group 'gpio' ({reasons})"
    )


@contextlib.contextmanager
def _light_import() -> Iterator[None]:
    """Let gpiozero load without what a counter never uses of it: 3.3 MB of a pad's memory and 40 ms of its start.

    E-mail, archives and compression come with `importlib.metadata`, of which gpiozero wants one function to look up the
    factory that GPIOZERO_PIN_FACTORY names, and with `importlib.resources`, for the fonts of character displays. It
    prefers the back-ports of both if there are any. The others serve light sensors, coloured lamps and pings. So
    stand-ins lie there meanwhile, which know gpiozero's own factories, and ask the real modules for anything else.
    """
    stand_ins: dict[str, dict[str, Any]] = {
        "importlib_metadata": {"entry_points": _entry_points},
        "importlib_resources": {"files": _files},
        "statistics": {name: _late("statistics", name) for name in ("mean", "median")},
        "colorzero": {"Color": _late("colorzero", "Color")},
        "subprocess": {"__getattr__": lambda name: getattr(importlib.import_module("subprocess"), name)},
    }
    ours = []
    for name, functions in stand_ins.items():
        if name not in sys.modules:
            sys.modules[name] = module = ModuleType(name)
            vars(module).update(functions)
            ours.append(name)
    try:
        yield
    finally:
        for name in ours:
            del sys.modules[name]


_FACTORIES = {
    "lgpio": "LGPIOFactory",
    "mock": "MockFactory",
    "native": "NativeFactory",
    "pigpio": "PiGPIOFactory",
    "rpigpio": "RPiGPIOFactory",
}


@dataclass(frozen=True, slots=True)
class _OwnFactory:
    """What gpiozero needs of an entry point, for a factory of its own."""

    name: str

    def load(self) -> Any:
        return getattr(importlib.import_module(f"gpiozero.pins.{self.name}"), _FACTORIES[self.name])


def _entry_points(*, group: str) -> Iterable[Any]:
    wanted = os.environ.get("GPIOZERO_PIN_FACTORY", "").lower()
    if group == "gpiozero_pin_factories" and wanted in _FACTORIES:
        return (_OwnFactory(wanted),)
    from importlib.metadata import entry_points

    return entry_points(group=group)


def _late(module: str, name: str) -> Callable[..., Any]:
    """Return a function that loads the real one when it is called."""
    return lambda *given, **named: getattr(importlib.import_module(module), name)(*given, **named)


def _files(anchor: str) -> Any:
    from importlib.resources import files

    return files(anchor)


@contextlib.contextmanager
def _translated(pin: int) -> Iterator[None]:
    """Turn what gpiozero and its libraries raise for a line into our errors, with the BCM number and what to do."""
    try:
        yield
    except (ConfigError, HardwareError):
        raise
    except Exception as error:
        kind = type(error).__name__
        if kind in {"PinInvalidPin", "PinFixedPull", "PinInvalidFunction", "PinInvalidPull"}:
            raise ConfigError(f"GPIO {pin} cannot be used for this ({error}): choose another BCM number") from error
        if kind == "GPIOPinInUse" or "busy" in str(error).lower():
            raise HardwareError(
                f"GPIO {pin} is busy ({error}): another program or overlay holds the line; `gpioinfo` names it"
            ) from error
        raise HardwareError(f"GPIO {pin} does not answer ({error}): check the wiring and /dev/gpiochip0") from error


@contextlib.contextmanager
def _logged(pin: int) -> Iterator[None]:
    """Let nothing keep the other lines from being closed."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - any library error: the rest must still be closed
        _log.warning("GPIO %d could not be closed (%s); it is free when the program ends", pin, error)


def check_distinct(uses: Iterable[tuple[str, int | None]]) -> None:
    """Raise ValueError when a line is used twice; `uses` are (what it is, BCM number)."""
    taken: dict[int, str] = {}
    for what, pin in uses:
        if pin is None:
            continue
        if pin in taken:
            raise ValueError(f"{what} must be a line of its own, got GPIO {pin}, which is already {taken[pin]}")
        taken[pin] = what
