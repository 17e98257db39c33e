"""The call pad in its daemon: what becomes of its keys and lights while the center is gone and the broker is not."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from contract.ids import uuid7
from contract.states import CallpadDesired, Status
from contract.topics import Channel
from firmware.clock import SystemClock
from firmware.daemon import Daemon, Stop
from firmware.devices.callpad.config import CallpadConfig, Key
from firmware.devices.callpad.decisions import CallpadDecisions
from firmware.devices.debounce import Edge, Reading
from firmware.devices.gpio import Read, Switch
from firmware.health import HealthProbe
from firmware.mqtt.outbox import Outbox
from host.notify import Notifier
from tests.support.hands import FakeLink, Hands
from tests.support.waiting import wait_for

NEXT, NEXT_LED, PAUSE, PAUSE_LED = 23, 12, 8, 21
CONFIG = CallpadConfig(next=Key(pin=NEXT, led=NEXT_LED), pause=Key(pin=PAUSE, led=PAUSE_LED))
OPEN = CallpadDesired(revision=17, state="open", waiting=3)


class Lines(Hands):
    """The pad's lines: what is lit, and a finger."""

    def __init__(self) -> None:
        super().__init__()
        self.lit: set[int] = set()
        self.pressed: set[int] = set()

    def drive(self, command: Any) -> None:
        """Switch a light, or read a contact."""
        match command:
            case Switch(pin, on):
                (self.lit.add if on else self.lit.discard)(pin)
            case Read(pin):
                self.tell(Reading(pin, pin in self.pressed, SystemClock().monotonic_ms()))

    def press(self, pin: int) -> None:
        """Close a contact."""
        self.pressed.add(pin)
        self.tell(Edge(pin, closed=True, at_ms=SystemClock().monotonic_ms()))

    def tell(self, signal: object) -> None:
        """Post what the lines say."""
        assert self.post is not None
        self.post(signal)


@pytest.fixture
def lines() -> Lines:
    """The pad's lines."""
    return Lines()


@pytest.fixture
def link(tmp_path: Path, lines: Lines) -> Iterator[FakeLink]:
    """The link of a pad whose counter is open, with three people waiting."""
    link, clock = FakeLink(), SystemClock()
    daemon = Daemon(
        source="/bentre/q03/callpad",
        build=lambda _: (CallpadDecisions(CONFIG, uuid7), lines),
        desired=CallpadDesired,
        outbox=Outbox(tmp_path, clock=clock, new_id=uuid7),
        clock=clock,
        notifier=Notifier({}),
        probe=HealthProbe(version="1", clock=clock, disk=tmp_path),
    )
    link.post = daemon.post
    thread = threading.Thread(target=daemon.run, args=(link,), name="daemon")
    thread.start()
    link.come_up()
    link.say(Channel.DESIRED, OPEN)
    wait_for(lambda: lines.lit == {NEXT_LED})
    yield link
    daemon.post(Stop())
    thread.join(30)


def the_center_is(state: Any) -> Status:
    """Return what is said of the center."""
    return Status(state=state, version="1", bootid="b", since="x")


def test_no_light_invites_to_what_nobody_would_answer(link: FakeLink, lines: Lines) -> None:
    """With the center gone the light of next goes out though the broker lives; with the center it is back."""
    link.say(Channel.STATUS, the_center_is("lost"))
    wait_for(lambda: NEXT_LED not in lines.lit)
    link.say(Channel.STATUS, the_center_is("online"))
    wait_for(lambda: lines.lit == {NEXT_LED})


def test_a_key_asks_nothing_of_a_center_that_is_gone(link: FakeLink, lines: Lines) -> None:
    """A press says at once that there is no contact, and is not sent when the center is back."""
    link.say(Channel.STATUS, the_center_is("offline"))
    wait_for(lambda: NEXT_LED not in lines.lit)
    lines.press(NEXT)
    wait_for(lambda: lines.lit == {NEXT_LED, PAUSE_LED})  # all together: no contact
    link.say(Channel.STATUS, the_center_is("online"))
    link.say(Channel.DESIRED, OPEN)
    wait_for(lambda: lines.lit == {NEXT_LED}, timeout_s=30)
    assert link.published(Channel.REQUEST) == []
