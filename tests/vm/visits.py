"""A full hall: kiosks, call pads and rating pads that ask the center as fast as it answers, and note each answer.

    visits.py COUNT CENTER HTTP_PORT BROKER BROKER_PORT SERVICE COUNTER ...

So many numbers are taken at each kiosk, called at each counter, and so many ratings given there. Runs inside the
virtual machine, beside the center. Kiosks speak HTTP, each time from another address; pads the contract over MQTT.
"""

import http.client
import json
import queue
import sys
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from witness import Witness

from contract.codec import decode, encode
from contract.envelope import seal
from contract.events import RatingGiven
from contract.ids import uuid7
from contract.requests import Ack, Args, Reply, Request
from contract.topics import QOS, Address, Channel, parse

KIOSKS = 3
ADDRESSES = 200
"""A center may slow down an address that takes too many numbers; that is not what is looked at here."""
UNACKNOWLEDGED = 5
PATIENCE_S = 60


def take_tickets(kiosk: int, count: int, port: int, service: str, witness: Witness) -> None:
    """Take numbers, one after the other."""
    for number in range(count):
        address = f"127.1.{kiosk}.{number % ADDRESSES + 1}"
        center = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S, source_address=(address, 0))
        head = {"Content-Type": "application/json", "Idempotency-Key": str(uuid.uuid4())}
        center.request("POST", "/api/tickets", json.dumps({"service": service}), head)
        answer = center.getresponse()
        body = json.loads(answer.read())
        center.close()
        if answer.status != 201:
            raise SystemExit(f"no number was given: {answer.status} {body}")
        witness.note(ticket=body["ticket"]["id"], number=body["ticket"]["number"])


class Counter:
    """A call pad and a rating pad at one counter."""

    def __init__(self, link: mqtt.Client, center: str, station: str, witness: Witness) -> None:
        self._link, self._witness = link, witness
        self._pad = Address(center=center, station=station, device="callpad")
        self._rating = Address(center=center, station=station, device="rating")
        self._stream = uuid.uuid4().hex
        self._replies: queue.SimpleQueue[Reply] = queue.SimpleQueue()
        self._room = threading.Semaphore(UNACKNOWLEDGED)
        self.topics = [self._pad.topic(Channel.REPLY), self._rating.topic(Channel.ACK)]

    def hear(self, channel: Channel, payload: bytes | bytearray) -> None:
        """Take a message of the center's."""
        if channel is Channel.REPLY:
            self._replies.put(decode(payload, Reply))
            return
        for event in decode(payload, Ack).ids:
            self._witness.note(rating=event)
            self._room.release()

    def call(self, count: int) -> None:
        """Open, then call one number after the other."""
        self._ask("open")
        while count:
            reply = self._ask("call_next")
            if reply.ok and reply.ticket is not None:
                self._witness.note(called=reply.ticket.id, number=reply.ticket.number)
                count -= 1

    def rate(self, count: int) -> None:
        """Give ratings, a few of them on their way at a time."""
        for sequence in range(1, count + 1):
            if not self._room.acquire(timeout=PATIENCE_S):
                raise SystemExit("ratings are not acknowledged")
            now = datetime.now(UTC)
            fact = RatingGiven(level=sequence % 3 + 1, scale="vn-3", ticket=None, armed_for_ms=None, pressed_ms=20)
            event = seal(
                fact,
                event_id=uuid7(),
                source=self._rating.source,
                time=now,
                sequence=sequence,
                stream=self._stream,
                boot_id="rig",
                monotonic_ms=time.monotonic_ns() // 1_000_000,
                clock_synced=True,
            )
            self._link.publish(self._rating.topic(Channel.EVENT), event, qos=QOS)

    def _ask(self, action: str) -> Reply:
        request = Request(id=uuid.uuid4().hex, action=action, args=Args(), expires_in_ms=60_000)  # type: ignore[arg-type]
        self._link.publish(self._pad.topic(Channel.REQUEST), encode(request), qos=QOS)
        while (reply := self._replies.get(timeout=PATIENCE_S)).id != request.id:
            continue
        return reply


def main() -> None:
    """Fill the hall until everybody was served."""
    count, center, port, broker, broker_port, service, *stations = sys.argv[1:]
    witness = Witness()
    link = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="visits")
    counters = {station: Counter(link, center, station, witness) for station in stations}
    ready = threading.Event()

    def hear(_client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        address, channel = parse(message.topic)
        counters[address.station].hear(channel, message.payload)

    link.on_message = hear
    link.on_subscribe = lambda *_: ready.set()
    link.connect(broker, int(broker_port))
    link.loop_start()
    link.subscribe([(topic, QOS) for counter in counters.values() for topic in counter.topics])
    if not ready.wait(PATIENCE_S):
        raise SystemExit("the broker does not answer")
    each = int(count)
    with ThreadPoolExecutor(KIOSKS + 2 * len(counters)) as people:
        work = [people.submit(take_tickets, kiosk, each, int(port), service, witness) for kiosk in range(KIOSKS)]
        work += [people.submit(counter.call, each) for counter in counters.values()]
        work += [people.submit(counter.rate, each) for counter in counters.values()]
    for one in work:
        one.result()


if __name__ == "__main__":
    main()
