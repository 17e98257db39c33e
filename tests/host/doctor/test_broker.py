"""The way to a real broker, and every place where it may end."""

import socket
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from host.doctor import broker
from host.doctor.broker import Door, VisitFacts
from simulator.ports import free_port
from tests.support.brokers import Mosquitto
from tests.support.certificates import Office, Paper
from tests.support.waiting import wait_for

NOW = datetime.now(UTC)
TOPIC = "motcua/v1/bentre/center/hall/status"

pytestmark = pytest.mark.mosquitto


def visit(door: Door) -> VisitFacts:
    """Visit a broker; it is enough to have come in."""
    return broker.probe(door, [TOPIC], enough=lambda _: True)


def codes(facts: VisitFacts, door: Door, *, clock_is_set: bool = True) -> list[str]:
    """Return what is found."""
    return [each.code for each in broker.judge(facts, door, now=NOW, clock_is_set=clock_is_set)]


def secured(make: Callable[..., Mosquitto], server: Paper, *, root: Path, wants_certificate: bool = False) -> Mosquitto:
    """Return a broker that speaks TLS, and asks for a certificate where it is told so."""
    return make(
        options=f"allow_anonymous true\ncafile {root}\ncertfile {server.certificate}\nkeyfile {server.key}\n"
        f"require_certificate {str(wants_certificate).lower()}"
    )


def test_an_open_door(mosquitto_broker: Mosquitto) -> None:
    """A broker without passwords answers and lets us in."""
    door = Door("127.0.0.1", mosquitto_broker.port)
    facts = visit(door)
    assert codes(facts, door) == ["broker-answers", "broker-login"]
    assert facts.addresses == ["127.0.0.1"]
    assert facts.let_in


@pytest.mark.parametrize("mqtt_5", [False, True], ids=["3.1.1", "5"])
def test_a_wrong_password_is_refused(make_mosquitto: Callable[..., Mosquitto], tmp_path: Path, mqtt_5: bool) -> None:
    """A broker that does not know us says so, by either protocol."""
    (tmp_path / "users").write_text("")
    running = make_mosquitto(options=f"allow_anonymous false\npassword_file {tmp_path / 'users'}")
    door = Door("127.0.0.1", running.port, "counters", "wrong", mqtt_5=mqtt_5)
    facts = visit(door)
    assert codes(facts, door) == ["broker-answers", "broker-refused"]
    assert "ot authorized" in facts.login_fault


def test_nobody_answers() -> None:
    """A port without a listener, and a name that leads nowhere, are told apart."""
    door = Door("127.0.0.1", free_port())
    assert codes(visit(door), door) == ["broker-silent"]
    door = Door("no-such-host.invalid", 1883)
    assert codes(visit(door), door) == ["broker-name"]


def test_somebody_else_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that is no broker and says nothing is not waited for any longer than the limit."""
    monkeypatch.setattr(broker, "TIMEOUT_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        door = Door("127.0.0.1", silent.getsockname()[1])
        began = time.monotonic()
        assert codes(visit(door), door) == ["broker-answers", "broker-refused"]
        assert time.monotonic() - began < 10


def test_nobody_is_thrown_off_and_nothing_is_said(mosquitto_broker: Mosquitto) -> None:
    """Who is connected stays so, and hears nothing of the visit."""
    heard: list[str] = []
    lost = threading.Event()
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id="bentre-q01-rating")
    ready = threading.Event()
    client.on_subscribe = lambda *_: ready.set()
    client.on_message = lambda _client, _data, message: heard.append(message.topic)
    client.on_disconnect = lambda *_: lost.set()
    client.connect("127.0.0.1", mosquitto_broker.port)
    client.loop_start()
    try:
        client.subscribe("#")
        assert ready.wait(30)
        facts = visit(Door("127.0.0.1", mosquitto_broker.port))
        assert facts.let_in
        client.publish(TOPIC, b"after", qos=1).wait_for_publish(5)
        wait_for(lambda: heard)
        assert heard == [TOPIC]
        assert not lost.is_set()
    finally:
        client.disconnect()
        client.loop_stop()


def test_what_is_kept_is_told_from_what_is_said_now(mosquitto_broker: Mosquitto) -> None:
    """A retained word is heard at once; a live one while we listen ends the visit when it is enough."""
    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1", mosquitto_broker.port)
    client.loop_start()
    stop = threading.Event()

    def speak() -> None:
        while not stop.wait(0.05):
            client.publish(TOPIC, b"now", qos=1)

    thread = threading.Thread(target=speak)
    try:
        client.publish(TOPIC, b"kept", qos=1, retain=True).wait_for_publish(5)
        door = Door("127.0.0.1", mosquitto_broker.port)
        word = broker.probe(door, [TOPIC], enough=lambda heard: TOPIC in heard).heard[TOPIC]
        assert (word.payload, word.live) == (b"kept", False)
        thread.start()
        word = broker.probe(door, [TOPIC], enough=lambda heard: TOPIC in heard and heard[TOPIC].live).heard[TOPIC]
        assert (word.payload, word.live) == (b"now", True)
    finally:
        stop.set()
        if thread.ident:
            thread.join()
        client.disconnect()
        client.loop_stop()


def test_a_good_certificate_is_named_with_its_end(make_mosquitto: Callable[..., Mosquitto], tmp_path: Path) -> None:
    """Over TLS the broker's certificate is judged, too."""
    office = Office(tmp_path / "office")
    running = secured(make_mosquitto, office.paper("server", days=(-1, 20)), root=office.root)
    door = Door("127.0.0.1", running.port, context=broker.trusting(office.root))
    facts = visit(door)
    assert codes(facts, door) == ["broker-answers", "certificate-ends", "broker-login"]
    assert "(server)" in broker.judge(facts, door, now=NOW, clock_is_set=True)[1].says


def test_a_strange_certificate_is_not_trusted(make_mosquitto: Callable[..., Mosquitto], tmp_path: Path) -> None:
    """Another authority's, another name's, one that is over, and one that has not begun each have their line."""
    office, other = Office(tmp_path / "office"), Office(tmp_path / "other", "Another")
    good = office.paper("server")
    running = secured(make_mosquitto, good, root=office.root)
    door = Door("127.0.0.1", running.port, context=broker.trusting(other.root))
    assert codes(visit(door), door) == ["broker-certificate"]
    for days in ((-9, -1), (1, 9)):
        running = secured(make_mosquitto, office.paper("timed", days=days), root=office.root)
        door = Door("127.0.0.1", running.port, context=broker.trusting(office.root))
        facts = visit(door)
        assert codes(facts, door) == ["broker-certificate-time"]
        (unset,) = broker.judge(facts, door, now=NOW, clock_is_set=False)
        assert "timedatectl" in unset.do
    running = secured(make_mosquitto, office.paper("elsewhere", host="10.9.9.9"), root=office.root)
    door = Door("127.0.0.1", running.port, context=broker.trusting(office.root))
    assert codes(visit(door), door) == ["broker-certificate-name"]


def test_a_broker_without_tls_is_told(mosquitto_broker: Mosquitto, tmp_path: Path) -> None:
    """TLS at a port that speaks none is no question of certificates."""
    door = Door("127.0.0.1", mosquitto_broker.port, context=broker.trusting(Office(tmp_path).root))
    assert codes(visit(door), door) == ["broker-tls"]


def test_a_key_opens_the_door_or_does_not(make_mosquitto: Callable[..., Mosquitto], tmp_path: Path) -> None:
    """A broker that wants a certificate takes its own authority's, and refuses another's and none."""
    office, other = Office(tmp_path / "office"), Office(tmp_path / "other", "Another")
    running = secured(make_mosquitto, office.paper("server"), root=office.root, wants_certificate=True)

    def door(paper: Paper | None) -> Door:
        context = broker.trusting(office.root)
        if paper is not None:
            context.load_cert_chain(paper.certificate, paper.key)
        return Door("127.0.0.1", running.port, context=context, explain=lambda _: "the reason")

    ours = door(office.paper("q01/rating"))
    assert codes(visit(ours), ours) == ["broker-answers", "certificate", "broker-login"]
    for strange in (door(other.paper("q01/rating")), door(None)):
        facts = visit(strange)
        assert codes(facts, strange) == ["broker-tls"]
        assert facts.tls_fault == "the reason"
