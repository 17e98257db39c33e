"""The way to the office's other login and back: two addresses, one cookie, and a page that goes on by itself.

The way back is a step from another site, and with such a step a browser sends no `SameSite=Strict` cookie. So it ends
in a page of ours, which opens the one that was asked for: then the new session's cookie goes along.
"""

from typing import Any
from urllib.parse import quote

from litestar import Response, get
from litestar.datastructures import Cookie
from litestar.handlers import HTTPRouteHandler
from litestar.types import Scope

from center.clock import Clock
from center.config import Http, Oidc
from center.errors import StoreError
from center.people.limits import Buckets, neighbourhood
from center.people.model import PeopleError
from center.people.oidc import AWAY_S, Provider, UntrustedError
from center.people.register import TooManyError
from center.web.drawing import PageRequest, language_of_page, to_page
from center.web.gate import address_of, people_of, person_of
from center.web.people import inside, refusal, session_cookies
from center.web.people_pages import OIDC, PeoplePages

BACK = f"{OIDC}/callback"
COOKIE = "motcua_away"
TRIES = (200, 5.0)
"""So many steps of one address at once, and a second; each may ask the provider something."""


def make_provider(oidc: Oidc, http: Http, clock: Clock) -> Provider:
    """Return the provider that the configuration names; raise ConfigError where its secret cannot be read."""
    return Provider(oidc, origin=oidc.address or http.origin, path=BACK, clock=clock)


def oidc_routes(book: PeoplePages, provider: Provider, clock: Clock) -> list[HTTPRouteHandler]:
    """Return the routes of a center at which another login is good, too."""
    tries = Buckets(TRIES)
    origin = provider.origin

    def counted(request: PageRequest) -> None:
        if wait_s := tries.take(neighbourhood(address_of(request)), clock.monotonic_s()):
            raise TooManyError("login_wait", wait_s)

    def refused(request: PageRequest, error: PeopleError | StoreError, to: str) -> Response[Any]:
        fault = refusal(error, language_of_page(request))
        answer = book.login(request, to=to, fault=fault.problem.message, status=fault.status_code)
        answer.headers.update(fault.headers or {})
        answer.cookies.append(_cookie("", request.scope, max_age=0))
        return answer

    @get(OIDC, include_in_schema=False)
    async def leave(request: PageRequest) -> Response[Any]:
        to = inside(request.query_params.get("to", ""))
        if person_of(request):
            return to_page(to)
        here = f"{request.scope['scheme']}://{request.headers.get('host', '').lower()}"
        if (
            here != origin and "again" not in request.query_params
        ):  # the cookie must be where the provider sends us back
            return to_page(f"{origin}{OIDC}?again=1&to={quote(to, safe='')}")
        try:
            counted(request)
            url, cookie = await provider.leave(to)
        except PeopleError as error:
            return refused(request, error, to)
        answer = to_page(url)
        answer.cookies.append(_cookie(cookie, request.scope, max_age=int(AWAY_S)))
        return answer

    @get(BACK, include_in_schema=False)
    async def back(request: PageRequest) -> Response[Any]:
        people, address = people_of(request), address_of(request)
        try:
            counted(request)
            said = {key: request.query_params.get(key) for key in ("state", "code", "iss", "error")}
            identity, to = await provider.back(
                request.cookies.get(COOKIE, ""), {key: value for key, value in said.items() if value is not None}
            )
            found = await people.log_in_as(identity, address=address, label=provider.label)
        except UntrustedError as error:
            await people.record_failure(address, f"oidc: {error.reason}")
            return refused(request, error, "/")
        except (PeopleError, StoreError) as error:
            return refused(request, error, "/")
        answer = book.arrived(request, to)
        answer.headers["refresh"] = f"0;url={to_page(to).headers['location']}"
        answer.cookies.extend([*session_cookies(found, request.scope), _cookie("", request.scope, max_age=0)])
        return answer

    return [leave, back]


def _cookie(value: str, scope: Scope, *, max_age: int) -> Cookie:
    """Return the cookie of one login on its way: it must come along when the provider sends the browser back."""
    return Cookie(
        key=COOKIE,
        value=value,
        max_age=max_age,
        path=OIDC,
        httponly=True,
        samesite="lax",
        secure=scope.get("scheme") == "https",
    )
