"""The notice for the wall: what it says is what this center does, and it fits a sheet of paper."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from center.config import Clips, Retention
from tests.center.web.site import Center, Visitor, violations

pytestmark = pytest.mark.browser

LONG = "Phòng 101, tầng 1, Trung tâm Phục vụ hành chính công tỉnh Bến Tre, điện thoại 0275 3822 000, số lẻ 12"


@pytest.fixture
def stored(tmp_path: Path) -> Clips:
    """The center with the most to say: a store of somebody else's, a key, and a long contact."""
    keys = tmp_path / "store.toml"
    keys.write_text('access_key = "a"\nsecret_key = "b"\n')
    keys.chmod(0o600)
    return Clips(contact=LONG[:100], reveal_key_file="/k", store="https://127.0.0.1:9/r", store_key_file=str(keys))


def text_of(center: Center) -> str:
    """Return the page's words, as somebody gets them who has not logged in."""
    with center.client() as nobody:
        answer = nobody.get("/cameras/notice")
    assert answer.status_code == 200
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.text))


def test_it_says_who_for_how_long_and_whom_to_ask(make_center: Callable[..., Center]) -> None:
    """Name, days and contact are the configuration's; what is never done is said in both languages."""
    center = make_center(
        retention=Retention(clips_days=14), clips=Clips(contact="Phòng 5, 0275 3822 000", reveal_key_file="/k")
    )
    said = text_of(center)
    assert "Trung tâm Phục vụ hành chính công tỉnh Bến Tre" in said
    assert "trong 14 ngày" in said
    assert "for 14 days" in said
    assert "Phòng 5, 0275 3822 000" in said
    assert "help desk" not in said
    for never in ("Không nhận dạng khuôn mặt", "No face recognition", "Không suy đoán cảm xúc", "Không ghi âm"):
        assert never in said
    assert "chỉ mở khi có lý do" in said


def test_it_promises_nothing_that_is_not_set_up(center: Center) -> None:
    """Without a key nobody sees a clear version, and it says so; without a contact it names the help desk."""
    said = text_of(center)
    assert "Không ai xem được bản rõ" in said
    assert "chỉ mở khi có lý do" not in said
    assert "Bàn hướng dẫn" in said


def test_it_says_where_recordings_are_kept_when_that_is_elsewhere(
    make_center: Callable[..., Center], stored: Clips
) -> None:
    """A store of somebody else's is said; a center that keeps them itself says nothing of it."""
    assert "bên ngoài máy chủ của trung tâm" in text_of(make_center(clips=stored))
    assert "bên ngoài" not in text_of(make_center())


@pytest.mark.parametrize("most", [False, True])
def test_it_is_one_sheet_of_a4(make_center: Callable[..., Center], visitor: Visitor, stored: Clips, most: bool) -> None:
    """Printed it is one page, without the screen's own bar, also with the most to say; axe finds nothing on it."""
    center = make_center(clips=stored if most else Clips(reveal_key_file="/k"))
    page = visitor.page(person="")
    page.goto(f"{center.url}/cameras/notice")
    assert violations(page) == []
    assert page.locator("header.top").is_visible()
    paper = page.pdf(prefer_css_page_size=True, print_background=True)
    assert len(re.findall(rb"/Type\s*/Page\b", paper)) == 1
    (box,) = re.findall(rb"/MediaBox\s*\[0 0 ([\d.]+) ([\d.]+)\]", paper)
    assert [round(float(side) / 72 * 25.4) for side in box] == [210, 297]
    page.emulate_media(media="print")
    assert page.locator("header.top").is_hidden()
    page.emulate_media(media="screen")
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") == 390
