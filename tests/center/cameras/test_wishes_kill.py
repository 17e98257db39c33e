"""What is asked of a camera with the real program, which is killed again and again: each of it is carried out once."""

import random
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from contract.codec import decode
from contract.events import CallpadPanic, CameraStarted
from contract.ids import uuid7
from contract.states import CameraDesired, Status
from contract.topics import Address, Channel
from firmware.devices.camera.config import CameraConfig
from firmware.devices.camera.decisions import CameraDecisions
from firmware.devices.camera.signals import Begin, Begun, Hold
from firmware.ports import Drive, Record, Remember, Report
from tests.support.brokers import Mosquitto
from tests.support.device import DeviceSide, rated, sealed
from tests.support.lens import Lens
from tests.support.program import Program
from tests.support.waiting import wait_for

ROUNDS, EACH = 6, 4
ONLINE = Status(state="online", version="1", bootid="b", since="2026-11-23T01:00:00Z")


class Camera:
    """A camera on the wire: what it hears, its real decisions, and what they drive."""

    def __init__(self, wire: DeviceSide) -> None:
        self._wire, self._heard = wire, 0
        self.now_ms = 0
        self.memory: dict[str, str] = {}
        self.driven: list[Any] = []
        self.recorded: list[Any] = []
        self.start()
        wire.say(Channel.STATUS, ONLINE, retain=True)

    def start(self) -> None:
        """Begin, or begin again with what the outbox remembers."""
        config = CameraConfig(source="file", address="x.mp4")
        self._decisions = CameraDecisions(config, new_id=uuid7, memory=self.memory)
        self._do(self._decisions.on_start(self.now_ms))

    def hear(self) -> bool:
        """Take what came since; returns whether it has nothing left to do."""
        told = self._wire.heard(Channel.DESIRED)
        for payload in told[self._heard :]:
            self._do(self._decisions.on_desired(decode(payload, CameraDesired), self.now_ms))
        self._heard = len(told)
        return bool(told) and not decode(told[-1], CameraDesired).keep

    def _do(self, effects: Any) -> None:
        begun: list[str] = []
        for effect in effects:
            match effect:
                case Remember(memory):
                    self.memory |= memory
                case Drive(command):
                    self.driven.append(command)
                    if isinstance(command, Hold | Begin):  # its recorder is quick
                        begun.append(command.clip)
                case Record(fact, remember=remember):
                    self.recorded.append(fact)
                    self.memory |= remember
                case Report(state):
                    self._wire.say(Channel.REPORTED, state, retain=True)
        for name in begun:
            self._do(self._decisions.on_signal(Begun(name), self.now_ms))


@pytest.fixture
def broker(make_mosquitto: Callable[..., Mosquitto]) -> Mosquitto:
    """A broker that outlives the center."""
    return make_mosquitto()


@pytest.fixture
def program(tmp_path: Path, broker: Mosquitto) -> Iterator[Program]:
    """A center whose broker outlives it."""
    one = Program(tmp_path, "external", broker=broker)
    yield one
    one.end(signal.SIGKILL)


@pytest.mark.mosquitto
@pytest.mark.e2e
@pytest.mark.long
def test_whatever_is_killed_each_wish_is_carried_out_once(program: Program) -> None:
    """Low ratings and panics in every stage of a kill: each service is held, each panic recorded, none twice."""
    chance = random.Random(5)  # noqa: S311
    places = [Address(center="bentre", station="q01", device=name) for name in ("camera", "rating", "callpad")]
    program.start()
    wires = [DeviceSide("127.0.0.1", program.mqtt_port, place) for place in places]
    with wires[0] as camera_wire, wires[1] as rating, wires[2] as callpad:
        camera = Camera(camera_wire)
        low: list[str] = []
        panics = 0
        for number in range(ROUNDS):
            camera.now_ms += 20_000  # so that each panic is one of its own
            pending: dict[str, tuple[DeviceSide, bytes]] = {}
            for _ in range(EACH):
                low.append(uuid7())
                fact = rated(1, ticket=f"t{len(low)}")
                pending[low[-1]] = rating, sealed(fact, sequence=len(low), event_id=low[-1], time=datetime.now(UTC))
            if number % 2:
                panics += 1
                event = uuid7()
                source = callpad.address.source
                pending[event] = (
                    callpad,
                    sealed(CallpadPanic(held_ms=500), sequence=panics, event_id=event, source=source, synced=False),
                )
            for wire, payload in pending.values():
                wire.say(Channel.EVENT, payload)
            stop_at = chance.choice(["at once", "acked", "heard"])
            if stop_at != "at once":
                wait_for(lambda pending=pending: pending.keys() <= rating.acked() | callpad.acked(), timeout_s=30)  # type: ignore[misc]
            if stop_at == "heard":
                wait_for(camera.hear, timeout_s=30)
            program.end(signal.SIGKILL)
            if number == ROUNDS // 2:
                camera.start()
            program.start()
            for event, (wire, payload) in pending.items():  # as an outbox does
                if event not in rating.acked() | callpad.acked():
                    wire.say(Channel.EVENT, payload)
            wait_for(lambda pending=pending: pending.keys() <= rating.acked() | callpad.acked(), timeout_s=30)  # type: ignore[misc]
            wait_for(camera.hear, timeout_s=30)

            def is_all_done(count: int = len(low)) -> bool:
                camera.hear()
                return program.rows("SELECT count(*) FROM camera_wish WHERE done_at IS NOT NULL") == [(count,)]

            wait_for(is_all_done, timeout_s=30)
    held = Counter(one.clip for one in camera.driven if isinstance(one, Hold))
    assert held == dict.fromkeys(low, 1)
    assert program.rows("SELECT count(*), count(done_at) FROM camera_wish") == [(len(low), len(low))]
    assert [one.kind for one in camera.recorded if isinstance(one, CameraStarted)] == ["panic"] * panics
    assert program.rows("SELECT count(*) FROM alert WHERE kind = 'panic'") == [(1,)]


@pytest.mark.mosquitto
@pytest.mark.e2e
@pytest.mark.long
def test_what_is_asked_of_a_whole_camera_ends_as_recordings_at_the_center(
    program: Program, broker: Mosquitto, tmp_path: Path
) -> None:
    """Both real programs: an interval, a low rating and a panic are confirmed, recorded, and lie at the center."""
    with program.config.open("a", encoding="utf-8") as file:
        file.write("[clips]\nspare_gb = 0\nsample_per_week = 0\n")
    program.start()
    (tmp_path / "lens").mkdir()
    lens = Lens(tmp_path / "lens", broker, program.http_port)
    text = lens.config.read_text().replace("kinds = []\n", "").replace("service_clips = false\n", "post_roll_s = 1\n")
    lens.config.write_text(text)
    lens.start()
    callpad, rating = (Address(center="bentre", station="q01", device=name) for name in ("callpad", "rating"))

    def done() -> dict[str, bool]:
        return dict(program.rows("SELECT why, done_at IS NOT NULL FROM camera_wish"))

    try:
        wait_for(lambda: program.rows("SELECT 1 FROM device WHERE reported IS NOT NULL"), timeout_s=30)
        ticket = program.post("/api/tickets", "take", {"service": "dat-dai"})["ticket"]["id"]
        for action in ("open", "call_next", "start"):
            program.post(f"/api/counters/q01/{action}", action, {})
        body = {"before_s": 5, "after_s": 1, "note": "to tiếng"}
        wait_for(lambda: program.refusal("/api/cameras/q01/keep", "keep", body) is None, timeout_s=30)
        wait_for(lambda: done() == {"asked": True}, timeout_s=30)
        arrived = "SELECT why, ticket FROM clip WHERE arrived_at IS NOT NULL ORDER BY why"
        wait_for(lambda: program.rows(arrived) == [("asked", ticket)], timeout_s=30)  # the service has pictures by then
        program.post("/api/counters/q01/finish", "finish", {})
        with (
            DeviceSide("127.0.0.1", program.mqtt_port, callpad) as pad,
            DeviceSide("127.0.0.1", program.mqtt_port, rating) as buttons,
        ):
            buttons.say(Channel.EVENT, sealed(rated(1, ticket=ticket), sequence=1, time=datetime.now(UTC)))
            wait_for(lambda: done() == {"asked": True, "low_rating": True}, timeout_s=30)
            event = sealed(CallpadPanic(held_ms=500), sequence=1, source=callpad.source, synced=False)
            pad.say(Channel.EVENT, event)
            wait_for(lambda: program.rows("SELECT kind FROM incident") == [("panic",)], timeout_s=30)
            wait_for(lambda: program.rows("SELECT kind FROM alert WHERE kind = 'panic'"), timeout_s=30)
        wait_for(lambda: program.rows(arrived) == [("asked", ticket), ("low_rating", ticket)], timeout_s=40)
    finally:
        lens.end(signal.SIGKILL)
