"""What devices say ends in the store once, and is acknowledged after; on every broker."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import paho.mqtt.client as paho
import pytest

from center.clock import SystemClock
from center.config import Broker as BrokerConfig
from center.config import Config, CounterConfig, ServiceConfig
from center.hall import Hall
from center.ingest.ingest import Ingest
from center.queue.model import Issue, OpenCounter
from center.storage.store import Store
from contract.codec import decode, encode
from contract.envelope import seal
from contract.events import RatingGiven
from contract.ids import uuid7
from contract.requests import Ack, Reply, Request
from contract.states import CallpadDesired, DisplayDesired, RatingDesired, RatingReported, Status
from contract.topics import Address, Channel
from tests.support.brokers import Broker
from tests.support.waiting import wait_for

RATING = Address(center="test", station="q01", device="rating")
CALLPAD = Address(center="test", station="q01", device="callpad")


class Site:
    """A center without pages on a broker, and a client that speaks as its devices would."""

    def __init__(self, broker: Broker, folder: Path) -> None:
        self.database = folder / "center.db"
        self._host, self._port = broker.host, broker.port
        config = Config(
            id="test",
            name="Test",
            data_dir=str(folder),
            broker=BrokerConfig(kind="external", host=broker.host, port=broker.port),
            service=(ServiceConfig(id="land", letter="A", vi="Đất đai", en="Land"),),
            counter=(CounterConfig(id="q01", label="1", services=("land",)),),
        )
        self.hall = Hall(config, Store(config.store_url), SystemClock())
        self.hall.start()
        self.ingest = Ingest(config, self.hall)
        self._lock = threading.Lock()
        self._heard: list[tuple[str, bytes]] = []
        ready = threading.Event()
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        self._client.on_message = self._on_message
        self._client.on_subscribe = lambda *_: ready.set()
        self._client.connect(broker.host, broker.port)
        self._client.loop_start()
        self._client.subscribe("motcua/#", qos=1)
        assert ready.wait(30)
        self.ingest.start()
        # All desired states are out: the center listens.
        wait_for(lambda: len(self.heard(CALLPAD, Channel.DESIRED)) > 0, timeout_s=30)

    def close(self) -> None:
        """End both."""
        self._client.disconnect()
        self._client.loop_stop()
        del self._client  # paho closes its wake-up sockets only when it is collected
        self.ingest.stop()
        self.hall.stop()

    def say(self, address: Address, channel: Channel, payload: bytes, *, retain: bool = False) -> None:
        """Publish as a device."""
        self._client.publish(address.topic(channel), payload, qos=1, retain=retain).wait_for_publish(5)

    def kept(self, address: Address, channel: Channel) -> list[bytes]:
        """Return what the broker hands to whoever comes anew to a device's channel."""
        found: list[tuple[str, bytes]] = []
        ready = threading.Event()
        late = paho.Client(paho.CallbackAPIVersion.VERSION2)
        late.on_message = lambda _client, _data, message: found.append((message.topic, message.payload))
        late.on_publish = lambda *_: ready.set()
        late.connect(self._host, self._port)
        late.loop_start()
        late.subscribe(address.topic(channel), qos=1)
        late.publish("motcua/after", b"", qos=1)  # what was kept comes before this is confirmed
        assert ready.wait(30)
        late.disconnect()
        late.loop_stop()
        del late
        return [payload for topic, payload in found if topic == address.topic(channel)]  # amqtt hands out others', too

    def heard(self, address: Address, channel: Channel) -> list[bytes]:
        """Return what came on a device's channel."""
        with self._lock:
            return [payload for topic, payload in self._heard if topic == address.topic(channel)]

    def acked(self, event_id: str, times: int = 1) -> None:
        """Wait until an event was acknowledged so often."""

        def enough() -> bool:
            acks = [decode(each, Ack) for each in self.heard(RATING, Channel.ACK)]
            return sum(event_id in ack.ids for ack in acks) >= times

        wait_for(enough, timeout_s=30)

    def rows(self, query: str) -> list[Any]:
        """Read the center's database."""
        with closing(sqlite3.connect(self.database)) as database:
            return database.execute(query).fetchall()

    def _on_message(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        with self._lock:
            self._heard.append((message.topic, message.payload))


@pytest.fixture
def site(any_broker: Broker, tmp_path: Path) -> Iterator[Site]:
    """A center that listens."""
    one = Site(any_broker, tmp_path)
    yield one
    one.close()


def rating(sequence: int, *, source: str = RATING.source, level: int = 3) -> tuple[str, bytes]:
    """Return an event's id and bytes."""
    event_id = uuid7()
    payload = seal(
        RatingGiven(level=level, scale="vn-3", ticket=None, armed_for_ms=None, pressed_ms=15),
        event_id=event_id,
        source=source,
        time=datetime.now(UTC),
        sequence=sequence,
        stream="stream",
        boot_id="boot",
        monotonic_ms=1,
        clock_synced=True,
    )
    return event_id, payload


def test_a_press_is_stored_once_and_acknowledged_every_time(site: Site) -> None:
    """An event that is sent again is acknowledged again and stored once."""
    event_id, payload = rating(1)
    site.say(RATING, Channel.EVENT, payload)
    site.acked(event_id)
    assert site.rows("SELECT id FROM device_event") == [(event_id,)]
    site.say(RATING, Channel.EVENT, payload)
    site.acked(event_id, times=2)
    assert site.rows("SELECT count(*) FROM device_event") == [(1,)]
    assert site.rows("SELECT level FROM rating") == [(3,)]


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\xff\xfe", id="no text"),
        pytest.param(b"[" * 5000, id="depth"),
        pytest.param(b'{"id": 1}', id="no event"),
        pytest.param(b"x" * 70_000, id="too large"),
    ],
)
def test_what_is_broken_is_put_aside_and_the_rest_goes_on(site: Site, broken: bytes) -> None:
    """A payload that is no event lands in quarantine with a reason; the event after it is stored."""
    site.say(RATING, Channel.EVENT, broken)
    event_id, payload = rating(1)
    site.say(RATING, Channel.EVENT, payload)
    site.acked(event_id)
    wait_for(lambda: site.rows("SELECT count(*) FROM quarantine") == [(1,)])
    assert all(reason for (reason,) in site.rows("SELECT reason FROM quarantine"))


def test_an_event_that_can_never_be_stored_does_not_block_its_device(site: Site) -> None:
    """Wrong data and a foreign source are put aside and acknowledged by id."""
    wrong_id, wrong = rating(1)
    site.say(RATING, Channel.EVENT, wrong.replace(b'"level":3', b'"level":9'))
    site.acked(wrong_id)
    foreign_id, foreign = rating(2, source="/test/q02/rating")
    site.say(RATING, Channel.EVENT, foreign)
    site.acked(foreign_id)
    assert site.rows("SELECT count(*) FROM quarantine") == [(2,)]
    assert site.rows("SELECT count(*) FROM device_event") == [(0,)]


def test_a_request_is_answered_and_a_repeat_calls_nobody(site: Site) -> None:
    """A call pad's request calls one ticket; the same request again gets the first answer."""
    hall = site.hall
    for each in ("one", "two"):
        hall.submit(Issue(at=hall.now_ms(), ticket_id=each, service="land"), key=each, actor="test").result(30)
    hall.submit(OpenCounter(at=hall.now_ms(), counter="q01"), key="open", actor="test").result(30)
    request = encode(Request(id="request-0001", action="call_next"))
    for times in (1, 2):
        site.say(CALLPAD, Channel.REQUEST, request)
        wait_for(lambda times=times: len(site.heard(CALLPAD, Channel.REPLY)) >= times, timeout_s=30)
    replies = [decode(each, Reply) for each in site.heard(CALLPAD, Channel.REPLY)]
    assert [(each.ok, each.ticket and each.ticket.number) for each in replies] == [(True, "A001")] * 2
    assert site.rows("SELECT number FROM ticket WHERE state = 'called'") == [("A001",)]


def test_a_request_that_is_wrong_gets_a_reason(site: Site) -> None:
    """A request with an unknown action is answered with a refusal that names the field."""
    site.say(CALLPAD, Channel.REQUEST, b'{"id": "request-0002", "action": "dance", "expires_in_ms": 5000}')
    wait_for(lambda: len(site.heard(CALLPAD, Channel.REPLY)) >= 1, timeout_s=30)
    reply = decode(site.heard(CALLPAD, Channel.REPLY)[0], Reply)
    assert (reply.ok, reply.code, "action" in (reply.message or "")) == (False, "request_invalid", True)


def test_desired_states_are_there_from_the_start(site: Site) -> None:
    """Each device of a counter finds what it should be as soon as the center is up."""
    kinds: dict[str, type[msgspec.Struct]] = {
        "rating": RatingDesired, "display": DisplayDesired, "callpad": CallpadDesired,
    }  # fmt: skip
    for device, kind in kinds.items():
        address = Address(center="test", station="q01", device=device)
        wait_for(lambda address=address: bool(site.heard(address, Channel.DESIRED)), timeout_s=30)
        decode(site.heard(address, Channel.DESIRED)[0], kind)


def test_a_forgotten_device_is_forgotten_by_the_broker_too(site: Site) -> None:
    """What the broker kept of a device that was taken off the list is cleared: it does not come back by a reconnect."""
    gone = Address(center="test", station="q07", device="rating")
    status = Status(state="lost", version="1", bootid="b", since="2026-11-23T01:00:00Z")
    for channel, content in ((Channel.STATUS, status), (Channel.REPORTED, RatingReported(revision=1, armed=None))):
        site.say(gone, channel, encode(content), retain=True)
    wait_for(lambda: site.rows("SELECT station FROM device WHERE reported IS NOT NULL") == [("q07",)])
    assert site.hall.forget("q07", "rating").result(30)
    for channel in (Channel.STATUS, Channel.REPORTED):
        wait_for(lambda channel=channel: site.heard(gone, channel)[-1:] == [b""])  # type: ignore[misc]
        assert site.kept(gone, channel) == []
    assert site.rows("SELECT station FROM device") == []
