"""Uploads: who may send which file, and what becomes of it.

A camera asks over MQTT, where it is known whose word is heard, and gets an address with a token for that one file;
the rest goes over HTTP (center/web/clips.py). The clip's row is there before its first byte, and says that it has
arrived only after its file is whole, synced and under its hash. A crash costs a part of the way again, at most.
"""

import asyncio
import contextlib
import hashlib
import logging
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as TimedOut
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypeVar

import sqlalchemy as sa

from center.cameras.book import reason
from center.cameras.incidents import jpeg_of
from center.cameras.names import name_of
from center.cameras.reviews import KEPT
from center.cameras.vault import FOLDER, Known, MismatchError, Partial, Vault, VaultError
from center.clock import MOST_AHEAD_MS
from center.config import Config
from center.errors import CenterError, StoreError
from center.hall import Hall
from center.people.limits import Buckets
from center.storage import tables
from contract.requests import Reply, Request, Upload

log = logging.getLogger(__name__)

T = TypeVar("T")

PATH = "/api/uploads"
TOKEN_HOURS = 12
"""A token is good for so long; then the camera asks again, and goes on where it was."""

OPEN = 32
"""So many files of one camera may be on their way."""

OPEN_TOGETHER = 1_000
PENDING = 100
"""So many may wait for leave."""

ASKS = (30, 0.5)
"""So many asks of one camera at once, and a second."""

READERS = 8
"""So many threads read recordings for players: a store elsewhere that is slow takes none of the pages' own."""

_REPEATS = 256
_ANSWER_S = 30.0
_DAY_MS = 86_400_000
GB = 1_000_000_000
FORGOTTEN_S = 3_600.0
"""A camera that was told to keep its recordings, and asked no more for so long, is away."""

HALF_DAYS = 7
"""What came in half, or with a wrong hash, is kept for so long after its token has ended."""

SHARE_FULL = "share_full"

Answered = Callable[[Reply], None]
Which = Literal["shown", "sealed"]


class BusyUploadError(CenterError):
    """Somebody else sends to this upload right now."""


class CrowdedError(CenterError):
    """As many send as may at once."""


class GoneError(CenterError):
    """The clip has been wiped meanwhile."""


class _RefusedError(CenterError):
    """A camera gets no leave."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(slots=True)
class Way:
    """One file on its way."""

    id: str
    clip: str
    camera: str
    file: Which
    bytes: int
    sha256: str
    token: str
    ends_at: int
    done: bool
    busy: bool = False
    placed: bool = False  # under its address, but the row does not say so yet
    known: Known | None = None


class Uploads:
    """All uploads of a center. `start` before anybody asks; files are touched by threads of its own only."""

    def __init__(self, config: Config, hall: Hall, *, vault: Vault | None = None) -> None:
        self._hall, self._clock = hall, hall.clock
        self._largest = config.clips.largest_mb * 1_000_000
        self._at_once = config.clips.at_once
        self._each = config.clips.each_gb * GB
        self.vault = vault or make_vault(config)
        self._lock = threading.Lock()  # guards what follows, up to the blank line
        self._ways: dict[str, Way] = {}
        self._busy = self._pending = 0
        self._repeats: OrderedDict[str, Reply] = OrderedDict()
        self._asks = Buckets(ASKS)
        self._over: dict[str, float] = {}  # camera → when it heard last that it has its share here

        self._failing = False
        self._pool = ThreadPoolExecutor(self._at_once + 2, thread_name_prefix="clips")
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="clips-read")

    def start(self) -> None:
        """Go on with what the last run left."""
        ways = self._do(_left)
        with self._lock:
            self._ways = {way.id: way for way in ways}

    def stop(self) -> None:
        """Take nothing more; what came so far stays."""
        if self.vault.elsewhere is not None:
            self.vault.elsewhere.close()
        self._readers.shutdown(wait=True, cancel_futures=True)
        self._pool.shutdown(wait=True, cancel_futures=True)

    # --- leave -----------------------------------------------------------------------------------------------------

    def ask(self, station: str, device: str, request: Request, answer: Answered) -> None:
        """Answer a camera that wants to send a file. Any thread; returns at once."""
        with self._lock:
            crowded = self._pending >= PENDING
            self._pending += not crowded
        if crowded:
            answer(_no(request, "overloaded", "too many ask at once; ask again later"))
            return
        try:
            self._pool.submit(self._answer, station, device, request, answer)
        except RuntimeError:
            answer(_no(request, "stopping", "the center stops"))

    def _answer(self, station: str, device: str, request: Request, answer: Answered) -> None:
        key = f"{station}/{device}/{request.id}"
        with self._lock:
            self._pending -= 1
            reply = self._repeats.get(key)
        try:
            if reply is None:
                reply = Reply(id=request.id, ok=True, upload=self._leave(station, device, request))
        except _RefusedError as error:
            reply = _no(request, error.code, str(error))
        except (StoreError, VaultError) as error:
            if not self._failing:
                log.warning("cameras want to send recordings and have to wait: %s", error)
            self._failing = True
            reply = _no(request, "store_full" if error.full else "store_failed", "it cannot be stored now; later")
        except TimedOut:
            reply = _no(request, "overloaded", "the center is busy; ask again later")
        except Exception:
            log.exception("a camera got no answer; please report these lines")
            reply = _no(request, "store_failed", "it cannot be stored now; later")
        if reply.ok and self._failing:
            log.info("recordings are taken again")
            self._failing = False
        with self._lock:
            self._repeats[key] = reply
            if len(self._repeats) > _REPEATS:
                self._repeats.popitem(last=False)
        answer(reply)

    def over(self) -> frozenset[tuple[str, str]]:
        """Return the stations and devices of cameras that keep recordings because they have their share here."""
        now = self._clock.monotonic_s()
        with self._lock:
            self._over = {camera: at for camera, at in self._over.items() if now - at < FORGOTTEN_S}
            return frozenset((station, device) for station, _, device in (one.partition("/") for one in self._over))

    def _share(self) -> int:
        """Return how much of one camera may lie here: a stolen one leaves room for the others."""
        size = self.vault.size()
        return self._each if size is None else min(self._each, size // 2)

    def _note_share(self, camera: str, *, over: bool) -> None:
        with self._lock:
            before = camera in self._over
            self._over.pop(camera, None)
            if over:
                self._over[camera] = self._clock.monotonic_s()
        if over and not before:
            log.warning(
                "the camera %s has its share here, %.1f GB ([clips] each_gb, or half the disk): it keeps what is new",
                camera,
                self._share() / GB,
            )
        elif before and not over:
            log.info("recordings of the camera %s are taken again", camera)

    def _leave(self, station: str, device: str, request: Request) -> Upload:
        clip, file = request.args.clip, request.args.file
        if clip is None or file is None:
            raise _RefusedError("request_invalid", "args.clip and args.file are needed")
        start = _instant(clip.start)
        if start is None or clip.bytes == 0:
            what = "args.clip.start: is no instant" if start is None else "args.clip.bytes: is nothing"
            raise _RefusedError("request_invalid", what)
        if clip.bytes > self._largest:
            raise _RefusedError(
                "clip_too_large", f"at most {self._largest // 1_000_000} MB ([clips] largest_mb at the center)"
            )
        camera, now = f"{station}/{device}", self._clock.now_ms()
        if start > now + MOST_AHEAD_MS:
            start = now
        row: dict[str, Any] = {
            "id": name_of(station, device, clip.id), "station": station, "device": device, "name": clip.id,
            "start": start, "seconds": clip.seconds, "why": request.args.why, "ticket": request.args.ticket,
            "thumbnail": jpeg_of(request.args.thumbnail) if file == "shown" else None,
        }  # fmt: skip
        token = secrets.token_urlsafe(32)
        way = Way(
            id=name_of(station, device, clip.id, file, clip.sha256, str(clip.bytes)),
            clip=row["id"],
            camera=camera,
            file=file,
            bytes=clip.bytes,
            sha256=clip.sha256,
            token=_hashed(token),
            ends_at=now + TOKEN_HOURS * 3_600_000,
            done=False,
        )
        with self._lock:
            self._check_open(way, now)
        share = self._share()
        try:
            way.done = self._do(lambda connection: _enter(connection, row, way, now, share=share))
        except _RefusedError as error:
            if error.code == SHARE_FULL:
                self._note_share(camera, over=True)
            raise
        self._note_share(camera, over=False)
        if not way.done and self.vault.room() < clip.bytes - self.vault.offset(way.id):
            raise _RefusedError("disk_low", "the center's disk has no room to spare; later")
        way = self._remember(way, now)
        try:
            return Upload(path=f"{PATH}/{way.id}", token=token, offset=self.offset(way))
        except (BusyUploadError, CrowdedError) as error:
            raise _RefusedError("overloaded", f"{error}; later") from error
        except GoneError as error:
            raise _RefusedError("clip_wiped", str(error)) from error

    def _remember(self, way: Way, now: int) -> Way:
        """Keep what was given leave to; what came of another file by the same name is forgotten."""
        with self._lock:
            for one in [one for one in self._ways.values() if one.ends_at < now - _DAY_MS and not one.busy]:
                del self._ways[one.id]  # its camera asks again, and goes on where it was
            before = self._ways.get(way.id)
            if before is not None:
                before.token, before.ends_at, before.done = way.token, way.ends_at, way.done
                return before
            others = [one for one in self._ways.values() if (one.clip, one.file) == (way.clip, way.file)]
            for one in others:
                del self._ways[one.id]
            self._ways[way.id] = way
        for one in others:
            self.vault.forget(one.id)
        return way

    def _check_open(self, way: Way, now: int) -> None:
        if self._asks.take(way.camera, self._clock.monotonic_s()):
            raise _RefusedError("overloaded", "this camera asks too often; later")
        alive = [each for each in self._ways.values() if not each.done and each.ends_at > now and each.id != way.id]
        if len(alive) >= OPEN_TOGETHER or sum(each.camera == way.camera for each in alive) >= OPEN:
            raise _RefusedError("overloaded", "too many recordings are on their way; finish those first")

    # --- the way ---------------------------------------------------------------------------------------------------

    def find(self, upload: str, token: str) -> Way | None:
        """Return the upload that a token is for; None if there is none."""
        with self._lock:
            way = self._ways.get(upload)
        return way if way is not None and secrets.compare_digest(way.token, _hashed(token)) else None

    def ended(self, way: Way) -> bool:
        """Whether the upload's token is over."""
        return self._clock.now_ms() >= way.ends_at

    def offset(self, way: Way) -> int:
        """Return how much is here and synced; all of it only when its row says so."""
        if way.done:
            return way.bytes
        if not way.placed and (found := self.vault.offset(way.id)) < way.bytes:
            return found
        # Whole, but its row does not say so: the center was killed, or its store was full.
        with self.at_work(way):
            return self._settle(way)

    @contextlib.contextmanager
    def at_work(self, way: Way) -> Iterator[None]:
        """Keep an upload, and one of the places, for one sender. No camera takes the last one from all others."""
        with self._lock:
            if way.busy:
                raise BusyUploadError("somebody sends this already")
            if self._busy >= self._at_once:
                raise CrowdedError(f"{self._at_once} send already ([clips] at_once at the center)")
            own = sum(one.busy and one.camera == way.camera for one in self._ways.values())
            if own >= max(1, self._at_once - 1):
                raise CrowdedError("this camera sends as many as it may at once")
            way.busy = True
            self._busy += 1
        try:
            yield
        finally:
            with self._lock:
                way.busy = False
                self._busy -= 1

    def open(self, way: Way) -> Partial:
        """Open what has come so far."""
        return Partial(self.vault, way.id, known=way.known)

    def finish(self, way: Way, partial: Partial) -> None:
        """Put a whole file in its place and say so.

        Raises MismatchError where it has another hash than was said: it is put aside, and the upload begins anew.
        """
        partial.sync()
        if partial.sha256 != way.sha256:
            raise self._set_aside(way, f"its SHA-256 is {partial.sha256}, not {way.sha256}")
        try:
            self.vault.send(self.vault.partial(way.id), way.sha256)
        except MismatchError as error:
            raise self._set_aside(way, str(error)) from error
        with self.vault.alone():
            self.vault.put(self.vault.partial(way.id), way.sha256)  # sends it again if it was wiped meanwhile
            way.placed = True
            self._arrived(way)

    def _set_aside(self, way: Way, why: str) -> MismatchError:
        way.known = None
        where = self.vault.put_aside(way.id)
        log.warning(
            "a recording of %s came with another hash than was said; it lies in %s for %d days, and the camera"
            " sends it again: if that goes on, its card fails",
            way.camera,
            where,
            HALF_DAYS,
        )
        return MismatchError(f"{why}; begin anew")

    async def read(self, job: Callable[..., T], *args: Any) -> T:
        """Run something that reads recordings in a thread for that."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, job, *args)

    def run(self, job: Callable[[], T]) -> "Future[T]":
        """Run something that touches files in a thread for that."""
        return self._pool.submit(job)

    def _settle(self, way: Way) -> int:
        """Finish an upload of which all is here; returns how much is here afterwards."""
        if way.placed:
            with self.vault.alone():
                self._arrived(way)
            return way.bytes
        partial = self.open(way)
        try:
            self.finish(way, partial)
        except MismatchError:
            return 0
        finally:
            partial.close()
        return way.bytes

    def _arrived(self, way: Way) -> None:
        now = self._clock.now_ms()
        if not self._do(lambda connection: _mark(connection, way, now)):
            if not self._do(lambda connection: needed(connection, way.sha256, but=way.clip)):
                self.vault.delete(way.sha256)
            self.vault.let_go(way.id)
            raise GoneError("this recording was kept long enough and is wiped")
        way.done = True
        self.vault.let_go(way.id)

    def _do(self, job: Callable[[sa.Connection], T]) -> T:
        return self._hall.transact(job).result(_ANSWER_S)


def make_vault(config: Config) -> Vault:
    """Return the vault of a center; raise ConfigError where the keys of its store elsewhere are not right."""
    elsewhere = None
    if config.clips.store is not None:
        from center.cameras.bucket import Bucket  # most centers have none

        elsewhere = Bucket(config.clips, config.id)
    return Vault(Path(config.data_dir) / FOLDER, spare_bytes=config.clips.spare_gb << 30, elsewhere=elsewhere)


def needed(connection: sa.Connection, sha256: str, *, but: str) -> bool:
    """Whether a clip beside this one has a file with this hash, or will have: then the file stays."""
    clip = tables.clip
    same = sa.or_(clip.c.sha256 == sha256, clip.c.sealed_sha256 == sha256)
    return (
        connection.execute(sa.select(clip.c.id).where(same, clip.c.wiped_at.is_(None), clip.c.id != but)).first()
        is not None
    )


# --- in the hall's thread ------------------------------------------------------------------------------------------


def _left(connection: sa.Connection) -> list[Way]:
    clip, upload = tables.clip, tables.upload
    query = sa.select(upload, clip.c.station, clip.c.device, clip.c.arrived_at, clip.c.sealed_at)
    return [
        Way(
            id=row.id,
            clip=row.clip,
            camera=f"{row.station}/{row.device}",
            file=row.file,
            bytes=row.bytes,
            sha256=row.sha256,
            token=row.token,
            ends_at=row.ends_at,
            done=(row.arrived_at if row.file == "shown" else row.sealed_at) is not None,
        )
        for row in connection.execute(query.join(clip, clip.c.id == upload.c.clip))
    ]


def _enter(connection: sa.Connection, said: dict[str, Any], way: Way, now: int, *, share: int) -> bool:
    """Write clip and upload; returns whether this very file is here already."""
    clip, upload = tables.clip, tables.upload
    columns = _columns(way.file)
    said = said | {"why": reason(connection, said["station"], said["ticket"], said["why"])}
    found = connection.execute(sa.select(clip).where(clip.c.id == way.clip)).mappings().first()
    here = found is not None and found[columns["at"]] is not None
    if found is not None and (found["wiped_at"] is not None or found["wiping_at"] is not None):
        raise _RefusedError("clip_wiped", "it was kept long enough and is wiped; delete it")
    if found is not None and here and found[columns["sha256"]] != way.sha256:
        raise _RefusedError("clip_exists", "another recording has this id")
    if not here and _taken(connection, said["station"], said["device"], but=way) + way.bytes > share:
        raise _RefusedError(SHARE_FULL, f"this camera has its share here, {share / GB:.1f} GB; later")
    if found is None:
        connection.execute(sa.insert(clip).values(**said, made_at=now, held=False))
    if not here:
        # What is here has been seen so: its other file does not put it elsewhere in the lists, nor out of them.
        news = _TOLD if found is None or _unseen(found) else _known_later(found, said)
        told = {name: said[name] for name in news if said[name] is not None}
        values = {columns["bytes"]: way.bytes, columns["sha256"]: way.sha256, **told}
        connection.execute(sa.update(clip).where(clip.c.id == way.clip).values(values))
    connection.execute(sa.delete(upload).where(upload.c.clip == way.clip, upload.c.file == way.file))
    connection.execute(
        sa.insert(upload).values(
            id=way.id, clip=way.clip, file=way.file, bytes=way.bytes, sha256=way.sha256, token=way.token,
            ends_at=way.ends_at,
        )
    )  # fmt: skip
    return here


_TOLD = ("start", "seconds", "why", "ticket", "thumbnail")


def _taken(connection: sa.Connection, station: str, device: str, *, but: Way) -> int:
    """Return how many bytes of a camera are here or announced, beside one file; what people hold is not its affair."""
    clip, upload = tables.clip, tables.upload
    own = sa.and_(clip.c.station == station, clip.c.device == device, clip.c.wiped_at.is_(None))
    shown = sa.case((clip.c.arrived_at.is_not(None), clip.c.bytes), else_=0)
    sealed = sa.case((clip.c.sealed_at.is_not(None), clip.c.sealed_bytes), else_=0)
    here = sa.select(sa.func.sum(shown + sealed)).where(own, clip.c.held.is_(False))
    arrived = sa.case((upload.c.file == "shown", clip.c.arrived_at), else_=clip.c.sealed_at)
    others = sa.or_(upload.c.clip != but.clip, upload.c.file != but.file)
    coming = sa.select(sa.func.sum(upload.c.bytes)).join_from(upload, clip, clip.c.id == upload.c.clip)
    coming = coming.where(own, arrived.is_(None), others)
    return sum(int(connection.execute(query).scalar() or 0) for query in (here, coming))


def _unseen(row: Any) -> bool:
    """Whether nobody has a word on a recording yet: nothing of it is here, and nobody holds or has reviewed it."""
    return row["arrived_at"] is None and row["sealed_at"] is None and not row["held"] and row["reviewed_at"] is None


def _known_later(row: Any, said: dict[str, Any]) -> tuple[str, ...]:
    """Return what a second file may say anew: a service is asked for after it has ended.

    Never out of the lists: what somebody holds would be found by nobody.
    """
    return ("why",) if row["why"] in (None, "service") and said["why"] in KEPT else ()


def _mark(connection: sa.Connection, way: Way, now: int) -> bool:
    """Say that a file is here; false if its clip was wiped."""
    clip, columns = tables.clip, _columns(way.file)
    open_ones = sa.update(clip).where(
        clip.c.id == way.clip,
        clip.c.wiping_at.is_(None),
        clip.c.wiped_at.is_(None),
        clip.c[columns["sha256"]] == way.sha256,
    )
    return connection.execute(open_ones.values({columns["at"]: now})).rowcount > 0


def _columns(file: Which) -> dict[str, str]:
    if file == "shown":
        return {"bytes": "bytes", "sha256": "sha256", "at": "arrived_at"}
    return {"bytes": "sealed_bytes", "sha256": "sealed_sha256", "at": "sealed_at"}


# --- helpers -------------------------------------------------------------------------------------------------------


def _no(request: Request, code: str, message: str) -> Reply:
    return Reply(id=request.id, ok=False, code=code, message=message[:500])


def _hashed(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _instant(text: str) -> int | None:
    """Return an instant of RFC 3339 in UTC milliseconds; None for anything else, and for one before 1970."""
    try:
        found = datetime.fromisoformat(text)
        at = -1 if found.tzinfo is None else int(found.astimezone(UTC).timestamp() * 1000)
    except (ValueError, OverflowError):
        return None
    return at if at >= 0 else None
