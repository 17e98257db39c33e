"""A center on a free port that can be stopped and started again, and somebody who looks at its pages."""

import hashlib
import threading
import time
import uuid
from pathlib import Path
from typing import Any

import httpx
import sqlalchemy as sa
from argon2 import PasswordHasher
from axe_playwright_python.sync_playwright import Axe
from msgspec.structs import asdict, replace
from playwright.sync_api import Browser, BrowserContext, Page
from sqlalchemy import Connection

from center.cameras.uploads import Uploads
from center.cameras.wishes import Wishes
from center.clock import SystemClock
from center.config import Config, CounterConfig, Rating, ServiceConfig
from center.fleet.fleet import Fleet
from center.hall import Hall
from center.people.model import Account, Role, Session
from center.people.passwords import Hasher
from center.people.register import People
from center.storage import tables
from center.storage.store import Store
from center.web.app import create_app
from center.web.gate import COOKIE
from center.web.server import WebServer, web_server
from center.web.stream import Hub
from simulator.ports import free_port

SERVICES = (
    ServiceConfig(id="dat-dai", letter="A", vi="Đất đai, nhà ở", en="Land and housing"),
    ServiceConfig(id="ho-tich", letter="B", vi="Hộ tịch, căn cước", en="Civil status, ID"),
    ServiceConfig(id="doanh-nghiep", letter="C", vi="Doanh nghiệp", en="Business"),
    ServiceConfig(id="chinh-sach", letter="D", vi="Chính sách, xã hội", en="Social policy"),
    ServiceConfig(id="nhan-ket-qua", letter="E", vi="Nhận kết quả", en="Collect a result"),
    ServiceConfig(id="xay-dung", letter="F", vi="Xây dựng", en="Construction"),
)
COUNTERS = (
    CounterConfig(id="q01", label="1", services=("dat-dai", "xay-dung")),
    CounterConfig(id="q02", label="2", services=("ho-tich",)),
    CounterConfig(id="q03", label="3", services=("dat-dai", "nhan-ket-qua")),
    CounterConfig(id="q04", label="11", services=("doanh-nghiep", "chinh-sach")),
)


PEOPLE: dict[str, tuple[str, Role]] = {
    "hanh": ("Nguyễn Thị Hạnh", "administrator"),
    "ha": ("Trần Thu Hà", "officer"),
    "dung": ("Lê Văn Dũng", "supervisor"),
    "chi": ("Phạm Lan Chi", "director"),
}
PASSWORD = "bốn từ không liên quan"  # noqa: S105 (of people who exist in tests only)
PATIENCE_MS = 30_000
"""A page is given so long for what takes it a moment: the machine may be busy."""
SESSIONS = 8
"""So many browsers each of them has logged in at before the test begins; their tokens are `hanh-0`, `hanh-1` …"""
_KEPT = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)


def populate(connection: Connection, now: int) -> None:
    """Write the people above into a fresh store, with their sessions."""
    if connection.execute(sa.select(tables.account.c.name)).first():
        return
    for name, (full_name, role) in PEOPLE.items():
        account = Account(
            name=name, full_name=full_name, role=role, password=_KEPT, must_change=False, disabled=False,
            made_at=now, changed_at=now,
        )  # fmt: skip
        connection.execute(sa.insert(tables.account), asdict(account))
        for number in range(SESSIONS):
            token = hashlib.sha256(f"{name}-{number}".encode()).hexdigest()
            session = Session(
                id=token, account=name, made_at=now, seen_at=now, ends_at=now + 12 * 3_600_000, address="127.0.0.1"
            )
            connection.execute(sa.insert(tables.session), asdict(session))


class Center:
    """A center that can be stopped and started again on the same port, with the same store."""

    def __init__(self, folder: Path, *, arm_seconds: int = 30, scale: str = "vn-3", **settings: Any) -> None:
        self.config = Config(
            id="bentre",
            name="Trung tâm Phục vụ hành chính công tỉnh Bến Tre",
            data_dir=str(folder),
            rating=Rating(arm_seconds=arm_seconds, scale=scale),  # type: ignore[arg-type]
            service=SERVICES,
            counter=COUNTERS,
            **settings,
        )
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.http = self.client("hanh-0")
        self.hall: Hall
        self._server: WebServer
        self._thread: threading.Thread

    def start(self, *, asset: str | None = None) -> None:
        """Serve, and wait until it does; with `asset` as if the pages' files were of another version."""
        self.hall = Hall(self.config, Store(self.config.store_url), SystemClock())
        self.hall.start()
        self.hall.transact(lambda connection: populate(connection, self.hall.now_ms())).result(30)
        app = create_app(self.hall, self.config, hasher=Hasher(memory_kib=8, passes=1))
        self.people: People = app.state["people"]
        self.fleet: Fleet = app.state["fleet"]
        self.hub: Hub = app.state["hub"]
        self.uploads: Uploads = app.state["uploads"]
        self.wishes: Wishes = app.state["wishes"]
        if asset is not None:
            self.hub._asset = asset
        self._server = web_server(app, self.hub, http=replace(self.config.http, port=self.port))
        self._thread = threading.Thread(target=self._server.run, name="web")
        self._thread.start()
        give_up = time.monotonic() + 30
        while not self._server.started:
            if time.monotonic() > give_up or not self._thread.is_alive():
                raise RuntimeError("the center did not start")
            time.sleep(0.01)

    def stop(self) -> float:
        """Stop as on a signal; returns how long it took."""
        began = time.monotonic()
        self._server.should_exit = True
        self._thread.join(30)
        assert not self._thread.is_alive(), "the web server does not stop"
        self.hall.stop()
        return time.monotonic() - began

    def client(self, token: str = "") -> httpx.Client:
        """Return a program of somebody who is logged in by this token; of nobody without one."""
        cookies = {COOKIE: token} if token else {}
        # A connection kept alive ends after some seconds, in whose test ever, which then seems to leak the next one.
        none_kept = httpx.Limits(max_keepalive_connections=0)
        # Plain HTTP on loopback; saves loading roots.
        return httpx.Client(base_url=self.url, cookies=cookies, timeout=30, limits=none_kept, verify=False)  # noqa: S501

    def post(
        self, path: str, *, key: str | None = None, headers: dict[str, str] | None = None, **body: Any
    ) -> httpx.Response:
        """Send a command."""
        return self.http.post(path, json=body, headers={"Idempotency-Key": key or uuid.uuid4().hex, **(headers or {})})

    def ask(self, path: str, **body: Any) -> Any:
        """Send a command that must be carried out; returns the answer."""
        answer = self.post(path, **body)
        assert answer.is_success, answer.text
        return answer.json()

    def issue(self, service: str = "dat-dai", count: int = 1, priority: str = "normal") -> str:
        """Take numbers; returns the last one."""
        for _ in range(count):
            number = self.ask("/api/tickets", service=service, priority=priority)["ticket"]["number"]
        return str(number)

    def at(self, counter: str, action: str, **body: Any) -> Any:
        """Act at a counter."""
        return self.ask(f"/api/counters/{counter}/{action}", **body)

    def ticket_at(self, counter: str) -> str | None:
        """Return the number of the ticket that is at a counter."""
        ticket = next(one["ticket"] for one in self.state()["counters"] if one["id"] == counter)
        return None if ticket is None else str(self.http.get(f"/api/tickets/{ticket}").json()["ticket"]["number"])

    def state(self) -> Any:
        """Return what the API says of the center."""
        return self.http.get("/api/state").json()


class Visitor:
    """Opens pages, and remembers every error they met."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._contexts: list[BrowserContext] = []
        self._logins = 0
        self.errors: list[str] = []

    def open(self, url: str, **settings: Any) -> Page:
        """Open a page in a browser of its own, and wait until it goes live."""
        return self.go(self.page(**settings), url)

    def go(self, page: Page, url: str) -> Page:
        """Load a page and wait until it goes live."""
        with page.expect_response(lambda response: "/stream" in response.url):
            page.goto(url)
        return page

    def page(
        self, *, width: int = 1280, height: int = 800, touch: bool = False, person: str = "hanh", **settings: Any
    ) -> Page:
        """Return an empty page in a browser of its own, at which a person is logged in, or nobody (`""`)."""
        context = self._browser.new_context(viewport={"width": width, "height": height}, has_touch=touch, **settings)
        self._contexts.append(context)
        if person:
            self._logins = self._logins % (SESSIONS - 1) + 1
            token = f"{person}-{self._logins}"
            context.add_cookies([{"name": COOKIE, "value": token, "domain": "127.0.0.1", "path": "/"}])
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda line: self.errors.append(line.text) if _is_fault(line.type, line.text) else None)
        return page

    def close(self) -> None:
        """Close every page."""
        for context in self._contexts:
            context.close()


def _is_fault(kind: str, text: str) -> bool:
    """Whether a line on the console is a fault of the page; a center that is away or refuses is none."""
    return kind == "error" and "Failed to load resource" not in text and "net::ERR" not in text


def violations(page: Page) -> list[str]:
    """Return what axe finds against WCAG 2.2 AA and good practice on a page as it is now."""
    found = Axe().run(page).response["violations"]
    return [f"{one['id']}: {one['help']}: {[node['target'] for node in one['nodes']][:3]}" for one in found]
