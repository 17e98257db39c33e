"""The live stream on the wire."""

import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from center.queue.model import Issue
from tests.center.web.site import Center


class Reader:
    """Reads a stream event by event."""

    def __init__(self, response: httpx.Response) -> None:
        self.headers = response.headers
        self._lines = response.iter_lines()

    def next(self) -> tuple[str, dict[str, Any], str]:
        """Return the next event: its name, its content, its id."""
        name = content = number = ""
        for line in self._lines:
            field, _, value = line.partition(": ")
            if field == "event":
                name = value
            elif field == "data":
                content = value
            elif field == "id":
                number = value
            elif not line and name:
                return name, json.loads(content), number
        raise EOFError


@pytest.fixture
def board(center: Center) -> Iterator[Reader]:
    """The hall board's stream."""
    with center.http.stream("GET", "/stream?view=board", timeout=30) as response:
        yield Reader(response)


def test_a_stream_begins_with_everything(board: Reader) -> None:
    """The first event is a snapshot with the run's id, the files' version and a number; nothing may keep it."""
    name, snapshot, number = board.next()
    assert name == "snapshot"
    assert {"server", "asset", "id", "now", "state"} == set(snapshot)
    assert number == str(snapshot["id"])
    assert snapshot["state"]["waiting"] == 0
    assert board.headers["cache-control"] == "no-store"
    assert board.headers["content-type"].startswith("text/event-stream")


def test_changes_come_by_key_with_growing_ids(center: Center, board: Reader) -> None:
    """After the snapshot only the keys that changed are sent, and ids only grow."""
    _, snapshot, _ = board.next()
    center.issue()
    name, delta, _ = board.next()
    assert (name, delta["set"]) == ("delta", {"waiting": 1})
    assert delta["id"] > snapshot["id"]
    center.at("q01", "open")
    _, later, _ = board.next()
    assert later["set"] == {"next": ["A001"]}
    assert later["id"] > delta["id"]


def test_a_burst_is_one_change(center: Center, board: Reader) -> None:
    """What happens within a few milliseconds reaches a page together."""
    board.next()
    hall = center.hall
    for number in range(40):
        hall.submit(Issue(at=hall.now_ms(), ticket_id=f"n{number}", service="dat-dai"), key=f"n{number}", actor="test")
    seen = 0
    messages = 0
    while seen < 40:
        seen = board.next()[1]["set"]["waiting"]
        messages += 1
    assert messages < 40


def test_a_page_that_reads_too_slowly_is_dropped(center: Center) -> None:
    """A page that stops reading is given up, so that it costs nothing; the others are not held up."""
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        deaf.connect(("127.0.0.1", center.port))
        head = (
            b"GET /stream?view=officer&counter=q01 HTTP/1.1\r\nHost: localhost\r\nCookie: motcua_session=hanh-1\r\n\r\n"
        )
        deaf.sendall(head)
        hub = center.hub
        deadline = time.monotonic() + 90
        center.issue(count=60)
        while not hub.watching("officer", "q01"):
            time.sleep(0.01)
        while hub.watching("officer", "q01") and time.monotonic() < deadline:
            center.issue()
            center.at("q01", "open")
            center.at("q01", "call_next")
        assert not hub.watching("officer", "q01")


def test_a_stop_does_not_wait_for_streams(center: Center, board: Reader) -> None:
    """Open streams end when the center stops, at once."""
    board.next()
    assert center.stop() < 10
    with pytest.raises((EOFError, httpx.HTTPError)):
        board.next()
    center.start()


def test_a_desk_says_who_has_the_counter(center: Center) -> None:
    """The stream of a desk begins with who has the counter: whoever claimed it first, by name."""
    path = "/stream?view=officer&counter=q01&claim=1"
    with (
        center.client("ha-0") as ha,
        ha.stream("GET", path, timeout=30) as first,
        center.http.stream("GET", path, timeout=30) as second,
    ):
        for response in (first, second):
            state = Reader(response).next()[1]["state"]
            assert (state["lease"]["who"], state["places"]) == ("Trần Thu Hà", {"ha": "q01"})
