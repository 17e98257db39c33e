"""What a camera says and records: facts, clips and reports, at literal times."""

import base64
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import count
from typing import Any, Literal, TypeVar, get_args

import msgspec
import pytest

from contract.codec import decode, encode
from contract.envelope import open_envelope, seal
from contract.events import CameraEnded, CameraFault, CameraIncident, CameraStarted, CameraUpdated, Clip, Fact
from contract.requests import Args, Reply, Upload
from contract.states import CameraDesired, CameraReported, Hours, Keep, Zone
from firmware.devices.camera.config import CameraConfig
from firmware.devices.camera.decisions import (
    HELD_TICKETS,
    INCIDENT_CLIP_MS,
    KEPT_KEY,
    KEPT_WITHIN_MS,
    REMEMBERED,
    SERVICE_CLIP_MS,
    THUMBNAIL_BYTES,
    CameraDecisions,
    Trouble,
)
from firmware.devices.camera.signals import (
    Answer,
    Back,
    Begin,
    Begun,
    Contact,
    End,
    Forget,
    Held,
    Hold,
    Kept,
    Lost,
    Picture,
    Presence,
    Read,
    Room,
    Seen,
    Settings,
    Thumbnail,
    Unkept,
    Unsent,
    Wants,
)
from firmware.ports import Ask, Drive, Effect, Record, Remember, Report

SQUARE = ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0))
ZONES = (Zone(name="citizen", points=SQUARE), Zone(name="officer", points=SQUARE))
CONFIG = CameraConfig(source="picamera2", model="/lib/centerface.onnx", zones=ZONES)
STILL = {"": 0.0, "citizen": 0.0, "officer": 0.0}
SERVED, ALONE = {"citizen": 1, "officer": 1}, {"citizen": 1, "officer": 0}
WORK = datetime(2026, 11, 23, 1, 2, 3, tzinfo=UTC)
SHA = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

T = TypeVar("T")


class Camera:
    """Carries out what a camera's decisions want, as the daemon and the driver would, at literal times."""

    def __init__(
        self,
        config: CameraConfig = CONFIG,
        memory: Mapping[str, str] | None = None,
        *,
        ids: Callable[[], str] | None = None,
    ) -> None:
        numbers = count(1)
        self.memory = dict(memory or {})
        self.decisions = CameraDecisions(config, new_id=ids or (lambda: f"id-{next(numbers)}"), memory=self.memory)
        self.now_ms = 1_000_000
        self.facts: list[Fact] = []
        self.driven: list[Any] = []
        self.asks: list[Ask] = []
        self.reports: list[CameraReported] = []
        self.effects: list[Effect] = []
        self.do(self.decisions.on_start(self.now_ms))

    def desired(
        self,
        state: Literal["closed", "open", "calling", "serving", "paused"] = "open",
        ticket: str | None = None,
        **more: Any,
    ) -> "Camera":
        """Hear the center."""
        self.do(self.decisions.on_desired(CameraDesired(revision=1, state=state, ticket=ticket, **more), self.now_ms))
        return self

    def signal(self, signal: Any) -> "Camera":
        """Hear the driver."""
        self.do(self.decisions.on_signal(signal, self.now_ms))
        return self

    def sees(self, seconds: float, people: Mapping[str, int] | None = SERVED, **seen: Any) -> "Camera":
        """Let the same be seen for so long; the last observation is made at its end."""
        until_ms = self.now_ms + round(seconds * 1000)
        while True:
            self.signal(Seen(**{"at_ms": self.now_ms, "motion": STILL, "people": people, "now": WORK, **seen}))
            if self.now_ms >= until_ms:
                return self
            self.waits(0.2)

    def waits(self, seconds: float) -> "Camera":
        """Let the time go on, with every deadline on the way met in time."""
        until_ms = self.now_ms + round(seconds * 1000)
        while (due := self.decisions.deadline_ms()) is not None and due <= until_ms:
            self.now_ms = max(self.now_ms, due)
            self.do(self.decisions.on_time(self.now_ms))
            later = self.decisions.deadline_ms()
            assert later is None or later > self.now_ms, "a deadline that was met stays due: the daemon would spin"
        self.now_ms = until_ms
        return self

    def writes(self, clip: str, seconds: float = 51.0) -> "Camera":
        """Let the recorder have finished a clip."""
        return self.signal(Kept(clip, start=WORK, seconds=seconds, bytes=4_000_000, sha256=SHA))

    def restarts(self, config: CameraConfig = CONFIG) -> "Camera":
        """Return the camera that starts with what this one's outbox remembers."""
        numbers = count(1)
        return Camera(config, self.memory, ids=lambda: f"again-{next(numbers)}").signal(Read())

    def do(self, effects: Sequence[Effect]) -> None:
        """Carry out effects; each fact and each state must travel as the contract says."""
        for effect in effects:
            self.effects.append(effect)
            match effect:
                case Record(fact, remember, then, otherwise):
                    assert (then, otherwise) == ((), ())
                    assert travelled(fact) == fact
                    self.facts.append(fact)
                    self.memory.update(remember)
                case Remember(memory):
                    self.memory.update(memory)
                case Report(state):
                    assert isinstance(state, CameraReported)
                    assert decode(encode(state), CameraReported) == state
                    assert state.trouble is None or state.trouble.partition(":")[0] in get_args(Trouble)
                    self.reports.append(state)
                case Drive(command):
                    self.driven.append(command)
                case Ask():
                    self.asks.append(effect)
                case _:
                    raise AssertionError(f"unknown effect {effect}")

    def told(self, kind: type[T]) -> list[T]:
        """Return what the driver was told of a kind."""
        return [command for command in self.driven if isinstance(command, kind)]

    def said(self, kind: type[T]) -> list[T]:
        """Return what was recorded of a kind."""
        return [fact for fact in self.facts if isinstance(fact, kind)]

    def fresh(self) -> "Camera":
        """Forget what was done up to now."""
        for each in (self.facts, self.driven, self.reports, self.effects):
            each.clear()
        return self

    @property
    def trouble(self) -> str | None:
        """What the camera reports to be wrong."""
        return self.reports[-1].trouble


def travelled(fact: Fact) -> Fact:
    """Return what the center reads of a fact."""
    sealed = seal(
        fact,
        event_id="e1",
        source="/bentre/q03/camera",
        time=WORK,
        sequence=1,
        stream="s1",
        boot_id="b1",
        monotonic_ms=0,
        clock_synced=True,
    )
    return open_envelope(sealed).fact()


# --- an incident ------------------------------------------------------------------------------------------------------


def test_an_incident_is_recorded_in_the_call_in_which_its_condition_holds() -> None:
    """The fact waits for no picture and no file: it comes first, then the clip and the thumbnail are begun."""
    camera = Camera().desired("serving", "t1").sees(29.8, ALONE).fresh()
    camera.waits(0.2)
    at_ms = camera.now_ms
    camera.signal(Seen(at_ms=at_ms, motion=STILL, people=ALONE, now=WORK))
    record, begin, picture = camera.effects
    assert isinstance(record, Record)
    started = CameraStarted(incident="id-2", kind="waiting_alone", zone="citizen", confidence=0.9, ticket="t1")
    assert record.fact == started
    assert begin == Drive(Begin("id-2", at_ms=at_ms, before_ms=10_000, why="waiting_alone", held=False, ticket="t1"))
    assert picture == Drive(Picture("id-2"))


def test_a_thumbnail_comes_after_its_incident_once() -> None:
    """The picture follows as an update of the same incident; a second, a large and a strange one say nothing."""
    camera = Camera().desired().sees(30, ALONE).fresh()
    camera.signal(Thumbnail("id-1", bytes(THUMBNAIL_BYTES + 1))).signal(Thumbnail("strange", b"\xff\xd8"))
    assert camera.facts == []
    picture = bytes(range(256)) * 96  # as large as a thumbnail may be
    camera.signal(Thumbnail("id-1", picture)).signal(Thumbnail("id-1", b"\xff\xd8"))
    (updated,) = camera.said(CameraUpdated)
    assert updated.incident == "id-1"
    assert updated.thumbnail is not None
    assert base64.b64decode(updated.thumbnail) == picture


def test_an_end_is_recorded_with_its_clip() -> None:
    """The clip goes on for the post-roll; when it is written the end is told, with the clip and how long it lasted."""
    camera = Camera().desired().sees(30, ALONE).fresh()
    camera.sees(5)
    assert camera.told(End) == [End("id-1", at_ms=camera.now_ms, after_ms=10_000)]
    assert camera.facts == []
    camera.waits(11).writes("id-1")
    clip = Clip(id="id-1", start="2026-11-23T01:02:03.000Z", seconds=51.0, bytes=4_000_000, sha256=SHA)
    assert camera.facts == [
        CameraEnded(incident="id-1", kind="waiting_alone", zone="citizen", confidence=0.9, clip=clip, lasted_ms=5_000)
    ]
    assert camera.decisions.deadline_ms() is None
    camera.writes("id-1").waits(3600)
    assert len(camera.facts) == 1


def test_an_end_waits_for_its_clip_no_longer_than_it_takes() -> None:
    """A clip that is not written half a minute after its end is not waited for."""
    camera = Camera().desired().sees(30, ALONE).sees(5).fresh()
    camera.signal(Unkept("id-1", "the disk is full"))
    camera.waits(10 + KEPT_WITHIN_MS / 1000 - 0.2)
    assert camera.facts == []
    camera.waits(0.2)
    (ended,) = camera.said(CameraEnded)
    assert (ended.incident, ended.clip) == ("id-1", None)
    assert camera.writes("id-1").facts == [ended]


def test_incidents_at_once_have_a_clip_each() -> None:
    """Overlapping incidents share neither id nor clip, and end each by itself."""
    camera = Camera().desired().sees(120, ALONE)
    assert [fact.kind for fact in camera.said(CameraStarted)] == ["waiting_alone", "officer_absent"]
    assert [begin.clip for begin in camera.told(Begin)] == ["id-1", "id-2"]
    camera.fresh().sees(60, {"citizen": 0, "officer": 0})
    assert [end.clip for end in camera.told(End)] == ["id-1"]
    camera.sees(5.2)
    assert [end.clip for end in camera.told(End)] == ["id-1", "id-2"]


def test_the_next_incident_of_a_kind_does_not_wait_for_the_last_one_s_clip() -> None:
    """Of one kind never two are open: the last one's end is recorded before the next one's start."""
    camera = Camera(msgspec.structs.replace(CONFIG, hours=(Hours(days=(7,), begin="08:00", end="09:00"),)))
    moves = STILL | {"": 0.1}
    camera.sees(1.2, motion=moves).sees(30.4, {}).fresh().sees(1.2, motion=moves)
    first, second = camera.facts
    assert isinstance(first, CameraEnded)
    assert isinstance(second, CameraStarted)
    assert (first.incident, second.incident) == ("id-1", "id-2")


def test_a_long_incident_has_a_clip_of_ten_minutes() -> None:
    """The clip ends though the incident goes on, and is told of; the end says it again and begins no other."""
    camera = Camera().desired().sees(120, {"citizen": 0, "officer": 0}).fresh()
    camera.sees(INCIDENT_CLIP_MS / 1000, {"citizen": 0, "officer": 0})
    assert camera.told(End) == [End("id-1", at_ms=camera.now_ms, after_ms=0)]
    camera.writes("id-1").writes("id-1")
    (updated,) = camera.facts
    assert isinstance(updated, CameraUpdated)
    camera.fresh().sees(5.2)
    (ended,) = camera.facts
    assert isinstance(ended, CameraEnded)
    assert ended.clip == updated.clip
    assert camera.driven == []


def test_a_kind_that_the_center_switches_off_ends_at_once() -> None:
    """A clip of what is no longer looked for gets its post-roll and no more."""
    camera = Camera().desired().sees(30, ALONE).fresh().desired(kinds=("panic",))
    assert camera.told(End) == [End("id-1", at_ms=camera.now_ms, after_ms=10_000)]
    camera.writes("id-1").sees(300, ALONE)
    assert [type(fact) for fact in camera.facts] == [CameraEnded]


def test_a_network_that_comes_is_an_update() -> None:
    """An incident that began by motion alone says so when people are really seen."""
    camera = Camera(msgspec.structs.replace(CONFIG, model=None)).desired()
    assert not camera.reports[-1].presence
    camera.sees(91, None, motion=STILL | {"": 0.1, "citizen": 0.2}).sees(1, ALONE)
    started, updated = camera.facts
    assert isinstance(started, CameraStarted)
    assert isinstance(updated, CameraUpdated)
    assert (started.confidence, updated.confidence) == (0.5, 0.9)
    assert camera.reports[-1].presence


# --- panic ------------------------------------------------------------------------------------------------------------


def test_a_panic_is_recorded_at_once_and_its_clip_is_held() -> None:
    """The keys need no picture and no open counter; the clip is never deleted at the device."""
    camera = Camera().fresh().desired("closed", panic="p1")
    (started,) = camera.said(CameraStarted)
    assert (started.kind, started.zone, started.confidence) == ("panic", "picture", 1.0)
    assert camera.told(Begin) == [
        Begin("id-1", at_ms=camera.now_ms, before_ms=10_000, why="panic", held=True, ticket=None)
    ]
    camera.waits(60)
    assert camera.told(End) == [End("id-1", at_ms=camera.now_ms, after_ms=10_000)]


def test_a_panic_is_one_however_often_it_is_heard() -> None:
    """The retained state repeats itself, also to a camera that was restarted: each event is an incident once."""
    camera = Camera().desired(panic="p1").desired(panic="p1").waits(120).desired(panic="p1")
    assert len(camera.said(CameraStarted)) == 1
    again = camera.restarts().desired(panic="p1")
    assert again.said(CameraStarted) == []
    again.desired(panic="p2")
    assert len(again.said(CameraStarted)) == 1


def test_a_pad_that_fires_on_and_on_hardly_writes() -> None:
    """Presses that belong to a panic that goes on are noted with its end, and a restart after it begins none anew."""
    camera = Camera()
    for number in range(60):
        camera.desired(panic=f"p{number}").waits(2)
    camera.fresh()
    for number in range(60, 120):
        camera.desired(panic=f"p{number}").waits(2)
    assert camera.told(Begin) == []
    assert len(camera.said(CameraUpdated)) == 2
    assert [each for each in camera.effects if isinstance(each, Remember)] == []
    camera.waits(120)
    assert camera.restarts().desired(panic="p119").said(CameraStarted) == []


def test_a_panic_that_nobody_looked_for_is_not_made_up_for() -> None:
    """Keys that were pressed while the kind was off are no incident when it is on again, nor after a restart."""
    camera = Camera().desired(kinds=(), panic="p1").desired(panic="p1")
    assert camera.restarts().desired(panic="p1").facts == camera.facts == []


# --- restarts ---------------------------------------------------------------------------------------------------------


def test_what_was_open_ends_with_the_next_start() -> None:
    """No id stays open for ever: what a restart cut short is ended by the next start, once."""
    camera = Camera().desired("serving", "t1").sees(120, ALONE)
    opened = {fact.incident for fact in camera.said(CameraStarted)}
    again = camera.restarts()
    assert {fact.incident for fact in again.said(CameraEnded)} == opened
    assert {(fact.kind, fact.ticket) for fact in again.said(CameraEnded)} == {
        ("waiting_alone", "t1"),
        ("officer_absent", "t1"),
    }
    assert again.restarts().facts == []


def test_an_incident_that_is_over_and_waits_for_its_clip_is_ended_by_a_restart_too() -> None:
    """Between an incident's end and its clip's, the end is not on record yet; a power cut then loses no end."""
    camera = Camera().desired().sees(30, ALONE).sees(5.2)
    assert camera.said(CameraEnded) == []
    assert [fact.incident for fact in camera.restarts().said(CameraEnded)] == ["id-1"]
    camera.writes("id-1")
    assert camera.restarts().facts == []


def test_a_camera_that_was_opened_again_begins_anew() -> None:
    """When the driver was closed between, incidents and clips end, and the service is recorded in a new clip."""
    camera = Camera().desired("serving", "t1").sees(30, ALONE).fresh()
    camera.do(camera.decisions.on_start(camera.now_ms))
    assert {end.clip for end in camera.told(End)} == {"id-1", "id-2"}
    camera.signal(Read())
    assert [fact.incident for fact in camera.said(CameraEnded)] == ["id-2"]
    camera.desired("serving", "t1")
    assert [begin.clip for begin in camera.told(Begin)] == ["id-3"]


def test_what_the_last_run_recorded_belongs_to_its_incident() -> None:
    """The power fails between a clip and the word of it: the next start ends the incident with the clip."""
    camera = Camera().desired().sees(30, ALONE)
    again = Camera(memory=camera.memory)
    assert again.facts == []
    again.writes("id-1").signal(Read())
    (ended,) = again.said(CameraEnded)
    assert ended.clip == Clip(id="id-1", start="2026-11-23T01:02:03.000Z", seconds=51.0, bytes=4_000_000, sha256=SHA)
    again.writes("id-1").writes("of another day").waits(60)
    assert again.facts == [ended]


def test_a_disk_that_is_never_read_keeps_no_incident_open() -> None:
    """Where the recorder does not say what lies there, incidents of the last run end without a clip."""
    camera = Camera().desired().sees(30, ALONE)
    again = Camera(memory=camera.memory).waits(KEPT_WITHIN_MS / 1000)
    assert [(fact.incident, fact.clip) for fact in again.said(CameraEnded)] == [("id-1", None)]


@pytest.mark.parametrize("rubbish", ["", "null", "[1]", '[{"id": 3}]', "{"])
def test_a_memory_that_cannot_be_read_is_none(rubbish: str) -> None:
    """What another program wrote there keeps no camera from starting."""
    camera = Camera(memory={"camera.open": rubbish, "camera.kept": rubbish})
    assert camera.facts == []


# --- services ---------------------------------------------------------------------------------------------------------


def test_a_service_is_recorded_from_its_start_to_its_end() -> None:
    """The clip begins when serving begins and ends when it does; the next ticket has its own."""
    camera = Camera().fresh().desired("calling", "t1").desired("serving", "t1").desired("serving", "t1")
    began_ms = camera.now_ms
    camera.waits(300).desired("paused", "t1").waits(60).desired("serving", "t1").waits(60).desired("serving", "t2")
    assert camera.driven == [
        Begin("id-1", at_ms=began_ms, before_ms=0, why="service", held=False, ticket="t1"),
        End("id-1", at_ms=began_ms + 300_000, after_ms=0),
        Begin("id-2", at_ms=began_ms + 360_000, before_ms=0, why="service", held=False, ticket="t1"),
        End("id-2", at_ms=began_ms + 420_000, after_ms=0),
        Begin("id-3", at_ms=began_ms + 420_000, before_ms=0, why="service", held=False, ticket="t2"),
    ]


def test_a_service_that_nobody_asks_for_is_forgotten() -> None:
    """An hour after its end the clip of an ordinary service goes."""
    camera = Camera().desired("serving", "t1").waits(60).desired("open").fresh()
    camera.waits(3599.9)
    assert camera.driven == []
    camera.waits(0.1)
    assert camera.driven == [Forget("id-1")]
    assert camera.decisions.deadline_ms() is None


def test_a_low_rating_keeps_the_service_it_is_about() -> None:
    """The clip is held when the center asks, by the name it asks for, and never forgotten."""
    camera = Camera().desired("serving", "t1").desired("open").fresh()
    keep = Keep(id="k1", why="low_rating", ticket="t1")
    camera.desired("open", keep=(keep,)).desired("open", keep=(keep,))
    assert camera.driven == [Hold("k1", ticket="t1", why="low_rating")]
    camera.signal(Held("k1", ("id-1",))).waits(86_400)
    assert camera.told(Forget) == []


def test_a_service_that_is_asked_for_before_it_ends_is_held_from_its_beginning() -> None:
    """A sample is chosen when its ticket is called: its clip is begun as one that stays, also after a restart."""
    keep = Keep(id="k1", why="sample", ticket="t1")
    camera = Camera().desired("calling", "t1", keep=(keep,)).fresh().desired("serving", "t1")
    assert [(begin.why, begin.held, begin.asked) for begin in camera.told(Begin)] == [("sample", True, "k1")]
    camera.desired("open").waits(86_400)
    assert camera.told(Forget) == []
    camera.desired("open", keep=(keep,)).signal(Held("k1", ("id-1",)))
    again = camera.restarts().desired("serving", "t1", keep=(keep,))
    assert again.told(Hold) == []
    assert [begin.held for begin in again.told(Begin)] == [True]
    low = Keep(id="k2", why="low_rating", ticket="t1")
    camera.desired("open", keep=(keep, low)).fresh().desired("serving", "t1", keep=(low,))
    assert [(begin.why, begin.asked) for begin in camera.told(Begin)] == [("sample", "k1")], "who asked first names it"


def test_a_service_without_end_has_a_clip_that_ends() -> None:
    """A ticket that an officer forgot at the counter is recorded for an hour, not for the night."""
    camera = Camera().desired("serving", "t1").fresh().waits(SERVICE_CLIP_MS / 1000)
    assert camera.told(End) == [End("id-1", at_ms=camera.now_ms, after_ms=0)]
    camera.waits(60).desired("serving", "t1", panic=None).desired("open")
    assert camera.told(Begin) == []
    assert camera.told(End) == [End("id-1", at_ms=camera.now_ms - 60_000, after_ms=0)]


def test_a_station_may_record_no_services() -> None:
    """With service_clips = false only incidents and what is asked for are recorded."""
    camera = Camera(msgspec.structs.replace(CONFIG, service_clips=False)).desired("serving", "t1").desired("open")
    assert camera.told(Begin) == []


# --- what shall be kept -----------------------------------------------------------------------------------------------


def test_a_stretch_of_time_is_kept_by_its_own_name_once() -> None:
    """So much before and after hearing it; the retained state repeats it, and a restart does not do it again."""
    keep = Keep(id="k1", why="asked", before_s=20, after_s=40)
    camera = Camera().fresh().desired("open", keep=(keep,)).desired("open", keep=(keep,))
    assert camera.driven == [
        Begin("k1", at_ms=camera.now_ms, before_ms=20_000, why="asked", held=True, ticket=None),
        End("k1", at_ms=camera.now_ms, after_ms=40_000),
    ]
    camera.signal(Begun("k1"))
    assert camera.restarts().desired("open", keep=(keep,)).told(Begin) == []


@pytest.mark.parametrize(
    ("keep", "word"),
    [
        (Keep(id="k1", why="low_rating", ticket="t1"), Held("k1", ("id-1",))),
        (Keep(id="k1", why="asked", after_s=40), Begun("k1")),
        (Keep(id="k1", why="asked", after_s=40), Unkept("k1", "the disk is full")),
        (Keep(id="k1", why="asked", after_s=1), Kept("k1", start=WORK, seconds=1.0, bytes=1, sha256=SHA)),
    ],
    ids=["held", "begun", "cannot be", "kept"],
)
def test_what_is_asked_is_confirmed_when_it_is_on_the_disk(keep: Keep, word: Any) -> None:
    """A power cut before the recorder's word has the center ask again, and the camera do it again; after it neither."""
    camera = Camera().desired("open", keep=(keep,)).desired("open", keep=(keep,))
    assert camera.reports[-1].revision == 0
    assert camera.memory.get(KEPT_KEY) is None
    cut = camera.restarts().desired("open", keep=(keep,))
    assert len(cut.told(Begin)) + len(cut.told(Hold)) == 1

    camera.signal(word)

    assert camera.reports[-1].revision == 1
    cut = camera.restarts().desired("open", keep=(keep,))
    assert (cut.told(Begin), cut.told(Hold)) == ([], [])
    assert cut.reports[-1].revision == 1


def test_what_the_center_asks_no_more_holds_up_no_word() -> None:
    """What could not be begun in time is given up by the center; the camera confirms what else stands there."""
    camera = Camera().desired("open", keep=(Keep(id="k1", why="asked", after_s=40),))
    assert camera.reports[-1].revision == 0
    camera.desired("open")
    assert camera.reports[-1].revision == 1


def test_all_that_is_asked_for_now_is_known_as_carried_out() -> None:
    """Thirty-two requests that stand for weeks are not carried out again because others came and went."""
    standing = tuple(Keep(id=f"s{number}", why="asked", after_s=1) for number in range(31))
    camera = Camera().desired("open", keep=standing).fresh()
    for keep in standing:
        camera.signal(Begun(keep.id))
    for number in range(100):
        camera.desired("open", keep=(*standing, Keep(id=f"k{number}", why="asked", after_s=1)))
        camera.signal(Begun(f"k{number}"))
    assert [begin.clip for begin in camera.told(Begin)] == [f"k{number}" for number in range(100)]
    again = camera.restarts().desired("open", keep=standing)
    again.desired("open", keep=(Keep(id=f"k{100 - REMEMBERED}", why="asked", after_s=1),))
    assert again.told(Begin) == []
    assert len(camera.memory["camera.kept"]) < 64 * 64


def test_the_tickets_that_are_held_do_not_grow_without_end() -> None:
    """A year of low ratings takes no more memory than a few days of them."""
    camera = Camera()
    for number in range(3 * HELD_TICKETS):
        camera.desired("open", keep=(Keep(id=f"k{number}", why="low_rating", ticket=f"t{number}"),))
    assert len(camera.decisions._held) == HELD_TICKETS


# --- the camera itself ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["covered", "defocused", "moved", "frozen"])
def test_a_fault_of_the_picture_is_told_once(kind: str) -> None:
    """A fault that lasts is a fact, an incident, and the trouble that is reported until it is gone; each once."""
    camera = Camera().desired().sees(2.8, faults=frozenset({kind}))
    assert camera.trouble is None
    camera.sees(60, faults=frozenset({kind}))
    assert [fact.kind for fact in camera.said(CameraFault)] == [kind]
    assert [fact.kind for fact in camera.said(CameraStarted)] == [kind]
    assert camera.trouble == kind
    camera.sees(10.2)
    assert camera.trouble is None
    assert len(camera.said(CameraFault)) == 1


def test_an_older_observation_does_not_heal_a_fault() -> None:
    """What comes late says nothing about now: the fault is told when it has lasted 3 s."""
    camera = Camera().desired().sees(2, faults=frozenset({"covered"}))
    camera.signal(Seen(at_ms=camera.now_ms - 1000, motion=STILL, people=SERVED, now=WORK))
    camera.sees(1, faults=frozenset({"covered"}))
    assert camera.said(CameraFault) == [CameraFault(kind="covered")]


def test_a_camera_that_was_opened_again_has_no_fault_until_one_is_seen() -> None:
    """What was wrong before the driver was closed is looked for anew, and told anew."""
    camera = Camera().desired().sees(4, faults=frozenset({"covered"})).signal(Lost("unplugged")).fresh()
    camera.do(camera.decisions.on_start(camera.now_ms))
    assert camera.trouble is None
    camera.sees(3, faults=frozenset({"covered"}))
    assert camera.trouble == "covered"
    assert camera.said(CameraFault) == [CameraFault(kind="covered")]


def test_a_dark_hall_at_night_is_no_fault() -> None:
    """Lights that go out after closing are no cover over the lens; with the lights of the day it is one."""
    hours = (Hours(days=(1, 2, 3, 4, 5), begin="07:30", end="17:00"),)
    camera = Camera().desired("closed", hours=hours)
    night, black = WORK.replace(hour=13), {"faults": frozenset({"covered"}), "dark": True}  # eight in the evening
    camera.sees(60, None, now=night, **black)
    assert (camera.trouble, camera.facts) == (None, [])
    camera.sees(4, None, **black)
    assert camera.trouble == "covered"
    assert camera.said(CameraFault) == [CameraFault(kind="covered")]


def test_a_fault_is_told_where_tamper_is_no_incident() -> None:
    """A technician hears of a covered camera also where no supervisor wants to."""
    camera = Camera().desired(kinds=("panic",)).sees(60, faults=frozenset({"covered"}))
    assert camera.facts == [CameraFault(kind="covered")]
    assert camera.trouble == "covered"


def test_a_lost_camera_is_told_once_for_each_loss() -> None:
    """No picture is a fact at once, once until pictures come again, and the worst of all troubles."""
    camera = Camera().desired().sees(4, faults=frozenset({"covered"})).fresh()
    camera.signal(Lost("no picture for 5 s")).waits(60).signal(Lost("no picture for 65 s"))
    assert camera.facts == [CameraFault(kind="lost")]
    assert camera.trouble == "lost"
    camera.signal(Back())
    assert camera.trouble == "covered"
    camera.signal(Lost("again"))
    assert camera.facts == [CameraFault(kind="lost")] * 2


def test_a_cable_that_wobbles_all_day_does_not_fill_the_outbox() -> None:
    """A camera that comes and goes is told of six times in ten minutes at most; what it is, it always reports."""
    camera = Camera().fresh()
    for _ in range(360):
        camera.signal(Lost("unplugged")).waits(5).signal(Back()).waits(5)
    assert 30 <= len(camera.facts) <= 42
    assert len(camera.reports) == 720


def test_what_a_camera_is_is_reported_when_it_changes() -> None:
    """Revision, presence, clips, held ones and trouble: each change once, and nothing for an observation."""
    camera = Camera()
    assert camera.reports == [CameraReported(revision=0, presence=True)]
    camera.desired().sees(60).signal(Presence(there=False)).signal(Room(clips=12, held=2, tight=False))
    camera.signal(Room(clips=12, held=3, tight=True)).signal(Room(clips=12, held=3, tight=True))
    assert camera.reports[1:] == [
        CameraReported(revision=1, presence=True),
        CameraReported(revision=1, presence=False),
        CameraReported(revision=1, presence=False, clips=12, held=2),
        CameraReported(revision=1, presence=False, clips=12, held=3, trouble="disk"),
    ]


# --- settings ---------------------------------------------------------------------------------------------------------


def test_the_center_s_settings_come_before_the_station_s() -> None:
    """Zones and masks of the center are driven once; null gives the station's own back."""
    black = (Zone(name="door", points=SQUARE),)
    camera = Camera().fresh().desired(masks=black).desired(masks=black).desired()
    assert camera.driven == [Settings(zones=ZONES, masks=black), Settings(zones=ZONES, masks=())]


def test_what_the_center_wants_black_is_black_from_the_first_picture() -> None:
    """Settings outlive a restart: a camera that starts without any contact begins with what the center said last."""
    black = (Zone(name="door", points=SQUARE),)
    never = (Hours(days=(7,), begin="01:00", end="01:01"),)
    again = Camera().desired(masks=black, kinds=("panic",), hours=never).restarts()
    assert again.decisions.settings == Settings(zones=ZONES, masks=black)
    assert again.told(Settings) == []  # the driver was made with them
    again.sees(60, ALONE)
    assert again.facts == []
    back = again.desired().restarts()
    assert back.decisions.settings == Settings(zones=ZONES, masks=())


@pytest.mark.parametrize("key", ["zones", "masks"])
def test_a_zone_that_cannot_be_meant_leaves_the_station_s_own(key: str) -> None:
    """A polygon that crosses itself is reported, and neither this start nor the next one fails by it."""
    bow = (Zone(name="door", points=((0.1, 0.1), (0.9, 0.9), (0.9, 0.1), (0.1, 0.9))),)
    camera = Camera().desired(**{key: bow})
    assert camera.trouble == f"settings:{key}"
    assert camera.restarts().decisions.settings == Settings(zones=ZONES, masks=())


def test_two_zones_of_one_name_leave_the_station_s_own() -> None:
    """They are reported, and the next start, which begins with what the center said last, does not fail by them."""
    camera = Camera().desired(zones=(ZONES[0], ZONES[0]))
    assert camera.trouble == "settings:zones"
    assert camera.restarts().decisions.settings == Settings(zones=ZONES, masks=())


def test_a_camera_that_was_opened_again_hears_its_settings_again() -> None:
    """A driver that was opened again knows only the station's file: what the center wants black must be black."""
    black = (Zone(name="door", points=SQUARE),)
    camera = Camera().desired(masks=black).fresh()
    camera.do(camera.decisions.on_start(camera.now_ms))
    assert camera.driven == [Settings(zones=ZONES, masks=black)]


def test_opening_hours_decide_what_is_after_hours_and_who_must_be_there() -> None:
    """The center's hours come before the station's; a counter that an officer forgot to close is closed at night."""
    monday_morning = (Hours(days=(1,), begin="07:30", end="11:30"),)
    night = WORK.replace(hour=20)
    camera = Camera().desired(hours=monday_morning).sees(130, {"citizen": 0, "officer": 0}, now=night)
    assert camera.facts == []
    camera.sees(1.2, motion=STILL | {"": 0.1}, now=night)
    assert [fact.kind for fact in camera.said(CameraStarted)] == ["after_hours"]
    other = Camera().desired(hours=monday_morning).sees(60, motion=STILL | {"": 0.1})
    assert other.facts == []


def test_settings_that_cannot_be_meant_leave_the_station_s() -> None:
    """Hours that end before they begin, and kinds nobody knows, are reported; what the station's file says holds."""
    camera = Camera(msgspec.structs.replace(CONFIG, hours=(Hours(days=(1,), begin="07:30", end="11:30"),)))
    camera.desired(hours=(Hours(days=(1,), begin="17:00", end="07:30"),)).sees(1.2, motion=STILL | {"": 0.1})
    assert camera.trouble == "settings:hours"
    assert camera.facts == []
    camera.sees(1.2, motion=STILL | {"": 0.1}, now=WORK.replace(hour=20))
    assert [fact.kind for fact in camera.said(CameraStarted)] == ["after_hours"]
    camera.desired(kinds=("panic", "loitering", "covered")).fresh().sees(4, faults=frozenset({"covered"}))
    assert camera.said(CameraStarted) == []
    camera.sees(11)
    assert camera.trouble == "settings:kinds"
    camera.desired()
    assert camera.trouble is None


# --- the center is away -----------------------------------------------------------------------------------------------


def test_a_camera_works_without_the_center() -> None:
    """Contact comes and goes; incidents are recorded all the same, by what the center said last."""
    camera = Camera().desired("serving", "t1")
    assert camera.decisions.on_link(up=False, now_ms=camera.now_ms) == ()
    camera.sees(30, ALONE)
    assert [fact.ticket for fact in camera.said(CameraStarted)] == ["t1"]
    assert camera.decisions.on_link(up=True, now_ms=camera.now_ms) == ()
    assert camera.decisions.on_reply(Reply(id="r1", ok=True), camera.now_ms) == ()


def test_a_recording_gets_the_answer_to_its_own_ask() -> None:
    """A recording asks for leave by the camera's word, and hears the answer; one to an earlier ask is not taken."""
    camera = Camera(msgspec.structs.replace(CONFIG, center="https://a.example"))
    camera.do(camera.decisions.on_link(up=True, now_ms=camera.now_ms))
    clip = Clip(id="c-1", start="2026-11-23T01:02:03.000Z", seconds=51.0, bytes=4_000_000, sha256=SHA)
    wants = Wants(ask=1, clip=clip, file="shown", why="low_rating", ticket="t1", thumbnail="QUJD")
    camera.signal(wants).signal(msgspec.structs.replace(wants, ask=2))
    first, second = camera.asks
    assert (second.action, second.seen) == ("upload", None)
    assert second.args == Args(clip=clip, file="shown", why="low_rating", ticket="t1", thumbnail="QUJD")
    leave = Upload(path="/api/uploads/x", token="t0ken", offset=7)  # noqa: S106
    early = Upload(path="/api/uploads/y", token="t0ken", offset=7)  # noqa: S106
    for request_id, upload in ((first.request_id, early), (second.request_id, leave), (second.request_id, early)):
        camera.do(camera.decisions.on_reply(Reply(id=request_id, ok=True, upload=upload), camera.now_ms))
    assert camera.told(Answer) == [Answer(ask=2, upload=leave)]
    camera.signal(msgspec.structs.replace(wants, ask=3))
    no = Reply(id=camera.asks[-1].request_id, ok=False, code="disk_low", message="later")
    camera.do(camera.decisions.on_reply(no, camera.now_ms))
    assert camera.told(Answer)[1:] == [Answer(ask=3, upload=None, code="disk_low", message="later")]


def test_recordings_that_wait_for_long_are_a_trouble() -> None:
    """What the center's HTTP side does not take is told to it over MQTT; a disk that fills up is worse."""
    camera = Camera().desired().signal(Unsent(since_long=True))
    assert camera.trouble == "unsent"
    camera.signal(Room(clips=1, held=1, tight=True))
    assert camera.trouble == "disk"
    camera.signal(Room(clips=1, held=1, tight=False)).signal(Unsent(since_long=False))
    assert camera.trouble is None


def test_recordings_hear_of_contact_also_after_the_driver_was_closed() -> None:
    """Whoever sends knows whether the center can be asked, from the moment the driver is open."""
    camera = Camera(msgspec.structs.replace(CONFIG, center="https://a.example"))
    assert camera.told(Contact) == []
    camera.do(camera.decisions.on_link(up=True, now_ms=camera.now_ms))
    camera.do(camera.decisions.on_start(camera.now_ms))
    camera.do(camera.decisions.on_link(up=False, now_ms=camera.now_ms))
    camera.do(camera.decisions.on_start(camera.now_ms))
    assert camera.told(Contact) == [Contact(up=True), Contact(up=True), Contact(up=False)]


def test_an_early_or_late_look_at_the_clock_is_no_harm() -> None:
    """What is due is done when somebody looks, however late; before, nothing is."""
    camera = Camera().desired("serving", "t1", panic="p1").fresh()
    camera.do(camera.decisions.on_time(camera.now_ms + 59_999))
    assert camera.effects == []
    camera.now_ms += 7_200_000
    camera.do(camera.decisions.on_time(camera.now_ms))
    camera.do(camera.decisions.on_time(camera.now_ms))
    assert {end.clip for end in camera.told(End)} == {"id-1", "id-2"}
    assert len(camera.told(End)) == 2


def test_no_fact_of_a_camera_has_a_place_for_a_person() -> None:
    """What a camera says has a ticket, and nothing of who somebody is or how somebody feels."""
    allowed = {"incident", "kind", "zone", "confidence", "ticket", "thumbnail", "clip"}
    assert {field.name for field in msgspec.structs.fields(CameraIncident)} == allowed
