"""Who is heard at the broker, from what they say of themselves."""

import pytest

from contract.codec import encode
from contract.states import Status
from contract.topics import Address
from firmware.doctor import hearing
from host.doctor.broker import Word
from host.doctor.holders import Holder

RATING = Address(center="bentre", station="q01", device="rating")
DAEMON = Holder(700, "motcua device run rating", "motcua-device@rating.service")
TOPIC = hearing.center_topic(RATING)


def word(state: str, *, live: bool = True, version: str = "0.1.0") -> Word:
    """Return what somebody says of itself."""
    status = Status(state=state, version=version, bootid="boot-1", since="2026-11-23T01:02:03Z")  # type: ignore[arg-type]
    return Word(encode(status), live=live)


@pytest.mark.parametrize(
    ("heard", "code", "level"),
    [
        ({TOPIC: word("online")}, "center-online", "ok"),
        ({TOPIC: word("online", live=False)}, "center-silent", "warning"),
        ({TOPIC: word("offline", live=False)}, "center-gone", "problem"),
        ({TOPIC: word("lost", live=False)}, "center-gone", "problem"),
        ({}, "center-unheard", "problem"),
        ({TOPIC: Word(b"hello", live=True)}, "center-unheard", "problem"),
    ],
)
def test_the_center_is_judged_by_its_own_word(heard: dict[str, Word], code: str, level: str) -> None:
    """A live online is well; an old one, a farewell, a last will and silence are not."""
    finding = hearing.judge_center(heard, TOPIC, center="bentre")
    assert (finding.code, finding.level) == (code, level)


@pytest.mark.parametrize(
    ("said", "holder", "codes"),
    [
        (word("online", live=False), DAEMON, ["device-online"]),
        (word("online", version="0.0.9"), DAEMON, ["device-version"]),
        (word("lost", live=False), DAEMON, ["device-offline"]),
        (word("lost", live=False), None, []),
        (None, DAEMON, []),
    ],
)
def test_a_device_is_judged_where_its_daemon_runs(said: Word | None, holder: Holder | None, codes: list[str]) -> None:
    """What runs here should be online and of this version; what does not is its unit's matter."""
    expected = hearing.Expected(RATING, holder)
    heard = {} if said is None else {expected.topic: said}
    assert [each.code for each in hearing.judge_devices(heard, [expected], version="0.1.0")] == codes


@pytest.mark.parametrize(
    ("connected", "codes"), [(True, ["device-connected"]), (False, ["device-unconnected"]), (None, [])]
)
def test_a_daemon_s_connection_is_judged_by_the_kernel(connected: bool | None, codes: list[str]) -> None:
    """Whether a daemon is connected is known without asking the broker."""
    assert [each.code for each in hearing.judge_connection(DAEMON, connected)] == codes
