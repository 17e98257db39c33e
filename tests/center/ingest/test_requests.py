"""A device's request as a command, and the answer as a reply."""

from typing import Any

import msgspec
import pytest

from center.answers import Done
from center.ingest import requests
from center.queue.messages import refuse
from center.queue.model import (
    AnyCommand,
    Call,
    CallNext,
    CloseCounter,
    Finish,
    NoShow,
    OpenCounter,
    Park,
    PauseCounter,
    Recall,
    Refusal,
    Start,
    Ticket,
    Transfer,
)
from contract.requests import ACTIONS, Reply, Request, TicketView

WANTED: dict[str, tuple[dict[str, Any], AnyCommand]] = {
    "call_next": ({}, CallNext(at=5, counter="q01", seen=7)),
    "call": ({"number": "A007"}, Call(at=5, counter="q01", seen=7, number="A007")),
    "recall": ({}, Recall(at=5, counter="q01", seen=7)),
    "start": ({}, Start(at=5, counter="q01", seen=7)),
    "finish": ({"outcome": "accepted"}, Finish(at=5, counter="q01", seen=7, outcome="accepted")),
    "no_show": ({}, NoShow(at=5, counter="q01", seen=7)),
    "park": ({}, Park(at=5, counter="q01", seen=7)),
    "transfer": ({"to_service": "land"}, Transfer(at=5, counter="q01", seen=7, to_service="land")),
    "open": ({}, OpenCounter(at=5, counter="q01", seen=7)),
    "close": ({}, CloseCounter(at=5, counter="q01", seen=7)),
    "pause": ({}, PauseCounter(at=5, counter="q01", seen=7)),
}


def request(action: str, **args: str) -> Request:
    """Return a request as it is decoded."""
    return msgspec.convert({"id": "request-1", "action": action, "args": args, "seen": 7}, Request)


@pytest.mark.parametrize("action", [action for action in ACTIONS if action not in ("renew", "upload")])
def test_every_action_of_the_contract_is_a_command(action: str) -> None:
    """Whatever a device may ask, the queue knows, but for new keys and recordings: they are no matter of the queue."""
    args, wanted = WANTED[action]
    assert requests.command(request(action, **args), counter="q01", at=5) == wanted


@pytest.mark.parametrize(
    ("action", "args"), [("call", {}), ("finish", {"outcome": "?"}), ("renew", {}), ("upload", {})]
)
def test_an_action_without_what_it_needs_is_refused(action: str, args: dict[str, str]) -> None:
    """A request that lacks its number or names an unknown outcome is refused, not guessed."""
    found = requests.command(request(action, **args), counter="q01", at=5)
    assert isinstance(found, Refusal)
    assert found.code == "request_invalid"


def test_a_reply_carries_the_ticket_as_a_device_may_know_it() -> None:
    """A device hears id, number, service, state and version of a ticket, and no more."""
    ticket = Ticket(
        id="t1",
        number="A001",
        service="land",
        day="2026-11-23",
        priority="normal",
        state="called",
        issued_at=1,
        version=2,
    )
    view = TicketView(id="t1", number="A001", service="land", state="called", version=2)
    assert requests.reply("r", Done(ticket=ticket)) == Reply(id="r", ok=True, ticket=view)
    assert requests.reply("r", Done()) == Reply(id="r", ok=True)


def test_a_refusal_is_a_reply_with_a_code_and_a_sentence() -> None:
    """A refused request gets a code for the pad and a sentence for the officer."""
    assert requests.reply("r", refuse("queue_empty")) == Reply(
        id="r", ok=False, code="queue_empty", message="Không còn ai chờ."
    )


@pytest.mark.parametrize(
    ("age_ms", "left_ms"),
    [
        (0, 5000),
        (1200, 3800),
        (5000, 0),
        (5001, None),
        (3_600_000, None),
        (-1000, 5000),
        (-1001, None),
    ],
)
def test_a_request_ages_on_its_way(age_ms: int, left_ms: int | None) -> None:
    """What is left of its time is what the way did not take; one from the future reckons by a clock that is no more."""
    now_ms = 86_400_000
    request = Request(id="request-1", action="call_next", expires_in_ms=5000, asked_at_ms=now_ms - age_ms)
    assert requests.left_ms(request, now_ms=now_ms) == left_ms


def test_a_request_that_does_not_know_when_it_was_made_counts_from_its_arrival() -> None:
    """Where the device has not heard the center's clock yet, all of its time is left."""
    assert requests.left_ms(Request(id="request-1", action="call_next", expires_in_ms=700), now_ms=1) == 700


def test_a_visit_that_ends_without_an_outcome_has_none() -> None:
    """What a device does not say is recorded as not stated, not as something else."""
    request = Request(id="r", action="finish", seen=7, expires_in_ms=5000)
    assert requests.command(request, counter="q01", at=5) == Finish(at=5, counter="q01", seen=7, outcome=None)
