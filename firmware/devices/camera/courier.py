"""Brings recordings to the center and deletes here what is there, one file at a time, in a thread of its own.

It asks for leave over MQTT, by the decisions; the file goes over HTTP in parts, and on from where it was after any cut
(docs/ref/uploads.md). Whatever happens to it, the camera looks and records as if there were no courier.
"""

import base64
import logging
import os
import queue
import random
import socket
import threading
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

import msgspec

from contract.events import Clip as Announced
from firmware.devices.camera.clips import SERVICE, Clip, Folder
from firmware.devices.camera.config import CameraConfig
from firmware.devices.camera.hours import is_open
from firmware.devices.camera.http import connect, cut, explain
from firmware.devices.camera.mp4 import still
from firmware.devices.camera.privacy import thumbnail
from firmware.devices.camera.signals import ANSWERED_WITHIN_MS, Answer, Contact, Unsent, Wants
from firmware.ports import Clock, Post
from firmware.pulse import Pulse

if TYPE_CHECKING:
    from http.client import HTTPConnection, HTTPResponse

_log = logging.getLogger(__name__)

Which = Literal["shown", "sealed"]

PART = 4 * 1024 * 1024
"""So much goes in one request: after it the center has it for good, and another recording may come first."""
PART_S = 30
"""With a limit to the network a part takes so long."""
CHUNK = 32 * 1024
OLDEST_EVERY = 4
"""Each fourth file is of the oldest recording, so that none waits for ever behind newer ones."""
OPEN = 8
"""So many files may be on their way: a newer one goes before one that has begun."""

OF_NO_INCIDENT = frozenset({"low_rating", "sample", "asked"})
"""Why a recording is kept that no event has told of, so no picture of it is at the center."""

NOT_NOW = frozenset({408, 429, 502, 503, 504, 507})
"""Statuses that are of the center or of the way, whichever recording is sent."""
REFUSALS = 3
"""So often one recording may be refused before others go first."""

RETRY_FIRST_S, RETRY_MAX_S = 1.0, 300.0
_ASIDE_S = 3_600.0
"""What only a person can mend, at the center or here, is tried again each hour."""
_LATEST_S = 3_600.0
_SAY_AGAIN_MS = 600_000
LONG_MS = 600_000
"""After so long without a byte the center hears that recordings wait."""
_HOURS_EVERY_S = 60.0
UNKNOWN_HOUR_MS = 3_600_000
"""So long recordings wait for a clock that tells whether it is their hour; then any hour will do."""
_TOGETHER_S = 2.0
"""After a blackout all cameras are back at once; each begins at its own time within this."""

_CONNECT_WITHIN_S, _ANSWER_WITHIN_S = 10.0, 40.0
_CLOSE_WITHIN_S = 5.0
_NOTHING_WITHIN_MS = 120_000
"""An answer may come byte by byte, each in time, without an end: that is the center's fault, no thread that hangs."""
_HANGS_AFTER_MS = 300_000


class Throttle:
    """At most so many bytes a second, and a quarter of a second's worth at once. Pure: the time comes in."""

    def __init__(self, bytes_per_s: float) -> None:
        self._per_ms = bytes_per_s / 1000
        self._due_ms = 0.0

    def wait_ms(self, size: int, now_ms: int) -> float:
        """Return how long to wait before these bytes may go."""
        self._due_ms = max(self._due_ms, now_ms - 250) + size / self._per_ms
        return max(self._due_ms - now_ms, 0.0)


def choose(
    clips: Iterable[Clip], start_of: Callable[[Clip], datetime], *, oldest: bool, but: Collection[str] = ()
) -> tuple[Clip, Which] | None:
    """Return which file goes now: the newest that nobody can look at yet, then the newest sealed one.

    In turns it is the oldest clip instead. What is being recorded waits, and so do services that nobody asked for.
    """
    ready = [clip for clip in clips if not clip.recording and (clip.held or clip.why != SERVICE) and clip.id not in but]
    if not ready:
        return None
    unseen = [clip for clip in ready if not clip.sent]
    clip = min(ready, key=start_of) if oldest else max(unseen or ready, key=start_of)
    return clip, "sealed" if clip.sent and clip.sealed_bytes else "shown"


@dataclass(slots=True)
class _Way:
    """One file's leave, and how much of it is there; None: the center has to say. `told` is what it said last."""

    path: str
    token: str
    offset: int | None
    told: int


class _StopError(Exception):
    """Nothing can be sent now. `plain`: the center itself said so; what may be a mere cut is said when it lasts."""

    def __init__(self, why: str, *, after_s: float = 0.0, plain: bool = True) -> None:
        super().__init__(why)
        self.after_s, self.plain = after_s, plain


class _AsideError(Exception):
    """This recording cannot be sent now; others may."""

    def __init__(self, why: str, *, after_s: float = _ASIDE_S) -> None:
        super().__init__(why)
        self.after_s = after_s


class _EndError(Exception):
    """The courier is told to end, or contact is lost: neither is a fault."""


class Courier:
    """The way of one camera's recordings. `take`, `wake`, `alive` and `close` are for any thread; the rest is its own.

    `first_s` is how long it waits after the first failure.
    """

    def __init__(
        self, config: CameraConfig, folder: Folder, *, clock: Clock, post: Post, first_s: float = RETRY_FIRST_S
    ) -> None:
        self._config = config
        self._folder = folder
        self._clock = clock
        self._post = post
        self._first_s = first_s
        self._pulse = Pulse(limit_ms=_HANGS_AFTER_MS, monotonic_ms=clock.monotonic_ms)
        self._patience = Pulse(limit_ms=_NOTHING_WITHIN_MS, monotonic_ms=clock.monotonic_ms)
        self._mail: queue.SimpleQueue[Answer | Contact | None] = queue.SimpleQueue()
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None
        self._connection: HTTPConnection | None = None
        self._link: socket.socket | None = None  # of the connection

        # Below: the thread's own.
        self._random = random.Random()  # noqa: S311 - jitter
        limit = config.upload_kbit_s * 125 if config.upload_kbit_s is not None else None
        self._throttle = Throttle(limit) if limit is not None else None
        self._part = PART if limit is None else min(PART, limit * PART_S)
        self._chunk = CHUNK if limit is None else min(CHUNK, max(limit // 4, 1024))
        self._up = False
        self._asks = 0
        self._ways: dict[tuple[str, Which], _Way] = {}
        self._connected_for: tuple[str, Which] | None = None
        self._aside: dict[str, float] = {}  # clip → until when it waits, in milliseconds
        self._told: set[str] = set()
        self._mismatches: dict[str, int] = {}
        self._refusals: dict[str, int] = {}
        self._files = 0
        self._again_ms = 0.0
        self._failures = 0
        self._fruitless = 0
        self._said: str | None = None
        self._said_ms = 0
        self._failing_ms: int | None = None  # since when
        self._told_long = False
        self._hourless_ms: int | None = None  # since when nobody knows the hour

    def start(self) -> None:
        """Start the thread. It waits for contact to the center."""
        self._thread = threading.Thread(target=self._run, name="courier", daemon=True)
        self._thread.start()

    def take(self, news: Answer | Contact) -> None:
        """Hear the decisions."""
        self._mail.put(news)

    def wake(self) -> None:
        """Look at the folder: something may have come."""
        self._mail.put(None)

    def alive(self) -> bool:
        """Whether the thread runs and does not hang; what takes too long over the network is cut off."""
        if self._patience.lost():
            cut(self._link)
        return self._thread is not None and self._thread.is_alive() and not self._pulse.lost()

    def close(self) -> None:
        """Stop the thread, wherever it is; what came through by then stays there."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._ending.set()
        self._mail.put(None)
        cut(self._link)
        thread.join(_CLOSE_WITHIN_S)
        if thread.is_alive():
            _log.debug("the courier still waits for the network, and is left to itself")

    # --- the thread ------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._ending.is_set():
                wait_s = self._turn()
                self._pulse.rest()
                self._patience.rest()
                if wait_s is None or wait_s > 0:
                    with suppress(queue.Empty):
                        self._hear(self._mail.get(timeout=wait_s))
                with suppress(queue.Empty):
                    while True:
                        self._hear(self._mail.get_nowait())
        finally:
            self._hang_up()

    def _turn(self) -> float | None:
        """Bring a part of something; return after how many seconds to look again, None: when there is news."""
        self._beat()
        try:
            return self._try()
        except _StopError as error:
            self._failed(error)
        except _EndError:
            self._hang_up()
        except Exception as error:  # noqa: BLE001 - a fault in here costs no picture
            _log.exception("recordings cannot be sent; please report these lines")
            self._failed(_StopError(f"{type(error).__name__} inside the program", after_s=RETRY_MAX_S))
        return 0

    def _beat(self) -> None:
        self._pulse.beat()
        self._patience.beat()

    def _try(self) -> float | None:
        now_ms = self._clock.monotonic_ms()
        if not self._up or now_ms < self._again_ms:
            self._hang_up()
            return (self._again_ms - now_ms) / 1000 if self._up else None
        self._aside = {id_: until for id_, until in self._aside.items() if until > now_ms}
        job = self._choose()
        if job is None:
            self._hang_up()
            self._calm()
            return (min(self._aside.values()) - now_ms) / 1000 if self._aside else None
        if not self._is_time():
            self._hang_up()
            self._calm()
            return _HOURS_EVERY_S
        clip, file = job
        try:
            self._bring(clip, file)
        except _AsideError as error:
            self._put_aside(clip.id, error)
        return 0

    def _hear(self, news: Answer | Contact | None) -> None:
        match news:
            case Contact(up) if up != self._up:
                self._up = up
                self._failures = 0
                spread = min(_TOGETHER_S, 2 * self._first_s)
                self._again_ms = self._clock.monotonic_ms() + self._random.uniform(0, spread) * 1000
            case Answer():
                _log.debug("an answer that nobody waits for")

    def _choose(self) -> tuple[Clip, Which] | None:
        clips, start_of = self._folder.clips(), self._folder.start_of
        there = {clip.id for clip in clips}
        self._ways = {key: way for key, way in self._ways.items() if key[0] in there}
        self._told &= there
        self._mismatches = {id_: count for id_, count in self._mismatches.items() if id_ in there}
        self._refusals = {id_: count for id_, count in self._refusals.items() if id_ in there}
        if len(self._ways) >= OPEN:  # finish what has begun
            clips = [clip for clip in clips if clip.id in {id_ for id_, _ in self._ways}]
        oldest = self._files % OLDEST_EVERY == OLDEST_EVERY - 1
        return choose(clips, start_of, oldest=oldest, but=self._aside)

    def _is_time(self) -> bool:
        """Whether recordings may go at this hour; raise _StopError while nobody knows it, for an hour."""
        if not self._config.upload_hours:
            return True
        if self._clock.synchronised():
            self._hourless_ms = None
            return is_open(self._clock.now(), self._config.timezone, self._config.upload_hours) is True
        now_ms = self._clock.monotonic_ms()
        if self._hourless_ms is None:
            self._hourless_ms = now_ms
        if now_ms - self._hourless_ms >= UNKNOWN_HOUR_MS:
            return True
        why = "upload_hours is set, and this device's clock is not: after an hour they go at any time"
        raise _StopError(why, after_s=_HOURS_EVERY_S, plain=False)

    def _failed(self, error: _StopError) -> None:
        """Wait, ever longer. It is said once, and once more where the reason has changed."""
        self._hang_up()
        self._failures += 1
        self._fruitless = 0
        wait_s = min(self._first_s * 2 ** min(self._failures - 1, 20), RETRY_MAX_S) * self._random.uniform(0.5, 1)
        wait_s = max(wait_s, min(error.after_s, _LATEST_S) * self._random.uniform(1, 1.2))
        now_ms = self._clock.monotonic_ms()
        self._again_ms = now_ms + wait_s * 1000
        if self._failing_ms is None:
            self._failing_ms = now_ms
        if not self._told_long and now_ms - self._failing_ms >= LONG_MS:
            self._told_long = True
            self._post(Unsent(since_long=True))
        why = str(error)
        news = self._said is None or (self._said != why and now_ms - self._said_ms >= _SAY_AGAIN_MS)
        if news and (error.plain or self._failures > 1):
            _log.warning("recordings wait here: %s; trying again", why)
            self._said, self._said_ms = why, now_ms
        else:
            _log.debug("recordings wait here: %s", why)

    def _works(self) -> None:
        self._failures = self._fruitless = 0
        if self._said is not None:
            _log.info("recordings go to the center again")
            self._said = None
        self._calm()

    def _calm(self) -> None:
        """Forget for how long nothing went: it goes, or nothing has to."""
        self._failing_ms = None
        if self._told_long:
            self._told_long = False
            self._post(Unsent(since_long=False))

    def _put_aside(self, id_: str, error: _AsideError) -> None:
        """Let others go before this one. It is said once of each."""
        self._hang_up()
        self._ways = {key: way for key, way in self._ways.items() if key[0] != id_}
        self._aside[id_] = self._clock.monotonic_ms() + error.after_s * 1000
        level = logging.WARNING if id_ not in self._told else logging.DEBUG
        self._told.add(id_)
        _log.log(level, "the recording %s stays here for now: %s", id_, error)

    # --- one recording ---------------------------------------------------------------------------------------------

    def _bring(self, clip: Clip, file: Which) -> None:
        """Ask for leave, or send a part; note what is all there."""
        key = (clip.id, file)
        size = clip.bytes if file == "shown" else clip.sealed_bytes
        way = self._ways.get(key)
        if way is None:
            way = self._leave(clip, file)
            if way is None:
                return
            self._ways[key] = way
        elif way.offset is None:
            self._exchange(key, way, lambda connection: self._head(connection, way))
        else:
            self._send(key, way, clip, file, size)
        if way.offset == size:
            self._arrived(clip, file)

    def _arrived(self, clip: Clip, file: Which) -> None:
        """Delete a recording of which the center has all: whether it is held is the center's affair from here on."""
        self._works()
        self._ways.pop((clip.id, file), None)
        self._files += 1
        if file == "shown" and clip.sealed_bytes:
            with suppress(OSError):  # the center is asked once more, should this be forgotten
                self._folder.sent(clip.id)
        else:
            self._delete(clip.id)
            _log.debug("%s is at the center", clip.id)

    def _delete(self, id_: str) -> None:
        try:
            self._folder.delete(id_)
        except OSError as error:
            raise _AsideError(f"the center has it, and it cannot be deleted here: {error}") from error

    def _leave(self, clip: Clip, file: Which) -> _Way | None:
        """Ask for leave; None where the answer settles it, or another name is to be asked by."""
        answer = self._answered(clip, file)
        if answer.upload is not None:
            offset = answer.upload.offset
            return _Way(answer.upload.path, answer.upload.token, offset, told=offset)
        words = f"{answer.message or 'no reason given'} ({answer.code})"
        match answer.code:
            case "clip_wiped":
                _log.info("%s was wiped at the center, and goes here, too", clip.id)
                self._delete(clip.id)
            case "clip_exists" if not clip.sent and (name := _other_name(clip)) is not None:
                _log.info("the center has another recording by the name %s: %s goes by %s", _name(clip), clip.id, name)
                with suppress(OSError):
                    self._folder.rename(clip.id, name)
            case "clip_exists" | "clip_too_large" | "request_invalid":
                raise _AsideError(f"the center does not take it: {words}")
            case _:
                raise _StopError(f"the center says: {words}")
        return None

    def _answered(self, clip: Clip, file: Which) -> Answer:
        self._asks += 1
        start = self._folder.start_of(clip).astimezone(UTC).isoformat(timespec="milliseconds")
        announced = Announced(
            id=_name(clip),
            start=start.replace("+00:00", "Z"),
            seconds=clip.seconds,
            bytes=clip.bytes if file == "shown" else clip.sealed_bytes,
            sha256=clip.sha256 if file == "shown" else clip.sealed_sha256,
        )
        picture = self._thumbnail(clip) if file == "shown" and clip.why in OF_NO_INCIDENT else None
        self._post(
            Wants(ask=self._asks, clip=announced, file=file, why=clip.why, ticket=clip.ticket, thumbnail=picture)
        )
        until_ms = self._clock.monotonic_ms() + ANSWERED_WITHIN_MS
        while True:
            left_s = (until_ms - self._clock.monotonic_ms()) / 1000
            try:
                news = self._mail.get(timeout=max(left_s, 0.001))
            except queue.Empty:
                raise _StopError("the center does not answer over MQTT", plain=False) from None
            if isinstance(news, Answer) and news.ask == self._asks:
                return news
            self._hear(news)
            if self._ending.is_set() or not self._up:
                raise _EndError

    def _thumbnail(self, clip: Clip) -> str | None:
        """Return a picture from the middle of what may be shown; none is no fault: the recording itself says more."""
        self._beat()
        try:
            with self._folder.video(clip.id).open("rb", buffering=0) as file:
                return base64.b64encode(thumbnail(still(file))).decode()
        except Exception as error:  # noqa: BLE001 - whatever lies in the file, it goes as it is
            _log.debug("%s has no picture: %s", clip.id, error)
            return None

    # --- over HTTP -------------------------------------------------------------------------------------------------

    def _send(self, key: tuple[str, Which], way: _Way, clip: Clip, file: Which, size: int) -> None:
        """Send the next part of a file that lies here as it was recorded."""
        path = self._folder.video(clip.id) if file == "shown" else self._folder.sealed(clip.id)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError as error:
            if self._folder.clip(clip.id) is None:
                return  # it has just been deleted
            raise _AsideError(f"its file {path} is gone") from error
        except OSError as error:
            raise _AsideError(f"its file cannot be read: {error}") from error
        try:
            if (there := os.fstat(descriptor).st_size) != size:
                raise _AsideError(f"its file {path} has {there} bytes, not {size}: does the card fail?")
            self._exchange(key, way, lambda connection: self._patch(connection, way, descriptor, size))
        finally:
            os.close(descriptor)

    def _exchange(self, key: tuple[str, Which], way: _Way, talk: "Callable[[HTTPConnection], HTTPResponse]") -> None:
        """Ask the center something of an upload, and take its answer to heart."""
        from http.client import HTTPException

        before = way.offset
        try:
            connection = self._connect(key)
            response = talk(connection)
            body = response.read(4096)
        except (OSError, HTTPException) as error:
            way.offset = None
            if self._ending.is_set():
                raise _EndError from error
            plain = getattr(error, "verify_code", None) is not None
            raise _StopError(explain(error, self._config), plain=plain) from error
        if response.will_close:
            self._hang_up()
        offset = _number(response.getheader("Upload-Offset"))
        if response.status in (200, 204) and offset is not None:
            more, way.offset, way.told = offset > way.told, offset, offset
            if more:
                self._works()  # also by what came before a cut: a bad line is no reason to wait ever longer
            if more or before is None:
                return
        self._refused(key, way, response, body)

    def _refused(self, key: tuple[str, Which], way: _Way, response: "HTTPResponse", body: bytes) -> None:
        status = response.status
        words = f"{self._config.center} says {status}: {_message(body) or response.reason}"
        after_s = float(_number(response.getheader("Retry-After")) or 0)
        self._fruitless += 1
        match status:
            case 401 | 410 if self._fruitless <= 1:
                del self._ways[key]
            case 409 if self._fruitless <= 1:
                way.offset = None
            case 460:
                del self._ways[key]
                count = self._mismatches[key[0]] = self._mismatches.get(key[0], 0) + 1
                why = "it arrived with another hash than it was recorded with: does the card fail?"
                raise _AsideError(why, after_s=min(30 * 2**count, _ASIDE_S))
            case 423:
                way.offset = None
                raise _StopError(words, after_s=after_s, plain=False)
            case _:
                self._ways.pop(key, None)
                if status not in NOT_NOW:
                    count = self._refusals[key[0]] = self._refusals.get(key[0], 0) + 1
                    if count % REFUSALS == 0:
                        raise _AsideError(words)
                raise _StopError(words, after_s=after_s)

    def _head(self, connection: "HTTPConnection", way: _Way) -> "HTTPResponse":
        self._ask_http(connection, "HEAD", way)
        connection.endheaders()
        return connection.getresponse()

    def _patch(self, connection: "HTTPConnection", way: _Way, descriptor: int, size: int) -> "HTTPResponse":
        offset = way.offset or 0
        end = min(offset + self._part, size)
        self._ask_http(connection, "PATCH", way)
        connection.putheader("Upload-Offset", str(offset))
        connection.putheader("Content-Type", "application/offset+octet-stream")
        connection.putheader("Content-Length", str(end - offset))
        connection.endheaders()
        try:
            while offset < end:
                chunk = _read(descriptor, min(self._chunk, end - offset), offset)
                if self._throttle is not None:
                    wait_ms = self._throttle.wait_ms(len(chunk), self._clock.monotonic_ms())
                    self._ending.wait(wait_ms / 1000)
                if self._ending.is_set():
                    raise _EndError
                self._beat()
                connection.send(chunk)
                offset += len(chunk)
        except OSError:
            # It may have said why before it hung up.
            with suppress(Exception):
                return connection.getresponse()
            raise
        return connection.getresponse()

    def _ask_http(self, connection: "HTTPConnection", method: str, way: _Way) -> None:
        self._beat()
        connection.putrequest(method, way.path, skip_accept_encoding=True)
        connection.putheader("Authorization", f"Bearer {way.token}")
        connection.putheader("Tus-Resumable", "1.0.0")

    def _connect(self, key: tuple[str, Which]) -> "HTTPConnection":
        """Return the connection that this file goes over: one for each file, so it is never an old one."""
        if self._connection is None or self._connected_for != key:
            self._hang_up()
            self._beat()
            clock_is_set = self._clock.synchronised()
            self._connection = connect(self._config, clock_is_set=clock_is_set, timeout_s=_CONNECT_WITHIN_S)
            self._link = self._connection.sock
            self._link.settimeout(_ANSWER_WITHIN_S)
            self._connected_for = key
        return self._connection

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = self._connected_for = self._link = None


def _name(clip: Clip) -> str:
    return clip.name or clip.id


def _other_name(clip: Clip) -> str | None:
    """Return the name to try when the center has another recording by the present one."""
    if _name(clip) == clip.id:
        return f"{clip.id[:55]}-{clip.sha256[:8]}"
    return clip.id if clip.name in clip.asked else None


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) <= 16 else None


def _message(body: bytes) -> str:
    """Return what a refusal says for people; nothing, where it is not of the center."""
    with suppress(msgspec.DecodeError):
        found = msgspec.json.decode(body)
        if isinstance(found, dict) and isinstance(said := found.get("message"), str):
            return "".join(sign for sign in said[:200] if sign.isprintable())
    return ""


def _read(descriptor: int, size: int, offset: int) -> bytes:
    try:
        chunk = os.pread(descriptor, size, offset)
    except OSError as error:
        raise _AsideError(f"its file cannot be read: {error.strerror}") from error
    if not chunk:
        raise _AsideError("its file is shorter than it was: does the card fail?")
    return chunk
