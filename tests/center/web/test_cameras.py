"""The cameras' pages in a real browser: zones drawn by mouse, finger and keyboard, and pictures that a device sends."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import cv2
import numpy as np
import pytest
from playwright.sync_api import Page, expect

from center.cameras import looks as looks_module
from contract.states import Zone
from firmware.clock import SystemClock
from firmware.devices.camera.config import CameraConfig
from firmware.devices.camera.frames import Frame, Plane
from firmware.devices.camera.looking import Looking
from firmware.devices.camera.pipeline import Pipeline
from firmware.devices.camera.sources.pictures import shrink
from simulator.scene import SCREEN, ZONES, Person, Scene
from tests.center.web.site import Center, Visitor, violations
from tests.center.web.test_pages import LIMIT, report
from tests.support.waiting import wait_for

pytestmark = pytest.mark.browser

WIDTH, HEIGHT, FPS = 640, 480, 15
BITS, BIT = 12, 16  # a picture's number stands in its first row of blocks
SEEN = """() => {
    const [bits, bit, image] = [12, 16, document.querySelector("img")];
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [bits * bit, bit];
    const sheet = canvas.getContext("2d", { willReadFrequently: true });
    window.seen = {};
    const look = () => {
        if (image.naturalWidth) {
            sheet.drawImage(image, 0, 0, bits * bit, bit, 0, 0, bits * bit, bit);
            let number = 0;
            for (let at = 0; at < bits; at++) {
                number = number * 2 + (sheet.getImageData(at * bit + bit / 2, bit / 2, 1, 1).data[0] > 127);
            }
            window.seen[number] ??= Date.now();
        }
        requestAnimationFrame(look);
    };
    look();
}"""


class Device:
    """A camera as it is, from its pipeline on: drawn pictures with their number in them, and looks that it hears of."""

    def __init__(self, center: Center, station: str = "q01") -> None:
        self.taken: dict[int, float] = {}
        self._center, self._station = center, station
        clock = SystemClock()
        self._pipeline = Pipeline(size=(WIDTH, HEIGHT), fps=FPS, zones=ZONES, masks=SCREEN, sealed=False, clock=clock)
        self._looking = Looking(CameraConfig(source="picamera2", center=center.url), clock=clock)
        self._pipeline.begin(lambda _signal: None, None, self._looking)
        self._clock, self._scene = clock, Scene(WIDTH, HEIGHT)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="capture")

    def __enter__(self) -> "Device":
        report(self._center, self._station, "camera")
        wait_for(lambda: f"{self._station}/camera" in self._center.hub.mirror.devices)
        self._center.hub.looks.on_change = lambda at: self._looking.want(self._center.hub.looks.wanted(at))
        self._looking.open()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._looking.close()

    def _run(self) -> None:
        due = time.monotonic()
        for number in count():
            picture = self._scene.draw(number / FPS, [Person("citizen", at=1.0), Person("officer", at=1.0)])
            for at in range(BITS):
                white = number % (1 << BITS) >> (BITS - 1 - at) & 1
                picture[:BIT, at * BIT : (at + 1) * BIT] = 255 * white
            main: Plane = np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420), np.uint8)
            small = shrink(main[:HEIGHT])
            self._pipeline.draw(main, small)
            self.taken[number] = time.time()
            self._pipeline.take(Frame(number, self._clock.monotonic_ms(), main, small))
            due += 1 / FPS
            if self._stop.wait(max(0.0, due - time.monotonic())):
                return


@pytest.fixture
def device(center: Center) -> Iterator[Device]:
    """A camera at counter 1."""
    with Device(center) as one:
        yield one


def detail(picture: bytes, left: float, top: float, right: float, bottom: float) -> float:
    """Return how much fine structure there is in a part of a JPEG."""
    grey = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_GRAYSCALE)
    height, width = grey.shape
    part = grey[round(top * height) : round(bottom * height), round(left * width) : round(right * width)]
    return float(cv2.Laplacian(part, cv2.CV_64F).var())


@pytest.mark.usefixtures("device")
def test_what_is_looked_at_hides_what_clips_hide(center: Center) -> None:
    """A still of a real camera shows the citizen in blocks, the masked screen black, and the officer as they are."""
    answer = center.http.get("/api/cameras/q01/still")
    assert answer.status_code == 200
    assert len(answer.content) <= 80 * 1024
    assert detail(answer.content, 0.82, 0.28, 0.95, 0.42) > 3 * detail(answer.content, 0.34, 0.24, 0.46, 0.42)
    grey = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert grey[round(0.48 * HEIGHT) : round(0.56 * HEIGHT), round(0.74 * WIDTH) : round(0.80 * WIDTH)].max() < 24


def test_the_live_picture_moves_and_ends(
    center: Center,
    device: Device,
    visitor: Visitor,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A page shows what the camera sees, moments later; whoever stops keeps the last picture and sends for none."""
    monkeypatch.setattr(looks_module, "LINGERS_S", 0.05)
    page = visitor.open(f"{center.url}/cameras/q01")
    desk = visitor.open(f"{center.url}/counter/q01", person="ha")
    expect(desk.get_by_text("Giám sát đang xem camera")).to_be_hidden()
    page.get_by_role("button", name="Xem trực tiếp").click()
    expect(page.locator(".state")).to_have_text("Trực tiếp")
    expect(desk.get_by_text("Giám sát đang xem camera")).to_be_visible()
    assert violations(desk) == []
    assert violations(page) == []
    page.evaluate(SEEN)
    wait_for(lambda: page.evaluate("Object.keys(window.seen).length") > 12, timeout_s=30)
    seen = {int(number): at / 1000 for number, at in page.evaluate("window.seen").items()}
    late = sorted(1000 * (at - device.taken[number]) for number, at in list(seen.items())[1:] if number in device.taken)
    with capsys.disabled():
        print(f"\npicture taken → shown: median {late[len(late) // 2]:.0f} ms, most {late[-1]:.0f} ms, of {len(late)}")
    assert len(late) > 10
    page.get_by_role("button", name="Dừng xem").click()
    expect(page.locator(".state")).to_contain_text("Ảnh lúc")
    wait_for(lambda: center.hub.looks.wanted("q01") is None)
    expect(desk.get_by_text("Giám sát đang xem camera")).to_be_hidden()
    assert page.locator("img").get_attribute("src").startswith("data:image/jpeg")  # type: ignore[union-attr]


@pytest.mark.usefixtures("device")
def test_a_still_says_when_it_was_taken(center: Center, visitor: Visitor) -> None:
    """One press brings one picture, with its time; no picture is shown before, and a camera that is away is said."""
    page = visitor.open(f"{center.url}/cameras/q01")
    expect(page.get_by_text("Chưa xem. Bấm một nút")).to_be_visible()
    page.get_by_role("button", name="Chụp một ảnh").click()
    expect(page.locator(".state")).to_contain_text("Ảnh lúc")
    assert page.evaluate("document.querySelector('img').naturalWidth") == WIDTH
    page.route("**/still", lambda route: route.fulfill(status=504, json={"code": "no_picture", "message": "Không có"}))
    page.get_by_role("button", name="Chụp một ảnh").click()
    expect(page.get_by_text("Không có")).to_be_visible()


@pytest.mark.usefixtures("device")
def test_a_page_that_was_forgotten_asks(center: Center, visitor: Visitor) -> None:
    """After nearly ten minutes the page looks no more, and asks whether somebody is there."""
    page = visitor.page()
    page.clock.install()
    visitor.go(page, f"{center.url}/cameras/q01")
    page.get_by_role("button", name="Xem trực tiếp").click()
    expect(page.locator(".state")).to_have_text("Trực tiếp")
    page.clock.fast_forward("09:40")
    expect(page.get_by_text("Anh/chị còn xem không?")).to_be_visible()
    assert violations(page) == []
    page.get_by_role("button", name="Xem tiếp").click()
    expect(page.locator(".state")).to_have_text("Trực tiếp")


# --- zones ------------------------------------------------------------------------------------------------------------


class Settings:
    """What the center has of a camera's settings, and what pages send."""

    def __init__(self, zones: Any = None, masks: Any = None) -> None:
        self.now: dict[str, Any] = {
            "station": "q01", "revision": 3, "zones": zones, "masks": masks, "kinds": ["panic"], "hours": None,
            "keeps": [],
        }  # fmt: skip
        self.sent: list[dict[str, Any]] = []
        self.refusal: tuple[int, dict[str, Any]] | None = None

    def at(self, page: Page) -> None:
        """Stand in for the center."""
        page.route("**/api/cameras/q01", self._answer)

    def _answer(self, route: Any) -> None:
        if route.request.method == "PUT":
            self.sent.append(json.loads(route.request.post_data))
            if self.refusal is not None:
                route.fulfill(status=self.refusal[0], json=self.refusal[1])
                return
            self.now = {**self.now, **self.sent[-1], "revision": self.now["revision"] + 1}
        route.fulfill(json=self.now)


def as_json(zones: tuple[Zone, ...]) -> list[dict[str, Any]]:
    """Return zones as the interface has them."""
    return [{"name": zone.name, "points": [list(point) for point in zone.points]} for zone in zones]


@pytest.fixture
def open_zones(center: Center, visitor: Visitor) -> Callable[..., Page]:
    """Open a camera's page with given settings."""
    report(center, "q01", "camera")
    wait_for(lambda: "q01/camera" in center.hub.mirror.devices)

    def opened(settings: Settings, **how: Any) -> Page:
        page = visitor.page(**how)
        settings.at(page)
        visitor.go(page, f"{center.url}/cameras/q01")
        return page

    return opened


def drag(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Drag from one place of the picture to another, in fractions."""
    box = page.locator("[data-id=drawing]").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + start[0] * box["width"], box["y"] + start[1] * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + end[0] * box["width"], box["y"] + end[1] * box["height"], steps=4)
    page.mouse.up()


def test_a_zone_is_drawn_with_the_mouse(center: Center, visitor: Visitor) -> None:
    """A zone is added, its corners are dragged, one is added between two; it is saved, and nobody writes over it."""
    report(center, "q01", "camera")
    wait_for(lambda: "q01/camera" in center.hub.mirror.devices)
    page, other = (visitor.open(f"{center.url}/cameras/q01", person=each) for each in ("dung", "hanh"))
    expect(page.get_by_text("Vùng: camera đang dùng vùng ghi trong tệp của máy")).to_be_visible()
    expect(page.get_by_role("button", name="Lưu")).to_have_attribute("aria-disabled", "true")
    page.get_by_role("button", name="+ Vùng người dân").click()
    drag(page, (0.05, 0.25), (0.1, 0.3))
    drag(page, (0.265, 0.95), (0.3, 0.8))  # between two corners
    drag(page, (0.3, 0.5), (0.35, 0.5))  # the whole zone
    expect(page.get_by_text("Có thay đổi chưa lưu")).to_be_visible()
    page.get_by_role("button", name="Lưu").click()
    expect(page.get_by_text("Đã lưu. Camera dùng ngay.")).to_be_visible()
    expect(page.get_by_text("Vùng: camera đang dùng vùng ghi trong tệp của máy")).to_be_hidden()
    expect(page.get_by_text("Vùng che và chỗ người dân ghi trong tệp của máy luôn được che")).to_be_visible()
    known = center.http.get("/api/cameras/q01").json()
    assert (known["masks"], known["kinds"], known["hours"]) == (None, None, None)
    (zone,) = known["zones"]
    assert zone["name"] == "citizen"
    wanted = [(0.15, 0.3), (0.53, 0.25), (0.53, 0.95), (0.35, 0.8), (0.1, 0.95)]
    assert np.allclose(zone["points"], wanted, atol=0.01), zone
    expect(page.get_by_role("button", name="+ Vùng người dân")).to_have_attribute("aria-disabled", "true")
    other.get_by_role("button", name="+ Vùng cán bộ").click()
    other.get_by_role("button", name="Lưu").click()
    expect(other.locator("[data-id=say]")).to_contain_text("Người khác vừa lưu")
    other.get_by_role("button", name="Hủy thay đổi").click()
    expect(other.locator("[data-id=list]")).to_contain_text("Người dân")
    assert center.http.get("/api/cameras/q01").json()["revision"] == known["revision"]


def test_a_zone_is_drawn_with_the_keyboard_alone(open_zones: Callable[..., Page]) -> None:
    """From the button to the saved zone no pointer is needed: corners are moved, added and removed by keys."""
    settings = Settings()
    page = open_zones(settings)
    page.get_by_role("button", name="+ Vùng che đen").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Góc 1 của Vùng che 1: 40 %, 40 %")).to_be_focused()
    for key in ("ArrowLeft", "Shift+ArrowUp", "+"):
        page.keyboard.press(key)
    expect(page.get_by_role("button", name="Góc 2 của Vùng che 1: 50 %, 38 %")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Delete")
    page.get_by_label("Tên").fill("screen")
    page.get_by_role("button", name="Lưu").press("Enter")
    expect(page.get_by_text("Đã lưu. Camera dùng ngay.")).to_be_visible()
    (mask,) = settings.sent[0]["masks"]
    assert mask["name"] == "screen"
    assert np.allclose(mask["points"], [(0.39, 0.35), (0.495, 0.375), (0.6, 0.6), (0.4, 0.6)], atol=0.011), mask
    assert settings.sent[0]["zones"] is None
    page.locator("[data-at='0:0']").focus()
    for _ in range(2):
        page.keyboard.press("Delete")
    expect(page.get_by_text("Một vùng cần ít nhất 3 góc.")).to_be_visible()
    page.get_by_role("button", name="Hủy thay đổi").click()
    expect(page.locator(".dot")).to_have_count(4)


def test_what_a_camera_reports_and_when_is_set_on_its_page(center: Center, visitor: Visitor) -> None:
    """Kinds and hours are the file's until somebody sets them; hours that cannot be are said; the file's come back."""
    report(center, "q01", "camera")
    wait_for(lambda: "q01/camera" in center.hub.mirror.devices)
    page = visitor.open(f"{center.url}/cameras/q01", person="dung")
    kinds, hours = (page.locator(f"[name=own-{what}]") for what in ("kinds", "hours"))
    expect(kinds).to_be_checked()
    expect(page.get_by_label("Đông người trước quầy")).to_be_disabled()
    kinds.uncheck()
    page.get_by_label("Đông người trước quầy").uncheck()
    hours.uncheck()
    rows = page.locator("fieldset")
    expect(rows).to_have_count(2)
    rows.nth(0).get_by_label("T7").check()
    rows.nth(1).get_by_label("đến").fill("13:00")
    page.get_by_role("button", name="Lưu").click()
    expect(page.locator("[data-id=say]")).to_contain_text("Giờ kết thúc phải sau giờ bắt đầu")
    rows.nth(1).get_by_label("đến").fill("16:30")
    assert violations(page) == []
    page.get_by_role("button", name="Lưu").click()
    expect(page.get_by_text("Đã lưu. Camera dùng ngay.")).to_be_visible()
    known = center.http.get("/api/cameras/q01").json()
    assert known["kinds"] == ["waiting_alone", "officer_absent", "after_hours", "tamper", "panic"]
    assert known["hours"] == [
        {"days": [1, 2, 3, 4, 5, 6], "begin": "07:30", "end": "11:30"},
        {"days": [1, 2, 3, 4, 5], "begin": "13:30", "end": "16:30"},
    ]
    page.reload()
    expect(rows).to_have_count(2)
    expect(rows.nth(0).get_by_label("T7")).to_be_checked()
    rows.nth(0).get_by_role("button", name="Xóa").click()
    expect(page.get_by_text("Có thay đổi chưa lưu")).to_be_visible()
    for own in (kinds, hours):
        own.check()
    page.get_by_role("button", name="Lưu").click()
    expect(page.get_by_text("Đã lưu. Camera dùng ngay.")).to_be_visible()
    known = center.http.get("/api/cameras/q01").json()
    assert (known["kinds"], known["hours"]) == (None, None)


def test_what_cannot_be_saved_names_the_zone(open_zones: Callable[..., Page]) -> None:
    """Sides that cross, a name that cannot be, and what the center refuses are said of their zone; nothing is lost."""
    settings = Settings(as_json(ZONES), as_json(SCREEN))
    page = open_zones(settings)
    save, said = page.get_by_role("button", name="Lưu"), page.locator("[data-id=say]")
    rows = page.locator("[data-id=list] li")
    expect(rows).to_have_count(3)
    rows.nth(2).get_by_label("Tên").fill("Màn hình")
    save.click()
    expect(said).to_contain_text("Tên “Màn hình” không dùng được")
    expect(rows.nth(2).get_by_label("Tên")).to_have_attribute("aria-invalid", "true")
    rows.nth(2).get_by_label("Tên").fill("screen")
    rows.nth(1).locator(".pick").click()
    drag(page, (0.6, 0.18), (0.99, 0.9))
    save.click()
    expect(said).to_contain_text("Các cạnh của vùng Cán bộ cắt nhau")
    assert settings.sent == []
    page.get_by_role("button", name="Hủy thay đổi").click()
    rows.nth(1).locator(".pick").click()
    drag(page, (0.6, 0.72), (0.65, 0.7))
    settings.refusal = (422, {"code": "request_invalid", "message": "zones.officer: it looks away", "fields": []})
    save.click()
    expect(said).to_contain_text("it looks away")
    expect(rows.nth(1)).to_have_attribute("data-wrong", "")
    settings.refusal = (409, {"code": "settings_stale", "message": "", "fields": []})
    save.click()
    expect(said).to_contain_text("Người khác vừa lưu")
    settings.refusal = None
    save.click()
    expect(said).to_contain_text("Đã lưu")
    assert violations(page) == []


def test_what_is_removed_is_the_files_own_again_and_what_is_missing_is_said(open_zones: Callable[..., Page]) -> None:
    """Half of the zones drawn: the page says what cannot be told then. None drawn: the station's file is used again."""
    settings = Settings()
    page = open_zones(settings, person="dung")
    lack, save = page.locator("[data-id=lack]"), page.get_by_role("button", name="Lưu")
    expect(lack).to_be_hidden()
    page.get_by_role("button", name="+ Vùng người dân").click()
    expect(lack).to_have_text("Chưa vẽ vùng cán bộ: camera không báo được quầy vắng cán bộ.")
    save.click()
    expect(page.get_by_text("Đã lưu")).to_be_visible()
    assert [zone["name"] for zone in settings.sent[0]["zones"]] == ["citizen"]
    page.get_by_role("button", name="Xóa: Người dân").click()
    expect(lack).to_be_hidden()
    expect(page.get_by_text("Vùng: camera đang dùng vùng ghi trong tệp của máy")).to_be_visible()
    page.get_by_label("Cán bộ bấm gọi khẩn cấp").uncheck()
    expect(page.get_by_text("Camera sẽ không báo gì cả.")).to_be_visible()
    save.click()
    expect(page.locator("[data-id=changed]")).to_have_text("")
    assert (settings.sent[1]["zones"], settings.sent[1]["masks"], settings.sent[1]["kinds"]) == (None, None, [])
    expect(page.get_by_role("link", name="Xem lại camera")).to_have_attribute("href", "/review?counter=q01")


def test_a_zone_is_drawn_with_a_finger(open_zones: Callable[..., Page]) -> None:
    """On a phone all fits its width, a corner is as large as a finger needs, and a drag moves it."""
    settings = Settings(as_json(ZONES), as_json(SCREEN))
    page = open_zones(settings, width=390, height=844, touch=True)
    page.locator(".hit").first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    box = page.locator("[data-at='0:1']").bounding_box()
    assert box is not None
    assert min(box["width"], box["height"]) >= 44
    wire = page.context.new_cdp_session(page)
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    for step in range(5):
        at = {"x": x - 10 * step, "y": y + 8 * step}
        wire.send("Input.dispatchTouchEvent", {"type": "touchMove" if step else "touchStart", "touchPoints": [at]})
    wire.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    page.get_by_role("button", name="Lưu").tap()
    expect(page.locator("[data-id=say]")).to_contain_text("Đã lưu")
    moved = settings.sent[0]["zones"][0]["points"][1]
    assert moved[0] < 0.46
    assert moved[1] > 0.27
    assert violations(page) == []


def test_an_interval_is_kept(center: Center, visitor: Visitor) -> None:
    """One press asks the camera to keep the last half minute and the next; a camera that is away is said."""
    report(center, "q01", "camera")
    wait_for(lambda: "q01/camera" in center.hub.mirror.devices)
    page = visitor.open(f"{center.url}/cameras/q01", person="dung")
    page.get_by_role("button", name="Giữ lại đoạn này").click()
    expect(page.get_by_label("Lý do")).to_be_focused()  # a reason is asked for
    page.get_by_label("Lý do").fill("Khách phàn nàn")
    page.get_by_role("button", name="Giữ lại đoạn này").click()
    expect(page.get_by_text("Đã yêu cầu camera.")).to_be_visible()
    (kept,) = center.http.get("/api/cameras/q01").json()["keeps"]
    assert (kept["before_s"], kept["after_s"], kept["note"]) == (30, 30, "Khách phàn nàn")
    report(center, "q01", "camera", state="lost")
    page.get_by_label("Lý do").fill("Khách phàn nàn")
    page.get_by_role("button", name="Giữ lại đoạn này").click()
    expect(page.locator("[data-id=keep-say] p:not(.good)")).to_be_visible()
    assert len(center.http.get("/api/cameras/q01").json()["keeps"]) == 1


# --- all cameras ------------------------------------------------------------------------------------------------------


def test_all_cameras_stand_on_one_page_problems_first(center: Center, visitor: Visitor) -> None:
    """Each camera says how it is, drawn alike by server and script, in both languages, on a desk and on a phone."""
    report(center, "q01", "camera")
    report(center, "q02", "camera", trouble="covered")
    report(center, "q04", "camera", state="lost")
    report(center, "q03", "rating")
    bare = visitor.page(java_script_enabled=False)
    bare.goto(f"{center.url}/cameras")
    live = visitor.open(f"{center.url}/cameras", width=390, height=844)
    for page in (bare, live):
        expect(page.locator("li b")).to_have_text(["Camera Quầy 11", "Camera Quầy 2", "Camera Quầy 1"])
        expect(page.locator("li").nth(1)).to_contain_text("camera bị che")
        expect(page.locator(".sum")).to_have_text("2 camera cần xem lại")
    assert bare.locator("main").inner_text() == live.locator("main").inner_text()
    assert violations(live) == []
    assert live.evaluate("document.documentElement.scrollWidth") == 390
    report(center, "q02", "camera", trouble="defocused")
    expect(live.locator("li").nth(1)).to_contain_text("hình camera bị mờ")
    live.goto(f"{center.url}/cameras?lang=en")
    expect(live.locator("li").nth(1)).to_contain_text("the camera's picture is blurred")
    live.locator("li a").nth(2).click()
    expect(live.get_by_role("heading", name="Camera, Counter 1")).to_be_visible()
    first = visitor.page(person="chi")
    first.goto(center.url)
    expect(first.locator("a[href='/cameras']")).to_have_count(0)


def test_the_pages_of_cameras_are_light(center: Center, visitor: Visitor) -> None:
    """The first load of each, with its style and scripts, is at most 30 KB on the wire."""
    report(center, "q01", "camera")
    wait_for(lambda: "q01/camera" in center.hub.mirror.devices)
    for path in ("/cameras", "/cameras/q01"):
        page = visitor.page()
        wire = page.context.new_cdp_session(page)
        wire.send("Network.enable")
        sizes: list[float] = []
        wire.on("Network.loadingFinished", lambda event, sizes=sizes: sizes.append(event["encodedDataLength"]))
        page.goto(center.url + path)
        while len(sizes) < 5:
            page.wait_for_timeout(50)
        page.wait_for_timeout(150)
        assert sum(sizes) <= LIMIT, (path, sum(sizes))
