"""The officer's desk in a real browser."""

import pytest
from playwright.sync_api import Page, Route, expect

from center.errors import StoreError
from tests.center.web.site import Center, Visitor, violations

pytestmark = pytest.mark.browser


def desk(visitor: Visitor, center: Center, counter: str = "q01", **settings: object) -> Page:
    """Open a counter's desk."""
    return visitor.open(f"{center.url}/counter/{counter}", **settings)  # type: ignore[arg-type]


def idle(page: Page) -> None:
    """Wait until the desk takes the next press: it ignores the rest of a double click."""
    page.locator("body:not(.busy)").wait_for()


def primary(page: Page, words: str) -> None:
    """Wait for the large button to say something, then press it."""
    button = page.locator(".primary")
    expect(button).to_contain_text(words)
    idle(page)
    button.click()


def test_a_ticket_is_called_served_and_finished(center: Center, visitor: Visitor) -> None:
    """One large button leads through a visit: open, call, start, finish with the outcome, ready for the next."""
    center.issue()
    page = desk(visitor, center)
    expect(page.get_by_text("Nguyễn Thị Hạnh")).to_be_visible()
    primary(page, "Mở quầy")
    primary(page, "Gọi số tiếp")
    expect(page.locator(".num")).to_have_text("A001")
    primary(page, "Bắt đầu phục vụ")
    page.get_by_label("Đã tiếp nhận").check()
    primary(page, "Hoàn thành và mời đánh giá")
    expect(page.get_by_role("alert")).to_have_text("A001 đã xong, đang mời đánh giá")
    expect(page.locator(".primary")).to_have_text("Gọi số tiếpEnter")
    expect(page.locator('[data-id="figure-served"]')).to_have_text("1")
    assert center.ticket_at("q01") is None


def test_an_outcome_is_recorded_only_if_it_was_chosen(center: Center, visitor: Visitor) -> None:
    """No outcome is chosen beforehand; one press finishes all the same, and the visit's outcome is then not stated."""
    center.issue(count=2)
    center.at("q01", "open")
    page = desk(visitor, center)
    for chosen, recorded in ((None, None), ("Việc khác", "other")):
        primary(page, "Gọi số tiếp")
        primary(page, "Bắt đầu phục vụ")
        expect(page.get_by_role("radio", checked=True)).to_have_count(0)
        if chosen:
            page.get_by_label(chosen).check()
        with page.expect_response("**/finish") as answer:
            primary(page, "Hoàn thành và mời đánh giá")
        assert answer.value.json()["ticket"]["outcome"] == recorded


def test_one_recall_too_many_is_answered(center: Center, visitor: Visitor) -> None:
    """After the last recall the key says that it was the last one, and what to do instead."""
    center.issue()
    center.at("q01", "open")
    center.at("q01", "call_next")
    for _ in range(3):
        center.at("q01", "recall")
    page = desk(visitor, center)
    page.keyboard.press("r")
    expect(page.get_by_role("alert")).to_have_text("Đã gọi lại số A001 3 lần. Hãy đánh dấu vắng mặt.")


def test_the_days_figures_are_in_minutes(center: Center, visitor: Visitor) -> None:
    """The figures of the day say times in words and units, in the first paint and afterwards."""
    center.issue()
    center.at("q01", "open")
    page = desk(visitor, center)
    for action in ("call_next", "start", "finish"):
        center.at("q01", action)
    for _ in range(2):
        expect(page.locator(".figures")).to_contain_text("Thường phục vụ")
        expect(page.locator('[data-id="figure-service_time"]')).to_have_text("dưới 1 phút")
        expect(page.locator('[data-id="figure-wait_time"]')).to_have_text("dưới 1 phút")
        page.reload()


def test_a_long_title_is_cut_not_wrapped(center: Center, visitor: Visitor) -> None:
    """However many services a counter has, the head of its desk is one line, with all of it in a hint."""
    every = [service.id for service in center.config.service]
    center.at("q01", "open", services=every)
    page = visitor.open(f"{center.url}/counter/q01?lang=en", width=1024, height=768)
    title = page.locator("h1")
    assert title.evaluate("node => node.scrollWidth > node.clientWidth")
    assert "Construction" in str(title.get_attribute("title"))
    name = page.locator(".me")
    assert name.evaluate("node => node.scrollWidth <= node.clientWidth + 1")
    assert page.locator(".top").evaluate("node => node.offsetHeight") <= 80
    expect(page.get_by_role("button", name="Pause")).to_be_in_viewport(ratio=1)
    assert page.evaluate("document.documentElement.scrollWidth") == 1024


@pytest.mark.parametrize(("width", "touch"), [(390, False), (1024, True)], ids=["narrow", "touch"])
def test_a_phone_shows_no_keys(center: Center, visitor: Visitor, width: int, touch: bool) -> None:
    """Where there is no keyboard, neither keycaps nor the switch for shortcuts take room."""
    center.issue()
    center.at("q01", "open")
    center.at("q01", "call_next")
    center.at("q01", "start")
    page = desk(visitor, center, width=width, height=844, touch=touch)
    expect(page.locator(".primary")).to_be_visible()
    expect(page.locator("kbd:visible")).to_have_count(0)
    expect(page.locator('[data-id="keys"]')).to_be_hidden()
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert violations(page) == []


def test_a_double_click_calls_one_number_and_does_not_start_it(center: Center, visitor: Visitor) -> None:
    """A double click on the large button does one thing, though the button means something else by its second half."""
    center.issue(count=3)
    center.at("q01", "open")
    page = desk(visitor, center)
    page.locator(".primary").dblclick(delay=60)
    expect(page.locator(".what")).to_have_text("Đang gọi")
    page.wait_for_timeout(300)
    assert center.ticket_at("q01") == "A001"
    assert center.state()["waiting"]["dat-dai"] == 2
    expect(page.locator(".primary")).to_contain_text("Bắt đầu")


def test_a_stale_press_is_refused_readably_and_the_desk_is_refreshed(center: Center, visitor: Visitor) -> None:
    """A press on what is no longer so is refused with a sentence, and the desk then shows what is."""
    center.issue(count=2)
    center.at("q01", "open")
    page = desk(visitor, center)
    expect(page.locator(".primary")).to_contain_text("Gọi số tiếp")
    page.route("**/stream?*", lambda route: route.abort())
    page.evaluate("dispatchEvent(new Event('online'))")  # the page loses the stream and keeps what it showed
    expect(page.locator(".badge-offline")).to_be_visible()
    center.at("q01", "call_next")
    page.locator(".primary").click()
    expect(page.get_by_role("alert")).to_contain_text("Quầy đã thay đổi. Hãy xem lại rồi bấm lần nữa.")
    page.unroute("**/stream?*")
    expect(page.locator(".num")).to_have_text("A001")
    expect(page.get_by_role("alert")).to_contain_text("Quầy đã thay đổi")
    assert center.state()["waiting"]["dat-dai"] == 1


def test_a_lost_answer_does_not_call_twice(center: Center, visitor: Visitor) -> None:
    """When the network loses the answer, the desk asks again with the same key: one number is called."""
    center.issue(count=3)
    center.at("q01", "open")
    page = desk(visitor, center)
    keys: list[str | None] = []

    def lose_the_first_answer(route: Route) -> None:
        keys.append(route.request.header_value("idempotency-key"))
        if len(keys) == 1:
            route.fetch()
            route.abort()
        else:
            route.continue_()

    page.route("**/api/**", lose_the_first_answer)
    page.locator(".primary").click()
    expect(page.locator(".num")).to_have_text("A001")
    idle(page)
    assert len(keys) == 2
    assert len(set(keys)) == 1
    assert center.state()["waiting"]["dat-dai"] == 2


def test_a_second_desk_watches_until_it_takes_over(center: Center, visitor: Visitor) -> None:
    """A counter has one desk: another is told who has it, sees without acting, and takes over on purpose only."""
    center.issue()
    first = desk(visitor, center, person="ha")
    expect(first.locator(".bar")).to_be_hidden()
    primary(first, "Mở quầy")
    second = desk(visitor, center)
    expect(second.locator(".bar")).to_contain_text("Trần Thu Hà đang làm việc ở quầy này, từ")
    assert violations(second) == []
    second.keyboard.press("Enter")
    second.wait_for_timeout(100)
    assert center.ticket_at("q01") is None
    second.get_by_role("button", name="Thay Trần Thu Hà ở quầy này").click()
    expect(second.get_by_role("dialog")).to_contain_text("Máy của Trần Thu Hà sẽ chỉ xem được.")
    assert violations(second) == []
    second.get_by_role("dialog").get_by_role("button", name="Làm việc ở máy này").click()
    expect(second.locator(".bar")).to_be_hidden()
    expect(first.locator(".bar")).to_contain_text("Nguyễn Thị Hạnh đang làm việc ở quầy này")
    second.locator(".primary").click()
    expect(first.locator(".num")).to_have_text("A001")


def test_the_desk_works_by_keyboard(center: Center, visitor: Visitor) -> None:
    """Enter follows the large button, letters the small ones, digits the outcome; not while a number is typed."""
    center.issue(count=2)
    center.at("q01", "open")
    page = desk(visitor, center)
    page.keyboard.press("Enter")
    expect(page.locator(".what")).to_have_text("Đang gọi")
    idle(page)
    page.keyboard.press("r")
    expect(page.locator(".what")).to_have_text("Đang gọi lại lần 1")
    page.keyboard.press("/")
    page.keyboard.type("v")
    expect(page.locator("#find")).to_have_value("v")
    assert center.ticket_at("q01") == "A001"
    page.keyboard.press("Escape")
    page.evaluate("document.activeElement.blur()")
    idle(page)
    page.keyboard.press("Enter")
    expect(page.locator(".what")).to_have_text("Đang phục vụ")
    page.keyboard.press("1")
    expect(page.get_by_label("Đã tiếp nhận")).to_be_checked()


def test_shortcuts_can_be_switched_off(center: Center, visitor: Visitor) -> None:
    """With the shortcuts off a letter does nothing, and the choice is remembered."""
    center.issue()
    center.at("q01", "open")
    center.at("q01", "call_next")
    page = desk(visitor, center)
    page.get_by_role("button", name="Phím tắt: bật").click()
    page.reload()
    expect(page.get_by_role("button", name="Phím tắt: tắt")).to_be_visible()
    page.keyboard.press("v")
    page.wait_for_timeout(150)
    assert center.ticket_at("q01") == "A001"


def test_the_primary_button_is_reached_by_tab(center: Center, visitor: Visitor) -> None:
    """Everything on the desk can be reached with the Tab key, with a visible focus."""
    center.issue()
    center.at("q01", "open")
    page = desk(visitor, center)
    reached = set()
    for _ in range(20):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.dataset.id ?? document.activeElement.id"))
    assert {"primary", "pause", "close", "keys", "find"} <= reached
    page.locator(".primary").focus()
    assert page.locator(".primary").evaluate("node => getComputedStyle(node).outlineWidth") == "4px"


def test_a_number_is_found_and_called(center: Center, visitor: Visitor) -> None:
    """Typing part of a number shows who matches; Enter or the button calls it out of turn."""
    center.issue(count=5)
    center.at("q01", "open")
    page = desk(visitor, center)
    page.locator("#find").fill("a00")
    expect(page.locator('[data-id="found"] li')).to_have_count(5)
    page.locator("#find").fill("z9")
    expect(page.get_by_text("Không có số này đang chờ ở quầy")).to_be_visible()
    page.locator("#find").fill("004")
    page.get_by_role("button", name="Gọi số A004").click()
    expect(page.locator(".num")).to_have_text("A004")


def test_a_parked_ticket_comes_back(center: Center, visitor: Visitor) -> None:
    """A ticket that was set aside stands in its own list and goes back in line with one press."""
    center.issue(count=4)
    center.at("q01", "open")
    page = desk(visitor, center)
    primary(page, "Gọi số tiếp")
    expect(page.locator(".num")).to_have_text("A001")
    idle(page)
    page.get_by_role("button", name="Tạm gác").click()
    back = page.get_by_role("button", name="Cho số A001 chờ lại")
    expect(back).to_be_visible()
    idle(page)
    back.click()
    expect(back).to_be_hidden()
    expect(page.locator('[data-id="waiting"] b')).to_have_text(["A002", "A003", "A001", "A004"])


def test_a_ticket_is_transferred(center: Center, visitor: Visitor) -> None:
    """The transfer window sends the ticket to another service with one press, and Escape sends it nowhere."""
    center.issue()
    center.at("q01", "open")
    center.at("q01", "call_next")
    page = desk(visitor, center)
    page.get_by_role("button", name="Chuyển").click()
    expect(page.get_by_role("dialog")).to_contain_text("Chuyển số A001")
    assert violations(page) == []
    page.keyboard.press("Escape")
    assert center.ticket_at("q01") == "A001"
    page.keyboard.press("t")
    page.get_by_role("button", name="Hộ tịch, căn cước").click()
    expect(page.locator(".what")).to_have_text("Chưa có khách tại quầy")
    assert center.state()["waiting"]["ho-tich"] == 1


def test_a_counter_is_paused_and_closed(center: Center, visitor: Visitor) -> None:
    """Pause and close are one press each, and the state is said in words."""
    center.at("q01", "open")
    page = desk(visitor, center)
    page.get_by_role("button", name="Tạm dừng").click()
    expect(page.locator(".pill")).to_have_text("Tạm dừng")
    primary(page, "Tiếp tục nhận khách")
    expect(page.locator(".pill")).to_have_text("Đang mở")
    idle(page)
    page.get_by_role("button", name="Đóng quầy").click()
    expect(page.locator(".pill")).to_have_text("Đã đóng")


def test_nobody_waiting_leaves_the_button_quiet(center: Center, visitor: Visitor) -> None:
    """With nobody waiting the large button rests; it wakes by itself when a number is taken."""
    center.at("q01", "open")
    page = desk(visitor, center)
    expect(page.locator(".primary")).to_have_attribute("aria-disabled", "true")
    expect(page.get_by_text("Chưa có người chờ")).to_be_visible()
    center.issue()
    expect(page.locator(".primary")).not_to_have_attribute("aria-disabled", "true")
    expect(page.get_by_text("Tiếp theo: A001 · Đất đai, nhà ở")).to_be_visible()


def test_a_center_that_cannot_store_says_so_at_the_desk(center: Center, visitor: Visitor) -> None:
    """While the center's disk is full the desk says that, not that the network is at fault; nothing has changed."""
    center.issue()
    center.at("q01", "open")
    page = desk(visitor, center)
    write = center.hall._ledger._store.write

    def full(_: object) -> None:
        raise StoreError("disk full", full=True)

    center.hall._ledger._store.write = full  # type: ignore[method-assign, assignment]
    page.locator(".primary").click()
    expect(page.get_by_role("alert")).to_contain_text("Ổ đĩa của máy chủ đã đầy")
    center.hall._ledger._store.write = write  # type: ignore[method-assign]
    idle(page)
    page.locator(".primary").click()
    expect(page.locator(".num")).to_have_text("A001")


def test_the_desk_never_shows_a_rating(center: Center, visitor: Visitor) -> None:
    """Nothing on the desk or in its stream changes when the citizen rates."""
    center.issue()
    center.at("q01", "open")
    center.at("q01", "call_next")
    ticket = center.at("q01", "finish")["ticket"]["id"]
    page = desk(visitor, center)
    page.wait_for_timeout(200)
    before = page.locator("body").inner_text()
    center.ask("/api/counters/q01/rating", ticket=ticket, level=1)
    page.wait_for_timeout(200)
    assert page.locator("body").inner_text() == before


def test_the_desk_speaks_english(center: Center, visitor: Visitor) -> None:
    """The English page is English in its words, its language attribute and its refusals, and is remembered."""
    center.issue()
    center.at("q01", "open")
    page = desk(visitor, center)
    page.get_by_role("link", name="English").click()
    expect(page.locator(".primary")).to_contain_text("Call next")
    assert page.locator("html").get_attribute("lang") == "en"
    page.goto(f"{center.url}/")
    expect(page.get_by_role("heading", name="At the counters")).to_be_visible()
    visitor.go(page, f"{center.url}/counter/q01")
    page.locator("#find").fill("A999")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_have_text("There is no number A999 today.")


STATES = {
    "idle": ["open"],
    "calling": ["call_next", "recall"],
    "serving": ["start"],
    "aside": ["park"],
    "paused": ["pause"],
}


@pytest.mark.parametrize(("language", "states"), [("vi", STATES), ("en", {"serving": ["open", "call_next", "start"]})])
def test_no_state_of_the_desk_hinders_anybody(
    center: Center, visitor: Visitor, language: str, states: dict[str, list[str]]
) -> None:
    """Closed, idle, calling, serving and paused desks have no accessibility violation."""
    center.issue(count=15)
    center.issue(priority="priority")
    page = visitor.open(f"{center.url}/counter/q01?lang={language}")
    found = {"closed": violations(page)}
    for state, actions in states.items():
        for action in actions:
            center.at("q01", action)
        page.wait_for_timeout(100)
        found[state] = violations(page)
    assert {state: one for state, one in found.items() if one} == {}
