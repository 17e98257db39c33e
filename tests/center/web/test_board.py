"""The hall board in a real browser."""

import time

import pytest
from playwright.sync_api import Page, expect

from tests.center.web.site import Center, Visitor, violations

pytestmark = pytest.mark.browser


def board(visitor: Visitor, center: Center, *, width: int = 1920, height: int = 1080, query: str = "") -> Page:
    """Open the hall board."""
    return visitor.open(f"{center.url}/board{query}", width=width, height=height)


def large(page: Page) -> str:
    """Return the number in the large place."""
    return page.locator(".n").inner_text()


def test_two_boards_show_a_call_at_once(center: Center, visitor: Visitor) -> None:
    """A call stands on every board within a moment, with the counter it is for."""
    center.issue(count=2)
    center.at("q04", "open")
    center.at("q01", "open")
    boards = [board(visitor, center), board(visitor, center, width=1280, height=720)]
    for page in boards:
        expect(page.get_by_text("Kính chào ông/bà")).to_be_visible()
        expect(page.locator('[data-id="next"]')).to_have_text("A001")
    center.at("q01", "call_next")
    for page in boards:
        expect(page.locator(".n")).to_have_text("A001", timeout=1000)
        expect(page.locator(".to")).to_have_text("Quầy 1")
        expect(page.locator('[data-id="waiting"]')).to_have_text("1")


def test_the_latest_call_can_be_read_from_the_back(center: Center, visitor: Visitor) -> None:
    """The number's letters are at least a fifth of the screen high, and nothing is cut off, at both usual sizes."""
    center.issue(count=9)
    center.at("q01", "open")
    for _ in range(9):
        center.at("q01", "call_next")
    for width, height in ((1920, 1080), (1280, 720)):
        page = board(visitor, center, width=width, height=height)
        font = page.locator(".n").evaluate("node => parseFloat(getComputedStyle(node).fontSize)")
        assert font * 0.71 >= 0.2 * height  # a capital of Noto Sans is 0.714 of its size
        size = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.scrollHeight]")
        assert size == [width, height]
        expect(page.locator(".list li")).to_have_count(7)
        footer = page.locator("footer").bounding_box()
        last = page.locator(".list li").last.bounding_box()
        assert footer
        assert last
        assert last["y"] + last["height"] <= footer["y"] + 1


def test_calls_at_the_same_time_get_their_seconds_one_after_another(center: Center, visitor: Visitor) -> None:
    """Several calls at once: the first stands large, the others are marked in the list and follow in their order."""
    center.issue("dat-dai", 1)
    center.issue("ho-tich", 1)
    center.issue("doanh-nghiep", 1)
    for counter in ("q01", "q02", "q04"):
        center.at(counter, "open")
    page = visitor.page()
    page.clock.install()
    visitor.go(page, f"{center.url}/board")
    for counter in ("q01", "q02", "q04"):
        center.at(counter, "call_next")
    expect(page.locator(".n")).to_have_text("A001")
    expect(page.locator("li.coming b")).to_have_text(["C001", "B001"])
    page.clock.fast_forward(5100)
    expect(page.locator(".n")).to_have_text("B001")
    expect(page.locator("li.coming b")).to_have_text(["C001"])
    page.clock.fast_forward(3100)
    expect(page.locator(".n")).to_have_text("C001")
    expect(page.locator("li.coming")).to_have_count(0)


def test_who_sits_already_is_not_announced(center: Center, visitor: Visitor) -> None:
    """A call that was answered before its turn in the large place came is left out."""
    center.issue("dat-dai", 1)
    center.issue("ho-tich", 1)
    center.at("q01", "open")
    center.at("q02", "open")
    page = visitor.page()
    page.clock.install()
    visitor.go(page, f"{center.url}/board")
    center.at("q01", "call_next")
    expect(page.locator(".n")).to_have_text("A001")
    center.at("q02", "call_next")
    expect(page.locator("li.coming b")).to_have_text(["B001"])
    center.at("q02", "start")
    expect(page.locator("li.done b")).to_have_text(["B001"])
    page.clock.fast_forward(6000)
    assert large(page) == "A001"


def test_a_call_that_is_over_is_not_invited_any_more(center: Center, visitor: Visitor) -> None:
    """Who sits at the counter, or left, stands quietly as called before; a call that still waits comes first."""
    center.issue("dat-dai", 2)
    center.issue("ho-tich", 1)
    for counter in ("q01", "q02"):
        center.at(counter, "open")
    page = board(visitor, center)
    invite = page.locator(".now small")
    center.at("q02", "call_next")
    expect(page.locator(".n")).to_have_text("B001")
    page.wait_for_timeout(100)
    center.at("q01", "call_next")
    expect(page.locator("li.coming b")).to_have_text(["A001"])
    center.at("q02", "start")
    expect(page.locator(".n")).to_have_text("A001")
    expect(page.locator("li.done b")).to_have_text(["B001"])
    center.at("q01", "finish")
    expect(invite).to_have_text("Vừa mời")
    expect(page.locator(".now.past .n")).to_have_text("A001")
    expect(page.locator(".now.flash")).to_have_count(0)
    assert violations(page) == []
    center.at("q01", "call_next")
    expect(invite).to_have_text("Mời số")
    expect(page.locator(".now:not(.past) .n")).to_have_text("A002")


def test_who_did_not_come_leaves_the_board(center: Center, visitor: Visitor) -> None:
    """A no-show stands neither large nor in the list, in an open page and in a new one; the call that waits returns."""
    center.issue("dat-dai", 1)
    center.issue("ho-tich", 1)
    for counter in ("q01", "q02"):
        center.at(counter, "open")
    center.at("q02", "call_next")
    page = board(visitor, center)
    center.at("q01", "call_next")
    expect(page.locator(".n")).to_have_text("A001")
    center.at("q01", "no_show")
    for shown in (page, board(visitor, center)):
        expect(shown.locator(".n")).to_have_text("B001")
        expect(shown.locator(".now small")).to_have_text("Mời số")
        expect(shown.locator(".list li")).to_have_count(0)
    center.at("q02", "no_show")
    expect(page.get_by_text("Kính chào ông/bà")).to_be_visible()


def test_a_recall_is_announced_again(center: Center, visitor: Visitor) -> None:
    """A second call of the same number flashes again, and stands once."""
    center.issue()
    center.at("q01", "open")
    center.at("q01", "call_next")
    page = board(visitor, center)
    expect(page.locator(".now.flash")).to_have_count(0)
    center.at("q01", "recall")
    expect(page.locator(".now.flash")).to_have_count(1)
    assert large(page) == "A001"
    expect(page.locator(".list li")).to_have_count(0)


def test_the_flash_is_slow_and_can_be_turned_off(center: Center, visitor: Visitor) -> None:
    """The large place changes at most three times a second, and not at all for who wants no motion."""
    center.issue()
    center.at("q01", "open")
    moving = board(visitor, center)
    still = visitor.open(f"{center.url}/board", reduced_motion="reduce")
    center.at("q01", "call_next")
    for page, name in ((moving, "flash"), (still, "none")):
        expect(page.locator(".now.flash")).to_have_count(1)
        shown = page.locator(".n").evaluate(
            "n => [getComputedStyle(n).animationName, getComputedStyle(n).animationDuration]"
        )
        assert shown[0] == name
    assert moving.locator(".n").evaluate("node => parseFloat(getComputedStyle(node).animationDuration)") >= 1 / 3


def test_the_board_is_live_again_within_a_second(center: Center, visitor: Visitor) -> None:
    """While the center is away the board keeps its state under a badge; within a second of its return it is live."""
    center.issue(count=2)
    center.at("q01", "open")
    center.at("q01", "call_next")
    page = board(visitor, center)
    badge = page.locator(".badge-offline")
    expect(page.locator(".n")).to_have_text("A001")
    after_s: list[float] = []
    while not after_s or (min(after_s) > 1.0 and len(after_s) < 5):  # a busy machine may delay one, but not all
        assert center.stop() < 10, "an open stream holds up the stop"
        expect(badge).to_be_visible()
        assert large(page) == "A001"
        assert violations(page) == []
        page.wait_for_timeout(1500)
        center.start()
        back = time.monotonic()
        expect(badge).to_be_hidden()
        after_s.append(time.monotonic() - back)
    assert min(after_s) <= 1.0
    center.at("q01", "call_next")
    expect(page.locator(".n")).to_have_text("A002")


def test_a_silent_stream_is_given_up(center: Center, visitor: Visitor) -> None:
    """A connection that stays open but says nothing is noticed by the missing heartbeat, and made again."""
    page = visitor.page()
    page.clock.install()
    visitor.go(page, f"{center.url}/board")
    expect(page.locator(".badge-offline")).to_be_hidden()
    with page.expect_request("**/stream?view=board") as again:
        page.clock.fast_forward(36_000)
        page.clock.fast_forward(1_000)
    assert again.value.url.endswith("view=board")
    expect(page.locator(".badge-offline")).to_be_hidden()


def test_the_clock_is_the_centers(center: Center, visitor: Visitor) -> None:
    """The board's clock shows the time at the center, wherever the browser thinks it is."""
    page = visitor.open(f"{center.url}/board", timezone_id="America/New_York")
    here = time.time() + 7 * 3600
    minutes = {time.strftime("%H:%M", time.gmtime(here + shift)) for shift in (-30, 30)}
    assert page.locator('[data-id="clock"]').inner_text() in minutes


def test_the_picture_wanders(center: Center, visitor: Visitor) -> None:
    """Once a minute the whole picture moves by a few pixels, so that nothing burns in."""
    page = visitor.page()
    page.clock.install()
    visitor.go(page, f"{center.url}/board")
    page.clock.run_for(61_000)
    moved = page.locator("body").evaluate("node => getComputedStyle(node).translate")
    assert moved != "none"
    assert all(abs(float(part.removesuffix("px"))) <= 4 for part in moved.split())


@pytest.mark.parametrize("query", ["", "?lang=en"], ids=["vi", "en"])
def test_the_board_hinders_nobody(center: Center, visitor: Visitor, query: str) -> None:
    """The board has no accessibility violation, empty and with calls of every kind."""
    page = board(visitor, center, query=query)
    assert violations(page) == []
    center.issue(count=3)
    center.at("q01", "open")
    center.at("q03", "open")
    center.at("q01", "call_next")
    center.at("q03", "call_next")
    center.at("q01", "start")
    expect(page.locator("li")).to_have_count(1)
    assert violations(page) == []
