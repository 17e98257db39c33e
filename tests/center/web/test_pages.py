"""What all pages have in common, the first page, and the devices, in a real browser."""

import json
import re
from pathlib import Path
from typing import get_args

import pytest
from playwright.sync_api import expect

import center as program
from center.answers import Delivery, Sighting
from center.fleet.signs import Kind
from center.queue.model import Outcome
from center.web.words import WORDS
from contract.events import DeviceHealth
from contract.states import Status
from firmware.devices.camera.decisions import Trouble as CameraTrouble
from firmware.devices.display.signs import Trouble
from tests.center.web.site import Center, Visitor, violations

pytestmark = pytest.mark.browser

CENTER = Path(program.__file__).parent
LIMIT = 30 * 1024
PAGES = ["/", "/counter/q01", "/board", "/kiosk", "/rate/q01", "/devices"]


def report(center: Center, station: str, device: str, *, state: str = "online", **figures: object) -> None:
    """Let a device report to the center."""
    health = {"outbox_depth": 0, "uptime_s": 60, "clocksynced": True, "version": "0.1.0", **figures}
    trouble = health.pop("trouble", None)
    sighting = Sighting(
        station=station,
        device=device,
        at=center.hall.now_ms(),
        status=Status(state=state, version="0.1.0", bootid="b", since="2026-11-23T01:00:00Z"),  # type: ignore[arg-type]
        health=DeviceHealth(**health),  # type: ignore[arg-type]
        reported=json.dumps({"revision": 1, "trouble": trouble}) if trouble else None,
    )
    assert center.hall.ingest(Delivery(sightings=[sighting])).result(30) == "stored"


def test_every_page_is_light(center: Center, visitor: Visitor) -> None:
    """The first load of a page, with its style and scripts, is at most 30 KB on the wire on a busy day."""
    center.issue(count=20)
    center.at("q01", "open")
    for _ in range(9):
        center.at("q01", "call_next")
    weights: dict[str, float] = {}
    for path in PAGES:
        page = visitor.page()
        wire = page.context.new_cdp_session(page)
        wire.send("Network.enable")
        sizes: list[float] = []
        wire.on("Network.loadingFinished", lambda event, sizes=sizes: sizes.append(event["encodedDataLength"]))
        page.goto(center.url + path)
        while len(sizes) < 3:
            page.wait_for_timeout(50)
        page.wait_for_timeout(150)
        weights[path] = sum(sizes)
        page.context.close()
    assert max(weights.values()) <= LIMIT, weights


def test_every_page_is_whole_before_its_script(center: Center, visitor: Visitor) -> None:
    """What a page shows first is drawn by the server: without any script it says the same."""
    center.issue(count=3)
    center.at("q01", "open")
    center.at("q01", "call_next")
    still, live = visitor.page(java_script_enabled=False), visitor.page()
    for path in PAGES:
        still.goto(center.url + path)
        live.goto(center.url + path)
        live.wait_for_timeout(100)
        assert _words(still.locator("body").inner_text()) == _words(live.locator("body").inner_text()), path


def _words(shown: str) -> list[str]:
    """Return the words of a page, without those that run with the time."""
    return [word for word in shown.split() if ":" not in word]


def test_the_first_page_leads_everywhere(center: Center, visitor: Visitor) -> None:
    """The first page links every screen of the center, and every link answers."""
    page = visitor.page()
    page.goto(center.url)
    assert violations(page) == []
    links = [str(link.get_attribute("href")) for link in page.get_by_role("link").all()]
    assert {*PAGES[1:], "/counter/q04", "/rate/q04", "/schema/openapi.json"} <= set(links)
    for link in links:
        if not link.startswith("#"):
            assert center.http.get(link).is_success, link


def test_devices_in_trouble_come_first(center: Center, visitor: Visitor) -> None:
    """The devices page begins with what is lost or in trouble, says so in words, and follows what happens."""
    page = visitor.open(f"{center.url}/devices")
    expect(page.get_by_text("Chưa có thiết bị nào báo về trung tâm")).to_be_visible()
    report(center, "q01", "callpad", clocksynced=False)
    report(center, "q02", "rating", temperature_c=82.4)
    report(center, "q03", "display", state="lost")
    report(center, "q04", "display", trouble="port_missing")
    rows = page.locator("tbody tr")
    expect(rows.locator("small")).to_have_text(["q03/display", "q02/rating", "q04/display", "q01/callpad"])
    expect(rows.nth(0)).to_contain_text("Mất liên lạc")
    expect(rows.nth(1)).to_contain_text("82 °C")
    expect(rows.nth(1)).to_contain_text("nóng, xin kiểm tra thông gió")
    expect(rows.nth(2)).to_contain_text("chưa cắm dây bảng số")
    expect(rows.nth(3)).to_contain_text("Hoạt động tốt")
    expect(rows.nth(3)).to_contain_text("đồng hồ chưa đồng bộ")  # worth a remark, and no more
    expect(page.get_by_role("status").first).to_have_text("3 thiết bị cần xem lại")
    assert violations(page) == []
    report(center, "q02", "rating", trouble="stuck:2")
    expect(page.get_by_text("nút 2 bị kẹt")).to_be_visible()
    report(center, "q02", "rating", trouble="paper_low")
    expect(page.get_by_text("paper_low")).to_be_visible()
    report(center, "q03", "display")
    expect(page.get_by_text("2 thiết bị cần xem lại")).to_be_visible()
    page.reload()
    expect(rows.locator("small")).to_have_text(["q02/rating", "q04/display", "q01/callpad", "q03/display"])
    assert page.locator(".top").evaluate("node => node.offsetHeight") < 80  # one line, whatever the center is called
    page.goto(f"{center.url}/devices?lang=en")
    expect(page.get_by_text("2 devices need a look")).to_be_visible()
    assert violations(page) == []


def test_a_lost_broker_is_one_line_not_a_room_of_broken_devices(center: Center, visitor: Visitor) -> None:
    """Without contact to its broker the center says that on the page and in the API, and calls no device broken."""
    report(center, "q01", "callpad")
    report(center, "q03", "display", state="lost")
    center.hub.reached = lambda: False
    page = visitor.open(f"{center.url}/devices")
    top = page.get_by_role("status").first
    expect(top).to_contain_text("Máy chủ MQTT không chạy")
    expect(page.locator("tbody b")).to_have_text(["Chưa rõ", "Chưa rõ"])
    assert violations(page) == []
    fleet = center.http.get("/api/devices").json()
    assert (fleet["reached"], [one["level"] for one in fleet["devices"]]) == (False, ["unknown", "unknown"])
    center.hub.reached = lambda: True
    report(center, "q01", "callpad")  # a page hears of it with the next change, or within 15 s
    expect(top).to_have_text("1 thiết bị cần xem lại")
    expect(page.locator("tbody b")).to_have_text(["Mất liên lạc", "Hoạt động tốt"])


def test_devices_are_read_on_a_phone(center: Center, visitor: Visitor) -> None:
    """On a phone each device shows its name, status and remark without any scrolling to the side."""
    report(center, "q02", "rating", temperature_c=82.4, trouble="stuck:2")
    page = visitor.open(f"{center.url}/devices", width=390, height=844, touch=True)
    for name in ("status", "kind", "name", "remark"):
        box = page.locator(f'tbody [data-c="{name}"]').bounding_box()
        assert box
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 390
    frame = page.locator(".frame")
    assert frame.evaluate("node => node.scrollWidth <= node.clientWidth")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert violations(page) == []


def test_every_trouble_of_our_devices_has_words() -> None:
    """Whatever a pad, a display or a camera reports as its trouble, the devices page says it in words."""
    troubles = {*get_args(Trouble), *get_args(CameraTrouble), "no_contact", "no_answer", "not_stored", "stuck"}
    assert {f"trouble_{trouble}" for trouble in troubles} == {key for key in WORDS if key.startswith("trouble_")}


def test_every_word_is_used() -> None:
    """No word is kept that no page, script or message asks for: by its name, or by its group and a value of it."""
    folders = [CENTER / name for name in ("web", "people", "keys", "fleet", "cameras")]
    files = [file for folder in folders for file in folder.rglob("*.*") if file.suffix in (".py", ".html", ".js")]
    asking = "".join(file.read_text(encoding="utf-8") for file in files if file.name != "words.py")
    named = set(re.findall(r"""["']([a-z0-9_]+)["']""", asking)) | set(get_args(Outcome)) | set(get_args(Trouble))
    named |= set(get_args(Kind)) | set(get_args(CameraTrouble))
    named |= {"no_contact", "no_answer", "not_stored", "stuck"}  # of pads: the test above holds them to the list
    groups = set(re.findall(r"""[`"']([a-z]+_)(?:\$?\{|["'] ~)""", asking))
    unused = [
        word
        for word in WORDS
        if word not in named and not any(word.startswith(group) and word[len(group) :] in named for group in groups)
    ]
    assert unused == []


def test_a_new_version_of_the_pages_is_loaded(center: Center, visitor: Visitor) -> None:
    """A page reloads itself when the center comes back with other files, and only then."""
    page = visitor.open(f"{center.url}/board")
    page.evaluate("document.documentElement.dataset.marked = 'yes'")
    marked = page.locator("html[data-marked]")
    center.stop()
    expect(page.locator(".badge-offline")).to_be_visible()
    center.start()
    expect(page.locator(".badge-offline")).to_be_hidden()
    expect(marked).to_have_count(1)
    center.stop()
    center.start(asset="another")
    expect(marked).to_have_count(0)
    expect(page.locator(".badge-offline")).to_be_hidden()
