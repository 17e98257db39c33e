"""The inbox loop: a device in the test's hands, a link that the test switches, and a real outbox between them."""

import logging
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

import pytest

from contract.codec import decode
from contract.events import DeviceHealth, RatingIgnored
from contract.ids import uuid7
from contract.requests import Ack, Args, Reply, Request
from contract.states import Armed, RatingDesired, RatingReported, Status
from contract.topics import Channel
from firmware.clock import SystemClock
from firmware.daemon import Daemon, Stop, WorkerDiedError
from firmware.errors import ConfigError, HardwareError
from firmware.health import HealthProbe
from firmware.mqtt.outbox import Outbox, OutboxInUseError
from firmware.mqtt.pump import Pump
from firmware.mqtt.transport import NameTaken
from firmware.ports import Ask, Drive, Record, Remember, Report
from host.notify import Notifier
from tests.support.hands import FakeLink, Hands, Obedient
from tests.support.waiting import wait_for

DESIRED = RatingDesired(revision=3, armed=Armed(ticket="t-1", number="A007", seconds=30))
HEALTH = "vn.motcua.device.health.v1"


def ignored(level: int) -> RatingIgnored:
    """Return a fact that can be told from others by its level."""
    return RatingIgnored(why="late", level=level)


class World:
    """A daemon in a thread of its own, and everything around it."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.diary: list[object] = []
        self.clock = SystemClock()
        self.folder = folder
        self.hands = Hands(self.diary)
        self.link = FakeLink(self.diary)
        self.made: list[Obedient] = []
        self.error: BaseException | None = None
        environment = options.pop("environment", {})
        self.daemon = Daemon(
            source="/bentre/q03/rating",
            build=self.build,
            desired=RatingDesired,
            outbox=Outbox(folder, clock=self.clock, new_id=uuid7),
            clock=self.clock,
            notifier=Notifier(environment),
            probe=HealthProbe(version="1", clock=self.clock, disk=folder),
            **options,
        )
        self.link.post = self.daemon.post
        self.thread = threading.Thread(target=self._run, name="daemon")

    def build(self, memory: dict[str, str]) -> tuple[Obedient, Hands]:
        """Make the device's halves, as the registry does."""
        self.made.append(Obedient(memory))
        return self.made[-1], self.hands

    @property
    def decisions(self) -> Obedient:
        """The decisions at work."""
        return self.made[-1]

    def waiting(self) -> list[int]:
        """Return the numbers that wait in the outbox, read by another connection."""
        with closing(sqlite3.connect(self.folder / "outbox.db")) as db:
            return [number for (number,) in db.execute("SELECT sequence FROM event ORDER BY sequence")]

    def facts(self) -> list[int | None]:
        """Return the levels of the facts that were sent, without health, repeats included."""
        sent = [event.fact() for event in self.link.events() if event.type != HEALTH]
        return [fact.level for fact in sent if isinstance(fact, RatingIgnored)]

    def ack_all(self) -> None:
        """Let the center acknowledge what was sent."""
        last = max(self.link.events(), key=lambda event: event.sequence_number)  # an older one may be sent again
        self.link.say(Channel.ACK, Ack(stream=last.stream, upto=last.sequence_number))

    def _run(self) -> None:
        try:
            self.daemon.run(self.link)
        except (ConfigError, OutboxInUseError, WorkerDiedError) as error:
            self.error = error


@contextmanager
def world(folder: Path, *, up: bool = False, **options: Any) -> Iterator[World]:
    """A running daemon; `up`: with a link, and its first health acknowledged."""
    world = World(folder, **options)
    world.thread.start()
    try:
        wait_for(lambda: world.hands.opened or world.hands.open_errors or world.error)
        if up:
            world.link.come_up()
            wait_for(world.link.events)
            world.ack_all()
            wait_for(lambda: world.waiting() == [])
        yield world
    finally:
        world.daemon.post(Stop())
        world.thread.join(30)
        assert not world.thread.is_alive()


# --- a press ----------------------------------------------------------------------------------------------------------


def test_a_light_follows_its_commit_and_precedes_all_sending(tmp_path: Path) -> None:
    """When the light of a press is driven the fact is in the database already, and nothing was sent yet."""
    with world(tmp_path, up=True) as it:
        it.diary.clear()
        it.hands.do(Record(ignored(1), then=(Drive(it.waiting), Drive("light"))))
        wait_for(lambda: Channel.EVENT in it.diary)
        assert it.diary == [[2], "light", Channel.EVENT]


def test_what_cannot_be_stored_is_not_confirmed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """While the outbox cannot commit each press gets its other effects; one line at the loss, one at the return."""
    caplog.set_level(logging.INFO, logger="firmware.daemon")
    press = Record(ignored(1), then=(Drive("light"),), otherwise=(Drive("sorry"),))
    with world(tmp_path) as it:
        with closing(sqlite3.connect(tmp_path / "outbox.db", isolation_level=None)) as tool:
            tool.execute("BEGIN IMMEDIATE")
            it.hands.do(press)
            it.hands.do(press)
            wait_for(lambda: it.diary == ["sorry", "sorry"])
            tool.execute("ROLLBACK")
        it.hands.do(press)
        wait_for(lambda: it.diary == ["sorry", "sorry", "light"])
    levels = [record.levelname for record in caplog.records]
    assert levels == ["ERROR", "INFO"]


def test_a_device_runs_while_its_outbox_cannot_be_opened(tmp_path: Path) -> None:
    """With an unusable disk nothing is confirmed; when it heals, memory is read before anything is stored."""
    with closing(Outbox(tmp_path / "rating", clock=SystemClock(), new_id=uuid7)) as before:
        before.append(ignored(1), {"rated_ticket": "t-1"})
    (tmp_path / "rating").rename(tmp_path / "away")
    (tmp_path / "rating").write_text("in the way")
    press = Record(ignored(2), remember={"rated_ticket": "t-2"}, then=(Drive("light"),), otherwise=(Drive("sorry"),))
    with world(tmp_path / "rating") as it:
        it.hands.do(press)
        wait_for(lambda: it.diary == ["sorry"])
        (tmp_path / "rating").unlink()
        (tmp_path / "away").rename(tmp_path / "rating")
        wait_for(lambda: len(it.made) == 2)
        wait_for(lambda: it.hands.opened == 2)
        assert it.decisions.memory == {"rated_ticket": "t-1"}
        it.hands.do(press)
        wait_for(lambda: it.diary == ["sorry", "light"])
        assert it.waiting() == [1, 2]


def test_a_light_is_given_for_what_a_restart_finds(tmp_path: Path) -> None:
    """After the outbox was removed under the daemon, each press that got its light is there for the next process."""
    press = Record(ignored(2), then=(Drive("light"),), otherwise=(Drive("sorry"),))
    with world(tmp_path) as it:
        it.hands.do(Record(ignored(1)))
        wait_for(it.waiting)
        for file in tmp_path.glob("outbox.db*"):
            file.unlink()
        it.hands.do(press, press)
        wait_for(lambda: it.diary == ["light", "light"])
    with world(tmp_path, up=False) as it:
        assert it.waiting() == [1, 2]
        it.link.come_up()
        wait_for(lambda: it.facts() == [2, 2])


def test_memory_reaches_the_next_process(tmp_path: Path) -> None:
    """What a record asked to remember is what the device is built with after a restart."""
    with world(tmp_path) as it:
        it.hands.do(Record(ignored(1), remember={"rated_ticket": "t-9"}))
        wait_for(it.waiting)
    with world(tmp_path) as it:
        assert it.decisions.memory == {"rated_ticket": "t-9"}


def test_memory_without_a_fact_reaches_the_next_process(tmp_path: Path) -> None:
    """What a device remembers by itself is committed before what comes after it, and sends nothing."""
    with world(tmp_path) as it:
        it.hands.do(Remember({"camera.panic": "p-1"}), Drive("done"))
        wait_for(lambda: it.diary == ["done"])
        assert it.waiting() == []
    with world(tmp_path) as it:
        assert it.decisions.memory == {"camera.panic": "p-1"}


def test_what_cannot_be_remembered_ends_nothing(tmp_path: Path) -> None:
    """A disk that takes no memory is no reason to stop: what comes after it is done all the same."""
    with world(tmp_path) as it:
        with closing(sqlite3.connect(tmp_path / "outbox.db", isolation_level=None)) as tool:
            tool.execute("BEGIN IMMEDIATE")
            it.hands.do(Remember({"camera.panic": "p-1"}), Drive("done"))
            wait_for(lambda: it.diary == ["done"])
            tool.execute("ROLLBACK")
        it.hands.do(Remember({"camera.panic": "p-2"}), Drive("again"))
        wait_for(lambda: it.diary == ["done", "again"])
    with world(tmp_path) as it:
        assert it.decisions.memory == {"camera.panic": "p-2"}


# --- sending ----------------------------------------------------------------------------------------------------------


def test_facts_wait_for_the_link_and_for_the_centers_ack(tmp_path: Path) -> None:
    """Offline facts are sent in order once the link is up, and leave the outbox only on the center's ack."""
    with world(tmp_path) as it:
        it.hands.do(*(Record(ignored(level)) for level in (1, 2, 3)))
        wait_for(lambda: it.waiting() == [1, 2, 3])
        it.link.come_up()
        wait_for(lambda: it.facts() == [1, 2, 3])
        assert it.waiting()[:3] == [1, 2, 3]
        it.ack_all()
        wait_for(lambda: it.waiting() == [])


def test_unacknowledged_facts_are_sent_again(tmp_path: Path) -> None:
    """Without an ack in time the same events go out again, with the same ids."""
    with world(tmp_path, up=True, pump=Pump(ack_timeout_ms=100)) as it:
        it.hands.do(Record(ignored(1)))
        wait_for(lambda: it.facts()[:2] == [1, 1])
        events = it.link.events()
        assert events[-1].id == events[-2].id
        assert not it.link.dropped


def test_an_ack_that_could_not_be_stored_is_asked_for_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A row that the center has and a full disk kept in the outbox goes out again once the outbox stores again."""
    with world(tmp_path, up=True) as it:
        it.hands.do(Record(ignored(1)))
        wait_for(lambda: it.facts() == [1])
        with closing(sqlite3.connect(tmp_path / "outbox.db", isolation_level=None)) as tool:
            tool.execute("BEGIN IMMEDIATE")
            it.ack_all()
            wait_for(lambda: "cannot be stored" in caplog.text)
            tool.execute("ROLLBACK")
        it.hands.do(Record(ignored(2)))
        wait_for(lambda: it.facts() == [1, 1, 2])
        it.ack_all()
        wait_for(lambda: it.waiting() == [])


def test_a_connection_without_pubacks_is_dropped(tmp_path: Path) -> None:
    """If the broker confirms nothing either, the connection is replaced."""
    with world(tmp_path, up=True, pump=Pump(ack_timeout_ms=100)) as it:
        it.link.missing = 1
        it.hands.do(Record(ignored(1)))
        wait_for(lambda: it.link.dropped)


def test_a_new_connection_gets_what_the_old_one_lost(tmp_path: Path) -> None:
    """Facts that were on their way when the link broke are sent on the next one."""
    with world(tmp_path, up=True) as it:
        it.hands.do(Record(ignored(1)))
        wait_for(lambda: it.facts() == [1])
        it.link.go_down()
        it.hands.do(Record(ignored(2)))
        it.link.come_up()
        wait_for(lambda: it.facts() == [1, 1, 2])


def test_a_live_word_of_the_center_makes_silent_rows_go_out_again(tmp_path: Path) -> None:
    """When the center publishes a state after silence it is back, and gets what it did not acknowledge at once."""
    with world(tmp_path, up=True, pump=Pump(ack_timeout_ms=60_000)) as it:
        it.hands.do(Record(ignored(1)))
        wait_for(lambda: it.facts() == [1])
        time.sleep(0.6)  # longer than an ack ever takes
        it.link.say(Channel.DESIRED, DESIRED)
        wait_for(lambda: it.facts() == [1, 1])


def test_a_retained_state_is_no_sign_of_life(tmp_path: Path) -> None:
    """What the broker kept says nothing about the center: rows are not sent again for it."""
    with world(tmp_path, up=True) as it:
        it.hands.do(Record(ignored(1)))
        wait_for(lambda: it.facts() == [1])
        time.sleep(0.6)  # longer than an ack ever takes
        it.link.say(Channel.DESIRED, DESIRED, retained=True)
        wait_for(lambda: DESIRED in it.decisions.heard)
        time.sleep(0.1)
        assert it.facts() == [1]


def test_acks_that_cannot_be_true_are_ignored(tmp_path: Path) -> None:
    """An ack for another stream, or for what was never sent, deletes nothing."""
    with world(tmp_path, up=True) as it:
        it.hands.do(Record(ignored(1)))
        wait_for(lambda: it.facts() == [1])
        it.link.say(Channel.ACK, Ack(stream="of-another-card", upto=1000))
        it.link.go_down()
        it.hands.do(Record(ignored(2)))
        it.link.say(Channel.ACK, Ack(stream=it.link.events()[-1].stream, upto=1000))
        wait_for(lambda: it.waiting() == [3])
        it.link.come_up()
        wait_for(lambda: it.facts() == [1, 2])


def test_a_state_that_comes_before_the_connection_is_up_is_heard_after_it(tmp_path: Path) -> None:
    """A broker may hand out what it kept before it answers the subscription: a device hears of contact first."""
    wanted = RatingDesired(revision=1, armed=None)
    with world(tmp_path) as it:
        wait_for(lambda: "start" in it.decisions.heard)
        it.link.say(Channel.DESIRED, wanted, retained=True)
        time.sleep(0.2)  # the daemon takes it, and tells nobody
        assert wanted not in it.decisions.heard
        it.link.come_up()
        wait_for(lambda: wanted in it.decisions.heard)
        assert [each for each in it.decisions.heard if each in ("up", wanted)] == ["up", wanted]


def test_an_ack_that_the_broker_kept_deletes_nothing(tmp_path: Path) -> None:
    """Acks are never retained, so one that is does not come from the center: rows stay until a live one."""
    with world(tmp_path, up=True) as it:
        it.hands.do(Record(ignored(1)), Record(ignored(2)))
        wait_for(lambda: it.facts() == [1, 2])
        last = it.link.events()[-1]
        it.link.say(Channel.ACK, Ack(stream=last.stream, upto=last.sequence_number), retained=True)
        it.link.say(Channel.ACK, Ack(ids=(last.id,)), retained=True)
        it.link.say(Channel.DESIRED, DESIRED, retained=True)
        wait_for(lambda: DESIRED in it.decisions.heard)
        assert it.waiting() == [2, 3]
        it.ack_all()
        wait_for(lambda: it.waiting() == [])


def test_single_facts_can_be_acknowledged(tmp_path: Path) -> None:
    """An ack by id takes that fact only."""
    with world(tmp_path, up=True) as it:
        it.hands.do(Record(ignored(1)), Record(ignored(2)))
        wait_for(lambda: it.facts() == [1, 2])
        it.link.say(Channel.ACK, Ack(ids=(it.link.events()[-1].id,)))
        wait_for(lambda: it.waiting() == [2])


def test_a_damaged_outbox_does_not_stop_the_sending(tmp_path: Path) -> None:
    """After the database was destroyed under the daemon, facts of the new stream are stored and sent."""
    with world(tmp_path, up=True) as it:

        def damage() -> None:
            db = it.daemon._outbox._db
            assert db is not None
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            with (tmp_path / "outbox.db").open("r+b") as file:
                size = file.seek(0, 2)
                file.seek(0)
                file.write(b"\xa5" * size)
            db.execute("PRAGMA shrink_memory")

        it.hands.do(*(Record(ignored(1)) for _ in range(30)))
        wait_for(lambda: len(it.facts()) == 20)
        old = it.link.events()[-1].stream
        it.hands.do(Drive(damage), Record(ignored(4)), Record(ignored(5)))
        wait_for(lambda: it.facts()[20:] == [4, 5])
        assert [event.sequence_number for event in it.link.events()[-2:]] == [1, 2]
        assert it.link.events()[-1].stream != old


# --- states --------------------------------------------------------------------------------


def test_what_a_device_is_is_told_on_every_connection(tmp_path: Path) -> None:
    """The reported state is published retained when it changes and again after each new connection."""
    one, two = RatingReported(revision=1, armed=None), RatingReported(revision=2, armed="t-1")
    with world(tmp_path) as it:
        it.hands.do(Report(one))
        it.link.come_up()
        wait_for(lambda: len(it.link.published(Channel.REPORTED)) == 1)
        it.hands.do(Report(two))
        wait_for(lambda: len(it.link.published(Channel.REPORTED)) == 2)
        it.link.go_down()
        it.link.come_up()
        wait_for(lambda: len(it.link.published(Channel.REPORTED)) == 3)
        published = it.link.published(Channel.REPORTED)
        assert [decode(each.payload, RatingReported) for each in published] == [one, two, two]
        assert all(each.retain for each in published)


# --- the center's own presence ----------------------------------------------------------------------------------------


def center_is(state: Literal["online", "offline", "lost"]) -> Status:
    """Return what is said of the center."""
    return Status(state=state, version="1", bootid="b", since="2026-11-23T01:02:03.000Z")


ONLINE, OFFLINE, LOST = center_is("online"), center_is("offline"), center_is("lost")


@pytest.mark.parametrize("gone", [OFFLINE, LOST])
def test_contact_is_contact_to_the_center(tmp_path: Path, caplog: pytest.LogCaptureFixture, gone: Status) -> None:
    """While the broker lives and the center does not, a device is without contact; one line when it goes, one after."""
    caplog.set_level(logging.INFO, logger="firmware.daemon")
    with world(tmp_path, up=True) as it:
        wait_for(lambda: it.decisions.heard == ["start", "up"])  # nothing was said of the center: it is there
        it.link.say(Channel.STATUS, ONLINE, retained=True)
        it.link.say(Channel.STATUS, gone)
        it.link.say(Channel.STATUS, gone)
        wait_for(lambda: it.decisions.heard == ["start", "up", "down"])
        it.link.say(Channel.STATUS, ONLINE)
        wait_for(lambda: it.decisions.heard == ["start", "up", "down", "up"])
    assert [(record.levelname, "the center is" in record.getMessage()) for record in caplog.records] == [
        ("WARNING", True), ("INFO", True),
    ]  # fmt: skip


def test_systemd_hears_that_the_center_is_gone(tmp_path: Path, systemd: socket.socket) -> None:
    """The device's status line tells a missing center from a missing broker."""
    with world(tmp_path / "rating", environment={"NOTIFY_SOCKET": str(tmp_path / "notify")}) as it:
        it.link.come_up()
        it.link.say(Channel.STATUS, LOST)
        lines = [systemd.recv(100) for _ in range(4)]
        it.link.say(Channel.STATUS, ONLINE)
        lines.append(systemd.recv(100))
    assert [line for line in lines if line.startswith(b"STATUS")] == [
        b"STATUS=running, no contact to the broker",
        b"STATUS=running",
        b"STATUS=running, no contact to the center",
        b"STATUS=running",
    ]


def test_systemd_hears_that_another_machine_has_the_name(tmp_path: Path, systemd: socket.socket) -> None:
    """While it is refused the status line names the other machine; presses are stored all the same."""
    with world(tmp_path / "rating", environment={"NOTIFY_SOCKET": str(tmp_path / "notify")}) as it:
        it.link.post(NameTaken(bootid="7c1d8b9e-0000", since="2026-11-23T01:02:03.000Z"))
        it.hands.do(Record(RatingIgnored(why="late", level=1), then=(Drive("light"),)))
        wait_for(lambda: it.hands.driven == ["light"])
        it.link.come_up()
        wait_for(lambda: it.link.events())
        lines = [systemd.recv(200) for _ in range(4)]
    assert [line for line in lines if line.startswith(b"STATUS")] == [
        b"STATUS=running, no contact to the broker",
        b"STATUS=refused: another machine (boot 7c1d8b9e, online since 2026-11-23T01:02:03.000Z) uses this name; facts"
        b" are kept, trying again every minute",
        b"STATUS=running",
    ]


def test_a_center_that_is_gone_stays_gone_over_a_new_connection(tmp_path: Path) -> None:
    """A link that breaks and comes back is no contact until the center speaks, however often it does."""
    with world(tmp_path, up=True) as it:
        it.link.say(Channel.STATUS, LOST)
        wait_for(lambda: it.decisions.heard[-1] == "down")
        for _ in range(3):
            it.link.go_down()
            it.link.come_up()
        it.link.say(Channel.DESIRED, DESIRED, retained=True)
        wait_for(lambda: it.decisions.heard[-1] == DESIRED)
        assert it.decisions.heard == ["start", "up", "down", DESIRED]
        it.link.say(Channel.STATUS, ONLINE, retained=True)
        wait_for(lambda: it.decisions.heard[-1] == "up")


def test_a_live_word_of_the_center_is_worth_more_than_a_status(tmp_path: Path) -> None:
    """A center that speaks is there, whoever said that it is gone; what the broker had kept proves nothing."""
    with world(tmp_path, up=True) as it:
        it.link.say(Channel.STATUS, LOST)
        it.link.say(Channel.DESIRED, DESIRED, retained=True)
        wait_for(lambda: it.decisions.heard == ["start", "up", "down", DESIRED])
        it.link.say(Channel.DESIRED, DESIRED)
        wait_for(lambda: it.decisions.heard == ["start", "up", "down", DESIRED, "up", DESIRED])


def test_a_cleared_status_says_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Where the center's status was cleared nothing is known of it, and it is taken to be there."""
    with world(tmp_path, up=True) as it:
        it.link.say(Channel.STATUS, LOST, retained=True)
        wait_for(lambda: it.decisions.heard == ["start", "up", "down"])
        it.link.say(Channel.STATUS, b"")
        wait_for(lambda: it.decisions.heard == ["start", "up", "down", "up"])
    assert "broken" not in caplog.text


def test_rows_go_on_knocking_while_the_center_is_said_to_be_gone(tmp_path: Path) -> None:
    """A false word that the center is gone stops no fact: the first is sent again and again until somebody answers."""
    with world(tmp_path, up=True, pump=Pump(ack_timeout_ms=50)) as it:
        it.link.say(Channel.STATUS, LOST)
        wait_for(lambda: "down" in it.decisions.heard)
        it.hands.do(*(Record(ignored(level)) for level in (1, 2, 3)))
        wait_for(lambda: it.facts()[:3] == [1, 1, 1])
        assert set(it.facts()) == {1}
        it.ack_all()
        wait_for(lambda: sorted({level for level in it.facts() if level}) == [1, 2, 3])
        it.ack_all()
        wait_for(lambda: it.waiting() == [])
        wait_for(lambda: it.decisions.heard[-1] == "up")


@pytest.mark.parametrize("again", [False, True])
def test_rows_are_not_sent_in_vain_and_go_at_once_when_the_center_is_back(tmp_path: Path, *, again: bool) -> None:
    """To a center that is gone one row is sent now and then, also on a new connection; all of them when it is back."""
    with world(tmp_path, up=True, pump=Pump(ack_timeout_ms=60_000)) as it:
        it.link.say(Channel.STATUS, LOST)
        wait_for(lambda: "down" in it.decisions.heard)
        if again:
            it.link.go_down()
            it.link.come_up()
        it.hands.do(*(Record(ignored(level)) for level in (1, 2, 3)))
        wait_for(lambda: it.facts() == [1])
        time.sleep(0.2)
        assert it.facts() == [1]
        it.link.say(Channel.STATUS, ONLINE)
        wait_for(lambda: it.facts() == [1, 1, 2, 3])


def test_health_waits_for_the_center(tmp_path: Path) -> None:
    """While the center is gone an outage of hours does not fill the outbox with how the device was."""
    with world(tmp_path, health_every_ms=30) as it:
        it.link.come_up()
        wait_for(it.link.events)
        it.link.say(Channel.STATUS, LOST)
        wait_for(lambda: "down" in it.decisions.heard)
        waiting = it.waiting()
        time.sleep(0.2)
        assert it.waiting() == waiting
        it.link.say(Channel.STATUS, ONLINE)
        wait_for(lambda: len(it.waiting()) > len(waiting))


def test_a_request_to_a_center_that_is_gone_is_not_sent(tmp_path: Path) -> None:
    """Nobody would answer, so nothing is asked; and an answer to what was asked before is not awaited any more."""
    with world(tmp_path, up=True) as it:
        it.hands.do(ask("request-before"))
        wait_for(lambda: len(it.link.published(Channel.REQUEST)) == 1)
        it.link.say(Channel.STATUS, LOST)
        wait_for(lambda: "down" in it.decisions.heard)
        it.hands.do(ask("request-during"), Drive("asked"))
        wait_for(lambda: "asked" in it.diary)
        it.link.say(Channel.STATUS, ONLINE)
        it.link.say(Channel.REPLY, Reply(id="request-before", ok=True))
        it.hands.do(ask("request-after"))
        wait_for(lambda: len(it.link.published(Channel.REQUEST)) == 2)
        sent = [decode(each.payload, Request).id for each in it.link.published(Channel.REQUEST)]
        assert sent == ["request-before", "request-after"]
        assert not [each for each in it.decisions.heard if isinstance(each, Reply)]


def test_a_center_that_comes_and_goes_does_not_fill_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Of a flood of births and deaths, forged or real, only the first pair is said within a minute."""
    caplog.set_level(logging.INFO, logger="firmware.daemon")
    with world(tmp_path, up=True) as it:
        for _ in range(50):
            it.link.say(Channel.STATUS, LOST)
            wait_for(lambda: it.decisions.heard[-1] == "down", every_s=0.0005)
            it.link.say(Channel.STATUS, ONLINE)
            wait_for(lambda: it.decisions.heard[-1] == "up", every_s=0.0005)
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


# --- requests and broken messages ------------------------------------------------------------------------------------


def ask(request_id: str, expires_in_ms: int = 60_000) -> Ask:
    """Return a request for the next number."""
    return Ask(request_id, "call_next", Args(), seen=7, expires_in_ms=expires_in_ms)


def test_requests_are_sent_while_connected_and_only_then(tmp_path: Path) -> None:
    """A request without a link is gone: it is never sent later."""
    with world(tmp_path) as it:
        it.hands.do(ask("request-offline"))
        it.link.come_up()
        it.hands.do(ask("request-online"))
        (sent,) = wait_for(lambda: it.link.published(Channel.REQUEST))
        request = decode(sent.payload, Request)
        assert (request.id, request.action, request.seen) == ("request-online", "call_next", 7)
        assert not sent.retain


def test_a_request_says_when_it_was_made_by_the_center_s_clock(tmp_path: Path) -> None:
    """Reckoned from the center's last live word on this connection; null before it, and after the center was gone."""
    told = Status(state="online", version="1", bootid="b", since="x", clock_ms=5_000_000)
    with world(tmp_path, up=True) as it:

        def asked_at(request_id: str) -> int | None:
            before = len(it.link.published(Channel.REQUEST))
            it.hands.do(ask(request_id))
            sent = wait_for(lambda: it.link.published(Channel.REQUEST)[before:])
            return decode(sent[0].payload, Request).asked_at_ms

        it.link.say(Channel.STATUS, told, retained=True)  # nobody knows how old that is
        time.sleep(0.1)
        assert asked_at("request-1") is None
        it.link.say(Channel.STATUS, told)
        it.hands.do(Drive("told"))
        wait_for(lambda: "told" in it.diary)
        time.sleep(0.3)
        assert 5_000_250 <= (asked_at("request-2") or 0) < 5_060_000
        it.link.say(Channel.STATUS, LOST)
        wait_for(lambda: it.decisions.heard[-1] == "down")
        it.link.say(Channel.STATUS, ONLINE, retained=True)
        wait_for(lambda: it.decisions.heard[-1] == "up")
        assert asked_at("request-3") is None
        it.link.say(Channel.STATUS, told)
        it.link.go_down()
        it.link.come_up()
        wait_for(lambda: it.decisions.heard[-1] == "up")
        time.sleep(0.1)
        assert asked_at("request-4") is None


def test_a_reply_reaches_its_request_once(tmp_path: Path) -> None:
    """Only the first reply to an open request is heard; strange, late and repeated ones are not."""
    with world(tmp_path, up=True) as it:
        it.hands.do(ask("request-1"), ask("request-2", expires_in_ms=50))
        wait_for(lambda: len(it.link.published(Channel.REQUEST)) == 2)
        time.sleep(0.1)  # the second one expires
        for request_id in ("request-0", "request-2", "request-1", "request-1"):
            it.link.say(Channel.REPLY, Reply(id=request_id, ok=True))
        it.link.say(Channel.DESIRED, DESIRED)
        wait_for(lambda: DESIRED in it.decisions.heard)
        assert [each.id for each in it.decisions.heard if isinstance(each, Reply)] == ["request-1"]


@pytest.mark.parametrize("channel", [Channel.ACK, Channel.DESIRED, Channel.REPLY, Channel.STATUS])
def test_broken_messages_are_named_once_and_skipped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, channel: Channel
) -> None:
    """Hostile payloads change nothing, cost one line, and good messages after them are heard."""
    with world(tmp_path, up=True) as it:
        for payload in (b"{", b"\xff\xfe", b"[]", b'{"revision": -1}', b"{}" * 20_000, b"[" * 15_000):
            it.link.say(channel, payload)
        it.link.say(Channel.DESIRED, DESIRED)
        wait_for(lambda: DESIRED in it.decisions.heard)
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 1
    assert f"broken message on {channel.value}" in warnings[0]


def test_a_cleared_state_is_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """An empty retained message, by which a broker forgets a state, is not a broken one."""
    with world(tmp_path, up=True) as it:
        it.link.say(Channel.DESIRED, b"", retained=True)
        it.link.say(Channel.DESIRED, DESIRED)
        wait_for(lambda: DESIRED in it.decisions.heard)
    assert not caplog.records


# --- hardware that fails ----------------------------------------------------------------------------------------------


def test_missing_hardware_is_tried_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A device that cannot be opened is one warning; once it opens it hears how things stand, and one line says so."""
    caplog.set_level(logging.INFO, logger="firmware.daemon")
    it = World(tmp_path)
    it.hands.open_errors = [HardwareError("no panel on /dev/ttyUSB0: plug it in")]
    it.thread.start()
    try:
        it.link.come_up()
        it.link.say(Channel.DESIRED, DESIRED, retained=True)
        wait_for(it.link.events)  # the rest of the daemon works meanwhile
        wait_for(lambda: it.hands.opened)
        wait_for(lambda: it.decisions.heard == ["start", "up", DESIRED])
    finally:
        it.daemon.post(Stop())
        it.thread.join(30)
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert "plug it in" in caplog.text


def test_hardware_that_fails_at_work_is_opened_again(tmp_path: Path) -> None:
    """When driving fails the driver is closed and opened again, with the same decisions; old signals are not heard."""
    with world(tmp_path) as it:
        old_post = it.hands.post
        assert old_post is not None
        it.hands.drive_errors = [HardwareError("the line is gone")]
        it.hands.do(Drive("a"))
        wait_for(lambda: it.hands.opened == 2)
        assert it.hands.closed == 1
        old_post([Drive("of the old opening")])
        it.hands.do(Drive("b"))
        wait_for(lambda: it.diary == ["b"])
        assert len(it.made) == 1
        assert it.decisions.heard == ["start", "start"]


def test_a_device_that_is_configured_wrongly_ends_the_daemon(tmp_path: Path) -> None:
    """What only a person can mend ends the program, in order."""
    it = World(tmp_path)
    it.hands.open_errors = [ConfigError("GPIO 40 does not exist")]
    it.thread.start()
    it.thread.join(30)
    assert isinstance(it.error, ConfigError)
    assert it.link.stopped == 1


def test_a_device_runs_once(tmp_path: Path) -> None:
    """A second daemon on the same outbox ends with the reason."""
    with world(tmp_path):
        second = World(tmp_path)
        second.thread.start()
        second.thread.join(30)
        assert isinstance(second.error, OutboxInUseError)


# --- life and end -----------------------------------------------------------------------------------------------------


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    """A socket that plays systemd."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.settimeout(30)
        yield sock


def drain(systemd: socket.socket) -> None:
    """Forget what has come."""
    systemd.setblocking(False)
    with suppress(BlockingIOError):
        while systemd.recv(100):
            pass
    systemd.settimeout(30)


def test_systemd_hears_a_whole_life(tmp_path: Path, systemd: socket.socket) -> None:
    """Systemd hears ready, how the device is, signs of life, and the stop."""
    environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "100000"}
    with world(tmp_path / "rating", environment=environment) as it:
        assert systemd.recv(100) == b"STATUS=running, no contact to the broker"
        assert systemd.recv(100) == b"WATCHDOG=1"
        assert systemd.recv(100) == b"READY=1"
        it.link.come_up()
        lines = {systemd.recv(100)}
        while len(lines) < 2:
            lines.add(systemd.recv(100))
        assert lines == {b"STATUS=running", b"WATCHDOG=1"}
    while (line := systemd.recv(100)) == b"WATCHDOG=1":
        pass
    assert line == b"STOPPING=1"


def test_systemd_hears_what_a_waiting_device_waits_for(tmp_path: Path, systemd: socket.socket) -> None:
    """A daemon whose hardware is missing is ready all the same, and its status names the reason."""
    it = World(tmp_path / "rating", environment={"NOTIFY_SOCKET": str(tmp_path / "notify")})
    it.hands.open_errors = [HardwareError("no panel")]
    it.thread.start()
    try:
        assert systemd.recv(100) == b"STATUS=waiting for the device: no panel"
        assert systemd.recv(100) == b"READY=1"
    finally:
        it.daemon.post(Stop())
        it.thread.join(30)


@pytest.mark.parametrize("part", ["link", "hands"])
def test_the_daemon_does_not_outlive_its_threads(tmp_path: Path, systemd: socket.socket, part: str) -> None:
    """When a thread of transport or driver has died the watchdog is not fed any more and the program ends."""
    environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "100000"}
    with world(tmp_path / "rating", environment=environment) as it:
        while systemd.recv(100) != b"READY=1":
            pass
        getattr(it, part).is_alive = False
        drain(systemd)
        it.thread.join(30)
        assert isinstance(it.error, WorkerDiedError)
        rest = []
        while not rest or rest[-1] != b"STOPPING=1":
            rest.append(systemd.recv(100))
        assert rest.count(b"WATCHDOG=1") <= 1  # one may have been on its way


def test_a_dead_thread_is_seen_without_systemd_and_without_a_link(tmp_path: Path) -> None:
    """Also a daemon that nobody watches and that has no contact ends when its network thread has died."""
    with world(tmp_path, health_every_ms=50) as it:
        it.link.is_alive = False
        it.thread.join(30)
        assert isinstance(it.error, WorkerDiedError)


def test_a_stuck_decision_starves_the_watchdog(tmp_path: Path, systemd: socket.socket) -> None:
    """Signs of life come from the inbox loop itself: while it hangs there are none."""
    environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "100000"}
    stuck = threading.Event()
    with world(tmp_path / "rating", environment=environment) as it:
        hangs = threading.Event()
        it.hands.do(Drive(hangs.set), Drive(lambda: stuck.wait(60)))
        assert hangs.wait(30)
        drain(systemd)
        systemd.settimeout(0.3)
        with pytest.raises(TimeoutError):
            systemd.recv(100)
        systemd.settimeout(30)
        stuck.set()
        assert systemd.recv(100) == b"WATCHDOG=1"


def test_health_is_told_while_somebody_hears_it(tmp_path: Path) -> None:
    """Health is recorded at once on connecting and then at its interval, and not while the link is down."""
    with world(tmp_path, health_every_ms=50) as it:
        time.sleep(0.2)
        assert it.waiting() == []
        it.link.come_up()
        events = wait_for(lambda: events if len(events := it.link.events()) >= 3 else None)
        health = events[0].fact()
        assert isinstance(health, DeviceHealth)
        assert health.version == "1"
        it.ack_all()
        it.link.go_down()
        wait_for(lambda: "down" in it.decisions.heard)
        waiting = it.waiting()
        time.sleep(0.3)
        assert it.waiting() == waiting


def test_decisions_are_woken_at_their_deadline(tmp_path: Path) -> None:
    """A deadline is met when it is due, also while news floods in without an end."""
    with world(tmp_path) as it:
        calm = threading.Event()

        def again() -> None:  # each news brings the next: the inbox is never empty
            if not calm.is_set():
                it.hands.do(Drive(again))

        def late_ms() -> int:
            it.decisions.heard.clear()
            it.decisions.due_ms = due_ms = it.clock.monotonic_ms() + 50
            it.hands.do()
            wait_for(lambda: "time" in it.decisions.heard, every_s=0.001)
            return it.clock.monotonic_ms() - due_ms

        try:
            for _ in range(2):
                late = [late_ms()]
                while min(late) >= 200 and len(late) < 20:  # a busy machine may delay any one of them, but not all
                    late.append(late_ms())
                assert 0 <= min(late) < 200
                it.hands.do(Drive(again))
        finally:
            calm.set()


def test_the_end_is_in_order(tmp_path: Path) -> None:
    """On stop the driver is closed, the link says goodbye, and the outbox can be taken by the next process at once."""
    with world(tmp_path, up=True) as it:
        it.hands.do(Record(ignored(1)))
        wait_for(it.waiting)
    assert (it.hands.closed, it.link.stopped, it.error) == (1, 1, None)
    with closing(Outbox(tmp_path, clock=SystemClock(), new_id=uuid7)) as outbox:
        assert outbox.depth() == 1
