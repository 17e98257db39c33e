"""Settings of cameras and what people have kept, over HTTP."""

from datetime import datetime
from typing import Any

import httpx
import pytest

from center.answers import Arrival, Delivery, Panic
from contract.codec import decode
from contract.states import CameraDesired
from tests.center.web.site import Center
from tests.center.web.test_pages import report
from tests.support.waiting import wait_for

NOTHING: dict[str, Any] = {"revision": 0, "zones": None, "masks": None, "kinds": None, "hours": None}
CITIZEN = {"name": "citizen", "points": [[0.0, 0.2], [0.5, 0.2], [0.5, 1.0], [0.0, 1.0]]}
BOW = {"name": "citizen", "points": [[0.1, 0.1], [0.9, 0.9], [0.9, 0.1], [0.1, 0.9]]}
HOURS = [{"days": [1, 2, 3, 4, 5], "begin": "07:30", "end": "11:30"}]


@pytest.fixture
def told(center: Center) -> list[CameraDesired]:
    """What the camera at counter 1 is told."""
    heard: list[CameraDesired] = []

    def publish(_topic: str, payload: bytes) -> bool:
        heard.append(decode(payload, CameraDesired))
        return True

    center.wishes.speak(publish)
    report(center, "q01", "camera")
    wait_for(lambda: heard)
    return heard


def put(center: Center, who: str = "dung-0", station: str = "q01", **settings: Any) -> httpx.Response:
    """Change settings."""
    with center.client(who) as client:
        return client.put(f"/api/cameras/{station}", json={**NOTHING, **settings})


def keep(center: Center, key: str = "k", who: str = "dung-0", station: str = "q01", **wanted: Any) -> httpx.Response:
    """Have an interval kept."""
    with center.client(who) as client:
        body = {"before_s": 30, "after_s": 60, **wanted}
        return client.post(f"/api/cameras/{station}/keep", json=body, headers={"Idempotency-Key": key})


def test_a_supervisor_sets_a_camera(center: Center, told: list[CameraDesired]) -> None:
    """What was set is shown again, and the camera has it before the answer is read; the audit log says who."""
    assert center.http.get("/api/cameras/q01").json() == {"station": "q01", **NOTHING, "keeps": []}
    answer = put(center, zones=[CITIZEN], kinds=["panic"], hours=HOURS)
    assert answer.status_code == 200
    shown = {**NOTHING, "revision": 1, "zones": [CITIZEN], "kinds": ["panic"], "hours": HOURS}
    assert answer.json() == {"station": "q01", **shown, "keeps": []} == center.http.get("/api/cameras/q01").json()
    wait_for(lambda: told[-1].kinds == ("panic",))
    assert told[-1].masks is None
    page = center.http.get("/people").text
    assert "Đổi cài đặt camera ở quầy 1: zones, kinds, hours" in page


def test_who_saw_older_settings_is_refused(center: Center, told: list[CameraDesired]) -> None:
    """Of two who change the same settings the second is told so, and nothing of it is done."""
    assert put(center, kinds=["panic"]).status_code == 200
    answer = put(center, "hanh-1", kinds=["tamper"])
    assert (answer.status_code, answer.json()["code"]) == (409, "settings_stale")
    assert told[-1].kinds != ("tamper",)
    assert put(center, "hanh-1", kinds=["tamper"], revision=1).json()["revision"] == 2


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"zones": [BOW]}, "zones.citizen", "its sides 1 and 3 cross; name the corners in turn"),
    ({"masks": [{"name": "screen", "points": BOW["points"]}]}, "masks.screen", "cross"),
    ({"kinds": ["loitering"]}, "kinds", "must be of waiting_alone"),
    ({"hours": [{**HOURS[0], "end": "06:00"}]}, "hours", "must end later on the day they begin"),
    ({"zones": [{"name": "citizen", "points": [[0, 0], [2, 0], [1, 1]]}]}, "zones[0].points[1][0]", "<= 1"),
    ({"zones": [CITIZEN] * 17}, "zones", "length <= 16"),
    ({"masks": "none"}, "masks", "Expected"),
    ({"fps": 25}, "fps", "unknown"),
]


def test_what_cannot_be_meant_names_its_zone(center: Center, told: list[CameraDesired]) -> None:
    """A refusal says which zone or key is wrong and why, and changes nothing."""
    for settings, field, reason in WRONG:
        answer = put(center, **settings)
        assert answer.status_code == 422, answer.text
        (wrong,) = answer.json()["fields"]
        assert wrong["field"] == field
        assert reason in wrong["reason"]
    assert center.http.get("/api/cameras/q01").json()["revision"] == 0
    assert not any(one.zones or one.masks or one.kinds or one.hours for one in told)


def test_where_no_camera_is_nothing_can_be_set(center: Center) -> None:
    """A counter without a camera, and a place that does not exist, are said to have none."""
    for station in ("q02", "nowhere"):
        assert put(center, station=station).json()["code"] == "unknown_camera"
        assert center.http.get(f"/api/cameras/{station}").status_code == 404


def test_an_interval_is_kept(center: Center, told: list[CameraDesired]) -> None:
    """A supervisor has seconds before and after now kept, once for each key; it is listed with name and note."""
    answer = keep(center, note="  khách to tiếng ")
    assert answer.status_code == 201, answer.text
    kept = answer.json()
    assert (kept["asked_by"], kept["note"], kept["missed"], kept["done_at"]) == (
        "person:dung", "khách to tiếng", False, None,
    )  # fmt: skip
    assert keep(center, note="  khách to tiếng ").json() == kept
    assert center.http.get("/api/cameras/q01").json()["keeps"] == [kept]
    wait_for(lambda: told[-1].keep)
    (asked,) = told[-1].keep
    assert (asked.id, asked.before_s, asked.after_s) == (kept["id"], 30, 60)
    assert "Giữ lại hình ở quầy 1: 30 giây trước, 60 giây sau" in center.http.get("/people").text


def test_a_key_of_another_ask_keeps_this_one_too(center: Center) -> None:
    """A program that uses a key twice, at another counter or for another interval, has both kept."""
    report(center, "q01", "camera")
    report(center, "q02", "camera")
    wait_for(lambda: all(center.http.get(f"/api/cameras/{at}").status_code == 200 for at in ("q01", "q02")))
    kept = [keep(center), keep(center, station="q02"), keep(center, after_s=61)]
    assert [each.status_code for each in kept] == [201] * 3
    assert len({each.json()["id"] for each in kept}) == 3
    assert len(center.http.get("/api/cameras/q02").json()["keeps"]) == 1


def test_more_than_there_is_cannot_be_kept(center: Center, told: list[CameraDesired]) -> None:
    """No camera has more than a minute of what was, and none keeps longer than an hour of what comes."""
    for wanted in ({"before_s": 61}, {"after_s": -1}, {"note": "x" * 201}, {"ticket": "t"}):
        answer = keep(center, **wanted)
        assert answer.status_code == 422
        assert [one["field"] for one in answer.json()["fields"]] == list(wanted)
    assert told[-1].keep == ()


def test_a_camera_that_is_away_keeps_nothing(center: Center, told: list[CameraDesired]) -> None:
    """Who asks while the camera is not there is told so at once: heard later it would be another interval."""
    report(center, "q01", "camera", state="lost")
    answer = keep(center)
    assert (answer.status_code, answer.json()["code"]) == (409, "camera_away")
    assert "Camera đang mất liên lạc" in answer.json()["message"]
    assert told[-1].keep == ()


def test_who_may_come_to_help_is_told_where(center: Center) -> None:
    """Panic keys stand above the first page and the review, with counter and time; officers see nothing."""
    at = center.hall.now_ms()
    row = {
        "id": "p-1", "type": "vn.motcua.callpad.panic.v1", "source": "/bentre/q01/callpad", "stream": "s",
        "sequence": 1, "time": at, "clock_synced": True, "occurred_at": at, "received_at": at, "body": "{}",
    }  # fmt: skip
    told = Arrival(row=row, panic=Panic("p-1", "q01", "callpad", at))
    assert center.hall.ingest(Delivery(arrivals=[told])).result(30) == "stored"
    wait_for(lambda: center.fleet.board.alerts)
    when = datetime.fromtimestamp(at / 1000, center.config.zone).strftime("%H:%M")
    said = f"Quầy 1 gọi khẩn cấp lúc {when}. Xin đến ngay."
    for who, path, shown in [
        ("dung-1", "/", True), ("dung-2", "/review", True), ("chi-1", "/", True),
        ("ha-1", "/", False), ("", "/", False),
    ]:  # fmt: skip
        with center.client(who) as client:
            assert (said in client.get(path).text) is shown, (who, path)
