"""Serial ports: real terminals, and trees as a Pi's kernel shows its adapters."""

import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from firmware.doctor import ports
from firmware.doctor.ports import PortFacts, PortUse
from host.doctor.holders import Held, Holder, Processes
from host.doctor.rights import FileFacts, User
from host.doctor.roots import Roots

USE = PortUse("display", Path("/dev/ttyUSB0"))
NODE = FileFacts(USE.path, 0o020660, gid=20, group="dialout")
NOBODY = Held((), all_seen=True)
USER = User("motcua", 900, frozenset({900, 20}))
OURS = Holder(700, "motcua device run display", "motcua-device@display.service")
MODEMS = Holder(800, "/usr/sbin/ModemManager", "ModemManager.service")


def facts(**changes: object) -> PortFacts:
    """Return a port that is well, but for these."""
    well = {"use": USE, "file": NODE, "real": "ttyUSB0", "held": NOBODY}
    return PortFacts(**(well | changes))  # type: ignore[arg-type]  # whatever a case needs


@pytest.mark.parametrize(
    ("port", "found"),
    [
        (facts(), ["port-free"]),
        (facts(held=Held((OURS,), all_seen=True)), ["port"]),
        (facts(held=Held((MODEMS,), all_seen=True)), ["port-busy"]),
        (facts(held=Held((OURS, MODEMS), all_seen=True)), ["port-busy"]),
        (facts(held=Held((), all_seen=False)), ["port-unseen"]),
        (facts(file=FileFacts(USE.path, None, reason="no such file or directory")), ["port-missing"]),
        (facts(file=FileFacts(USE.path, 0o100644)), ["port-is-none"]),
        (facts(file=FileFacts(USE.path, 0o020600)), ["port-denied", "port-free"]),
        (facts(console=True), ["port-console", "port-free"]),
        (facts(driver="ch341-uart", adapter="QinHeng 1a86:7523"), ["port-free", "adapter"]),
        (facts(driver="ch341-uart", adapter="QinHeng 1a86:7523", others=1), ["port-free", "port-name"]),
        (facts(driver="odd", adapter="Odd 1:2"), ["port-free", "adapter-unknown"]),
        (facts(real="ttyAMA0", driver="uart-pl011", others=2, use=PortUse("display", Path("/dev/ttyAMA0"))),
         ["port-free", "adapter"]),
        (facts(use=PortUse("display", Path("/dev/serial/by-id/usb-1a86")), driver="ch341", adapter="x", others=1),
         ["port-free", "adapter"]),
    ],
)  # fmt: skip
def test_a_port_is_judged(port: PortFacts, found: list[str]) -> None:
    """There, ours to open, used by nobody else, no console, and a name that stays: what is not has its line."""
    assert [each.code for each in ports.judge(port, USER)] == found


def test_a_modem_manager_is_named_with_the_way_out() -> None:
    """The program that most often holds a new adapter is told by name, with how to be rid of it."""
    (finding,) = ports.judge(facts(held=Held((MODEMS,), all_seen=True)), USER)
    assert finding.says == "/dev/ttyUSB0 (display) is open in ModemManager (pid 800)"
    assert "apt purge modemmanager" in finding.do


def test_a_port_of_two_devices_is_found_in_the_file() -> None:
    """Two devices on one port are a mistake, unless both say that they share it."""
    one, other = PortUse("left", USE.path), PortUse("right", USE.path)
    assert [each.code for each in ports.judge_uses([one, other])] == ["port-twice"]
    assert [each.code for each in ports.judge_uses([PortUse("left", USE.path, shared=True), other])] == ["port-twice"]
    assert ports.judge_uses([PortUse("left", USE.path, shared=True), PortUse("right", USE.path, shared=True)]) == []


@pytest.fixture
def port() -> Iterator[Path]:
    """A real terminal, which nobody else has open."""
    master, slave = pty.openpty()
    path = Path(os.ttyname(slave))
    os.close(slave)
    yield path
    os.close(master)


def test_a_real_port_is_looked_at_without_being_opened(port: Path) -> None:
    """A free port is free; when another program has it open, that one is named; the port itself is left alone."""
    use = PortUse("display", port)
    processes = Processes(Path("/proc"))
    (finding,) = ports.judge(ports.probe(use, Roots(), processes), None)
    assert finding.code == ("port-free" if os.geteuid() == 0 else "port-unseen")
    code = "import os, sys; os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY); print('ready', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        (finding,) = ports.judge(ports.probe(use, Roots(), processes), None)
        process.communicate()
    assert finding.code == "port-busy"
    assert f"(pid {process.pid})" in finding.says


def test_what_is_plugged_in_is_read(tmp_path: Path) -> None:
    """Driver, maker and number of an adapter come from the USB device above its port, the console from the boot."""
    usb = tmp_path / "sys/devices/usb1/1-1"
    tty = usb / "1-1:1.0/ttyUSB0"
    tty.mkdir(parents=True)
    for name, text in (("idVendor", "1a86"), ("idProduct", "7523"), ("product", "USB Serial")):
        (usb / name).write_text(text + "\n")
    driver = tmp_path / "sys/bus/usb-serial/drivers/ch341-uart"
    driver.mkdir(parents=True)
    (tty / "driver").symlink_to(driver)
    node = tmp_path / "sys/class/tty/ttyUSB0"
    node.mkdir(parents=True)
    (node / "device").symlink_to(tty)
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cmdline").write_text("console=ttyUSB0,115200 console=tty1 root=/dev/mmcblk0p2\n")
    dev = tmp_path / "dev"
    dev.mkdir()
    for name in ("ttyUSB0", "ttyUSB1", "ttyACM0"):
        (dev / name).touch()
    by_id = dev / "usb-1a86_USB_Serial-if00-port0"
    by_id.symlink_to("ttyUSB0")
    found = ports.probe(
        PortUse("display", by_id),
        Roots(dev=dev, sys=tmp_path / "sys", proc=tmp_path / "proc"),
        Processes(tmp_path / "proc"),
    )
    assert (found.real, found.driver, found.adapter) == ("ttyUSB0", "ch341-uart", "USB Serial 1a86:7523")
    assert (found.others, found.console) == (2, True)
