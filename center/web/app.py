"""The web application: API, stream, pages and their files, behind one set of security headers."""

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from litestar import Litestar, MediaType, Request, Response, asgi, get
from litestar.datastructures import State as AppState
from litestar.exceptions import HTTPException, NotFoundException, ValidationException
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import (
    OpenAPI,
    OpenAPIMediaType,
    OpenAPIResponse,
    OpenAPIType,
    Operation,
    Parameter,
    PathItem,
    Reference,
    RequestBody,
    Schema,
)
from litestar.types import ControllerRouterHandler, HTTPScope, Message, Receive, Scope, Send

from center.cameras.uploads import Uploads
from center.cameras.wishes import Wishes
from center.config import Config
from center.errors import ConfigError
from center.fleet.fleet import Fleet
from center.fleet.webhook import make_webhook
from center.hall import Hall
from center.people.model import Right
from center.people.passwords import Hasher
from center.people.register import People
from center.people.technician import Technician
from center.web import pages
from center.web.api import HEADERS, api_router
from center.web.assets import Assets
from center.web.cameras import Cameras, camera_routes
from center.web.clips import upload_routes
from center.web.drawing import Drawing
from center.web.gate import Gate, Hosts, Problem, RefusedError, TicketLimits, WrongField, person_of_scope
from center.web.metrics import Metrics
from center.web.metrics import route as metrics_route
from center.web.notice import notice_routes
from center.web.people import people_routes
from center.web.people_pages import LOGIN, PeoplePages
from center.web.review import ReviewPages, review_routes
from center.web.stream import VIEWS, Hub
from center.web.wishes import wish_routes

if TYPE_CHECKING:
    from center.people.oidc import Provider

_log = logging.getLogger(__name__)

MAX_BODY = 16_384
"""An ask is small; a larger body is refused before it is read."""

_SECURITY = [
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self'; "
        b"connect-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"SAMEORIGIN"),
    (b"referrer-policy", b"same-origin"),  # without any, a browser would not say where our own forms come from
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
]


def create_app(
    hall: Hall,
    config: Config,
    *,
    extra_routes: Sequence[ControllerRouterHandler] = (),
    extra_links: Sequence[pages.Link] = (),
    hasher: Hasher | None = None,
    login_at: str = LOGIN,
) -> Litestar:
    """Return the app of a center; `app.state.hub` is its live stream, which a server ends before it stops.

    `extra_routes` are served beside the center's own, `extra_links` stand on the first page; `hasher` is what passwords
    cost, which a test makes cheap; `login_at` is where pages send whoever is not logged in.
    """
    assets = Assets()
    hub = Hub(hall, config, hall.clock, asset=assets.version)
    fleet = Fleet(hall, config, webhook=make_webhook(config.alerts, center=config.id, clock=hall.clock))
    hub.board, fleet.on_news = (lambda: fleet.board), hub.wake
    metrics = Metrics(config, hall, hub, fleet)
    people = People(hall, config, hasher=hasher)
    people.on_end = hub.end
    hub.called = people.called
    provider, ways = _other_login(config, hall)
    technician = Technician(people, Path(config.data_dir))
    uploads = Uploads(config, hall)
    fleet.over_share = uploads.over
    wishes = Wishes(hall, config)
    wishes.look, hub.looks.on_change = hub.looks.wanted, wishes.touch
    drawing = Drawing(config, hub, assets)
    screens = pages.Pages(config, hub, drawing, links=tuple(extra_links))
    book = PeoplePages(config, hub, people, drawing, login_at=login_at)
    hosts, tickets = Hosts(config.http), TicketLimits(config.tickets)

    @asynccontextmanager
    async def following(app: Litestar) -> AsyncIterator[None]:
        _describe_stream(app.openapi_schema)
        _describe_refusals(app.openapi_schema)
        await people.start()
        await asyncio.to_thread(uploads.start)
        await asyncio.to_thread(wishes.start)
        await hub.start()
        await technician.start()
        await asyncio.to_thread(fleet.start)
        await asyncio.to_thread(metrics.start)
        try:
            yield
        finally:
            await technician.stop()
            if provider is not None:
                provider.close()
            await asyncio.to_thread(metrics.stop)
            await asyncio.to_thread(fleet.stop)
            await asyncio.to_thread(wishes.stop)
            await asyncio.to_thread(uploads.stop)
            await hub.stop()
            await people.stop()

    return Litestar(
        route_handlers=[
            *pages.routes(screens),
            *people_routes(book),
            *ways(book),
            api_router(),
            *upload_routes(uploads),
            *wish_routes(),
            *review_routes(ReviewPages(config, hall, hub, drawing, uploads)),
            *camera_routes(Cameras(hub, people, drawing)),
            *notice_routes(config, drawing),
            healthz,
            metrics_route(metrics),
            asgi("/stream", copy_scope=True)(_stream(hub, people)),
            asgi("/static", is_mount=True, copy_scope=True)(_static(assets)),
            *extra_routes,
        ],
        state=AppState(
            {
                "hall": hall,
                "hub": hub,
                "pages": screens,
                "people_pages": book,
                "fleet": fleet,
                "uploads": uploads,
                "wishes": wishes,
                "people": people,
                "tickets": tickets,
            }
        ),
        middleware=[lambda app: Gate(app, hosts)],
        lifespan=[following],
        before_send=[_secure],
        exception_handlers={HTTPException: _explain, RecursionError: _too_deep, Exception: _broken},
        request_max_body_size=MAX_BODY,
        openapi_config=OpenAPIConfig(
            title=config.name,
            version="1",
            description=(
                "Whoever wants more than a number logs in: `POST /api/login` answers with a cookie. "
                "Commands carry an `Idempotency-Key`; a command that acts on an older state than there is gets 409. "
                "Live data: `GET /stream?view=board|officer|kiosk|rating|devices|cameras&counter=…` "
                "(server-sent events)."
            ),
            path="/schema",
            render_plugins=[JsonRenderPlugin()],
        ),
        logging_config=None,
    )


def _other_login(
    config: Config, hall: Hall
) -> "tuple[Provider | None, Callable[[PeoplePages], list[HTTPRouteHandler]]]":
    """Return the office's other login and its routes, where there is one: only then its libraries are loaded."""
    if config.people.oidc is None:
        return None, lambda _book: []
    try:
        from center.web.oidc import make_provider, oidc_routes
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"people.oidc: needs {error.name}, which is not installed: pip install 'motcua[oidc]'"
        ) from error
    provider = make_provider(config.people.oidc, config.http, hall.clock)
    return provider, lambda book: oidc_routes(book, provider, hall.clock)


@get("/healthz", sync_to_thread=False, summary="Is the center well", tags=["center"])
def healthz(state: AppState) -> Response[dict[str, str]]:
    """Answer 200 while commands are answered, 503 when they are not."""
    hall: Hall = state["hall"]
    word = "stopped" if not hall.alive() else "ok" if hall.storing() else "not storing"
    return Response({"status": word}, status_code=200 if word == "ok" else 503)


# --- headers and errors --------------------------------------------------------------------------------------------


async def _secure(message: Message, _scope: Scope) -> None:
    if message["type"] == "http.response.start":
        message["headers"] = [*message["headers"], *_SECURITY]


def _explain(request: Request[Any, Any, AppState], error: HTTPException) -> Response[Any]:
    """Answer a refusal or a fault of the asker: JSON to programs, the first page to a browser that lost its way."""
    screens: pages.Pages = request.app.state["pages"]
    book: PeoplePages = request.app.state["people_pages"]
    if isinstance(error, RefusedError):
        if not request.url.path.startswith("/api/"):
            return book.refused(request, error)
        return _problem(error.status_code, error.problem, headers=error.headers)
    if isinstance(error, NotFoundException) and "text/html" in request.headers.get("accept", ""):
        return screens.index(request, missing=True)
    if isinstance(error, ValidationException):
        return _invalid(error)
    codes = {400: "request_invalid", 404: "not_found", 405: "method_not_allowed", 413: "too_large"}
    return _problem(error.status_code, Problem(code=codes.get(error.status_code, "refused"), message=error.detail))


_NO_BODY = "'data'"  # what Litestar says of an empty one
_NAMED = re.compile(r"(?:field|parameter) [`'\"](?P<name>[^`'\"]+)")


def _invalid(error: ValidationException) -> Response[Any]:
    """Name every field at fault; an address with a wrong part in it does not exist."""
    faults = [one for one in (error.extra if isinstance(error.extra, list) else []) if isinstance(one, dict)]
    if any(one.get("source") == "path" for one in faults):
        return _problem(404, Problem(code="not_found", message="Not Found"))
    fields = []
    for one in faults or [{"message": error.detail}]:
        reason = str(one.get("message", ""))
        name = str(one.get("key", "")).removeprefix("data").lstrip(".")
        if one.get("source") == "header":
            name = HEADERS.get(name, name)
        elif reason == _NO_BODY:
            reason = "Missing required JSON object"
        if named := _NAMED.search(reason):
            name = f"{name}.{named['name']}".lstrip(".")
        fields.append(WrongField(field=name, reason=reason))
    message = "; ".join(f"{one.field or 'body'}: {one.reason}" for one in fields)
    return _problem(422, Problem(code="request_invalid", message=message, fields=tuple(fields)))


def _too_deep(request: Request[Any, Any, AppState], error: RecursionError) -> Response[Any]:
    """Answer a body that is nested deeper than the JSON reader goes; any other recursion without end is our fault."""
    if "deserializing" not in str(error):
        return _broken(request, error)
    return _problem(400, Problem(code="request_invalid", message="body: is nested too deeply"))


def _broken(_request: Request[Any, Any, AppState], error: Exception) -> Response[Any]:
    _log.error("a request ended in a fault of the program; please report it", exc_info=error)
    return _problem(500, Problem(code="internal", message="The center could not answer this; see its log."))


def _problem(status: int, problem: Problem, headers: Mapping[str, str] | None = None) -> Response[Any]:
    every = {"cache-control": "no-store", **(headers or {})}
    return Response(problem, status_code=status, media_type=MediaType.JSON, headers=every)


def _describe_stream(document: OpenAPI) -> None:
    """Add the stream, which is no handler of the framework's, to the description of the interface."""
    names = {"view": ("What to look at.", list(VIEWS)), "counter": ("For officer and rating: where.", None)}
    parameters = [
        Parameter(
            name=name,
            param_in="query",
            required=name == "view",
            description=words,
            schema=Schema(type=OpenAPIType.STRING, enum=choices),
        )
        for name, (words, choices) in names.items()
    ]
    answer = OpenAPIResponse(
        description="Server-sent events: one snapshot, then a delta for each change, and a beat every 15 s.",
        content={"text/event-stream": OpenAPIMediaType(schema=Schema(type=OpenAPIType.STRING))},
    )
    operation = Operation(
        tags=["center"],
        summary="Live data",
        operation_id="Stream",
        parameters=list(parameters),
        responses={"200": answer},
    )
    if document.paths is not None:
        document.paths["/stream"] = PathItem(get=operation)


def _describe_refusals(document: OpenAPI) -> None:
    """Say of every operation how it refuses, and what: the framework describes an answer that nobody here gives."""
    text, name = Schema(type=OpenAPIType.STRING), "Problem"
    field = Schema(type=OpenAPIType.OBJECT, properties={"field": text, "reason": text}, required=["field", "reason"])
    document.components.schemas[name] = Schema(
        type=OpenAPIType.OBJECT,
        description="Why nothing was done: a code for programs, a message for people, and the fields at fault.",
        properties={"code": text, "message": text, "fields": Schema(type=OpenAPIType.ARRAY, items=field)},
        required=["code", "message", "fields"],
    )
    problem = OpenAPIMediaType(schema=Reference(ref=f"#/components/schemas/{name}"))
    refusal = OpenAPIResponse(description="Refused", content={"application/json": problem})
    for path in (document.paths or {}).values():
        for operation in (path.get, path.post, path.put, path.patch, path.delete):
            if operation is None or operation.responses is None:
                continue
            operation.responses.pop("400", None)
            operation.responses["default"] = refusal
            if isinstance(operation.request_body, RequestBody):
                for content in operation.request_body.content.values():
                    _close(document, content.schema)


def _close(document: OpenAPI, body: Schema | Reference | None) -> None:
    """Say of a body that it may have no field beside those named."""
    if isinstance(body, Reference):
        document.components.schemas[body.ref.rpartition("/")[2]].additional_properties = False


# --- bare ASGI -----------------------------------------------------------------------------------------------------

_App = Callable[[Any, Receive, Send], Any]


_RIGHT_OF_VIEW: dict[str, Right] = {"officer": "serve", "devices": "see_devices", "cameras": "watch"}


def _stream(hub: Hub, people: People) -> _App:
    async def stream(scope: HTTPScope, receive: Receive, send: Send) -> None:
        right = _RIGHT_OF_VIEW.get(parse_qs(scope["query_string"].decode("latin-1")).get("view", [""])[0])
        person = None if right is None else person_of_scope(people, scope)
        if right is not None and (person is None or not person.may(right)):
            headers = [(b"cache-control", b"no-store"), (b"content-length", b"0")]
            await send({"type": "http.response.start", "status": 401 if person is None else 403, "headers": headers})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        await hub(scope, receive, send, person=person)

    return stream


def _static(assets: Assets) -> _App:
    async def static(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001 (ASGI's shape)
        version, _, name = scope["path"].strip("/").removeprefix("static/").partition("/")
        asset = assets.get(name)
        if asset is None or scope.get("method") not in ("GET", "HEAD"):
            await send({"type": "http.response.start", "status": 404, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        headers = [(b"content-type", asset.media_type), (b"vary", b"accept-encoding")]
        keep = b"public, max-age=31536000, immutable" if version == assets.version else b"no-store"
        headers.append((b"cache-control", keep))
        body = asset.plain
        if b"gzip" in dict(scope["headers"]).get(b"accept-encoding", b""):
            body = asset.packed
            headers.append((b"content-encoding", b"gzip"))
        headers.append((b"content-length", b"%d" % len(body)))
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    return static
