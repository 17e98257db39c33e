import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vm import image, software
from tests.vm.center import Center, Listener
from tests.vm.machine import Machine
from tests.vm.pad import Hand, Pad

_figures = pytest.StashKey[list[str]]()


@pytest.fixture(scope="session")
def machine() -> Iterator[Machine]:
    """A booted Debian 12 with a simulated board, one for all tests; nothing of ours is in it yet."""
    try:
        made = image.ready()
    except image.UnavailableError as reason:
        pytest.skip(str(reason))
    with tempfile.TemporaryDirectory(prefix="motcua-vm-") as folder:
        disk = Path(folder, "disk.qcow2")
        shutil.copyfile(made.disk, disk)
        booted = Machine(made.kernel, made.initrd, disk, made.key, Path(folder))
        try:
            booted.start(snapshot=Machine.SNAPSHOT)
            yield booted
        finally:
            booted.stop()


@pytest.fixture(scope="session")
def center(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Center]:
    """The real center on the host."""
    running = Center(tmp_path_factory.mktemp("center"))
    try:
        running.start()
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="session")
def installed(machine: Machine) -> Pad:
    """Our wheel and our unit in the machine; the daemon does not run yet."""
    software.install(machine)
    return Pad(machine)


@pytest.fixture
def pad(installed: Pad) -> Iterator[Pad]:
    """The pad for one test, which configures and starts it. What it said is shown when the test fails."""
    since = installed.cursor()
    yield installed
    print(installed.journal(since))
    installed.stop()


@pytest.fixture
def hand(machine: Machine) -> Iterator[Hand]:
    """A finger at the board's buttons."""
    finger = Hand(machine)
    yield finger
    finger.close()


@pytest.fixture
def listener(center: Center) -> Iterator[Listener]:
    """An ear at the center's broker."""
    ear = Listener(center.mqtt_port)
    yield ear
    ear.close()


@pytest.fixture
def figures(pytestconfig: pytest.Config) -> list[str]:
    """Lines to be shown at the end of the run."""
    return pytestconfig.stash.setdefault(_figures, [])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Show what was measured."""
    if lines := config.stash.get(_figures, []):
        terminalreporter.section("measured on a real kernel, on an emulated processor")
        for line in lines:
            terminalreporter.write_line(line)
