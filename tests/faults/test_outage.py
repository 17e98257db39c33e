"""An hour without a broker: all of it waits at the device, and goes out in order and in small portions afterwards."""

from contextlib import closing
from pathlib import Path

import pytest

from contract.codec import decode
from contract.events import RatingGiven
from contract.ids import uuid7
from contract.requests import Ack
from contract.topics import Channel
from firmware.mqtt.outbox import Outbox
from firmware.mqtt.pump import WINDOW
from tests.support.brokers import Broker
from tests.support.center import CenterSide
from tests.support.clock import ManualClock
from tests.support.waiting import wait_for
from tests.support.whole import ADDRESS, Center, Device

HOUR_MS = 3_600_000


def fill(folder: Path, presses: int) -> None:
    """Press as often within an hour of which no broker hears."""
    clock = ManualClock()
    with closing(Outbox(folder, clock=clock, new_id=uuid7)) as outbox:
        outbox.open()
        assert outbox._db is not None
        outbox._db.execute("PRAGMA synchronous = OFF")  # this is not about the disk
        for number in range(1, presses + 1):
            clock.advance(HOUR_MS // presses)
            outbox.append(RatingGiven(level=3, scale="vn-3", ticket=None, armed_for_ms=None, pressed_ms=number))


def most_on_their_way(center: CenterSide) -> int:
    """Return how many events were sent and not acknowledged at most, as a listener at the broker heard it."""
    open_ids: set[str] = set()
    most = 0
    for heard in center.everything():
        if heard.topic == ADDRESS.topic(Channel.EVENT):
            open_ids.add(heard.payload.partition(b'"id":"')[2].partition(b'"')[0].decode())
            most = max(most, len(open_ids))
        elif heard.topic == ADDRESS.topic(Channel.ACK):
            open_ids -= set(decode(heard.payload, Ack).ids)
    return most


@pytest.mark.parametrize("presses", [500, pytest.param(10_000, marks=pytest.mark.long)])
@pytest.mark.mosquitto
def test_an_hour_of_presses_is_stored_once_and_in_order(mosquitto_broker: Broker, tmp_path: Path, presses: int) -> None:
    """What was pressed while there was no broker is at the center afterwards, once, in order, twenty at a time."""
    pad = tmp_path / "pad"
    fill(pad, presses)
    mosquitto_broker.stop()
    with Device(pad, mosquitto_broker, ack_timeout_ms=15_000) as device:
        device.press()
        wait_for(lambda: device.lit() == 1)
        mosquitto_broker.start()
        with CenterSide(mosquitto_broker, ADDRESS) as ear, Center(tmp_path / "center", mosquitto_broker) as center:
            wait_for(lambda: not device.waiting(), timeout_s=110, every_s=0.1)
            numbers = [number for _, number in center.stored()]
            sent = len(ear.heard(Channel.EVENT))
            most = most_on_their_way(ear)
    assert numbers == [*range(1, presses + 1), 1]
    assert most <= 2 * WINDOW  # an ack is on its way to the device while it is heard here, or the other way round
    assert sent <= presses + 2 + 4 * WINDOW  # its health; what was on its way when the center was not there yet
