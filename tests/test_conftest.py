"""The fixtures that other tests stand on."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.brokers import Broker


def test_a_broker_answers_again_on_the_same_port_after_a_kill(any_broker: Broker) -> None:
    """A broker that was killed listens on the same port once it is started again."""
    any_broker.kill()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((any_broker.host, any_broker.port), timeout=30)
    any_broker.start()
    socket.create_connection((any_broker.host, any_broker.port), timeout=30).close()


LEAKY = """
import socket, threading
from tests import conftest

conftest._LEAK_GRACE_S = 0.1
kept = []

def test_thread():
    threading.Thread(target=threading.Event().wait, name="forgotten", daemon=True).start()

def test_socket():
    kept.append(socket.socket())
"""


def test_what_a_test_leaves_behind_fails_it(tmp_path: Path) -> None:
    """A test that leaves a thread or an open socket behind fails, and the report names what it was."""
    leaky = tmp_path / "test_leaky.py"
    leaky.write_text(LEAKY)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "tests.conftest",
            "-c",
            "/dev/null",
            "--rootdir",
            str(tmp_path),
            str(leaky),
        ],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 1, done.stdout
    assert "left behind: thread forgotten" in done.stdout
    assert "left behind: socket:[" in done.stdout
    assert "2 passed, 2 errors" in done.stdout
