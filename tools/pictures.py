"""Pictures of the pages for README and guides: `python -m tools.pictures docs/pictures`; needs Debian's chromium.

A small center of its own on loopback, on a morning of its own: people, numbers and devices are made up.
"""

import argparse
import asyncio
import tempfile
import threading
import uuid
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from msgspec.structs import replace
from playwright.sync_api import Browser, Page, sync_playwright

from center.answers import Delivery, Sighting
from center.clock import SystemClock
from center.config import Config, CounterConfig, Http, ServiceConfig
from center.fleet import book
from center.fleet.alerts import Alert
from center.fleet.strip import CELL_MS, CELLS, Cell
from center.hall import Hall
from center.people.model import Role
from center.people.register import People
from center.storage.store import Store
from center.web.app import create_app
from center.web.gate import COOKIE
from center.web.server import web_server
from contract.events import DeviceHealth
from contract.ids import uuid7
from contract.states import Status
from simulator.premises import SERVICES
from tests.support.film import arrive, film, happen, walking

PORT = 18_987
MORNING = datetime(2026, 11, 23, 1, 58, tzinfo=UTC)  # 08:58 in Vietnam
PEOPLE: tuple[tuple[str, str, Role, str], ...] = (
    ("hanh.nguyen", "Nguyễn Thị Hạnh", "administrator", "192.168.10.20"),
    ("dung.le", "Lê Văn Dũng", "supervisor", "192.168.10.22"),
    ("ha.tran", "Trần Thu Hà", "officer", "192.168.10.21"),
    ("chi.pham", "Phạm Lan Chi", "director", "192.168.10.24"),
)
COUNTERS = (
    CounterConfig(id="q01", label="1", services=("dat-dai", "xay-dung", "ho-tich")),
    CounterConfig(id="q02", label="2", services=("ho-kinh-doanh",)),
    CounterConfig(id="q03", label="3", services=("ho-tich", "bao-tro-xa-hoi")),
)
DEVICES = ("q01/callpad", "q01/rating", "q02/rating", "q03/display", "q03/rating")
MINUTE_MS = 60_000
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]


class Morning(SystemClock):
    """A clock that begins in the morning and is moved on by hand."""

    def __init__(self) -> None:
        self._by_ms = int(MORNING.timestamp() * 1000) - super().now_ms()

    def now_ms(self) -> int:
        """The wall clock of the center in the pictures."""
        return super().now_ms() + self._by_ms

    def later(self, minutes: float) -> None:
        """Let time go by."""
        self._by_ms += round(minutes * 60_000)


class Scene:
    """The center, and what happens there."""

    def __init__(self, folder: Path) -> None:
        self.clock = Morning()
        self.config = Config(
            id="hoa-binh",
            name="Trung tâm Phục vụ hành chính công phường Hòa Bình",
            data_dir=str(folder),
            service=tuple(ServiceConfig(id=one.id, letter=one.letter, vi=one.vi, en=one.en) for one in SERVICES),
            counter=COUNTERS,
            http=Http(port=PORT, proxies=("127.0.0.1",)),
        )
        self.hall = Hall(self.config, Store(self.config.store_url), self.clock)
        self.hall.start()
        self._remember_the_night()
        self._app = create_app(self.hall, self.config)
        self.people: People = self._app.state["people"]
        self.vault = self._app.state["uploads"].vault
        self._app.state["fleet"].revoked = lambda: frozenset({("q03", "display")})
        self._server = web_server(self._app, self._app.state["hub"], http=replace(self.config.http, port=PORT))
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=asyncio.run, args=[self._serve()], name="web")
        self._thread.start()
        while not self._server.started:
            threading.Event().wait(0.05)

    def _remember_the_night(self) -> None:
        """Have devices that are known since yesterday, and alerts that began before the center was opened."""
        for name in DEVICES:
            self.report(name, "lost" if name == "q03/rating" else "online")
        now = self.clock.now_ms()
        day = [now - now % CELL_MS - back * CELL_MS for back in range(CELLS)]
        cells: list[Cell] = []
        for name in DEVICES:
            station, _, device = name.partition("/")
            for back, at in enumerate(day):
                hot = name == "q02/rating" and 1 < back % 40 < 8
                gone = name == "q03/rating" and back < 1
                cells.append(((station, device), at, "l" if gone else "w" if hot else "o"))
        alerts = [
            Alert(id=uuid7(), station="q03", device="rating", kind="lost", detail="", begun_at=now - 3 * MINUTE_MS),
            Alert(
                id=uuid7(),
                station="q02",
                device="rating",
                kind="hot",
                detail="82 °C",
                begun_at=now - 24 * MINUTE_MS,
                acknowledged_at=now - 9 * MINUTE_MS,
                acknowledged_by=f"person:{PEOPLE[0][0]}",
            ),
        ]
        self.hall.transact(lambda rows: book.write(rows, alerts, cells, tells=False)).result(10)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        await self._server.serve()

    def close(self) -> None:
        """Stop."""
        self._server.should_exit = True
        self._thread.join()
        self.hall.stop()

    def wait_for(self, job: Coroutine[Any, Any, Any]) -> Any:
        """Do something with the register, in the loop it belongs to."""
        assert self._loop is not None  # noqa: S101 (it serves already)
        return asyncio.run_coroutine_threadsafe(job, self._loop).result(20)

    def log_in(self, name: str, address: str) -> str:
        """Return the cookie of somebody at a computer."""
        return str(self.wait_for(self.people.admit(name, address=address)).token)

    def ask(self, token: str, path: str, **body: Any) -> None:
        """Send a command."""
        headers = {"Idempotency-Key": uuid.uuid4().hex}
        url = f"http://127.0.0.1:{PORT}{path}"
        httpx.post(url, json=body, headers=headers, cookies={COOKIE: token}, timeout=20).raise_for_status()

    def report(self, name: str, state: str = "online", **figures: Any) -> None:
        """Let a device report."""
        station, _, device = name.partition("/")
        health: dict[str, Any] = {"outbox_depth": 0, "uptime_s": 86_000, "clocksynced": True, "version": "0.1.0"}
        health |= {"temperature_c": 46.1, "disk_free_mb": 24_100, "memory_mb": 24.6} | figures
        status = {"state": state, "version": "0.1.0", "bootid": "b", "since": "2026-11-20T00:00:00Z"}
        sighting = Sighting(
            station=station,
            device=device,
            at=self.clock.now_ms(),
            status=Status(**status),  # type: ignore[arg-type]
            health=DeviceHealth(**health),
        )
        self.hall.ingest(Delivery(sightings=[sighting])).result(5)


def main() -> None:
    """Take every picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder
    with tempfile.TemporaryDirectory() as data, sync_playwright() as playwright:
        scene = Scene(Path(data))
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        try:
            play(scene, lambda token, **size: page_of(browser, token, **size), folder)
        finally:
            browser.close()
            scene.close()


def page_of(browser: Browser, token: str, *, width: int = 1280, height: int = 800) -> Page:
    """Return an empty page of somebody who has logged in."""
    context = browser.new_context(viewport={"width": width, "height": height})
    context.add_cookies([{"name": COOKIE, "value": token, "domain": "127.0.0.1", "path": "/"}])
    return context.new_page()


def play(scene: Scene, open_page: Callable[..., Page], folder: Path) -> None:
    """Let a morning go by, with a picture now and then."""
    home = f"http://127.0.0.1:{PORT}"
    cookies: dict[Role, str] = {}
    for name, full_name, role, address in PEOPLE:
        scene.wait_for(scene.people.vouch(name, full_name, role, actor=f"person:{PEOPLE[0][0]}"))
        cookies[role] = scene.log_in(name, address)
        scene.clock.later(0.4)
    scene.wait_for(scene.people.add("an.vo", "Võ Thành An", "officer", actor=f"person:{PEOPLE[0][0]}"))
    admin, officer = cookies["administrator"], cookies["officer"]

    desk = open_page(officer, height=720)
    desk.goto(f"{home}/counter/q01")
    desk.get_by_role("button", name="Mở quầy").click()
    desk.locator(".pill", has_text="Đang mở").wait_for()
    for service in ("dat-dai", "ho-tich"):
        scene.ask(officer, "/api/tickets", service=service)
    scene.clock.later(2)
    for minutes in (3.0, 5.0):
        for action in ("call_next", "start"):
            scene.ask(officer, f"/api/counters/q01/{action}")
        scene.ask(officer, "/api/tickets", service="dat-dai" if minutes == 3.0 else "xay-dung")
        scene.clock.later(minutes)
        scene.ask(officer, "/api/counters/q01/finish", outcome="accepted")
    scene.ask(officer, "/api/counters/q01/call_next")
    scene.ask(officer, "/api/counters/q01/park")
    for service, minutes in (("ho-tich", 3.0), ("dat-dai", 1.0), ("xay-dung", 2.0), ("ho-tich", 1.5)):
        scene.ask(officer, "/api/tickets", service=service)
        scene.clock.later(minutes)
    scene.ask(officer, "/api/counters/q01/call_next")
    scene.clock.later(0.2)
    desk.reload()
    shoot(desk, folder / "officer-desk.png")

    scene.ask(officer, "/api/counters/q01/start")
    scene.clock.later(4.3)
    for service, minutes in (("dat-dai", 0.5), ("ho-tich", 0.8), ("xay-dung", 1.2), ("dat-dai", 0.4)):
        scene.ask(officer, "/api/tickets", service=service)
        scene.clock.later(minutes)
    desk.set_viewport_size({"width": 1280, "height": 800})
    desk.reload()
    shoot(desk, folder / "officer.png")

    people = open_page(admin, height=720)
    people.goto(f"{home}/people")
    row = people.locator(".accounts li", has_text="quantri")
    row.locator("summary", has_text="Khóa").click()
    row.get_by_role("button", name="Khóa", exact=True).click()
    people.goto(f"{home}/people")
    people.locator(".accounts li", has_text="Trần Thu Hà").locator("summary", has_text="Cấp lại").click()
    shoot(people, folder / "people.png")
    people.locator("#audit").screenshot(path=folder / "audit.png")

    for name in DEVICES[:3]:
        scene.report(name, temperature_c=82.4 if name == "q02/rating" else 46.1)
    devices = open_page(admin, height=920)
    devices.goto(f"{home}/devices")
    devices.locator(".mark[data-level=lost]").wait_for()
    shoot(devices, folder / "devices.png")

    review(scene, open_page(cookies["supervisor"], width=1100, height=620), folder)


def review(scene: Scene, page: Page, folder: Path) -> None:
    """Take pictures of the supervisor's pages, with recordings of the drawn counter."""
    alone = film(walking((1, 40), (20, 40)), seconds=30, size=(640, 480), picture_at=0.5)
    absent = film(walking(None, (0, 8)), seconds=30, size=(640, 480), picture_at=0.8)
    crowd = film(walking((0, 40), (0, 40)), seconds=30, size=(640, 480))
    keys = []
    for number, (kind, station, minutes, made) in enumerate(
        (
            ("waiting_alone", "q01", 4, alone),
            ("officer_absent", "q02", 9, absent),
            ("crowding", "q03", 26, crowd),
            ("officer_absent", "q01", 31, absent),
        )
    ):
        at = scene.clock.now_ms() - minutes * MINUTE_MS
        arrive(scene.hall, scene.vault, made, name=f"c{number}", start=at - 10_000, station=station)
        keys.append(
            happen(
                scene.hall, name=f"i{number}", at=at, kind=kind, station=station, jpeg=made.jpeg, recorded=f"c{number}",
                seconds=30, lasted_ms=10_000,
            )
        )  # fmt: skip
    arrive(
        scene.hall,
        scene.vault,
        crowd,
        name="s1",
        start=scene.clock.now_ms() - 40 * MINUTE_MS,
        station="q03",
        why="sample",
    )
    home = f"http://127.0.0.1:{PORT}/review"
    page.goto(f"{home}/{keys[3]}")
    page.get_by_label("Ghi chú").fill("Cán bộ đi lấy hồ sơ, có báo trước với tổ trưởng.")
    page.get_by_role("button", name="Đã xem", exact=True).click()
    page.goto(f"{home}/{keys[0]}")
    page.get_by_role("button", name="Từ lúc sự kiện bắt đầu").click()
    page.wait_for_timeout(1000)
    page.locator("video").evaluate("one => { one.pause(); one.controls = false; }")
    shoot(page, folder / "incident.png")
    page.set_viewport_size({"width": 1100, "height": 860})
    page.goto(home)
    page.locator(".grid img").first.evaluate("image => image.decode()")
    shoot(page, folder / "review.png")


def shoot(page: Page, file: Path) -> None:
    """Take a picture of a page that is live, with nothing in the focus."""
    page.wait_for_load_state("domcontentloaded")
    page.evaluate("document.activeElement?.blur()")
    page.wait_for_timeout(1200)  # a live page ticks each second
    page.screenshot(path=file)


if __name__ == "__main__":
    main()
