"""Brokers and networks that lie, repeat and turn round: what was confirmed is stored, once."""

from pathlib import Path

import pytest

from contract.codec import encode
from contract.states import Armed, RatingDesired
from contract.topics import Channel
from tests.support.brokers import Broker
from tests.support.center import CenterSide
from tests.support.meddler import Backwards, Forgetful, Meddler, Mischief, TenTimes
from tests.support.waiting import wait_for
from tests.support.whole import ADDRESS, Center, Device, settled


def test_a_broker_that_confirms_and_forgets_loses_nothing(any_broker: Broker, tmp_path: Path) -> None:
    """What the broker said it had, and had not, waits in the outbox until the center itself has it."""
    mischief = Forgetful()
    with (
        Meddler(any_broker, mischief) as meddler,
        Center(tmp_path / "center", any_broker) as center,
        Device(tmp_path / "pad", meddler) as device,
    ):
        device.press(30)
        wait_for(lambda: device.lit() == 30 and mischief.forgotten > 20)
        assert center.stored() == []
        mischief.cured = True
        wait_for(settled(center, device), timeout_s=30)
        stored = center.stored()
    assert len(stored) == len(set(stored)) == 30
    assert [sequence for _, sequence in stored] == sorted(sequence for _, sequence in stored)


@pytest.mark.parametrize("mischief", [TenTimes, Backwards])
@pytest.mark.parametrize(
    ("broker", "where"), [("mosquitto_broker", "device"), ("mosquitto_broker", "center"), ("amqtt_broker", "device")]
)
def test_repeated_and_turned_messages_store_each_press_once(
    request: pytest.FixtureRequest, tmp_path: Path, mischief: type[Mischief], broker: str, where: str
) -> None:
    """Events and acknowledgements that come ten times, or the wrong way round, on either side of the broker."""
    any_broker: Broker = request.getfixturevalue(broker)
    done = mischief()
    with (
        Meddler(any_broker, done) as meddler,
        Center(tmp_path / "center", meddler if where == "center" else any_broker) as center,
        Device(tmp_path / "pad", meddler if where == "device" else any_broker) as device,
    ):
        wait_for(device.is_up, timeout_s=30)
        for _ in range(6):
            device.press(10)
        wait_for(lambda: device.lit() == 60)
        wait_for(settled(center, device), timeout_s=30)
        stored = center.stored()
        assert center.put_aside() == 0
    assert not isinstance(done, Backwards) or done.turned
    assert len(stored) == len(set(stored)) == 60


def test_an_old_state_that_comes_late_changes_nothing(any_broker: Broker, tmp_path: Path) -> None:
    """Of desired states that come the wrong way round the newest stands, however they come."""
    mischief = Backwards()
    with (
        CenterSide(any_broker, ADDRESS) as center,
        Meddler(any_broker, mischief) as meddler,
        Device(tmp_path / "pad", meddler) as device,
    ):
        wait_for(device.is_up, timeout_s=30)
        for first in (1, 6, 11):
            turned = mischief.turned
            for revision in range(first, first + 5):
                armed = Armed(ticket=f"t{revision}", number="A007", seconds=30)
                center.say(Channel.DESIRED, RatingDesired(revision=revision, armed=armed), wait=False)
            wait_for(lambda turned=turned: mischief.turned > turned)
            newest = RatingDesired(revision=first + 4, armed=armed)
            wait_for(lambda newest=newest: newest in device.decisions.heard)
            center.say(Channel.DESIRED, encode(RatingDesired(revision=first, armed=None)))
        wait_for(lambda: len(center.heard(Channel.DESIRED)) == 18)
        states = [heard for heard in device.decisions.heard if isinstance(heard, RatingDesired)]
    assert states == sorted(states, key=lambda state: state.revision)
    assert states[-1].revision == 15
