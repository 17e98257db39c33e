"""The audit log in sentences."""

import ast
from pathlib import Path

import pytest

import center
from center.audit import Written
from center.web.deeds import SENTENCES, Deeds
from center.web.words import WORDS, Language

NAMES = {"hanh": "Nguyễn Thị Hạnh", "ha": "Trần Thu Hà"}
WRITES = {"_entry": 1, "_change": 1, "record": 1}
"""Functions that add to the log, and which of their arguments is the action."""


def deeds(lang: Language = "vi") -> Deeds:
    """Return the words of a center whose counter q01 is called 1."""
    return Deeds(lang, NAMES, {"q01": "1"}.get, "Cổng đăng nhập tỉnh")  # type: ignore[arg-type]


def entry(action: str, what: str = "", detail: str = "", *, actor: str = "person:hanh") -> Written:
    """Return an entry as the log has it."""
    return Written(seq=1, at=0, actor=actor, action=action, object=what, detail=detail)


@pytest.mark.parametrize(
    ("action", "what", "detail", "said"),
    [
        ("login", "ha", "from 10.0.0.7", "Đăng nhập từ máy 10.0.0.7"),
        ("login", "ha", "from fe80::1, by oidc", "Đăng nhập bằng Cổng đăng nhập tỉnh, từ máy fe80::1"),
        ("login_failed", "ha", "3 in a row", "Nhập sai mật khẩu của Trần Thu Hà (ha), lần thứ 3 liên tiếp"),
        ("login_failed", "ha", "3 in a row, 2100 today", "Nhập sai mật khẩu của Trần Thu Hà (ha), lần thứ 3 liên tiếp"),
        ("login_failed", "", "no such account", "Nhập tên đăng nhập không có"),
        ("login_refused", "ha", "disabled", "Không được đăng nhập: tài khoản của Trần Thu Hà (ha) đang khóa"),
        ("account_made", "ha", "Trần, Hà, officer", "Tạo tài khoản cho Trần Thu Hà (ha), vai trò Cán bộ"),
        ("role_changed", "ha", "officer -> director", "Đổi vai trò của Trần Thu Hà (ha): Cán bộ thành Lãnh đạo"),
        ("session_revoked", "ha", "from 10.0.0.7", "Kết thúc phiên đăng nhập của Trần Thu Hà (ha) ở máy 10.0.0.7"),
        ("desk_taken_over", "q01", "from ha", "Thay Trần Thu Hà (ha) ở quầy 1"),
        ("refused", "/people", "as officer", "Bị từ chối vì Cán bộ không có quyền: /people"),
        ("key_revoked", "q03/rating", "serial 1f, until 2027-12-26", "Thu hồi khóa của thiết bị q03/rating (số 1f)"),
        ("key_issued", "q03/rating", "serial 1f, until 2027-12-26",
         "Cấp khóa cho thiết bị q03/rating, dùng đến 26/12/2027"),
        ("alert_acknowledged", "q03/rating", "lost 0197", "Đã xem cảnh báo của q03/rating: mất liên lạc"),
        ("password_reset", "gone", "", "Cấp lại mật khẩu cho gone"),
    ],
)  # fmt: skip
def test_an_entry_is_a_sentence(action: str, what: str, detail: str, said: str) -> None:
    """An administrator reads what was done to whom, by names, without English and without codes."""
    assert deeds().what(entry(action, what, detail)) == said


@pytest.mark.parametrize(
    ("actor", "said"),
    [
        ("person:ha", "Trần Thu Hà"),
        ("person:gone", "gone"),
        ("http:10.0.0.7", "Máy 10.0.0.7"),
        ("technician:uid 0", "Kỹ thuật viên, trên máy chủ"),
        ("technician", "Kỹ thuật viên, trên máy chủ"),
        ("device:q03/keys", "Thiết bị tại q03"),
        ("center", "Trung tâm"),
        ("oidc", "Cổng đăng nhập tỉnh"),
        ("something new", "something new"),
    ],
)
def test_who_did_it_has_a_name(actor: str, said: str) -> None:
    """Whoever did it is called as people call them; a word of another version is shown as it stands."""
    assert deeds().who(entry("login", actor=actor)) == said


def test_what_another_version_wrote_is_shown_as_it_stands() -> None:
    """An unknown action, or a detail of another shape, loses nothing."""
    assert deeds().what(entry("moon_landed", "q01", "at once")) == "moon_landed q01 at once"
    assert deeds().what(entry("role_changed", "ha", "?")) == "role_changed ha ?"


def test_every_action_that_the_center_writes_has_sentences_in_both_languages() -> None:
    """Nothing that the center writes into the log is left without words."""
    known = {action for action, _, _ in SENTENCES}
    written = set().union(*(actions(file) for file in Path(center.__file__).parent.rglob("*.py")))
    assert {"login", "desk_taken_over", "alert_acknowledged", "key_revoked", "account_enabled"} <= written
    assert written <= known
    assert {key for _, _, key in SENTENCES} <= set(WORDS)


def actions(file: Path) -> set[str]:
    """Return the actions that a file's calls write, and its constants that are some."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            given = [each.value for each in node.keywords if each.arg == "action"] if name == "Entry" else []
            given += node.args[WRITES[name] : WRITES[name] + 1] if name in WRITES else []
            for each in given:
                found |= {one.value for one in ast.walk(each) if isinstance(one, ast.Constant)}
        elif isinstance(node, ast.Assign):
            found |= {one for one in texts(node) if one.startswith(("key_", "account_")) and one.endswith("ed")}
    return {one for one in found if isinstance(one, str) and one}


def texts(node: ast.AST) -> set[str]:
    """Return the strings in a piece of program."""
    return {one.value for one in ast.walk(node) if isinstance(one, ast.Constant) and isinstance(one.value, str)}
