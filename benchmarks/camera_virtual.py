"""A camera on a clock that goes as fast as the processor can: its pipeline, network, decisions and recorder, for real.

No threads: each part is asked for its step when it is due. What the threads would add is waiting.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count

import cv2
import numpy as np

from contract.events import CameraFault, CameraStarted, Fact
from contract.states import CameraDesired
from firmware.devices.camera import model
from firmware.devices.camera.config import CameraConfig
from firmware.devices.camera.decisions import CameraDecisions
from firmware.devices.camera.frames import Frame, Plane
from firmware.devices.camera.pipeline import Pipeline, Presence
from firmware.devices.camera.presence import People
from firmware.devices.camera.recorder import Recorder
from firmware.devices.camera.signals import Picture, Settings
from firmware.ports import Drive, Effect, Record, Report
from simulator.scene import Picture as Drawn


class VirtualClock:
    """`firmware.ports.Clock`, set by whoever plays."""

    boot_id = "7c1d8b9e-0000-4000-8000-0000000bead5"

    def __init__(self, begin: datetime) -> None:
        self._begin = begin
        self.ms = 1_000_000
        self._zero_ms = self.ms

    def monotonic_ms(self) -> int:
        """Milliseconds that never step."""
        return self.ms

    def now(self) -> datetime:
        """The wall clock in UTC."""
        return self._begin + timedelta(milliseconds=self.ms - self._zero_ms)

    def synchronised(self) -> bool:
        """It is set."""
        return True


class Camera:
    """One camera. `see` gives it a picture at an instant; `facts` is what it put on record, and when."""

    def __init__(
        self,
        config: CameraConfig,
        *,
        begin: datetime,
        recorder: "Callable[[Camera], Recorder] | None" = None,
        step_ms: int = 500,
    ) -> None:
        ids = count(1)
        self.config = config
        self.clock = VirtualClock(begin.astimezone(UTC))
        self.facts: list[tuple[float, Fact]] = []
        self.reported: object = None
        self.posted: list[object] = []
        self.pipeline = Pipeline(
            size=(config.width, config.height),
            fps=config.fps,
            zones=config.zones,
            masks=config.masks,
            sealed=config.center_key is not None,
            clock=self.clock,
        )
        self._people: People | None = None
        self._presence: Presence | None = None
        network = model.FOLDER / model.MODEL
        if config.model is not None:
            self._people = People(network, config.zones)
            self._presence = Presence(network, lambda: config.zones, monotonic_ms=self.clock.monotonic_ms)
        self._number = 0
        self._step_ms = step_ms
        self._step_at_ms = 0
        self.decisions = CameraDecisions(config, new_id=lambda: f"id-{next(ids)}", memory={})
        self.pipeline.begin(self.posted.append, self._presence)
        self.recorder = recorder(self) if recorder is not None else None
        if self.recorder is not None:
            self.recorder.begin()
        self._do(self.decisions.on_start(self.clock.ms))

    def hear(self, desired: CameraDesired) -> None:
        """Have the center say something."""
        self._do(self.decisions.on_desired(desired, self.clock.ms))

    def see(self, at_s: float, picture: Drawn) -> None:
        """Take a picture, BGR, at a second from the beginning; time goes there first."""
        self.go_to(at_s)
        main: Plane = cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420).astype(np.uint8, copy=False)
        height = picture.shape[0]
        small: Plane = cv2.resize(main[:height], (320, 240), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
        self.pipeline.draw(main, small)
        self.pipeline.take(Frame(number=self._number, at_ms=self.clock.ms, main=main, small=small))
        self._number += 1
        if self._presence is not None and self._people is not None:
            self._presence.look(self._people)
        self._listen()

    def go_to(self, at_s: float) -> None:
        """Let time pass."""
        at_ms = 1_000_000 + round(at_s * 1000)
        while True:
            dues = [at_ms]
            if (due := self.decisions.deadline_ms()) is not None:
                dues.append(max(due, self.clock.ms))
            if self.recorder is not None:
                dues.append(max(self._step_at_ms, self.clock.ms))
            self.clock.ms = min(dues)
            if due is not None and self.clock.ms >= due:
                self._do(self.decisions.on_time(self.clock.ms))
            if self.recorder is not None and self.clock.ms >= self._step_at_ms:
                self.recorder.step()
                self._step_at_ms = self.clock.ms + self._step_ms
            self._listen()
            if self.clock.ms >= at_ms:
                return

    def started(self, *kinds: str) -> list[float]:
        """Return the seconds at which incidents of these kinds began."""
        return [at_s for at_s, fact in self.facts if isinstance(fact, CameraStarted) and fact.kind in kinds]

    def faults(self) -> list[float]:
        """Return the seconds at which the camera said that something is wrong with its picture."""
        return [at_s for at_s, fact in self.facts if isinstance(fact, CameraFault)]

    def _listen(self) -> None:
        while self.posted:
            self._do(self.decisions.on_signal(self.posted.pop(0), self.clock.ms))  # type: ignore[arg-type]  # its own

    def _do(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case Record(fact):
                    self.facts.append(((self.clock.ms - 1_000_000) / 1000, fact))
                case Report(state):
                    self.reported = state
                case Drive(Picture(incident)):
                    self.pipeline.picture(incident)
                case Drive(Settings() as settings):
                    self.pipeline.set(settings)
                case Drive(command) if self.recorder is not None:
                    self.recorder.take(command)  # type: ignore[arg-type]  # the driver hands it on in the same way
                case _:
                    pass
