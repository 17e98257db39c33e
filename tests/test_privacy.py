"""No screen tells how a citizen rated, and no message has a place for who a citizen is."""

import importlib
import json
import pkgutil
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest

import contract
from contract.events import RatingGiven
from tests.center.web.site import Center

LIVE = {"officer": "/stream?view=officer&counter=q01", "board": "/stream?view=board", "kiosk": "/stream?view=kiosk"}
TELLING = re.compile(r"rat(e|ed|ing|ings)|level|levels|score|scale|mood|csat|satisf.*|stars|reasons?|comment")
PERSONAL = {
    "name", "surname", "person", "citizen", "phone", "mobile", "email", "mail", "street", "home", "birth", "birthday",
    "born", "age", "sex", "gender", "ethnicity", "religion", "health", "cccd", "identity", "passport", "face", "voice",
    "emotion", "fingerprint", "officer",
}  # fmt: skip


@pytest.fixture
def center(tmp_path: Path) -> Iterator[Center]:
    """A running center with one ticket that was served at counter 1."""
    one = Center(tmp_path)
    one.start()
    one.issue()
    for action in ("open", "call_next", "start", "finish"):
        one.at("q01", action)
    yield one
    one.http.close()
    one.stop()


def events(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    """Read the contents of a stream's events."""
    return (json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: "))


def names(value: Any) -> Iterator[str]:
    """Return every key of a JSON value, however deep."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from names(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from names(inner)


def telling(value: Any) -> set[str]:
    """Return the keys that could hold a rating."""
    return {name for name in names(value) if any(TELLING.fullmatch(word) for word in name.split("_"))}


def test_nobody_sees_a_rating_live(center: Center) -> None:
    """A rating changes nothing on desk, board and kiosk, and none of them nor the API has a place where it could stand.

    What the streams say between the rating and the next ticket is that ticket alone.
    """
    ticket = next(iter(center.hub.mirror.state.rateable.values()))
    with ExitStack() as opened:
        streams = {
            view: events(opened.enter_context(center.http.stream("GET", path, timeout=30)).iter_lines())
            for view, path in LIVE.items()
        }
        before = {view: next(stream)["state"] for view, stream in streams.items()}
        desk_before, api_before = before["officer"], center.state()
        assert center.post("/api/counters/q01/rating", ticket=ticket, level=1).is_success
        assert center.state() == api_before
        center.issue("dat-dai")
        after = {view: next(stream)["set"] for view, stream in streams.items()}
    assert after["board"].keys() <= {"waiting", "next"}
    assert after["kiosk"].keys() == {"services"}
    assert after["officer"].keys() <= {"waiting", "waiting_count", "ready"}
    assert desk_before["figures"].keys() == {"served", "no_show", "service_ms", "wait_ms"}
    seen = [before, after, center.state(), center.http.get(f"/api/tickets/{ticket}").json()]
    assert telling(seen) == set()


def test_the_search_for_ratings_would_find_one() -> None:
    """The check above sees a rating under any usual name."""
    hidden = {"figures": [{"last_rating": 3}, {"csat": 0.9}], "counter": {"mood": "upset", "level": 2}}
    assert telling(hidden) == {"last_rating", "csat", "mood", "level"}


def kinds() -> set[type[msgspec.Struct]]:
    """Return every type of the contract that goes over the wire."""
    modules = [importlib.import_module(f"contract.{one.name}") for one in pkgutil.iter_modules(contract.__path__)]
    return {
        kind
        for module in modules
        if module.__name__ not in ("contract.scales", "contract.asyncapi")
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind.__module__.startswith("contract.")
    }


def test_no_message_has_a_field_for_a_person() -> None:
    """No type of the contract has a field for who somebody is; a rating carries a ticket and a press, nothing else."""
    fields = {f"{kind.__name__}.{field.name}" for kind in kinds() for field in msgspec.structs.fields(kind)}
    assert len(fields) > 50
    personal = {one for one in fields if PERSONAL & set(one.partition(".")[2].split("_"))}
    assert personal == {"Zone.name"}  # what a part of the camera's picture is called
    assert {field.name for field in msgspec.structs.fields(RatingGiven)} == {
        "level", "scale", "ticket", "armed_for_ms", "pressed_ms",
    }  # fmt: skip
