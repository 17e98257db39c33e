"""A stranger who connects by a device's name, once: the device must not stay connected and hear nothing for ever."""

import threading
from pathlib import Path

from contract.codec import encode
from contract.events import RatingIgnored
from contract.ids import uuid7
from contract.states import RatingDesired, Status
from contract.topics import Address, Channel
from firmware.clock import SystemClock
from firmware.config import BrokerConfig
from firmware.daemon import Daemon, Stop
from firmware.health import HealthProbe
from firmware.mqtt.outbox import Outbox
from firmware.mqtt.pump import Pump
from firmware.mqtt.transport import Presence, Transport
from firmware.ports import Record
from host.notify import Notifier
from tests.support.brokers import Broker
from tests.support.center import CenterSide
from tests.support.hands import Hands, Obedient
from tests.support.stranger import take_over
from tests.support.waiting import wait_for

ADDRESS = Address(center="bentre", station="q03", device="rating")


def status(presence: Presence) -> bytes:
    """Return what the device says of itself."""
    return encode(Status(state=presence, version="1", bootid="b", since="2026-11-23T01:02:03.000Z"))


def test_a_device_whose_name_was_used_once_hears_again(any_broker: Broker, tmp_path: Path) -> None:
    """Whether the broker ended its connection or only forgot its subscriptions, a desired state reaches it again."""
    clock, hands, decisions = SystemClock(), Hands(), Obedient()
    daemon = Daemon(
        source=ADDRESS.source,
        build=lambda _memory: (decisions, hands),
        desired=RatingDesired,
        outbox=Outbox(tmp_path, clock=clock, new_id=uuid7),
        clock=clock,
        notifier=Notifier({}),
        probe=HealthProbe(version="1", clock=clock, disk=tmp_path),
        pump=Pump(ack_timeout_ms=300),
    )
    broker = BrokerConfig(host=any_broker.host, port=any_broker.port)
    link = Transport(ADDRESS, broker, password=None, status=status, post=daemon.post)
    thread = threading.Thread(target=daemon.run, args=(link,))
    with CenterSide(any_broker, ADDRESS, acks=True) as center:
        thread.start()
        try:
            wait_for(lambda: hands.opened)
            center.wait_for(Channel.EVENT)  # its health
            take_over(any_broker, link._client_id)
            hands.do(Record(RatingIgnored(why="late", level=1)))

            wanted = RatingDesired(revision=1, armed=None)

            def hears() -> bool:
                center.say(Channel.DESIRED, wanted)
                return wanted in decisions.heard

            wait_for(hears, timeout_s=30, every_s=0.2)
        finally:
            daemon.post(Stop())
            thread.join(30)
