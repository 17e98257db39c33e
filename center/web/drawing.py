"""How a page is drawn: a template with the state of this moment, in the reader's language."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import MediaType, Request, Response
from litestar.datastructures import Cookie
from litestar.datastructures import State as AppState
from markupsafe import Markup

from center.config import Config
from center.web.assets import Assets
from center.web.gate import person_of
from center.web.stream import Hub
from center.web.views import View
from center.web.words import Language, pack, say

PageRequest = Request[Any, Any, AppState]
Live = tuple[str, str, View, dict[str, str]]
"""What a page's script begins with: which view, of which counter, the view itself, and the words it needs."""

_YEAR_S = 365 * 86_400
_PACK_FROM = 1000
_OF_ADDRESSES = "%/?=&#:@,;+!*'()~$[]"  # what stands in an address as it is
_SHEETS = {"arrived": "login", "incident": "review", "camera": "cameras", "password": "login", "refused": "login"}


class Drawing:
    """Draws templates. What a script does later, the server has done first: a page says the same without one."""

    def __init__(self, config: Config, hub: Hub, assets: Assets) -> None:
        self._config = config
        self._hub = hub
        self._assets = assets
        self._templates = Environment(
            loader=FileSystemLoader(Path(__file__).parent / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )

    def draw(
        self,
        request: PageRequest,
        name: str,
        live: Live | None = None,
        *,
        both: tuple[str, ...] = (),
        status: int = 200,
        **context: Any,
    ) -> Response[bytes]:
        """Draw a page; `both` are words that its script needs in both languages."""
        lang = language_of_page(request)
        boot = None
        if live is not None:
            boot = self._boot(request, live, lang, both)
            context["s"] = live[2]
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

    def _boot(self, request: PageRequest, live: Live, lang: Language, both: tuple[str, ...]) -> Markup:
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
        return Markup(msgspec.json.encode(start).decode().replace("<", "\\u003c"))  # noqa: S704 (escaped here)


def to_page(path: str) -> Response[Any]:
    """Send a browser on to another page of ours."""
    return Response(
        b"", status_code=303, headers={"location": quote(path, safe=_OF_ADDRESSES), "cache-control": "no-store"}
    )


def language_of_page(request: PageRequest) -> Language:
    """Return the page's language: asked for, else remembered, else Vietnamese."""
    asked = request.query_params.get("lang") or request.cookies.get("lang")
    return "en" if asked == "en" else "vi"


def _speaker(lang: Language) -> Callable[..., str]:
    def speak(key: str, **values: object) -> str:
        return say(key, lang, **values)

    return speak


def _html(request: PageRequest, content: bytes, lang: Language, status: int) -> Response[bytes]:
    headers = {"cache-control": "no-store", "vary": "accept-encoding"}
    if len(content) > _PACK_FROM and "gzip" in request.headers.get("accept-encoding", ""):
        content = gzip.compress(content, 6)
        headers["content-encoding"] = "gzip"
    remember = []
    if "lang" in request.query_params:
        remember.append(Cookie(key="lang", value=lang, max_age=_YEAR_S, path="/", samesite="lax", httponly=True))
    return Response(content, status_code=status, media_type=MediaType.HTML, headers=headers, cookies=remember)
