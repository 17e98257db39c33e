"""`motcua center serve` as a program: its start, its faults in a line, its end, and a kill in the middle of work."""

import http.client
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from center.serve import _locked
from contract.codec import decode
from contract.states import Status
from contract.topics import Address, Channel, center_address
from tests.support.brokers import Broker
from tests.support.center import CenterSide
from tests.support.device import DeviceSide, rated
from tests.support.disk import small_disk
from tests.support.program import Program
from tests.support.waiting import wait_for

KINDS = [pytest.param("mosquitto", marks=pytest.mark.mosquitto), "amqtt"]
NO_ANSWER = (OSError, http.client.HTTPException)  # the second: it was killed in the middle of its answer
PAD = Address(center="bentre", station="q01", device="rating")


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[[str], Program]]:
    """Make programs of a kind of broker; they end with the test."""
    made: list[Program] = []

    def make(kind: str = "amqtt", **options: Any) -> Program:
        if kind == "mosquitto" and shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin") is None:
            pytest.skip("mosquitto is missing: sudo make system-packages")
        made.append(Program(tmp_path, kind, **options))
        return made[-1]

    yield make
    for program in made:
        program.end(signal.SIGKILL)


def test_a_wrong_configuration_is_one_line_and_code_2(make: Callable[..., Program]) -> None:
    """The line names file, key and what is allowed."""
    program = make()
    program.config.write_text(program.config.read_text().replace("[http]\nport", "[http]\nprot"))
    assert program.run() == (2, f"motcua: {program.config}: http.prot: unknown key, did you mean port?\n")


def test_a_new_data_folder_is_its_owners_alone(tmp_path: Path) -> None:
    """Whoever else may log in on the server cannot read accounts and ratings, also where no unit made the folder."""
    folder = tmp_path / "data"
    with _locked(folder):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_full_disk_is_named_at_the_start_and_heals_while_running(tmp_path: Path) -> None:
    """A center that finds a full disk says so in a line; one that meets it refuses, and goes on when there is room."""
    with small_disk(tmp_path / "disk", kilobytes=4096) as disk:
        program = Program(disk.folder)
        disk.fill()
        code, said = program.run()
        assert (code, said.count("\n")) == (1, 1)
        assert "the disk is full; free some space" in said
        disk.free()
        program.start()
        try:
            first = program.post("/api/tickets", "key-1", {"service": "dat-dai"})
            disk.fill()
            answers = [program.refusal("/api/tickets", f"key-{each}", {"service": "dat-dai"}) for each in range(2, 99)]
            refused = next(answer for answer in answers if answer is not None)
            assert (refused["code"], "đầy" in refused["message"]) == ("store_full", True)
            disk.free()
            issued = [key for key, answer in enumerate(answers, 2) if answer is None]
            last = program.post("/api/tickets", "key-100", {"service": "dat-dai"})
            assert first["ticket"]["number"] == "A001"
            assert last["ticket"]["number"] == f"A{len(issued) + 2:03}"
            assert "WARNING center.hall: nothing can be stored" in program.log()
            assert "INFO    center.hall: storing works again" in program.log()
        finally:
            program.end(signal.SIGTERM)


def test_a_port_in_use_is_one_line_and_code_1(make: Callable[..., Program]) -> None:
    """The line names the port and what to do."""
    program = make()
    with socket.create_server(("127.0.0.1", program.http_port)):
        code, said = program.run()
    assert code == 1
    assert said.startswith(f"motcua: HTTP port {program.http_port} on 127.0.0.1 is in use; stop what listens there")
    assert said.count("\n") == 1


def test_a_broker_s_port_in_use_is_one_line_and_code_1(make: Callable[..., Program]) -> None:
    """The same for the port of the broker; nothing of the center stays behind."""
    program = make()
    with socket.create_server(("127.0.0.1", program.mqtt_port)):
        code, said = program.run()
    assert code == 1
    assert f"motcua: MQTT port {program.mqtt_port} on 127.0.0.1 is in use" in said.splitlines()[-1]


def test_two_centers_never_share_a_folder(make: Callable[..., Program]) -> None:
    """A second center on the same data would give numbers twice: it is refused in a line."""
    program = make()
    program.start()
    code, said = program.run()
    assert (code, said) == (
        1, f"motcua: {program.folder / 'data'}: another center runs on this folder; stop it, or set another data_dir\n",
    )  # fmt: skip


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.long)])
def test_a_signal_ends_it_in_order_also_with_open_streams(make: Callable[..., Program], number: signal.Signals) -> None:
    """Open pages do not hold it up; it ends with code 0 and a quiet log."""
    program = make()
    program.start()
    with socket.create_connection(("127.0.0.1", program.http_port), timeout=30) as page:
        page.sendall(b"GET /stream?view=board HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"200 OK" in page.recv(100)
        code, took_s = program.end(number)
    assert code == 0, program.log()
    assert took_s < 15
    warned = [line for line in program.log().splitlines() if "WARNING" in line]
    assert ["nobody has an account yet" in line for line in warned] == [True], warned
    assert "Traceback" not in program.log()


def test_an_early_ctrl_c_ends_it_quietly(make: Callable[..., Program]) -> None:
    """Ctrl-C while the program is still being loaded ends it with code 130 and not with a traceback."""
    impatient = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell that starts the tests behind itself has it ignored
class WhenServeIsLoaded:
    def find_spec(self, name, *_):
        if name == "center.serve":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, WhenServeIsLoaded())
from motcua.cli import main
sys.exit(main(["center", "serve", "--config", sys.argv[1]]))
"""
    command = [sys.executable, "-c", impatient, str(make().config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_a_store_that_fails_while_it_starts_is_one_line_and_code_1(make: Callable[..., Program]) -> None:
    """A database that goes away between the first look and the pages is named, without a traceback."""
    spoiled = """
import sys
from pathlib import Path
import center.serve
from center.web.app import create_app
def make_app(hall, config):
    (Path(config.data_dir) / "center.db").unlink()
    return create_app(hall, config)
center.serve.serve.__kwdefaults__["make_app"] = make_app
from motcua.cli import main
sys.exit(main(["center", "serve", "--config", sys.argv[1]]))
"""
    program = make()
    command = [sys.executable, "-c", spoiled, str(program.config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    said = f"motcua: {program.folder / 'data' / 'center.db'}: was removed or replaced while the center ran"
    assert done.stderr.splitlines()[-1].startswith(said)


def test_two_data_folders_never_share_a_database(make: Callable[..., Program], tmp_path: Path) -> None:
    """A second center that is pointed to the first one's database from a folder of its own is refused in a line."""
    first = make()
    first.start()
    (tmp_path / "second").mkdir()
    second = Program(tmp_path / "second")
    database = first.folder / "data" / "center.db"
    with second.config.open("a", encoding="utf-8") as config:
        config.write(f'[store]\nurl = "sqlite:///{database}"\n')
    line = f"motcua: {database}: another center writes this store; stop it, or set another data_dir or store.url\n"
    assert second.run() == (1, line)


def test_systemd_hears_that_it_is_ready_alive_and_ending(make: Callable[..., Program], tmp_path: Path) -> None:
    """READY comes when pages are served, WATCHDOG while every part works, STOPPING at the end."""
    heard: list[bytes] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(30)
        program = make()
        program.start(NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="600000")
        heard += [systemd.recv(100) for _ in range(4)]
        program.end(signal.SIGTERM)
        while heard[-1] != b"STOPPING=1":
            heard.append(systemd.recv(100))
    assert heard[:4] == [b"READY=1", *[b"WATCHDOG=1"] * 3]


def test_a_broker_that_lives_on_knows_whether_the_center_is_there(
    make: Callable[..., Program], any_broker: Broker
) -> None:
    """A killed center is retained as lost, one that was stopped as offline; one that runs is online."""
    program = make("external", broker=any_broker)
    with CenterSide(any_broker, center_address("bentre")) as wire:

        def last() -> str | None:
            heard = wire.heard(Channel.STATUS)
            return decode(heard[-1].payload, Status).state if heard else None

        program.start()
        wait_for(lambda: last() == "online", timeout_s=30)
        program.end(signal.SIGKILL)
        wait_for(lambda: last() == "lost")
        program.start()
        wait_for(lambda: last() == "online", timeout_s=30)
        assert program.end(signal.SIGTERM)[0] == 0
        wait_for(lambda: last() == "offline")
    with CenterSide(any_broker, center_address("bentre")) as latecomer:
        (kept, *_) = latecomer.wait_for(Channel.STATUS)
        assert (decode(kept.payload, Status).state, kept.retained) == ("offline", True)


@pytest.mark.parametrize("kind", [KINDS[0], pytest.param("amqtt", marks=pytest.mark.long)])
def test_what_was_answered_survives_a_kill(make: Callable[..., Program], kind: str) -> None:
    """SIGKILL in the middle of work: each answer given before is still true after, and nothing is there twice."""
    program = make(kind)
    program.start()
    program.post("/api/counters/q01/open", "open", {})
    given: dict[str, str] = {}
    called: list[str] = []
    stopped = threading.Event()

    def take_numbers(kiosk: int) -> None:
        for turn in range(10_000):
            key = f"kiosk-{kiosk}-{turn}"
            while not stopped.is_set():  # as a kiosk does: ask again with the same key until there is an answer
                try:
                    given[key] = program.post("/api/tickets", key, {"service": "dat-dai"})["ticket"]["number"]
                    break
                except NO_ANSWER:
                    time.sleep(0.05)
            if stopped.is_set():
                return

    def call_numbers() -> None:
        turn = 0
        while not stopped.is_set():
            try:
                ticket = program.post("/api/counters/q01/call_next", f"call-{turn}", {})["ticket"]
                called.append(ticket["number"])
                turn += 1
            except urllib.error.HTTPError:
                turn += 1  # nobody waits
            except NO_ANSWER:
                time.sleep(0.05)

    threads = [threading.Thread(target=take_numbers, args=(each,)) for each in range(4)]
    threads.append(threading.Thread(target=call_numbers))
    sent: list[str] = []
    acked: set[str] = set()
    for thread in threads:
        thread.start()
    try:
        for _ in range(2):
            with DeviceSide("127.0.0.1", program.mqtt_port, PAD) as pad:
                for _ in range(100):
                    sent.append(pad.tell(rated(), sequence=len(sent) + 1))
                    time.sleep(0.002)
                wait_for(lambda pad=pad: len(pad.acked()) > 20, timeout_s=60)  # type: ignore[misc]
                program.end(signal.SIGKILL)
                acked |= pad.acked()
            answers = len(given)
            program.start()
            wait_for(lambda answers=answers: len(given) > answers + 20, timeout_s=60)  # type: ignore[misc]
    finally:
        stopped.set()
        for thread in threads:
            thread.join(30)
    program.end(signal.SIGTERM)

    assert len(given) > 40
    assert len(set(given.values())) == len(given)  # no number twice
    assert len(set(called)) == len(called)  # nobody called twice
    stored = {key: number for number, key in program.rows(
        "SELECT json_extract(body, '$.number'), key FROM queue_event WHERE body LIKE '%ticket_issued%'"
    )}  # fmt: skip
    assert given.items() <= stored.items()  # each answer is what the store says
    assert len(stored) == len(set(stored.values())) == program.rows("SELECT count(*) FROM ticket")[0][0]
    ids = [row[0] for row in program.rows("SELECT id FROM device_event")]
    assert acked <= set(ids) <= set(sent)
    assert len(ids) == len(set(ids)) == program.rows("SELECT count(*) FROM rating")[0][0]
