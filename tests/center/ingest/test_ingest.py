"""The center's side of the wire under pressure: full disks, floods, gaps, dead brokers, late requests."""

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from center.config import Broker as BrokerConfig
from center.config import Config
from center.errors import StoreError
from center.hall import Hall
from center.ingest import ingest as ingest_module
from center.ingest.ingest import Ingest
from center.ingest.link import Taken
from center.ingest.sorting import Message
from center.queue.model import AnyCommand, CallNext, Finish, Issue, OpenCounter, Start
from center.storage.store import Batch, Store
from contract.codec import decode, encode
from contract.ids import uuid7
from contract.requests import Ack, Request
from contract.states import Status
from contract.topics import Address, Channel, center_address
from tests.support.brokers import Broker, Mosquitto
from tests.support.center import CenterSide
from tests.support.device import DeviceSide, rated, sealed
from tests.support.stranger import take_over
from tests.support.waiting import wait_for

PAD = Address(center="bentre", station="q01", device="rating")
CALLPAD = Address(center="bentre", station="q01", device="callpad")
DISPLAY = Address(center="bentre", station="q01", device="display")


class Disk(Store):
    """A store on a disk that a test can fill, and that a test can let refuse single events."""

    full = False
    refused: tuple[str, ...] = ()

    def write(self, batch: Batch) -> None:
        """Fail as the disk or the database would."""
        if self.full:
            raise StoreError("full", full=True)
        if any(row["id"] in self.refused for row in batch.device_events):
            raise StoreError("refused", poison=True)
        super().write(batch)


@pytest.fixture
def disk(config: Config) -> Disk:
    """The disk of the center."""
    return Disk(config.store_url)


@pytest.fixture
def hall(config: Config, disk: Disk, clock: Any) -> Iterator[Hall]:
    """A hall on that disk."""
    one = Hall(config, disk, clock)
    one.start()
    yield one
    one.stop()


@pytest.fixture
def listen(config: Config, hall: Hall) -> Iterator[Callable[[Broker], Ingest]]:
    """Let the center listen to a broker; ends with the test."""
    started: list[Ingest] = []

    def listen(broker: Broker) -> Ingest:
        there = BrokerConfig(kind="external", host=broker.host, port=broker.port)
        started.append(Ingest(msgspec.structs.replace(config, broker=there), hall))
        started[-1].start()
        wait_for(started[-1].connected, timeout_s=30)
        return started[-1]

    yield listen
    for ingest in started:
        ingest.stop()


@pytest.fixture
def stored(config: Config) -> Callable[[str], list[Any]]:
    """Read the center's database beside it."""

    def query(text: str) -> list[Any]:
        with closing(sqlite3.connect(Path(config.data_dir) / "center.db")) as database:
            return database.execute(text).fetchall()

    return query


def do(hall: Hall, *commands: AnyCommand) -> None:
    """Carry out commands."""
    for command in commands:
        hall.submit(command, key=uuid7(), actor="test").result(30)


# --- facts ---------------------------------------------------------------------------------------------------------


def test_nothing_is_acknowledged_that_is_not_stored(
    any_broker: Broker, listen: Callable[[Broker], Ingest], disk: Disk, stored: Callable[[str], list[Any]]
) -> None:
    """While the disk is full no event is acknowledged; sent again when there is space, it is."""
    listen(any_broker)
    with DeviceSide(any_broker.host, any_broker.port, PAD) as pad:
        disk.full = True
        payload = sealed(rated(), sequence=1, event_id="e1")
        pad.say(Channel.EVENT, payload)
        pad.say(Channel.REQUEST, encode(Request(id="request-1", action="call_next")))
        wait_for(lambda: pad.replies("request-1"))  # so the event before it has been tried as well
        assert pad.replies("request-1")[0].code == "store_full"
        assert pad.acks() == []
        disk.full = False
        pad.say(Channel.EVENT, payload)
        wait_for(lambda: "e1" in pad.acked())
    assert stored("SELECT id FROM device_event") == [("e1",)]


def test_an_event_behind_a_gap_is_acknowledged_alone(
    mosquitto_broker: Broker, listen: Callable[[Broker], Ingest], stored: Callable[[str], list[Any]]
) -> None:
    """When number 2 was lost on the way, 1 and 3 are acknowledged by id, and nothing ever covers 2 before it comes."""
    listen(mosquitto_broker)
    with DeviceSide(mosquitto_broker.host, mosquitto_broker.port, PAD) as pad:
        first, third = (pad.tell(rated(), sequence=each) for each in (1, 3))
        wait_for(lambda: {first, third} <= pad.acked())
        assert all(ack.upto is None for ack in pad.acks())
        second = pad.tell(rated(), sequence=2)
        wait_for(lambda: second in pad.acked())
    assert sorted(stored("SELECT sequence FROM device_event")) == [(1,), (2,), (3,)]
    assert stored("SELECT upto, highest FROM stream") == [(2, 3)]


def test_an_event_without_a_readable_id_is_acknowledged_by_number_when_all_before_it_is_stored(
    mosquitto_broker: Broker, listen: Callable[[Broker], Ingest]
) -> None:
    """A damaged event blocks no outbox: its number is acknowledged, but only when that covers nothing unstored."""
    listen(mosquitto_broker)
    damaged = b'{"id":7,"stream":"stream-1","sequence":"%010d"}'
    with DeviceSide(mosquitto_broker.host, mosquitto_broker.port, PAD) as pad:
        pad.say(Channel.EVENT, damaged % 3)  # 1 and 2 have not come
        pad.tell(rated(), sequence=1)
        second = pad.tell(rated(), sequence=2)
        wait_for(lambda: second in pad.acked())
        assert all(ack.upto is None for ack in pad.acks())
        pad.say(Channel.EVENT, damaged % 3)  # the device sends what was not acknowledged again
        wait_for(lambda: Ack(stream="stream-1", upto=3) in pad.acks())


def test_what_the_database_refuses_does_not_take_others_with_it(
    mosquitto_broker: Broker, listen: Callable[[Broker], Ingest], disk: Disk, stored: Callable[[str], list[Any]]
) -> None:
    """An event that the database itself will never take is put aside and acknowledged; its neighbours are stored."""
    listen(mosquitto_broker)
    disk.refused = ("e7",)
    with DeviceSide(mosquitto_broker.host, mosquitto_broker.port, PAD) as pad:
        for sequence in range(1, 41):
            pad.say(Channel.EVENT, sealed(rated(), sequence=sequence, event_id=f"e{sequence}"))
        wait_for(lambda: len(pad.acked()) == 40, timeout_s=30)
    assert stored("SELECT count(*) FROM device_event") == [(39,)]
    assert stored("SELECT event_id, reason FROM quarantine") == [("e7", "the database refuses it")]


def test_a_flood_of_rubbish_does_not_stop_the_others(
    mosquitto_broker: Broker,
    listen: Callable[[Broker], Ingest],
    stored: Callable[[str], list[Any]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """While one client sends thousands of broken messages a pad's press is stored, and the log stays short."""
    listen(mosquitto_broker)
    caplog.set_level(logging.WARNING)
    stranger_at = Address(center="bentre", station="q02", device="rating")
    with (
        DeviceSide(mosquitto_broker.host, mosquitto_broker.port, stranger_at) as stranger,
        DeviceSide(mosquitto_broker.host, mosquitto_broker.port, PAD) as pad,
    ):
        for each in range(3_000):
            stranger.say(Channel.EVENT, b"rubbish %d " % each * 50)
        sent = [pad.tell(rated(), sequence=each) for each in range(1, 11)]

        def is_acked() -> bool:
            for sequence, event_id in enumerate(sent, start=1):
                if event_id not in pad.acked():  # a broker may let go what a busy center does not fetch; devices repeat
                    pad.say(Channel.EVENT, sealed(rated(), sequence=sequence, event_id=event_id))
            return set(sent) <= pad.acked()

        wait_for(is_acked, every_s=1)
    assert stored("SELECT count(*) FROM rating") == [(10,)]
    assert len([record for record in caplog.records if "put aside" in record.message]) == 1


def test_the_broker_need_not_see_to_events(config: Config, hall: Hall) -> None:
    """Events are heard at quality of service 0, which their devices make up for; states and requests at 1."""
    heard: list[tuple[str, int]] = []

    def make_link(*_: object, filters: list[tuple[str, int]], **callbacks: Any) -> Any:
        heard.extend(filters)
        return _Link().wired(**callbacks)

    Ingest(config, hall, make_link=make_link)
    found = {topic.rpartition("/")[2]: qos for topic, qos in heard}
    assert found == {"event": 0, "status": 1, "reported": 1, "request": 1}


def test_memory_is_bounded_when_the_store_is_slow(config: Config, hall: Hall) -> None:
    """What comes faster than it can be stored is dropped beyond a bound: its device was not told and sends it again."""
    link = _Link()
    Ingest(config, hall, make_link=lambda *_, **callbacks: link.wired(**callbacks))
    stuck, entered = threading.Event(), threading.Event()

    def block(_state: object) -> None:
        entered.set()
        stuck.wait(20)

    hall.run(block)
    assert entered.wait(30)
    try:
        for each in range(ingest_module.PENDING + 1_500):
            link.message(sealed(rated(), sequence=each + 1, event_id=f"e{each}"))
        dropped = len(link.acked)
    finally:
        stuck.set()
    wait_for(lambda: len(link.acked) == ingest_module.PENDING + 1_500, timeout_s=30)
    told = {event_id for ack in link.acks() for event_id in ack.ids}
    assert dropped == 1_499  # one was under way
    assert len(told) == ingest_module.PENDING + 1


class _Link:
    """A connection that a test plays."""

    def __init__(self) -> None:
        self.acked: list[Taken] = []
        self._published: list[tuple[str, bytes]] = []
        self._on_message: Callable[[Taken], None] = lambda _: None

    def wired(self, *, on_message: Callable[[Taken], None], **_: Any) -> "_Link":
        """Take the callback."""
        self._on_message = on_message
        return self

    def message(self, payload: bytes) -> None:
        """Let an event come."""
        message = Message(topic=PAD.topic(Channel.EVENT), payload=payload, size=len(payload), retained=False, at=1)
        self._on_message(Taken(message, None, 1, 1))

    def acks(self) -> list[Ack]:
        """Return the application acks."""
        return [decode(payload, Ack) for topic, payload in self._published if topic.endswith("/ack")]

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> bool:
        """Take what is published."""
        self._published.append((topic, payload))
        return True

    def ack(self, taken: Taken) -> None:
        """Take what is acknowledged to the broker."""
        self.acked.append(taken)


# --- the center's own presence ---------------------------------------------------------------------------------------

HERE = center_address("bentre")


def presences(wire: CenterSide) -> list[str]:
    """Return what was said of the center so far."""
    return [decode(each.payload, Status).state for each in wire.heard(Channel.STATUS)]


def test_the_center_is_online_before_it_says_what_devices_should_be(
    any_broker: Broker, listen: Callable[[Broker], Ingest]
) -> None:
    """Devices hear that the center is there, then what they should be; offline, when it stops in good order."""
    with CenterSide(any_broker, HERE) as wire:
        ingest = listen(any_broker)
        wait_for(lambda: [each for each in wire.everything() if each.topic == DISPLAY.topic(Channel.DESIRED)])
        first = wire.everything()[0]
        assert (first.topic, presences(wire)) == (HERE.topic(Channel.STATUS), ["online"])
        ingest.stop()
        wait_for(lambda: presences(wire) == ["online", "offline"])
    with CenterSide(any_broker, HERE) as latecomer:
        assert latecomer.wait_for(Channel.STATUS)[0].retained


@pytest.mark.parametrize("said", ["offline", "lost"])
def test_a_center_that_is_said_to_be_gone_says_that_it_is_there(
    any_broker: Broker, listen: Callable[[Broker], Ingest], said: Any, stored: Callable[[str], list[Any]]
) -> None:
    """An old session's will that comes late, or a stranger, does not stand: online is said again, and kept."""
    listen(any_broker)
    with CenterSide(any_broker, HERE) as wire:
        wait_for(lambda: presences(wire)[-1:] == ["online"])
        wire.say(Channel.STATUS, Status(state=said, version="1", bootid="b", since="x"), retain=True)
        wait_for(lambda: said in presences(wire) and presences(wire)[-1] == "online")
    with CenterSide(any_broker, HERE) as latecomer:
        latecomer.wait_for(Channel.STATUS)
        assert set(presences(latecomer)) == {"online"}
    assert stored("SELECT count(*) FROM device") == [(0,)]


@pytest.mark.parametrize("rubbish", [b"", b"{", b"\xff" * 100])
def test_rubbish_in_the_center_s_place_is_said_over(
    any_broker: Broker, listen: Callable[[Broker], Ingest], stored: Callable[[str], list[Any]], rubbish: bytes
) -> None:
    """A status of the center that was cleared or broken is replaced, and no case for the quarantine."""
    listen(any_broker)
    with CenterSide(any_broker, HERE) as wire:
        wire.wait_for(Channel.STATUS)
        wire.say(Channel.STATUS, rubbish, retain=True)
        wait_for(lambda: rubbish in [each.payload for each in wire.heard(Channel.STATUS)])
        wait_for(lambda: b'"online"' in wire.heard(Channel.STATUS)[-1].payload)
    assert stored("SELECT count(*) FROM quarantine") == [(0,)]


def test_the_center_says_that_it_is_there_on_every_connection(
    any_broker: Broker, listen: Callable[[Broker], Ingest]
) -> None:
    """A broker that was killed and has forgotten everything hears again that the center is there."""
    listen(any_broker)
    any_broker.restart()
    with CenterSide(any_broker, HERE) as wire:
        wire.wait_for(Channel.STATUS, timeout_s=30)
        assert set(presences(wire)) == {"online"}


# --- desired states ------------------------------------------------------------------------------------------------


def test_a_center_whose_name_was_used_once_hears_its_devices_again(
    any_broker: Broker, listen: Callable[[Broker], Ingest], clock: Any
) -> None:
    """Whether the broker ended its connection or only forgot its subscriptions, events are acknowledged again."""
    ingest = listen(any_broker)
    with DeviceSide(any_broker.host, any_broker.port, PAD) as pad:
        first = pad.tell(rated(), sequence=1)
        wait_for(lambda: first in pad.acked())
        take_over(any_broker, "center-bentre")
        sent: list[str] = []

        def is_heard() -> bool:
            clock.advance(1)
            sent.append(pad.tell(rated(), sequence=2 + len(sent)))
            return ingest.connected() and bool(pad.acked() & set(sent))

        wait_for(is_heard, timeout_s=40, every_s=0.1)


def test_a_center_that_may_not_hear_itself_is_not_deaf(
    make_mosquitto: Callable[..., Mosquitto], tmp_path: Path, listen: Callable[[Broker], Ingest], clock: Any
) -> None:
    """Where the broker's access list hides the center's own words from it, its connection is kept all the same."""
    rules = tmp_path / "rules"
    rules.write_text(
        "topic write #\n" + "".join(f"topic read motcua/v1/bentre/q01/rating/{each}\n" for each in Channel)
    )
    rules.chmod(0o600)
    broker = make_mosquitto(options=f"allow_anonymous true\nacl_file {rules}")
    listen(broker)
    with DeviceSide(broker.host, broker.port, PAD) as pad:
        for sequence in range(1, 5):
            clock.advance(10)
            event = pad.tell(rated(), sequence=sequence)
            wait_for(lambda event=event: event in pad.acked())
            time.sleep(1.1)  # it looks once a second
    assert broker.log().count("as center-bentre") == 1


def test_a_broker_that_forgot_everything_is_told_again(
    any_broker: Broker, listen: Callable[[Broker], Ingest], hall: Hall
) -> None:
    """After the broker was killed and started anew, each device finds its desired state there."""
    listen(any_broker)
    do(hall, OpenCounter(at=hall.now_ms(), counter="q01"))
    any_broker.restart()
    with DeviceSide(any_broker.host, any_broker.port, DISPLAY) as display:
        wait_for(lambda: display.desired().get("state") == "idle", timeout_s=30)


def test_a_call_is_shown_and_a_service_opens_the_pad(
    mosquitto_broker: Broker, listen: Callable[[Broker], Ingest], hall: Hall, clock: Any
) -> None:
    """A call blinks on the panel at once; after the service the pad is open, and closed again when its time is over."""
    listen(mosquitto_broker)
    now = hall.now_ms()
    host, port = mosquitto_broker.host, mosquitto_broker.port
    with DeviceSide(host, port, DISPLAY) as display, DeviceSide(host, port, PAD) as pad:
        do(hall, OpenCounter(at=now, counter="q01"), Issue(at=now, ticket_id="t1", service="dat-dai"))
        do(hall, CallNext(at=now, counter="q01"))
        wait_for(lambda: display.desired().get("number") == "A001")
        assert display.desired()["blink"]
        do(hall, Start(at=now, counter="q01"), Finish(at=now, counter="q01"))
        wait_for(lambda: pad.desired().get("armed"))
        opened = pad.desired()
        assert opened["armed"] == {"ticket": "t1", "number": "A001", "seconds": 30}
        clock.advance(33)
        hall.run(lambda _: None).result(30)  # the hall looks at its clock
        wait_for(lambda: pad.desired()["armed"] is None)
        assert pad.desired()["revision"] > opened["revision"]


def test_a_call_pad_hears_that_more_people_wait(
    mosquitto_broker: Broker, listen: Callable[[Broker], Ingest], hall: Hall, clock: Any
) -> None:
    """New tickets change the number on the call pad without making its next press stale."""
    listen(mosquitto_broker)
    now = hall.now_ms()
    with DeviceSide(mosquitto_broker.host, mosquitto_broker.port, CALLPAD) as callpad:
        do(hall, OpenCounter(at=now, counter="q01"))
        wait_for(lambda: callpad.desired().get("state") == "open")
        revision = callpad.desired()["revision"]
        for each in range(5):
            do(hall, Issue(at=now, ticket_id=f"t{each}", service="dat-dai"))
        clock.advance(1)
        hall.run(lambda _: None).result(30)
        wait_for(lambda: callpad.desired()["waiting"] == 5)
        assert callpad.ask("call_next", seen=revision).ok


# --- requests ------------------------------------------------------------------------------------------------------


def test_a_request_that_the_broker_kept_is_not_carried_out(
    mosquitto_broker: Broker, listen: Callable[[Broker], Ingest], hall: Hall
) -> None:
    """A retained request, whoever made it so, calls nobody when the center connects."""
    do(hall, OpenCounter(at=0, counter="q01"), Issue(at=0, ticket_id="t1", service="dat-dai"))
    with DeviceSide(mosquitto_broker.host, mosquitto_broker.port, CALLPAD) as callpad:
        callpad.say(Channel.REQUEST, encode(Request(id="request-old", action="call_next")), retain=True)
        listen(mosquitto_broker)
        wait_for(lambda: callpad.replies("request-old"))
        assert callpad.replies("request-old")[0].code == "request_expired"
    assert hall.snapshot().state.waiting() == 1


def test_a_request_on_a_topic_that_no_device_can_have_is_passed_over(
    mosquitto_broker: Broker, listen: Callable[[Broker], Ingest], caplog: pytest.LogCaptureFixture
) -> None:
    """It costs no line of the log, and requests behind it are answered."""
    listen(mosquitto_broker)
    with DeviceSide(mosquitto_broker.host, mosquitto_broker.port, CALLPAD) as callpad:
        for payload in (b'{"id":"request-1","action":"call_next"}', b"{", b""):
            callpad.say(Channel.REQUEST, payload, topic="motcua/v1/bentre/Q01/x/request")
        assert callpad.ask("call_next").code == "counter_closed"
    assert not caplog.records


def test_a_request_that_waited_too_long_is_not_carried_out(
    mosquitto_broker: Broker, listen: Callable[[Broker], Ingest], hall: Hall, clock: Any
) -> None:
    """A request that the center gets to after its time is refused, also when it is sent again."""
    listen(mosquitto_broker)
    do(hall, OpenCounter(at=0, counter="q01"), Issue(at=0, ticket_id="t1", service="dat-dai"))
    release, entered = threading.Event(), threading.Event()

    def block(_state: object) -> None:
        entered.set()
        release.wait(60)

    with DeviceSide(mosquitto_broker.host, mosquitto_broker.port, CALLPAD) as callpad:
        hall.run(block)
        assert entered.wait(30)
        callpad.say(Channel.REQUEST, encode(Request(id="request-1", action="call_next", expires_in_ms=1000)))
        callpad.say(Channel.REQUEST, b'{"id":"request-2"}')
        wait_for(lambda: callpad.replies("request-2"))  # so the first one waits in the hall now
        clock.advance(2)
        release.set()
        wait_for(lambda: callpad.replies("request-1"))
        assert callpad.replies("request-1")[0].code == "request_expired"
        again = callpad.ask("call_next", request_id="request-1")
        assert again.code == "request_expired"
    assert hall.snapshot().state.waiting() == 1


def test_a_request_that_a_broker_held_back_is_not_carried_out(
    any_broker: Broker, listen: Callable[[Broker], Ingest], hall: Hall, clock: Any
) -> None:
    """What was pressed before the broker stood still for longer than the request lives is refused, not carried out."""
    listen(any_broker)
    do(hall, OpenCounter(at=0, counter="q01"), Issue(at=0, ticket_id="t1", service="dat-dai"))
    with DeviceSide(any_broker.host, any_broker.port, CALLPAD) as callpad:
        seen = wait_for(lambda: callpad.desired().get("revision"))
        made_ms = round(clock.monotonic_s() * 1000)
        request = Request(id="request-1", action="call_next", seen=seen, expires_in_ms=1000, asked_at_ms=made_ms)
        any_broker.freeze()
        callpad.say(Channel.REQUEST, request)
        clock.advance(8)
        any_broker.thaw()
        wait_for(lambda: callpad.replies("request-1"))
        assert callpad.replies("request-1")[0].code == "request_expired"
        assert hall.snapshot().state.waiting() == 1
        assert callpad.ask("call_next", seen=seen, asked_at_ms=made_ms + 7_500, expires_in_ms=1000).ok


def test_a_request_that_acted_on_an_older_state_is_stale(
    mosquitto_broker: Broker, listen: Callable[[Broker], Ingest], hall: Hall
) -> None:
    """Two presses that saw the same state call one ticket: the second is told that something has changed."""
    listen(mosquitto_broker)
    do(hall, OpenCounter(at=0, counter="q01"))
    for each in ("t1", "t2"):
        do(hall, Issue(at=0, ticket_id=each, service="dat-dai"))
    with DeviceSide(mosquitto_broker.host, mosquitto_broker.port, CALLPAD) as callpad:
        seen = wait_for(lambda: callpad.desired().get("revision"))
        assert callpad.ask("call_next", seen=seen).ok
        second = callpad.ask("call_next", seen=seen)
        assert (second.ok, second.code) == (False, "stale")


def test_one_device_cannot_use_another_one_s_request(
    mosquitto_broker: Broker, listen: Callable[[Broker], Ingest], hall: Hall
) -> None:
    """A request's id counts for its device alone: the same id from another counter is another request."""
    listen(mosquitto_broker)
    other = Address(center="bentre", station="q02", device="callpad")
    host, port = mosquitto_broker.host, mosquitto_broker.port
    with DeviceSide(host, port, CALLPAD) as callpad, DeviceSide(host, port, other) as neighbour:
        assert callpad.ask("open", request_id="request-1").ok
        assert neighbour.ask("open", request_id="request-1").ok
    assert {one.state for one in hall.snapshot().state.counters.values()} == {"open"}


def test_an_unknown_station_gets_a_reply(mosquitto_broker: Broker, listen: Callable[[Broker], Ingest]) -> None:
    """A call pad that the configuration does not know is told so."""
    listen(mosquitto_broker)
    stray = Address(center="bentre", station="q99", device="callpad")
    with DeviceSide(mosquitto_broker.host, mosquitto_broker.port, stray) as callpad:
        assert callpad.ask("call_next").code == "unknown_counter"


# --- the connection ------------------------------------------------------------------------------------------------


def test_the_center_waits_for_its_broker(
    mosquitto_broker: Broker, config: Config, hall: Hall, caplog: pytest.LogCaptureFixture
) -> None:
    """A center whose broker is not there yet says so once, keeps trying, and says when it is there."""
    caplog.set_level(logging.INFO)
    mosquitto_broker.stop()
    there = BrokerConfig(kind="external", host=mosquitto_broker.host, port=mosquitto_broker.port)
    ingest = Ingest(msgspec.structs.replace(config, broker=there), hall)
    ingest.start()
    try:
        wait_for(lambda: "no contact to the broker" in caplog.text)
        mosquitto_broker.start()
        wait_for(ingest.connected, timeout_s=30)
    finally:
        ingest.stop()
    said = [record.message for record in caplog.records if record.name == "center.ingest.link"]
    assert [line.split(" on ")[0] for line in said] == ["no contact to the broker", "in contact with the broker again"]


def test_a_broker_that_hangs_does_not_hold_up_a_stop(
    mosquitto_broker: Broker, listen: Callable[[Broker], Ingest]
) -> None:
    """Stopping takes seconds at most, also while the broker is frozen in the middle of a connection."""
    ingest = listen(mosquitto_broker)
    mosquitto_broker.freeze()
    stopping = threading.Thread(target=ingest.stop)
    stopping.start()
    stopping.join(30)
    assert not stopping.is_alive()
    assert not ingest.alive()
    mosquitto_broker.thaw()


def test_a_rating_on_a_page_closes_the_pad(
    mosquitto_broker: Broker, listen: Callable[[Broker], Ingest], hall: Hall
) -> None:
    """What a citizen rated on a tablet the pad asks for no more; what the pad rated closes it no earlier."""
    listen(mosquitto_broker)
    now = hall.now_ms()
    with DeviceSide(mosquitto_broker.host, mosquitto_broker.port, PAD) as pad:
        do(hall, OpenCounter(at=now, counter="q01"))
        for ticket in ("t1", "t2"):
            do(hall, Issue(at=now, ticket_id=ticket, service="dat-dai"), CallNext(at=now, counter="q01"))
            do(hall, Finish(at=now, counter="q01"))
            wait_for(lambda ticket=ticket: (pad.desired().get("armed") or {}).get("ticket") == ticket)  # type: ignore[misc]
            if ticket == "t1":
                pad.tell(rated(ticket="t1"), sequence=1)
                wait_for(pad.acked)
                assert pad.desired()["armed"]
        hall.rate(counter="q01", ticket="t2", level=1, key="tap", actor="tablet").result(30)
        wait_for(lambda: pad.desired()["armed"] is None)
