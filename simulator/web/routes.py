"""The routes of `/demo`, added to the center's own in the same process; all they know comes from the world's socket."""

import asyncio
import contextlib
import gzip
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from jinja2 import Environment, PackageLoader
from litestar import MediaType, Request, Response, asgi, get, post
from litestar.datastructures import Cookie
from litestar.exceptions import NotFoundException
from litestar.types import ControllerRouterHandler, Receive, Scope, Send
from markupsafe import Markup

from center.people.model import Right, Role
from center.web.drawing import to_page
from center.web.gate import address_of, people_of, person_of
from center.web.people import inside, session_cookies
from simulator.control import Answer, Ask, WorldGoneError, ask_world, watch_world
from simulator.web.words import Language, words

VISITOR: tuple[str, str, Role] = ("khach", "Khách tham quan", "administrator")
"""Who looks around in the demo; an account whose password nobody knows."""

REVIEWER: tuple[str, str, Role] = ("giam-sat", "Giám sát viên", "supervisor")
"""Who looks at what the camera found: whoever runs the machines may not."""

BEAT_S = 15.0
_YEAR_S = 365 * 86_400
_FOLDER = Path(__file__).parent
_FILES = {
    "demo.css": "text/css; charset=utf-8",
    "demo.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]
_BEAT = b"event: beat\ndata: {}\n\n"


class Entering(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """At which counter an officer sits down; nowhere for the demo's visitor."""

    counter: str = ""


def demo_routes(
    world: Path, *, center: str, counters: Mapping[str, str], zone: str
) -> Sequence[ControllerRouterHandler]:
    """Return the routes; `world` is the control socket, `center` the name on the page, `counters` have labels by id.

    `zone` is whose time the page tells: the center's, wherever the browser is.
    """
    pages = Environment(loader=PackageLoader("simulator.web", "."), autoescape=True)

    @get("/demo", media_type=MediaType.HTML, include_in_schema=False)
    async def page(request: Request[Any, Any, Any]) -> Response[str]:
        """The page itself, in Vietnamese unless asked otherwise; the center's pages remember it too."""
        asked = request.query_params.get("lang")
        language: Language = "en" if (asked or request.cookies.get("lang")) == "en" else "vi"
        said = words(language)
        boot = msgspec.json.encode({"lang": language, "words": said, "zone": zone}).decode()
        html = pages.get_template("demo.html").render(
            lang=language,
            other="vi" if language == "en" else "en",
            words=said,
            center=center,
            boot=_script_safe(boot),
        )
        cookie = Cookie(key="lang", value=language, max_age=_YEAR_S, path="/", samesite="lax", httponly=True)
        return Response(
            html,
            media_type=MediaType.HTML,
            headers={"Cache-Control": "no-store"},
            cookies=[*([cookie] if asked else []), *await _visitor(request)],
        )

    @get("/demo/enter", include_in_schema=False)
    async def enter(request: Request[Any, Any, Any]) -> Response[bytes]:
        """Where the center's pages send whoever is not logged in: the demo's visitor is, without typing."""
        cookies = await _visitor(request)
        answer = to_page(inside(request.query_params.get("to", "")))
        answer.cookies.extend(cookies)
        return answer

    @get("/demo/review", include_in_schema=False)
    async def review(request: Request[Any, Any, Any]) -> Response[bytes]:
        """To what the camera found, as a supervisor."""
        return await _in_as(request, "review", REVIEWER)

    @get("/demo/devices", include_in_schema=False)
    async def devices(request: Request[Any, Any, Any]) -> Response[bytes]:
        """To the devices, as somebody who runs them."""
        return await _in_as(request, "see_devices", VISITOR, to="/devices")

    @post("/demo/enter", status_code=200, include_in_schema=False)
    async def sit_down(data: Entering, request: Request[Any, Any, Any]) -> Response[dict[str, str]]:
        """Log in the officer of a counter, or the visitor."""
        if not data.counter:
            return Response({}, cookies=await _admit(request, *VISITOR))
        if data.counter not in counters:
            raise NotFoundException
        name, full_name = f"quay-{data.counter}", f"Cán bộ quầy {counters[data.counter]}"
        return Response({}, cookies=await _admit(request, name, full_name, "officer"))

    @get("/demo/{name:str}", include_in_schema=False, sync_to_thread=False)
    def file(name: str, request: Request[Any, Any, Any]) -> Response[bytes]:
        """How it looks and what it does."""
        if name not in _FILES:
            raise NotFoundException
        content = _FOLDER.joinpath(name).read_bytes()
        headers = {"Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
        if "gzip" in request.headers.get("accept-encoding", ""):
            content = gzip.compress(content, mtime=0)
            headers["Content-Encoding"] = "gzip"
        return Response(content, media_type=_FILES[name], headers=headers)

    @post("/demo/do", status_code=200, include_in_schema=False)
    async def do(data: Ask) -> Answer:
        """Press a button, pull a cable, stop the broker."""
        if data.do == "watch":
            return Answer(ok=False, message="the stream is at /demo/stream")
        try:
            return await ask_world(world, data)
        except WorldGoneError as error:
            return Answer(ok=False, message=str(error))

    @asgi("/demo/stream", copy_scope=True)
    async def stream(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001 - ASGI's shape
        """The world, live."""
        await _stream(world, receive, send)

    return (page, enter, review, devices, sit_down, file, do, stream)


async def _visitor(request: Request[Any, Any, Any]) -> list[Cookie]:
    """Return the cookies that log the demo's visitor in; none where somebody is logged in."""
    return [] if person_of(request) else await _admit(request, *VISITOR)


async def _in_as(
    request: Request[Any, Any, Any], right: Right, who: tuple[str, str, Role], *, to: str = "/review"
) -> Response[bytes]:
    """Send a browser on to a page, logged in as somebody who may see it."""
    person = person_of(request)
    answer = to_page(to)
    if person is None or not person.may(right):
        answer.cookies.extend(await _admit(request, *who))
    return answer


async def _admit(request: Request[Any, Any, Any], name: str, full_name: str, role: Role) -> list[Cookie]:
    """Log in without a password: only the demo has such a way in, and it listens on loopback only."""
    people = people_of(request)
    await people.vouch(name, full_name, role, actor="demo")
    return session_cookies(await people.admit(name, address=address_of(request)), request.scope)


async def _stream(world: Path, receive: Receive, send: Send) -> None:
    writer = asyncio.create_task(_write(world, send), name="demo stream")
    try:
        while (await receive())["type"] != "http.disconnect":
            pass
    finally:
        writer.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await writer


async def _write(world: Path, send: Send) -> None:
    async def say(content: bytes, *, more: bool = True) -> None:
        body: Any = {"type": "http.response.body", "body": content, "more_body": more}
        await send(body)

    start: Any = {"type": "http.response.start", "status": 200, "headers": _HEADERS}
    await send(start)
    await say(b"retry: 500\n\n")
    lines = watch_world(world)
    news: asyncio.Task[bytes] | None = None
    try:
        while True:
            news = news or asyncio.ensure_future(anext(lines))
            done, _ = await asyncio.wait({news}, timeout=BEAT_S)
            if not done:
                await say(_BEAT)
                continue
            line, news = news.result(), None
            await say(b"event: parts\ndata: " + line + b"\n\n")
    except (WorldGoneError, StopAsyncIteration):
        await say(b"", more=False)  # the page tries again
    finally:
        if news is not None:
            news.cancel()
            with contextlib.suppress(asyncio.CancelledError, WorldGoneError, StopAsyncIteration):
                await news
        await lines.aclose()


def _script_safe(json: str) -> Any:
    """JSON inside a script element: no `<` may end it."""
    return Markup(json.replace("<", "\\u003c"))  # noqa: S704 - it is our own, and `<` is escaped
