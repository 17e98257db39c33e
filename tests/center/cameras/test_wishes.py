"""What the center asks of cameras, on a real hall and store, heard by what a real camera decides."""

import statistics
import time
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from msgspec.structs import replace

from center.answers import Arrival, Change, Delivery, Panic, RatingStored, Sighting
from center.audit import newest
from center.cameras import book, reviews, sample
from center.cameras.book import StaleSettingError
from center.cameras.desired import KEEPS, Setting
from center.cameras.wishes import ASKED_S, KEPT_MS, Wishes
from center.config import Clips, Config
from center.hall import Hall
from center.ingest.ingest import Ingest
from center.queue.model import (
    AnyCommand,
    CallNext,
    CloseCounter,
    Finish,
    Issue,
    OpenCounter,
    PauseCounter,
    Recall,
    Rules,
    Start,
)
from center.queue.state import State
from center.storage.store import Store
from center.storage.tables import camera_wish, clip, sample_week
from contract.codec import decode, encode
from contract.events import CallpadPanic, CameraStarted
from contract.states import CameraDesired, CameraReported, Keep, Look, Status, Zone
from contract.topics import Address, Channel
from firmware.devices.camera.config import CameraConfig
from firmware.devices.camera.decisions import CameraDecisions
from firmware.devices.camera.signals import Begin, Begun, Hold
from firmware.ports import Drive, Record, Remember, Report
from tests.center.conftest import MORNING_MS, TestClock, with_broker
from tests.support.brokers import Broker
from tests.support.device import DeviceSide, rated, sealed
from tests.support.waiting import wait_for

TOPIC = "motcua/v1/bentre/{}/camera/desired"
ONLINE = Status(state="online", version="1", bootid="b", since="2026-11-23T01:00:00Z")
CITIZEN = Zone(name="citizen", points=((0.0, 0.2), (0.5, 0.2), (0.5, 1.0), (0.0, 1.0)))
CORNERS = "0,200 500,200 500,1000 0,1000"


class Camera:
    """What a camera at a station hears and decides; its outbox remembers, its driver is a list."""

    def __init__(self, site: "Site", station: str) -> None:
        self.site, self.station = site, station
        self.memory: dict[str, str] = {}
        self.driven: list[Any] = []
        self.recorded: list[Any] = []
        self.begin()

    def begin(self) -> None:
        """Start, or start again after a power cut."""
        ids = iter(f"{self.station}-{number}" for number in range(10_000))
        self.decisions = CameraDecisions(
            CameraConfig(source="file", address="x.mp4"), new_id=lambda: next(ids), memory=self.memory
        )
        self.do(self.decisions.on_start(0))

    def hear(self) -> None:
        """Take the last desired state and say what comes of it."""
        if states := self.site.published[self.station]:
            self.do(self.decisions.on_desired(states[-1], self.site.clock.now_ms() - MORNING_MS))

    def do(self, effects: Any) -> None:
        """Carry effects out."""
        begun: list[str] = []
        for effect in effects:
            match effect:
                case Remember(memory):
                    self.memory |= memory
                case Drive(command):
                    self.driven.append(command)
                    if isinstance(command, Hold | Begin):  # its recorder is quick
                        begun.append(command.clip)
                case Record(fact, remember=remember):
                    self.recorded.append(fact)
                    self.memory |= remember or {}
                case Report(state):
                    self.site.see(self.station, reported=encode(state).decode())
        for name in begun:
            self.do(self.decisions.on_signal(Begun(name), 0))

    def kept(self) -> list[str]:
        """Return the names of what it was told to keep, as often as it was."""
        return [one.clip for one in self.driven if isinstance(one, Hold) or (isinstance(one, Begin) and one.held)]


class Site:
    """A center without pages and broker that can be killed and started again, and its cameras."""

    def __init__(self, config: Config, clock: TestClock) -> None:
        self.config, self.clock = config, clock
        self.published: dict[str, list[CameraDesired]] = defaultdict(list)
        self.cleared: list[str] = []
        self.connected = True
        self._sequence = 0
        self.cameras: dict[str, Camera] = {}
        self.start()

    def start(self, *, camera_rows_only: bool = False) -> None:
        """Start the center; what was retained is gone with the broker."""
        self.hall = Hall(self.config, Store(self.config.store_url), self.clock)
        self.hall.start()
        self.wishes = Wishes(self.hall, self.config)
        if not camera_rows_only:
            self.wishes.start()
            self.wishes.speak(self.publish)
            self.settle()

    def stop(self) -> None:
        """Stop."""
        self.wishes.stop()
        self.hall.stop()

    def publish(self, topic: str, payload: bytes) -> bool:
        """Take what is published."""
        station = topic.split("/")[3]
        assert topic == TOPIC.format(station)
        if not self.connected:
            return False
        if payload:
            self.published[station].append(decode(payload, CameraDesired))
        else:
            self.cleared.append(station)
        return True

    def settle(self) -> None:
        """Wait until the hall has done all there is to do now."""
        for _ in range(6):
            self.hall.run(lambda _: None).result(30)

    def see(self, station: str, *, reported: str | None = None, status: Status | None = ONLINE) -> None:
        """Let a camera be heard."""
        sighting = Sighting(station=station, device="camera", at=self.clock.now_ms(), status=status, reported=reported)
        assert self.hall.ingest(Delivery(sightings=[sighting])).result(30) == "stored"
        self.settle()

    def mount(self, station: str = "q01") -> Camera:
        """Let there be a camera."""
        self.cameras[station] = Camera(self, station)
        return self.cameras[station]

    def converse(self) -> None:
        """Let every camera hear and answer until nobody has anything new to say."""
        before = -1
        while before != (before := sum(map(len, self.published.values()))):
            for camera in self.cameras.values():
                camera.hear()

    def do(self, *commands: AnyCommand) -> None:
        """Carry out commands of the queue."""
        for command in commands:
            self._sequence += 1
            answer = self.hall.submit(command, key=f"k{self._sequence}-{id(self.hall)}", actor="test").result(30)
            assert not hasattr(answer, "code"), answer
        self.settle()

    def serve(self, ticket: str, station: str = "q01") -> None:
        """Serve somebody."""
        now = self.hall.now_ms()
        self.do(
            Issue(at=now, ticket_id=ticket, service="dat-dai"),
            CallNext(at=now, counter=station),
            Start(at=now, counter=station),
            Finish(at=now, counter=station),
        )

    def rate(self, ticket: str, level: int, station: str = "q01") -> str:
        """Let a pad tell a rating; returns its id."""
        rating = RatingStored(f"r-{ticket}", ticket, station, f"/bentre/{station}/rating", "vn-3", level, self.now())
        self.arrive(rating.id, rating=rating, body=sealed(rated(level, ticket=ticket), sequence=1, event_id=rating.id))
        return rating.id

    def press_panic(self, event: str, *, ago_ms: int = 0, station: str = "q01") -> None:
        """Let a call pad tell a panic."""
        at = self.now() - ago_ms
        self.arrive(event, panic=Panic(event, station, "callpad", at), kind=book.PANIC, device="callpad", at=at)

    def arrive(
        self, event: str, *, device: str = "rating", at: int = 0, kind: str = "x", body: bytes = b"", **said: Any
    ) -> None:
        """Store an event of a device."""
        self._sequence += 1
        row = {
            "id": event, "type": kind, "source": f"/bentre/q01/{device}", "stream": "s", "sequence": self._sequence,
            "time": at, "clock_synced": True, "occurred_at": at, "received_at": self.now(), "body": body.decode(),
        }  # fmt: skip
        assert self.hall.ingest(Delivery(arrivals=[Arrival(row=row, **said)])).result(30) == "stored"
        self.settle()

    def now(self) -> int:
        """The center's clock."""
        return self.clock.now_ms()

    def passes(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.advance(seconds)
        self.settle()

    def last(self, station: str = "q01") -> CameraDesired:
        """Return what a camera was told last."""
        return self.published[station][-1]

    def rows(self, *columns: str) -> list[Any]:
        """Return the wishes."""
        query = sa.select(*(camera_wish.c[name] for name in columns)).order_by(camera_wish.c.asked_at, camera_wish.c.id)
        return self.hall.transact(lambda rows: [tuple(row) for row in rows.execute(query)]).result(30)


@pytest.fixture
def site(config: Config, clock: TestClock) -> Iterator[Site]:
    """A center whose counters are open."""
    one = Site(replace(config, clips=Clips(sample_per_week=0)), clock)
    one.do(OpenCounter(at=one.now(), counter="q01", officer="Trần Thu Hà"), OpenCounter(at=one.now(), counter="q02"))
    yield one
    one.stop()


# --- what is told, and how often -------------------------------------------------------------------------------------


def test_only_where_a_camera_is_one_is_told(site: Site) -> None:
    """A counter without a camera costs nothing; a camera that shows itself is told at once, then follows the queue."""
    site.serve("t1")
    assert site.published == {}
    site.mount()
    assert [one.state for one in site.published["q01"]] == ["open"]
    site.serve("t2")
    assert [(one.state, one.ticket) for one in site.published["q01"]] == [
        ("open", None), ("calling", "t2"), ("serving", "t2"), ("open", None),
    ]  # fmt: skip
    now = site.now()
    site.do(Issue(at=now, ticket_id="t3", service="dat-dai"), CallNext(at=now, counter="q01"))
    site.do(PauseCounter(at=now, counter="q01"))
    assert (site.last().state, site.last().ticket) == ("paused", "t3")
    assert list(site.published) == ["q01"]


def test_a_revision_only_grows_also_over_a_restart(site: Site) -> None:
    """No camera ever hears a revision twice for two things, and the center's restart begins above all of them."""
    site.mount()
    site.serve("t1")
    site.converse()
    before = [one.revision for one in site.published["q01"]]
    assert before == sorted(set(before))
    site.stop()
    site.clock.wall_ms -= 3_600_000  # it was an hour ahead
    site.start()
    site.converse()
    assert site.last().revision > before[-1]


def test_everything_is_told_again_after_a_connection(site: Site) -> None:
    """A broker that has forgotten hears all again; what could not be said before is in it."""
    site.mount()
    site.connected = False
    site.do(CloseCounter(at=site.now(), counter="q01"))
    count = len(site.published["q01"])
    site.connected = True
    site.wishes.everything()
    site.settle()
    assert len(site.published["q01"]) == count + 1
    assert site.last().state == "closed"


def test_a_camera_that_was_forgotten_is_told_nothing_more(site: Site) -> None:
    """What the broker keeps for a camera that was taken off the list is cleared, with the token of a look in it."""
    site.mount()
    assert site.hall.forget("q01", "camera").result(30)
    site.settle()
    assert site.cleared == ["q01"]
    site.serve("t1")
    assert len(site.published["q01"]) == 1


def test_a_look_is_passed_on(site: Site) -> None:
    """Whoever watches the watchers says where pictures go; the camera hears it with all else."""
    site.mount()
    looks = {"q01": Look(path="/api/looks/x", token="t0ken", every_ms=200, seconds=60)}  # noqa: S106
    site.wishes.look = looks.get
    site.wishes.touch("q01")
    site.settle()
    assert site.last().look == looks["q01"]


@pytest.mark.parametrize(
    "reported", ['{"revision": 9007199254740991}', '{"revision": "x"}', "[" * 900, '{"revision": -5}', "{}"]
)
def test_what_a_stranger_reports_in_a_camera_s_place_breaks_nothing(site: Site, reported: str) -> None:
    """A reported state that no camera of ours would send confirms nothing and leaves revisions as they are."""
    site.mount()
    ask(site)
    site.see("q01", reported=reported)
    assert len(site.last().keep) == 1
    site.do(CloseCounter(at=site.now(), counter="q01"))
    assert site.last().state == "closed"
    assert site.last().revision < 2**52


def test_any_revision_in_which_a_wish_stood_confirms_it(site: Site) -> None:
    """A camera that is a word behind has carried out what stood in the word it heard."""
    site.mount()
    ask(site)
    behind = site.last().revision
    site.do(CloseCounter(at=site.now(), counter="q01"))
    assert site.last().revision > behind
    site.see("q01", reported=f'{{"revision": {behind - 1}}}')
    assert len(site.last().keep) == 1
    site.see("q01", reported=f'{{"revision": {behind}}}')
    assert site.last().keep == ()


def test_an_old_word_confirms_nothing_that_a_new_run_has_asked(site: Site) -> None:
    """What a camera says late about the last run's revisions is not taken for this run's."""
    site.mount()
    site.converse()
    old = site.last().revision
    site.stop()
    site.clock.advance(1)
    site.start()
    ask(site)
    site.do(CloseCounter(at=site.now(), counter="q01"))
    for late in range(old, old + 8):
        site.see("q01", reported=f'{{"revision": {late}}}')
    assert len(site.last().keep) == 1


# --- settings --------------------------------------------------------------------------------------------------------


def test_settings_reach_the_camera_and_stay_over_a_restart(site: Site) -> None:
    """What was set is told at once and again after a restart; null leaves the station's file; each change is noted."""
    site.mount()
    known = site.wishes.set("q01", 0, Setting(zones=(CITIZEN,), kinds=("panic",)), by="person:dung").result(30)
    site.settle()
    assert (site.last().zones, site.last().kinds, site.last().masks) == ((CITIZEN,), ("panic",), None)
    with pytest.raises(StaleSettingError):
        site.wishes.set("q01", 0, Setting(), by="person:hanh").result(30)
    assert site.wishes.set("q01", known.revision, known.setting, by="person:hanh").result(30) == known
    site.stop()
    site.start()
    site.converse()
    assert site.last().zones == (CITIZEN,)
    assert site.wishes.set("q01", 1, Setting(masks=()), by="person:hanh").result(30).revision == 2
    site.settle()
    assert (site.last().zones, site.last().masks) == (None, ())
    entries = site.hall.transact(lambda rows: newest(rows, None, 9)).result(30)
    assert [(one.actor, one.action, one.object, one.detail) for one in entries] == [
        ("person:hanh", "camera_outline", "q01", f"zone citizen: {CORNERS} -> none"),
        ("person:hanh", "camera_set", "q01", "zones, masks, kinds; 1 -> 2"),
        ("person:dung", "camera_outline", "q01", f"zone citizen: none -> {CORNERS}"),
        ("person:dung", "camera_set", "q01", "zones, kinds; 0 -> 1"),
    ]


# --- keeping ---------------------------------------------------------------------------------------------------------


def ask(site: Site, key: str = "k", **said: Any) -> Any:
    """Have an interval kept."""
    wanted: dict[str, Any] = {"before_s": 30, "after_s": 60, "note": "", "by": "person:dung", **said}
    wish = site.wishes.ask("q01", key=key, **wanted).result(30)
    site.settle()
    return wish


def test_a_low_rating_is_kept_once_and_asked_for_no_longer_than_needed(site: Site) -> None:
    """A camera hears of a rating of the lowest level, keeps its service, and is not asked again, whoever restarts."""
    camera = site.mount()
    site.serve("t1")
    site.serve("t2")
    site.converse()
    site.rate("t1", 2)
    low = site.rate("t2", 1)
    assert site.last().keep == (Keep(id=low, why="low_rating", ticket="t2"),)
    site.converse()
    assert site.last().keep == ()
    assert camera.kept() == [low]
    site.stop()
    site.start()
    site.converse()
    camera.begin()
    site.converse()
    assert camera.kept() == [low]
    assert site.rows("id", "why", "ticket") == [(low, "low_rating", "t2")]
    assert site.rows("done_at") != [(None,)]


@pytest.mark.parametrize("level", [1, 3])
def test_a_rating_without_a_ticket_keeps_nothing(site: Site, level: int) -> None:
    """Who presses at a pad that is always open is not known by any number: there is no service to keep."""
    site.mount()
    rating = RatingStored("r", None, "q01", "/bentre/q01/rating", "vn-3", level, site.now())
    site.arrive("r", rating=rating)
    assert site.last().keep == ()


def test_what_a_camera_has_not_heard_is_asked_again_after_a_restart(site: Site) -> None:
    """A wish stands until the camera has confirmed it, also when the center was killed in between."""
    camera = site.mount()
    site.serve("t1")
    low = site.rate("t1", 1)
    site.stop()
    site.start()
    assert [keep.id for keep in site.last().keep] == [low]
    site.converse()
    assert camera.kept() == [low]


def test_a_kill_between_a_rating_and_its_wish_loses_nothing(site: Site) -> None:
    """A low rating that is stored and has no wish yet gets it at the next start."""
    site.mount()
    site.serve("t1")
    site.stop()
    site.start(camera_rows_only=True)  # the rating comes, and then the power is cut before anything else
    low = site.rate("t1", 1)
    site.stop()
    site.start()
    assert [keep.id for keep in site.last().keep] == [low]
    assert site.rows("id") == [(low,)]


def test_a_wish_that_nobody_hears_is_given_up(site: Site) -> None:
    """A service is asked for until no camera can have it any more; then it is noted that it was missed."""
    site.mount()
    site.serve("t1")
    site.rate("t1", 1)
    site.passes(KEPT_MS / 1000 + 1)
    assert site.last().keep == ()
    assert [(done, gone is not None) for done, gone in site.rows("done_at", "gone_at")] == [(None, True)]


def test_more_than_a_camera_can_be_told_at_once_comes_in_turn(site: Site) -> None:
    """Of forty wishes the latest 32 stand; when the camera has those, the eight that had stepped back are told."""
    camera = site.mount()
    for number in range(40):
        site.serve(f"t{number}")
        site.clock.advance(1)
        site.rate(f"t{number}", 1)
    assert [keep.ticket for keep in site.last().keep] == [f"t{number}" for number in range(8, 40)]
    assert len(site.last().keep) == KEEPS
    site.converse()
    assert site.last().keep == ()
    assert sorted(camera.kept()) == sorted(f"r-t{number}" for number in range(40))


def test_a_person_has_an_interval_kept_once(site: Site) -> None:
    """Asked again with the same key nothing new is kept; who asked for what stands in the audit log."""
    camera = site.mount()
    first = ask(site, note="hai người cãi nhau")
    assert ask(site, note="hai người cãi nhau") == first
    assert site.last().keep == (Keep(id=first.id, why="asked", before_s=30, after_s=60),)
    site.converse()
    assert ask(site).done_at is not None
    site.converse()
    assert camera.kept() == [first.id]
    assert ask(site, by="person:hanh").id != first.id
    entries = site.hall.transact(lambda rows: newest(rows, None, 9)).result(30)
    assert [(one.actor, one.action, one.object, one.detail) for one in entries] == [
        ("person:hanh", "clip_asked", "q01", "30 s before, 60 s after"),
        ("person:dung", "clip_asked", "q01", "30 s before, 60 s after"),
    ]


def test_an_interval_is_not_asked_for_when_it_is_over(site: Site) -> None:
    """A camera that did not hear within seconds would keep another interval: it is asked no more, and that is noted."""
    site.mount()
    ask(site)
    site.passes(ASKED_S + 1)
    assert site.last().keep == ()
    assert site.rows("why", "done_at")[0] == ("asked", None)
    site.stop()
    site.start()
    assert site.last().keep == ()


def test_a_store_that_fails_makes_a_wish_wait(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the disk is full nothing is lost: the service is asked for as soon as it can be written down."""
    site.mount()
    site.serve("t1")
    failing = [True]
    add = book.add

    def sometimes(connection: sa.Connection, wish: book.Wish) -> bool:
        if failing:
            raise sa.exc.OperationalError("insert", {}, Exception("disk I/O error"))
        return add(connection, wish)

    monkeypatch.setattr(book, "add", sometimes)
    low = site.rate("t1", 1)
    assert site.last().keep == ()
    failing.clear()
    site.passes(6)
    assert [keep.id for keep in site.last().keep] == [low]


# --- the sample ------------------------------------------------------------------------------------------------------


def sampled(site: Site) -> dict[str, list[str]]:
    """Return the tickets of each officer that are in the sample."""
    found = defaultdict(list)
    for officer, ticket, gone in site.rows("officer", "ticket", "gone_at"):
        if gone is None:
            found[officer].append(ticket)
    return found


def test_each_officer_gives_the_same_number(site: Site) -> None:
    """Who served twenty and who served three give two each, those with the lowest lots; no lot is drawn twice."""
    site.stop()
    site.config = replace(site.config, clips=Clips(sample_per_week=2))
    site.start()
    site.mount()
    site.mount("q02")
    for number in range(20):
        site.serve(f"ha-{number}")
    site.do(CloseCounter(at=site.now(), counter="q01"))
    site.do(OpenCounter(at=site.now(), counter="q01", officer="Lê Văn Dũng"))
    for number in range(3):
        site.serve(f"dung-{number}")
        site.serve(f"pad-{number}", "q02")  # opened by its call pad: nobody is named
    key = site.hall.transact(lambda rows: rows.execute(sa.select(sample_week.c.key)).scalar_one()).result(30)

    def lowest(name: str, count: int) -> list[str]:
        return [lot.ticket for lot in sample.lowest([sample.draw(key, f"{name}-{n}") for n in range(count)], 2)]

    wanted = {"Trần Thu Hà": lowest("ha", 20), "Lê Văn Dũng": lowest("dung", 3), "/q02": lowest("pad", 3)}
    assert {who: sorted(tickets) for who, tickets in sampled(site).items()} == {
        who: sorted(tickets) for who, tickets in wanted.items()
    }
    rows = site.rows("id")
    site.converse()
    site.stop()
    site.start()  # draws again what ended within the hour
    site.settle()
    assert site.last().keep == ()
    assert site.rows("id") == rows
    site.converse()
    assert site.last().keep == ()
    held = {one.ticket for camera in site.cameras.values() for one in camera.driven if isinstance(one, Hold)}
    assert held >= {ticket for tickets in wanted.values() for ticket in tickets}
    entries = site.hall.transact(lambda rows: newest(rows, None, 9)).result(30)
    begun = [(one.object, one.detail) for one in entries if one.action == "sample_begun"]
    assert begun == [("2026-W48", f"2 of each officer, key {sample.sealed(key)}")]


def test_a_camera_that_missed_a_service_is_asked_for_another(site: Site) -> None:
    """What no camera kept has no place in the sample: the next service of that officer gets it."""
    site.stop()
    site.config = replace(site.config, clips=Clips(sample_per_week=1))
    site.start()
    site.mount()
    for day in range(3):
        site.serve(f"t{day}")
        site.passes(KEPT_MS / 1000 + 1)
        site.stop()
        site.start()  # a restart gives up what is too old, too
        site.do(OpenCounter(at=site.now(), counter="q01", officer="Trần Thu Hà"))
    assert [(ticket, gone is not None) for ticket, gone in site.rows("ticket", "gone_at")] == [
        ("t0", True), ("t1", True), ("t2", True),
    ]  # fmt: skip


def test_who_opened_a_counter_before_it_had_a_camera_is_known(site: Site) -> None:
    """A camera that is mounted in the middle of the day draws the services of whoever sits there, by name."""
    site.stop()
    site.config = replace(site.config, clips=Clips(sample_per_week=2))
    site.start()
    site.do(CloseCounter(at=site.now(), counter="q01"))
    site.do(OpenCounter(at=site.now(), counter="q01", officer="Lê Văn Dũng"))
    site.mount()
    site.serve("t1")
    assert sampled(site) == {"Lê Văn Dũng": ["t1"]}


def test_a_rating_that_comes_while_the_rows_are_read_is_not_lost(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """What happens between the reading and the beginning of a start is made up for."""
    site.mount()
    site.serve("t1")
    site.stop()
    load = book.load

    def slowly(connection: sa.Connection, **since: int) -> book.Left:
        left = load(connection, **since)
        rating = RatingStored("late", "t1", "q01", "/bentre/q01/page", "vn-3", 1, site.now())
        site.wishes._on_change(Change(events=(), ratings=(rating,), devices=(), state=State((), (), Rules())))
        return left

    monkeypatch.setattr(book, "load", slowly)
    site.start()
    site.settle()
    assert [keep.id for keep in site.last().keep] == ["late"]


def test_what_is_drawn_out_again_is_asked_for_no_more(site: Site) -> None:
    """A service that others have displaced before its camera heard of it is not kept."""
    site.stop()
    site.config = replace(site.config, clips=Clips(sample_per_week=1))
    site.start()
    site.mount()
    for number in range(12):
        site.serve(f"t{number}")
    ((standing,),) = ((keep.ticket for keep in site.last().keep),)
    assert sampled(site) == {"Trần Thu Hà": [standing]}


def test_what_is_drawn_out_leaves_the_list_at_once(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recording whose place another service took is in no list, whether it came before or after; a held one stays."""
    site.stop()
    site.config = replace(site.config, clips=Clips(sample_per_week=1))
    site.start()
    site.mount()
    lots = {"t0": "f" * 64, "t1": "0" * 64}
    monkeypatch.setattr(sample, "draw", lambda _key, ticket: sample.Lot(lots[ticket], ticket))
    site.serve("t0")
    row = {"station": "q01", "device": "camera", "start": 1, "seconds": 1.0, "made_at": 1, "why": "sample"}

    def come(connection: sa.Connection, name: str, ticket: str, *, held: bool = False) -> None:
        values = row | {"id": name, "name": name, "ticket": ticket, "held": held}
        connection.execute(sa.insert(clip).values(values))

    for name, held in (("early", False), ("held", True)):
        site.hall.transact(lambda rows, name=name, held=held: come(rows, name, "t0", held=held)).result(5)  # type: ignore[misc]
    site.serve("t1")
    assert sampled(site) == {"Trần Thu Hà": ["t1"]}
    listed = site.hall.transact(lambda rows: reviews.listed(rows, reviews.Wanted(), count=9)).result(5)
    assert [one.name for one in listed] == ["held"]
    assert site.hall.transact(lambda rows: book.reason(rows, "q01", "t0", "sample")).result(5) == book.DRAWN_OUT
    low = book.Wish(id="low", station="q01", why="low_rating", ticket="t0", asked_at=1)
    site.hall.transact(lambda rows: book.add(rows, low)).result(5)
    listed = site.hall.transact(lambda rows: reviews.listed(rows, reviews.Wanted(), count=9)).result(5)
    assert {one.kind for one in listed} == {"low_rating"}
    assert len(listed) == 2


# --- panic -----------------------------------------------------------------------------------------------------------


def test_a_panic_reaches_the_camera_and_is_taken_back_when_it_was_heard(site: Site) -> None:
    """Panic keys begin an incident at the camera of their counter, once, and stand no longer than until it says so."""
    camera = site.mount()
    site.mount("q02")
    site.press_panic("p-1")
    assert site.last().panic == "p-1"
    assert site.last("q02").panic is None
    site.converse()
    assert site.last().panic is None
    assert [(fact.kind, fact.zone) for fact in camera.recorded] == [("panic", "picture")]
    site.press_panic("p-1")  # sent again by its outbox
    site.converse()
    assert len(camera.recorded) == 1


def test_a_panic_ends_after_a_minute_also_where_no_camera_hears_it(site: Site) -> None:
    """A camera that comes back later does not take an old panic for one of now."""
    site.mount()
    site.press_panic("p-1")
    site.passes(61)
    assert site.last().panic is None
    site.press_panic("p-2", ago_ms=610_000)  # the pad had no contact
    assert site.last().panic is None


@pytest.mark.parametrize("wrong_ms", [-3_600_000, 300_000])
def test_a_pad_whose_clock_is_wrong_is_heard(site: Site, wrong_ms: int) -> None:
    """Whoever calls for help need not have the right time: an hour ahead or minutes behind, the camera records."""
    site.mount()
    site.press_panic("p-1", ago_ms=wrong_ms)
    assert site.last().panic == "p-1"


def test_a_panic_that_was_heard_is_not_heard_again_after_a_restart(site: Site) -> None:
    """Of two panics within a minute a center that starts again says the last one only: the camera knows it."""
    camera = site.mount()
    for event in ("p-1", "p-2"):
        site.press_panic(event)
        site.converse()
        site.passes(20)
    site.stop()
    told = len(site.published["q01"])
    site.start()
    site.converse()
    assert {one.panic for one in site.published["q01"][told:]} == {"p-2", None}
    assert sum(isinstance(fact, CameraStarted) for fact in camera.recorded) == 2


def test_a_panic_outlives_the_center_s_restart(site: Site) -> None:
    """A center that was killed right after a panic was stored tells the camera as soon as it is back."""
    camera = site.mount()
    site.connected = False
    site.press_panic("p-1")
    site.stop()
    site.connected = True
    site.start()
    site.converse()
    assert [fact.kind for fact in camera.recorded] == ["panic"]
    site.passes(61)
    assert site.last().panic is None


def test_the_number_of_messages_of_an_ordinary_service(site: Site) -> None:
    """Call, start and finish tell the counter's camera three times, others nothing; a recall is no news to a camera."""
    site.mount()
    site.mount("q02")
    before = {station: len(told) for station, told in site.published.items()}
    now = site.now()
    site.do(Issue(at=now, ticket_id="t1", service="dat-dai"), CallNext(at=now, counter="q01"))
    site.do(Recall(at=now, counter="q01"), Start(at=now, counter="q01"), Finish(at=now, counter="q01"))
    site.rate("t1", 2)
    site.converse()
    assert {station: len(told) - before[station] for station, told in site.published.items()} == {"q01": 3, "q02": 0}


@pytest.mark.mosquitto
def test_panic_keys_reach_a_camera_over_the_broker_at_once(
    config: Config, clock: TestClock, mosquitto_broker: Broker, record_property: Any
) -> None:
    """From the pad's event to the camera's ear, store and broker included, panics, ratings and settings arrive."""
    config = replace(config, clips=Clips(sample_per_week=0))
    hall = Hall(config, Store(config.store_url), clock)
    hall.start()
    wishes, ingest = Wishes(hall, config), Ingest(with_broker(config, *at(mosquitto_broker)), hall)
    ingest.start()
    ingest.join(wishes)
    wishes.start()
    camera_at, pad_at, rating_at = (Address(center="bentre", station="q01", device=name) for name in DEVICES)
    try:
        wait_for(ingest.connected)
        with (
            DeviceSide(*at(mosquitto_broker), camera_at) as camera,
            DeviceSide(*at(mosquitto_broker), pad_at) as pad,
            DeviceSide(*at(mosquitto_broker), rating_at) as rating,
        ):
            camera.say(Channel.STATUS, ONLINE, retain=True)
            wait_for(lambda: camera.desired().get("state") == "closed")
            took = []
            for sequence in range(1, 21):
                began = time.perf_counter()
                fact = sealed(
                    CallpadPanic(held_ms=500), sequence=sequence, event_id=f"p{sequence}", source=pad_at.source
                )
                pad.say(Channel.EVENT, fact)
                wait_for(lambda sequence=sequence: camera.desired().get("panic") == f"p{sequence}", every_s=0.001)  # type: ignore[misc]
                took.append(1000 * (time.perf_counter() - began))
            record_property("panic_ms", f"{statistics.median(took):.1f} at the median, {max(took):.1f} at the most")
            camera.say(Channel.REPORTED, CameraReported(revision=camera.desired()["revision"]))
            wait_for(lambda: camera.desired()["panic"] is None)
            low = rating.tell(rated(1, ticket="t1"), sequence=1)
            wait_for(lambda: [each["id"] for each in camera.desired()["keep"]] == [low])
            wishes.set("q01", 0, Setting(zones=(CITIZEN,)), by="person:dung").result(30)
            wait_for(lambda: camera.desired()["zones"] is not None)
            mosquitto_broker.restart()
        with DeviceSide(*at(mosquitto_broker), camera_at) as camera:
            wait_for(lambda: [each["id"] for each in camera.desired().get("keep", ())] == [low], timeout_s=30)
    finally:
        wishes.stop()
        ingest.stop()
        hall.stop()


DEVICES = ("camera", "callpad", "rating")


def at(broker: Broker) -> tuple[str, int]:
    """Return where a broker listens."""
    return broker.host, broker.port
