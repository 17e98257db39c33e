"""The device program as a process: command line, exit codes, signals, and a press from finger to center."""

import os
import re
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from contract.codec import decode
from contract.events import RatingGiven, RatingIgnored
from contract.states import Armed, RatingDesired, RatingReported, Status
from contract.topics import Channel
from firmware.cli import main
from firmware.version import VERSION
from motcua import __version__
from simulator.ports import free_port
from tests.support.brokers import Broker
from tests.support.center import CenterSide
from tests.support.pad import ADDRESS, BUZZER, Pad
from tests.support.waiting import wait_for

DEBOUNCE_MS = 15


def armed(ticket: str, revision: int = 1) -> RatingDesired:
    """Return the state that opens a pad for a ticket."""
    return RatingDesired(revision=revision, armed=Armed(ticket=ticket, number="A007", seconds=60))


def given(center: CenterSide) -> list[RatingGiven]:
    """Return the ratings that came, each event once."""
    facts = {event.id: event.fact() for event in center.events()}
    return [fact for fact in facts.values() if isinstance(fact, RatingGiven)]


def state(center: CenterSide) -> str:
    """Return the presence that was told last."""
    return decode(center.heard(Channel.STATUS)[-1].payload, Status).state


def takes_presses(center: CenterSide, *, since: int) -> bool:
    """Whether a pad that was started after `since` reports has taken the state that the broker kept."""
    return any(decode(each.payload, RatingReported).revision for each in center.heard(Channel.REPORTED)[since:])


def wait_armed(center: CenterSide, ticket: str) -> None:
    """Wait until the pad reports that it is open for a ticket."""
    wait_for(
        lambda: any(decode(each.payload, RatingReported).armed == ticket for each in center.heard(Channel.REPORTED)),
        timeout_s=30,
    )


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run the command."""
    return subprocess.run(
        [sys.executable, "-m", "motcua.cli", "device", *arguments],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


# --- the command line -------------------------------------------------------------------------------------------------


def test_a_wrong_configuration_is_one_line_and_exit_2(tmp_path: Path) -> None:
    """On stderr stands exactly one line, with file, key, what is allowed and what was found."""
    config = tmp_path / "station.toml"
    config.write_text(
        'center = "bentre"\nstation = "q03"\nstate_dir = "/x"\n[device.rating]\nscale = 3\nbuttons = []\n'
    )
    done = run("run", "rating", "--config", str(config))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"motcua: {config}: device.rating.scale: a text, got 3\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "run and the name of a device are needed"),
        (["run"], "run and the name of a device are needed"),
        (["run", "rating"], "--config FILE is needed"),
        (["run", "rating", "--config"], "--config needs a value"),
        (["run", "rating", "--config", "x", "--verbose"], "unknown option --verbose"),
        (
            ["run", "rating", "--config=x", "--log-level=loud"],
            "--log-level: one of debug, info, warning, error, got loud",
        ),
        (["stop", "rating"], "run and the name of a device are needed"),
    ],
)
def test_a_wrong_command_says_what_is_needed(
    capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    """A command line that cannot be meant gets the reason, the usage, and exit code 2."""
    assert main(arguments) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == f"motcua device: {said}"
    assert any(line.startswith("usage: motcua device run NAME --config FILE") for line in lines)


def test_help_is_no_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    """Asked for help, the command gives it on stdout."""
    assert main(["--help"]) == 0
    assert "motcua device run NAME" in capsys.readouterr().out


def test_the_firmwares_version_is_the_distributions() -> None:
    """What a device reports as its version is the version that was installed."""
    assert __version__ == VERSION


# --- a life -----------------------------------------------------------------------------------------------------------


def test_a_press_is_lit_stored_and_heard(mosquitto_broker: Broker, tmp_path: Path) -> None:
    """An armed pad turns a press into a tone, a light and one event; the repeated press counts nothing."""
    with CenterSide(mosquitto_broker, ADDRESS, acks=True) as center, Pad(tmp_path, mosquitto_broker) as pad:
        center.say(Channel.DESIRED, armed("t-1"), retain=True)
        wait_armed(center, "t-1")
        pad.wait_lit(BUZZER, since_ns=pad.push(3))
        (rating,) = wait_for(lambda: given(center))
        assert (rating.level, rating.scale, rating.ticket) == (3, "vn-3", "t-1")
        assert DEBOUNCE_MS <= rating.pressed_ms < 10_000
        pad.push(1)
        ignored = wait_for(lambda: [f for e in center.events() if isinstance(f := e.fact(), RatingIgnored)])
        assert ignored == [RatingIgnored(why="repeated", level=1)]
        assert len(given(center)) == 1


def test_presses_survive_a_broker_outage_and_a_power_cut(mosquitto_broker: Broker, tmp_path: Path) -> None:
    """What was lit while there was no broker reaches the center, once, though the pad was killed in between."""
    with Pad(tmp_path, mosquitto_broker, rating='mode = "open"\nlockout_ms = 100\nthanks_ms = 100') as pad:
        mosquitto_broker.kill()
        for level in (1, 2, 3):
            pad.wait_lit(BUZZER, since_ns=pad.push(level))
            time.sleep(0.15)  # the lock-out
        pad.kill()
        mosquitto_broker.start()
        with CenterSide(mosquitto_broker, ADDRESS, acks=True) as center:
            pad.start()
            wait_for(lambda: len(given(center)) == 3, timeout_s=30)
            assert [rating.level for rating in given(center)] == [1, 2, 3]
            assert [event.sequence_number for event in center.events()][:3] == [1, 2, 3]


def test_a_killed_pad_is_armed_again_by_the_retained_state(mosquitto_broker: Broker, tmp_path: Path) -> None:
    """A pad that restarts in its window takes the press, and remembers across another restart that it did."""
    with CenterSide(mosquitto_broker, ADDRESS, acks=True) as center, Pad(tmp_path, mosquitto_broker) as pad:
        center.say(Channel.DESIRED, armed("t-1"), retain=True)
        wait_armed(center, "t-1")
        for _ in range(2):
            pad.kill()
            wait_for(lambda: state(center) == "lost")
            before = len(center.heard(Channel.REPORTED))
            pad.start()
            wait_for(lambda: state(center) == "online", timeout_s=30)
        wait_for(lambda: takes_presses(center, since=before), timeout_s=30)
        pad.push(2)
        wait_for(lambda: given(center))
        pad.kill()
        wait_for(lambda: state(center) == "lost")
        before = len(center.heard(Channel.REPORTED))
        pad.start()
        wait_for(lambda: takes_presses(center, since=before), timeout_s=30)
        pad.push(3)
        wait_for(
            lambda: RatingIgnored(why="repeated", level=3) in [event.fact() for event in center.events()], timeout_s=30
        )
        assert [rating.level for rating in given(center)] == [2]


def test_an_orderly_stop_says_goodbye(mosquitto_broker: Broker, tmp_path: Path) -> None:
    """On SIGTERM and on Ctrl-C the status becomes offline and the exit code is 0, soon."""
    with CenterSide(mosquitto_broker, ADDRESS) as center:
        for count, number in enumerate((signal.SIGTERM, signal.SIGINT), start=1):
            pad = Pad(tmp_path, mosquitto_broker)
            pad.start()
            center.wait_for(Channel.STATUS, 2 * count - 1)
            began = time.monotonic()
            assert pad.end(number) == 0
            assert time.monotonic() - began < 10
            center.wait_for(Channel.STATUS, 2 * count)
        states = [decode(each.payload, Status).state for each in center.heard(Channel.STATUS)]
    assert states == ["online", "offline", "online", "offline"]


def test_a_stop_does_not_wait_for_a_broker(tmp_path: Path) -> None:
    """Without a broker a device stops at once, too."""

    class Nowhere:
        name, host, port = "none", "127.0.0.1", free_port()

    pad = Pad(tmp_path, Nowhere())  # type: ignore[arg-type]  # its port is all that counts
    pad.start()
    pad.press(1)
    began = time.monotonic()
    assert pad.end(signal.SIGTERM) == 0
    assert time.monotonic() - began < 10


def test_a_device_that_runs_already_is_not_started_twice(mosquitto_broker: Broker, tmp_path: Path) -> None:
    """The second process ends with exit code 1 and one line that says why."""
    with Pad(tmp_path, mosquitto_broker) as pad:
        pad.press(1)  # it is up
        done = subprocess.run(
            [sys.executable, "-m", "motcua.cli", "device", "run", "rating", "--config", str(pad.config)],
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
            env=os.environ | {"GPIOZERO_PIN_FACTORY": "mock"},
        )
    assert done.returncode == 1
    assert "this device already runs here" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_a_terminal_gets_lines_with_time_and_level(tmp_path: Path) -> None:
    """What a device says stands on stderr with time and level, also when a journal is named that stderr is not."""
    config = tmp_path / "station.toml"
    config.write_text(
        f'center = "bentre"\nstation = "q03"\nstate_dir = "{tmp_path}"\n[broker]\nport = {free_port()}\n'
        '[device.display]\ncodec = "screen"\n'
    )
    with subprocess.Popen(
        [sys.executable, "-m", "motcua.cli", "device", "run", "display", "--config", str(config)],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"JOURNAL_STREAM": "8:12345"},
    ) as process:
        assert process.stderr is not None
        info, warning = [process.stderr.readline() for _ in range(2)]
        process.terminate()
    time_of_day = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}"
    assert re.match(time_of_day + r" INFO +firmware\.cli: /bentre/q03/display starts, version ", info)
    assert re.match(time_of_day + r" WARNING firmware\.mqtt\.transport: no connection to the broker at 127\.", warning)


def test_the_journal_gets_an_entry_for_a_wrong_configuration(tmp_path: Path) -> None:
    """Why a device does not start is an error in the journal: `journalctl -p err` shows it."""
    with (tmp_path / "stderr").open("w+b") as stderr:
        status = os.fstat(stderr.fileno())
        code = subprocess.run(
            [sys.executable, "-m", "motcua.cli", "device", "run", "rating", "--config", str(tmp_path / "none")],
            stderr=stderr,
            timeout=100,
            check=False,
            env=os.environ | {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"},
        ).returncode
    assert code == 2
    assert (tmp_path / "stderr").read_text().startswith(f"<3>motcua: {tmp_path / 'none'}: ")


# --- what it costs ----------------------------------------------------------------------------------------------------


def test_an_idle_pad_does_not_poll(mosquitto_broker: Broker, tmp_path: Path) -> None:
    """An idle, connected pad wakes less than once a second and needs next to no processor time."""
    with CenterSide(mosquitto_broker, ADDRESS, acks=True) as center, Pad(tmp_path, mosquitto_broker) as pad:
        wait_for(center.events)
        process = psutil.Process(pad.pid)

        def looks() -> tuple[int, float]:
            return process.num_ctx_switches().voluntary, sum(process.cpu_times()[:2])

        windows: list[tuple[int, float]] = []
        # A busy machine may still owe it what belongs to the start; who polls has no quiet window at all.
        while len(windows) < 6 and not any(woken < 5 and used <= 0.01 for woken, used in windows):
            woken, used = looks()
            time.sleep(5)
            after = looks()
            windows.append((after[0] - woken, round(after[1] - used, 3)))  # the kernel counts in steps of 10 ms
        assert any(woken < 5 and used <= 0.01 for woken, used in windows), windows


def test_a_pad_carries_only_what_it_uses(mosquitto_broker: Broker, tmp_path: Path) -> None:
    """A rating daemon without TLS loads neither OpenSSL nor HTTP, e-mail, archives, serial ports or the center."""
    config = Pad(tmp_path, mosquitto_broker).config
    script = f"""
import sys, threading, time, os, signal
def look():
    while signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:  # it is not running yet
        time.sleep(0.05)
    time.sleep(1)
    heavy = {{"ssl", "_ssl", "_hashlib", "http", "email", "zipfile", "tempfile", "argparse", "asyncio", "serial",
             "pymodbus", "importlib.metadata", "center", "sqlalchemy", "unicodedata", "difflib"}}
    print(sorted(heavy & set(sys.modules)), flush=True)
    os.kill(os.getpid(), signal.SIGTERM)
threading.Thread(target=look).start()
from firmware.cli import main
main(["run", "rating", "--config", {str(config)!r}])
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        env=os.environ | {"GPIOZERO_PIN_FACTORY": "mock"},
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_the_light_comes_right_after_the_debounce_time(mosquitto_broker: Broker, tmp_path: Path) -> None:
    """From the end of the debounce time to the light passes little more than one durable commit."""
    with Pad(tmp_path, mosquitto_broker, rating='mode = "open"\nlockout_ms = 100\nthanks_ms = 100') as pad:
        delays_ms = []
        for _ in range(10):
            pressed_ns = pad.press(1)
            delays_ms.append((pad.wait_lit(BUZZER, since_ns=pressed_ns) - pressed_ns) / 1e6 - DEBOUNCE_MS)
            pad.release(1)
            time.sleep(0.3)
        assert min(delays_ms) > -1  # the device counts whole milliseconds
        # A busy machine may delay most of them, but not all. The benchmarks compare with the bare commit.
        assert min(delays_ms) < 50
        print(f"light after {statistics.median(delays_ms):.2f} ms")
