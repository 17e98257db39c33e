"""Where cameras send recordings: the core of tus 1.0.0, HEAD and PATCH (https://tus.io/protocols/resumable-upload).

An upload is made over MQTT (center/cameras/uploads.py), and its token is all that lets anybody in here: no login does.
What comes goes to the disk in parts of a quarter of a megabyte; no recording is ever in memory as a whole.
"""

import asyncio
import re
from collections.abc import Callable
from typing import TypeVar

from litestar import Request, Response, head, patch
from litestar.datastructures import State as AppState
from litestar.exceptions import InternalServerException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from center.cameras.uploads import PATH, BusyUploadError, CrowdedError, GoneError, Uploads, Way
from center.cameras.vault import MismatchError, Partial, VaultError
from center.errors import CenterError, StoreError
from center.web.gate import Problem, RefusedError

T = TypeVar("T")

VERSION = "1.0.0"
MEDIA_TYPE = "application/offset+octet-stream"
PART = 256 * 1024
SYNC_EVERY = 8 * 1024 * 1024
"""So much may come again after a power cut."""

LATER_S = 30
_SOON_S = 2

_HEADERS = {"tus-resumable": VERSION, "cache-control": "no-store"}
_NUMBER = re.compile(r"[0-9]{1,16}", re.ASCII)
_BEARER = re.compile(r"bearer ([!-~]{1,200})", re.ASCII | re.IGNORECASE)

UploadRequest = Request[None, None, AppState]


def upload_routes(uploads: Uploads) -> list[HTTPRouteHandler]:
    """Return the two routes of an upload."""

    @head(f"{PATH}/{{upload:str}}", include_in_schema=False)
    async def look(request: UploadRequest, upload: FromPath[str]) -> Response[None]:
        way = _let_in(uploads, request, upload)
        offset = await _done(uploads, lambda: uploads.offset(way))
        return _answer(200, offset, length=way.bytes)

    @patch(f"{PATH}/{{upload:str}}", include_in_schema=False, request_max_body_size=None, status_code=204)
    async def send(request: UploadRequest, upload: FromPath[str]) -> Response[None]:
        way = _let_in(uploads, request, upload)
        offset, length = _announced(request, way)
        if way.done:
            if offset != way.bytes or length:
                raise _refused(409, "offset_wrong", f"all {way.bytes} bytes are here")
            return _answer(204, way.bytes)
        try:
            with uploads.at_work(way):
                return _answer(204, await _take(uploads, way, request, offset))
        except (BusyUploadError, CrowdedError) as error:
            raise _explained(error) from error

    return [look, send]


async def _take(uploads: Uploads, way: Way, request: UploadRequest, offset: int) -> int:
    """Write what comes; returns how much is here then, synced. Whatever ends it early, what came by then stays."""
    here = await _done(uploads, lambda: uploads.vault.offset(way.id))
    if here != offset:  # before it is opened: that may read, for the hash, all that is here
        raise _refused(409, "offset_wrong", f"{here} bytes are here, go on there")
    partial = await _done(uploads, lambda: uploads.open(way))
    try:
        try:
            await _write(uploads, way, partial, request)
        finally:
            await _done(uploads, partial.sync)
            way.known = partial.known
        if partial.size == way.bytes:
            await _done(uploads, lambda: uploads.finish(way, partial))
        return partial.size
    finally:
        partial.close()


async def _write(uploads: Uploads, way: Way, partial: Partial, request: UploadRequest) -> None:
    part, synced = bytearray(), partial.size

    async def put() -> None:
        nonlocal synced
        await _done(uploads, lambda: partial.append(part))
        part.clear()
        if partial.size - synced >= SYNC_EVERY:
            await _done(uploads, partial.sync)
            synced = partial.size

    try:
        async for chunk in request.stream():
            if partial.size + len(part) + len(chunk) > way.bytes:
                raise _refused(413, "too_large", f"it is longer than the {way.bytes} bytes that were announced")
            part += chunk
            if len(part) >= PART:
                await put()
    except InternalServerException:  # the sender is gone: what came of it is good
        pass
    if part:
        await put()


# --- who, and what was announced -----------------------------------------------------------------------------------


def _let_in(uploads: Uploads, request: UploadRequest, upload: str) -> Way:
    """Return the upload that a request is for; refuse whoever has not its token, also where there is none."""
    said = _BEARER.fullmatch(_only(request, "authorization") or "")
    way = uploads.find(upload, said[1]) if said else None
    if way is None:
        words = "this needs the token of this upload; the camera asks for one over MQTT"
        raise _refused(401, "token_wrong", words, {"www-authenticate": "Bearer"})
    if uploads.ended(way):
        raise _refused(410, "token_ended", "the token is over; ask for another one")
    if _only(request, "tus-resumable") != VERSION:
        raise _refused(412, "version_unknown", f"Tus-Resumable must be {VERSION}", {"tus-version": VERSION})
    return way


def _announced(request: UploadRequest, way: Way) -> tuple[int, int | None]:
    """Return from where on something comes, and how much, where that is said."""
    if _only(request, "content-type") != MEDIA_TYPE or _only(request, "content-encoding") not in (None, "identity"):
        raise _refused(415, "media_type_wrong", f"Content-Type must be {MEDIA_TYPE}, and nothing encoded")
    offset = _only(request, "upload-offset") or ""
    if not _NUMBER.fullmatch(offset):
        raise _refused(400, "request_invalid", "Upload-Offset must be a number")
    length = _only(request, "content-length")
    if length is not None and not _NUMBER.fullmatch(length):
        raise _refused(400, "request_invalid", "Content-Length must be a number")
    if length is not None and int(offset) + int(length) > way.bytes:
        raise _refused(413, "too_large", f"it is longer than the {way.bytes} bytes that were announced")
    return int(offset), None if length is None else int(length)


def _only(request: UploadRequest, name: str) -> str | None:
    """Return a header that may be given once; None where it is missing."""
    found = [value for key, value in request.scope["headers"] if key == name.encode()]
    if len(found) > 1:
        raise _refused(400, "request_invalid", f"{name} is given twice")
    return found[0].decode("latin-1").strip() if found else None


# --- answers -------------------------------------------------------------------------------------------------------


def _answer(status: int, offset: int, *, length: int | None = None) -> Response[None]:
    further = {} if length is None else {"upload-length": str(length)}
    return Response(None, status_code=status, headers={**_HEADERS, "upload-offset": str(offset), **further})


def _refused(status: int, code: str, words: str, headers: dict[str, str] | None = None) -> RefusedError:
    # The connection stays: closed while a body is on its way, it would take the answer with it. What still comes is
    # thrown away, for as long as a request may take.
    return RefusedError(status, Problem(code=code, message=words), headers={**_HEADERS, **(headers or {})})


def _explained(error: CenterError) -> RefusedError:
    match error:
        case BusyUploadError():
            return _refused(423, "upload_busy", f"{error}; later", {"retry-after": str(_SOON_S)})
        case CrowdedError():
            return _refused(503, "overloaded", f"{error}; later", {"retry-after": str(LATER_S)})
        case GoneError():
            return _refused(410, "clip_wiped", str(error))
        case MismatchError():
            return _refused(460, "checksum_mismatch", str(error))
        case VaultError(full=True) | StoreError(full=True):
            words = "the center's disk has no room to spare; later"
            return _refused(507, "disk_low", words, {"retry-after": str(20 * LATER_S)})
        case _:
            words = "it cannot be stored now; later"
            return _refused(503, "store_failed", words, {"retry-after": str(LATER_S)})


async def _done(uploads: Uploads, job: Callable[[], T]) -> T:
    """Do in a thread what touches files; what goes wrong is told to the sender."""
    try:
        return await asyncio.wrap_future(uploads.run(job))
    except (CenterError, TimeoutError) as error:
        if isinstance(error, TimeoutError):
            error = CrowdedError("the center is busy")
        raise _explained(error) from error
