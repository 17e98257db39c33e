"""A camera against a model: whatever is seen, wanted, lost and restarted, its record and its clips stay whole."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from contract.cameras import KINDS
from contract.events import CameraEnded, CameraFault, CameraStarted, CameraUpdated, Fact
from contract.states import CameraDesired, Hours, Keep
from firmware.devices.camera.config import CameraConfig
from firmware.devices.camera.decisions import CameraDecisions
from firmware.devices.camera.incidents import MOST, TAMPER
from firmware.devices.camera.signals import (
    Back,
    Begin,
    Begun,
    End,
    Forget,
    Kept,
    Lost,
    Picture,
    Presence,
    Read,
    Room,
    Seen,
    Thumbnail,
)
from firmware.ports import Drive, Effect, Record, Remember, Report

CONFIG = CameraConfig(
    source="picamera2",
    hours=(Hours(days=(1,), begin="07:30", end="11:30"),),
    service_kept_min=1,
    waiting_s=10,
    absent_s=20,  # shorter than at a counter, so that a day has more of them
)
MONDAY = datetime(2026, 11, 23, 1, 0, tzinfo=UTC)
NOTHING = {"": 0.0, "citizen": 0.0, "officer": 0.0}
MOST_IN_A_MINUTE = 80
"""Facts of one camera. Nothing that flickers may flood an outbox."""

INCIDENTS = {*KINDS, *TAMPER}

people = st.none() | st.fixed_dictionaries({"citizen": st.sampled_from([0, 1, 5]), "officer": st.sampled_from([0, 1])})
motions = st.sampled_from([NOTHING, NOTHING | {"": 0.1, "citizen": 0.3}, NOTHING | {"": 0.1, "officer": 0.3}])
faults = st.sampled_from([frozenset[str](), frozenset[str](), frozenset({"covered"}), frozenset(TAMPER)])
keeps = st.lists(
    st.builds(
        Keep,
        id=st.sampled_from([f"k{number}" for number in range(9)]),
        why=st.sampled_from(["low_rating", "sample", "asked"]),
        ticket=st.none() | st.sampled_from(["t1", "t2"]),
        after_s=st.integers(0, 90),
    ),
    max_size=4,
).map(tuple)


class AnyDay(RuleBasedStateMachine):
    """Citizens, officers, burglars and the center come and go; the power fails; the outbox stays."""

    def __init__(self) -> None:
        super().__init__()
        self.now_ms = 1_000_000
        self.ids = count(1)
        self.memory: dict[str, str] = {}
        self.heard: CameraDesired | None = None
        self.facts: list[tuple[int, Fact]] = []
        self.pictures: list[str] = []
        self.recording: dict[str, str] = {}  # clip → why
        self.ended: list[str] = []  # clips that will be written
        self.begun: set[str] = set()
        self.forgotten: set[str] = set()
        self.incidents: set[str] = set()
        self.open: dict[str, str] = {}  # kind → incident, as the record has it
        self.before: set[str] = set()  # those that were open when it last started
        self._start()

    # --- the daemon and the driver -------------------------------------------------------------------------------

    def _start(self) -> None:
        self.decisions = CameraDecisions(CONFIG, new_id=lambda: f"id-{next(self.ids)}", memory=dict(self.memory))
        self.recording.clear()  # what a dead program recorded it does not go on with
        self.facts.clear()  # systemd sees to it that a program does not start too often
        self._do(self.decisions.on_start(self.now_ms))
        self.before = set(self.open.values())
        if self.heard is not None:
            self._do(self.decisions.on_desired(self.heard, self.now_ms))

    def _do(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case Record(fact, remember):
                    self.facts.append((self.now_ms, fact))
                    self.memory.update(remember)
                    self._read(fact)
                case Remember(memory):
                    self.memory.update(memory)
                case Drive(Begin(clip=clip, why=why)):
                    if clip in self.begun:
                        assert why in ("asked", "low_rating", "sample"), "a clip was begun twice"
                        assert f'"{clip}"' not in self.memory.get("camera.kept", ""), "what is on the disk is done"
                    self.begun.add(clip)
                    self.recording[clip] = why
                case Drive(End(clip=clip)):
                    assert clip in self.recording, "a clip was ended that is not being recorded"
                    del self.recording[clip]
                    self.ended.append(clip)
                case Drive(Forget(clip=clip)):
                    assert clip not in self.recording
                    assert clip not in self.forgotten
                    self.forgotten.add(clip)
                case Drive(Picture(incident=incident)):
                    self.pictures.append(incident)
                case Drive() | Report():
                    pass
                case _:
                    raise AssertionError(f"unknown effect {effect}")

    def _read(self, fact: Fact) -> None:
        """Check that ids are unique, that nothing ends or grows that is not open, and that no kind is open twice."""
        match fact:
            case CameraStarted(incident=incident, kind=kind):
                assert incident not in self.incidents
                assert kind not in self.open
                self.incidents.add(incident)
                self.open[kind] = incident
            case CameraUpdated(incident=incident, kind=kind):
                assert self.open[kind] == incident
            case CameraEnded(incident=incident, kind=kind, clip=clip):
                assert self.open.pop(kind) == incident
                assert clip is None or clip.id == incident

    def _signal(self, signal: Any) -> None:
        self._do(self.decisions.on_signal(signal, self.now_ms))

    def _pass(self, ms: int, *, late: bool = False) -> None:
        until_ms = self.now_ms + ms
        while not late and (due := self.decisions.deadline_ms()) is not None and due <= until_ms:
            self.now_ms = max(self.now_ms, due)
            self._do(self.decisions.on_time(self.now_ms))
            later = self.decisions.deadline_ms()
            assert later is None or later > self.now_ms
        self.now_ms = until_ms

    # --- what happens --------------------------------------------------------------------------------------------

    @rule(
        seconds=st.sampled_from([1, 4, 12, 25, 35]),
        people=people,
        motion=motions,
        faults=faults,
        night=st.booleans() | st.none(),
    )
    def look(self, seconds: int, people: Any, motion: Any, faults: frozenset[str], night: bool | None) -> None:
        """The same is seen for a while."""
        now = None if night is None else MONDAY + timedelta(hours=12 if night else 0)
        for _ in range(seconds):
            self._signal(Seen(at_ms=self.now_ms, motion=motion, people=people, faults=faults, now=now))
            self._pass(1000)

    @rule(
        state=st.sampled_from(["closed", "open", "calling", "serving", "paused"]),
        ticket=st.none() | st.sampled_from(["t1", "t2", "t3"]),
        kinds=st.none() | st.lists(st.sampled_from(KINDS), unique=True).map(tuple),
        keep=keeps,
        panic=st.none() | st.sampled_from(["p1", "p2", "p3"]),
    )
    def want(self, state: Any, ticket: str | None, kinds: Any, keep: Any, panic: str | None) -> None:
        """The center says something else."""
        self.heard = CameraDesired(revision=1, state=state, ticket=ticket, kinds=kinds, keep=keep, panic=panic)
        self._do(self.decisions.on_desired(self.heard, self.now_ms))

    @precondition(lambda self: self.heard is not None)
    @rule(seconds=st.sampled_from([9, 12, 25]), citizen=st.integers(0, 1))
    def leave(self, seconds: int, citizen: int) -> None:
        """The officer goes away in the morning, perhaps from a citizen."""
        self.look(seconds, {"citizen": citizen, "officer": 0}, NOTHING, frozenset(), night=False)

    @rule(up=st.booleans())
    def link(self, up: bool) -> None:
        """Contact comes and goes."""
        self._do(self.decisions.on_link(up=up, now_ms=self.now_ms))

    @rule(
        signal=st.sampled_from(
            [Lost("unplugged"), Back(), Presence(there=True), Presence(there=False), Room(clips=1, held=0, tight=True)]
        )
    )
    def driver(self, signal: Any) -> None:
        """The camera is unplugged, found again, or says how it is."""
        self._signal(signal)

    @precondition(lambda self: self.pictures)
    @rule(data=st.data())
    def thumbnail(self, data: st.DataObject) -> None:
        """A thumbnail is ready, perhaps of an incident that is long over, perhaps once more."""
        self._signal(Thumbnail(data.draw(st.sampled_from(self.pictures)), b"\xff\xd8"))

    @precondition(lambda self: self.begun)
    @rule(data=st.data())
    def on_the_disk(self, data: st.DataObject) -> None:
        """The first of a clip is on the disk."""
        self._signal(Begun(data.draw(st.sampled_from(sorted(self.begun)))))

    @precondition(lambda self: self.ended)
    @rule(data=st.data())
    def written(self, data: st.DataObject) -> None:
        """A clip is written, in whatever order."""
        clip = self.ended.pop(data.draw(st.integers(0, len(self.ended) - 1)))
        self._signal(Kept(clip, start=MONDAY, seconds=1.0, bytes=1, sha256="0" * 64))

    @rule(data=st.data())
    def read(self, data: st.DataObject) -> None:
        """The recorder tells of what lies there from before, perhaps of all, and that this was all."""
        for clip in sorted(self.before) if data.draw(st.booleans()) else []:
            self._signal(Kept(clip, start=MONDAY, seconds=1.0, bytes=1, sha256="0" * 64))
        self._signal(Read())
        assert not self.before & set(self.open.values()), "an incident outlives a restart"

    @rule(ms=st.sampled_from([1, 4_000, 6_000, 61_000, 700_000, 4_000_000]), late=st.booleans())
    def wait(self, ms: int, late: bool) -> None:
        """Time goes by, and perhaps nobody looks at deadlines in time."""
        self._pass(ms, late=late)
        if late:
            self._do(self.decisions.on_time(self.now_ms))

    @rule()
    def power_cut(self) -> None:
        """The program starts again with what its outbox remembers."""
        self._start()

    @rule()
    def open_again(self) -> None:
        """The driver was closed and is open again."""
        self._do(self.decisions.on_start(self.now_ms))
        self.before = set(self.open.values())
        assert self.recording == {}
        if self.heard is not None:
            self._do(self.decisions.on_desired(self.heard, self.now_ms))

    # --- what always holds ---------------------------------------------------------------------------------------

    @invariant()
    def what_is_open_is_remembered(self) -> None:
        """The outbox knows which incidents the next start has to end."""
        assert all(f'"{incident}"' in self.memory["camera.open"] for incident in self.open.values())

    @invariant()
    def no_clip_outlives_what_it_is_of(self) -> None:
        """What is recorded is an incident that goes on, the service that goes on, or a stretch that was asked for."""
        whys = Counter(self.recording.values())
        assert sum(whys[why] for why in ("service", "low_rating", "sample", "asked")) <= 1
        assert all(clip == self.open[why] for clip, why in self.recording.items() if why in INCIDENTS)

    @invariant()
    def nothing_floods(self) -> None:
        """In no minute are there more facts than a bound, and none of the faults more than six in ten minutes."""
        recent = [fact for at_ms, fact in self.facts if at_ms > self.now_ms - 60_000]
        assert len(recent) <= MOST_IN_A_MINUTE
        told = Counter(
            fact.kind for at_ms, fact in self.facts if at_ms > self.now_ms - 600_000 and isinstance(fact, CameraFault)
        )
        assert all(number <= MOST for number in told.values())

    @invariant()
    def all_that_is_due_lies_ahead(self) -> None:
        """No incident that is over waits for its clip for ever."""
        waits = set(self.open.values()) - {each.id for each in self.decisions._incidents.open}
        due = self.decisions.deadline_ms()
        assert not waits or due is not None


AnyDay.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestAnyDay = AnyDay.TestCase
TestAnyDay.__doc__ = """No incident is left open, ended twice or mixed up with another, and no clip goes on for ever."""
