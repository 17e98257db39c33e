"""A virtual machine under QEMU without KVM: start, log in, run commands, stop."""

import json
import re
import shlex
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

HARDWARE = (
    *("-M", "q35", "-accel", "tcg,thread=multi,tb-size=512", "-cpu", "max", "-smp", "2", "-m", "768"),
    *("-nodefaults", "-display", "none", "-device", "virtio-rng-pci"),
    # Where disks are plugged in while the machine runs.
    *(part for number in (1, 2, 3) for part in ("-device", f"pcie-root-port,id=socket{number},chassis={number}")),
    *("-device", "isa-serial,chardev=line,index=1"),
    *("-append", "root=/dev/vda rw quiet mitigations=off nokaslr apparmor=0 audit=0 random.trust_cpu=on console=ttyS0"),
)
"""Debian's kernels hang under some hosts' KVM, and most of CI has none; an emulated processor is slow but works."""


class Machine:
    """One run of the image. `folder` holds its sockets and the serial console's log."""

    SNAPSHOT = "booted"

    def __init__(self, kernel: Path, initrd: Path, disk: Path, key: Path, folder: Path) -> None:
        self.serial_log = folder / "serial.log"
        self.line = folder / "line.sock"
        """The other end of the machine's /dev/ttyS1."""
        self._kernel, self._initrd, self._disk, self._key, self._folder = kernel, initrd, disk, key, folder
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0

    def start(self, *, snapshot: str | None = None, timeout_s: float = 120) -> None:
        """Boot, or go on from a snapshot, and wait until root can log in."""
        qmp = self._folder / "qmp.sock"
        # The machine dies with the test run, also when that is killed.
        self._process = subprocess.Popen(
            [
                *("setpriv", "--pdeathsig", "KILL", "qemu-system-x86_64", *HARDWARE),
                *("-kernel", self._kernel, "-initrd", self._initrd),
                *("-drive", f"file={self._disk},if=none,id=disk,cache=unsafe", "-device", "virtio-blk-pci,drive=disk"),
                *("-netdev", "user,id=net,hostfwd=tcp:127.0.0.1:0-:22"),
                *("-device", "virtio-net-pci,netdev=net,romfile="),
                *("-chardev", f"socket,id=line,path={self.line},server=on,wait=off"),
                *("-serial", f"file:{self.serial_log}", "-qmp", f"unix:{qmp},server=on,wait=off"),
                *(("-loadvm", snapshot) if snapshot else ()),
            ],
            stdin=subprocess.DEVNULL,
            stdout=(self._folder / "qemu.log").open("wb"),
            stderr=subprocess.STDOUT,
        )
        deadline = time.monotonic() + timeout_s
        while not _listens(qmp):
            self._check(deadline)
        self._port = int(_found(r"HOST_FORWARD\]\s+\d+\s+127\.0\.0\.1\s+(\d+)", self.monitor("info usernet")))
        while subprocess.run(self.login("true"), capture_output=True).returncode:
            self._check(deadline)
        if snapshot:
            self.set_clock()

    def stop(self) -> None:
        """End the machine as if its plug were pulled. Safe to call twice."""
        if self._process is not None:
            self.close_login()
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def reboot(self, *, timeout_s: float = 120) -> None:
        """Shut down in good order, boot, and wait until root can log in again."""
        before = self._boot_id()
        self.run("systemctl reboot", check=False)
        self.close_login()
        deadline = time.monotonic() + timeout_s
        while self._boot_id() in (None, before):
            self._check(deadline)

    def login(self, command: str) -> list[str]:
        """Return the host's command line that runs `command` as root in the machine."""
        options = {
            "ControlMaster": "auto",  # one login serves all commands: each costs half a second of emulated cryptography
            "ControlPath": str(self._folder / "ssh"),
            "ControlPersist": "yes",
            "ConnectTimeout": "5",
            "StrictHostKeyChecking": "no",
            "UserKnownHostsFile": "/dev/null",
            "LogLevel": "ERROR",
        }
        flags = [part for name, value in options.items() for part in ("-o", f"{name}={value}")]
        return ["ssh", "-F", "none", *flags, "-i", str(self._key), "-p", str(self._port), "root@127.0.0.1", command]

    def close_login(self) -> None:
        """End the connection that the commands share."""
        subprocess.run([*self.login("")[:-2], "-O", "exit", "root@127.0.0.1"], capture_output=True, timeout=20)

    def run(self, command: str, *, stdin: bytes = b"", timeout_s: float = 60, check: bool = True) -> str:
        """Run a shell command in the machine and return what it printed, errors included."""
        done = subprocess.run(
            self.login(command), input=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout_s
        )
        text = done.stdout.decode(errors="replace")
        if check and done.returncode:
            raise AssertionError(f"in the machine {command!r} ended with {done.returncode}:\n{text}")
        return text

    def put(self, path: str, content: str | bytes, *, mode: str = "644") -> None:
        """Write a file in the machine, with its folders."""
        data = content.encode() if isinstance(content, str) else content
        quoted = shlex.quote(path)
        self.run(f"mkdir -p $(dirname {quoted}) && cat > {quoted} && chmod {mode} {quoted}", stdin=data)

    def set_clock(self) -> None:
        """Give the machine, which may come out of an old snapshot, today's time."""
        self.run(f"date -s @{time.time():.3f}")

    def plug_logged_disk(self, disk: Path, log: Path) -> None:
        """Plug a disk in, as /dev/vdb, whose writes and flushes are recorded in the order of their completion.

        Both files are raw: `disk` has its size, `log` is empty (see blocklog.py for what comes into it).
        """
        self._plug("socket1", "/dev/vdb", {"driver": "blklogwrites", "file": _raw(disk), "log": _raw(log)})

    def plug_read_only_disk(self, disk: Path, *, name: str) -> str:
        """Plug a disk in that nobody writes; return its device. `name` is its serial number, of up to 20 letters."""
        socket_name = "socket2" if name == "center" else "socket3"
        device = f"/dev/disk/by-id/virtio-{name}"
        self._plug(socket_name, device, {**_raw(disk), "read-only": True}, serial=name)
        return device

    def _plug(self, socket_name: str, device: str, node: dict[str, Any], **more: str) -> None:
        self._qmp("blockdev-add", {**node, "node-name": f"in-{socket_name}"})
        drive = {"driver": "virtio-blk-pci", "drive": f"in-{socket_name}", "bus": socket_name}
        self._qmp("device_add", drive | more)
        self.run(f"for _ in $(seq 200); do test -b {device} && exit; sleep 0.1; done; exit 1")

    def monitor(self, command: str) -> str:
        """Give a command to QEMU's own monitor and return its answer."""
        answer = self._qmp("human-monitor-command", {"command-line": command})
        if answer.startswith("Error"):
            raise RuntimeError(f"QEMU to {command!r}: {answer}")
        return answer

    def _qmp(self, execute: str, arguments: dict[str, Any]) -> str:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(120)
            connection.connect(str(self._folder / "qmp.sock"))
            with connection.makefile("rw") as lines:
                lines.readline()  # the greeting
                _ask(lines, "qmp_capabilities")
                return _ask(lines, execute, arguments)

    def _boot_id(self) -> str | None:
        """Return the kernel's name for this boot, None while nobody can log in."""
        done = subprocess.run(self.login("cat /proc/sys/kernel/random/boot_id"), capture_output=True, text=True)
        return done.stdout if done.returncode == 0 else None

    def _check(self, deadline: float) -> None:
        """Wait a moment; raise when the machine ended or the time is over."""
        assert self._process is not None
        if self._process.poll() is not None:
            raise RuntimeError(f"QEMU ended: {(self._folder / 'qemu.log').read_text(errors='replace')}")
        if time.monotonic() > deadline:
            tail = self.serial_log.read_text(errors="replace")[-2000:]
            raise RuntimeError(f"the machine did not come up in time; its console said last:\n{tail}")
        time.sleep(0.1)


def _raw(file: Path) -> dict[str, Any]:
    """Describe a raw file to QEMU; what is flushed to it need not survive the host."""
    return {"driver": "raw", "cache": {"no-flush": True}, "file": {"driver": "file", "filename": str(file)}}


def _listens(path: Path) -> bool:
    """Whether somebody answers a socket: QEMU makes its name a moment before."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        return connection.connect_ex(str(path)) == 0


def _ask(lines: Any, execute: str, arguments: dict[str, Any] | None = None) -> str:
    lines.write(json.dumps({"execute": execute, "arguments": arguments or {}}) + "\n")
    lines.flush()
    while True:
        answer = json.loads(lines.readline())
        if "error" in answer:
            raise RuntimeError(f"QEMU to {execute}: {answer['error']['desc']}")
        if "return" in answer:
            return str(answer["return"]) if answer["return"] else ""


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    if match is None:
        raise RuntimeError(f"{pattern!r} is not in: {text}")
    return match[1]
