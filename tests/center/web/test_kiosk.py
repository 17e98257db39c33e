"""The ticket kiosk in a real browser with a touch screen."""

import pytest
from playwright.sync_api import Page, Route, expect

from tests.center.web.site import Center, Visitor, violations

pytestmark = pytest.mark.browser

PORTRAIT = {"width": 1080, "height": 1920}
LANDSCAPE = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}


def kiosk(visitor: Visitor, center: Center, *, clock: bool = False, size: dict[str, int] = PORTRAIT) -> Page:
    """Open the kiosk; with `clock` the test decides how fast time goes."""
    page = visitor.page(touch=True, **size)
    if clock:
        page.clock.install()
    return visitor.go(page, f"{center.url}/kiosk")


def number(page: Page) -> str:
    """Wait for the ticket on the screen; returns its number."""
    shown = page.locator(".ticket .big")
    expect(shown).to_be_visible()
    return shown.inner_text()


def test_one_touch_is_one_ticket(center: Center, visitor: Visitor) -> None:
    """One touch of a field gives a number, large, with the people ahead; it stays on the screen."""
    center.issue(count=2)
    center.at("q01", "open")
    page = kiosk(visitor, center)
    expect(page.locator('[data-service="dat-dai"] em')).to_have_text("2 người chờ trước ông/bà")
    page.locator('[data-service="dat-dai"]').tap()
    assert number(page) == "A003"
    expect(page.get_by_text("Trước ông/bà còn 2 người")).to_be_visible()
    expect(page.get_by_text("Quầy phục vụ: 1")).to_be_visible()
    page.wait_for_timeout(300)
    assert number(page) == "A003"


def test_a_field_counts_everybody_whom_its_counter_calls_first(center: Center, visitor: Visitor) -> None:
    """People who wait for another service of the same counter are before a newcomer: on the field and on the ticket."""
    center.at("q04", "open")
    page = kiosk(visitor, center)
    field = page.locator('[data-service="chinh-sach"] em')
    expect(field).to_have_text("Không phải chờ")
    center.issue("doanh-nghiep", 3)
    expect(field).to_have_text("3 người chờ trước ông/bà")
    page.locator('[data-service="chinh-sach"]').tap()
    assert number(page) == "D001"
    expect(page.get_by_text("Trước ông/bà còn 3 người")).to_be_visible()


def test_no_waiting_is_said_only_while_a_counter_is_free(center: Center, visitor: Visitor) -> None:
    """A counter that serves somebody makes a newcomer wait, though next in line; no counter makes no promise."""
    page = kiosk(visitor, center)
    field = page.locator('[data-service="dat-dai"] em')
    expect(field).to_have_text("Chưa có quầy mở")
    center.issue()
    expect(field).to_have_text("Chưa có quầy mở, khoảng 1 người chờ trước ông/bà")
    center.at("q01", "open")
    expect(field).to_have_text("1 người chờ trước ông/bà")
    center.at("q01", "call_next")
    expect(field).to_have_text("Chưa có người chờ")
    page.locator('[data-service="dat-dai"]').tap()
    assert number(page) == "A002"
    expect(page.get_by_text("Ông/bà là người tiếp theo")).to_be_visible()


def test_an_estimate_is_called_one(center: Center, visitor: Visitor) -> None:
    """Where several counters call different lines, field and ticket say "about"; priority has its own figure."""
    center.at("q01", "open")
    center.at("q03", "open")
    center.issue("nhan-ket-qua", 2)
    center.issue("xay-dung", 2)
    page = kiosk(visitor, center, clock=True)
    field = page.locator('[data-service="dat-dai"] em')
    expect(field).to_have_text("khoảng 4 người chờ trước ông/bà")
    page.get_by_role("button", name="Lấy số ưu tiên").tap()
    page.clock.run_for(450)
    page.get_by_role("button", name="Tôi thuộc diện ưu tiên").tap()
    expect(field).to_have_text("Không phải chờ")
    page.clock.run_for(450)
    page.get_by_role("button", name="Lấy số thường").tap()
    expect(field).to_have_text("khoảng 4 người chờ trước ông/bà")
    page.clock.run_for(450)
    page.locator('[data-service="dat-dai"]').tap()
    assert number(page) == "A001"
    expect(page.get_by_text("Trước ông/bà còn khoảng 4 người")).to_be_visible()


def test_a_number_from_before_the_counters_open_promises_nothing(center: Center, visitor: Visitor) -> None:
    """Who takes a number while no counter is open is told so, not that the next call is theirs."""
    page = kiosk(visitor, center)
    page.locator('[data-service="dat-dai"]').tap()
    assert number(page) == "A001"
    expect(page.locator('[data-id="ahead"]')).to_have_text("Chưa có quầy mở")


def test_a_hasty_finger_gets_one_ticket(center: Center, visitor: Visitor) -> None:
    """Double taps, long presses and small slips are one touch each; a slip off the field is none."""
    page = kiosk(visitor, center, clock=True)
    box = page.locator('[data-service="dat-dai"]').bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    for _ in range(3):
        page.touchscreen.tap(x, y)
    assert number(page) == "A001"
    page.wait_for_timeout(200)
    assert center.state()["waiting"]["dat-dai"] == 1
    page.clock.run_for(1250)
    page.get_by_role("button", name="Xong").tap()
    page.clock.run_for(450)
    page.mouse.move(x, y)
    page.mouse.down()
    page.clock.run_for(2000)  # a long press
    page.mouse.move(x + 9, y + 7)
    page.mouse.up()
    assert number(page) == "A002"
    page.clock.run_for(1250)
    page.get_by_role("button", name="Xong").tap()
    page.clock.run_for(450)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x, y + 400)
    page.mouse.up()
    page.wait_for_timeout(150)
    assert center.state()["waiting"]["dat-dai"] == 2


def test_a_priority_number_takes_three_touches(center: Center, visitor: Visitor) -> None:
    """Priority: ask, say that one belongs to the groups, choose the field; the next citizen starts anew."""
    page = kiosk(visitor, center, clock=True)
    page.get_by_role("button", name="Lấy số ưu tiên").tap()
    expect(page.get_by_role("dialog")).to_contain_text("Phụ nữ mang thai")
    assert violations(page) == []
    page.clock.run_for(450)
    page.get_by_role("button", name="Tôi thuộc diện ưu tiên").tap()
    expect(page.get_by_role("heading", name="Số ưu tiên: xin chạm vào một ô")).to_be_visible()
    page.clock.run_for(450)
    page.locator('[data-service="ho-tich"]').tap()
    assert number(page) == "B001"
    expect(page.get_by_text("Số ưu tiên", exact=True)).to_be_visible()
    center.at("q02", "open")
    assert center.at("q02", "call_next")["ticket"]["priority"] == "priority"
    page.clock.run_for(1250)
    page.get_by_role("button", name="Xong").tap()
    expect(page.get_by_role("heading", name="Hôm nay ông/bà cần làm gì?")).to_be_visible()


def test_help_is_calm(center: Center, visitor: Visitor) -> None:
    """Whoever asks for help is told where to find a person, and comes back with one touch."""
    page = kiosk(visitor, center, clock=True)
    page.get_by_role("button", name="Tôi cần giúp đỡ").tap()
    expect(page.get_by_text("Nhân viên hướng dẫn ở gần cửa vào")).to_be_visible()
    assert violations(page) == []
    page.clock.run_for(450)
    page.get_by_role("button", name="Quay lại").tap()
    expect(page.locator('[data-service="dat-dai"]')).to_be_visible()


def test_english_lasts_until_the_next_citizen(center: Center, visitor: Visitor) -> None:
    """The language changes at a touch, without a load, and returns to Vietnamese when nobody is there."""
    page = kiosk(visitor, center, clock=True)
    page.get_by_role("button", name="English").tap()
    expect(page.get_by_role("heading", name="What can we do for you today?")).to_be_visible()
    assert page.locator("html").get_attribute("lang") == "en"
    assert violations(page) == []
    page.clock.run_for(46_000)
    expect(page.get_by_text("This screen returns in")).to_be_visible()
    assert violations(page) == []
    page.get_by_role("button", name="I need more time").tap()
    expect(page.get_by_text("This screen returns in")).to_be_hidden()
    page.clock.run_for(62_000)
    expect(page.get_by_role("heading", name="Hôm nay ông/bà cần làm gì?")).to_be_visible()
    assert page.locator("html").get_attribute("lang") == "vi"


def test_a_ticket_leaves_after_a_minute(center: Center, visitor: Visitor) -> None:
    """A number stays for a minute, with a warning before it goes."""
    page = kiosk(visitor, center, clock=True)
    page.locator('[data-service="dat-dai"]').tap()
    assert number(page) == "A001"
    page.clock.run_for(40_000)
    assert number(page) == "A001"
    page.clock.run_for(8_000)
    expect(page.get_by_text("Màn hình sẽ trở về sau")).to_be_visible()
    page.clock.run_for(15_000)
    expect(page.locator(".ticket")).to_be_hidden()
    expect(page.locator('[data-service="dat-dai"]')).to_be_visible()


def test_a_touch_whose_answer_was_lost_is_still_one_ticket(center: Center, visitor: Visitor) -> None:
    """When the network loses the answer, the kiosk asks again with the same key and shows the same number."""
    page = kiosk(visitor, center)
    keys: list[str | None] = []

    def lose_two_answers(route: Route) -> None:
        keys.append(route.request.header_value("idempotency-key"))
        if len(keys) <= 2:
            route.fetch()
            route.abort()
        else:
            route.continue_()

    page.route("**/api/tickets", lose_two_answers)
    page.locator('[data-service="dat-dai"]').tap()
    assert number(page) == "A001"
    assert (len(keys), len(set(keys))) == (3, 1)
    assert center.state()["waiting"]["dat-dai"] == 1


def test_a_kiosk_without_its_center_says_so_and_recovers(center: Center, visitor: Visitor) -> None:
    """While the center is away a touch takes nothing and a message says why; afterwards it works by itself."""
    page = kiosk(visitor, center)
    center.stop()
    expect(page.get_by_text("Máy đang mất kết nối và sẽ tự hoạt động lại.")).to_be_visible()
    assert violations(page) == []
    page.locator('[data-service="dat-dai"]').tap()
    expect(page.locator(".sheet:not([hidden])")).to_have_count(0)
    center.start()
    expect(page.get_by_text("Máy đang mất kết nối")).to_be_hidden()
    page.locator('[data-service="dat-dai"]').tap()
    assert number(page) == "A001"


def test_a_touch_in_flight_survives_a_restart_of_the_center(center: Center, visitor: Visitor) -> None:
    """A touch that the center could not answer any more is answered when it is back: one ticket, once."""
    page = kiosk(visitor, center)

    touched: list[str | None] = []

    def stop_under_the_finger(route: Route) -> None:
        if not touched:
            center.stop()
        touched.append(route.request.header_value("idempotency-key"))
        route.continue_()

    page.route("**/api/tickets", stop_under_the_finger)
    page.locator('[data-service="dat-dai"]').tap()
    expect(page.get_by_text("Số của ông/bà chỉ được lấy một lần")).to_be_visible()
    assert violations(page) == []
    center.start()
    assert number(page) == "A001"
    assert len(touched) > 1
    assert len(set(touched)) == 1
    assert center.state()["waiting"]["dat-dai"] == 1


@pytest.mark.parametrize("size", [PORTRAIT, LANDSCAPE], ids=["portrait", "landscape"])
def test_everything_can_be_reached_from_a_wheelchair(center: Center, visitor: Visitor, size: dict[str, int]) -> None:
    """Every control is in the lower two thirds, at least 88 px in size, 16 px apart, and nothing is cut off."""
    page = kiosk(visitor, center, size=size)
    boxes = [box for one in page.locator("button:visible").all() if (box := one.bounding_box())]
    assert len(boxes) == 9
    for box in boxes:
        assert box["y"] >= size["height"] / 3 - 1
        assert box["y"] + box["height"] <= size["height"]
        assert min(box["width"], box["height"]) >= 88
    for one in boxes:
        for other in boxes:
            apart_x = other["x"] - (one["x"] + one["width"])
            apart_y = other["y"] - (one["y"] + one["height"])
            if one is not other and apart_x < 16 and apart_y < 16:
                assert (
                    one["x"] + one["width"] > other["x"] + other["width"] or one["y"] > other["y"] - 16 or apart_x < 0
                )
    overflow = page.evaluate(
        "document.documentElement.scrollHeight > innerHeight || document.body.scrollWidth > innerWidth"
    )
    assert not overflow


def test_the_kiosk_fits_a_phone(center: Center, visitor: Visitor) -> None:
    """On a phone the first fields are in sight, the rest a scroll away, large enough; a number fits the screen."""
    page = kiosk(visitor, center, size=PHONE, clock=True)
    header = page.locator("header").bounding_box()
    assert header
    assert header["height"] <= PHONE["height"] / 8
    boxes = [box for one in page.locator(".tile").all() if (box := one.bounding_box())]
    assert sum(box["y"] + box["height"] <= PHONE["height"] for box in boxes) >= 3
    assert min(box["height"] for box in boxes) >= 88
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    assert violations(page) == []
    language = page.get_by_role("button", name="English")
    language.scroll_into_view_if_needed()
    expect(language).to_be_in_viewport()
    page.locator('[data-service="xay-dung"]').tap()
    assert number(page) == "F001"
    page.clock.run_for(1250)
    expect(page.get_by_role("button", name="Xong")).to_be_in_viewport(ratio=1)
    assert violations(page) == []


@pytest.mark.parametrize("size", [PORTRAIT, LANDSCAPE], ids=["portrait", "landscape"])
def test_no_state_of_the_kiosk_hinders_anybody(center: Center, visitor: Visitor, size: dict[str, int]) -> None:
    """The fields and the ticket have no accessibility violation, and the ticket can be left by keyboard."""
    page = kiosk(visitor, center, size=size, clock=True)
    assert violations(page) == []
    page.locator('[data-service="nhan-ket-qua"]').tap()
    assert number(page) == "E001"
    assert violations(page) == []
    page.clock.run_for(1250)
    page.keyboard.press("Enter")
    expect(page.locator(".ticket")).to_be_hidden()
