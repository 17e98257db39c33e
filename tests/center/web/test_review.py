"""The review pages: recordings in parts, looks that are logged first, holds, clear versions; and in a real browser."""

import hashlib
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from html import unescape
from io import StringIO
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from playwright.sync_api import Page, expect

from center import audit, cli
from center.cameras import revealing, reviews
from center.cameras.bucket import AwayError
from center.cameras.revealing import LOGIN_MS
from center.cameras.uploads import READERS
from center.config import Clips
from center.doctor import clear
from center.errors import StoreError
from center.hall import Hall
from center.people.messages import CATALOGUE
from center.storage import tables
from center.web.words import WORDS
from host.sealing import make_keys
from tests.center.web.site import Center, Visitor, violations
from tests.support.film import Film, arrive, cut, film, happen, keep, walking
from tests.support.waiting import wait_for

PEM, PUBLIC = make_keys()
REASON = "khiếu nại số 12 của bộ phận"
LIMIT = 30 * 1024
BEGIN_S, LASTED_S, SECONDS = 2, 3, 6


@pytest.fixture(scope="module")
def made() -> Film:
    """A recording of six seconds: a citizen comes, an officer after them."""
    return film(walking((1, 9), (5, 9)), seconds=SECONDS, key=PUBLIC, name="c-1")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Center]:
    """A center whose recordings all tests here ask that change nothing of others."""
    one = start(tmp_path_factory.mktemp("review") / "center")
    together = threading.Barrier(READERS + 1)  # all its threads are there before a test looks
    for _ in range(READERS):
        one.uploads._readers.submit(together.wait)
    together.wait(30)
    yield one
    one.http.close()
    one.stop()


@pytest.fixture
def center(tmp_path: Path) -> Iterator[Center]:
    """A center of one's own."""
    one = start(tmp_path / "center")
    yield one
    one.http.close()
    one.stop()


def start(folder: Path) -> Center:
    """Start a center with a key for clear versions."""
    folder.mkdir(parents=True)
    key = folder / "clips.key"
    key.write_text(PEM)
    one = Center(folder, clips=Clips(spare_gb=0, reveal_key_file=str(key)))
    one.start()
    return one


def report(center: Center, made: Film | None, *, name: str = "1", minutes_ago: float = 5, **said: Any) -> str:
    """Have an incident reported and its recording come; returns its key."""
    at = center.hall.now_ms() - round(minutes_ago * 60_000)
    clip = {key: said.pop(key) for key in ("held", "seconds") if key in said}
    station = said.get("station", "q01")
    arrive(
        center.hall, center.uploads.vault, made, name=f"c-{name}", start=at - BEGIN_S * 1000, station=station, **clip
    )
    more = {"lasted_ms": LASTED_S * 1000, "jpeg": made.jpeg if made else b"", **said}
    return happen(center.hall, name=f"i-{name}", at=at, recorded=f"c-{name}", before_s=BEGIN_S, seconds=SECONDS, **more)


@pytest.fixture(scope="module")
def key(shared: Center, made: Film) -> str:
    """An incident with its recording, at the center that tests share."""
    return report(shared, made)


@pytest.fixture
def dung(shared: Center) -> Iterator[httpx.Client]:
    """A supervisor's program."""
    with shared.client("dung-0") as client:
        yield client


def entries(center: Center) -> list[tuple[str, str, str, str]]:
    """Return what the audit log says of recordings, the oldest first."""
    found = center.hall.transact(lambda rows: audit.newest(rows, None, 100)).result(30)
    of_clips = [one for one in reversed(found) if one.action.startswith(("clip_", "incident_"))]
    return [(one.actor, one.action, one.object, one.detail) for one in of_clips]


def act(client: httpx.Client, key: str, do: str, **form: str) -> httpx.Response:
    """Press a button of an incident's page."""
    return client.post(f"/review/{key}", data={"do": do, **form}, follow_redirects=True)


def test_staff_and_citizens_are_each_called_as_is_due() -> None:
    """What only staff read says anh/chị; what hangs on the wall for citizens says ông/bà."""
    staff = [vi for key, (vi, _) in WORDS.items() if key.startswith(("review_", "reveal_", "clip_", "did_"))]
    staff += [vi for vi, _ in CATALOGUE.values()]
    citizens = [vi for key, (vi, _) in WORDS.items() if key.startswith(("notice_", "kiosk_", "rate_"))]
    assert [vi for vi in staff if "ông/bà" in vi.lower()] == []
    assert [vi for vi in citizens if "anh/chị" in vi.lower()] == []


# --- recordings in parts -------------------------------------------------------------------------------------------


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(first=st.one_of(st.none(), st.integers(0, 2**18)), last=st.one_of(st.none(), st.integers(0, 2**18)))
def test_every_part_is_the_recordings_own(
    shared: Center, made: Film, key: str, dung: httpx.Client, first: int | None, last: int | None
) -> None:
    """Whatever part a player asks for, it gets these very bytes, their place and length, and the hash as their tag."""
    del shared
    size = len(made.shown)
    text = f"bytes={'' if first is None else first}-{'' if last is None else last}"
    answer = dung.get(f"/review/{key}/video", headers={"Range": text})
    assert answer.headers["cache-control"] == "no-store"
    if answer.status_code == 416:
        assert answer.headers["content-range"] == f"bytes */{size}"
        assert answer.content == b""
        return
    assert answer.headers["etag"] == f'"{hashlib.sha256(made.shown).hexdigest()}"'
    assert answer.headers["accept-ranges"] == "bytes"
    assert int(answer.headers["content-length"]) == len(answer.content)
    if answer.status_code == 200:
        assert answer.content == made.shown
        return
    place = re.fullmatch(rf"bytes (\d+)-(\d+)/{size}", answer.headers["content-range"])
    assert (answer.status_code, place is not None) == (206, True)
    assert place is not None
    assert answer.content == made.shown[int(place[1]) : int(place[2]) + 1] != b""


def test_a_player_never_joins_two_recordings(made: Film, key: str, dung: httpx.Client) -> None:
    """`If-Range` with this recording's tag goes on; with another one all of it is sent."""
    tag = dung.get(f"/review/{key}/video", headers={"Range": "bytes=0-0"}).headers["etag"]
    same = dung.get(f"/review/{key}/video", headers={"Range": "bytes=5-", "If-Range": tag})
    other = dung.get(f"/review/{key}/video", headers={"Range": "bytes=5-", "If-Range": '"other"'})
    assert (same.status_code, same.content) == (206, made.shown[5:])
    assert (other.status_code, other.content) == (200, made.shown)


def test_what_is_not_there_is_404(center: Center, made: Film) -> None:
    """A recording that has not come, was wiped, or whose file is gone; an incident without one; no incident at all."""
    coming = report(center, None, name="coming")
    wiped = report(center, made, name="wiped")
    gone = report(center, film(walking(None, None), seconds=1), name="gone")
    without = happen(center.hall, name="i-without", at=center.hall.now_ms())
    center.uploads.vault.delete(hashlib.sha256(made.shown).hexdigest())
    vault = center.uploads.vault
    for sha256 in list(vault.list()):
        vault.delete(sha256)
    with center.client("dung-0") as client:
        for each in (coming, wiped, gone, without, "i" + "0" * 32, "c" + "0" * 32, "x", "..%2f"):
            assert client.get(f"/review/{each}/video").status_code == 404, each
        assert [client.get(f"/review/{each}").status_code for each in (coming, "i" + "0" * 32, "x")] == [200, 404, 404]
        assert "chưa về trung tâm" in client.get(f"/review/{coming}").text
    assert [each for each in entries(center) if each[1] == "clip_seen"] == []


# --- looks ---------------------------------------------------------------------------------------------------------


def test_a_look_is_in_the_log_before_the_first_byte(
    center: Center, made: Film, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the log cannot be written nothing of the recording goes out; where it can, one line is for many parts."""
    key = report(center, made)
    transact = Hall.transact

    def full(self: Hall, job: Callable[[Any], Any]) -> "Future[Any]":
        if "note_look" in getattr(job, "__code__", full.__code__).co_names:
            future: Future[Any] = Future()
            future.set_exception(StoreError("full", full=True))
            return future
        return transact(self, job)

    with center.client("dung-0") as dung, center.client("chi-0") as chi:
        with monkeypatch.context() as patched:
            patched.setattr(Hall, "transact", full)
            answer = dung.get(f"/review/{key}/video", headers={"Range": "bytes=0-9"})
            assert answer.status_code == 503
            assert made.shown[:10] not in answer.content
        assert entries(center) == []
        for client in (dung, dung, chi, dung):
            assert client.get(f"/review/{key}/video", headers={"Range": "bytes=0-9"}).content == made.shown[:10]
        assert entries(center) == [
            ("person:dung", "clip_seen", "q01/camera c-1", ""),
            ("person:chi", "clip_seen", "q01/camera c-1", ""),
        ]
        page = chi.get(f"/review/{key}").text
    looks = page[page.index("Ai đã xem đoạn này") :]
    assert looks.index("Phạm Lan Chi") < looks.index("Lê Văn Dũng")


def test_only_who_reviews_sees_anything(center: Center, made: Film) -> None:
    """An officer and an administrator get no picture, no list, no recording, and may review and hold nothing."""
    key = report(center, made)
    for who in ("ha-0", "hanh-0"):
        with center.client(who) as client:
            for path in ("/review", f"/review/{key}", f"/review/{key}/picture", f"/review/{key}/video"):
                assert client.get(path).status_code == 403
            assert act(client, key, "review").status_code == 403
    assert entries(center) == []


# --- reviews and holds ---------------------------------------------------------------------------------------------


def test_a_review_has_a_name_a_time_and_a_note(center: Center, made: Film) -> None:
    """Who reviews is who is logged in; a further review is added, and nobody can put words into another's mouth."""
    key = report(center, made)
    with center.client("dung-0") as dung, center.client("chi-0") as chi:
        said = act(dung, key, "review", note="Đi lấy hồ sơ <b>", by="person:chi")
        assert "Đã ghi nhận." in said.text
        assert "Đi lấy hồ sơ &lt;b&gt;" in said.text
        assert "Chưa xem" not in said.text
        act(chi, key, "review", note="Đồng ý")
        page = chi.get(f"/review/{key}").text
        assert page.index("Đồng ý") < page.index("Đi lấy hồ sơ")
        assert "Đã xem: Phạm Lan Chi" in chi.get("/review").text
    assert [(actor, what) for actor, what, _, _ in entries(center)] == [
        ("person:dung", "incident_reviewed"),
        ("person:chi", "incident_reviewed"),
    ]


def test_after_a_review_comes_the_next_that_is_asked_for(center: Center, made: Film) -> None:
    """Whoever works through what is not yet reviewed goes from one to the next, and at the end back to the list."""
    newer, older = report(center, made, name="2", minutes_ago=1), report(center, made, name="1", minutes_ago=9)
    with center.client("dung-0") as dung:
        for key, to in ((newer, f"/review/{older}?unseen=1"), (older, "/review?unseen=1")):
            answer = dung.post(f"/review/{key}?unseen=1", data={"do": "next"})
            assert (answer.status_code, answer.headers["location"]) == (303, to)
        assert "Đã xem hết" in dung.get("/review").text


def test_a_hold_needs_a_reason_and_is_told(center: Center, made: Film) -> None:
    """Without a reason nothing is held; who holds, releases, and why stands on the page and in the audit log."""
    key = report(center, made)
    with center.client("dung-0") as dung:
        for little in ("  ", "aaaa", "aaaaaaaa aaaa", "khiếu_nại_số_12", "xem lại"):
            assert "ít nhất hai từ" in (refused := act(dung, key, "hold", reason=little)).text
            assert refused.status_code == 409
        assert "không bị xóa theo hạn" in act(dung, key, "hold", reason="khiếu nại 12").text
        assert "Đã có người giữ" in act(dung, key, "hold", reason="giữ thêm lần nữa").text
        assert "Đang giữ" in dung.get("/review").text
        page = act(dung, key, "release").text
        assert "khiếu nại 12" in page
        assert "bỏ giữ lúc" in page
    assert entries(center) == [
        ("person:dung", "clip_held", "q01/camera c-1", "khiếu nại 12"),
        ("person:dung", "clip_released", "q01/camera c-1", ""),
    ]


def test_a_hold_that_cannot_be_kept_is_said(center: Center, made: Film, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the store takes nothing, a hold is refused as such and nothing is held, then or later."""
    key = report(center, made)
    with center.client("dung-0") as dung:
        dung.get("/review")
        with monkeypatch.context() as patched:
            full: Future[Any] = Future()
            full.set_exception(StoreError("full", full=True))
            patched.setattr(center.hall, "transact", lambda _job: full)
            assert act(dung, key, "hold", reason="cần giữ lại").status_code in (503, 507)
        assert "Đang giữ" not in dung.get("/review").text
        assert act(dung, key, "hold", reason="cần\x1b[2J\u202e giữ lại").status_code == 200
    assert [(what, detail) for _, what, _, detail in entries(center)] == [("clip_held", "cần[2J giữ lại")]


def test_a_hold_waits_for_no_file(center: Center, made: Film) -> None:
    """While the recordings' files are being worked on, however long, a recording is held at once and says so."""
    key = report(center, made)
    with center.client("dung-0") as dung, center.uploads.vault.alone():
        assert "Đang giữ" in act(dung, key, "hold", reason="khiếu nại số 12").text


def test_who_sees_the_list_is_in_the_log_once_before_a_thumbnail(
    center: Center, made: Film, monkeypatch: pytest.MonkeyPatch
) -> None:
    """List and thumbnails are a line of the audit log for each person in a quarter of an hour; without it, nothing."""
    key = report(center, made)

    def lines() -> list[tuple[str, str]]:
        found = center.hall.transact(lambda rows: audit.newest(rows, None, 100)).result(5)
        return [(one.actor, one.detail) for one in reversed(found) if one.action == "review_listed"]

    with center.client("dung-0") as dung, center.client("dung-1") as again, center.client("hanh-0") as other:
        assert dung.get(f"/review/{key}/picture").content == made.jpeg
        assert lines() == [("person:dung", "")]
        for _ in range(3):
            assert again.get("/review?kind=crowding").status_code == 200
            assert dung.get(f"/review/{key}/picture").status_code == 200
        assert lines() == [("person:dung", "")]
        assert other.get("/review").status_code == 403
        assert len(lines()) == 1
    with center.client("chi-0") as chi:
        with monkeypatch.context() as patched:
            patched.setattr(reviews, "note_list", _full)
            assert chi.get("/review").status_code in (503, 507)
            assert chi.get(f"/review/{key}/picture").status_code in (503, 507)
        assert chi.get("/review?kind=panic").status_code == 200
    assert lines()[1:] == [("person:chi", "?kind=panic")]


def _full(*_: object, **__: object) -> int:
    raise StoreError("the disk is full", full=True)


@pytest.mark.parametrize(
    ("kind", "title"),
    [
        ("covered", "Camera bị che"),
        ("defocused", "Hình camera bị mờ"),
        ("moved", "Camera bị xoay lệch"),
        ("frozen", "Hình camera đứng yên"),
    ],
)
def test_a_tampered_camera_is_named_and_found(center: Center, kind: str, title: str) -> None:
    """What was done to a camera stands in words in the list and on its page; all of it is one kind to look for."""
    key = happen(center.hall, name=f"i-{kind}", at=center.hall.now_ms(), kind=kind)
    happen(center.hall, name="i-other", at=center.hall.now_ms(), kind="crowding")
    with center.client("dung-1") as supervisor:
        found = supervisor.get("/review", params={"kind": "tamper"}).text
        page = supervisor.get(f"/review/{key}").text
    assert re.findall(r'href="/review/(\w{33})', found) == [key]
    assert f"<b>{title}</b>" in found
    assert title in page
    assert kind not in page.replace(key, "")


def test_a_recording_without_a_picture_shows_why_it_was_kept(center: Center, made: Film) -> None:
    """Where no camera sent a picture of a service, its tile has a sign for the reason, another one for each."""
    for number, why in enumerate(("low_rating", "sample", "asked", "service")):
        arrive(center.hall, center.uploads.vault, made, name=f"c-{why}", start=center.hall.now_ms() - number, why=why)
    with center.client("dung-0") as dung:
        signs = re.findall(r'class="sign"><svg[^>]+><path d="([^"]+)"', dung.get("/review").text)
    assert len(set(signs)) == len(signs) == 4


def test_only_keys_that_do_something_are_named(center: Center, made: Film) -> None:
    """To the incident's begin leads a key where one is marked, to play another where there is a film."""
    marked, coming = report(center, made), report(center, None, name="2")
    whole = arrive(center.hall, center.uploads.vault, made, name="c-3", start=center.hall.now_ms(), why="sample")
    found = []
    with center.client("dung-0") as dung:
        for key in (marked, f"c{whole}", coming):
            hint = re.search(r'class="quiet keys">([^<]+)', dung.get(f"/review/{key}").text)
            assert hint is not None
            found.append("".join(re.findall(r"\b([A-Z]):", hint[1].replace("Phím ", ""))))
            assert ("J: " in hint[1], "K: " in hint[1]) == (True, True)
    assert found == ["PSDJK", "PDJK", "DJK"]


def test_a_filter_that_finds_nothing_says_so_and_can_be_taken_away(center: Center, made: Film) -> None:
    """Nothing that matches is not nothing at all: a link shows all again; an empty center has no filter to blame."""
    with center.client("dung-0") as dung:
        empty = dung.get("/review").text
        key = report(center, made)
        found = [dung.get("/review", params=each).text for each in ({"kind": "panic"}, {"day": "2001-01-01"}, {})]
    assert ("Không có mục nào." in empty, "Bỏ lọc" in empty) == (True, False)
    assert ['<a href="/review">Bỏ lọc</a>' in each for each in found] == [True, True, False]
    assert ["Không có mục nào khớp bộ lọc." in each for each in found] == [True, True, False]
    assert [key in each for each in found] == [False, False, True]


def test_what_happened_before_1970_is_a_place_in_the_list(center: Center) -> None:
    """The list goes on also after what a camera says to be older than any clock."""
    keys = [happen(center.hall, name=f"i-{number}", at=-86_400_000 - number * 60_000) for number in range(61)]
    with center.client("dung-0") as dung:
        first = dung.get("/review").text
        older = re.search(r'href="(/review\?before=[^"]+)"', first)
        assert older is not None
        assert keys[-1] not in first
        assert keys[-1] in dung.get(older[1]).text


def test_ticket_and_rating_stand_beside_the_player(center: Center, made: Film) -> None:
    """Who judges sees the number, how long its citizen waited and was served, and how they rated; the list does not."""
    center.at("q01", "open")
    center.issue()
    center.at("q01", "call_next")
    ticket = center.state()["counters"][0]["ticket"]
    center.at("q01", "start")
    center.at("q01", "finish", outcome="accepted")
    center.ask("/api/counters/q01/rating", ticket=ticket, level=1)
    key = report(center, made, ticket=ticket)
    with center.client("dung-0") as dung:
        page = re.sub(r"<[^>]+>", " ", dung.get(f"/review/{key}").text)
        for words in ("Số phiếu A001", "Quầy 1", "Đã chờ dưới 1 phút", "Đã tiếp nhận", "Đánh giá Không hài lòng (1/3)"):
            assert words in " ".join(page.split())
        assert "Không hài lòng" not in dung.get("/review").text


def test_who_had_a_recording_kept_and_why_stands_beside_the_player(center: Center, made: Film) -> None:
    """The page of a recording that was asked for names the person and the reason; with no reason, the person alone."""
    for number, (note, by) in enumerate((("Khiếu nại số 12 <b>", "person:chi"), ("", "person:dung"))):
        wish = center.wishes.ask("q01", before_s=9, after_s=9, note=note, key=str(number), by=by).result(30)
        name = arrive(center.hall, center.uploads.vault, made, name=wish.id, start=number, why="asked")
        with center.client("dung-0") as dung:
            page = dung.get(f"/review/c{name}").text
        about = page[page.index("Lượt phục vụ</h2>") :].partition("</section>")[0]
        assert about.count("Lý do") == bool(note)
        for words in ("Người yêu cầu", ("Phạm Lan Chi", "Lê Văn Dũng")[number], note.replace("<b>", "&lt;b&gt;")):
            assert words in about
        assert "Lúc đó không có số nào tại quầy." in about


# --- clear versions ------------------------------------------------------------------------------------------------


def grant_of(answer: httpx.Response) -> str:
    """Return the address of the clear version on a page."""
    found = re.search(r'src="(/review/\w+/clear\?grant=[\w-]+)"', answer.text)
    assert found is not None, answer.text
    return found[1]


def test_a_clear_version_is_opened_for_one_person(shared: Center, made: Film, key: str, dung: httpx.Client) -> None:
    """With a reason the very bytes come, in any part; to nobody else; the log has the reason; no disk has the film."""
    address = grant_of(act(dung, key, "reveal", reason=REASON))
    assert dung.get(address).content == made.clear
    for start, end in ((0, 0), (1, 99), (len(made.clear) // 2, len(made.clear) - 1)):
        part = dung.get(address, headers={"Range": f"bytes={start}-{end}"})
        assert (part.status_code, part.content) == (206, made.clear[start : end + 1])
        assert part.headers["cache-control"] == "no-store"
    assert entries(shared)[-1] == ("person:dung", "clip_revealed", "q01/camera c-1", REASON)
    assert f"bản rõ: {REASON}" in dung.get(f"/review/{key}").text
    for who, status in (("dung-1", 404), ("chi-0", 403), ("hanh-0", 403), ("", 303)):  # another login, other roles
        with shared.client(who) as other:
            assert other.get(address).status_code == status
    written = [file.read_bytes() for file in Path(shared.config.data_dir).rglob("*") if file.is_file()]
    middle = made.clear[len(made.clear) // 2 :][:100]
    assert (middle in made.clear, any(middle in each for each in written)) == (True, False)


def form_of(page: str, do: str) -> str:
    """Return where a button's form goes."""
    (found,) = [each for each in page.split("<form ")[1:] if f'value="{do}"' in each]
    address = re.search(r'action="([^"]+)"', found)
    assert address is not None
    return unescape(address[1])


def test_a_clear_version_stays_while_it_is_held_and_reviewed(center: Center, made: Film) -> None:
    """Hold, release and review leave the clear version where it is; to another login they give none."""
    key = report(center, made)
    with center.client("dung-0") as dung, center.client("dung-1") as again:
        page = act(dung, key, "reveal", reason=REASON)
        address = grant_of(page)
        for do, said in (("hold", "không bị xóa theo hạn."), ("release", "lại theo hạn lưu."), ("review", "Đã ghi")):
            to, form = form_of(page.text, do), {"do": do, "reason": REASON}
            page = dung.post(to, data=form, follow_redirects=True)
            assert (said in page.text, grant_of(page)) == (True, address)
        other = again.post(to, data=form)
        assert (other.status_code, "grant" in other.headers["location"]) == (303, False)
        refused = dung.post(form_of(page.text, "hold"), data={"do": "hold", "reason": ""})
        assert (refused.status_code, grant_of(refused)) == (409, address)
        assert "grant" not in dung.post(to, data={"do": "next"}).headers["location"]


def test_a_clear_version_needs_role_reason_and_a_fresh_login(
    center: Center, made: Film, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A director, nine characters, or a login of more than an hour: nothing is opened and nothing is granted."""
    key = report(center, made)
    with center.client("chi-0") as chi:
        assert act(chi, key, "reveal", reason=REASON).status_code == 403
        assert "Xem bản rõ" not in chi.get(f"/review/{key}").text
    with center.client("dung-0") as dung:
        assert "ít nhất 10 ký tự" in act(dung, key, "reveal", reason=" ngắn   quá  ").text
        later = center.hall.now_ms() + LOGIN_MS + 1000
        with monkeypatch.context() as patched:
            patched.setattr(center.hall.clock, "now_ms", lambda: later)
            answer = act(dung, key, "reveal", reason=REASON)
            assert (answer.status_code, "quá 60 phút" in answer.text) == (409, True)
            assert REASON in answer.text  # what was typed stays
        address = grant_of(act(dung, key, "reveal", reason=REASON))
        monkeypatch.setattr(center.hall.clock, "now_ms", lambda: later)
        assert dung.get(address).status_code == 404  # a quarter of an hour is over
    assert [one for one in entries(center) if one[1] == "clip_revealed"] == [
        ("person:dung", "clip_revealed", "q01/camera c-1", REASON)
    ]


def test_the_check_up_knows_whether_the_key_fits(center: Center, made: Film) -> None:
    """`motcua doctor` says whether the key is there, for the center alone, and opens what each camera sends."""
    report(center, made)
    file = Path(center.config.clips.reveal_key_file or "")
    assert [(one.code, PUBLIC in one.says) for one in clear.judge(center.config)] == [("reveal-key", True)]
    other, public = make_keys()
    file.write_text(other)
    (found,) = clear.judge(center.config)
    assert (found.code, found.says.startswith("q01/camera: "), public in found.do) == ("reveal-other", True, True)
    file.write_text("no key")
    assert [one.code for one in clear.judge(center.config)] == ["reveal-key"]
    file.unlink()
    assert [(one.code, one.level.name) for one in clear.judge(center.config)] == [("reveal-key", "PROBLEM")]


def test_what_cannot_be_opened_is_said_in_a_line(center: Center, made: Film) -> None:
    """Another key, no key, a damaged file: one line each, and nobody has looked; of a cut one the beginning plays."""
    key = report(center, made)
    file = Path(str(center.config.clips.reveal_key_file))
    short = report(center, cut(made, 0.5), name="1", station="q02")
    broken = replace_sealed(made, made.sealed[:200] + b"\x00" + made.sealed[201:])
    damaged = report(center, broken, name="1", station="q03")
    with center.client("dung-0") as dung:
        page = act(dung, damaged, "reveal", reason=REASON)
        assert page.status_code == 409
        assert re.search(r"Không mở được bản rõ này: record \d+ was changed", page.text)
        page = act(dung, short, "reveal", reason=REASON)
        assert "thiếu đoạn cuối" in page.text
        seen = dung.get(grant_of(page)).content
        assert 0 < len(seen) < len(made.clear)
        assert made.clear.startswith(seen)
        for pem, said in ((make_keys()[0], "sealed for the key"), ("no key", "is no PEM"), (None, "clips.key: ")):
            file.unlink() if pem is None else file.write_text(pem)
            page = act(dung, key, "reveal", reason=REASON)
            assert (page.status_code, said in page.text) == (409, True)
    assert [what for _, what, _, _ in entries(center)] == ["clip_revealed"]


def test_what_is_wiped_while_somebody_watches_ends_there(center: Center, made: Film) -> None:
    """A grant does not keep a recording: once its file or the key is gone the next part is not there."""
    key = report(center, made)
    with center.client("dung-0") as dung:
        address = grant_of(act(dung, key, "reveal", reason=REASON))
        file = Path(str(center.config.clips.reveal_key_file))
        pem = file.read_text()
        file.unlink()
        assert dung.get(address).status_code == 404
        file.write_text(pem)
        assert dung.get(address, headers={"Range": "bytes=9-"}).status_code == 206
        center.uploads.vault.delete(hashlib.sha256(made.sealed).hexdigest())
        assert dung.get(address, headers={"Range": "bytes=9-"}).status_code == 404


def replace_sealed(made: Film, sealed: bytes) -> Film:
    """Return a recording with other sealed bytes."""
    return Film(made.shown, sealed, made.clear, made.jpeg, made.seconds)


def test_the_key_is_made_once_and_for_its_owner_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`clips-key` writes the private key 0600 and prints the public one; asked again it prints the same."""
    file, config = tmp_path / "clips.key", tmp_path / "center.toml"
    text = f"""
id = "bentre"
name = "Trung tâm"
data_dir = "{tmp_path}"
[clips]
reveal_key_file = "{file}"
[[service]]
id = "dat-dai"
letter = "A"
vi = "Đất đai"
en = "Land"
[[counter]]
id = "q01"
label = "1"
services = ["dat-dai"]
"""
    config.write_text(text)

    def ask() -> tuple[int, str]:
        out = StringIO()
        monkeypatch.setattr("sys.stdout", out)
        return cli.main(["clips-key", "--config", str(config)]), out.getvalue()

    code, line = ask()
    assert (code, file.stat().st_mode & 0o777) == (0, 0o600)
    assert re.fullmatch(r'center_key = "[A-Za-z0-9+/]{43}="\n', line)
    assert ask() == (0, line)
    file.chmod(0o644)
    assert ask() == (2, "")
    file.chmod(0o600)
    file.write_text("nothing")
    assert ask() == (2, "")
    file.unlink()
    config.write_text(text.replace(f'data_dir = "{tmp_path}"', f'data_dir = "{tmp_path}/none"'))
    monkeypatch.setattr("os.geteuid", lambda: 0)  # whose it should be nobody knows yet
    assert ask() == (2, "")
    config.write_text(text.replace("reveal_key_file", "#"))
    assert ask() == (2, "")


def test_a_grant_is_no_longer_for_a_clock_that_is_set_back(
    center: Center, made: Film, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clock that is set back to before a grant was given ends it, as one that is set forward does."""
    key = report(center, made)
    with center.client("dung-0") as dung:
        address = grant_of(act(dung, key, "reveal", reason=REASON))
        earlier = center.hall.now_ms() - 60_000
        monkeypatch.setattr(center.hall.clock, "now_ms", lambda: earlier)
        assert dung.get(address).status_code == 404


def test_grants_do_not_pile_up(center: Center, made: Film, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often somebody asks, only so many grants are kept; the newest is good."""
    monkeypatch.setattr(revealing, "_GRANTS", 2)
    key = report(center, made)
    with center.client("dung-0") as dung:
        addresses = [grant_of(act(dung, key, "reveal", reason=REASON)) for _ in range(3)]
        assert [dung.get(each).status_code for each in addresses] == [404, 200, 200]


# --- in a browser --------------------------------------------------------------------------------------------------


def playing(page: Page) -> tuple[float, float, str | None]:
    """Return a player's length, where it is, and its fault."""
    found: list[Any] = page.locator("video").evaluate(
        "async one => { await one.play(); return [one.duration, one.currentTime, one.error?.message ?? null]; }"
    )
    return found[0], found[1], found[2]


@pytest.mark.browser
def test_a_player_says_that_its_store_is_away(
    center: Center, made: Film, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A player that finds the store of recordings away has one line about it, which is no alarm, and goes on later."""
    key = report(center, made)
    vault = center.uploads.vault
    page = visitor.page(person="dung")
    page.goto(f"{center.url}/review/{key}")
    away = page.get_by_text("Kho lưu ghi hình đang mất liên lạc")
    expect(away).to_be_hidden()
    with monkeypatch.context() as gone:
        gone.setattr(vault, "open", _away)
        page.locator("video").evaluate("one => { one.load(); one.play().catch(() => {}); }")
        expect(away).to_be_visible()
    page.locator("video").evaluate("one => one.load()")
    assert playing(page)[2] is None
    expect(away).to_be_hidden()


def _away(*_: Any, **__: Any) -> Any:
    raise AwayError("it is away")


@pytest.mark.browser
def test_who_plays_a_recording_stands_among_those_who_looked(center: Center, made: Film, visitor: Visitor) -> None:
    """As soon as it plays the page says who looks, once; what somebody has begun to write stays."""
    key = report(center, made)
    page = visitor.page(person="dung")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.resource_type) if request.url.endswith(key) else None)
    page.goto(f"{center.url}/review/{key}")
    looks = page.locator("section", has=page.get_by_role("heading", name="Ai đã xem đoạn này"))
    expect(looks).to_contain_text("Chưa ai xem.")
    page.get_by_label("Ghi chú").fill("đang viết")
    assert playing(page)[2] is None
    expect(looks.locator("b")).to_have_text("Lê Văn Dũng")
    expect(looks).not_to_contain_text("Chưa ai xem.")
    for _ in range(2):  # it goes on after a pause
        page.locator("video").evaluate("one => { one.pause(); one.currentTime = 0; return one.play(); }")
    expect(page.get_by_label("Ghi chú")).to_have_value("đang viết")
    assert asked == ["document", "fetch"]


@pytest.mark.browser
def test_a_supervisor_looks_judges_and_goes_on(center: Center, made: Film, visitor: Visitor) -> None:
    """From the grid to the player: the incident is marked, jumped to and reviewed with a note, by keys too."""
    older = report(center, made, name="2", minutes_ago=20, kind="waiting_alone", station="q02")
    key = report(center, made, minutes_ago=2)
    near = report(center, made, name="3", minutes_ago=9, kind="tamper")
    page = visitor.page(width=1366, height=768, person="dung")
    page.goto(f"{center.url}/review?unseen=1")
    tiles = page.locator(".grid a")
    expect(tiles.locator("> b")).to_have_text(
        ["Quầy mở, cán bộ vắng mặt", "Camera bị che, mờ hoặc xoay", "Người dân chờ, quầy vắng cán bộ"]
    )
    expect(page.get_by_role("status")).to_have_text("3 mục chưa xem")
    assert tiles.first.locator("img").evaluate("image => image.decode().then(() => image.naturalWidth)") == 320
    assert violations(page) == []
    page.keyboard.press("j")
    expect(tiles.first).to_be_focused()
    with page.expect_navigation():  # its script hears keys from then on
        page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Quầy mở, cán bộ vắng mặt")
    assert entries(center) == []  # to open the page is no look
    expect(page.get_by_role("img", name="Sự kiện từ 0:02 đến 0:05 trong đoạn dài 0:06")).to_be_visible()
    event = page.locator(".bar .event")
    assert [event.get_attribute(one) for one in ("x", "width")] == ["333", "500"]
    page.keyboard.press("s")
    page.locator("video").evaluate("one => new Promise(done => { one.ontimeupdate = done; })")
    length, at, fault = playing(page)
    assert (length, fault) == (pytest.approx(SECONDS, abs=0.1), None)
    assert BEGIN_S <= at <= SECONDS
    assert [what for _, what, _, _ in entries(center)] == ["clip_seen"]
    assert violations(page) == []
    expect(page.locator(".near a")).to_have_attribute("href", f"/review/{near}?unseen=1")
    page.get_by_label("Ghi chú").press_sequentially("jks: trong ghi chú không phải phím tắt")
    page.get_by_role("button", name="Đã xem, sang mục sau").click()
    page.wait_for_url(f"**/review/{near}?unseen=1")
    page.keyboard.press("j")
    page.wait_for_url(f"**/review/{older}?unseen=1")
    page.goto(f"{center.url}/review/{key}")
    expect(page.get_by_text("jks: trong ghi chú không phải phím tắt")).to_be_visible()
    expect(page.locator(".film .state")).to_have_text("Đã xem: Lê Văn Dũng")


@pytest.mark.browser
def test_recordings_are_gone_through_by_keys_alone(center: Center, made: Film, visitor: Visitor) -> None:
    """Play, and reviewed: a key each, and the next one is there; after the last one the list says that all is seen."""
    for number in range(3):
        report(center, made, name=str(number), minutes_ago=5 + number)
    page = visitor.page(width=1366, height=768, person="dung")
    page.goto(f"{center.url}/review?unseen=1")
    page.keyboard.press("j")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    for _ in range(3):
        video = page.locator("video")
        expect(video).to_be_visible()
        page.keyboard.press("p")
        wait_for(lambda: page.evaluate("document.querySelector('video').currentTime") > 0)
        page.keyboard.press("p")
        expect(video).to_have_js_property("paused", True)
        with page.expect_navigation():
            page.keyboard.press("d")
    page.goto(f"{center.url}/review")
    expect(page.get_by_role("status")).to_have_text("Đã xem hết")
    assert [what for _, what, _, _ in entries(center)] == ["clip_seen", "incident_reviewed"] * 3


@pytest.mark.browser
def test_a_recording_that_comes_is_shown_where_somebody_waits_for_it(
    center: Center, made: Film, visitor: Visitor
) -> None:
    """An open page shows the player as soon as the recording is there; a note that was begun stays, with a link."""
    key = report(center, None, seconds=made.seconds)
    waits, writes = (visitor.page(person="dung") for _ in range(2))
    for page in (waits, writes):
        page.clock.install()
        page.goto(f"{center.url}/review/{key}")
        expect(page.get_by_text("Đoạn ghi hình chưa về trung tâm").first).to_be_visible()
    writes.get_by_label("Ghi chú").fill("đang viết")
    waits.clock.run_for(6_000)
    expect(waits.locator("video")).to_have_count(0)
    row = {"bytes": len(made.shown), "sha256": keep(center.uploads.vault, made.shown), "arrived_at": 1}
    center.hall.transact(lambda rows: rows.execute(sa.update(tables.clip).values(row))).result(30)
    for page in (waits, writes):
        page.clock.run_for(6_000)
    expect(waits.locator("video")).to_be_visible()
    expect(writes.get_by_role("link", name="Đoạn ghi hình đã về. Bấm để xem.")).to_be_visible()
    expect(writes.get_by_label("Ghi chú")).to_have_value("đang viết")


def test_a_call_for_help_stands_above_the_list_until_it_is_reviewed(center: Center, made: Film) -> None:
    """What nobody has reviewed since yesterday is named with its time and its link; a review takes it away."""
    key = report(center, made, kind="panic", minutes_ago=50)
    report(center, made, name="old", kind="panic", minutes_ago=25 * 60)
    with center.client("dung-0") as dung:
        page = dung.get("/review").text
        assert page.count("đã gọi khẩn cấp lúc") == 1
        assert re.search(
            rf'class="fault"><a href="/review/{key}">Quầy 1 đã gọi khẩn cấp lúc [^<]+, chưa ai xem lại', page
        )
        act(dung, key, "review")
        assert "đã gọi khẩn cấp lúc" not in dung.get("/review").text


@pytest.mark.browser
def test_a_clear_version_plays_and_says_that_it_is_one(center: Center, made: Film, visitor: Visitor) -> None:
    """After a reason the player shows the clear version, and says so for as long as it does."""
    key = report(center, made)
    page = visitor.page(person="dung")
    page.goto(f"{center.url}/review/{key}")
    page.locator("summary", has_text="Xem bản rõ").click()
    assert violations(page) == []
    page.get_by_label("Lý do").last.fill(REASON)
    page.get_by_role("button", name="Xem bản rõ").click()
    expect(page.get_by_text("Đây là bản rõ")).to_be_visible()
    assert violations(page) == []
    assert (playing(page)[0], playing(page)[2]) == (pytest.approx(SECONDS, abs=0.1), None)
    page.get_by_role("link", name="Về bản đã che").click()
    expect(page.get_by_text("Đây là bản rõ")).to_be_hidden()


@pytest.mark.browser
def test_the_list_grows_by_itself_and_keeps_its_place(center: Center, made: Film, visitor: Visitor) -> None:
    """What comes while somebody reads stands there soon, without a reload; the focus and the pictures stay."""
    first = report(center, made, minutes_ago=9)
    page = visitor.page(person="dung")
    page.clock.install()
    page.goto(f"{center.url}/review")
    tile = page.locator(f'[data-key="{first}"]')
    tile.locator("a").focus()
    tile.evaluate("node => { node.mark = 1; }")
    second = report(center, made, name="2", minutes_ago=1)
    page.clock.run_for(16_000)
    expect(page.locator(f'[data-key="{second}"]')).to_be_visible()
    expect(tile.locator("a")).to_be_focused()
    assert tile.evaluate("node => node.mark") == 1
    expect(page.get_by_role("status")).to_have_text("2 mục chưa xem")


@pytest.mark.browser
def test_the_pages_hinder_nobody_and_are_light(center: Center, made: Film, visitor: Visitor) -> None:
    """A full page on a phone, in both languages: no accessibility violation, no sideways scrolling, at most 30 KB."""
    for number in range(61):
        report(center, None, name=str(number), minutes_ago=number, jpeg=made.jpeg)
    key = report(center, made, name="x", minutes_ago=0.5)
    for path in ("/review?lang=vi", f"/review/{key}?lang=en"):
        page = visitor.page(width=390, height=844, person="dung")
        wire = page.context.new_cdp_session(page)
        wire.send("Network.enable")
        sizes: dict[str, float] = {}
        kinds: dict[str, str] = {}
        wire.on(
            "Network.responseReceived", lambda event, kinds=kinds: kinds.update({event["requestId"]: event["type"]})
        )
        wire.on(
            "Network.loadingFinished",
            lambda event, sizes=sizes: sizes.update({event["requestId"]: event["encodedDataLength"]}),
        )
        page.goto(center.url + path)
        page.wait_for_timeout(150)
        assert violations(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        assert sum(size for one, size in sizes.items() if kinds.get(one) != "Image") <= LIMIT, path
    page.goto(f"{center.url}/review?lang=en")
    assert violations(page) == []
    expect(page.locator(".grid a")).to_have_count(60)
    page.get_by_role("link", name="Older").click()
    expect(page.locator(".grid a")).to_have_count(2)
