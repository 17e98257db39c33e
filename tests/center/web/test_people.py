"""The pages for logging in and for the administrator, in a real browser."""

import pytest
from playwright.sync_api import expect

from tests.center.web.site import PASSWORD, Center, Visitor, violations

pytestmark = pytest.mark.browser
NEW = "xe đạp mưa chiều tím"


def test_a_new_officer_comes_to_the_desk(center: Center, visitor: Visitor) -> None:
    """An account is made, its password shown once; its owner chooses another one and comes to the desk asked for."""
    admin = visitor.page()
    admin.goto(f"{center.url}/people")
    admin.get_by_label("Họ và tên").fill("Nguyễn Văn An")
    admin.get_by_label("Tên đăng nhập").fill("an.nguyen")
    admin.get_by_role("button", name="Tạo tài khoản").click()
    given = admin.locator(".given").inner_text()
    assert violations(admin) == []
    admin.goto(f"{center.url}/people")
    assert given not in admin.content()
    expect(admin.locator(".accounts li", has_text="an.nguyen")).to_contain_text("Chưa đổi mật khẩu được cấp")

    page = visitor.page(person="")
    page.goto(f"{center.url}/counter/q02")
    assert violations(page) == []
    page.get_by_label("Tên đăng nhập").fill("An.Nguyen")
    page.get_by_label("Mật khẩu").fill("không đúng đâu")
    page.get_by_role("button", name="Đăng nhập").click()
    expect(page.get_by_role("alert")).to_have_text("Tên đăng nhập hoặc mật khẩu chưa đúng.")
    assert violations(page) == []
    page.get_by_label("Mật khẩu").fill(given)
    page.get_by_role("button", name="Đăng nhập").click()
    expect(page.get_by_text("Đây là lần đăng nhập đầu tiên")).to_be_visible()
    other = page.context.new_page()
    other.goto(f"{center.url}/counter/q02")
    expect(other.get_by_role("heading", name="Đổi mật khẩu")).to_be_visible()  # nothing else before that
    other.close()
    assert violations(page) == []
    for new, again, said in (
        ("matkhau2026", "matkhau2026", "dễ đoán"),
        (NEW, NEW + "x", "không giống nhau"),
        (NEW, NEW, ""),
    ):
        page.get_by_label("Mật khẩu hiện tại").fill(given)
        page.get_by_label("Mật khẩu mới", exact=True).fill(new)
        page.get_by_label("Nhập lại mật khẩu mới").fill(again)
        change = page.get_by_role("button", name="Đổi mật khẩu")
        if said:
            change.click()
            expect(page.get_by_role("alert")).to_contain_text(said)
        else:
            with page.expect_response(lambda response: "/stream" in response.url):  # the desk is live from then on
                change.click()
    page.get_by_role("button", name="Mở quầy").click()
    expect(page.locator(".pill")).to_have_text("Đang mở")
    assert center.state()["counters"][1]["officer"] == "Nguyễn Văn An"


def test_a_desk_whose_login_has_ended_goes_to_the_login_and_back(center: Center, visitor: Visitor) -> None:
    """An administrator ends a session: its desk shows the login at once, and after it the same desk again."""
    page = visitor.open(f"{center.url}/counter/q01", person="ha")
    admin = visitor.page()
    admin.goto(f"{center.url}/people")
    mark = center.hub.leases.holder("q01")
    assert mark is not None
    row = admin.locator("tr", has=admin.locator(f'input[value="{mark.mark}"]'))
    row.locator("summary").click()
    expect(row).to_contain_text("Trần Thu Hà đang làm việc ở quầy 1.")
    row.get_by_role("button", name="Kết thúc").click()
    expect(admin.get_by_role("status")).to_have_text("Đã kết thúc phiên đăng nhập.")
    expect(page.get_by_role("heading", name="Đăng nhập")).to_be_visible()
    page.get_by_label("Tên đăng nhập").fill("ha")
    page.get_by_label("Mật khẩu").fill(PASSWORD)
    page.get_by_role("button", name="Đăng nhập").click()
    expect(page.locator(".pill")).to_have_text("Đã đóng")
    page.get_by_role("button", name="Đăng xuất").click()
    expect(page.get_by_role("heading", name="Đăng nhập")).to_be_visible()


def test_an_officer_moves_to_another_counter_on_purpose(center: Center, visitor: Visitor) -> None:
    """Whoever opens a second counter is told where they work, and moves there with one press."""
    first = visitor.open(f"{center.url}/counter/q01", person="ha")
    second = visitor.open(f"{center.url}/counter/q03", person="ha")
    expect(second.locator(".bar")).to_contain_text("Anh/chị đang làm việc ở quầy 1.")
    second.get_by_role("button", name="Làm việc ở máy này").click()
    expect(second.locator(".bar")).to_be_hidden()
    expect(first.locator(".bar")).to_contain_text("Anh/chị đang làm việc ở quầy 3.")


@pytest.mark.parametrize("language", ["vi", "en"])
def test_the_administrator_s_page_hinders_nobody(center: Center, visitor: Visitor, language: str) -> None:
    """It has no accessibility violation, in both languages, and fits a phone."""
    page = visitor.page(width=390, height=844)
    page.goto(f"{center.url}/people?lang={language}")
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert min(page.locator(".whom").evaluate_all("nodes => nodes.map(node => node.clientWidth)")) > 250
    row = page.locator("li", has_text="dung")
    row.locator("summary", has_text="Khóa" if language == "vi" else "Disable").click()
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    row.get_by_role("button", name="Khóa" if language == "vi" else "Disable").click()
    expect(row).to_contain_text("Đã khóa" if language == "vi" else "Disabled")
    log = page.locator("#audit tbody tr").first
    expect(log).to_contain_text("Nguyễn Thị Hạnh")
    said = "Khóa tài khoản của Lê Văn Dũng (dung)" if language == "vi" else "Disabled the account of Lê Văn Dũng (dung)"
    expect(log).to_contain_text(said)


@pytest.mark.parametrize("scripts", [True, False])
def test_nothing_is_done_to_anybody_by_one_press(center: Center, visitor: Visitor, scripts: bool) -> None:
    """A press asks first, by keyboard too and without a script; the same key takes it back, the answer does it."""
    page = visitor.page(java_script_enabled=scripts)
    page.goto(f"{center.url}/people")
    row = page.locator("li", has_text="Trần Thu Hà")
    asked = row.get_by_text("Khóa tài khoản của Trần Thu Hà? Mọi máy của người này bị đăng xuất ngay.")
    summary = row.locator("summary", has_text="Khóa")
    summary.focus()
    page.keyboard.press("Enter")
    expect(asked).to_be_visible()
    page.keyboard.press("Enter")
    expect(asked).to_be_hidden()
    assert not any(one.disabled for one in center.people.accounts())
    summary.dblclick()
    expect(asked).to_be_hidden()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_have_text("Đã khóa tài khoản của Trần Thu Hà.")
    assert [one.name for one in center.people.accounts() if one.disabled] == ["ha"]


def test_a_refused_account_keeps_what_was_typed(center: Center, visitor: Visitor) -> None:
    """Who picked a name that is taken corrects the name alone: the field at fault has the focus, the rest stays."""
    page = visitor.page()
    page.goto(f"{center.url}/people")
    page.get_by_label("Họ và tên").fill('Trần "Hà" <Em>')
    page.get_by_label("Tên đăng nhập").fill("ha")
    page.get_by_label("Vai trò", exact=True).select_option("director")
    page.get_by_role("button", name="Tạo tài khoản").click()
    expect(page.get_by_role("alert")).to_have_text("Đã có tài khoản ha.")
    expect(page.get_by_label("Họ và tên")).to_have_value('Trần "Hà" <Em>')
    expect(page.get_by_label("Vai trò", exact=True)).to_have_value("director")
    expect(page.get_by_label("Tên đăng nhập")).to_be_focused()
    assert violations(page) == []
    page.get_by_label("Tên đăng nhập").fill("ha.tran")
    page.get_by_role("button", name="Tạo tài khoản").click()
    expect(page.get_by_role("status")).to_contain_text("Mật khẩu được cấp cho Trần")
    expect(page.get_by_label("Họ và tên")).to_have_value("")


def test_nobody_shuts_themselves_or_everybody_out(center: Center, visitor: Visitor) -> None:
    """The page offers neither for one's own account nor for the last administrator's, and the center refuses both."""
    page = visitor.page()
    page.goto(f"{center.url}/people")
    own = page.locator(".accounts li", has_text="Nguyễn Thị Hạnh")
    expect(own.locator("summary")).to_have_count(0)
    expect(own.get_by_role("link", name="Đổi mật khẩu")).to_be_visible()
    expect(own).to_contain_text("Quản trị viên cuối cùng")
    for form, code, said in (
        ({"do": "disable"}, 409, "Không ai tự khóa hay tự đổi vai trò của mình được."),
        ({"do": "role", "role": "officer"}, 409, "Không ai tự khóa hay tự đổi vai trò của mình được."),
        ({"do": "reset"}, 409, "Xin đổi mật khẩu của chính mình ở trang Đổi mật khẩu."),
    ):
        answer = center.http.post("/people", data={**form, "name": "hanh"})
        assert (answer.status_code, said in answer.text) == (code, True)
    center.http.post("/people", data={"do": "role", "name": "chi", "role": "administrator"})
    page.reload()
    expect(page.get_by_text("Quản trị viên cuối cùng")).to_have_count(0)
    other = page.locator(".accounts li", has_text="Phạm Lan Chi")
    expect(other.locator("summary")).to_have_count(3)
    other.locator("summary", has_text="Đổi vai trò").click()
    expect(other.locator("option")).to_have_text(["Cán bộ", "Giám sát viên", "Lãnh đạo"])  # any other than hers
    other.get_by_role("button", name="Đổi vai trò").click()
    expect(page.get_by_role("status")).to_have_text("Đã đổi vai trò của Phạm Lan Chi.")
    expect(other.locator(".role")).to_have_text("Cán bộ")


def test_a_page_for_others_says_so(center: Center, visitor: Visitor) -> None:
    """An officer who opens the administrator's page reads as whom they are logged in, and finds the way back."""
    page = visitor.page(person="ha")
    page.goto(f"{center.url}/people")
    expect(page.get_by_text("Anh/chị đang đăng nhập là Trần Thu Hà, Cán bộ.")).to_be_visible()
    assert violations(page) == []
    page.get_by_role("link", name="Về danh sách màn hình").click()
    expect(page.get_by_role("link", name="Người dùng")).to_have_count(0)
