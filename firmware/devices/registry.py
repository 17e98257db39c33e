"""The kinds of device there are. A kind's module is imported when it is asked for: a display never loads gpiozero."""

import importlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from contract.states import State
from firmware.devices.gpio import system_monotonic_ms
from firmware.ports import Clock, Decisions, Driver


@dataclass(frozen=True, slots=True)
class DeviceContext:
    """What a device is given to work with. `memory` is what earlier `Record.remember` kept, across restarts.

    `clock` and `state_dir` are for a device that keeps files of its own.
    """

    station: str
    name: str
    new_id: Callable[[], str]
    memory: Mapping[str, str]
    monotonic_ms: Callable[[], int] = system_monotonic_ms
    clock: Clock | None = None
    state_dir: Path | None = None


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of device: the type of its configuration, the type of its desired state, and how it is made."""

    name: str
    config: type[msgspec.Struct]
    desired: type[State]
    build: Callable[[Any, DeviceContext], tuple[Decisions, Driver]]


_MODULES = {
    "callpad": "firmware.devices.callpad",
    "camera": "firmware.devices.camera",
    "display": "firmware.devices.display",
    "rating": "firmware.devices.rating",
}
"""Name → the module whose `KIND` it is. A new device is one line here."""


class Registry(Mapping[str, Kind]):
    """Kinds by name; iterating names imports nothing."""

    def __init__(self, modules: Mapping[str, str]) -> None:
        self._modules = modules

    def __getitem__(self, name: str) -> Kind:
        kind = importlib.import_module(self._modules[name]).KIND
        if not isinstance(kind, Kind) or kind.name != name:
            raise TypeError(f"{self._modules[name]}.KIND is not the kind {name!r}")
        return kind

    def __contains__(self, name: object) -> bool:
        return name in self._modules

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __len__(self) -> int:
        return len(self._modules)


KINDS: Mapping[str, Kind] = Registry(_MODULES)
