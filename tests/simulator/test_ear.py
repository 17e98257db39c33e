"""The listener on a real broker: when the center's word for an event was heard."""

import time

import paho.mqtt.publish as publish

from contract.codec import encode
from contract.requests import Ack
from simulator.ear import Ear
from tests.support.brokers import Broker

TOPIC = "motcua/v1/bentre/q01/rating/ack"
PATIENCE_S = 30.0


def test_an_acknowledgement_covers_what_it_names(any_broker: Broker) -> None:
    """An acknowledgement up to a sequence number covers the events before it, one by id covers that event."""
    ear = Ear(any_broker.port)
    ear.open()
    try:
        before_ns = time.monotonic_ns()
        deadline = time.monotonic() + PATIENCE_S
        asked = (("e9", "other", 1), ("e1", "s1", 5))
        # The listener may begin to hear between the two.
        while None in [ear.acknowledged_ns(event=event, stream=stream, sequence=at) for event, stream, at in asked]:
            assert time.monotonic() < deadline
            for payload in (b"not ours", encode(Ack(stream="s1", upto=7)), encode(Ack(ids=("e9",)))):
                publish.single(TOPIC, payload, hostname="127.0.0.1", port=any_broker.port)
            time.sleep(0.05)
        heard_ns = ear.acknowledged_ns(event="e1", stream="s1", sequence=5)
        assert heard_ns is not None
        assert before_ns < heard_ns < time.monotonic_ns()
        assert ear.acknowledged_ns(event="e1", stream="s1", sequence=8) is None
        assert ear.acknowledged_ns(event="e1", stream="s2", sequence=5) is None
    finally:
        ear.close()
