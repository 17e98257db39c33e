"""What waits for a daemon: nothing of the device's own is lost, and the network may leave no more than its share."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import paho.mqtt.client as paho
import pytest

from contract.codec import MAX_BYTES, encode
from contract.requests import Ack, Reply
from contract.states import RatingDesired, Status
from contract.topics import Channel
from firmware.inbox import COMPLAIN_EVERY_MS, MESSAGES, Inbox, Message
from firmware.mqtt.transport import Arrived, LinkUp
from tests.support.brokers import Broker
from tests.support.clock import ManualClock
from tests.support.pad import ADDRESS, BUZZER, Pad

KINDS = {Channel.ACK: Ack, Channel.DESIRED: RatingDesired, Channel.REPLY: Reply, Channel.STATUS: Status}
ACK = encode(Ack(ids=("event-1",)))


@pytest.fixture
def clock() -> ManualClock:
    """The time, in the test's hands."""
    return ManualClock()


@pytest.fixture
def inbox(clock: ManualClock) -> Inbox:
    """An empty inbox of a rating pad."""
    return Inbox(KINDS, clock=clock)


def desired(revision: int) -> bytes:
    """Return a state that can be told from others."""
    return encode(RatingDesired(revision=revision, armed=None))


def arrived(channel: Channel, payload: bytes, *, retained: bool = False) -> Arrived:
    """Return what the network brings."""
    return Arrived(channel=channel, payload=payload, retained=retained)


def rest(inbox: Inbox) -> Iterator[object]:
    """Return all that waits."""
    while (news := inbox.get(0)) is not None:
        yield news


def test_of_a_state_only_the_latest_waits(inbox: Inbox) -> None:
    """However many desired states come while the daemon is busy, it finds one, the last."""
    for revision in range(10_000):
        inbox.put_message(arrived(Channel.DESIRED, desired(revision)))
    assert list(rest(inbox)) == [Message(Channel.DESIRED, RatingDesired(revision=9_999, armed=None), retained=False)]
    inbox.put_message(arrived(Channel.DESIRED, desired(1)))
    assert len(list(rest(inbox))) == 1


def test_a_broken_state_does_not_take_the_place_of_a_good_one(inbox: Inbox) -> None:
    """Rubbish that comes behind a state which nobody has looked at yet is dropped, not the state."""
    inbox.put_message(arrived(Channel.DESIRED, desired(7)))
    inbox.put_message(arrived(Channel.DESIRED, b"{"))
    assert [message.content for message in rest(inbox) if isinstance(message, Message)] == [
        RatingDesired(revision=7, armed=None)
    ]


def test_acks_and_replies_wait_in_bounded_number(inbox: Inbox, caplog: pytest.LogCaptureFixture) -> None:
    """What comes beyond the bound is dropped with one line, and there is room again once some were taken."""
    for _ in range(3 * MESSAGES):
        inbox.put_message(arrived(Channel.ACK, ACK))
    assert len(list(rest(inbox))) == MESSAGES
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    inbox.put_message(arrived(Channel.ACK, ACK))
    assert len(list(rest(inbox))) == 1


def test_news_of_the_device_are_never_dropped(inbox: Inbox) -> None:
    """Signals and the connection's own news are all kept, in their order, also among a flood of messages."""
    for number in range(2 * MESSAGES):
        inbox.put_message(arrived(Channel.ACK, ACK))
        inbox.put(number)
    assert [news for news in rest(inbox) if isinstance(news, int)] == list(range(2 * MESSAGES))


def test_a_press_waits_for_one_message_at_most(inbox: Inbox) -> None:
    """Whatever waits from the network, what the device says comes second at the latest; and neither starves."""
    for _ in range(MESSAGES):
        inbox.put_message(arrived(Channel.ACK, ACK))
    inbox.get(0)
    inbox.put("press")
    inbox.put(LinkUp())
    taken = [inbox.get(0) for _ in range(4)]
    assert "press" in taken[:2]
    assert sum(isinstance(news, Message) for news in taken) == 2


@pytest.mark.parametrize("channel", [Channel.ACK, Channel.REPLY])
def test_what_is_never_retained_is_heard_live_only(inbox: Inbox, channel: Channel) -> None:
    """An ack or a reply that the broker kept is no word of the center."""
    payload = ACK if channel is Channel.ACK else encode(Reply(id="request-1", ok=True))
    inbox.put_message(arrived(channel, payload, retained=True))
    assert inbox.get(0) is None
    inbox.put_message(arrived(channel, payload))
    assert inbox.get(0) is not None


def test_complaints_are_bounded_by_time(inbox: Inbox, clock: ManualClock, caplog: pytest.LogCaptureFixture) -> None:
    """Broken messages among good ones cost a line a minute, not one for each time they take turns."""
    caplog.set_level(logging.INFO)
    for _ in range(500):
        inbox.put_message(arrived(Channel.DESIRED, b"{"))
        inbox.put_message(arrived(Channel.DESIRED, b" " * (MAX_BYTES + 1)))
        inbox.put_message(arrived(Channel.DESIRED, desired(1)))
        clock.advance(COMPLAIN_EVERY_MS // 500 - 1)
    assert len(caplog.records) == 1
    clock.advance(COMPLAIN_EVERY_MS)
    inbox.put_message(arrived(Channel.DESIRED, b"{"))
    assert len(caplog.records) == 2


JUNK = (
    b'{"revision":1,"armed":null,"x":"' + b"a" * 15_000 + b'"}',
    b"\xff" * 200_000,
    desired(1),
    desired(2),
    b'{"revision":3,"armed":{"ticket":"t-1","number":"A001","seconds":600}}',
    b"[" * 16_000,
    ACK,
    encode(Ack(ids=tuple(f"{number:064}" for number in range(200)))),
)


@contextmanager
def flood(broker: Broker) -> Iterator[None]:
    """Publish junk on a pad's own topics as fast as a client can."""
    client = paho.Client(paho.CallbackAPIVersion.VERSION2)
    client.connect(broker.host, broker.port)
    calm = threading.Event()

    def run() -> None:
        while not calm.is_set():
            for channel in (Channel.DESIRED, Channel.ACK, Channel.REPLY):
                for payload in JUNK:
                    client.publish(ADDRESS.topic(channel), payload)
            while client.want_write() and not calm.is_set():
                client.loop_write()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        calm.set()
        thread.join()
        client.disconnect()


def test_a_flood_neither_fills_the_memory_nor_holds_a_press_up(
    make_mosquitto: Callable[..., Broker], tmp_path: Path
) -> None:
    """While somebody floods a pad's own topics a press is stored and lit, the memory stays small and the log short."""
    broker = make_mosquitto()
    with Pad(tmp_path, broker, rating='mode = "open"\nlockout_ms = 100\nthanks_ms = 100') as pad:
        pad.wait_lit(BUZZER, since_ns=pad.push(2))
        before = memory_mb(pad.pid)
        late = []
        with flood(broker):
            for _ in range(5):
                time.sleep(0.7)
                pushed_ns = pad.push(1, 0.15)
                late.append((pad.wait_lit(BUZZER, since_ns=pushed_ns, timeout_s=20) - pushed_ns) / 1e9)
            after = memory_mb(pad.pid)
        lines = pad.log.read_text().splitlines()
    assert sorted(late)[2] < 2, late  # a busy machine may delay one or two
    assert after - before < 40
    assert len(lines) < 20


def memory_mb(pid: int) -> float:
    """Return what a process has in memory."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024
