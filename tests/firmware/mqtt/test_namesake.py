"""Whose the name is, with literal words and times."""

import pytest

from contract.codec import encode
from contract.states import Status
from firmware.mqtt.namesake import CLAIM_S, Namesake


def word(state: str, boot: str = "other", since: str = "s") -> bytes:
    """Return a word on a device's status."""
    return encode(Status(state=state, version="1", bootid=boot, since=since))  # type: ignore[arg-type]


MINE = word("online", "mine")


@pytest.fixture
def newcomer() -> Namesake:
    """A machine that has just connected and found that another one was online."""
    one = Namesake()
    one.begin()
    assert one.hear(word("online"), retained=True, now_s=0) is None
    one.claims(word("offline", "mine"), 0)
    return one


@pytest.fixture
def incumbent() -> Namesake:
    """A machine that is up, and has heard that it is."""
    one = Namesake()
    one.begin()
    one.says_online(MINE, 0)
    one.hear(MINE, retained=False, now_s=0)
    return one


@pytest.mark.parametrize("said", [word("lost"), word("offline"), b"", b"rubbish", b'{"state":"online"}'])
def test_who_is_not_online_has_no_claim(said: bytes) -> None:
    """A retained `lost` or `offline`, nothing and rubbish do not make a newcomer ask."""
    one = Namesake()
    one.begin()
    one.hear(said, retained=True, now_s=0)
    assert one.holder is None


def test_what_we_said_ourselves_has_no_claim_either(incumbent: Namesake) -> None:
    """After its connection broke a device does not ask whether the machine that was online is itself."""
    incumbent.begin()
    incumbent.hear(MINE, retained=True, now_s=9)
    assert incumbent.holder is None


def test_an_earlier_process_of_this_boot_is_asked_as_anybody() -> None:
    """Two programs with one name on one machine are two, too: told apart by when they connected."""
    one = Namesake()
    one.begin()
    one.hear(word("online", "mine", "before"), retained=True, now_s=0)
    assert one.holder is not None
    one.claims(word("offline", "mine", "now"), 0)
    assert one.hear(word("offline", "mine", "now"), retained=False, now_s=0) is None  # our own question


def test_a_newcomer_waits_and_yields_to_an_answer(newcomer: Namesake) -> None:
    """The holder's live `online` is the answer; what the broker kept is none."""
    assert newcomer.claim_until == CLAIM_S
    assert newcomer.hear(word("online"), retained=True, now_s=1) is None
    assert newcomer.hear(word("online"), retained=False, now_s=1) == "yield"
    assert newcomer.rival is not None
    assert newcomer.rival.bootid == "other"
    assert newcomer.hear(word("lost"), retained=False, now_s=1) is None  # it has left already


def test_a_holder_that_leaves_lets_the_newcomer_up(newcomer: Namesake) -> None:
    """The last will of the one that was asked ends the wait; a third one's does not."""
    assert newcomer.hear(word("lost", "third"), retained=False, now_s=1) is None
    assert newcomer.hear(word("lost"), retained=False, now_s=1) == "come up"


@pytest.mark.parametrize("said", [word("lost"), word("offline"), b"", b"rubbish", word("online", "other")])
def test_an_incumbent_contradicts_whatever_else_is_said(incumbent: Namesake, said: bytes) -> None:
    """A question, a late last will and a forged word are answered, also where the other's boot id is larger."""
    assert incumbent.hear(said, retained=False, now_s=1) == "say online"


def test_an_answer_on_its_way_is_not_given_twice(incumbent: Namesake) -> None:
    """Until the last answer came back nothing more is said, but for one that was lost after some seconds."""
    assert incumbent.hear(word("lost"), retained=False, now_s=1) == "say online"
    incumbent.says_online(MINE, 1)
    assert incumbent.hear(word("lost"), retained=False, now_s=1) is None
    incumbent.hear(MINE, retained=False, now_s=1)
    assert incumbent.hear(word("lost"), retained=False, now_s=1) == "say online"
    incumbent.says_online(MINE, 1)
    assert incumbent.hear(word("lost"), retained=False, now_s=7) == "say online"


def test_of_two_that_are_up_the_larger_boot_id_yields(incumbent: Namesake) -> None:
    """Both decide alike, and what the broker kept decides nothing."""
    smaller = word("online", "a")
    assert incumbent.hear(smaller, retained=True, now_s=9) == "say online"
    incumbent.hear(MINE, retained=False, now_s=9)
    assert incumbent.hear(smaller, retained=False, now_s=9) == "yield"
    other = Namesake()
    other.begin()
    other.says_online(smaller, 0)
    other.hear(smaller, retained=False, now_s=0)
    assert other.hear(MINE, retained=False, now_s=9) == "say online"
