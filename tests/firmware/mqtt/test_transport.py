"""The connection to a real broker: each way in which paho or a broker can surprise, and what the device makes of it."""

import logging
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue

import pytest

from contract.codec import decode, encode
from contract.states import Status
from contract.topics import Address, Channel, center_address
from firmware.config import BrokerConfig
from firmware.errors import ConfigError
from firmware.mqtt.namesake import CLAIM_S
from firmware.mqtt.transport import Arrived, LinkDown, LinkUp, NameTaken, Presence, Transport, backoff_s
from simulator.ports import free_port
from tests.support.brokers import Broker, Mosquitto
from tests.support.center import CenterSide
from tests.support.waiting import wait_for

ADDRESS = Address(center="bentre", station="q03", device="rating")


def status(presence: Presence, *, boot: str = "boot-5", since: str = "2026-11-23T01:02:03.000Z") -> bytes:
    """Return a status such as the daemon makes."""
    return encode(Status(state=presence, version="1", bootid=boot, since=since))


class Running:
    """A transport with the inbox that it posts to."""

    def __init__(
        self,
        config: BrokerConfig,
        *,
        post: Callable[[object], None] | None = None,
        password: str | None = None,
        boot: str = "boot-5",
    ) -> None:
        self.news: SimpleQueue[object] = SimpleQueue()
        self.transport = Transport(
            ADDRESS,
            config,
            password=password,
            status=partial(status, boot=boot),
            post=post or self.news.put,
            boot_id=boot,
            yield_s=0.5,
        )

    def next(self, timeout_s: float = 30.0) -> object:
        """Return the next thing that was posted."""
        try:
            return self.news.get(timeout=timeout_s)
        except Empty:
            raise AssertionError(f"nothing was posted within {timeout_s} s") from None

    def taken(self) -> NameTaken | None:
        """Return the word that the name is taken, if it has come."""
        while not self.news.empty():
            if isinstance(found := self.news.get(), NameTaken):
                return found
        return None

    def is_up(self) -> bool:
        """Say whether it takes messages."""
        return self.transport.publish(Channel.REPORTED, b"{}")

    def is_quiet(self, for_s: float) -> bool:
        """Say whether nothing is posted for a while."""
        try:
            self.news.get(timeout=for_s)
        except Empty:
            return True
        return False


@contextmanager
def running(config: BrokerConfig, **options: object) -> Iterator[Running]:
    """A started transport, stopped at the end."""
    run = Running(config, **options)  # type: ignore[arg-type]
    run.transport.start()
    try:
        yield run
    finally:
        run.transport.stop()


def to(broker: Broker, **options: object) -> BrokerConfig:
    """Return the configuration that leads to a test's broker."""
    return BrokerConfig(host=broker.host, port=broker.port, **options)  # type: ignore[arg-type]


def states(center: CenterSide, *, last: int = 0) -> list[str]:
    """Return the presences that were published so far."""
    return [decode(each.payload, Status).state for each in center.heard(Channel.STATUS)[-last:]]


# --- presence --------------------------------------------------------------------------------------------------------


def test_birth_and_orderly_stop_are_told(any_broker: Broker) -> None:
    """A device says online when it connects and offline, retained, when it is stopped."""
    with CenterSide(any_broker, ADDRESS) as center:
        with running(to(any_broker)) as run:
            assert isinstance(run.next(), LinkUp)
            center.wait_for(Channel.STATUS, 1)
        center.wait_for(Channel.STATUS, 2)
        assert states(center) == ["online", "offline"]
    with CenterSide(any_broker, ADDRESS) as latecomer:
        latecomer.wait_for(Channel.STATUS, 1)
        assert set(states(latecomer)) == {"offline"}  # amqtt may hand a retained message over twice


def test_the_last_will_says_lost(any_broker: Broker) -> None:
    """When a device's connection breaks without goodbye, the broker says lost for it, and keeps that."""
    with CenterSide(any_broker, ADDRESS) as center, running(to(any_broker)) as run:
        assert isinstance(run.next(), LinkUp)
        run.transport.drop("the test cuts it")
        wait_for(lambda: "lost" in states(center))


HERE = center_address(ADDRESS.center)


def test_the_center_s_own_word_is_heard(any_broker: Broker) -> None:
    """A device hears whether the center is there, when it changes and again on each connection."""
    with CenterSide(any_broker, HERE) as center, running(to(any_broker)) as run:
        assert isinstance(run.next(), LinkUp)
        center.say(Channel.STATUS, status("online"), retain=True)
        assert run.next() == Arrived(channel=Channel.STATUS, payload=status("online"), retained=False)
        run.transport.drop("the test cuts it")
        assert isinstance(run.next(), LinkDown)
        seen = [run.next(), run.next()]
        assert Arrived(channel=Channel.STATUS, payload=status("online"), retained=True) in seen


def test_whether_the_center_is_there_is_heard_before_its_old_words(mosquitto_broker: Broker) -> None:
    """Of what the broker had kept the center's status comes first, where the broker keeps to the order asked for."""
    with CenterSide(mosquitto_broker, ADDRESS) as device, CenterSide(mosquitto_broker, HERE) as center:
        device.say(Channel.DESIRED, b"old", retain=True)
        center.say(Channel.STATUS, status("lost"), retain=True)
        with running(to(mosquitto_broker)) as run:
            seen = [run.next() for _ in range(3)]
    assert [each.channel for each in seen if isinstance(each, Arrived)] == [Channel.STATUS, Channel.DESIRED]


def test_another_device_s_presence_is_not_the_center_s(any_broker: Broker) -> None:
    """A device hears neither its own status nor another one's."""
    with CenterSide(any_broker, ADDRESS) as itself, running(to(any_broker)) as run:
        assert isinstance(run.next(), LinkUp)
        itself.say(Channel.STATUS, status("lost"))
        assert run.is_quiet(for_s=0.3)


def test_a_broker_that_hides_presences_is_named_and_used(caplog: pytest.LogCaptureFixture) -> None:
    """Where the access list hides the center's status or a device's own, the device works; one line each says so."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(30)
        config = BrokerConfig(host="127.0.0.1", port=listener.getsockname()[1])
        with running(config) as run:
            for _ in range(2):
                peer, _ = listener.accept()
                with peer:
                    peer.recv(1000)
                    peer.sendall(b"\x20\x02\x00\x00")
                    for topic, answer in ((b"q03/rating", b"\x80"), (b"center/hall", b"\x80\x01\x01\x01")):
                        head = peer.recv(4)  # type, length (short of 128 bytes or not), message id
                        if head[1] & 0x80:
                            head += peer.recv(1)
                        length = head[1] if head[1] < 0x80 else (head[1] & 0x7F) + 128 * head[2]
                        asked = peer.recv(length - 2)
                        assert b"motcua/v1/bentre/" + topic + b"/status" in asked
                        peer.sendall(bytes([0x90, 2 + len(answer)]) + head[-2:] + answer)
                    assert isinstance(run.next(), LinkUp)
                assert isinstance(run.next(), LinkDown)
    said = [record.getMessage() for record in caplog.records if "the broker does not say" in record.getMessage()]
    assert len(said) == 2
    assert "whether another machine uses this device's name: allow motcua/v1/bentre/q03/rating/status" in said[0]
    assert "whether the center is there: allow motcua/v1/bentre/center/hall/status" in said[1]


# --- what paho does, and what we made of it ---------------------------------------------------------------------------


def test_an_exception_in_the_inbox_does_not_kill_the_network_thread(
    any_broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    """A message that cannot be taken is skipped; the next one arrives."""
    news: SimpleQueue[object] = SimpleQueue()

    def post(item: object) -> None:
        if isinstance(item, Arrived) and item.payload == b"poison":
            raise RuntimeError("cannot be taken")
        news.put(item)

    with running(to(any_broker), post=post) as run, CenterSide(any_broker, ADDRESS) as center:
        assert isinstance(news.get(timeout=30), LinkUp)
        center.say(Channel.DESIRED, b"poison")
        center.say(Channel.DESIRED, b"good")
        assert news.get(timeout=30) == Arrived(channel=Channel.DESIRED, payload=b"good", retained=False)
        assert run.transport.alive()
    assert "skipped" in caplog.text
    caplog.clear()  # its trace-back holds the connection


def test_nothing_is_queued_while_offline(mosquitto_broker: Broker) -> None:
    """What is published without a connection is refused, and never comes out of a hidden queue later."""
    mosquitto_broker.stop()
    with running(to(mosquitto_broker)) as run:
        assert not run.transport.publish(Channel.EVENT, b"offline")
        mosquitto_broker.start()
        with CenterSide(mosquitto_broker, ADDRESS) as center:
            assert isinstance(run.next(), LinkUp)
            assert run.transport.publish(Channel.EVENT, b"online")
            center.wait_for(Channel.EVENT)
            time.sleep(0.2)  # a queue would have had its time
            assert [each.payload for each in center.heard(Channel.EVENT)] == [b"online"]


def test_what_an_old_connection_left_unconfirmed_is_not_sent_on_the_next(mosquitto_broker: Broker) -> None:
    """Messages without PUBACK die with their connection: sending again is the pump's decision, from the outbox."""
    with running(to(mosquitto_broker)) as run:
        assert isinstance(run.next(), LinkUp)
        mosquitto_broker.freeze()
        assert run.transport.publish(Channel.EVENT, b"old")
        assert run.transport.unconfirmed() == 1
        mosquitto_broker.restart()
        assert isinstance(run.next(), LinkDown)
        with CenterSide(mosquitto_broker, ADDRESS) as center:
            assert isinstance(run.next(), LinkUp)
            assert run.transport.publish(Channel.EVENT, b"new")
            assert run.transport.unconfirmed() <= 1
            center.wait_for(Channel.EVENT)
            time.sleep(0.2)  # a queue would have had its time
            assert [each.payload for each in center.heard(Channel.EVENT)] == [b"new"]


def test_a_device_starts_before_its_broker(any_broker: Broker) -> None:
    """With the broker down `start` returns at once, nothing is posted, and the link comes up with the broker."""
    any_broker.stop()
    with running(to(any_broker)) as run:
        assert run.is_quiet(for_s=0.5)
        assert run.transport.alive()
        any_broker.start()
        assert isinstance(run.next(), LinkUp)


def test_a_device_is_back_a_second_after_its_broker(any_broker: Broker) -> None:
    """After a broker's restart the link is lost once, up once, and up about a second after, or as long as it was gone.

    The pauses between tries grow with the outage, and on a busy machine a broker takes long to start.
    """
    with running(to(any_broker)) as run:
        assert isinstance(run.next(), LinkUp)
        late_s: list[float] = []
        while not late_s or (min(late_s) >= 0 and len(late_s) < 5):  # a busy machine may delay one, but not all
            gone = time.monotonic()
            any_broker.restart()
            listening = time.monotonic()
            assert isinstance(run.next(), LinkDown)
            assert isinstance(run.next(), LinkUp)
            late_s.append(time.monotonic() - listening - 1.5 - 1.5 * (listening - gone))
        assert min(late_s) < 0
        assert run.is_quiet(for_s=0.3)


def test_failed_tries_are_no_further_losses(mosquitto_broker: Broker) -> None:
    """While the broker stays away the link is reported down once, however many tries fail."""
    with running(to(mosquitto_broker)) as run:
        assert isinstance(run.next(), LinkUp)
        mosquitto_broker.kill()
        assert isinstance(run.next(), LinkDown)
        assert run.is_quiet(for_s=1.5)


def test_losses_are_logged_once(mosquitto_broker: Broker, caplog: pytest.LogCaptureFixture) -> None:
    """A lost broker is one warning with its address, its return one line; the tries between are debug."""
    caplog.set_level(logging.INFO, logger="firmware.mqtt.transport")
    with running(to(mosquitto_broker)) as run:
        assert isinstance(run.next(), LinkUp)
        mosquitto_broker.kill()
        assert isinstance(run.next(), LinkDown)
        time.sleep(1)  # several tries
        mosquitto_broker.start()
        assert isinstance(run.next(), LinkUp)
    lines = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert [level for level, _ in lines] == ["INFO", "WARNING", "INFO"]
    assert f"{mosquitto_broker.host}:{mosquitto_broker.port}" in lines[1][1]
    assert lines[2][1].endswith("again")


def test_pauses_between_tries_grow_to_a_cap_and_differ() -> None:
    """The first pause is about 0.2 s, later ones are capped near 5 s, and two devices do not knock together."""
    assert all(0.15 <= backoff_s(0) <= 0.25 for _ in range(100))
    assert all(3.75 <= backoff_s(tries) <= 6.25 for tries in (5, 6, 50, 10_000))
    assert len({backoff_s(3) for _ in range(20)}) > 1


def test_subscriptions_are_renewed(any_broker: Broker) -> None:
    """After the broker was replaced the device still hears ack, desired and reply."""
    with running(to(any_broker)) as run:
        assert isinstance(run.next(), LinkUp)
        any_broker.restart()
        assert isinstance(run.next(), LinkDown)
        assert isinstance(run.next(), LinkUp)
        with CenterSide(any_broker, ADDRESS) as center:
            for channel in (Channel.ACK, Channel.DESIRED, Channel.REPLY):
                center.say(channel, b"{}")
                assert run.next() == Arrived(channel=channel, payload=b"{}", retained=False)


def test_a_retained_message_is_told_from_a_live_one(any_broker: Broker) -> None:
    """What the broker kept from earlier is marked as retained: it does not prove that the center is there."""
    with CenterSide(any_broker, ADDRESS) as center:
        center.say(Channel.DESIRED, b"kept", retain=True)
        with running(to(any_broker)) as run:
            seen = [run.next(), run.next()]
            assert Arrived(channel=Channel.DESIRED, payload=b"kept", retained=True) in seen


def test_a_broker_that_confirms_nothing_is_seen(mosquitto_broker: Broker) -> None:
    """PUBACKs that do not come are counted, and a dropped connection is replaced by a working one."""
    with running(to(mosquitto_broker)) as run:
        assert isinstance(run.next(), LinkUp)
        assert run.transport.publish(Channel.EVENT, b"1")
        wait_for(lambda: run.transport.unconfirmed() == 0)
        mosquitto_broker.freeze()
        assert run.transport.publish(Channel.EVENT, b"2")
        assert run.transport.unconfirmed() == 1
        run.transport.drop("no PUBACK")
        assert isinstance(run.next(), LinkDown)
        mosquitto_broker.thaw()
        assert isinstance(run.next(), LinkUp)
        assert run.transport.unconfirmed() == 0


def test_a_broker_that_accepts_and_says_nothing_is_left(caplog: pytest.LogCaptureFixture) -> None:
    """A listener that never answers CONNECT is given up, with a line that says so, and tried again."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = BrokerConfig(host="127.0.0.1", port=listener.getsockname()[1])
        with running(config):
            first, _ = listener.accept()
            second, _ = listener.accept()
            first.close()
            second.close()
    assert "no answer within 5 s" in caplog.text


@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
@pytest.mark.parametrize(
    "garbage",
    [
        b"\x90\x00",  # SUBACK without a body
        b"\x40\x01\x00",  # PUBACK cut short
        b"\x32\x03\x00\xff\x41",  # PUBLISH whose topic is longer than the packet
        b"\x30\x04\x00\x02\xff\xfe",  # PUBLISH on a topic that is not UTF-8
        b"\xff\xff\xff\xff\xff\xff",  # a length that no packet has
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
    ],
)
def test_a_broker_that_talks_nonsense_is_left_and_tried_again(
    garbage: bytes, protocol: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Packets that make no sense end the connection, never the thread: the next broker at that address may be sane."""
    hello = {"3.1.1": b"\x20\x02\x00\x00", "5": b"\x20\x03\x00\x00\x00"}[protocol]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(30)
        config = BrokerConfig(host="127.0.0.1", port=listener.getsockname()[1], protocol=protocol)  # type: ignore[arg-type]
        with running(config) as run:
            for _ in range(2):
                peer, _ = listener.accept()
                with peer:
                    peer.recv(1000)
                    peer.sendall(hello + garbage)
                    peer.shutdown(socket.SHUT_WR)
            assert run.transport.alive()
    caplog.clear()  # a trace-back holds the connection


def test_a_dead_peer_is_noticed_by_keep_alive(mosquitto_broker: Broker) -> None:
    """A peer that is silent behind a live network is noticed without traffic, by two missed keep-alives."""
    with running(to(mosquitto_broker, keepalive_s=5)) as run:
        assert isinstance(run.next(), LinkUp)
        mosquitto_broker.freeze()
        assert isinstance(run.next(), LinkDown)
        mosquitto_broker.thaw()


def test_messages_leave_at_once(mosquitto_broker: Broker) -> None:
    """Nagle's algorithm is off on the connection."""
    with running(to(mosquitto_broker)) as run:
        assert isinstance(run.next(), LinkUp)
        client = run.transport._client
        assert client is not None
        sock = client.socket()
        assert isinstance(sock, socket.socket)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


def test_a_burst_arrives_whole_and_in_order(any_broker: Broker) -> None:
    """Messages published faster than the network takes them arrive complete and in order."""
    payloads = [b"%04d" % number + bytes(2000) for number in range(200)]
    with CenterSide(any_broker, ADDRESS) as center, running(to(any_broker)) as run:
        assert isinstance(run.next(), LinkUp)
        for payload in payloads:
            assert run.transport.publish(Channel.EVENT, payload)
        center.wait_for(Channel.EVENT, len(payloads), timeout_s=30)
        assert [each.payload for each in center.heard(Channel.EVENT)] == payloads
        wait_for(lambda: run.transport.unconfirmed() == 0)


# --- two machines with one name ---------------------------------------------------------------------------------------


def wait_for_word(broker: Broker, boot: str) -> None:
    """Wait until a newcomer is told that this machine is online."""

    def stands() -> bool:
        with CenterSide(broker, ADDRESS) as latecomer:
            said = decode(latecomer.wait_for(Channel.STATUS)[-1].payload, Status)
        return (said.state, said.bootid) == ("online", boot)

    wait_for(stands)


@pytest.mark.parametrize("boot", ["boot-4", "boot-6"])
def test_a_second_machine_of_one_name_is_refused(
    any_broker: Broker, boot: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Whichever boot id is larger, the newcomer stays off the wire, is told who is there, and disturbs nobody."""
    with running(to(any_broker)) as first:
        assert isinstance(first.next(), LinkUp)
        wait_for_word(any_broker, "boot-5")  # before that there is no incumbent: the two would be starting together
        with running(to(any_broker), boot=boot) as second:
            for _ in range(3):  # it asks again and again
                taken = second.next()
                assert isinstance(taken, NameTaken)
                assert taken.bootid == "boot-5"
            assert not second.transport.publish(Channel.EVENT, b"kept in the outbox")
        assert first.is_quiet(for_s=0.1)
        wait_for_word(any_broker, "boot-5")
    said = [line.getMessage() for line in caplog.records if line.levelname == "ERROR"]
    assert len(said) == 1
    assert "another machine (boot boot-5, online since" in said[0]
    assert "uses the name q03/rating" in said[0]


def test_the_refused_machine_takes_over_when_the_other_one_leaves(any_broker: Broker) -> None:
    """Who was refused is up soon after the incumbent stopped, and says so."""
    with running(to(any_broker)) as first:
        assert isinstance(first.next(), LinkUp)
        with running(to(any_broker), boot="boot-6") as second:
            assert isinstance(second.next(), NameTaken)
            first.transport.stop()
            wait_for(lambda: isinstance(second.next(), LinkUp))
            wait_for_word(any_broker, "boot-6")


def test_a_dead_machine_s_last_word_holds_nobody_up_for_long(any_broker: Broker) -> None:
    """A retained `online` that nobody stands behind costs the new machine the two seconds of its question."""
    with CenterSide(any_broker, ADDRESS) as center:
        center.say(Channel.STATUS, status("online", boot="dead"), retain=True)
        began = time.monotonic()
        with running(to(any_broker), boot="boot-6") as run:
            assert isinstance(run.next(), LinkUp)
            assert time.monotonic() - began > CLAIM_S / 2  # it did ask


def test_the_word_that_the_other_has_just_gone_ends_the_wait(any_broker: Broker) -> None:
    """A last will that comes while the new machine waits lets it up at once."""
    with CenterSide(any_broker, ADDRESS) as center:
        center.say(Channel.STATUS, status("online", boot="dead"), retain=True)
        with running(to(any_broker), boot="boot-6") as run:
            center.wait_for(Channel.STATUS, 2)  # it asks
            assert run.transport._namesake.claim_until is not None
            center.say(Channel.STATUS, status("lost", boot="dead"), retain=True)
            began = time.monotonic()
            assert isinstance(run.next(), LinkUp)
            assert time.monotonic() - began < CLAIM_S / 2


def test_of_two_that_start_at_one_moment_one_stays(any_broker: Broker) -> None:
    """However often two machines start together, exactly one is up soon and the other one yields to it."""
    for _ in range(3):
        with running(to(any_broker), boot="boot-1") as one, running(to(any_broker), boot="boot-2") as other:
            taken = wait_for(lambda: one.taken() or other.taken(), timeout_s=30)
            loser, winner = (one, other) if taken.bootid == "boot-2" else (other, one)
            assert winner.is_up()
            assert not loser.is_up()
            wait_for_word(any_broker, taken.bootid)


def test_a_late_last_will_does_not_stand(any_broker: Broker) -> None:
    """Whatever else is said under a device's name, `online` stands there again while the device is up."""
    with CenterSide(any_broker, ADDRESS) as center, running(to(any_broker)) as run:
        assert isinstance(run.next(), LinkUp)
        others = status("lost", boot="before"), status("offline"), status("online", boot="boot-9")
        heard = len(center.wait_for(Channel.STATUS))
        for word in (*others, b"", b"rubbish"):
            center.say(Channel.STATUS, word, retain=True)
            heard += 2
            said = center.wait_for(Channel.STATUS, heard)
            assert [each.payload for each in said[-2:]] == [word, status("online")]
        wait_for_word(any_broker, "boot-5")


def test_a_flood_under_a_device_s_name_is_not_answered_word_by_word(mosquitto_broker: Broker) -> None:
    """Of thousands of false words only few are contradicted, the last of them too."""
    with CenterSide(mosquitto_broker, ADDRESS) as center, running(to(mosquitto_broker)) as run:
        assert isinstance(run.next(), LinkUp)
        false = status("lost", boot="forged")
        for _ in range(2_000):
            center.say(Channel.STATUS, false, retain=True, wait=False)
        wait_for(lambda: sum(each.payload == false for each in center.heard(Channel.STATUS)) == 2_000, timeout_s=30)
        wait_for(lambda: states(center, last=1) == ["online"], timeout_s=30)
        assert states(center).count("online") < 1_000


def test_a_broker_that_hides_a_device_s_own_status_is_named_and_used(
    make_mosquitto: Callable[..., Mosquitto], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Without the right to read its own status a device works, and asks for it where the broker says no."""
    rules = tmp_path / "rules"
    rules.write_text("topic write motcua/v1/bentre/q03/rating/status\ntopic read motcua/v1/bentre/q03/rating/ack\n")
    broker = make_mosquitto(options=f"allow_anonymous true\nacl_file {rules}")
    with running(to(broker)) as run:
        assert isinstance(run.next(), LinkUp)
    assert "another machine" not in caplog.text


# --- sessions, access, protocol ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
def test_sessions_are_clean(mosquitto_broker: Broker, protocol: str) -> None:
    """What is said to a device while it is away is not kept for it: facts wait in outboxes, states are retained."""
    config = to(mosquitto_broker, protocol=protocol)
    with running(config) as run:
        assert isinstance(run.next(), LinkUp)
    with CenterSide(mosquitto_broker, ADDRESS) as center:
        center.say(Channel.REPLY, b"late")
        with running(config) as run:
            assert isinstance(run.next(), LinkUp)
            assert run.is_quiet(for_s=0.5)


@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
def test_the_client_id_names_the_device(make_mosquitto: Callable[..., Mosquitto], protocol: str) -> None:
    """A broker's log shows which counter's device is connected, by which protocol, with a clean session."""
    broker = make_mosquitto()
    with running(to(broker, protocol=protocol)) as run:
        assert isinstance(run.next(), LinkUp)
    number = {"3.1.1": "p2", "5": "p5"}[protocol]
    assert re.search(rf"as bentre-q03-rating-boot-5-[0-9a-f]{{4}} \({number}, c1, k15\)", broker.log())


@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
def test_a_refused_login_says_what_to_check(
    make_mosquitto: Callable[..., Mosquitto], caplog: pytest.LogCaptureFixture, protocol: str
) -> None:
    """A broker that refuses the password leads to one warning that names the settings, and to further tries."""
    broker = make_mosquitto(options="allow_anonymous false")
    with running(to(broker, username="q03", protocol=protocol), password="wrong"):  # noqa: S106 - a test's own
        wait_for(lambda: "username" in caplog.text)
        wait_for(lambda: broker.log().count("New client connected") + broker.log().count("disconnected") >= 2)
    assert caplog.text.count("WARNING") == 1


def test_a_device_logs_in_with_its_password(make_mosquitto: Callable[..., Mosquitto], tmp_path: Path) -> None:
    """With the right name and password the link comes up."""
    passwords = tmp_path / "passwords"
    subprocess.run(["mosquitto_passwd", "-b", "-c", str(passwords), "q03", "bí mật"], check=True)
    broker = make_mosquitto(options=f"allow_anonymous false\npassword_file {passwords}")
    with running(to(broker, username="q03"), password="bí mật") as run:  # noqa: S106 - a test's own
        assert isinstance(run.next(), LinkUp)


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an authority, a server's and a device's certificate, and a stranger's authority."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is missing: sudo make system-packages")
    folder = tmp_path_factory.mktemp("papers")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    for authority in ("ca", "stranger"):
        openssl(
            "req", "-x509", *key, "-keyout", f"{authority}.key", "-out", f"{authority}.pem", "-subj", f"/CN={authority}"
        )
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1\n")
    for name in ("server", "device"):
        openssl("req", *key[:-2], "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        signing = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names")
        openssl("x509", "-req", "-in", f"{name}.csr", *signing, "-out", f"{name}.pem")
    return folder


def with_tls(make_mosquitto: Callable[..., Mosquitto], papers: Path, **files: str) -> tuple[Mosquitto, BrokerConfig]:
    """Return a broker that demands TLS with client certificates, and the configuration for it."""
    broker = make_mosquitto(
        options=f"allow_anonymous true\ncafile {papers}/ca.pem\ncertfile {papers}/server.pem\n"
        f"keyfile {papers}/server.key\nrequire_certificate true"
    )
    paths = {"ca_file": "ca.pem", "cert_file": "device.pem", "key_file": "device.key"} | files
    return broker, to(broker, **{key: str(papers / name) for key, name in paths.items()})


def test_tls_with_certificates_on_both_sides(make_mosquitto: Callable[..., Mosquitto], papers: Path) -> None:
    """With an authority and a certificate of its own a device talks TLS, in both directions, many messages."""
    _, config = with_tls(make_mosquitto, papers)
    with running(config) as run:
        assert isinstance(run.next(), LinkUp)
        for _ in range(50):
            assert run.transport.publish(Channel.EVENT, bytes(3000))
        wait_for(lambda: run.transport.unconfirmed() == 0)


def test_a_broker_with_a_strange_certificate_is_not_trusted(
    make_mosquitto: Callable[..., Mosquitto], papers: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A broker that another authority vouches for gets nothing, and the warning says why."""
    _, config = with_tls(make_mosquitto, papers, ca_file="stranger.pem")
    with running(config) as run:
        assert run.is_quiet(for_s=1)
    assert "the broker's certificate is of another authority" in caplog.text


@pytest.mark.parametrize("files", [{"ca_file": "none.pem"}, {"ca_file": "names"}, {"key_file": "server.key"}])
def test_papers_that_cannot_be_used_are_a_configuration_fault(papers: Path, files: dict[str, str]) -> None:
    """A missing, foreign or mismatched certificate ends the program with the setting's name, before it connects."""
    paths = {"ca_file": "ca.pem", "cert_file": "device.pem", "key_file": "device.key"} | files
    config = BrokerConfig(**{key: str(papers / name) for key, name in paths.items()})  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=rf"broker\..*{next(iter(files))}"):
        Transport(ADDRESS, config, password=None, status=status, post=lambda _news: None)


# --- the end ----------------------------------------------------------------------------------------------------------


def test_stop_is_bounded_when_the_broker_is_dead(mosquitto_broker: Broker) -> None:
    """Stopping takes little more than two seconds even if the broker answers nothing."""
    with running(to(mosquitto_broker)) as run:
        assert isinstance(run.next(), LinkUp)
        mosquitto_broker.freeze()
        began = time.monotonic()
        run.transport.stop()
        assert time.monotonic() - began < 10
        mosquitto_broker.thaw()
    wait_for(lambda: not run.transport.alive())


def test_a_stop_at_any_moment_leaves_no_lie_behind(mosquitto_broker: Broker) -> None:
    """Whenever a stop falls into the making of a connection, the last word about the device is offline, or none."""
    took_s: list[float] = []
    for pause_ms in range(12):
        with running(to(mosquitto_broker)) as run:
            time.sleep(pause_ms / 1000)
            began = time.monotonic()
            run.transport.stop()
            took_s.append(time.monotonic() - began)
        with CenterSide(mosquitto_broker, ADDRESS) as latecomer:
            time.sleep(0.02)
            assert states(latecomer) in ([], ["offline"])
    assert min(took_s) < 0.5


def test_a_goodbye_is_heard_out_by_a_broker_that_is_behind() -> None:
    """A broker that still has answers to give when the device leaves can give them, and then reads the goodbye."""
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        running(BrokerConfig(port=server.getsockname()[1])) as run,
    ):
        broker, _ = server.accept()
        with broker:
            broker.settimeout(30)
            assert broker.recv(1024)[0] >> 4 == 1  # CONNECT
            broker.sendall(bytes([0x20, 2, 0, 0]))  # CONNACK
            assert broker.recv(1024)[0] >> 4 == 8  # SUBSCRIBE, of which none is answered
            stopping = threading.Thread(target=run.transport.stop)
            stopping.start()
            said = b""
            while not said.endswith(bytes([0xE0, 0])):  # DISCONNECT
                more = broker.recv(1024)
                assert more, f"it left without a goodbye: {said!r}"
                said += more
            for _ in range(3):  # what is still to be said goes to an end that must be there
                broker.sendall(bytes([0xD0, 0]))
                time.sleep(0.02)
        stopping.join()
        assert not run.transport.alive()


def test_stop_is_quick_when_there_is_no_broker() -> None:
    """A device without contact stops at once, and its thread ends; a second stop does nothing."""
    took_s: list[float] = []
    while not took_s or (min(took_s) >= 0.5 and len(took_s) < 5):  # a busy machine may delay one, but not all
        with running(BrokerConfig(port=free_port())) as run:
            time.sleep(0.5)  # in the middle of a pause
            began = time.monotonic()
            run.transport.stop()
            took_s.append(time.monotonic() - began)
            assert not run.transport.alive()
            run.transport.stop()
    assert min(took_s) < 0.5


def test_a_dead_network_thread_is_seen(mosquitto_broker: Broker) -> None:
    """If the network thread ends by a fault, `alive` says so."""
    died = threading.Event()
    config = to(mosquitto_broker)

    def explode(_presence: Presence) -> bytes:
        raise RuntimeError("a fault of ours")

    transport = Transport(ADDRESS, config, password=None, status=status, post=lambda _news: None)
    transport._status = explode
    hook, threading.excepthook = threading.excepthook, lambda _args: died.set()
    try:
        transport.start()
        assert died.wait(30)
        wait_for(lambda: not transport.alive())
    finally:
        threading.excepthook = hook
        transport.stop()


def test_a_hanging_network_thread_is_seen(mosquitto_broker: Broker) -> None:
    """If the network thread does not come back from a call, `alive` says so; once it is back, it is alive again."""
    hangs, goes_on = threading.Event(), threading.Event()

    def hang(_news: object) -> None:
        hangs.set()
        goes_on.wait(60)

    transport = Transport(ADDRESS, to(mosquitto_broker), password=None, status=status, post=hang, hangs_after_ms=200)
    transport.start()
    try:
        assert hangs.wait(30)
        wait_for(lambda: not transport.alive())
        goes_on.set()
        wait_for(transport.alive)
    finally:
        goes_on.set()
        transport.stop()


# --- memory -----------------------------------------------------------------------------------------------------------


def test_without_tls_neither_ssl_nor_http_is_loaded(mosquitto_broker: Broker) -> None:
    """A device without TLS carries no OpenSSL and no HTTP client, talks to its broker, and may load them later."""
    script = f"""
import sys
from queue import SimpleQueue
from contract.topics import Address
from firmware.config import BrokerConfig
from firmware.mqtt.transport import LinkUp, Transport
news = SimpleQueue()
transport = Transport(Address("bentre", "q03", "rating"), BrokerConfig(port={mosquitto_broker.port}), password=None,
                      status=lambda presence: b"{{}}", post=news.put)
transport.start()
assert isinstance(news.get(timeout=30), LinkUp)
transport.stop()
print(sorted({{"ssl", "_ssl", "_hashlib", "http.client", "email"}} & set(sys.modules)))
import ssl, hashlib, urllib.request
ssl.create_default_context(), hashlib.sha256(b""), urllib.request.Request("http://127.0.0.1/")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=100, check=False)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")
