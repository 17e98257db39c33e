"""Ending a session on a disk that is really full."""

import re
from pathlib import Path

import pytest

from tests.center.web.site import Center
from tests.support.disk import small_disk
from tests.support.waiting import wait_for


def test_an_administrator_puts_somebody_out_of_a_center_whose_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session is over at once, the page says what a restart would do, and with room the end is written."""
    monkeypatch.setattr("center.people.register._SWEEP_S", 0.2)
    with small_disk(tmp_path / "disk", kilobytes=2048) as disk:
        center = Center(disk.folder / "center")
        center.start()
        try:
            with center.client("ha-0") as officer:
                assert officer.get("/api/me").status_code == 200
                (mark,) = {one.mark for one in center.people.sessions("ha") if one.id == session_of(center, "ha-0")}
                disk.fill()
                assert center.http.post("/people", data={"do": "disable", "name": "ha"}).status_code == 503
                answer = center.http.post("/people", data={"do": "revoke", "session": mark})
                assert answer.status_code == 200
                assert "chưa ghi được vào ổ đĩa" in answer.text
                assert officer.get("/api/me").status_code == 401
                assert "Kết thúc phiên" not in log_of(center)
                disk.free()
                wait_for(lambda: "Kết thúc phiên đăng nhập của Trần Thu Hà (ha)" in log_of(center))
        finally:
            center.http.close()
            center.stop()


def session_of(center: Center, token: str) -> str:
    """Return the id of a token's session."""
    person = center.people.person(token)
    assert person is not None
    return person.session


def log_of(center: Center) -> str:
    """Return what the page shows of the audit log."""
    found = re.search('<section aria-labelledby="of-audit".*', center.http.get("/people").text, re.DOTALL)
    assert found is not None
    return found[0]
