"""The review pages: what cameras saw, as a grid, and one of them with its recording. A script only makes them quicker.

Recordings come from the vault in parts, never as a whole; nothing of one goes out before the look is in the audit log.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any, BinaryIO, TypeVar
from urllib.parse import parse_qsl, urlencode

import sqlalchemy as sa
from litestar import Response, get, post
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.response import Stream

from center.cameras import reviews
from center.cameras.revealing import LOGIN_MS, Grant, Revealing
from center.cameras.reviews import KEPT, KINDS, Case, Item, Place, Recording, ReviewError, Wanted
from center.cameras.uploads import Uploads
from center.cameras.vault import VaultError
from center.clock import business_day
from center.config import Config
from center.errors import StoreError
from center.hall import Hall
from center.people.model import PeopleError, Person
from center.people.register import People
from center.web import ranges
from center.web.devices import panics
from center.web.drawing import Drawing, PageRequest, language_of_page, to_page
from center.web.gate import Problem, RefusedError, needs, people_of, person_of, refused, unstored
from center.web.stream import Hub
from center.web.words import WORDS, Language, say
from contract.scales import SCALES

T = TypeVar("T")

PAGE = 60
PIECE = 256 * 1024
UNSEEN_MOST = 99
CALLS, CALLS_MS = 3, 24 * 3_600_000
"""So many calls for help stand above the list, of so long, that nobody has reviewed."""
CALL_MS = 3 * 60_000
"""So long the alert says it."""

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_PLACE = re.compile(r"(-?\d{1,15})-([ic][0-9a-f]{32})", re.ASCII)
_DONE = ("review", "hold", "release")
_LOOKS_KEPT = 1000
_NO_STORE = {"cache-control": "no-store"}


class Asked:
    """What a page's address asks for."""

    def __init__(self, query: dict[str, str], config: Config) -> None:
        self.counter = query.get("counter", "") if query.get("counter") in {one.id for one in config.counter} else ""
        self.kind = query.get("kind", "") if query.get("kind") in (*KINDS, *KEPT) else ""
        self.unseen = query.get("unseen") == "1"
        self.day, from_ms, until_ms = _day(query.get("day", ""), config)
        found = _PLACE.fullmatch(query.get("before", ""))
        self.before: Place | None = (int(found[1]), found[2]) if found else None
        self.wanted = Wanted(
            station=self.counter or None,
            kind=self.kind or None,
            unseen=self.unseen,
            from_ms=from_ms,
            until_ms=until_ms,
        )

    def query(self, **further: str) -> str:
        """Return the same filters as an address has them, from `?` on; nothing where there are none."""
        chosen = {"counter": self.counter, "kind": self.kind, "unseen": "1" if self.unseen else "", "day": self.day}
        given = {name: value for name, value in {**chosen, **further}.items() if value}
        return f"?{urlencode(given)}" if given else ""


class ReviewPages:
    """Draws them, and does what they ask."""

    def __init__(self, config: Config, hall: Hall, hub: Hub, drawing: Drawing, uploads: Uploads) -> None:
        self._config, self._hall, self._hub, self._draw = config, hall, hub, drawing.draw
        self._vault, self._aside = uploads.vault, uploads.read
        self._revealing = Revealing(config, uploads.vault.open, hall.now_ms)
        self._looks: dict[tuple[str, str], int] = {}  # recording and person → when this look began

    # --- pages -----------------------------------------------------------------------------------------------------

    async def grid(self, request: PageRequest) -> Response[bytes]:
        """Draw what there is, the newest first."""
        lang, asked, now = language_of_page(request), self._asked(request), self._hall.now_ms()
        called = Wanted(kind="panic", unseen=True, from_ms=now - CALLS_MS, until_ms=now - CALL_MS)

        def read(connection: sa.Connection) -> tuple[list[Item], dict[str, str], int, list[Item]]:
            found = reviews.listed(connection, asked.wanted, beyond=asked.before, count=PAGE + 1)
            numbers = reviews.numbers(connection, {one.ticket for one in found if one.ticket})
            unseen = reviews.unseen(connection, most=UNSEEN_MOST + 1)
            return found, numbers, unseen, reviews.listed(connection, called, count=CALLS)

        items, numbers, unseen, calls = await self._do(read, lang)
        await self._look_at_list(_who(request), asked.query(), lang)
        more, items = len(items) > PAGE, items[:PAGE]
        days: dict[str, list[Item]] = {}
        for item in items:
            days.setdefault(self._moment(item.at, "%d/%m/%Y"), []).append(item)
        count = f"{UNSEEN_MOST}+" if unseen > UNSEEN_MOST else str(unseen)
        return self._draw(
            request,
            "review",
            asked=asked,
            panics=panics(self._hub.board(), self._hub.mirror.state, self._config.zone, lang),
            calls=calls,
            counters=[(one.id, one.label) for one in self._hub.mirror.state.counters.values()],
            kinds=(*KINDS, *(one for one in KEPT if one != "service")),
            days=days,
            numbers=numbers,
            words=self._words(lang),
            summary=say("review_unseen", lang, n=count) if unseen else say("review_all_seen", lang),
            waiting=unseen > 0,
            older=asked.query(before=_place(items[-1])) if more else "",
            newest=asked.query() if asked.before else "",
        )

    async def one(
        self, request: PageRequest, key: str, *, fault: str = "", typed: dict[str, str] | None = None, status: int = 200
    ) -> Response[bytes]:
        """Draw one of them."""
        lang, asked = language_of_page(request), self._asked(request)

        def read(connection: sa.Connection) -> tuple[Case | None, list[Item], list[Item], dict[str, str]]:
            at = reviews.when(connection, key)
            day = [] if at is None else [business_day(at, self._config.zone)]
            case = reviews.case(connection, key, days=day)
            if case is None:
                return None, [], [], {}
            place = case.item.place
            older = reviews.listed(connection, asked.wanted, beyond=place, count=1)
            newer = reviews.listed(connection, asked.wanted, beyond=place, newer=True, count=1)
            return case, older, newer, reviews.numbers(connection, [one.ticket for one in case.near if one.ticket])

        case, older, newer, numbers = await self._do(read, lang)
        if case is None:
            raise NotFoundException(detail="there is no such incident")
        person = person_of(request)
        assert person is not None  # noqa: S101 (the guard has seen one)
        grant = self._revealing.granted(request.query_params.get("grant", ""), person.session)
        if grant is not None and grant.recording.id != case.item.clip:
            grant = None
        done = request.query_params.get("done", "")
        return self._draw(
            request,
            "incident",
            case=case,
            item=case.item,
            about=[*self._asked_for(case, lang), *self._visit(case, lang)],
            bar=_bar(case, grant),
            grant=grant,
            reveals=person.may("reveal") and case.recording is not None and case.recording.sealed_here,
            key_there=self._revealing.possible,
            query=asked.query(),
            here_query=asked.query(grant=grant.token if grant else ""),
            older=older[0].key if older else "",
            newer=newer[0].key if newer else "",
            numbers=numbers,
            words=self._words(lang),
            fault=fault,
            typed={name: (typed or {}).get(name, "") for name in ("do", "reason")},
            said=say(f"done_{done}", lang) if done in _DONE and not fault else "",
            least=reviews.REASON_LEAST,
            away=self._vault.away,
            status=status,
        )

    async def act(self, request: PageRequest, key: str) -> Response[Any]:
        """Do what a page's form asks."""
        lang, asked = language_of_page(request), self._asked(request)
        form = await _form(request)
        person = person_of(request)
        assert person is not None  # noqa: S101 (the guard has seen one)
        if not reviews.is_key(key) or await self._do(lambda rows: reviews.when(rows, key), lang) is None:
            raise NotFoundException(detail="there is no such incident")
        to = f"/review/{key}"
        grant = self._revealing.granted(request.query_params.get("grant", ""), person.session)
        token = grant.token if grant is not None else ""  # what is shown clear stays so
        try:
            match form.get("do"):
                case "review" | "next":
                    note = form.get("note", "").strip()
                    await self._do(
                        lambda rows: reviews.add_review(
                            rows, key, actor=person.actor, at=self._hall.now_ms(), note=note
                        ),
                        lang,
                    )
                    if form["do"] == "next":
                        return to_page(await self._next(key, asked, lang))
                    return to_page(to + asked.query(done="review", grant=token))
                case "hold" | "release" as do:
                    await self._hold(key, do == "hold", _reason(form), person, lang)
                    return to_page(to + asked.query(done=do, grant=token))
                case "reveal":
                    grant = await self._reveal(key, _reason(form), person, people_of(request), lang)
                    return to_page(to + asked.query(grant=grant.token))
                case _:
                    return to_page(to + asked.query())
        except ReviewError as error:
            fault = say(error.code, lang, **error.facts)
            return await self.one(request, key, fault=fault, typed=form, status=409)

    async def picture(self, request: PageRequest, key: str) -> Response[bytes]:
        """Return an item's thumbnail."""
        jpeg = None
        if reviews.is_key(key):
            lang = language_of_page(request)
            await self._look_at_list(_who(request), "", lang)
            jpeg = await self._do(lambda rows: reviews.picture(rows, key), lang)
        if jpeg is None:
            raise NotFoundException(detail="there is no picture")
        return Response(jpeg, media_type="image/jpeg", headers=_NO_STORE)

    # --- recordings ------------------------------------------------------------------------------------------------

    async def video(self, request: PageRequest, key: str) -> Response[Any]:
        """Return a part of a recording, or all of it, once it is written down who looks."""
        lang = language_of_page(request)
        found = await self._do(lambda rows: reviews.recording_of(rows, key), lang) if reviews.is_key(key) else None
        if found is None or not found.here or found.sha256 is None or found.bytes is None:
            raise NotFoundException(detail="this recording is not here")
        etag = f'"{found.sha256}"'
        part = _part(request, found.bytes, etag)
        if part is None:
            return _beyond(found.bytes)
        sha256 = found.sha256
        try:
            file = await self._aside(lambda: self._vault.open(sha256, start=part.start))
        except OSError as error:
            raise NotFoundException(detail="the file of this recording is missing; see motcua center fsck") from error
        except VaultError:
            return _away(lang)
        try:
            await self._look(found, _who(request), lang)
        except BaseException:
            file.close()
            raise
        return _stream(self._read(file, part.length), part, found.bytes, etag)

    async def clear(self, request: PageRequest) -> Response[Any]:
        """Return a part of a clear version to whom it was granted: why is written down already."""
        grant = self._revealing.granted(request.query_params.get("grant", ""), _who(request).session)
        if grant is None:
            raise NotFoundException(detail="this was not granted, or is over")
        etag = f'"{grant.token[:8]}-{grant.recording.sealed_sha256}"'
        part = _part(request, grant.length, etag)
        if part is None:
            return _beyond(grant.length)
        pieces = self._revealing.pieces(grant, part.start, part.length)
        first = await self._aside(next, pieces, None)
        if first is None and self._vault.away:
            return _away(language_of_page(request))
        if first is None:
            raise NotFoundException(detail="this was wiped, or its key is gone")
        return _stream(self._drawn_from(first, pieces), part, grant.length, etag)

    async def _read(self, file: BinaryIO, length: int) -> AsyncIterator[bytes]:
        """Yield what is read; ends early where a store elsewhere goes away, and the player asks again."""
        try:
            while length > 0 and (piece := await self._aside(file.read, min(PIECE, length))):
                length -= len(piece)
                yield piece
        except VaultError:
            return
        finally:
            file.close()

    async def _drawn_from(self, first: bytes, pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
        yield first
        while (piece := await self._aside(next, pieces, None)) is not None:
            yield piece

    async def _look(self, found: Recording, person: Person, lang: Language) -> None:
        actor, at = person.actor, self._hall.now_ms()
        await self._once((found.id, actor), at, lang, lambda rows: reviews.note_look(rows, found, actor=actor, at=at))

    async def _look_at_list(self, person: Person, asked: str, lang: Language) -> None:
        """Write down that somebody sees thumbnails, once in a quarter of an hour, before the first one goes out."""
        actor, at = person.actor, self._hall.now_ms()
        await self._once(("", actor), at, lang, lambda rows: reviews.note_list(rows, asked, actor=actor, at=at))

    async def _once(self, who: tuple[str, str], now: int, lang: Language, note: Callable[[sa.Connection], int]) -> None:
        if 0 <= now - self._looks.get(who, now + 1) < reviews.LOOK_MS:
            return
        began = await self._do(note, lang)
        if len(self._looks) >= _LOOKS_KEPT:
            self._looks.clear()  # asks the store once more
        self._looks[who] = began

    async def _next(self, key: str, asked: Asked, lang: Language) -> str:
        """Return where the next older item is, or the list where there is none."""

        def read(connection: sa.Connection) -> list[Item]:
            at = reviews.when(connection, key) or 0
            return reviews.listed(connection, asked.wanted, beyond=(at, key), count=1)

        found = await self._do(read, lang)
        return f"/review/{found[0].key}{asked.query()}" if found else f"/review{asked.query()}"

    async def _hold(self, key: str, held: bool, reason: str, person: Person, lang: Language) -> None:
        """Hold or release; one transaction, so it waits for no file and for no store elsewhere."""
        if held and not reviews.sound_reason(reason):
            raise ReviewError("review_reason", n=reviews.REASON_LEAST)

        def job(connection: sa.Connection) -> None:
            found = reviews.recording_of(connection, key)
            if found is None:
                raise ReviewError("review_coming")
            now = self._hall.now_ms()
            reviews.set_held(connection, found.id, held, actor=person.actor, at=now, reason=reason)

        await self._do(job, lang)

    async def _reveal(self, key: str, reason: str, person: Person, people: People, lang: Language) -> Grant:
        """Let somebody see a clear version; who and why is written down before."""
        if not person.may("reveal"):
            await people.record_denied(person, f"/review/{key}")
            raise refused(PeopleError("forbidden"), lang)
        if not reviews.sound_reason(reason):
            raise ReviewError("reveal_reason", n=reviews.REASON_LEAST)
        since = people.logged_in_at(person)
        if since is None or not 0 <= self._hall.now_ms() - since <= LOGIN_MS:
            raise ReviewError("reveal_login", n=LOGIN_MS // 60_000)
        found = await self._do(lambda rows: reviews.recording_of(rows, key), lang)
        if found is None or not found.sealed_here:
            raise ReviewError("reveal_none")
        examined = await self._aside(self._revealing.examine, found)
        now = self._hall.now_ms()
        await self._do(lambda rows: reviews.note_reveal(rows, found, actor=person.actor, at=now, reason=reason), lang)
        return self._revealing.grant(found, person.session, examined)

    # --- words -----------------------------------------------------------------------------------------------------

    def _words(self, lang: Language) -> dict[str, Callable[..., str]]:
        """Return how the templates call things."""
        return {
            "kind": lambda item: _kind(item.kind, lang),
            "counter": self._label,
            "clock": lambda at: self._moment(at, "%H:%M:%S"),
            "moment": lambda at: self._moment(at, "%d/%m/%Y %H:%M:%S"),
            "lasted": _running,
            "who": self._hub.called,
            "place": lambda: "",
        }

    def _asked_for(self, case: Case, lang: Language) -> list[tuple[str, str]]:
        """Return the lines about who had a recording kept."""
        asked = case.asked
        if asked is None:
            return []
        lines = [("review_asked_by", self._hub.called(asked.actor)), ("review_why", asked.words)]
        return [(say(name, lang), value) for name, value in lines if value]

    def _visit(self, case: Case, lang: Language) -> list[tuple[str, str]]:
        """Return the lines about the ticket beside the player."""
        visit = case.visit
        if visit is None:
            return []
        service = next((one for one in self._config.service if one.id == visit.service), None)
        lines = [
            ("review_ticket", visit.number),
            ("service", visit.service if service is None else service.en if lang == "en" else service.vi),
        ]
        if visit.counter is not None:
            lines.append(("counter", self._label(visit.counter)))
        if visit.called_at is not None:
            lines.append(("waited", _minutes(visit.called_at - visit.issued_at, lang)))
        if visit.started_at is not None and visit.ended_at is not None:
            lines.append(("since_start", _minutes(visit.ended_at - visit.started_at, lang)))
        if visit.outcome is not None and f"outcome_{visit.outcome}" in WORDS:
            lines.append(("review_outcome", say(f"outcome_{visit.outcome}", lang)))
        rated = say("review_not_rated", lang)
        if visit.level is not None:
            scale = SCALES.get(visit.scale or "")
            level = scale.level(visit.level) if scale is not None else None
            if scale is not None and level is not None:
                rated = f"{level.en if lang == 'en' else level.vi} ({visit.level}/{len(scale.levels)})"
            else:
                rated = str(visit.level)
        return [(say(name, lang), value) for name, value in (*lines, ("review_rating", rated))]

    def _label(self, counter: str) -> str:
        known = self._hub.mirror.state.counters.get(counter)
        return known.label if known is not None else counter

    def _moment(self, at: int, shape: str) -> str:
        return datetime.fromtimestamp(at / 1000, UTC).astimezone(self._config.zone).strftime(shape)

    def _asked(self, request: PageRequest) -> Asked:
        return Asked(dict(request.query_params.items()), self._config)

    async def _do(self, job: Callable[[sa.Connection], T], lang: Language) -> T:
        """Do something with rows in the hall's thread."""
        try:
            return await asyncio.wrap_future(self._hall.transact(job))
        except StoreError as error:
            raise unstored(error, lang) from error


# --- parts of files ------------------------------------------------------------------------------------------------


def _part(request: PageRequest, size: int, etag: str) -> ranges.Part | None:
    headers = request.headers
    return ranges.part(headers.get("range"), size, condition=headers.get("if-range"), etag=etag)


def _beyond(size: int) -> Response[Any]:
    return Response(b"", status_code=416, headers={**_NO_STORE, "content-range": f"bytes */{size}"})


def _away(lang: Language) -> Response[Any]:
    headers = {**_NO_STORE, "retry-after": "30"}
    return Response(say("review_away", lang), status_code=503, media_type="text/plain", headers=headers)


def _stream(pieces: AsyncIterator[bytes], part: ranges.Part, size: int, etag: str) -> Response[Any]:
    headers = {**_NO_STORE, "accept-ranges": "bytes", "etag": etag, "content-length": str(part.length)}
    if part.partial:
        headers["content-range"] = f"bytes {part.start}-{part.end - 1}/{size}"
    return Stream(pieces, status_code=206 if part.partial else 200, media_type="video/mp4", headers=headers)


# --- helpers -------------------------------------------------------------------------------------------------------


def _bar(case: Case, grant: Grant | None) -> dict[str, Any] | None:
    """Return where in its recording an incident is, in seconds and in parts of a thousand; None where all of it is."""
    found = case.recording
    if found is None or found.seconds <= 0 or case.item.key.startswith("c") or not (found.here or grant):
        return None
    begin = min(max((case.began_at - found.start) / 1000, 0.0), found.seconds)
    known = case.ended_at is not None
    end = found.seconds
    if case.ended_at is not None:
        end = min(max((case.ended_at - found.start) / 1000, begin), found.seconds)
    first, last = round(begin / found.seconds * 1000), round(end / found.seconds * 1000)
    return {
        "begin": round(begin, 3),
        "end": round(end, 3),
        "seconds": found.seconds,
        "known": known,
        "from": first,
        "width": max(last - first, 4),
        "after": last,
    }


def _kind(kind: str, lang: Language) -> str:
    return say(f"incident_{kind}", lang) if f"incident_{kind}" in WORDS else kind


def _place(item: Item) -> str:
    return f"{item.at}-{item.key}"


def _day(typed: str, config: Config) -> tuple[str, int | None, int | None]:
    """Return a day as it was asked for, and its ends; nothing where it is none."""
    try:
        day = date.fromisoformat(typed) if _DAY.fullmatch(typed) else None
        ends = (
            [
                int(datetime.combine(one, datetime.min.time(), config.zone).timestamp() * 1000)
                for one in (day, day + timedelta(days=1))
            ]
            if day is not None
            else []
        )
    except (ValueError, OverflowError):
        ends = []
    return (typed, ends[0], ends[1]) if ends else ("", None, None)


def _running(ms: int) -> str:
    seconds = max(0, round(ms / 1000))
    clock = f"{seconds // 60 % 60}:{seconds % 60:02d}"
    return clock if seconds < 3600 else f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def _minutes(ms: int, lang: Language) -> str:
    return say("just_now", lang) if ms < 60_000 else say("minutes", lang, n=ms // 60_000)


def _reason(form: dict[str, str]) -> str:
    """Return why, in a line that shows all that is in it: it stands in the audit log for good."""
    words = " ".join(form.get("reason", "").split())
    return "".join(one for one in words if one.isprintable())[: reviews.REASON_LENGTH]


def _who(request: PageRequest) -> Person:
    person = person_of(request)
    if person is None:  # logged out since the guard looked
        raise RefusedError(401, Problem(code="login_needed", message="log in"))
    return person


async def _form(request: PageRequest) -> dict[str, str]:
    try:
        return dict(parse_qsl((await request.body()).decode(), keep_blank_values=True, max_num_fields=20))
    except ValueError:
        return {}


def review_routes(book: ReviewPages) -> list[HTTPRouteHandler]:
    """Return the pages' routes."""

    @get("/review", include_in_schema=False, guards=[needs("review")])
    async def grid(request: PageRequest) -> Response[bytes]:
        return await book.grid(request)

    @get("/review/{item:str}", include_in_schema=False, guards=[needs("review")])
    async def one(request: PageRequest, item: FromPath[str]) -> Response[bytes]:
        return await book.one(request, item)

    @post("/review/{item:str}", include_in_schema=False, status_code=200, guards=[needs("review")])
    async def act(request: PageRequest, item: FromPath[str]) -> Response[Any]:
        return await book.act(request, item)

    @get("/review/{item:str}/picture", include_in_schema=False, guards=[needs("review")])
    async def picture(request: PageRequest, item: FromPath[str]) -> Response[bytes]:
        return await book.picture(request, item)

    @get("/review/{item:str}/video", include_in_schema=False, guards=[needs("review")])
    async def video(request: PageRequest, item: FromPath[str]) -> Response[Any]:
        return await book.video(request, item)

    @get("/review/{item:str}/clear", include_in_schema=False, guards=[needs("reveal")])
    async def clear(request: PageRequest, item: FromPath[str]) -> Response[Any]:  # noqa: ARG001 (of its address)
        return await book.clear(request)

    return [grid, one, act, picture, video, clear]
