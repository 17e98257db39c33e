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
        page.get_by_role("button", name="Đổi mật khẩu").click()
        if said:
            expect(page.get_by_role("alert")).to_contain_text(said)
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
    admin.locator(f'input[value="{mark.mark}"] + button').click()
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
    expect(second.locator(".bar")).to_contain_text("Ông/bà đang làm việc ở quầy 1.")
    second.get_by_role("button", name="Làm việc ở máy này").click()
    expect(second.locator(".bar")).to_be_hidden()
    expect(first.locator(".bar")).to_contain_text("Ông/bà đang làm việc ở quầy 3.")


@pytest.mark.parametrize("language", ["vi", "en"])
def test_the_administrator_s_page_hinders_nobody(center: Center, visitor: Visitor, language: str) -> None:
    """It has no accessibility violation, in both languages, and fits a phone."""
    page = visitor.page(width=390, height=844)
    page.goto(f"{center.url}/people?lang={language}")
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert min(page.locator(".whom").evaluate_all("nodes => nodes.map(node => node.clientWidth)")) > 250
    own = page.locator("li", has_text="hanh").get_by_role("button")
    assert own.count() == 2  # role and password: one press on one's own account does not shut one out
    page.locator("li", has_text="dung").get_by_role("button", name="Khóa" if language == "vi" else "Disable").click()
    expect(page.locator("li", has_text="dung")).to_contain_text("Đã khóa" if language == "vi" else "Disabled")
    row = page.locator("#audit tbody tr").first
    expect(row).to_contain_text("Khóa tài khoản" if language == "vi" else "Disabled an account")
    expect(row).to_contain_text("person:hanh")


def test_a_page_for_others_says_so(center: Center, visitor: Visitor) -> None:
    """An officer who opens the administrator's page reads as whom they are logged in, and finds the way back."""
    page = visitor.page(person="ha")
    page.goto(f"{center.url}/people")
    expect(page.get_by_text("Ông/bà đang đăng nhập là Trần Thu Hà, Cán bộ.")).to_be_visible()
    assert violations(page) == []
    page.get_by_role("link", name="Về danh sách màn hình").click()
    expect(page.get_by_role("link", name="Người dùng")).to_have_count(0)
