"""The web application: API, stream, pages and their files, behind one set of security headers."""

import logging
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from litestar import Litestar, MediaType, Request, Response, asgi, get
from litestar.datastructures import State as AppState
from litestar.exceptions import HTTPException, NotFoundException, ValidationException
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
    Schema,
)
from litestar.types import ControllerRouterHandler, Message, Receive, Scope, Send

from center.config import Config
from center.hall import Hall
from center.web import pages
from center.web.api import HEADERS, Problem, RefusedError, WrongField, api_router
from center.web.assets import Assets
from center.web.stream import VIEWS, Hub

_log = logging.getLogger(__name__)

MAX_BODY = 16_384
"""An ask is small; a larger body is refused before it is read."""

_SECURITY = [
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        b"frame-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"SAMEORIGIN"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
]


def create_app(
    hall: Hall,
    config: Config,
    *,
    extra_routes: Sequence[ControllerRouterHandler] = (),
    extra_links: Sequence[pages.Link] = (),
) -> Litestar:
    """Return the app of a center; `app.state.hub` is its live stream, which a server ends before it stops.

    `extra_routes` are served beside the center's own, `extra_links` stand on the first page.
    """
    assets = Assets()
    hub = Hub(hall, config, hall.clock, asset=assets.version)
    book = pages.Pages(config, hub, assets, links=tuple(extra_links))

    @asynccontextmanager
    async def following(app: Litestar) -> AsyncIterator[None]:
        _describe_stream(app.openapi_schema)
        await hub.start()
        try:
            yield
        finally:
            await hub.stop()

    return Litestar(
        route_handlers=[
            *pages.routes(book),
            api_router(),
            healthz,
            asgi("/stream", copy_scope=True)(_stream(hub)),
            asgi("/static", is_mount=True, copy_scope=True)(_static(assets)),
            *extra_routes,
        ],
        state=AppState({"hall": hall, "hub": hub, "pages": book}),
        lifespan=[following],
        before_send=[_secure],
        exception_handlers={HTTPException: _explain, RecursionError: _too_deep, Exception: _broken},
        request_max_body_size=MAX_BODY,
        openapi_config=OpenAPIConfig(
            title=config.name,
            version="1",
            description=(
                "Commands carry an `Idempotency-Key`; a command that acts on an older state than there is gets 409. "
                "Live data: `GET /stream?view=board|officer|kiosk|rating|devices&counter=…` (server-sent events)."
            ),
            path="/schema",
            render_plugins=[JsonRenderPlugin()],
        ),
        logging_config=None,
    )


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
    if isinstance(error, RefusedError):
        return _problem(error.status_code, error.problem)
    if isinstance(error, NotFoundException) and "text/html" in request.headers.get("accept", ""):
        book: pages.Pages = request.app.state["pages"]
        return book.index(request, missing=True)
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


def _problem(status: int, problem: Problem) -> Response[Any]:
    return Response(problem, status_code=status, media_type=MediaType.JSON, headers={"cache-control": "no-store"})


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


# --- bare ASGI -----------------------------------------------------------------------------------------------------

_App = Callable[[Scope, Receive, Send], Any]


def _stream(hub: Hub) -> _App:
    async def stream(scope: Scope, receive: Receive, send: Send) -> None:
        await hub(scope, receive, send)

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
