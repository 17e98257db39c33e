"""Who gets through to what: every route that the app has, asked by everybody."""

import re
from collections.abc import Iterator

import httpx
import pytest
from litestar.routes import HTTPRoute

from center.people.model import RIGHTS
from center.people.passwords import Hasher
from center.web.app import create_app
from tests.center.web.site import PEOPLE, Center

ANYBODY, LOGGED_IN, TOKEN = "anybody", "logged in", "a token of its own"
ROUTES = {
    "GET /": ANYBODY,
    "GET /board": ANYBODY,
    "GET /kiosk": ANYBODY,
    "GET /rate/{counter_id:str}": ANYBODY,
    "GET /cameras/notice": ANYBODY,
    "GET /login": ANYBODY,
    "POST /login": ANYBODY,
    "POST /logout": ANYBODY,
    "POST /api/login": ANYBODY,
    "POST /api/tickets": ANYBODY,
    "GET /api/tickets/{ticket_id:str}": ANYBODY,
    "POST /api/counters/{counter_id:str}/rating": ANYBODY,
    "GET /healthz": ANYBODY,
    "GET /metrics": ANYBODY,  # on this machine
    "GET /schema": ANYBODY,
    "GET /schema/openapi.json": ANYBODY,
    "GET /schema/{path:str}": ANYBODY,
    "GET /stream?view=board": ANYBODY,
    "GET /stream?view=kiosk": ANYBODY,
    "GET /stream?view=rating&counter=q01": ANYBODY,
    "HEAD /api/uploads/{upload:str}": TOKEN,
    "PATCH /api/uploads/{upload:str}": TOKEN,
    "POST /api/looks/{look:str}": TOKEN,
    "GET /cameras": "watch",
    "GET /cameras/{station:str}": "watch",
    "GET /api/cameras/{station:str}/still": "watch",
    "GET /api/cameras/{station:str}/live": "watch",
    "GET /stream?view=cameras": "watch",
    "GET /password": LOGGED_IN,
    "POST /password": LOGGED_IN,
    "POST /api/logout": LOGGED_IN,
    "GET /api/me": LOGGED_IN,
    "POST /api/me/password": LOGGED_IN,
    "GET /counter/{counter_id:str}": "serve",
    "POST /api/tickets/{ticket_id:str}/{action:str}": "serve",
    "POST /api/counters/{counter_id:str}/{action:str}": "serve",
    "POST /api/counters/{counter_id:str}/lease": "serve",
    "GET /api/state": "serve",
    "GET /stream?view=officer&counter=q01": "serve",
    "GET /devices": "see_devices",
    "GET /api/devices": "see_devices",
    "GET /api/alerts": "see_devices",
    "GET /stream?view=devices": "see_devices",
    "POST /api/alerts/{alert_id:str}/acknowledge": "mend_devices",
    "POST /api/devices/{station:str}/{device:str}/forget": "mend_devices",
    "GET /api/cameras/{station:str}": "watch",
    "PUT /api/cameras/{station:str}": "watch",
    "POST /api/cameras/{station:str}/keep": "watch",
    "GET /review": "review",
    "GET /review/{item:str}": "review",
    "POST /review/{item:str}": "review",
    "GET /review/{item:str}/picture": "review",
    "GET /review/{item:str}/video": "review",
    "GET /review/{item:str}/clear": "reveal",
    "GET /people": "govern",
    "POST /people": "govern",
}
"""Each route of the center, and the right that it needs."""

NOBODY, NEW = "nobody", "new"
EVERYBODY = (NOBODY, NEW, *PEOPLE)


@pytest.fixture(scope="module")
def center(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Center]:
    """A center that all tests here ask."""
    one = Center(tmp_path_factory.mktemp("rights") / "center")
    one.start()
    yield one
    one.http.close()
    one.stop()


@pytest.fixture(scope="module")
def newcomer(center: Center) -> Iterator[httpx.Client]:
    """A program of an administrator who has not yet changed the first password."""
    form = {"do": "add", "name": "moi", "full_name": "Người Mới", "role": "administrator"}
    given = re.search(r"\b[a-z]{4}(-[a-z]{4}){3}\b", center.http.post("/people", data=form).text)
    assert given is not None
    with center.client() as client:
        assert client.post("/api/login", json={"name": "moi", "password": given[0]}).is_success
        yield client


def test_every_route_says_who_may(center: Center) -> None:
    """A route that nobody has thought about does not exist: each one of the app stands in the list above."""
    app = create_app(center.hall, center.config, hasher=Hasher(memory_kib=8, passes=1))
    found = {
        f"{method} {route.path}"
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for method in route.methods - {"OPTIONS"}
    }
    assert found == {one for one in ROUTES if "?" not in one}


@pytest.mark.parametrize("route", [one for one in ROUTES if one != "POST /login"])  # which refuses a wrong name
def test_only_who_has_the_right_gets_through(center: Center, newcomer: httpx.Client, route: str) -> None:
    """Nobody, somebody with a first password, and each role: who lacks the right is refused, who has it is not."""
    method, _, path = route.partition(" ")
    path = path.replace("{counter_id:str}", "q01").replace("{action:str}", "recall")
    path = re.sub(r"{\w+:str}", "none-such", path)
    needed = ROUTES[route]
    passed = []
    for who in EVERYBODY:
        if who == NEW and route in ("POST /logout", "POST /api/logout"):  # the one session would be over
            passed.append(who)
            continue
        client = newcomer if who == NEW else center.client("" if who == NOBODY else f"{who}-{_number(route)}")
        asked = {"json": {}, "headers": {"Idempotency-Key": f"{who} {route}"}} if method == "POST" else {}
        with client.stream(method, path, **asked) as answer:  # type: ignore[arg-type]
            assert answer.status_code < 500, who
            sent_away = answer.status_code == 303 and answer.headers["location"].startswith(("/login?", "/password?"))
            if answer.status_code not in (401, 403) and not sent_away:
                passed.append(who)
        if who != NEW:
            client.close()
    assert passed == [who for who in EVERYBODY if _may(who, needed)]


def test_a_first_password_is_told_to_be_changed(newcomer: httpx.Client) -> None:
    """Who has not yet chosen a password is told so by everything else, and never that a right is missing."""
    answer = newcomer.get("/api/devices", headers={"Connection": "close"})
    assert answer.json()["code"] == "password_change_needed"


def _number(route: str) -> int:
    """Return which of a person's sessions asks: those that log out do not end the others'."""
    return {"POST /logout": 1, "POST /api/logout": 2}.get(route, 0)


def _may(who: str, needed: str) -> bool:
    if needed == ANYBODY:
        return True
    if needed == TOKEN:
        return False
    if needed == LOGGED_IN:
        return who != NOBODY
    return who in PEOPLE and needed in RIGHTS[PEOPLE[who][1]]
