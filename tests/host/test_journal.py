"""What the journal gets, with a datagram socket in journald's place."""

import io
import logging
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from host.journal import JournalHandler, handler_for

Entry = dict[str, str]


class Journald:
    """A socket that plays journald and reads its native protocol."""

    def __init__(self, address: Path) -> None:
        self.address = str(address)
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.bind(self.address)
        self._sock.setblocking(False)

    def entries(self) -> list[Entry]:
        """Return what came since the last time."""
        entries = []
        while True:
            try:
                entries.append(self._read(self._sock.recv(300_000)))
            except BlockingIOError:
                return entries

    def end(self) -> None:
        """Stop listening, as a journald that is gone."""
        self._sock.close()

    @staticmethod
    def _read(datagram: bytes) -> Entry:
        entry, rest = {}, io.BytesIO(datagram)
        while line := rest.readline():
            name, equals, value = line.removesuffix(b"\n").partition(b"=")
            if not equals:
                value = rest.read(int.from_bytes(rest.read(8), "little"))
                assert rest.read(1) == b"\n"
            assert name.decode() not in entry
            entry[name.decode()] = value.decode()
        return entry


@pytest.fixture
def journald(tmp_path: Path) -> Iterator[Journald]:
    """A journald of this test alone."""
    playing = Journald(tmp_path / "socket")
    yield playing
    playing.end()


@pytest.fixture
def stderr(tmp_path: Path) -> Iterator[io.TextIOWrapper]:
    """A file in stderr's place."""
    with (tmp_path / "stderr").open("w+", encoding="utf-8") as file:
        yield file


@pytest.fixture
def log(journald: Journald, stderr: io.TextIOWrapper) -> Iterator[logging.Logger]:
    """A logger of a program whose stderr is the journal."""
    handler = handler_for(stderr, stream(stderr), journald.address)
    assert isinstance(handler, JournalHandler)
    handler.fields.update(MOTCUA_STATION="q03", MOTCUA_DEVICE="rating")
    yield from logger(handler)


def logger(handler: logging.Handler) -> Iterator[logging.Logger]:
    """Return a logger that says everything to one handler."""
    made = logging.Logger("firmware.rating")  # noqa: LOG001 - nobody else shall hear it
    made.addHandler(handler)
    yield made
    handler.close()


def stream(file: io.TextIOWrapper) -> dict[str, str]:
    """Return the environment in which systemd says that this file leads to the journal."""
    status = os.fstat(file.fileno())
    return {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}


def written(stderr: io.TextIOWrapper) -> str:
    """Return what stands on stderr."""
    stderr.flush()
    return Path(stderr.name).read_text(encoding="utf-8")


def test_an_entry_says_what_where_and_of_whom(log: logging.Logger, journald: Journald) -> None:
    """An entry has the message, its priority, the place in the code, the device, and what the line adds."""
    log.warning("không có %s", "giấy", extra={"outbox_depth": 7})
    (entry,) = journald.entries()
    assert int(entry.pop("CODE_LINE")) > 0
    assert entry == {
        "MESSAGE": "không có giấy",
        "PRIORITY": "4",
        "SYSLOG_IDENTIFIER": "motcua",
        "LOGGER": "firmware.rating",
        "CODE_FILE": __file__,
        "CODE_FUNC": "test_an_entry_says_what_where_and_of_whom",
        "MOTCUA_STATION": "q03",
        "MOTCUA_DEVICE": "rating",
        "MOTCUA_OUTBOX_DEPTH": "7",
    }


@pytest.mark.parametrize(
    ("level", "priority"),
    [(logging.CRITICAL, "2"), (logging.ERROR, "3"), (logging.WARNING, "4"), (logging.INFO, "6"), (logging.DEBUG, "7")],
)
def test_a_level_is_the_journals_priority(log: logging.Logger, journald: Journald, level: int, priority: str) -> None:
    """`journalctl -p warning` finds warnings and what is worse."""
    log.log(level, "x")
    assert [entry["PRIORITY"] for entry in journald.entries()] == [priority]


def test_an_exception_is_one_entry(log: logging.Logger, journald: Journald) -> None:
    """A traceback stands in the entry of its message, whole, and not line by line between those of others."""
    try:
        int("of\nall things")
    except ValueError:
        log.exception("a fault")
    (entry,) = journald.entries()
    lines = entry["MESSAGE"].splitlines()
    assert lines[0] == "a fault"
    assert lines[1] == "Traceback (most recent call last):"
    assert lines[-1] == r"ValueError: invalid literal for int() with base 10: 'of\nall things'"
    assert entry["PRIORITY"] == "3"


def test_a_value_cannot_forge_a_field(log: logging.Logger, journald: Journald) -> None:
    """A name from outside that holds a line break stays one value."""
    log.info("%s", "q03\nPRIORITY=0", extra={"who": "a\nMESSAGE=b"})
    (entry,) = journald.entries()
    assert (entry["MESSAGE"], entry["PRIORITY"]) == ("q03\nPRIORITY=0", "6")
    assert entry["MOTCUA_WHO"] == "a\nMESSAGE=b"


def test_a_giant_is_cut(log: logging.Logger, journald: Journald) -> None:
    """A message of megabytes is cut to what a datagram holds, between two letters."""
    log.error("x%s", "ễ" * 1_000_000)
    (entry,) = journald.entries()
    assert entry["MESSAGE"].startswith("xễễễ")
    assert entry["MESSAGE"].endswith("ễ … (cut)")
    assert len(entry["MESSAGE"].encode()) < 40_000


def test_a_busy_journal_keeps_nobody_waiting(log: logging.Logger, journald: Journald) -> None:
    """While journald reads nothing the program goes on; afterwards the journal says how many lines are missing."""
    for number in range(2000):
        log.info("line %d", number)
    taken = [entry["MESSAGE"] for entry in journald.entries()]
    assert 0 < len(taken) < 2000
    log.info("again")
    assert [(entry["MESSAGE"], entry["PRIORITY"]) for entry in journald.entries()] == [
        (f"{2000 - len(taken)} lines were lost: journald was busy", "4"),
        ("again", "6"),
    ]
    log.info("and on")
    assert [entry["MESSAGE"] for entry in journald.entries()] == ["and on"]


def test_without_journald_lines_go_to_stderr(log: logging.Logger, journald: Journald, stderr: io.TextIOWrapper) -> None:
    """When journald's socket is dead the line is on stderr, with its priority in front."""
    journald.end()
    log.error("still said\ntwice")
    assert written(stderr) == "<3>firmware.rating: still said\n<3>twice\n"


def test_without_a_socket_lines_go_to_stderr(tmp_path: Path, stderr: io.TextIOWrapper) -> None:
    """A machine whose journal has no native socket gets lines with their priority."""
    for log in logger(handler_for(stderr, stream(stderr), str(tmp_path / "none"))):
        log.warning("x")
    assert written(stderr) == "<4>firmware.rating: x\n"


def test_a_terminal_gets_time_and_level(journald: Journald, stderr: io.TextIOWrapper) -> None:
    """Where stderr is not, or is no longer, the journal's stream, a line has its time and level; no entry is sent."""
    for environment in ({}, {"JOURNAL_STREAM": "8:12345"}, {"JOURNAL_STREAM": ""}):
        for log in logger(handler_for(stderr, environment, journald.address)):
            log.warning("x")
    lines = written(stderr).splitlines()
    assert len(lines) == 3
    assert {line[10:].partition(" WARNING ")[2] for line in lines} == {"firmware.rating: x"}
    assert journald.entries() == []


def test_a_slip_in_a_log_line_ends_nothing(
    log: logging.Logger, journald: Journald, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line whose arguments do not fit is told on stderr with its place, and the program goes on."""
    log.warning("%d", "no number")
    log.warning("next")
    assert [entry["MESSAGE"] for entry in journald.entries()] == ["next"]
    assert "test_journal.py" in capsys.readouterr().err
    assert sys.exc_info() == (None, None, None)
