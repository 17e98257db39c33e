"""The HTTP interface of a running center."""

import concurrent.futures
import socket
import time
import uuid
from collections.abc import Callable

import httpx
import pytest

from center.web import server
from tests.center.web.site import Center
from tests.support.waiting import wait_for


def test_a_number_is_issued_with_the_people_ahead(center: Center) -> None:
    """Taking a number answers 201 with the ticket, how many are called before it, and whether that is sure."""
    center.issue(count=2)
    answer = center.post("/api/tickets", service="dat-dai")
    assert answer.status_code == 201
    told = answer.json()
    assert (told["ticket"]["number"], told["ahead"], told["ahead_exact"]) == ("A003", 2, False)
    center.at("q01", "open")
    told = center.http.get(f"/api/tickets/{told['ticket']['id']}").json()
    assert (told["ahead"], told["ahead_exact"]) == (2, True)


def test_a_repeated_key_gets_the_first_ticket_again(center: Center) -> None:
    """The same touch sent twice is one ticket."""
    first = center.post("/api/tickets", key="touch-1", service="dat-dai").json()
    again = center.post("/api/tickets", key="touch-1", service="dat-dai").json()
    assert again["ticket"]["id"] == first["ticket"]["id"]
    assert center.state()["waiting"]["dat-dai"] == 1


def test_a_key_of_another_ask_is_refused(center: Center) -> None:
    """A key that was used for one ask cannot be used for another."""
    center.post("/api/tickets", key="touch-1", service="dat-dai")
    answer = center.post("/api/tickets", key="touch-1", service="ho-tich")
    assert (answer.status_code, answer.json()["code"]) == (409, "key_reused")


def test_fifty_clients_at_once_get_different_numbers(center: Center) -> None:
    """Numbers given out at the same time are all different and leave no gap."""
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        numbers = list(pool.map(lambda _: center.issue(), range(50)))
    assert sorted(numbers) == [f"A{number:03d}" for number in range(1, 51)]


def test_a_visit_goes_through_the_api(center: Center) -> None:
    """Open, call, recall, start and finish each answer with the ticket and the counter as they are then."""
    center.issue()
    assert center.at("q01", "open")["counter"]["officer"] == "Nguyễn Thị Hạnh"
    assert center.at("q01", "call_next")["ticket"]["state"] == "called"
    assert center.at("q01", "recall")["ticket"]["recalls"] == 1
    assert center.at("q01", "start")["ticket"]["state"] == "serving"
    done = center.at("q01", "finish", outcome="accepted")
    assert (done["ticket"]["state"], done["ticket"]["outcome"], done["counter"]["ticket"]) == (
        "served",
        "accepted",
        None,
    )


def test_a_command_on_an_older_state_is_refused(center: Center) -> None:
    """A command that names an older revision than the counter's gets 409 with a reason in Vietnamese."""
    center.issue(count=2)
    seen = center.at("q01", "open")["counter"]["revision"]
    center.at("q01", "call_next", seen=seen)
    answer = center.post("/api/counters/q01/call_next", seen=seen)
    assert answer.status_code == 409
    assert answer.json()["code"] == "stale"
    assert "đã thay đổi" in answer.json()["message"]


@pytest.mark.parametrize(
    ("path", "headers"), [("?lang=en", {}), ("", {"Accept-Language": "en-GB,en;q=0.9"})], ids=["query", "header"]
)
def test_a_refusal_is_english_on_request(center: Center, path: str, headers: dict[str, str]) -> None:
    """A refusal speaks English to who asks for it."""
    answer = center.post(f"/api/counters/q01/call_next{path}", headers=headers)
    assert (answer.status_code, answer.json()["message"]) == (409, "The counter is closed. Open it first.")


def test_an_empty_queue_is_a_refusal(center: Center) -> None:
    """Calling when nobody waits is refused with the code queue_empty."""
    center.at("q01", "open")
    assert center.post("/api/counters/q01/call_next").json()["code"] == "queue_empty"


def test_a_parked_ticket_is_put_back(center: Center) -> None:
    """A parked ticket waits again after a requeue, and an older version of it is refused."""
    center.issue()
    center.at("q01", "open")
    center.at("q01", "call_next")
    parked = center.at("q01", "park")["ticket"]
    stale = center.post(f"/api/tickets/{parked['id']}/requeue", version=parked["version"] - 1)
    assert (stale.status_code, stale.json()["code"]) == (409, "stale")
    assert center.ask(f"/api/tickets/{parked['id']}/requeue", version=parked["version"])["ticket"]["state"] == "waiting"


def test_a_ticket_can_be_looked_up_and_cancelled(center: Center) -> None:
    """A ticket is found by its id, and a cancelled one does not wait any more."""
    ticket = center.ask("/api/tickets", service="ho-tich")["ticket"]
    assert center.http.get(f"/api/tickets/{ticket['id']}").json()["ticket"]["number"] == "B001"
    assert center.ask(f"/api/tickets/{ticket['id']}/cancel")["ticket"]["state"] == "cancelled"
    assert center.state()["waiting"]["ho-tich"] == 0


def test_a_rating_of_a_tablet_counts_once(center: Center) -> None:
    """The first rating of a served ticket is stored; another one is refused, the same press again is not."""
    center.issue()
    center.at("q01", "open")
    center.at("q01", "call_next")
    ticket = center.at("q01", "finish")["ticket"]["id"]
    path = "/api/counters/q01/rating"
    assert center.post(path, key="press-1", ticket=ticket, level=3).status_code == 200
    assert center.post(path, key="press-1", ticket=ticket, level=3).status_code == 200
    assert center.post(path, key="press-2", ticket=ticket, level=1).json()["code"] == "already_rated"


def test_a_level_beyond_the_scale_names_the_field(center: Center) -> None:
    """A rating level that the scale does not have gets 422 with the field."""
    center.issue()
    center.at("q01", "open")
    center.at("q01", "call_next")
    ticket = center.at("q01", "finish")["ticket"]["id"]
    answer = center.post("/api/counters/q01/rating", ticket=ticket, level=5)
    assert (answer.status_code, answer.json()["fields"][0]["field"]) == (422, "level")


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/api/tickets", {}, "service"),
        ("/api/tickets", {"service": "dat-dai", "priority": "vip"}, "priority"),
        ("/api/tickets", {"service": "dat-dai", "vip": True}, "vip"),
        ("/api/tickets", {"service": "nowhere"}, "service"),
        ("/api/counters/q01/call_next", {"seen": -1}, "seen"),
        ("/api/counters/q01/call", {}, "number"),
        ("/api/counters/q01/call", {"number": "A7"}, "number"),
        ("/api/counters/q01/call", {"number": "A001\n"}, "number"),
        ("/api/counters/q01/open", {"officer": "Hạnh"}, "officer"),
        ("/api/counters/q01/transfer", {}, "to_service"),
        ("/api/counters/q01/finish", {"outcome": "great"}, "outcome"),
    ],
)
def test_a_wrong_field_is_named(center: Center, path: str, body: dict[str, object], field: str) -> None:
    """A body with a wrong, missing or unknown field gets 422 that names it."""
    answer = center.post(path, **body)
    assert answer.status_code == 422, answer.text
    assert field in answer.json()["fields"][0]["field"]


def test_a_command_without_a_key_is_refused(center: Center) -> None:
    """A command needs an Idempotency-Key; without one nothing happens."""
    answer = center.http.post("/api/tickets", json={"service": "dat-dai"})
    assert answer.status_code == 422
    assert "Idempotency-Key" in answer.text
    assert center.state()["waiting"]["dat-dai"] == 0


@pytest.mark.parametrize(("header", "value"), [("Idempotency-Key", ""), ("Idempotency-Key", "x" * 200)])
def test_a_wrong_header_is_named_as_on_the_wire(center: Center, header: str, value: str) -> None:
    """A header that cannot be used gets 422 with the header's own name."""
    answer = center.post("/api/counters/q01/open", headers={header: value})
    assert answer.status_code == 422
    assert answer.json()["fields"][0]["field"] == header
    assert answer.json()["message"].startswith(f"{header}: ")


def test_a_missing_body_is_said(center: Center) -> None:
    """A command without a body gets 422 and is told that there is none."""
    answer = center.http.post("/api/tickets", content=b"", headers={"Idempotency-Key": "k"})
    assert (answer.status_code, answer.json()["message"]) == (422, "body: Missing required JSON object")


def test_a_deep_body_is_refused(center: Center, caplog: pytest.LogCaptureFixture) -> None:
    """A body nested thousands deep gets 400 in words, and the log stays quiet."""
    for body in (b"[" * 10_000, b'{"service":"dat-dai","x":' + b"[" * 5_000 + b"]" * 5_000 + b"}"):
        answer = center.http.post("/api/tickets", content=body, headers={"Idempotency-Key": "k"})
        assert (answer.status_code, answer.json()["message"]) == (400, "body: is nested too deeply")
    assert caplog.records == []


def test_what_is_not_json_is_refused(center: Center) -> None:
    """A body that is not JSON gets 400, never 500."""
    answer = center.http.post("/api/tickets", content=b"{service", headers={"Idempotency-Key": "k"})
    assert (answer.status_code, answer.json()["code"]) == (400, "request_invalid")


def test_a_large_body_is_refused(center: Center) -> None:
    """A body of more than 16 KB gets 413."""
    answer = center.post("/api/tickets", service="x" * 20_000)
    assert answer.status_code == 413


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/api/counters/q99/call_next", 404),
        ("POST", "/api/counters/q01/explode", 404),
        ("POST", "/api/tickets/nobody/cancel", 404),
        ("GET", "/api/tickets/nobody", 404),
        ("GET", "/api/nothing", 404),
        ("DELETE", "/api/tickets", 405),
        ("GET", "/counter/q99", 404),
        ("GET", "/rate/q99", 404),
        ("GET", "/stream?view=nothing", 404),
        ("GET", "/stream?view=officer&counter=q99", 404),
        ("GET", "/static/0/nothing.js", 404),
    ],
)
def test_what_does_not_exist_says_so(center: Center, method: str, path: str, status: int) -> None:
    """An address, counter or ticket that does not exist is answered, not a fault."""
    body = {"json": {}} if method == "POST" else {}
    answer = center.http.request(method, path, headers={"Idempotency-Key": uuid.uuid4().hex}, **body)  # type: ignore[arg-type]
    assert answer.status_code == status


def test_a_browser_that_lost_its_way_gets_the_list_of_screens(center: Center) -> None:
    """A wrong address in a browser shows the list of screens, with 404."""
    answer = center.http.get("/quay/1", headers={"Accept": "text/html"})
    assert answer.status_code == 404
    assert "Không có trang này" in answer.text


def test_a_desk_that_was_taken_over_cannot_command(center: Center) -> None:
    """A command of an officer who lost the counter is refused with the name of who has it; the open counter is hers."""
    center.issue()
    center.at("q01", "open")
    with center.client("ha-0") as other:
        taken = other.post("/api/counters/q01/lease", json={})
        assert taken.json() == {"counter": "q01"}
        answer = center.post("/api/counters/q01/call_next")
        assert (answer.status_code, answer.json()["code"]) == (409, "desk_taken")
        assert answer.json()["message"] == "Quầy này đang có Trần Thu Hà làm việc."
        assert center.ticket_at("q01") is None
        counter = next(one for one in center.state()["counters"] if one["id"] == "q01")
        assert (counter["officer"], counter["state"]) == ("Trần Thu Hà", "open")
        assert other.post("/api/counters/q01/call_next", json={}, headers={"Idempotency-Key": "k"}).is_success


def test_the_center_is_well_until_the_hall_stops(center: Center) -> None:
    """/healthz answers 200 while commands are answered, and 503 with commands refused for later when they are not."""
    assert center.http.get("/healthz").json() == {"status": "ok"}
    center.hall._failing = True
    assert (center.http.get("/healthz").status_code, center.issue()) == (503, "A001")
    assert center.http.get("/healthz").json() == {"status": "ok"}
    center.hall.stop()
    assert center.http.get("/healthz").status_code == 503
    assert center.post("/api/tickets", service="dat-dai").status_code == 503


def test_every_answer_carries_the_security_headers(center: Center) -> None:
    """Pages, files, API and errors all forbid foreign scripts, sniffing and foreign frames."""
    style = center.http.get("/board").text.split('rel="stylesheet" href="')[1].split('"')[0]
    for path in ("/board", style, "/api/state", "/nothing", "/schema/openapi.json"):
        headers = center.http.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe-inline" not in policy
        assert "frame-ancestors 'self'" in policy
        assert headers["x-content-type-options"] == "nosniff"


def test_answers_of_the_api_are_never_kept(center: Center) -> None:
    """No cache keeps an answer or a refusal of the API; files with a version may be kept for ever."""
    assert center.http.get("/api/state").headers["cache-control"] == "no-store"
    assert center.post("/api/counters/q01/call_next").headers["cache-control"] == "no-store"
    style = center.http.get("/board").text.split('rel="stylesheet" href="')[1].split('"')[0]
    assert "immutable" in center.http.get(style).headers["cache-control"]
    assert center.http.get("/static/0/base.css").headers["cache-control"] == "no-store"


def test_the_interface_is_described(center: Center) -> None:
    """The OpenAPI 3.1 document lists every route of the API with its methods."""
    document = center.http.get("/schema/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    routes = {
        (method, path)
        for path, item in document["paths"].items()
        for method in item
        if method in ("get", "post", "put", "delete")
    }
    assert routes == {
        ("get", "/api/cameras/{station}"),
        ("put", "/api/cameras/{station}"),
        ("post", "/api/cameras/{station}/keep"),
        ("post", "/api/tickets"),
        ("get", "/api/tickets/{ticket_id}"),
        ("post", "/api/tickets/{ticket_id}/{action}"),
        ("post", "/api/counters/{counter_id}/{action}"),
        ("post", "/api/counters/{counter_id}/rating"),
        ("post", "/api/counters/{counter_id}/lease"),
        ("get", "/api/state"),
        ("get", "/api/devices"),
        ("post", "/api/devices/{station}/{device}/forget"),
        ("get", "/api/alerts"),
        ("post", "/api/alerts/{alert_id}/acknowledge"),
        ("post", "/api/login"),
        ("post", "/api/logout"),
        ("get", "/api/me"),
        ("post", "/api/me/password"),
        ("get", "/healthz"),
        ("get", "/stream"),
    }


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"POST /api/tickets HTTP/1.1\r\nHost: localhost\r\nX: ",
        b"POST /api/tickets HTTP/1.1\r\nHost: localhost\r\nIdempotency-Key: k\r\nContent-Length: 99\r\n\r\n{",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n\r\n",
    ],
    ids=["nothing", "half a head", "half a body", "a line between two"],
)
def test_a_request_left_half_said_is_cut_off(
    center: Center, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, said: bytes
) -> None:
    """Who connects and does not finish a request loses the connection; an open stream stays, and so do others."""
    monkeypatch.setattr(server, "REQUEST_S", 1.0)
    with (
        socket.create_connection(("127.0.0.1", center.port), timeout=30) as half,
        socket.create_connection(("127.0.0.1", center.port), timeout=30) as page,
    ):
        half.sendall(said)
        page.sendall(b"GET /stream?view=board HTTP/1.1\r\nHost: localhost\r\n\r\n")
        heard = page.recv(10_000)
        assert b"200 OK" in heard
        while half.recv(10_000):
            pass
        time.sleep(0.5)
        center.issue()
        while b'"waiting":1' not in heard:
            more = page.recv(10_000)
            assert more
            heard += more
    assert caplog.records == []


def test_connections_that_run_out_are_said_once(
    center: Center, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """When as many connections are open as the system allows, further ones are closed and one line tells it."""
    monkeypatch.setattr(server, "most_connections", lambda: 5)
    held = [socket.create_connection(("127.0.0.1", center.port), timeout=30) for _ in range(5)]
    wait_for(lambda: bool(caplog.records))
    with socket.create_connection(("127.0.0.1", center.port), timeout=30) as one_more:
        assert one_more.recv(10) == b""
    for each in held:
        each.close()
    wait_for(lambda: _answers(center))
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
        "all 5 connections are in use and new ones are closed"
    ]


def _answers(center: Center) -> bool:
    try:
        return center.http.get("/healthz").is_success
    except httpx.TransportError:
        return False


def test_devices_that_reported_are_listed(center: Center) -> None:
    """The API lists every device that ever reported, none in the beginning."""
    assert center.http.get("/api/devices").json() == {"reached": True, "devices": [], "alerts": []}


def test_the_state_survives_a_restart(make_center: Callable[..., Center]) -> None:
    """After a restart the same people wait, and a key that was answered still gets its first answer."""
    center = make_center()
    first = center.post("/api/tickets", key="touch-1", service="dat-dai").json()
    center.stop()
    center.start()
    assert center.state()["waiting"]["dat-dai"] == 1
    assert center.post("/api/tickets", key="touch-1", service="dat-dai").json()["ticket"]["id"] == first["ticket"]["id"]
