"""What people ask of cameras: settings, and an interval to keep. Each change is an entry of the audit log."""

import asyncio
from concurrent.futures import Future
from typing import Annotated, TypeVar

import msgspec
from litestar import Request, get, post, put
from litestar.datastructures import State as AppState
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, HeaderParameter, JSONBody

from center.cameras import desired
from center.cameras.book import Known, StaleSettingError, Wish
from center.cameras.desired import Setting, SettingError
from center.cameras.wishes import CAMERA, Wishes
from center.errors import StoreError
from center.web.gate import Problem, RefusedError, WrongField, actor_of, language_of, needs, unstored
from center.web.stream import Hub
from center.web.words import say
from contract.states import Hours, Zone

T = TypeVar("T")
WishRequest = Request[None, None, AppState]

Key = Annotated[
    str,
    HeaderParameter(
        name="Idempotency-Key",
        min_length=1,
        max_length=128,
        description="Chosen by the asker, the same for every try of one ask: a repeat keeps nothing twice.",
    ),
]
Zones = Annotated[tuple[Zone, ...], msgspec.Meta(max_length=16)]
Kinds = Annotated[tuple[Annotated[str, msgspec.Meta(max_length=64)], ...], msgspec.Meta(max_length=16)]


class SettingBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All settings of a camera; null leaves one to the station's own file. `revision`: the one that was seen."""

    revision: Annotated[int, msgspec.Meta(ge=0)]
    zones: Zones | None
    masks: Zones | None
    kinds: Kinds | None
    hours: Annotated[tuple[Hours, ...], msgspec.Meta(max_length=21)] | None


class KeepBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """So many seconds before and after now; `note` says what for."""

    before_s: Annotated[int, msgspec.Meta(ge=0, le=60)]
    after_s: Annotated[int, msgspec.Meta(ge=0, le=3600)]
    note: Annotated[str, msgspec.Meta(max_length=200, pattern=r"^[^\u0000-\u001f\u007f]*$")] = ""


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A recording that was asked for. `done_at`: the camera keeps it; `missed`: it never said so."""

    id: str
    why: str
    ticket: str | None
    before_s: int
    after_s: int
    note: str
    asked_at: int
    asked_by: str
    done_at: int | None
    missed: bool


class CameraSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a camera looks at and for, and what was asked of it last, the newest first."""

    station: str
    revision: int
    zones: tuple[Zone, ...] | None
    masks: tuple[Zone, ...] | None
    kinds: tuple[str, ...] | None
    hours: tuple[Hours, ...] | None
    keeps: list[Kept]


@get("/api/cameras/{station:str}", summary="A camera's settings", tags=["cameras"], guards=[needs("watch")])
async def settings(station: FromPath[str], state: AppState, request: WishRequest) -> CameraSettings:
    """Return what the center has to say of a camera; what is null, the station's own file says."""
    wishes = await _camera(state, station, request)
    known, last = await _stored(wishes.known(station), request)
    return _shown(station, known, last)


@put("/api/cameras/{station:str}", summary="Set a camera", tags=["cameras"], guards=[needs("watch")])
async def change(
    station: FromPath[str], data: JSONBody[SettingBody], state: AppState, request: WishRequest
) -> CameraSettings:
    """Change all settings of a camera at once; it has them in the same second. Refused where somebody was quicker."""
    wishes = await _camera(state, station, request)
    wanted = Setting(zones=data.zones, masks=data.masks, kinds=data.kinds, hours=data.hours)
    try:
        desired.check(wanted)
    except SettingError as error:
        wrong = WrongField(field=error.field, reason=error.reason)
        raise RefusedError(422, Problem(code="request_invalid", message=str(error), fields=(wrong,))) from error
    try:
        await _stored(wishes.set(station, data.revision, wanted, by=actor_of(request)), request)
    except StaleSettingError as error:
        raise _refused(409, "settings_stale", request) from error
    known, last = await _stored(wishes.known(station), request)
    return _shown(station, known, last)


@post(
    "/api/cameras/{station:str}/keep",
    status_code=201,
    summary="Keep what a camera sees now",
    tags=["cameras"],
    guards=[needs("watch")],
)
async def keep(
    station: FromPath[str], data: JSONBody[KeepBody], key: Key, state: AppState, request: WishRequest
) -> Kept:
    """Have a camera keep what was and what comes. Refused while it is not there: later would be another interval."""
    wishes = await _camera(state, station, request)
    hub: Hub = state["hub"]
    hub.catch_up()
    camera = hub.mirror.devices.get(f"{station}/{CAMERA}")
    if camera is None or camera.status is None or camera.status.state != "online":
        raise _refused(409, "camera_away", request)
    asked = wishes.ask(
        station,
        before_s=data.before_s,
        after_s=data.after_s,
        note=data.note.strip(),
        key=key,
        by=actor_of(request),
    )
    return _kept(await _stored(asked, request))


def wish_routes() -> list[HTTPRouteHandler]:
    """Return the routes of what is asked of cameras."""
    return [settings, change, keep]


def _shown(station: str, known: Known, last: list[Wish]) -> CameraSettings:
    setting = known.setting
    return CameraSettings(
        station=station,
        revision=known.revision,
        zones=setting.zones,
        masks=setting.masks,
        kinds=setting.kinds,
        hours=setting.hours,
        keeps=[_kept(wish) for wish in last],
    )


def _kept(wish: Wish) -> Kept:
    return Kept(
        id=wish.id,
        why=wish.why,
        ticket=wish.ticket,
        before_s=wish.before_s,
        after_s=wish.after_s,
        note=wish.note,
        asked_at=wish.asked_at,
        asked_by=wish.asked_by,
        done_at=wish.done_at,
        missed=wish.gone_at is not None and wish.done_at is None and wish.why != "sample",
    )


async def _camera(state: AppState, station: str, request: WishRequest) -> Wishes:
    """Return whoever asks cameras; raise that there is none at a station."""
    wishes: Wishes = state["wishes"]
    if not await asyncio.wrap_future(wishes.has_camera(station)):
        raise _refused(404, "unknown_camera", request)
    return wishes


async def _stored(asked: "Future[T]", request: WishRequest) -> T:
    try:
        return await asyncio.wrap_future(asked)
    except StoreError as error:
        raise unstored(error, language_of(request)) from error


def _refused(status: int, code: str, request: WishRequest) -> RefusedError:
    return RefusedError(status, Problem(code=code, message=say(code, language_of(request))))
