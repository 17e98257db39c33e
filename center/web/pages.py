"""The pages: drawn whole by the server with the state of this moment, kept live by their scripts."""

import re
import unicodedata
from datetime import datetime
from typing import Any, get_args

from litestar import Response, get
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from center.config import Config
from center.queue.model import Outcome, Ticket
from center.web import devices as looks
from center.web.devices import PROBLEMS, RANK, DeviceView
from center.web.drawing import Drawing, PageRequest, language_of_page
from center.web.gate import needs
from center.web.stream import Hub
from center.web.views import View, large_call
from center.web.words import WORDS, Language, pack, say

Link = tuple[str, str, str]
"""Where, name, hint."""

OUTCOMES: tuple[str, ...] = get_args(Outcome)
SIDE = (("recall", "R"), ("transfer", "T"), ("park", "P"), ("no_show", "V"))

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
    """Draws the list of screens and every screen that stays open."""

    def __init__(self, config: Config, hub: Hub, drawing: Drawing, *, links: tuple[Link, ...] = ()) -> None:
        self._config = config
        self._hub = hub
        self._draw = drawing.draw
        self._links = links

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
            counters=counters,
            extra=self._links,
            alerts=self._hub.board().open,
            panics=looks.panics(self._hub.board(), state, self._config.zone, lang),
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
        items = sorted(known, key=lambda one: (RANK[one.level], one.name))
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
            ago=lambda at: looks.ago(now - at, lang),
            unit=looks.unit,
            disk=looks.disk,
            remark=lambda item: looks.remark(item, lang),
            alerts=view["alerts"],
            what=lambda alert: looks.about(alert, lang),
            who=lambda alert: view["names"].get(alert.acknowledged_by, ""),
            gone=lambda item: item.level not in ("ok", "warn") or "silent" in item.why,
            moment=self._moment,
            drawn=looks.drawn,
            strip_words=lambda strip: say("strip_words", lang, **looks.hours(strip)),
        )

    def _moment(self, at: int) -> str:
        return f"{datetime.fromtimestamp(at / 1000, self._config.zone):%d/%m %H:%M}"

    def _wall(self) -> datetime:
        """Return the time on the center's wall."""
        return datetime.fromtimestamp(self._hub.now_ms() / 1000, self._config.zone)

    def _view(self, kind: str, counter: str = "") -> View:
        if not self._hub.knows(kind, counter):
            raise NotFoundException(detail=f"there is no counter {counter}")
        return self._hub.view(kind, counter)


# --- what the server draws for the first paint ---------------------------------------------------------------------


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


def _icon(words: str) -> str:
    plain = unicodedata.normalize("NFD", words.lower().replace("đ", "d").replace("-", " "))
    plain = "".join(one for one in plain if not unicodedata.combining(one))
    whole = f" {' '.join(re.findall(r'[a-z0-9]+', plain))} "
    return next((icon for icon, signs in _ICON_WORDS if any(f" {sign} " in whole for sign in signs)), "paper")


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
