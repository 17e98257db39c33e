"""The cameras' pages, and what is seen on them: a still, or pictures as they come.

A camera sends its pictures to `POST /api/looks/…`, and its token is all that lets anybody in there. Who looks is in the
audit log before the first byte goes out.
"""

import asyncio
import logging
import re
from typing import Any

from litestar import Request, Response, get, post
from litestar.datastructures import State as AppState
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.types import ASGIApp, Receive, Scope, Send

from center.cameras.looks import (
    PATH,
    RENEWED_S,
    FullError,
    NoPictureError,
    OverError,
    OwnFullError,
    Picture,
    TooSoonError,
    Viewer,
    WrongTokenError,
)
from center.errors import StoreError
from center.people.model import PeopleError, Person
from center.people.register import People
from center.web import devices as shown
from center.web.camera_views import CameraView
from center.web.devices import PROBLEMS, RANK
from center.web.drawing import Drawing, PageRequest, language_of_page
from center.web.gate import Problem, RefusedError, language_of, needs, person_of, refused, unstored
from center.web.stream import Hub
from center.web.words import WORDS, Language, pack, say
from contract.cameras import KINDS
from contract.states import PICTURE_BYTES

log = logging.getLogger(__name__)

STILL_WITHIN_S = 6.0
LIVE_S = RENEWED_S
"""After so long a page asks whether somebody still looks."""

_SLOW_S = 30.0
_OLDEST_MS = 60_000
_BOUNDARY = b"--picture\r\nContent-Type: image/jpeg\r\n\r\n"
"""Before each picture, and right behind it: Chromium shows a picture when it has the head of the next one."""

_BEARER = re.compile(r"bearer ([!-~]{1,200})", re.ASCII | re.IGNORECASE)
_AGE = re.compile(r"[0-9]{1,9}", re.ASCII)

_LIST = (
    *("camera_at", "camera_figures", "cameras_all_well", "cameras_problems", "cameras_none", "devices_cut_off"),
    *("seconds_ago", "minutes_ago", "hours_ago", "seen_now", "camera_watched", "unreachable", "counter"),
    *(key for key in WORDS if key.startswith(("status_", "why_", "trouble_"))),
)
_ONE = (*_LIST, *(key for key in WORDS if key.startswith(("look_", "zone_", "keep_", "hours_"))))

CameraRequest = Request[None, None, AppState]


class Cameras:
    """Draws the cameras' pages and shows what they see."""

    def __init__(self, hub: Hub, people: People, drawing: Drawing) -> None:
        self._hub, self._people, self._draw = hub, people, drawing.draw

    # --- pages -------------------------------------------------------------------------------------------------------

    def all(self, request: PageRequest) -> Response[bytes]:
        """Draw all cameras, problems first."""
        view = self._hub.view("cameras")
        lang = language_of_page(request)
        known: list[CameraView] = [one for one in view.values() if isinstance(one, CameraView)]
        items = sorted(known, key=lambda one: (RANK[one.level], one.station))
        problems = sum(one.level in PROBLEMS for one in items)
        summary = say("cameras_all_well", lang)
        if not view["reached"]:
            summary = say("devices_cut_off", lang)
        elif not items:
            summary = say("cameras_none", lang)
        elif problems:
            summary = say("cameras_problems", lang, n=problems)
        return self._draw(
            request,
            "cameras",
            ("cameras", "", view, pack(_LIST, lang)),
            items=items,
            level="warn" if problems or not view["reached"] else "ok" if items else "none",
            summary=summary,
            **self._words(lang),
        )

    def one(self, request: PageRequest, station: str) -> Response[bytes]:
        """Draw one camera: its picture, its zones and masks, what it reports and when."""
        view = self._hub.view("cameras")
        if not isinstance(item := view.get(station), CameraView):
            raise NotFoundException(detail=f"there is no camera at {station}")
        lang = language_of_page(request)
        start = {"reached": view["reached"], station: item}
        return self._draw(
            request,
            "camera",
            ("cameras", station, start, pack(_ONE, lang)),
            item=item,
            kinds=KINDS,
            **self._words(lang),
        )

    def _words(self, lang: Language) -> dict[str, Any]:
        now = self._hub.now_ms()
        return {
            "place": lambda one: f"{say('counter', lang)} {one.label}" if one.label else one.station,
            "ago": lambda at: shown.ago(now - at, lang),
            "remark": lambda one: shown.remark(one, lang),
            "figures": lambda one: (
                say("camera_figures", lang, clips=one.clips, held=one.held) if one.clips is not None else ""
            ),
        }

    # --- looking -----------------------------------------------------------------------------------------------------

    async def still(self, request: CameraRequest, station: str) -> Response[bytes]:
        """Show one picture that came since."""
        with await self._look(request, station, live=False) as viewer:
            picture = await viewer.next(STILL_WITHIN_S)
        if picture is None:
            raise _refused(504, "no_picture", request)
        headers = {"cache-control": "no-store", "picture-age-ms": str(self._age_ms(picture))}
        return Response(picture.jpeg, media_type="image/jpeg", headers=headers)

    async def live(self, request: CameraRequest, station: str) -> ASGIApp:
        """Show pictures as they come."""
        person = _who(request)
        viewer = await self._look(request, station, live=True)

        async def show(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001 (ASGI's shape)
            began_s = asyncio.get_running_loop().time()
            writer = asyncio.create_task(self._write(viewer, send), name="look-writer")
            gone = asyncio.create_task(_until_gone(receive), name="look-reader")
            try:
                await asyncio.wait({writer, gone}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                viewer.__exit__(None, None, None)
                writer.cancel()
                gone.cancel()
                await asyncio.gather(writer, gone, return_exceptions=True)
                seconds = round(asyncio.get_running_loop().time() - began_s)
                await self._record_end(person, station, f"{seconds} s, {viewer.shown} pictures")

        return show

    async def _look(self, request: CameraRequest, station: str, *, live: bool) -> Viewer:
        """Begin to look, once that is in the audit log."""
        person = _who(request)
        if f"{station}/camera" not in self._hub.mirror.devices:
            raise NotFoundException(detail=f"there is no camera at {station}")
        try:
            viewer = self._hub.looks.view(station, person.session, person.actor, live=live)
        except OwnFullError as error:
            raise _refused(429, "viewers_own", request, {"retry-after": "10"}) from error
        except FullError as error:
            raise _refused(429, "viewers_full", request, {"retry-after": "10"}) from error
        try:
            await self._people.record(person.actor, "camera_looked", station, "live" if live else "still")
        except BaseException as error:
            viewer.__exit__(None, None, None)
            if isinstance(error, StoreError):
                raise unstored(error, language_of(request)) from error
            raise
        return viewer

    async def _record_end(self, person: Person, station: str, detail: str) -> None:
        try:
            await self._people.record(person.actor, "camera_left", station, detail)
        except StoreError as error:
            log.warning("that %s looks no more through the camera of %s is not logged: %s", person.name, station, error)

    async def _write(self, viewer: Viewer, send: Send) -> None:
        headers = [
            (b"content-type", b"multipart/x-mixed-replace; boundary=picture"),
            (b"cache-control", b"no-store"),
            (b"x-accel-buffering", b"no"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": _BOUNDARY, "more_body": True})
        loop = asyncio.get_running_loop()
        until_s = loop.time() + LIVE_S
        while not viewer.ended and (left_s := until_s - loop.time()) > 0:
            picture = await viewer.next(left_s)
            if picture is not None:
                async with asyncio.timeout(_SLOW_S):
                    await send(
                        {"type": "http.response.body", "body": picture.jpeg + b"\r\n" + _BOUNDARY, "more_body": True}
                    )
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _age_ms(self, picture: Picture) -> int:
        return max(0, round((self._hub.looks.now_s() - picture.taken_s) * 1000))

    # --- what a camera sends -----------------------------------------------------------------------------------------

    async def take(self, request: CameraRequest, look: str) -> Response[None]:
        """Take a picture of a camera."""
        looks = self._hub.looks
        try:
            station = looks.may_send(look, _token(request))
            age_ms = _announced(request)
            looks.take(station, await request.body(), age_ms=age_ms)
        except WrongTokenError as error:
            raise _plain(401, "token_wrong", str(error), {"www-authenticate": "Bearer"}) from error
        except OverError as error:
            raise _plain(410, "look_over", str(error)) from error
        except TooSoonError as error:
            raise _plain(429, "too_soon", str(error), {"retry-after": "1"}) from error
        except NoPictureError as error:
            raise _plain(422, "request_invalid", str(error)) from error
        return Response(None, status_code=204, headers={"cache-control": "no-store"})


def camera_routes(cameras: Cameras) -> list[HTTPRouteHandler]:
    """Return the routes of the cameras' pages and of what they show."""

    @get("/cameras", include_in_schema=False, sync_to_thread=False, guards=[needs("watch")])
    def every(request: PageRequest) -> Response[bytes]:
        return cameras.all(request)

    @get("/cameras/{station:str}", include_in_schema=False, sync_to_thread=False, guards=[needs("watch")])
    def one(request: PageRequest, station: FromPath[str]) -> Response[bytes]:
        return cameras.one(request, station)

    @get("/api/cameras/{station:str}/still", include_in_schema=False, guards=[needs("watch")])
    async def still(request: CameraRequest, station: FromPath[str]) -> Response[bytes]:
        return await cameras.still(request, station)

    @get("/api/cameras/{station:str}/live", include_in_schema=False, guards=[needs("watch")])
    async def live(request: CameraRequest, station: FromPath[str]) -> ASGIApp:
        return await cameras.live(request, station)

    @post(f"{PATH}/{{look:str}}", include_in_schema=False, request_max_body_size=PICTURE_BYTES, status_code=204)
    async def take(request: CameraRequest, look: FromPath[str]) -> Response[None]:
        return await cameras.take(request, look)

    return [every, one, still, live, take]


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _who(request: CameraRequest) -> Person:
    person = person_of(request)
    if person is None:  # logged out since the guard looked
        raise refused(PeopleError("login_needed"), language_of(request))
    return person


def _token(request: CameraRequest) -> str:
    said = _BEARER.fullmatch(_only(request, "authorization") or "")
    if said is None:
        raise WrongTokenError("this needs the token of this look; it is in the camera's desired state")
    return said[1]


def _announced(request: CameraRequest) -> int:
    """Return how old a picture is; refuse what is no picture before it is read."""
    if _only(request, "content-type") != "image/jpeg":
        raise _plain(415, "media_type_wrong", "Content-Type must be image/jpeg")
    if _only(request, "content-length") is None:
        raise _plain(411, "length_missing", "Content-Length is needed")
    age = _only(request, "picture-age-ms") or "0"
    if not _AGE.fullmatch(age):
        raise _plain(400, "request_invalid", "Picture-Age-Ms must be a number")
    return min(int(age), _OLDEST_MS)


def _only(request: Request[Any, Any, Any], name: str) -> str | None:
    """Return a header that may be given once; None where it is missing."""
    found = [value for key, value in request.scope["headers"] if key == name.encode()]
    if len(found) > 1:
        raise _plain(400, "request_invalid", f"{name} is given twice")
    return found[0].decode("latin-1").strip() if found else None


def _plain(status: int, code: str, words: str, headers: dict[str, str] | None = None) -> RefusedError:
    return RefusedError(status, Problem(code=code, message=words), headers=headers)


def _refused(status: int, code: str, request: CameraRequest, headers: dict[str, str] | None = None) -> RefusedError:
    words = Problem(code=code, message=say(code, language_of(request)))
    return RefusedError(status, words, headers=headers)
