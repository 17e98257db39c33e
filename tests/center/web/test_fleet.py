"""Alerts on the devices page and in the API, each device's last day, and devices that were taken away."""

import pytest
from playwright.sync_api import expect

from center.fleet.alerts import PATIENCE, Patience
from center.fleet.strip import CELLS
from center.web.devices import drawn, hours
from tests.center.web.site import Center, Visitor, violations
from tests.center.web.test_pages import report
from tests.support.waiting import wait_for

HASTE = Patience(0, 0)


@pytest.fixture
def center(center: Center, monkeypatch: pytest.MonkeyPatch) -> Center:
    """A center that loses patience at once."""
    for kind in PATIENCE:
        monkeypatch.setitem(PATIENCE, kind, HASTE)  # type: ignore[arg-type]
    return center


def look(center: Center, alerts: int) -> None:
    """Let the fleet look, and wait until so many alerts are open."""
    center.fleet._wake.set()
    wait_for(lambda: sum(one.ended_at is None for one in center.fleet.board.alerts) == alerts)


@pytest.mark.browser
def test_an_alert_is_shown_until_somebody_has_seen_it(center: Center, visitor: Visitor) -> None:
    """An alert stands on the page in words, counts on the first page, and says who has seen it."""
    page = visitor.open(f"{center.url}/devices")
    expect(page.get_by_role("heading", name="Cảnh báo")).to_be_hidden()
    report(center, "q03", "display", state="lost")
    report(center, "q02", "rating", temperature_c=82.4)
    look(center, 2)
    hot = page.locator("section li", has_text="q02/rating")
    expect(hot).to_contain_text("nóng, xin kiểm tra thông gió (82 °C)")
    expect(page.locator("section li", has_text="q03/display")).to_contain_text("mất liên lạc")
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") == 1280
    assert page.locator(".frame").evaluate("node => node.scrollWidth <= node.clientWidth")
    first = visitor.page()
    first.goto(center.url)
    expect(first.get_by_text("2 cảnh báo chưa xem")).to_be_visible()
    hot.get_by_role("button", name="Đã xem").click()
    expect(hot).to_contain_text("Nguyễn Thị Hạnh đã xem lúc")
    expect(hot.get_by_role("button")).to_be_hidden()
    first.reload()
    expect(first.get_by_text("1 cảnh báo chưa xem")).to_be_visible()
    page.reload()
    expect(hot).to_contain_text("Nguyễn Thị Hạnh đã xem lúc")
    report(center, "q02", "rating")
    look(center, 1)
    expect(hot).to_contain_text("đã hết")
    page.goto(f"{center.url}/devices?lang=en")
    expect(hot).to_contain_text("hot, check the ventilation (82 °C)")
    assert violations(page) == []


@pytest.mark.browser
def test_who_may_only_look_has_no_buttons(center: Center, visitor: Visitor) -> None:
    """A director sees alerts and devices, and has nothing to press; an officer sees neither."""
    report(center, "q03", "display", state="lost")
    look(center, 1)
    page = visitor.page(person="chi")
    page.goto(f"{center.url}/devices")
    expect(page.locator("section li")).to_contain_text("q03/display")
    expect(page.locator("main button")).to_have_count(0)
    assert violations(page) == []
    desk = visitor.page(person="ha")
    desk.goto(center.url)
    expect(desk.get_by_text("cảnh báo chưa xem")).to_have_count(0)


@pytest.mark.browser
def test_a_device_leaves_the_list_with_the_second_press(center: Center, visitor: Visitor) -> None:
    """A device that was taken away is taken off the list by two presses, from a phone too; one that is there is not."""
    report(center, "q01", "callpad")
    report(center, "q07", "rating", state="lost")
    page = visitor.open(f"{center.url}/devices", width=390, height=844, touch=True)
    rows = page.locator("tbody tr")
    expect(rows.locator("small")).to_have_text(["q07/rating", "q01/callpad"])
    expect(rows.nth(1).get_by_role("button")).to_be_hidden()
    button = rows.nth(0).get_by_role("button")
    button.click()
    expect(button).to_have_text("Bấm lần nữa để bỏ")
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    button.click()
    expect(rows.locator("small")).to_have_text(["q01/callpad"])
    assert [one["name"] for one in center.http.get("/api/devices").json()["devices"]] == ["q01/callpad"]


@pytest.mark.browser
def test_a_revoked_key_is_no_lost_contact(center: Center, visitor: Visitor) -> None:
    """A device whose key was revoked is called so, with what to do, by server and script; it can go at once."""
    report(center, "q03", "display")  # the broker was restarted: no last will has come
    center.fleet.revoked = lambda: frozenset({("q03", "display")})
    look(center, 1)
    page = visitor.page(java_script_enabled=False)
    page.goto(f"{center.url}/devices")
    live = visitor.open(f"{center.url}/devices")
    for each in (page, live):
        expect(each.locator("tbody td").first).to_have_text("Khóa đã thu hồi")
        expect(each.locator("td[data-c=remark]")).to_contain_text("cấp khóa mới (motcua provision) hoặc bỏ khỏi")
        expect(each.locator(".sum")).to_have_text("1 thiết bị cần xem lại")
        expect(each.locator("section li")).to_contain_text("khóa đã thu hồi")
    assert violations(live) == []
    assert live.locator(".frame").evaluate("node => node.scrollWidth <= node.clientWidth")
    button = live.locator("tbody").get_by_role("button")
    button.dblclick()
    expect(live.locator("tbody tr")).to_have_count(0)


@pytest.mark.browser
def test_the_last_day_is_drawn_by_height_and_said_in_words(center: Center, visitor: Visitor) -> None:
    """A strip tells by the height of its bars and in words how a device was, drawn alike by server and script."""
    report(center, "q03", "display", state="lost")
    page = visitor.page()
    page.goto(f"{center.url}/devices")
    wait_for(lambda: center.fleet._wake.set() or center.fleet.board.strips.get("q03/display", "").endswith("l"))
    strip = page.locator("tbody svg")
    expect(strip).to_have_attribute("aria-label", hours_in_words("0:00", "0:00", "0:15", "23:45"))
    expect(strip.locator("path[data-l=l]")).to_have_attribute("d", "M95 16V0H96V16z")
    drawn_live = strip.evaluate('node => node.outerHTML.replace(/ data-of="[^"]*"/, \'\')')
    bare = visitor.page(java_script_enabled=False)
    bare.goto(f"{center.url}/devices")
    assert bare.locator("tbody svg").evaluate("node => node.outerHTML") == drawn_live


def hours_in_words(well: str, warn: str, lost: str, none: str) -> str:
    """Return what a strip says to whom does not see it."""
    return f"24 giờ qua (giờ:phút): tốt {well}, cần chú ý {warn}, mất liên lạc {lost}, không có dữ liệu {none}"


def test_a_strip_becomes_bars() -> None:
    """What follows each other is one bar: low for well, middle for attention, full for lost."""
    strip = "--oowl" + "-" * (CELLS - 6)
    assert drawn(strip, "o") == "M2 16V10H4V16z"
    assert drawn(strip, "w") == "M4 16V5H5V16z"
    assert drawn(strip, "l") == "M5 16V0H6V16z"
    assert hours(strip) == {"well": "0:30", "warn": "0:15", "lost": "0:15", "none": "23:00"}


def test_the_api_says_what_can_be_done_about_a_device(center: Center) -> None:
    """Alerts are listed, acknowledged once, and a device is forgotten unless it is there; what is not is refused."""
    report(center, "q03", "display", state="lost")
    report(center, "q01", "rating")
    look(center, 1)
    (alert,) = center.http.get("/api/devices").json()["alerts"]
    assert (alert["kind"], alert["station"], alert["ended_at"]) == ("lost", "q03", None)
    seen = center.ask(f"/api/alerts/{alert['id']}/acknowledge")
    assert seen["acknowledged_by"] == "person:hanh"
    assert center.ask(f"/api/alerts/{alert['id']}/acknowledge") == seen
    assert center.post("/api/alerts/none/acknowledge").json()["code"] == "unknown_alert"
    there = center.post("/api/devices/q01/rating/forget")
    assert (there.status_code, there.json()["code"]) == (409, "device_there")
    assert center.ask("/api/devices/q03/display/forget") == {"device": "q03/display", "known": True}
    assert center.ask("/api/devices/q03/display/forget") == {"device": "q03/display", "known": False}
    look(center, 0)
    (past,) = center.http.get("/api/alerts").json()
    assert past["id"] == alert["id"]
    assert past["ended_at"] is not None
    assert center.http.get("/api/alerts", params={"before": past["begun_at"]}).json() == []


@pytest.mark.parametrize(
    ("token", "read", "act"), [("hanh-0", 200, 404), ("chi-0", 200, 403), ("ha-0", 403, 403), ("", 401, 401)]
)
def test_rights_over_devices(center: Center, token: str, read: int, act: int) -> None:
    """An administrator acts on devices and alerts, a director reads of them, everybody else does neither."""
    with center.client(token) as client:
        assert client.get("/api/alerts").status_code == read
        assert client.post("/api/alerts/none/acknowledge", json={}).status_code == act
        assert client.post("/api/devices/q/d/forget", json={}).status_code == {404: 200}.get(act, act)
