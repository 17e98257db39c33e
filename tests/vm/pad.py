"""The rating pad in the virtual machine: its systemd unit, its journal, and a finger at its buttons."""

import json
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tests.vm.center import wait_for
from tests.vm.machine import Machine
from tests.vm.software import PREFIX

UNIT = "motcua-device@rating.service"
BUTTONS = {1: 17, 2: 27, 3: 22}
"""Level → line of the contact."""
LIGHTS = {1: 5, 2: 6, 3: 13}
BUZZER = 18
HOST = "10.0.2.2"
"""The host's loopback interface, as QEMU's user network shows it to the machine."""

DROP_IN = """\
# What only the rig needs; everything else is the unit of a real counter.
[Service]
# gpiozero asks for the board's revision: a Raspberry Pi 4's.
BindReadOnlyPaths=/run/sim-board/cpuinfo:/proc/cpuinfo
"""

CONFIG = """\
center = "bentre"
station = "q03"

[broker]
host = "{host}"
port = {port}

[device.rating]
scale = "vn-3"
buttons = [{{level = 1, pin = 17, led = 5}}, {{level = 2, pin = 27, led = 6}}, {{level = 3, pin = 22, led = 13}}]
buzzer = 18
{more}
"""

Mode = Literal["armed", "open"]


@dataclass(frozen=True, slots=True)
class Press:
    """What a finger did and what its eye saw; nanoseconds on the host's wall clock.

    `changes` are (line, lit, when) of the watched lamps, from the first edge on.
    """

    edge_ns: int
    changes: tuple[tuple[int, bool, int], ...]

    def lit_ms(self, line: int) -> float | None:
        """Return how long after the first edge a lamp that was dark went on, None if it did not."""
        return next(((at_ns - self.edge_ns) / 1e6 for pin, lit, at_ns in self.changes if pin == line and lit), None)

    def lit_at_end(self, line: int) -> bool:
        """Whether a lamp that was dark at the press was on when the eye looked last."""
        return next((lit for pin, lit, _ in reversed(self.changes) if pin == line), False)


class Hand:
    """A finger in the machine. `clock_error_ms` is how far apart the two clocks may be after comparing them."""

    def __init__(self, machine: Machine) -> None:
        path = "/usr/local/lib/rig/hand.py"
        machine.put(path, Path(__file__).with_name("hand.py").read_bytes())
        self._process = subprocess.Popen(
            machine.login(f"exec chrt --fifo 10 python3 -u {path}"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.clock_error_ms = 0.0
        self._ahead_ns = 0
        self.compare_clocks()

    def compare_clocks(self) -> None:
        """Learn by how much the machine's clock is ahead: the quickest of some questions tells best."""
        best_ns: int | None = None
        for _ in range(40):
            asked_ns = time.time_ns()
            there_ns = self.ask(do="time")["time_ns"]
            trip_ns = time.time_ns() - asked_ns
            if best_ns is None or trip_ns < best_ns:
                best_ns, self._ahead_ns = trip_ns, there_ns - asked_ns - trip_ns // 2
                self.clock_error_ms = trip_ns / 2e6

    def press(
        self,
        level: int,
        *,
        bounces: tuple[float, ...] = (),
        closed_ms: float = 60,
        watch_ms: float = 0,
        after_tone_ms: float | None = None,
        dark: bool = False,
    ) -> Press:
        """Press a button and let it go; see hand.py. `dark` waits until its lamp is dark before."""
        answer = self.ask(
            do="press",
            pin=BUTTONS[level],
            lamps=[*LIGHTS.values(), BUZZER],
            bounces=bounces,
            closed_ms=closed_ms,
            watch_ms=watch_ms,
            after=None if after_tone_ms is None else [BUZZER, after_tone_ms],
            wait_dark=LIGHTS[level] if dark else None,
        )
        changes = tuple((line, lit, at_ns - self._ahead_ns) for line, lit, at_ns in answer["changes"])
        return Press(answer["edge_ns"] - self._ahead_ns, changes)

    def ask(self, **question: Any) -> dict[str, Any]:
        """Put one question to hand.py."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise AssertionError("the hand in the machine ended; is the board gone?")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """Take the hand away."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()


class Pad:
    """The daemon as its unit runs it."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        machine.put(f"/etc/systemd/system/{UNIT.replace('@rating', '@')}.d/rig.conf", DROP_IN)
        machine.run(f"{PREFIX}/bin/motcua install-units --device rating")

    def configure(self, *, port: int, mode: Mode, more: str = "", host: str = HOST) -> None:
        """Write the station's configuration; takes effect at the next start."""
        text = CONFIG.format(host=host, port=port, more=f'mode = "{mode}"\n{more}')
        self._machine.put("/etc/motcua/station.toml", text)
        self._machine.run("systemd-tmpfiles --create motcua.conf")

    def restart(self) -> None:
        """Stop and start the daemon; returns when it has told systemd that it is ready."""
        self._machine.run(f"systemctl reset-failed {UNIT} 2>/dev/null; systemctl restart {UNIT}", timeout_s=90)

    def stop(self) -> None:
        """Stop the daemon."""
        self._machine.run(f"systemctl stop {UNIT}", timeout_s=60)

    def pid(self) -> int:
        """Return the daemon's process id, 0 while none runs."""
        return int(self.show("MainPID"))

    def memory_mb(self) -> float:
        """Return the memory that the daemon's process holds."""
        return int(self._machine.run(f"awk '/^VmRSS/ {{ print $2 }}' /proc/{self.pid()}/status")) / 1024

    def show(self, name: str) -> str:
        """Return a property of the unit."""
        return self._machine.run(f"systemctl show {UNIT} --property={name} --value").strip()

    def wait_restarted(self, old_pid: int, *, timeout_s: float) -> None:
        """Wait until another process is ready than before."""
        wait_for(
            lambda: self.show("ActiveState") == "active" and self.pid() not in (0, old_pid),
            timeout_s=timeout_s,
            what="systemd to start the daemon again",
            log=self.journal,
        )

    def journal(self, since: str = "") -> str:
        """Return what the daemon and systemd said about it, from a cursor on."""
        after = f"--after-cursor='{since}'" if since else ""
        return self._machine.run(f"journalctl --unit={UNIT} --output=cat --no-pager {after}", check=False)

    def cursor(self) -> str:
        """Return the journal's end, for `journal(since=…)`."""
        return self._machine.run("journalctl -n 1 --show-cursor --output=cat").rpartition("-- cursor: ")[2].strip()
