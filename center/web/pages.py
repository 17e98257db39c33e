"""The pages: drawn whole by the server with the state of this moment, kept live by their scripts."""

import gzip
import re
import unicodedata
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, get_args
from urllib.parse import quote

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import MediaType, Request, Response, get
from litestar.datastructures import Cookie
from litestar.datastructures import State as AppState
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from markupsafe import Markup

from center.audit import Written
from center.config import Config
from center.fleet.alerts import Alert
from center.people.model import ROLES
from center.people.register import People
from center.queue.model import Outcome, Ticket
from center.web.assets import Assets
from center.web.devices import PROBLEMS, DeviceView, drawn, hours
from center.web.gate import RefusedError, needs, person_of
from center.web.stream import Hub
from center.web.views import View, large_call
from center.web.words import WORDS, Language, pack, say

PageRequest = Request[Any, Any, AppState]
Link = tuple[str, str, str]
"""Where, name, hint."""

LOGIN = "/login"
OIDC = "/login/oidc"
OUTCOMES: tuple[str, ...] = get_args(Outcome)
SIDE = (("recall", "R"), ("transfer", "T"), ("park", "P"), ("no_show", "V"))
_YEAR_S = 365 * 86_400
_PACK_FROM = 1000

_WEEKDAYS = {
    "vi": ("Thứ Hai", "Thứ Ba", "Thứ Tư", "Thứ Năm", "Thứ Sáu", "Thứ Bảy", "Chủ Nhật"),
    "en": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
}
_EVERYWHERE = ("counter", "priority", "minutes", "just_now", "unreachable")
_OFFICER = (
    *_EVERYWHERE,
    *(key for key in WORDS if key.startswith(("now_", "state_", "do_", "aside_", "lease_", "shortcuts_"))),
    *("ready", "next_is", "nobody_waits", "since_call", "since_start", "call_number", "requeue_number"),
    *("more_waiting", "only_here", "transfer_title", "finished", "sending"),
)
_BOARD = (*_EVERYWHERE, "board_invite", "board_before")
_KIOSK = (*(key for key in WORDS if key.startswith("kiosk_")), "other_language")
_RATE = ("counter", "number", "other_language", *(key for key in WORDS if key.startswith("rate_")))
_DEVICES = (
    *(
        "devices_all_well",
        "devices_problems",
        "devices_cut_off",
        "devices_none",
        "seconds_ago",
        "minutes_ago",
        "hours_ago",
        "seen_now",
        "strip_words",
        "unreachable",
    ),
    *(
        key
        for key in WORDS
        if key.startswith(("status_", "why_", "trouble_", "kind_", "alert_", "forget_")) and key != "kind_priority"
    ),
)

# One stroke each, on a 24×24 sheet; chosen by a word in the service's name, drawn for people who read little.
ICONS = {
    "house": "M3 20V10l9-7 9 7v10zM9 20v-6h6v6",
    "person": "M12 11a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM4 21c0-5 4-7 8-7s8 2 8 7",
    "case": "M3 8h18v12H3zM9 8V4h6v4M3 13h18M12 12v3",
    "heart": "M12 20s-8-5-8-11a4.5 4.5 0 0 1 8-2.7A4.5 4.5 0 0 1 20 9c0 6-8 11-8 11z",
    "letter": "M3 6h18v13H3zM3 7l9 7 9-7",
    "paper": "M6 2h8l5 5v15H6zM14 2v5h5M9 12h7M9 16h7",
    "wheel": "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18z"
    "M12 14a2 2 0 1 0 0-4 2 2 0 0 0 0 4zM12 3v7M5 18l5.5-4.5M19 18l-5.5-4.5",
    "shield": "M12 3l8 3v6c0 5-4 8-8 9-4-1-8-4-8-9V6zM9 12l2 2 4-4",
    "school": "M2 9l10-5 10 5-10 5zM6 11v6c3 3 9 3 12 0v-6M22 9v6",
    "block": "M5 21V4h9v17M14 10h5v11M3 21h18M8 8h3M8 12h3M8 16h3",
}
_ICON_WORDS = (
    ("house", ("dat", "nha", "land", "house")),
    ("block", ("xay dung", "construction")),
    ("case", ("doanh", "kinh", "dau tu", "business")),
    ("heart", ("xa hoi", "chinh sach", "y te", "lao dong", "social", "health")),
    ("letter", ("ket qua", "result", "buu")),
    ("person", ("ho tich", "tu phap", "civil")),
    ("wheel", ("giao thong", "lai xe", "transport", "vehicle")),
    ("shield", ("cong an", "can cuoc", "police", "ident")),
    ("school", ("giao duc", "education")),
)
MOUTHS = {
    "delighted": "M25 56c5 25 45 25 50 0z",
    "content": "M29 60c9 13 33 13 42 0",
    "neutral": "M31 66h38",
    "unhappy": "M32 70c6-7 26-9 36-4",
    "upset": "M29 72c9-15 33-15 42 0",
}


class Pages:
    """Draws every page."""

    def __init__(
        self,
        config: Config,
        hub: Hub,
        assets: Assets,
        people: People,
        *,
        links: tuple[Link, ...] = (),
        login_at: str = LOGIN,
    ) -> None:
        self._people = people
        self._login_at = login_at
        self._config = config
        self._hub = hub
        self._assets = assets
        self._links = links
        self._templates = Environment(
            loader=FileSystemLoader(Path(__file__).parent / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )

    def index(self, request: PageRequest, *, missing: bool = False) -> Response[bytes]:
        """Draw the list of screens; also the answer to an address that does not exist."""
        lang = language_of_page(request)
        state = self._hub.mirror.state
        names = {service.id: service.en if lang == "en" else service.vi for service in state.services.values()}
        counters = [
            {"id": one.id, "label": one.label, "serves": ", ".join(names.get(each, each) for each in one.services)}
            for one in state.counters.values()
        ]
        return self._draw(
            request,
            "index",
            None,
            counters=counters,
            extra=self._links,
            alerts=self._hub.board().open,
            missing=missing,
            status=404 if missing else 200,
        )

    def officer(self, request: PageRequest, counter_id: str) -> Response[bytes]:
        """Draw the desk of a counter."""
        view = self._view("officer", counter_id)
        lang = language_of_page(request)
        now = self._hub.now_ms()
        names = {service["id"]: service[lang] for service in view["services"]}
        counter = view["counter"]

        def tags(item: View) -> dict[str, str]:
            words = [
                names.get(item["service"], "") if item["state"] == "waiting" else say(f"aside_{item['state']}", lang)
            ]
            if item["only_here"]:
                words.append(say("only_here", lang))
            return {"em": say("priority", lang) if item["priority"] == "priority" else "", "rest": " · ".join(words)}

        return self._draw(
            request,
            "officer",
            ("officer", counter_id, view, pack(_OFFICER, lang)),
            served_here=", ".join(names.get(one, one) for one in counter.services),
            headline=_headline(view, names, lang, now),
            figures=_figures(view["figures"], lang),
            outcomes=OUTCOMES,
            side=SIDE,
            tags=tags,
            wait=lambda item: _minutes(now - item["issued_at"], lang),
        )

    def board(self, request: PageRequest) -> Response[bytes]:
        """Draw the hall board."""
        view = self._view("board")
        lang = language_of_page(request)
        latest: View = {"key": "", "number": "", "counter": "", "service": "", "state": "called"}
        if call := large_call(view["calls"]):
            latest = {**call, "service": view["services"].get(call["service"], {}).get(lang, "")}
        here = self._wall()
        return self._draw(
            request,
            "board",
            ("board", "", view, pack(_BOARD, lang)),
            latest=latest,
            clock=f"{here:%H:%M}",
            date=f"{_WEEKDAYS[lang][here.weekday()]}, {here:%d/%m/%Y}",
        )

    def kiosk(self, request: PageRequest) -> Response[bytes]:
        """Draw the ticket kiosk."""
        view = self._view("kiosk")
        lang = language_of_page(request)
        for service in view["services"]:
            service["icon"] = _icon(f"{service['id']} {service['vi']} {service['en']}")

        def busy(service: View) -> str:
            before = service["before"]["normal"]
            said = [] if service["counters"] else [say("kiosk_no_counter", lang)]
            if before["people"]:
                key = "kiosk_before" if before["exact"] else "kiosk_before_about"
                said.append(say(key, lang, n=before["people"]))
            elif service["counters"]:
                said.append(say("kiosk_at_once" if before["at_once"] else "kiosk_before_none", lang))
            return ", ".join(said)

        return self._draw(
            request,
            "kiosk",
            ("kiosk", "", view, pack(_EVERYWHERE, lang)),
            both=_KIOSK,
            icons=ICONS,
            busy=busy,
            clock=f"{self._wall():%H:%M}",
        )

    def rate(self, request: PageRequest, counter_id: str) -> Response[bytes]:
        """Draw the rating tablet of a counter."""
        view = self._view("rating", counter_id)
        if view["armed"] and view["armed"]["until"] <= self._hub.now_ms():
            view["armed"] = None
        lang = language_of_page(request)
        return self._draw(
            request, "rate", ("rating", counter_id, view, pack(_EVERYWHERE, lang)), both=_RATE, mouths=MOUTHS
        )

    def devices(self, request: PageRequest) -> Response[bytes]:
        """Draw the devices, problems first."""
        view = self._view("devices")
        lang = language_of_page(request)
        now = self._hub.now_ms()
        known: list[DeviceView] = [one for name, one in view.items() if "/" in name]
        items = sorted(known, key=lambda one: (_RANK[one.level], one.name))
        problems = sum(one.level in PROBLEMS for one in items)
        summary = say("devices_all_well", lang)
        if not view["reached"]:
            summary = say("devices_cut_off", lang)
        elif not items:
            summary = say("devices_none", lang)
        elif problems:
            summary = say("devices_problems", lang, n=problems)
        return self._draw(
            request,
            "devices",
            ("devices", "", view, pack(_DEVICES, lang)),
            items=items,
            level="warn" if problems or not view["reached"] else "ok" if items else "none",
            summary=summary,
            kind=lambda item: say(f"kind_{item.kind}", lang) if item.kind_known else item.kind,
            ago=lambda at: _ago(now - at, lang),
            unit=_unit,
            disk=_disk,
            remark=lambda item: _remark(item, lang),
            alerts=view["alerts"],
            what=lambda alert: _what(alert, lang),
            who=lambda alert: self._seen_by(alert.acknowledged_by or ""),
            gone=lambda item: item.level not in ("ok", "warn") or "silent" in item.why,
            moment=self._moment,
            drawn=drawn,
            strip_words=lambda strip: say("strip_words", lang, **hours(strip)),
        )

    def _seen_by(self, actor: str) -> str:
        """Return the name of whoever has seen an alert, as people know it."""
        name = actor.removeprefix("person:")
        return next((one.full_name for one in self._people.accounts() if one.name == name), name)

    def _moment(self, at: int) -> str:
        return f"{datetime.fromtimestamp(at / 1000, self._config.zone):%d/%m %H:%M}"

    def login(
        self, request: PageRequest, *, to: str, name: str = "", fault: str = "", status: int = 200
    ) -> Response[bytes]:
        """Draw the login; `fault` says why the last try did not work."""
        other_way = ""
        if self._config.people.oidc is not None:
            other_way = f"{OIDC}?to={quote(to, safe='')}"
        return self._draw(
            request,
            "login",
            None,
            to=to,
            typed=name,
            fault=fault,
            other_way=other_way,
            provider=self._provider,
            status=status,
        )

    def arrived(self, request: PageRequest, to: str) -> Response[bytes]:
        """Draw the page on which somebody comes back from the office's other login; it opens `to` by itself."""
        return self._draw(request, "arrived", None, to=to)

    def password(self, request: PageRequest, *, to: str, fault: str = "", status: int = 200) -> Response[bytes]:
        """Draw the change of one's own password."""
        return self._draw(request, "password", None, to=to, fault=fault, provider=self._provider, status=status)

    def people(
        self,
        request: PageRequest,
        entries: Sequence[Written],
        *,
        before: int | None = None,
        said: str = "",
        fault: str = "",
        new_password: str = "",
        status: int = 200,
    ) -> Response[bytes]:
        """Draw accounts, sessions and the audit log."""
        lang = language_of_page(request)
        names = {one.name: one.full_name for one in self._people.accounts()}

        def at(ms: int) -> str:
            return f"{datetime.fromtimestamp(ms / 1000, self._config.zone):%d/%m/%Y %H:%M:%S}"

        def did(action: str) -> str:
            return say(f"did_{action}", lang) if f"did_{action}" in WORDS else action

        return self._draw(
            request,
            "people",
            None,
            accounts=self._people.accounts(),
            roles=ROLES,
            sessions=self._people.sessions(),
            entries=entries,
            older=entries[-1].seq if entries and entries[-1].seq > 1 else None,
            before=before,
            names=names,
            said=said,
            fault=fault,
            new_password=new_password,
            at=at,
            did=did,
            status=status,
        )

    def refused(self, request: PageRequest, error: RefusedError) -> Response[Any]:
        """Answer whoever may not see a page: with the login, with the change of the password, or with who may."""
        here = request.url.path
        if error.problem.code == "login_needed":
            return to_page(f"{self._login_at}?to={quote(here)}")
        if error.problem.code == "password_change_needed":
            return to_page(f"/password?to={quote(here)}")
        return self._draw(request, "refused", None, words=error.problem.message, status=error.status_code)

    @property
    def _provider(self) -> str:
        """How people call the office's other login."""
        return self._config.people.oidc.label if self._config.people.oidc is not None else "OIDC"

    def _wall(self) -> datetime:
        """Return the time on the center's wall."""
        return datetime.fromtimestamp(self._hub.now_ms() / 1000, self._config.zone)

    def _view(self, kind: str, counter: str = "") -> View:
        if not self._hub.knows(kind, counter):
            raise NotFoundException(detail=f"there is no counter {counter}")
        return self._hub.view(kind, counter)

    def _draw(
        self,
        request: PageRequest,
        name: str,
        live: tuple[str, str, View, dict[str, str]] | None,
        *,
        both: tuple[str, ...] = (),
        status: int = 200,
        **context: Any,
    ) -> Response[bytes]:
        lang = language_of_page(request)
        boot = None
        if live is not None:
            kind, counter, view, words = live
            start: dict[str, Any] = {
                "view": kind,
                "counter": counter,
                "lang": lang,
                "words": words,
                "zone": self._config.timezone,
                "server": self._hub.server,
                "asset": self._assets.version,
                "id": self._hub.last_id,
                "now": self._hub.now_ms(),
                "state": view,
            }
            if person := person_of(request):
                start["me"] = {"account": person.name, "mark": person.session[:16]}
            if both:
                start["both"] = {"vi": pack(both, "vi"), "en": pack(both, "en")}
            # Inside a script element only "<" could end it.
            boot = Markup(msgspec.json.encode(start).decode().replace("<", "\\u003c"))  # noqa: S704 (escaped here)
            context["s"] = view
        html = self._templates.get_template(f"{name}.html").render(
            lang=lang,
            other="vi" if lang == "en" else "en",
            here=request.url.path if status == 200 else "/",
            center=self._config.name,
            static=self._assets.root,
            sheets=[_SHEETS.get(name, name)],
            script=name,
            boot=boot,
            t=_speaker(lang),
            me=person_of(request),
            **context,
        )
        return _html(request, html.encode(), lang, status)


# --- what the server draws for the first paint ---------------------------------------------------------------------

_SHEETS = {"arrived": "login", "password": "login", "refused": "login"}
_RANK = {"lost": 0, "warn": 1, "unknown": 2, "offline": 3, "ok": 4}


def _speaker(lang: Language) -> Callable[..., str]:
    def speak(key: str, **values: object) -> str:
        return say(key, lang, **values)

    return speak


def _headline(view: View, names: dict[str, str], lang: Language, now: int) -> dict[str, Any]:
    ticket: Ticket | None = view["ticket"]
    phase: str = view["phase"]
    waiting = view["waiting"]
    what = say("now_none" if phase == "idle" else f"now_{phase}", lang)
    hint = say("nobody_waits", lang)
    if waiting:
        first = waiting[0]
        hint = say("next_is", lang, number=first["number"], service=names.get(first["service"], first["service"]))
    if ticket is None:
        number = say("ready" if phase == "idle" else f"state_{view['counter'].state}", lang)
        return {
            "what": what, "number": number, "hint": hint, "service": "", "priority": False, "waited": "", "running": "",
        }  # fmt: skip
    if phase == "called" and ticket.recalls:
        what = say("now_called_again", lang, n=ticket.recalls, max=view["max_recalls"])
    since = ticket.started_at if phase == "serving" else ticket.called_at
    return {
        "what": what,
        "number": ticket.number,
        "hint": hint,
        "service": names.get(ticket.service, ticket.service),
        "priority": ticket.priority == "priority",
        "waited": _minutes((ticket.called_at or now) - ticket.issued_at, lang),
        "running": _running(now - (since or now)),
    }


def _figures(figures: View, lang: Language) -> dict[str, str]:
    def time(value: int | None) -> str:
        return "–" if value is None else _minutes(value, lang)

    return {
        "served": str(figures["served"]),
        "no_show": str(figures["no_show"]),
        "service_time": time(figures["service_ms"]),
        "wait_time": time(figures["wait_ms"]),
    }


def _minutes(ms: int, lang: Language) -> str:
    return say("just_now", lang) if ms < 60_000 else say("minutes", lang, n=ms // 60_000)


def _running(ms: int) -> str:
    seconds = max(0, ms // 1000)
    clock = f"{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return clock if seconds < 3600 else f"{seconds // 3600}:{clock}"


def _ago(ms: int, lang: Language) -> str:
    seconds = max(0, ms // 1000)
    if seconds < 10:
        return say("seen_now", lang)
    if seconds < 60:
        return say("seconds_ago", lang, n=seconds - seconds % 5)
    return say("minutes_ago", lang, n=seconds // 60) if seconds < 3600 else say("hours_ago", lang, n=seconds // 3600)


def _remark(item: DeviceView, lang: Language) -> str:
    """Say why a device needs a look. A word that is not in our list is shown as it came: a new device may bring it."""
    said = [say(f"why_{one}", lang) for one in item.why]
    if item.trouble:
        said.append(_trouble(item.trouble, lang))
    return "; ".join(said)


def _trouble(trouble: str, lang: Language) -> str:
    word, _, what = trouble.partition(":")
    key = f"trouble_{word}"
    return say(key, lang, what=what) if key in WORDS else trouble


def _what(alert: Alert, lang: Language) -> str:
    """Say what an alert is about."""
    if alert.kind == "trouble":
        return _trouble(alert.detail, lang)
    return say(f"why_{alert.kind}", lang) + (f" ({alert.detail})" if alert.detail else "")


def _unit(value: float | None, unit: str) -> str:
    return "–" if value is None else f"{round(value)} {unit}".strip()


def _disk(megabytes: int | None) -> str:
    """Free space is read in gigabytes, unless little is left."""
    if megabytes is not None and megabytes >= 10_000:
        return _unit(megabytes / 1000, "GB")
    return _unit(megabytes, "MB")


def _icon(words: str) -> str:
    plain = unicodedata.normalize("NFD", words.lower().replace("đ", "d").replace("-", " "))
    plain = "".join(one for one in plain if not unicodedata.combining(one))
    whole = f" {' '.join(re.findall(r'[a-z0-9]+', plain))} "
    return next((icon for icon, signs in _ICON_WORDS if any(f" {sign} " in whole for sign in signs)), "paper")


_OF_ADDRESSES = "%/?=&#:@,;+!*'()~$[]"  # what stands in an address as it is


def to_page(path: str) -> Response[Any]:
    """Send a browser on to another page of ours."""
    return Response(
        b"", status_code=303, headers={"location": quote(path, safe=_OF_ADDRESSES), "cache-control": "no-store"}
    )


def language_of_page(request: PageRequest) -> Language:
    """Return the page's language: asked for, else remembered, else Vietnamese."""
    asked = request.query_params.get("lang") or request.cookies.get("lang")
    return "en" if asked == "en" else "vi"


def _html(request: PageRequest, content: bytes, lang: Language, status: int) -> Response[bytes]:
    headers = {"cache-control": "no-store", "vary": "accept-encoding"}
    if len(content) > _PACK_FROM and "gzip" in request.headers.get("accept-encoding", ""):
        content = gzip.compress(content, 6)
        headers["content-encoding"] = "gzip"
    remember = []
    if "lang" in request.query_params:
        remember.append(Cookie(key="lang", value=lang, max_age=_YEAR_S, path="/", samesite="lax", httponly=True))
    return Response(content, status_code=status, media_type=MediaType.HTML, headers=headers, cookies=remember)


def routes(book: Pages) -> list[HTTPRouteHandler]:
    """Return the pages' routes."""

    @get("/", include_in_schema=False, sync_to_thread=False)
    def index(request: PageRequest) -> Response[bytes]:
        return book.index(request)

    @get("/board", include_in_schema=False, sync_to_thread=False)
    def board(request: PageRequest) -> Response[bytes]:
        return book.board(request)

    @get("/kiosk", include_in_schema=False, sync_to_thread=False)
    def kiosk(request: PageRequest) -> Response[bytes]:
        return book.kiosk(request)

    @get("/devices", include_in_schema=False, sync_to_thread=False, guards=[needs("see_devices")])
    def devices(request: PageRequest) -> Response[bytes]:
        return book.devices(request)

    @get("/counter/{counter_id:str}", include_in_schema=False, sync_to_thread=False, guards=[needs("serve")])
    def officer(request: PageRequest, counter_id: FromPath[str]) -> Response[bytes]:
        return book.officer(request, counter_id)

    @get("/rate/{counter_id:str}", include_in_schema=False, sync_to_thread=False)
    def rate(request: PageRequest, counter_id: FromPath[str]) -> Response[bytes]:
        return book.rate(request, counter_id)

    return [index, board, kiosk, devices, officer, rate]
