"""Counters that empty their outboxes: as many devices as asked for, each on a connection of its own.

Each keeps at most 20 events unacknowledged and sends the next when the center has acknowledged some, as the pump on a
Pi does. The packets are made beforehand, so that little of what is measured is this program. With `--heard broker` the
broker's PUBACK counts instead: then nobody but a counter of messages listens.
"""

import argparse
import itertools
import json
import selectors
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from benchmarks.wire import MIDS, Wire, publish
from contract.envelope import seal
from contract.events import DeviceHealth, DisplayShown, Fact, RatingGiven, RatingIgnored
from contract.ids import uuid7
from contract.topics import Address, Channel
from firmware.mqtt.pump import WINDOW

STALLED_S = 20.0
_START = datetime.now(UTC) - timedelta(hours=1)
"""Lately: what is older than a day the center thins."""


def facts() -> Iterator[Fact]:
    """Return what a counter says on a busy day: every second one is a display's, every fourth a rating."""
    for turn in itertools.count():
        yield DisplayShown(revision=turn, proof="echoed", latency_ms=9)
        yield RatingGiven(level=1 + turn % 3, scale="vn-3", ticket=uuid7(), armed_for_ms=4210, pressed_ms=15)
        yield DisplayShown(revision=turn + 1, proof="written", latency_ms=11)
        yield (
            DeviceHealth(outbox_depth=turn % 20, uptime_s=turn, clocksynced=True, version="0.1.0", temperature_c=51.5)
            if turn % 2
            else RatingIgnored(why="repeated", level=1)
        )


def events(address: Address, count: int) -> list[bytes]:
    """Return the first events of an outbox."""
    stream = uuid7()
    return [
        seal(
            fact,
            event_id=uuid7(),
            source=address.source,
            time=_START + timedelta(seconds=sequence),
            sequence=sequence,
            stream=stream,
            boot_id="boot-1",
            monotonic_ms=1000 * sequence,
            clock_synced=True,
        )
        for sequence, fact in zip(range(1, count + 1), facts(), strict=False)
    ]


class Outbox:
    """One device: what it has to send, and how much of it was acknowledged."""

    def __init__(self, port: int, address: Address, payloads: list[bytes], *, heard: str) -> None:
        topic, mids = address.topic(Channel.EVENT), itertools.cycle(range(1, MIDS))
        self._packets = [publish(topic, payload, mid=next(mids)) for payload in payloads]
        self._heard_center = heard == "center"
        self.sent = self.acknowledged = 0
        self.wire = Wire(port, f"feeder-{address.station}", [address.topic(Channel.ACK)])

    @property
    def done(self) -> bool:
        """Whether everything was acknowledged."""
        return self.acknowledged == len(self._packets)

    def fill(self) -> None:
        """Send what the window allows."""
        until = min(self.acknowledged + WINDOW, len(self._packets))
        if until > self.sent:
            self.wire.send(b"".join(self._packets[self.sent : until]))
            self.sent = until

    def read(self) -> None:
        """Take in what came, then send on."""
        confirmed, messages = self.wire.read()
        if self._heard_center:
            self.acknowledged += sum(len(json.loads(ack)["ids"]) for _, ack in messages)
        else:
            self.acknowledged += confirmed
        self.fill()


def main() -> None:
    """Wait for a line on the standard input, send everything, print the seconds it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--center", default="bentre")
    parser.add_argument("--devices", type=int, required=True)
    parser.add_argument("--events", type=int, required=True, help="of each device")
    parser.add_argument("--heard", choices=("center", "broker"), default="center", help="whose acknowledgement counts")
    options = parser.parse_args()
    selector = selectors.DefaultSelector()
    outboxes = []
    for each in range(options.devices):
        address = Address(center=options.center, station=f"q{each + 1:02d}", device="rating")
        outbox = Outbox(options.port, address, events(address, options.events), heard=options.heard)
        selector.register(outbox.wire.sock, selectors.EVENT_READ, outbox)
        outboxes.append(outbox)
    print("ready", flush=True)
    sys.stdin.readline()
    began = time.perf_counter()
    for outbox in outboxes:
        outbox.fill()
    while not all(outbox.done for outbox in outboxes):
        ready = selector.select(STALLED_S)
        if not ready:
            sys.exit(f"no acknowledgement for {STALLED_S:.0f} s")
        for key, _ in ready:
            key.data.read()
    print(time.perf_counter() - began, flush=True)


if __name__ == "__main__":
    main()
