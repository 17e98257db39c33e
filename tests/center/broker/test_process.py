"""The broker as a child: it answers before anybody connects, comes back when killed, never outlives the center."""

import contextlib
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from center.broker import BrokerProcess, make_broker
from center.config import Broker
from center.errors import BrokerError, BusyError
from contract.topics import Address
from simulator.ports import free_port
from tests.support.device import DeviceSide
from tests.support.keys import Client, Site
from tests.support.waiting import wait_for

KINDS = [pytest.param("mosquitto", marks=pytest.mark.mosquitto), "amqtt"]
ADDRESS = Address(center="bentre", station="q01", device="rating")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[str], tuple[BrokerProcess, Broker]]]:
    """Start brokers of a kind; they end with the test."""
    started: list[BrokerProcess] = []

    def start(kind: str) -> tuple[BrokerProcess, Broker]:
        if kind == "mosquitto" and shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin") is None:
            pytest.skip("mosquitto is missing: sudo make system-packages")
        config = Broker(kind=kind, port=free_port())  # type: ignore[arg-type]
        broker = make_broker(config, tmp_path)
        assert broker is not None
        started.append(broker)
        broker.start()
        return broker, config

    yield start
    for broker in started:
        broker.stop()


@pytest.mark.parametrize("kind", KINDS)
def test_it_answers_when_start_returns(start: Callable[[str], tuple[BrokerProcess, Broker]], kind: str) -> None:
    """A device can connect at once when the center says that its broker listens."""
    broker, config = start(kind)
    assert broker.name == kind
    with DeviceSide(config.host, config.port, ADDRESS):
        pass


@pytest.mark.parametrize("kind", KINDS)
def test_a_killed_broker_comes_back(
    start: Callable[[str], tuple[BrokerProcess, Broker]], kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A broker that dies is started again on the same port; the log says so once."""
    caplog.set_level(logging.INFO)
    broker, config = start(kind)
    first = broker.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: broker.pid not in (None, first) and _answers(config.port), timeout_s=30)
    with DeviceSide(config.host, config.port, ADDRESS):
        pass
    warnings = [record.message for record in caplog.records if record.levelno >= logging.WARNING]
    assert warnings == [f"{kind} ended with code -9; it is started again, devices keep their events meanwhile"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_stop_ends_it_and_frees_the_port(start: Callable[[str], tuple[BrokerProcess, Broker]], kind: str) -> None:
    """After a stop nothing listens there, and no process is left; stopping again is harmless."""
    broker, config = start(kind)
    pid = broker.pid
    began = time.monotonic()
    broker.stop()
    broker.stop()
    assert time.monotonic() - began < 10
    assert not _answers(config.port)
    assert pid is not None
    assert not psutil.pid_exists(pid)


@pytest.mark.parametrize("kind", KINDS)
def test_a_port_in_use_is_one_line_that_says_what_to_do(kind: str, tmp_path: Path) -> None:
    """When another program has the port, the line names it and the ways out."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        broker = make_broker(Broker(kind=kind, port=port), tmp_path)  # type: ignore[arg-type]
        assert broker is not None
        with pytest.raises(BusyError, match=f"MQTT port {port} on 127.0.0.1 is in use.*broker.port") as error:
            broker.start()
        broker.stop()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", KINDS)
def test_it_does_not_outlive_a_center_that_was_killed(kind: str, tmp_path: Path) -> None:
    """After SIGKILL of the center its broker ends too, so that the next center finds the port free."""
    port = free_port()
    program = textwrap.dedent(
        f"""
        import sys, time
        from pathlib import Path
        from center.broker import make_broker
        from center.config import Broker
        broker = make_broker(Broker(kind={kind!r}, port={port}), Path({str(tmp_path)!r}))
        broker.start()
        print(broker.pid, flush=True)
        time.sleep(60)
        """
    )
    center = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert center.stdout is not None
    pid = int(center.stdout.readline())
    center.kill()
    center.wait(30)
    center.stdout.close()
    wait_for(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    wait_for(lambda: not _answers(port))


def test_auto_takes_mosquitto_where_it_is_installed(tmp_path: Path) -> None:
    """`auto` prefers mosquitto, and falls back to the built-in broker."""
    broker = make_broker(Broker(kind="auto"), tmp_path)
    assert broker is not None
    installed = shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    assert broker.name == ("mosquitto" if installed else "amqtt")
    broker.stop()


def test_an_external_broker_is_not_started(tmp_path: Path) -> None:
    """`external` starts nothing."""
    assert make_broker(Broker(kind="external"), tmp_path) is None


@pytest.mark.mosquitto
def test_beyond_loopback_it_asks_for_a_key(tmp_path: Path) -> None:
    """A broker that has keys answers who has one and hangs up on everybody else; without keys it is not started."""
    with Site(tmp_path) as site:
        with socket.create_connection((site.host, site.port), timeout=30) as stranger:
            stranger.sendall(b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x05\x00\x02me")
            with contextlib.suppress(ConnectionResetError):
                assert stranger.recv(4) == b""
        with Client(site, site.authority.center_file) as center:
            assert center.connected()
    with pytest.raises(BrokerError, match="there are no keys"):
        make_broker(Broker(host="0.0.0.0"), tmp_path)  # noqa: S104 – that is the point


@pytest.mark.mosquitto
def test_a_restart_ends_every_connection_and_a_reload_none(tmp_path: Path) -> None:
    """A reload leaves everybody connected, a restart throws everybody off and lets them in again at once."""
    with Site(tmp_path) as site, Client(site, site.authority.center_file) as before:
        pid = site.broker.pid
        site.broker.reload()
        before.say("motcua/v1/bentre/x", b"1")
        assert before.connected()
        assert site.broker.pid == pid
        site.broker.restart()
        wait_for(lambda: not before.connected())
        wait_for(lambda: site.broker.pid not in (None, pid) and _answers(site.port), timeout_s=30)
        with Client(site, site.authority.center_file) as again:
            assert again.connected()


def test_a_program_that_cannot_run_is_said_at_once() -> None:
    """A broker that ends at once ends the start, with the code, instead of being tried for ever."""

    class Broken:
        name = "broken"

        def command(self) -> list[str]:
            return ["/bin/false"]

    broker = BrokerProcess(Broken(), Broker(port=free_port()))
    with pytest.raises(BrokerError, match="broken ended at once, with code 1"):
        broker.start()


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=30):
            return True
    except OSError:
        return False
