"""Fixtures for all tests: real brokers, and a watch over leaked threads and sockets."""

import gc
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from center.storage import schema
from tests.support.brokers import Amqtt, Broker, Mosquitto
from tests.support.schema import Copied

# A busy machine fails no example for the time it took, and what is drawn is the same on each machine.
settings.register_profile("motcua", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("motcua")

_LEAK_GRACE_S = 15.0
_MOSQUITTO_MISSING = "mosquitto is missing: sudo make system-packages"


@pytest.fixture(autouse=True)
def no_leaks() -> Iterator[None]:
    """Fail a test that leaves a thread or a socket behind, after a short grace to let them end."""
    threads, sockets = set(threading.enumerate()), _sockets()
    yield
    if _left(threads, sockets):
        gc.collect()  # what only hangs in a cycle of references is garbage, not a leak
    deadline = time.monotonic() + _LEAK_GRACE_S
    while (left := _left(threads, sockets)) and time.monotonic() < deadline:
        time.sleep(0.01)
    if left:
        pytest.fail(f"left behind: {', '.join(left)}", pytrace=False)


@pytest.fixture(scope="session", autouse=True)
def copied_schema() -> Iterator[Copied]:
    """Let fresh stores of this process copy the schema; a program that a test starts migrates as it is."""
    copied = Copied(schema.upgrade)
    schema.upgrade = copied
    yield copied
    schema.upgrade = copied.upgrade


@pytest.fixture
def migrations(copied_schema: Copied, monkeypatch: pytest.MonkeyPatch) -> None:
    """Go through every migration, as a program does."""
    monkeypatch.setattr(schema, "upgrade", copied_schema.upgrade)


def _left(threads: set[threading.Thread], sockets: set[str]) -> list[str]:
    return [
        *(f"thread {thread.name}" for thread in set(threading.enumerate()) - threads),
        *sorted(_sockets() - sockets),
    ]


def _sockets() -> set[str]:
    found = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            target = str(descriptor.readlink())
        except OSError:
            continue  # the descriptor of this very listing
        if target.startswith("socket:"):
            found.add(target)
    return found


@pytest.fixture
def make_mosquitto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Mosquitto]]:
    """Make started mosquittos with further configuration lines (`options=`); they end with the test."""
    program = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if program is None:
        pytest.skip(_MOSQUITTO_MISSING)
    made: list[Mosquitto] = []

    def make(**options: str) -> Mosquitto:
        broker = Mosquitto(tmp_path_factory.mktemp("mosquitto"), program, **options)
        made.append(broker)
        broker.start()
        return broker

    yield make
    for broker in made:
        broker.kill()  # it keeps nothing, and an orderly end takes it 0.1 s


@pytest.fixture
def mosquitto_broker(make_mosquitto: Callable[..., Mosquitto]) -> Broker:
    """A running mosquitto without passwords, for this test alone."""
    return make_mosquitto()


@pytest.fixture
def amqtt_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A running amqtt, for this test alone."""
    broker = Amqtt(tmp_path_factory.mktemp("amqtt"))
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture(params=[pytest.param("mosquitto", marks=pytest.mark.mosquitto), "amqtt"])
def any_broker(request: pytest.FixtureRequest) -> Broker:
    """Each broker a center may run on, one after the other."""
    broker: Broker = request.getfixturevalue(f"{request.param}_broker")
    return broker
