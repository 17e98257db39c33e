"""Power cuts of a rating pad and of a center under load, at hundreds of points; controls that must lose something."""

import os
import random
import re
import sqlite3
import subprocess
import tempfile
from collections import Counter as Tally
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import msgspec
import pytest

from center import config as center_config
from center.clock import SystemClock as CenterClock
from center.errors import CenterError
from center.hall import Done, Hall
from center.queue.model import CallNext, Issue, OpenCounter
from center.storage.store import Store
from contract.events import RatingGiven
from contract.ids import uuid7
from firmware.clock import SystemClock
from firmware.errors import StoreError
from firmware.mqtt.outbox import Outbox
from tests.vm import software
from tests.vm.blocklog import Cut
from tests.vm.center import Center, wait_for
from tests.vm.machine import Machine
from tests.vm.pad import BUTTONS, HOST, LIGHTS, UNIT, Pad
from tests.vm.powercut import INSIDE, Disk, Story, recover

pytestmark = [pytest.mark.powercut, pytest.mark.mosquitto, pytest.mark.timeout(600)]

POINTS = 220
CONTROL_POINTS = 60
PRESSES, CONTROL_PRESSES, VISITS = 260, 90, 35
SLOW_S, LOAD_S = 90, 300
RELAY_PORT = 1884
STATE = "/var/lib/motcua"
CENTER_STATE = "/var/lib/motcua-center"
CENTER_UNIT = "motcua-center.service"
GIVEN = "vn.motcua.rating.given.v1"
_UUID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")

CENTER = """\
id = "longan"
name = "Trung tâm Phục vụ hành chính công tỉnh Long An"
data_dir = "{data_dir}"

[http]
port = 8080

[broker]
kind = "external"
host = "{host}"
port = {port}

[[service]]
id = "dat-dai"
letter = "A"
vi = "Đất đai"
en = "Land"

[[counter]]
id = "q01"
label = "1"
services = ["dat-dai"]

[[counter]]
id = "q02"
label = "2"
services = ["dat-dai"]
"""


@dataclass
class Found:
    """What all the cuts of one load left."""

    points: int = 0
    promises: int = 0
    lost: int = 0
    cuts_with_loss: int = 0
    damaged: int = 0
    twice: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, cut: Cut, promised: int, lost: int, damage: str, twice: str) -> None:
        """Count one cut."""
        self.points += 1
        self.promises = max(self.promises, promised)
        self.lost = max(self.lost, lost)
        self.cuts_with_loss += bool(lost)
        self.damaged += bool(damage)
        self.twice += bool(twice)
        if (lost or damage or twice) and len(self.first) < 5:
            self.first.append(f"entry {cut.point}, {cut.left}: {lost} of {promised} lost; {damage} {twice}")

    def __str__(self) -> str:
        """Say it in a line."""
        return (
            f"{self.points} points, {self.promises} confirmed: {self.cuts_with_loss} with losses (up to {self.lost}),"
            f" {self.damaged} damaged, {self.twice} with a number twice"
        )


@pytest.fixture(scope="session")
def seed() -> int:
    """Where the cuts are; POWERCUT_SEED repeats a run's choice, though not its load."""
    return int(os.environ.get("POWERCUT_SEED", random.SystemRandom().randrange(10_000)))


@pytest.fixture(scope="session")
def disk(machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> Disk:
    """The disk under test."""
    return Disk(machine, tmp_path_factory.mktemp("disk"))


def test_no_confirmed_press_is_lost_when_the_power_is_cut(
    pad: Pad, machine: Machine, center: Center, disk: Disk, seed: int, figures: list[str]
) -> None:
    """Whenever the power is cut: every press that was confirmed is in the outbox, or at the center that said so."""
    story, given = press(machine, pad, center, disk, PRESSES)
    found = look_at_outboxes(story.cuts(POINTS, seed), story, given)
    figures.append(f"outbox, synchronous=FULL:   {found}; seed {seed}")
    assert found.points >= 200
    assert (found.lost, found.damaged, found.twice) == (0, 0, 0), found.first


@pytest.mark.parametrize("care", ["OFF", "NORMAL"])
def test_an_outbox_that_does_not_flush_is_found_out(
    care: str, pad: Pad, machine: Machine, center: Center, disk: Disk, seed: int, figures: list[str]
) -> None:
    """The same daemon with a careless SQLite loses confirmed presses, and the check says so: it can fail."""
    with careless(machine, UNIT, care):
        story, given = press(machine, pad, center, disk, CONTROL_PRESSES)
    found = look_at_outboxes(story.cuts(CONTROL_POINTS, seed), story, given)
    figures.append(f"control, synchronous={care}: {found}; seed {seed}".replace("=OFF:", "=OFF:   "))
    assert found.lost or found.damaged


@pytest.mark.usefixtures("installed")
def test_nothing_that_a_center_answered_is_lost_when_the_power_is_cut(
    machine: Machine, center: Center, disk: Disk, seed: int, figures: list[str]
) -> None:
    """Whenever the power is cut: every number, call and rating that was answered is stored; no number comes twice."""
    story = visit(machine, center, disk, VISITS)
    found = look_at_stores(story.cuts(POINTS, seed), story)
    told = Tally(kind for note in story.notes for kind in ("ticket", "called", "rating") if kind in note.told)
    figures.append(f"center, synchronous=FULL:   {found}; {dict(told)}; seed {seed}")
    liar = look_at_stores(story.cuts_of_a_liar(CONTROL_POINTS, seed, forgotten=12), story)
    figures.append(f"control, a disk that lies:  {liar}; seed {seed}")
    assert found.points >= 200
    assert told == {"ticket": 3 * VISITS, "called": 2 * VISITS, "rating": 2 * VISITS}
    assert (found.lost, found.damaged, found.twice) == (0, 0, 0), found.first
    assert liar.lost, "the check must be able to fail"


# --- loads ---------------------------------------------------------------------------------------------------------


def press(
    machine: Machine, pad: Pad, center: Center, disk: Disk, count: int
) -> tuple[Story, dict[int, tuple[str, int]]]:
    """Let a pad take presses over a bad network; return the record and, in order, each rating: number → id, level."""
    more = "lockout_ms = 0\nthanks_ms = 60000\ndebounce_ms = 5"
    pad.configure(port=RELAY_PORT, host="127.0.0.1", mode="open", more=more)
    disk.begin(STATE)
    known = {event.stream for event in center.stored()}
    with inside(machine, f"python3 -u {INSIDE}/relay.py {RELAY_PORT} {HOST} {center.mqtt_port}") as relay:
        pad.restart()
        pairs = " ".join(f"{BUTTONS[level]}:{LIGHTS[level]}" for level in sorted(BUTTONS))
        machine.run(f"chrt --fifo 10 python3 {INSIDE}/presses.py {count} {pairs}", timeout_s=LOAD_S)
        relay.close()

        def ratings() -> list[tuple[int, str, int]]:
            events = [event for event in center.stored() if event.type == GIVEN and event.stream not in known]
            return sorted((event.sequence, event.id, event.data["level"]) for event in events)

        wait_for(lambda: len(ratings()) >= count, timeout_s=SLOW_S, what=f"{count} ratings", log=pad.journal)
        pad.stop()
    story = disk.end()
    given = ratings()
    levels = [note.told["level"] for note in story.notes if "level" in note.told]
    assert [level for _, _, level in given] == levels, "each press that was confirmed is one rating"
    return story, {sequence: (event, level) for sequence, event, level in given}


def visit(machine: Machine, center: Center, disk: Disk, count: int) -> Story:
    """Let a center in the machine serve a full hall; return the record."""
    software.install_extra(machine, "center")
    config = CENTER.format(data_dir=CENTER_STATE, host=HOST, port=center.mqtt_port)
    machine.put("/etc/motcua/center.toml", config)
    machine.run(f"{software.PREFIX}/bin/motcua install-units --center")
    # The emulated processor takes its time to load it all.
    machine.put(f"/etc/systemd/system/{CENTER_UNIT}.d/rig.conf", "[Service]\nTimeoutStartSec=300\n")
    machine.run("systemctl daemon-reload")
    disk.begin(CENTER_STATE)
    try:
        machine.run(f"systemctl start {CENTER_UNIT}", timeout_s=LOAD_S)
        python = f"{software.PREFIX}/bin/python3 {INSIDE}/visits.py"
        machine.run(f"{python} {count} longan 8080 {HOST} {center.mqtt_port} dat-dai q01 q02", timeout_s=LOAD_S)
    finally:
        print(machine.run(f"systemctl stop {CENTER_UNIT}; journalctl --unit={CENTER_UNIT} --output=cat | tail -n 50"))
    return disk.end()


@contextmanager
def inside(machine: Machine, command: str) -> Iterator[IO[bytes]]:
    """Run a program in the machine while the block runs; it says a line when it is ready. Yields its standard input."""
    process = subprocess.Popen(machine.login(f"exec {command}"), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    with process.stdin, process.stdout:
        try:
            assert process.stdout.readline(), f"{command} did not start"
            yield process.stdin
        finally:
            machine.run(f"pkill -f '^{command}'", check=False)
            process.wait(20)


@contextmanager
def careless(machine: Machine, unit: str, care: str) -> Iterator[None]:
    """Give a unit's Python an SQLite that does not flush as it is told."""
    folder, drop_in = f"{INSIDE}/careless", f"/etc/systemd/system/{unit}.d/careless.conf"
    machine.put(f"{folder}/sitecustomize.py", (Path(__file__).parent / "careless" / "sitecustomize.py").read_bytes())
    machine.put(drop_in, f"[Service]\nEnvironment=PYTHONPATH={folder} CARELESS={care}\n")
    machine.run("systemctl daemon-reload")
    yield
    machine.run(f"rm {drop_in} && systemctl daemon-reload")


# --- what is left --------------------------------------------------------------------------------------------------


def look_at_outboxes(cuts: Iterable[Cut], story: Story, given: dict[int, tuple[str, int]]) -> Found:
    """Open the outbox after each cut with the firmware's own code and compare it with what was confirmed."""
    confirmed = [note.behind for note in story.notes if "level" in note.told]
    acknowledged = heard_acks(story)
    found = Found()
    for cut in cuts:
        count = sum(behind <= cut.point for behind in confirmed)
        promised = dict(list(given.items())[:count])
        with tempfile.TemporaryDirectory(prefix="motcua-cut-") as folder:
            left = recover(cut, "rating", Path(folder))
            rows, presses, after, damage = open_outbox(left)
        lost = [
            sequence
            for sequence, (event, level) in promised.items()
            if rows.get(sequence) != (event, level) and acknowledged.get(event, cut.point) >= cut.point
        ]
        again = f"number {after} again" if after <= max(promised, default=0) else ""
        found.add(cut, count, max(len(lost), count - presses), damage, again)
    return found


def heard_acks(story: Story) -> dict[str, int]:
    """Return the events that the center acknowledged and where in the log the word of it had come at the earliest."""
    streams: dict[int, bytes] = {}
    heard: dict[str, int] = {}
    for note in story.notes:
        if "connection" in note.told:
            connection = note.told["connection"]
            stream = streams[connection] = streams.get(connection, b"")[-40:] + note.raw
            for event in _UUID.findall(stream):
                heard.setdefault(event.decode(), note.behind - 1)
    return heard


def open_outbox(folder: Path) -> tuple[dict[int, tuple[str, int]], int, int, str]:
    """Return an outbox's ratings, how many presses it remembers, which number it gives next, and any damage."""
    outbox = Outbox(folder, clock=SystemClock(), new_id=uuid7)
    try:
        outbox.open()
        rows = {row.sequence: row for row in outbox.peek(after=0, limit=1_000_000) if row.type == GIVEN}
        ratings = {sequence: (row.id, msgspec.json.decode(row.data)["level"]) for sequence, row in rows.items()}
        presses = sum(int(count) for key, count in outbox.memory().items() if key.startswith("presses."))
        fact = RatingGiven(level=1, scale="vn-3", ticket=None, armed_for_ms=None, pressed_ms=5)
        after = outbox.append(fact)
    except StoreError as error:
        return {}, 0, 0, str(error)
    finally:
        outbox.close()
    aside = list(folder.glob("*.corrupt-*"))
    return ratings, presses, after, "set aside as corrupt" if aside else integrity(folder / "outbox.db")


def look_at_stores(cuts: Iterable[Cut], story: Story) -> Found:
    """Open the store after each cut with the center's own code, compare it with what was answered, and go on."""
    found = Found()
    for cut in cuts:
        told = [note.told for note in story.notes if note.behind <= cut.point]
        with tempfile.TemporaryDirectory(prefix="motcua-cut-") as folder:
            recover(cut, "", Path(folder))
            found.add(cut, len(told), *open_store(Path(folder), told))
    return found


def open_store(folder: Path, told: list[dict[str, object]]) -> tuple[int, str, str]:
    """Return how much of what was told is missing, any damage, and a number that came twice when the center went on."""
    file = folder / "center.toml"
    file.write_text(CENTER.format(data_dir=folder, host="127.0.0.1", port=1))
    config = center_config.read(file)
    try:
        hall = Hall(config, Store(config.store_url), CenterClock())
    except CenterError as error:
        return 0, str(error), ""
    with closing(sqlite3.connect(folder / "center.db")) as database:
        tickets = dict(database.execute("SELECT id, number FROM ticket").fetchall())
        called = {ticket for (ticket,) in database.execute("SELECT id FROM ticket WHERE called_at IS NOT NULL")}
        ratings = {event for (event,) in database.execute("SELECT id FROM rating")}
    ratings_told = {each["rating"] for each in told if "rating" in each}
    tickets_told = {each["ticket"]: each["number"] for each in told if "ticket" in each}
    calls_told = [each["called"] for each in told if "called" in each]
    lost = len(ratings_told - ratings) + len(set(calls_told) - called)
    lost += sum(tickets.get(ticket) != number for ticket, number in tickets_told.items())
    hall.start()
    try:
        number, call = go_on(hall)
    finally:
        hall.stop()
    twice = [f"number {number} again"] if number in tickets_told.values() else []
    twice += [f"ticket {call} called again"] if call in calls_told else []
    twice += [f"{count} × {key}" for key, count in Tally([*calls_told, *tickets_told.values()]).items() if count > 1]
    return lost, integrity(folder / "center.db"), ", ".join(twice)


def go_on(hall: Hall) -> tuple[str, str]:
    """Issue the next number and call the next ticket; return the number and the ticket's id."""

    def ask(command: Issue | OpenCounter | CallNext) -> Done:
        answer = hall.submit(command, key=uuid7(), actor="rig").result(20)
        assert isinstance(answer, Done), answer
        return answer

    at = hall.now_ms()
    issued = ask(Issue(at=at, ticket_id=uuid7(), service="dat-dai")).ticket
    if hall.run(lambda state: state.counters["q01"].state).result(20) == "closed":
        ask(OpenCounter(at=at, counter="q01"))
    called = ask(CallNext(at=at, counter="q01")).ticket
    assert issued is not None
    assert called is not None
    return issued.number, called.id


def integrity(database: Path) -> str:
    """Return what SQLite finds wrong with a file, nothing if it is whole."""
    with closing(sqlite3.connect(database)) as connection:
        said = [line for (line,) in connection.execute("PRAGMA integrity_check")]
    return "" if said == ["ok"] else "; ".join(said)
