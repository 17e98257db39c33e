"""What is an incident and what is not, at literal times."""

from collections.abc import Mapping
from itertools import count, pairwise
from typing import Any

import pytest

from contract.cameras import KINDS
from firmware.devices.camera.incidents import (
    MOST,
    SEEN,
    SURMISED,
    TAMPER,
    Change,
    Counter,
    Incidents,
    Started,
    Updated,
)
from firmware.devices.camera.signals import Seen

ZONES = frozenset({"citizen", "officer"})
EMPTY, SERVED = {"citizen": 0, "officer": 0}, {"citizen": 1, "officer": 1}
ALONE, OFFICER = {"citizen": 1, "officer": 0}, {"citizen": 0, "officer": 1}
STILL = {"": 0.0, "citizen": 0.0, "officer": 0.0}
CITIZEN_MOVES, OFFICER_MOVES = STILL | {"": 0.05, "citizen": 0.2}, STILL | {"": 0.05, "officer": 0.2}

Happened = tuple[str, str, float]


class Scene:
    """A counter that is open, with a camera that finds people and looks five times a second."""

    def __init__(self, *, finds_people: bool = True, kinds: tuple[str, ...] = KINDS) -> None:
        ids = count(1)
        self.incidents = Incidents(waiting_s=30, absent_s=120, crowd=5, new_id=lambda: f"i{next(ids)}")
        self.incidents.finds_people = finds_people
        self.incidents.allow(kinds, 0)
        self.now_ms = 0
        self.changes: list[Change] = []

    def goes_on(
        self,
        seconds: float,
        people: Mapping[str, int] | None = None,
        *,
        motion: Mapping[str, float] = STILL,
        faults: frozenset[str] = frozenset(),
        dark: bool = False,
        stirs: Mapping[str, float] | None = None,
        **counter: Any,
    ) -> "Scene":
        """Let the same be seen from now on for so long."""
        around = Counter(**{"open": True, "after_hours": False, "ticket": "t1", "zones": ZONES, **counter})
        until_ms = self.now_ms + round(seconds * 1000)
        while self.now_ms < until_ms:
            seen = Seen(
                at_ms=self.now_ms,
                motion=motion,
                people=people,
                faults=faults,
                dark=dark,
                stirs=stirs or {"officer": 0.0},
            )
            self.changes += self.incidents.look(seen, around)
            self.now_ms += 200
        return self

    def unseen(self, seconds: float) -> "Scene":
        """Let nothing be seen for so long."""
        self.now_ms += round(seconds * 1000)
        return self

    @property
    def happened(self) -> list[Happened]:
        """What began, grew and ended, of which kind, and at which second."""
        return [(type(change).__name__.lower(), change.incident.kind, change.at_ms / 1000) for change in self.changes]


def case(sentence: str, *scenes: tuple[float, Any], happens: list[Happened], finds_people: bool = True) -> Any:
    """Return a row of the law: its sentence, what is seen for how long, and what comes of it."""
    return pytest.param(scenes, happens, finds_people, id=sentence)


UNSEEN = object()
"""Nothing is seen at all."""


def look(people: Mapping[str, int] | None = None, **what: Any) -> dict[str, Any]:
    """Return what is seen."""
    return {"people": people, **what}


LAW = [
    # --- a citizen waits, and nobody is there
    case("a citizen who sits down for 29 s alone is no incident", (29, look(ALONE)), (60, look(SERVED)), happens=[]),
    case(
        "a citizen who waits for 30 s alone is an incident",
        (31, look(ALONE)),
        happens=[("started", "waiting_alone", 30.0)],
    ),
    case("a citizen who is served for an hour is no incident", (3600, look(SERVED)), happens=[]),
    case("nobody in the hall is nobody who waits", (100, look(EMPTY)), happens=[]),
    case("a citizen at a closed counter is no incident", (90, look(ALONE, open=False)), happens=[]),
    case("a counter of which nothing is known is not open", (90, look(ALONE, open=None)), happens=[]),
    case(
        "an officer who turns up after 29 s has come in time, and the citizen's next wait is counted anew",
        (29, look(ALONE)),
        (0.2, look(SERVED)),
        (29.8, look(ALONE)),
        happens=[],
    ),
    case(
        "an officer who is there for 4 s does not end it, one who stays for 5 s does",
        (40, look(ALONE)),
        (4, look(SERVED)),
        (10, look(ALONE)),
        (6, look(SERVED)),
        happens=[("started", "waiting_alone", 30.0), ("ended", "waiting_alone", 59.0)],
    ),
    case(
        "a citizen who leaves again ends it",
        (31, look(ALONE)),
        (6, look(EMPTY)),
        happens=[("started", "waiting_alone", 30.0), ("ended", "waiting_alone", 36.0)],
    ),
    # --- the chair is empty
    case("an officer who is away for 119 s is no incident", (119, look(EMPTY)), (9, look(OFFICER)), happens=[]),
    case(
        "an officer who is away for 120 s is an incident",
        (121, look(EMPTY)),
        happens=[("started", "officer_absent", 120.0)],
    ),
    case("an empty chair at a closed counter is no incident", (600, look(EMPTY, open=False)), happens=[]),
    case(
        "a counter that closes ends the officer's absence",
        (121, look(EMPTY)),
        (6, look(EMPTY, open=False)),
        happens=[("started", "officer_absent", 120.0), ("ended", "officer_absent", 126.0)],
    ),
    case(
        "an officer who shows no face over the papers, but moves once in 100 s, is there",
        *[(99, look(EMPTY)), (0.6, look(EMPTY, motion=OFFICER_MOVES))] * 6,
        happens=[],
    ),
    case(
        "a lamp that flickers on an empty chair is no officer",
        *[(9.6, look(EMPTY)), (0.4, look(EMPTY, motion=OFFICER_MOVES))] * 13,
        happens=[("started", "officer_absent", 120.0)],
    ),
    case(
        "where no officer's place is drawn no officer is away",
        (600, look({"citizen": 0}, motion={"": 0.0, "citizen": 0.0}, zones=frozenset({"citizen"}))),
        happens=[],
    ),
    case(
        "a citizen who waits at an empty chair is left alone, and the officer is away",
        (121, look(ALONE)),
        happens=[("started", "waiting_alone", 30.0), ("started", "officer_absent", 120.0)],
    ),
    # --- not known is not nobody
    case("unknown people are not nobody", (600, look(None)), happens=[]),
    case("in the dark nobody is away", (20, look(EMPTY)), (600, look(None)), happens=[]),
    case(
        "a lamp that fails ends nothing",
        (121, look(EMPTY)),
        (600, look(None)),
        happens=[("started", "officer_absent", 120.0)],
    ),
    case(
        "a counter that closes in the dark ends it all the same",
        (121, look(EMPTY)),
        (6, look(None, open=False)),
        happens=[("started", "officer_absent", 120.0), ("ended", "officer_absent", 126.0)],
    ),
    case(
        "a network that looks once a second is enough",
        *[(0.2, look(ALONE)), (0.8, look(None, motion=CITIZEN_MOVES))] * 31,
        happens=[("started", "waiting_alone", 30.0)],
    ),
    case(
        "a network that knows nothing for longer than 5 s has to begin anew",
        (25, look(ALONE)),
        (6, look(None)),
        (29, look(ALONE)),
        happens=[],
    ),
    case(
        "a picture that is covered shows nobody, and proves nothing",
        (600, look(EMPTY, faults=frozenset({"covered"}))),
        happens=[("started", "covered", 3.0)],
    ),
    # --- many people
    case("five people for 19 s are no crowd", (19, look({"citizen": 5})), (9, look({"citizen": 4})), happens=[]),
    case("five people for 20 s are a crowd", (21, look({"citizen": 5})), happens=[("started", "crowding", 20.0)]),
    case("four people are no crowd", (600, look({"citizen": 4, "officer": 1})), happens=[]),
    case(
        "a crowd is one until it has been none for 10 s",
        (21, look({"citizen": 6, "officer": 1})),
        (9.8, look({"citizen": 2, "officer": 1})),
        (1, look({"citizen": 5, "officer": 1})),
        (10.2, look({"citizen": 2, "officer": 1})),
        happens=[("started", "crowding", 20.0), ("ended", "crowding", 41.8)],
    ),
    # --- at night
    case(
        "who moves in the night for a second is an incident, until it has been still for 30 s",
        (1.2, look(EMPTY, motion=CITIZEN_MOVES, open=False, after_hours=True)),
        (31, look(EMPTY, open=False, after_hours=True)),
        happens=[("started", "after_hours", 1.0), ("ended", "after_hours", 31.2)],
    ),
    case(
        "a moth that passes is no incident",
        *[(0.8, look(motion=CITIZEN_MOVES, after_hours=True)), (2, look(after_hours=True))] * 20,
        happens=[],
    ),
    case("who moves in the day is no incident", (60, look(SERVED, motion=CITIZEN_MOVES)), happens=[]),
    case(
        "while the clock is not set nothing is after hours",
        (60, look(motion=CITIZEN_MOVES, after_hours=None)),
        happens=[],
    ),
    case(
        "who moves outside of all zones moves",
        (1.2, look(motion=STILL | {"": 0.05}, after_hours=True)),
        happens=[("started", "after_hours", 1.0)],
    ),
    case(
        "who covers the camera in the night does not end what he is seen for",
        (1.2, look(motion=CITIZEN_MOVES, after_hours=True)),
        (90, look(motion=STILL, after_hours=True, faults=frozenset({"covered"}))),
        happens=[("started", "after_hours", 1.0), ("started", "covered", 4.2)],
    ),
    case(
        "a hall in which the lights are out is not covered, nor moved, nor out of focus",
        (3600, look(motion=STILL, after_hours=True, dark=True, faults=frozenset({"covered", "moved", "defocused"}))),
        happens=[],
    ),
    case(
        "a torch in a dark hall is somebody after hours",
        (60, look(motion=STILL, after_hours=True, dark=True, faults=frozenset({"covered"}))),
        (1.2, look(motion=CITIZEN_MOVES, after_hours=True, dark=True, faults=frozenset({"covered"}))),
        happens=[("started", "after_hours", 61.0)],
    ),
    case(
        "a camera that is black in the day is covered, and stays so through the night until it sees again",
        (4, look(SERVED, dark=True, faults=frozenset({"covered"}))),
        (3600, look(motion=STILL, after_hours=True, dark=True, faults=frozenset({"covered"}))),
        (60, look(SERVED, dark=True, faults=frozenset({"covered"}))),
        (11, look(SERVED)),
        happens=[("started", "covered", 3.0), ("ended", "covered", 3674.0)],
    ),
    case(
        "a picture that stands still in the dark is frozen",
        (4, look(motion=STILL, after_hours=True, dark=True, faults=frozenset({"covered", "frozen"}))),
        happens=[("started", "frozen", 3.0)],
    ),
    case(
        "a camera that is covered by something bright in the night is covered",
        (4, look(motion=STILL, after_hours=True, faults=frozenset({"covered"}))),
        happens=[("started", "covered", 3.0)],
    ),
    # --- the camera itself
    *(
        case(
            f"a picture that is {kind} for 2.8 s is no incident, for 3 s it is, until it has been whole for 10 s",
            (3, look(SERVED, faults=frozenset({kind}))),
            (1, look(SERVED)),
            (3.2, look(SERVED, faults=frozenset({kind}))),
            (9.8, look(SERVED)),
            (0.2, look(SERVED, faults=frozenset({kind}))),
            (10.2, look(SERVED)),
            happens=[("started", kind, 7.0), ("ended", kind, 27.2)],
        )
        for kind in TAMPER
    ),
    # --- nothing is seen
    case(
        "what is not looked at for longer than 5 s begins nothing",
        (20, look(ALONE)),
        (5.2, UNSEEN),
        (29, look(ALONE)),
        happens=[],
    ),
    case(
        "a gap of less than 5 s is bridged",
        (20, look(ALONE)),
        (4.6, UNSEEN),
        (6, look(ALONE)),
        happens=[("started", "waiting_alone", 30.0)],
    ),
    case(
        "what is not looked at for an hour has not ended",
        (31, look(ALONE)),
        (3600, UNSEEN),
        (4, look(SERVED)),
        happens=[("started", "waiting_alone", 30.0)],
    ),
    # --- without a network
    case(
        "without a network a citizen who moves waits alone when the officer's place was still for a minute",
        (90.2, look(motion=CITIZEN_MOVES)),
        (0.2, look(motion=CITIZEN_MOVES)),
        happens=[("started", "waiting_alone", 90.2)],
        finds_people=False,
    ),
    case(
        "without a network an officer who moves once in 50 s is there",
        *[(0.2, look(motion=OFFICER_MOVES)), (49.8, look(motion=CITIZEN_MOVES))] * 6,
        happens=[],
        finds_people=False,
    ),
    case(
        "without a network a citizen who moved a minute ago has left",
        (91, look(motion=CITIZEN_MOVES)),
        (66, look(motion=STILL)),
        happens=[("started", "waiting_alone", 90.2), ("ended", "waiting_alone", 156.0)],
        finds_people=False,
    ),
    case(
        "without a network a place is empty after a minute of looking at it, not of looking away",
        (1, look(motion=OFFICER_MOVES)),
        (64, look(motion=CITIZEN_MOVES)),
        (600, UNSEEN),
        (60, look(motion=CITIZEN_MOVES)),
        happens=[],
        finds_people=False,
    ),
    case(
        "without a network nobody is away, and nobody is a crowd",
        (900, look(motion=STILL)),
        (900, look(motion=OFFICER_MOVES)),
        happens=[],
        finds_people=False,
    ),
]


@pytest.mark.parametrize(("scenes", "happens", "finds_people"), LAW)
def test_the_law(scenes: tuple[tuple[float, Any], ...], happens: list[Happened], finds_people: bool) -> None:
    """What is seen for so long is the incident that the table in the design says, or none."""
    scene = Scene(finds_people=finds_people)
    for seconds, seen in scenes:
        if seen is UNSEEN:
            scene.unseen(seconds)
        else:
            scene.goes_on(seconds, **seen)
    assert scene.happened == happens


def alone_after(looked: list[tuple[float, int]], *, moves: tuple[float, float]) -> list[Happened]:
    """Return what happens when looks at these seconds find so many citizens, who move from one second to another."""
    scene = Scene(kinds=("waiting_alone",))
    counter = Counter(open=True, after_hours=False, zones=ZONES)
    for at_ms in range(0, 40_000, 100):
        known = [(round(second * 1000), citizens) for second, citizens in looked if second * 1000 <= at_ms]
        motion = CITIZEN_MOVES if moves[0] * 1000 <= at_ms < moves[1] * 1000 else STILL
        people = {"citizen": known[-1][1], "officer": 0}
        seen = Seen(at_ms=at_ms, motion=motion, people=people, looked_ms=known[-1][0])
        scene.changes += scene.incidents.look(seen, counter)
    return scene.happened


@pytest.mark.parametrize(
    ("looked", "moves", "begins"),
    [
        ([(0, 0), (5.0, 1)], (4.4, 5.6), 34.4),
        ([(0, 0), (4.6, 0), (5.0, 1)], (4.4, 5.6), 34.6),
        ([(0, 0), (5.0, 1)], (1.0, 1.5), 31.0),
        ([(0, 0), (4.0, 0), (5.0, 1)], (1.0, 1.5), 35.0),
        ([(0, 0), (4.5, 0), (5.0, 1)], (1.0, 9.0), 34.5),
    ],
    ids=["by the motion", "not before a look", "that began it", "without any by the look", "in a long one by the look"],
)
def test_a_wait_counts_from_when_the_citizen_came(
    looked: list[tuple[float, int]], moves: tuple[float, float], begins: float
) -> None:
    """Who is found came when the zone began to move, and not before the last look that found nobody."""
    assert alone_after(looked, moves=moves) == [("started", "waiting_alone", begins)]


def test_an_absence_counts_from_the_officer_s_last_motion() -> None:
    """Who left moved last when leaving: what the network says a second later is dated back to that."""
    scene = Scene(kinds=("officer_absent",))
    counter = Counter(open=True, after_hours=False, zones=ZONES)
    for at_ms in range(0, 130_000, 100):
        motion = OFFICER_MOVES if 4_000 <= at_ms <= 5_000 else STILL
        looked_ms, officers = (5_900, 0) if at_ms >= 5_900 else (4_000, 1)
        people = {"citizen": 0, "officer": officers}
        scene.changes += scene.incidents.look(
            Seen(at_ms=at_ms, motion=motion, people=people, looked_ms=looked_ms), counter
        )
    assert scene.happened == [("started", "officer_absent", 125.0)]


def test_who_stirs_over_papers_is_there_until_nothing_stirs() -> None:
    """An officer whose face was seen bends down: too little moves for motion, but not nothing, and that is somebody."""
    scene = Scene().goes_on(5, SERVED)
    for _ in range(40):
        scene.goes_on(0.4, ALONE, stirs={"officer": 0.02}).goes_on(2, ALONE)
    assert scene.happened == []
    scene.goes_on(40, ALONE)
    (begun,) = scene.happened
    left_s = 5 + 40 * 2.4 - 2 - 0.2
    assert begun == ("started", "waiting_alone", pytest.approx(left_s + 30, abs=0.21))


def test_what_stirs_where_nobody_was_is_nobody() -> None:
    """A hand of the citizen, or a plant in the draught, makes no officer; nor does what stirs again after a while."""
    assert [each[:2] for each in Scene().goes_on(40, ALONE, stirs={"officer": 0.02}).happened] == [
        ("started", "waiting_alone")
    ]
    scene = Scene().goes_on(5, SERVED).goes_on(4, ALONE).goes_on(40, ALONE, stirs={"officer": 0.02})
    assert [each[:2] for each in scene.happened] == [("started", "waiting_alone")]


def test_a_counter_that_opens_is_left_alone_from_then_on() -> None:
    """Who waited before the counter opened has waited at it since it opened, whatever was seen before."""
    scene = Scene(kinds=("waiting_alone",)).goes_on(60, ALONE, open=False).goes_on(31, ALONE)
    assert scene.happened == [("started", "waiting_alone", 90.0)]


def test_a_zone_that_is_drawn_later_is_empty_from_then_on() -> None:
    """Nobody was ever in a place that there was not: a wait and an absence count from when somebody drew it."""
    scene = Scene(kinds=("waiting_alone", "officer_absent"))
    scene.goes_on(300, {"citizen": 1}, motion={"": 0.0, "citizen": 0.0}, zones=frozenset({"citizen"}))
    scene.goes_on(121, ALONE)
    assert scene.happened == [("started", "waiting_alone", 330.0), ("started", "officer_absent", 420.0)]


def test_an_incident_has_one_id_and_says_what_it_is() -> None:
    """Kind, zone and the ticket at its start go with one id from its start to its end."""
    scene = Scene().goes_on(31, ALONE).goes_on(6, SERVED, ticket="t2")
    started, ended = scene.changes
    assert started.incident == ended.incident
    assert (started.incident.zone, started.incident.ticket, started.incident.confidence) == ("citizen", "t1", SEEN)
    again = Scene().goes_on(31, ALONE).goes_on(6, SERVED).goes_on(31, ALONE)
    assert len({change.incident.id for change in again.changes}) == 2


@pytest.mark.parametrize(
    ("motion", "zone"),
    [
        (STILL | {"": 0.1, "officer": 0.3, "citizen": 0.2}, "officer"),
        (STILL | {"": 0.1, "citizen": 0.005}, "picture"),
        ({"citizen": 0.2}, "citizen"),
    ],
)
def test_motion_in_the_night_has_the_zone_that_moves_most(motion: Mapping[str, float], zone: str) -> None:
    """Where most moves is where it is; outside of all zones it is the picture."""
    scene = Scene().goes_on(1.2, motion=motion, after_hours=True)
    assert [change.incident.zone for change in scene.changes] == [zone]


def test_a_network_that_comes_makes_the_camera_surer() -> None:
    """What began by motion alone has half the confidence; a network that sees the same says so once."""
    scene = Scene(finds_people=False).goes_on(91, motion=CITIZEN_MOVES)
    scene.goes_on(60, ALONE, motion=CITIZEN_MOVES)
    started, updated = scene.changes
    assert isinstance(started, Started)
    assert isinstance(updated, Updated)
    assert (started.incident.confidence, updated.incident.confidence) == (SURMISED, SEEN)
    assert started.incident.id == updated.incident.id
    assert scene.incidents.finds_people


def test_a_zone_that_is_taken_away_ends_what_was_seen_in_it() -> None:
    """No incident stays open for ever because its zone is no longer drawn."""
    scene = Scene().goes_on(121, EMPTY)
    scene.goes_on(6, {"citizen": 0}, motion={"": 0.0, "citizen": 0.0}, zones=frozenset({"citizen"}))
    assert scene.happened[-1] == ("ended", "officer_absent", 126.0)


def test_an_older_observation_changes_nothing() -> None:
    """What comes late is dropped, whatever it says."""
    scene = Scene().goes_on(31, ALONE)
    late = Seen(at_ms=1000, motion=STILL, people=SERVED)
    assert scene.incidents.look(late, Counter(open=True, zones=ZONES)) == ()
    assert [incident.kind for incident in scene.incidents.open] == ["waiting_alone"]


def test_a_kind_that_is_taken_off_ends_at_once() -> None:
    """What nobody wants looked for any more ends now, the rest goes on; allowed again, it takes its time again."""
    scene = Scene().goes_on(121, ALONE)
    (ended,) = scene.incidents.allow(("officer_absent",), scene.now_ms)
    assert (ended.incident.kind, ended.at_ms) == ("waiting_alone", scene.now_ms)
    assert [incident.kind for incident in scene.incidents.open] == ["officer_absent"]
    scene.incidents.allow(KINDS, scene.now_ms)
    before = len(scene.changes)
    scene.goes_on(30, ALONE)
    assert scene.changes[before:] == []
    scene.goes_on(0.2, ALONE)
    assert isinstance(scene.changes[-1], Started)


def test_tamper_is_four_kinds() -> None:
    """Who switches tamper off switches four kinds off, and each of them has incidents of its own."""
    scene = Scene().goes_on(3.2, SERVED, faults=frozenset(TAMPER))
    assert {change.incident.kind for change in scene.changes} == set(TAMPER)
    ended = scene.incidents.allow(("panic",), scene.now_ms)
    assert {change.incident.kind for change in ended} == set(TAMPER)
    assert Scene(kinds=("panic", "crowding")).goes_on(9, SERVED, faults=frozenset(TAMPER)).changes == []


def test_panic_begins_at_once_and_lasts_a_minute() -> None:
    """A panic needs no picture: it begins with the keys and ends by itself after 60 s."""
    scene = Scene()
    counter = Counter(ticket="t1")
    (started,) = scene.incidents.panic(counter, 5_000)
    assert (started.incident.kind, started.incident.zone, started.incident.confidence) == ("panic", "picture", 1.0)
    assert scene.incidents.deadline_ms() == 65_000
    assert scene.incidents.on_time(64_999) == ()
    (ended,) = scene.incidents.on_time(65_000)
    assert ended.incident == started.incident
    assert scene.incidents.deadline_ms() is None


def test_panic_keys_in_a_trembling_hand_are_one_panic() -> None:
    """Keys that are pressed again within 10 s are the same panic; later ones are another, and the first ends then."""
    scene = Scene()
    (first,) = scene.incidents.panic(Counter(), 0)
    assert scene.incidents.panic(Counter(), 9_999) == ()
    ended, second = scene.incidents.panic(Counter(), 10_000)
    assert ended.incident == first.incident
    assert second.incident.id != first.incident.id
    assert Scene(kinds=("crowding",)).incidents.panic(Counter(), 0) == ()


def test_panic_keys_that_fire_on_and_on_lengthen_the_sixth_panic() -> None:
    """Six panics in ten minutes are six; what is pressed then lengthens the last, which is said once a minute."""
    scene = Scene()
    for second in range(0, 600, 10):
        scene.changes += scene.incidents.on_time(second * 1000)
        scene.changes += scene.incidents.panic(Counter(), second * 1000)
    happened = [(what, second) for what, _, second in scene.happened]
    assert [second for what, second in happened if what == "started"] == [0, 10, 20, 30, 40, 50]
    assert [second for what, second in happened if what == "updated"] == [60, 120, 180, 240, 300, 360, 420, 480, 540]
    assert {change.incident.id for change in scene.changes if isinstance(change, Updated)} == {"i6"}
    assert scene.incidents.on_time(649_999) == ()
    (ended,) = scene.incidents.on_time(650_000)
    assert ended.incident.id == "i6"


def test_a_panic_after_many_is_one() -> None:
    """What is pressed when the last panic is over begins one, however many there were: nobody's first press is lost."""
    scene = Scene()
    for second in range(0, 100, 10):
        scene.incidents.panic(Counter(), second * 1000)
    (ended,) = scene.incidents.on_time(150_000)
    (started,) = scene.incidents.panic(Counter(), 151_000)
    assert isinstance(started, Started)
    assert started.incident.id != ended.incident.id


def test_keys_that_fire_for_an_hour_are_36_panics() -> None:
    """Each ten minutes six panics begin, so a clip of ten minutes never ends before the next begins."""
    scene = Scene()
    for second in range(0, 3600, 10):
        scene.changes += scene.incidents.panic(Counter(), second * 1000)
    starts = [second for what, _, second in scene.happened if what == "started"]
    assert len(starts) == 36
    assert max(later - earlier for earlier, later in pairwise(starts)) <= 600


def test_what_flickers_for_an_hour_does_not_wear_out_the_card() -> None:
    """No kind begins oftener than six times in ten minutes, and what still holds then begins when it may."""
    scene = Scene()
    for _ in range(3600 // 14):
        scene.goes_on(3.2, SERVED, faults=frozenset({"covered"})).goes_on(10.8, SERVED)
    starts = [second for what, _, second in scene.happened if what == "started"]
    assert all(later - earlier >= 600 for earlier, later in zip(starts, starts[MOST:], strict=False))
    assert len(starts) >= 6 * MOST - 1

    scene = Scene()
    for _ in range(MOST):
        scene.goes_on(3.2, SERVED, faults=frozenset({"covered"})).goes_on(10.8, SERVED)
    scene.goes_on(600, SERVED, faults=frozenset({"covered"}))
    assert scene.happened[-1] == ("started", "covered", 603.0)


def test_to_forget_ends_everything() -> None:
    """A camera that starts anew leaves no incident open, and nothing of before counts."""
    scene = Scene().goes_on(121, ALONE)
    ended = scene.incidents.forget(scene.now_ms)
    assert {change.incident.kind for change in ended} == {"waiting_alone", "officer_absent"}
    assert scene.incidents.open == ()
    before = len(scene.changes)
    scene.goes_on(29.8, ALONE)
    assert scene.changes[before:] == []


def test_a_minute_without_motion_is_counted_anew_after_a_start() -> None:
    """Without a network a place is empty after a minute of looking at it, not after what was seen before a start."""
    scene = Scene(finds_people=False).goes_on(65, motion=CITIZEN_MOVES)
    scene.incidents.forget(scene.now_ms)
    scene.goes_on(60, motion=CITIZEN_MOVES)
    assert scene.changes == []
