"""Who holds what: real files, locks, ports and processes, and trees as a Pi's kernel shows them."""

import fcntl
import os
import pty
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from host.doctor.holders import Holder, Processes
from tests.support.waiting import wait_for

HERE = Processes(Path("/proc"))


def started(code: str, *arguments: str | Path) -> "subprocess.Popen[str]":
    """Start another program that says `ready` and lives until its input is closed."""
    code += "\nprint('ready', flush=True)\nimport sys; sys.stdin.read()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def ended(process: "subprocess.Popen[str]") -> None:
    """End it."""
    process.communicate()


def test_who_has_a_serial_port_open_is_named() -> None:
    """The process that has a terminal open is found by its number; when it has ended, nobody is."""
    master, slave = pty.openpty()
    port = Path(os.ttyname(slave))
    os.close(slave)
    process = started("import os, sys; os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY)", port)
    try:
        assert [each.pid for each in HERE.holding(port).by] == [process.pid]
    finally:
        ended(process)
        assert HERE.holding(port).by == ()
        os.close(master)


def test_who_has_locked_a_file_is_named_without_touching_the_lock(tmp_path: Path) -> None:
    """The holder of a lock is read from the kernel's list; a free one has none, and neither has a missing file."""
    lock = tmp_path / "outbox.lock"
    assert HERE.locking(lock) is None
    lock.touch()
    assert HERE.locking(lock) is None
    process = started("import fcntl, sys; f = open(sys.argv[1]); fcntl.flock(f, fcntl.LOCK_EX)", lock)
    try:
        holder = HERE.locking(lock)
        assert holder is not None
        assert holder.pid == process.pid
    finally:
        ended(process)
    with lock.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # it was free all the time


def test_who_listens_and_who_is_connected_is_named() -> None:
    """A port is nobody's, or its listener's; a process is connected to a port, or it is not."""
    code = "import socket; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True)"
    with subprocess.Popen(
        [sys.executable, "-c", code + "; c, _ = s.accept(); c.recv(1)"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        held = HERE.listening(port)
        assert held is not None
        assert [each.pid for each in held.by] == [process.pid]
        assert HERE.connected(process.pid, port) is False
        with socket.create_connection(("127.0.0.1", port)):
            assert wait_for(lambda: HERE.connected(os.getpid(), port)) is True
    assert HERE.listening(port) is None
    assert HERE.connected(2**22 + 1, port) is None  # no such process


def pi(proc: Path, pid: int, command: str, *, unit: str = "") -> Path:
    """Make a process as a Pi's kernel shows it; return its folder."""
    folder = proc / str(pid)
    (folder / "fd").mkdir(parents=True)
    (folder / "fdinfo").mkdir()
    (folder / "cmdline").write_text(command.replace(" ", "\0") + "\0")
    (folder / "cgroup").write_text(f"0::/system.slice/{unit}\n" if unit else "0::/user.slice/session-1.scope\n")
    return folder


RATING = "/opt/motcua/bin/python /opt/motcua/bin/motcua device run rating --config /etc/motcua/station.toml"


def test_our_daemons_are_known_by_their_command(tmp_path: Path) -> None:
    """A daemon of ours is told by what it was started with, and named by its unit."""
    pi(tmp_path, 700, RATING, unit=r"system-motcua\x2ddevice.slice/motcua-device@rating.service")
    pi(tmp_path, 701, "/usr/sbin/ModemManager", unit="ModemManager.service")
    processes = Processes(tmp_path)
    holder = processes.holder(700)
    assert (holder.pid, holder.device, str(holder)) == (700, "rating", "motcua-device@rating (pid 700)")
    assert processes.holder(701).device is None
    assert str(processes.holder(701)) == "ModemManager (pid 701)"


@pytest.mark.parametrize(
    ("holder", "name"),
    [
        (Holder(9, "python -m motcua.cli device run display --config x"), "motcua device display (pid 9)"),
        (Holder(9, "/usr/bin/python motcua center serve --config x"), "the center (pid 9)"),
        (Holder(9, "/usr/bin/minicom -D /dev/ttyUSB0"), "minicom (pid 9)"),
        (Holder(9, ""), "a program (pid 9)"),
    ],
)
def test_a_process_has_the_name_that_one_looks_for(holder: Holder, name: str) -> None:
    """Without a unit it is our own word for it, or its program's."""
    assert str(holder) == name


def test_who_holds_a_line_of_the_header_is_read_from_the_kernel(tmp_path: Path) -> None:
    """The kernel's word on a descriptor gives chip and lines; one that says nothing gives nobody."""
    folder = pi(tmp_path, 700, RATING)
    (folder / "fd" / "7").symlink_to("anon_inode:gpio-line")
    (folder / "fdinfo" / "7").write_text("pos:\t0\nflags:\t02\ngpio-chip:\tgpiochip0\ngpio-line:\t17\ngpio-line:\t27\n")
    (folder / "fd" / "8").symlink_to("anon_inode:gpio-line")
    (folder / "fdinfo" / "8").write_text("pos:\t0\nflags:\t02\n")
    lines = Processes(tmp_path).gpio_lines()
    assert {key: holder.pid for key, holder in lines.items()} == {("gpiochip0", 17): 700, ("gpiochip0", 27): 700}
