"""Who gets through to what: the name that a page was opened by, where a request comes from, and whose it is.

Three checks against other pages in an officer's browser, for every request and before anything is done:

* The session's cookie is `SameSite=Strict`: a browser sends it with nothing that another site began.
* What changes something must come from a page of ours, by `Sec-Fetch-Site`, or by `Origin` where a browser sends no
  such header (plain HTTP). Programs send neither, and have no cookie that another page could use.
* The host must be one of ours: a foreign name that was turned to our address (DNS rebinding) is refused. An address
  as such is nobody's name, so that every address of this machine is good.
"""

import ipaddress
import re
import socket
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
from litestar.connection import ASGIConnection
from litestar.exceptions import HTTPException
from litestar.handlers import BaseRouteHandler
from litestar.types import ASGIApp, Guard, HTTPScope, Receive, Scope, Send

from center.config import Http, Tickets
from center.errors import StoreError
from center.people.limits import Buckets, neighbourhood
from center.people.messages import explain
from center.people.model import PeopleError, Person, Right
from center.people.register import People
from center.queue.messages import refuse, text
from center.web.words import Language

COOKIE = "motcua_session"
KNOWN = "motcua_known"
KNOWN_S = 400 * 86_400
"""How long a browser may keep a cookie at the most."""

_HOST = re.compile(r"(?P<name>[^\[\]/@:?#]*|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?")
_HIGHEST_PORT = 65_535
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_OURS = frozenset({"same-origin", "none"})
Connection = ASGIConnection[Any, Any, Any, Any]


class WrongField(msgspec.Struct, frozen=True, kw_only=True):
    """One field that cannot be used, and why."""

    field: str
    reason: str


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Why nothing was done: a code for programs, a message for people, and the fields at fault."""

    code: str
    message: str
    fields: tuple[WrongField, ...] = ()


class RefusedError(HTTPException):
    """A refusal on its way to the client."""

    def __init__(self, status: int, problem: Problem, *, headers: dict[str, str] | None = None) -> None:
        super().__init__(status_code=status, detail=problem.message, headers=headers)
        self.problem = problem


_STATUS = {
    "account_disabled": 403,
    "account_exists": 409,
    "account_unknown": 404,
    "desk_elsewhere": 409,
    "desk_taken": 409,
    "forbidden": 403,
    "last_administrator": 409,
    "login_failed": 401,
    "login_needed": 401,
    "login_wait": 429,
    "logins_busy": 429,
    "oidc_down": 503,
    "oidc_failed": 401,
    "oidc_refused": 401,
    "oidc_stale": 401,
    "own_account": 409,
    "own_password": 409,
    "password_change_needed": 403,
    "password_elsewhere": 409,
    "role_missing": 403,
    "tickets_wait": 429,
}


def refused(error: PeopleError, lang: Language) -> RefusedError:
    """Return a refusal about people as it goes to the client."""
    headers = {}
    if (status := _STATUS.get(error.code, 422)) == 429:
        headers["retry-after"] = str(error.facts["seconds"])
    return RefusedError(status, Problem(code=error.code, message=explain(error, lang)), headers=headers)


def unstored(error: StoreError, lang: Language) -> RefusedError:
    """Return that nothing was changed, because nothing can be stored now."""
    refusal = refuse("store_full" if error.full else "store_failed")
    return RefusedError(503, Problem(code=refusal.code, message=text(refusal, lang)))


# --- where a request comes from ------------------------------------------------------------------------------------


class Hosts:
    """The names by which this center may be called."""

    def __init__(self, http: Http) -> None:
        own = socket.gethostname().lower()
        plain = own.partition(".")[0]
        self._names = {"localhost", own, plain, f"{plain}.local", *(name.lower() for name in http.names)}
        self._names.add(http.host.lower())

    def knows(self, host: str) -> bool:
        """Whether a `Host` header is good; a request without one is no browser's."""
        if not host:
            return True
        found = _HOST.fullmatch(host)
        if found is None or int(host[found.end("name") + 1 :] or 0) > _HIGHEST_PORT:
            return False
        name = found["name"].strip("[]").lower()
        return name.rstrip(".") in self._names or name.endswith(".localhost") or _is_address(name)


class Gate:
    """ASGI middleware: lets through what was meant for us and sent by us."""

    def __init__(self, app: ASGIApp, hosts: Hosts) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it in a word."""
        headers = _headers(scope)
        host = headers.get(b"host", b"").decode("latin-1")
        if not self._hosts.knows(host):
            words = f"{host[:253]}: this center is not called so; add the name to [http] names if it is right"
            await _refuse(send, 421, "host_unknown", words)
        elif changes(scope) and not ours(headers, host):
            await _refuse(send, 403, "from_elsewhere", "this was sent by a page of another site, and is not done")
        else:
            await self._app(scope, receive, send)


def changes(scope: Scope) -> bool:
    """Whether a request may change something: all but reading, and a stream that reserves a desk.

    Read as the stream reads it, and for every path: a name may be written in several ways, and so may a path.
    """
    if scope.get("method", "GET") not in _READING:
        return True
    return "claim" in parse_qs(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)


def ours(headers: Mapping[bytes, bytes], host: str) -> bool:
    """Whether a request was sent by a page of ours, or by no page at all."""
    site = headers.get(b"sec-fetch-site")
    if site is not None:
        return site.decode("latin-1") in _OURS
    origin = headers.get(b"origin")
    return origin is None or urlsplit(origin.decode("latin-1")).netloc.lower() == host.lower()


def _headers(scope: Scope) -> dict[bytes, bytes]:
    return dict(scope["headers"])


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


async def _refuse(send: Send, status: int, code: str, words: str) -> None:
    body = msgspec.json.encode(Problem(code=code, message=words))
    headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


# --- whose it is ---------------------------------------------------------------------------------------------------


class TicketLimits:
    """How many numbers an address may take."""

    def __init__(self, config: Tickets) -> None:
        quick = (config.burst, config.per_minute / 60)
        self._kiosks = frozenset(neighbourhood(address) for address in config.kiosks)
        self._at_kiosks = Buckets(quick)
        self._elsewhere = Buckets(quick, (config.per_hour, config.per_hour / 3600))

    def take(self, address: str, now_s: float) -> float:
        """Return 0 where a number may be taken, or how long to wait."""
        who = neighbourhood(address)
        return (self._at_kiosks if who in self._kiosks else self._elsewhere).take(who, now_s)


def people_of(connection: Connection) -> People:
    """Return the register of the center that a request came to."""
    people: People = connection.app.state["people"]
    return people


def person_of(connection: Connection) -> Person | None:
    """Return who asks; None for anybody."""
    return people_of(connection).person(connection.cookies.get(COOKIE))


def person_of_scope(people: People, scope: HTTPScope) -> Person | None:
    """Return who asks, for what is no handler of the framework's; its cookies are read as every other page's."""
    connection: Connection = ASGIConnection(scope)
    return people.person(connection.cookies.get(COOKIE))


def needs(right: Right) -> Guard:
    """Return the guard of a route for people who may do that."""

    async def guard(connection: Connection, _handler: BaseRouteHandler) -> None:
        person = person_of(connection)
        lang = language_of(connection)
        if person is None:
            raise refused(PeopleError("login_needed"), lang)
        if person.must_change:
            raise refused(PeopleError("password_change_needed"), lang)
        if not person.may(right):
            await people_of(connection).record_denied(person, connection.url.path)
            raise refused(PeopleError("forbidden"), lang)

    return guard


def known(connection: Connection, _handler: BaseRouteHandler) -> None:
    """Let anybody through who has logged in, also to choose a password."""
    if person_of(connection) is None:
        raise refused(PeopleError("login_needed"), language_of(connection))


def address_of(connection: Connection) -> str:
    """Return the address a request came from."""
    return connection.client.host if connection.client else ""


def actor_of(connection: Connection) -> str:
    """Return how the record names whoever asks."""
    if person := person_of(connection):
        return person.actor
    address = address_of(connection)
    return f"http:{address}" if address else "http"


def language_of(connection: Connection) -> Language:
    """Return the language of an answer: `?lang=`, else what is remembered or accepted, else Vietnamese."""
    asked = connection.query_params.get("lang") or connection.headers.get("accept-language") or ""
    return "en" if asked[:2].lower() == "en" else "vi"
