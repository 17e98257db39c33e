"""A camera's driver: the threads that watch, look for people, record and send, and what the decisions tell them."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from contract.states import Look
from firmware.devices.camera.clips import Folder
from firmware.devices.camera.config import CameraConfig
from firmware.devices.camera.courier import Courier
from firmware.devices.camera.http import check_authority
from firmware.devices.camera.looking import Looking
from firmware.devices.camera.pipeline import Pipeline, Presence
from firmware.devices.camera.recorder import Command as Recording
from firmware.devices.camera.recorder import Recorder
from firmware.devices.camera.signals import Answer, Contact, Held, Kept, Picture, Read, Settings, Watched
from firmware.devices.camera.sources import make_source
from firmware.devices.camera.sources.watch import Watch
from firmware.ports import Clock, Post
from host.sealing import read_public_key

_log = logging.getLogger(__name__)

CLIPS = "clips"
"""The folder of the recordings, beside the outbox."""

CLOSE_WITHIN_S = 8.0
"""All threads together, whatever hangs: systemd waits 15 s, and the outbox and the broker need some of it."""


class CameraDriver:
    """One camera, from its source to the folder of its clips."""

    def __init__(self, config: CameraConfig, *, name: str, state_dir: Path, clock: Clock) -> None:
        """Prepare; raise ConfigError for what only a person can mend: codec, the center's certificates."""
        key = read_public_key(config.center_key) if config.center_key else None
        size = (config.width, config.height)
        self._pipeline = Pipeline(
            size=size, fps=config.fps, zones=config.zones, masks=config.masks, sealed=key is not None, clock=clock
        )
        self._presence: Callable[[], Presence] | None = None
        if (model := config.model) is not None:
            self._presence = lambda: Presence(
                Path(model), lambda: self._pipeline.zones, monotonic_ms=clock.monotonic_ms
            )
        check_authority(config)
        self._watch = Watch(
            name=name,
            source=lambda: make_source(config, self._pipeline.draw, clock.monotonic_ms, loop=config.loop),
            take=self._pipeline.take,
            monotonic_ms=clock.monotonic_ms,
        )
        folder = Folder(state_dir / CLIPS, quota_bytes=config.quota_mb * 1_000_000, clock=clock)
        self._recorder: Callable[[Post], Recorder] = lambda post: Recorder(
            folder=folder,
            shown=self._pipeline.shown,
            clear=(self._pipeline.clear, key) if self._pipeline.clear is not None and key is not None else None,
            size=size,
            fps=config.fps,
            service_kept_s=config.service_kept_min * 60,
            clock=clock,
            post=post,
        )
        self._courier: Callable[[Post], Courier] | None = None
        if config.center is not None:
            self._courier = lambda post: Courier(config, folder, clock=clock, post=post)
        self._shows = Looking(config, clock=clock) if config.center is not None else None
        self._looking: Presence | None = None
        self._recording: Recorder | None = None
        self._sending: Courier | None = None

    def open(self, post: Post) -> None:
        """Start the threads. A camera that is missing or busy is the watch's affair: it tries until there is one."""
        post = _guarded(post)
        if self._courier is not None:
            self._sending = self._courier(post)
            self._sending.start()
        self._recording = self._recorder(_overheard(post, self._sending))
        self._recording.start()
        self._looking = self._presence() if self._presence is not None else None
        if self._looking is not None:
            self._looking.open(post)
        if self._shows is not None:
            self._shows.open()
        self._pipeline.begin(post, self._looking, self._shows)
        self._watch.open(post)

    def drive(self, command: Recording | Picture | Settings | Answer | Contact | Watched) -> None:
        """Carry out a command of the decisions."""
        match command:
            case Picture(incident):
                self._pipeline.picture(incident)
            case Settings():
                self._pipeline.set(command)
            case Watched(look):
                self._show(look)
            case Answer() | Contact():
                if self._sending is not None:
                    self._sending.take(command)
            case _:
                if self._recording is not None:
                    self._recording.do(command)

    def alive(self) -> bool:
        """Whether every thread runs and none hangs; raise ConfigError if only a person can mend it."""
        return (
            self._watch.alive()
            and self._recording is not None
            and self._recording.alive()
            and (self._looking is None or self._looking.alive())
            and (self._sending is None or self._sending.alive())
            and (self._shows is None or self._shows.alive())
        )

    def close(self) -> None:
        """End what is being recorded and let the camera go, all at once: no thread that hangs takes another's time."""
        parts = (self._recording, self._sending, self._shows, self._looking, self._watch)
        _all_at_once([part.close for part in parts if part is not None])
        self._looking = self._recording = self._sending = None

    def _show(self, look: Look | None) -> None:
        if self._shows is not None:
            self._shows.want(look)
        elif look is not None:
            _log.warning("somebody wants to look through the camera and cannot: center is not set in its table")


def _all_at_once(closes: Sequence[Callable[[], None]]) -> None:
    """Do all of this, each in a thread of its own; what is not done in time ends with the program."""
    until_s = time.monotonic() + CLOSE_WITHIN_S
    threads = [threading.Thread(target=close, daemon=True) for close in closes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(until_s - time.monotonic(), 0))


def _overheard(post: Post, courier: Courier | None) -> Post:
    """Return a `post` for the recorder, by which the courier hears that something may have come."""
    if courier is None:
        return post

    def say(signal: object) -> None:
        post(signal)
        if isinstance(signal, Kept | Held | Read):
            courier.wake()

    return say


def _guarded(post: Post) -> Post:
    """Return a `post` that never raises: whatever is wrong with the inbox, pictures must be kept."""

    def say(signal: object) -> None:
        try:
            post(signal)
        except Exception:  # noqa: BLE001 - said in the docstring
            _log.exception("a signal was lost inside the program; report this")

    return say
