"""A device's outbox and the center's store, joined by the worst wire there is.

Both sides are the real ones: outbox and pump here, ingest, hall and database there. Only the broker is a pair of lists,
in which a message may be lost, held back, overtaken, and delivered ten times.
"""

import shutil
import tempfile
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from center.clock import SystemClock
from center.config import Config, CounterConfig, ServiceConfig
from center.errors import StoreError
from center.hall import Hall
from center.ingest.ingest import Ingest
from center.ingest.link import Link, Taken
from center.ingest.sorting import Message
from center.storage import tables
from center.storage.store import Batch, Store
from contract.codec import decode
from contract.events import Fact, RatingGiven, RatingIgnored
from contract.requests import Ack
from contract.topics import Address, Channel
from firmware.mqtt.outbox import Outbox
from firmware.mqtt.pump import Pump
from tests.support.clock import ManualClock

PAD = Address(center="bentre", station="q01", device="rating")
LATER_MS = 61_000  # longer than any time-out of the pump
ROUNDS_TO_REST = 200


class Disk(Store):
    """The center's database, on a disk that can be full."""

    full = False

    def write(self, batch: Batch) -> None:
        """Fail as a full disk does."""
        if self.full:
            raise StoreError("full", full=True)
        super().write(batch)


class Wire(Link):
    """A link to no broker: what the center publishes is handed to `said`."""

    said: Callable[[str, bytes], None]

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> bool:
        """Take note of a message."""
        self.said(topic, payload)
        return True

    def ack(self, taken: Taken) -> None:
        """Nobody waits for it."""


class ExactlyOnce(RuleBasedStateMachine):
    """Presses, lost and late messages, repeats, full disks, restarts of both sides, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="exactly-once-"))
        self.config = Config(
            id="bentre",
            name="Trung tâm",
            data_dir=str(self.folder / "center"),
            service=(ServiceConfig(id="dat-dai", letter="A", vi="Đất đai", en="Land"),),
            counter=(CounterConfig(id="q01", label="1", services=("dat-dai",)),),
        )
        self.clock = ManualClock()
        self.ids = count(1)
        self.to_center: list[bytes] = []
        self.to_device: list[bytes] = []
        self.recorded: dict[str, Fact] = {}
        self.start_device()
        self.start_center()

    # --- the device: what its daemon does with outbox and pump ------------------------------------------------------

    def start_device(self) -> None:
        """Open the outbox as a new process does."""
        self.outbox = Outbox(self.folder / "device", clock=self.clock, new_id=lambda: f"id-{next(self.ids)}")
        self.outbox.open()
        self.pump = Pump()
        self.pump.connected()

    def send(self) -> None:
        """Send what the pump allows."""
        for row in self.outbox.peek(after=self.pump.after, limit=max(self.pump.room(), 0)):
            self.to_center.append(row.seal(source=PAD.source, stream=self.outbox.stream))
            self.pump.sent(row.sequence, row.id, self.clock.monotonic_ms())

    def hear(self, payload: bytes) -> None:
        """Take an acknowledgement."""
        ack = decode(payload, Ack)
        upto = ack.upto if ack.stream == self.outbox.stream else None
        now_ms = self.clock.monotonic_ms()
        upto = None if upto is None else min(upto, self.pump.highest_sent)
        self.outbox.acknowledge(upto=upto, sequences=self.pump.acknowledged(upto=upto, ids=ack.ids, now_ms=now_ms))

    # --- the center --------------------------------------------------------------------------------------------------

    def start_center(self) -> None:
        """Open the database as a new process does."""
        self.store = Disk(self.config.store_url)
        self.hall = Hall(self.config, self.store, SystemClock())
        self.hall.start()
        self.ingest = Ingest(self.config, self.hall, make_link=self._wire)

    def _wire(self, *arguments: Any, **named: Any) -> Wire:
        wire = Wire(*arguments, **named)
        wire.said = self._said
        self.arrive = named["on_message"]
        return wire

    def _said(self, topic: str, payload: bytes) -> None:
        if topic == PAD.topic(Channel.ACK):
            self.to_device.append(payload)

    def deliver(self, *payloads: bytes) -> None:
        """Hand messages to the center, so fast that some share a commit, and wait until it has dealt with them."""
        for payload in payloads:
            message = Message(topic=PAD.topic(Channel.EVENT), payload=payload, size=len(payload), retained=False, at=1)
            self.arrive(Taken(message, None, 0, 0))  # type: ignore[arg-type]  # no client: nothing is acknowledged to it
        self.settle()

    def settle(self) -> None:
        """Wait until the hall has done what is on its way, halves of a refused batch included."""
        for _ in range(3):
            self.hall.run(lambda _: None).result(30)

    def stop_center(self) -> None:
        """End it."""
        self.hall.stop()

    # --- what happens ------------------------------------------------------------------------------------------------

    @rule(
        level=st.integers(1, 3),
        ticket=st.none() | st.sampled_from(["t1", "t2"]),
        counts=st.booleans(),
        at_once=st.booleans(),
    )
    def press(self, level: int, ticket: str | None, counts: bool, at_once: bool) -> None:
        """Somebody presses, for a ticket or at a pad that is always open; it counts or not; there may be a link."""
        fact: Fact = RatingIgnored(why="late", level=level)
        if counts:
            fact = RatingGiven(level=level, scale="vn-3", ticket=ticket, armed_for_ms=1, pressed_ms=15)
        sequence = self.outbox.append(fact)
        (row,) = self.outbox.peek(after=sequence - 1, limit=1)
        self.recorded[row.id] = fact
        if at_once:
            self.send()

    @rule()
    def go_out(self) -> None:
        """What waits goes out."""
        self.send()

    @precondition(lambda self: self.to_center)
    @rule(data=st.data(), kept=st.booleans())
    def come_in(self, data: st.DataObject, kept: bool) -> None:
        """Some of what is on its way arrives, in any order; it may do so again."""
        arrived = data.draw(st.lists(st.sampled_from(self.to_center), min_size=1, max_size=6))
        self.deliver(*arrived)
        if not kept:
            self.to_center = [payload for payload in self.to_center if payload not in arrived]

    @precondition(lambda self: self.to_device)
    @rule(data=st.data(), kept=st.booleans())
    def be_told(self, data: st.DataObject, kept: bool) -> None:
        """Some acknowledgements arrive, in any order; they may do so again."""
        for payload in data.draw(st.lists(st.sampled_from(self.to_device), min_size=1, max_size=6)):
            self.hear(payload)
            if not kept and payload in self.to_device:
                self.to_device.remove(payload)

    @rule()
    def all_goes_well(self) -> None:
        """What waits goes out, arrives, and is acknowledged."""
        self.send()
        self.deliver(*self.to_center)
        self.to_center.clear()
        while self.to_device:
            self.hear(self.to_device.pop(0))

    @rule(upto_device=st.booleans())
    def lose(self, upto_device: bool) -> None:
        """All that is on its way in one direction is lost."""
        (self.to_device if upto_device else self.to_center).clear()

    @rule()
    def wait(self) -> None:
        """No word for a long time."""
        self.clock.advance(LATER_MS)
        self.pump.due(self.clock.monotonic_ms(), pubacks_missing=False)

    @rule()
    def reconnect(self) -> None:
        """The link breaks and is there again."""
        self.pump.disconnected()
        self.pump.connected()

    @rule()
    def cut_the_devices_power(self) -> None:
        """The device starts anew, from its card."""
        self.outbox.close()
        self.start_device()

    @rule()
    def restart_the_center(self) -> None:
        """The center starts anew, from its database."""
        self.stop_center()
        self.start_center()

    @rule(full=st.booleans())
    def fill_the_disk(self, full: bool) -> None:
        """The center's disk is full, or has room again."""
        self.store.full = full

    # --- what must be true -------------------------------------------------------------------------------------------

    def stored(self) -> list[str]:
        """Return the ids of the stored events, in order."""
        return self.hall.transact(lambda db: list(db.execute(tables.device_event.select()).scalars("id"))).result(30)

    @invariant()
    def nothing_is_lost_or_double(self) -> None:
        """What was recorded waits at the device or is stored; nothing is stored twice, nothing else is stored."""
        stored = self.stored()
        waiting = {row.id for row in self.outbox.peek(after=0, limit=1_000)}
        assert len(stored) == len(set(stored))
        assert set(stored) <= set(self.recorded)
        assert set(self.recorded) <= waiting | set(stored)

    @invariant()
    def a_ticket_is_rated_once(self) -> None:
        """A ticket has the rating that was stored first, and no other."""
        ratings = self.hall.transact(lambda db: db.execute(tables.rating.select()).all()).result(30)
        first: dict[str, str] = {}
        for event_id in self.stored():
            fact = self.recorded[event_id]
            if isinstance(fact, RatingGiven):
                first.setdefault(fact.ticket or event_id, event_id)
        assert {row.ticket or row.id: row.id for row in ratings} == first

    @invariant()
    def nothing_is_put_aside(self) -> None:
        """Nothing that a device said is taken for broken."""
        assert self.hall.transact(lambda db: db.execute(tables.quarantine.select()).all()).result(30) == []

    def teardown(self) -> None:
        """Once the wire is quiet and the disk has room, everything is stored and nothing waits."""
        self.store.full = False
        for _ in range(ROUNDS_TO_REST):
            if not self.outbox.depth():
                break
            self.wait()
            self.all_goes_well()
        try:
            assert self.outbox.depth() == 0
            assert set(self.stored()) == set(self.recorded)
        finally:
            self.outbox.close()
            self.stop_center()
            shutil.rmtree(self.folder)


ExactlyOnce.TestCase.settings = settings(
    max_examples=30, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
TestExactlyOnce = ExactlyOnce.TestCase
TestExactlyOnce.__doc__ = (
    """Over any wire, what a device recorded is stored by the center exactly once, in the end all."""
)
