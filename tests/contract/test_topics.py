"""Topic names: literal strings in and out, and what no broker should ever see."""

import pytest

from contract.errors import ContractError
from contract.topics import QOS, Address, Channel, center_address, center_filter, parse

PAD = Address(center="bentre", station="q03", device="rating")

TOPICS = {
    Channel.EVENT: "motcua/v1/bentre/q03/rating/event",
    Channel.ACK: "motcua/v1/bentre/q03/rating/ack",
    Channel.STATUS: "motcua/v1/bentre/q03/rating/status",
    Channel.DESIRED: "motcua/v1/bentre/q03/rating/desired",
    Channel.REPORTED: "motcua/v1/bentre/q03/rating/reported",
    Channel.REQUEST: "motcua/v1/bentre/q03/rating/request",
    Channel.REPLY: "motcua/v1/bentre/q03/rating/reply",
}


@pytest.mark.parametrize("channel", Channel)
def test_a_topic_is_built_and_read_back(channel: Channel) -> None:
    """Each channel of a device has one topic, and that topic leads back to the device and the channel."""
    assert PAD.topic(channel) == TOPICS[channel]
    assert parse(TOPICS[channel]) == (PAD, channel)


def test_the_root_is_configurable() -> None:
    """Two installations on one broker differ in the first segment alone."""
    pad = Address(center="bentre", station="hall-1", device="kiosk", root="motcua-test")
    assert pad.topic(Channel.EVENT) == "motcua-test/v1/bentre/hall-1/kiosk/event"
    assert parse("motcua-test/v1/bentre/hall-1/kiosk/event") == (pad, Channel.EVENT)


def test_the_source_of_an_event_is_the_address() -> None:
    """An event's source names center, station and device as its topic does, without the root."""
    assert PAD.source == "/bentre/q03/rating"


def test_a_center_hears_a_channel_of_all_its_devices() -> None:
    """One subscription a channel is enough for a whole center."""
    assert center_filter("bentre", Channel.EVENT) == "motcua/v1/bentre/+/+/event"
    assert center_filter("bentre", Channel.STATUS, root="test") == "test/v1/bentre/+/+/status"


def test_the_center_has_a_place_of_its_own() -> None:
    """What the center says of itself stands among what its devices say, at a station that no device can have."""
    assert center_address("bentre").topic(Channel.STATUS) == "motcua/v1/bentre/center/hall/status"
    assert center_address("bentre", root="test").topic(Channel.STATUS) == "test/v1/bentre/center/hall/status"
    assert parse("motcua/v1/bentre/center/hall/status") == (center_address("bentre"), Channel.STATUS)


@pytest.mark.parametrize("center", ["+", "#", "a/b", "", "bentre\n"])
def test_a_center_hears_no_other_center(center: str) -> None:
    """A wildcard or a slash in a center's name cannot widen its subscription."""
    with pytest.raises(ContractError, match=r"^center: "):
        center_filter(center, Channel.EVENT)


@pytest.mark.parametrize(
    "segment",
    [
        "",
        "Q03",
        "q_03",
        "q.03",
        "q 03",
        "q/03",
        "+",
        "#",
        "-q",
        "q-",
        "$s",
        "q\n",
        "\nq",
        "q\x00",
        "quầy",
        "３",
        "q" * 33,
    ],
)
@pytest.mark.parametrize("name", ["center", "station", "device", "root"])
def test_a_segment_that_a_broker_would_misread_is_refused(name: str, segment: str) -> None:
    """A name with anything but a-z, 0-9 and inner hyphens makes no address, and the error says which name."""
    with pytest.raises(ContractError) as caught:
        Address(**{"center": "bentre", "station": "q03", "device": "rating", name: segment})
    assert caught.value.field == name
    assert "1 to 32 of a-z, 0-9 and inner hyphens" in caught.value.reason
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("segment", ["a", "0", "q03", "hall-1", "a--b", "q" * 32])
def test_a_plain_segment_is_taken(segment: str) -> None:
    """One to 32 plain characters make a name."""
    assert Address(center=segment, station=segment, device=segment).source == f"/{segment}/{segment}/{segment}"


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "/",
        "motcua",
        "motcua/v1/bentre/q03/rating",
        "motcua/v1/bentre/q03/rating/event/",
        "/motcua/v1/bentre/q03/rating/event",
        "motcua/v2/bentre/q03/rating/event",
        "motcua/v1/bentre/q03/rating/telemetry",
        "motcua/v1/bentre/q03/rating/EVENT",
        "motcua/v1/bentre/q03/rating/event\n",
        "motcua/v1/bentre//rating/event",
        "motcua/v1/bentre/+/rating/event",
        "motcua/v1/bentre/q03/#/event",
        "motcua/v1/Bentre/q03/rating/event",
        "$SYS/v1/bentre/q03/rating/event",
        "motcua/v1/bentre/q03\x00/rating/event",
        "motcua/v1/bentre/\ud800/rating/event",
        "x" * 65_535,
    ],
)
def test_a_topic_that_is_not_ours_is_refused(topic: str) -> None:
    """Any other topic ends in one error that is safe and short enough for a log line."""
    with pytest.raises(ContractError) as caught:
        parse(topic)
    assert caught.value.field in {"topic", "root", "center", "station", "device"}
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500


def test_states_are_retained_and_nothing_else() -> None:
    """A device that starts finds its state at the broker, and never an old fact, ack, request or reply."""
    assert {channel for channel in Channel if channel.retained} == {Channel.STATUS, Channel.DESIRED, Channel.REPORTED}
    assert QOS == 1


def test_each_channel_has_one_speaker() -> None:
    """On every channel either the device speaks or the center, never both."""
    assert {channel for channel in Channel if channel.from_device} == {
        Channel.EVENT,
        Channel.STATUS,
        Channel.REPORTED,
        Channel.REQUEST,
    }
