"""The fleet's part of the interface: alerts, who has seen them, and devices that were taken away."""

import asyncio
from concurrent.futures import Future
from typing import TypeVar

import msgspec
from litestar import Request, get, post
from litestar.datastructures import State as AppState
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery, JSONBody

from center.answers import Device
from center.errors import StoreError
from center.fleet import book
from center.fleet.alerts import Alert
from center.fleet.fleet import Fleet
from center.fleet.signs import SILENT_S
from center.hall import Hall
from center.web.gate import Problem, RefusedError, actor_of, language_of, needs, unstored
from center.web.stream import Hub
from center.web.words import say

T = TypeVar("T")
FleetRequest = Request[None, None, AppState]

PAGE = 100
"""So many alerts at once."""


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing to say beside the address. A form post from elsewhere does not reach what wants an empty object."""


class Forgotten(msgspec.Struct, frozen=True, kw_only=True):
    """The device is not on the list; `known` is whether it was."""

    device: str
    known: bool


@get("/alerts", summary="Alerts of the past", tags=["devices"], guards=[needs("see_devices")])
async def alerts(state: AppState, request: FleetRequest, before: FromQuery[int] = 2**53 - 1) -> list[Alert]:
    """Return the hundred alerts that began before an instant (UTC, in milliseconds), the newest first."""
    hall: Hall = state["hall"]
    before = min(max(before, 0), 2**53 - 1)
    return await _stored(hall.transact(lambda rows: book.history(rows, before=before, limit=PAGE)), request)


@post(
    "/alerts/{alert_id:str}/acknowledge",
    status_code=200,
    summary="Say that an alert was seen",
    tags=["devices"],
    guards=[needs("mend_devices")],
)
async def acknowledge(
    alert_id: FromPath[str],
    data: JSONBody[Nothing],  # noqa: ARG001
    state: AppState,
    request: FleetRequest,
) -> Alert:
    """Note who has seen an alert; the first one stays."""
    fleet: Fleet = state["fleet"]
    found = await _stored(fleet.acknowledge(alert_id, by=actor_of(request)), request)
    if found is None:
        raise _refused(404, "unknown_alert", request)
    return found


@post(
    "/devices/{station:str}/{device:str}/forget",
    status_code=200,
    summary="Take a device off the list",
    tags=["devices"],
    guards=[needs("mend_devices")],
)
async def forget(
    station: FromPath[str],
    device: FromPath[str],
    data: JSONBody[Nothing],  # noqa: ARG001
    state: AppState,
    request: FleetRequest,
) -> Forgotten:
    """Take a device off the list that was taken away for good. Its record stays; its next word brings it back."""
    hub: Hub = state["hub"]
    fleet: Fleet = state["fleet"]
    hub.catch_up()
    name = f"{station}/{device}"
    known = hub.mirror.devices.get(name)
    cut_off = not hub.reached() or name in hub.board().revoked
    if known is not None and not cut_off and _is_there(known, hub.now_ms()):
        raise _refused(409, "device_there", request)
    gone = await _stored(fleet.forget(station, device, by=actor_of(request)), request)
    return Forgotten(device=name, known=gone)


def routes() -> list[HTTPRouteHandler]:
    """Return the routes, to stand below /api."""
    return [alerts, acknowledge, forget]


def _is_there(known: Device, now_ms: int) -> bool:
    """Whether a device would be on the list again within a minute."""
    return known.status is not None and known.status.state == "online" and now_ms - known.seen_at <= SILENT_S * 1000


async def _stored(asked: "Future[T]", request: FleetRequest) -> T:
    try:
        return await asyncio.wrap_future(asked)
    except StoreError as error:
        raise unstored(error, language_of(request)) from error


def _refused(status: int, code: str, request: FleetRequest) -> RefusedError:
    return RefusedError(status, Problem(code=code, message=say(code, language_of(request))))
