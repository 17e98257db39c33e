"""Who holds what: a file, a line of a GPIO chip, a lock, a port. Read from /proc; nothing is opened or locked."""

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from host.doctor.roots import text_of

_CONNECTED, _LISTENS = "01", "0A"  # TCP_ESTABLISHED and TCP_LISTEN of include/net/tcp_states.h
_DEVICE = re.compile(r"\bdevice run (?P<name>[a-z0-9-]+)")
_UNIT = re.compile(r"/(?P<unit>[^/]+\.(?:service|scope))(?:/|$)")


@dataclass(frozen=True, slots=True)
class Holder:
    """A process; `unit` is the systemd unit that it belongs to, "" if none."""

    pid: int
    command: str
    unit: str = ""

    @property
    def device(self) -> str | None:
        """The device of ours that it runs, None if it is none of our daemons."""
        found = _DEVICE.search(self.command)
        return found["name"] if found and "motcua" in self.command + self.unit else None

    @property
    def center(self) -> bool:
        """Whether it is a center of ours."""
        return "center serve" in self.command or self.unit == "motcua-center.service"

    def __str__(self) -> str:
        """Name it as a technician would look for it."""
        own = f"motcua device {self.device}" if self.device else "the center" if self.center else ""
        name = self.unit.removesuffix(".service") or own or Path(self.command.split(" ")[0]).name or "a program"
        return f"{name} (pid {self.pid})"


@dataclass(frozen=True, slots=True)
class Held:
    """Who holds a thing. `all_seen`: whether all processes could be looked at; if not, nobody is no proof."""

    by: tuple[Holder, ...]
    all_seen: bool


class Processes:
    """The processes as /proc shows them now."""

    def __init__(self, proc: Path) -> None:
        self._proc = proc

    def holding(self, path: Path) -> Held:
        """Return who has a file open."""
        return self._holding(os.path.realpath(path))

    def _holding(self, wanted: str) -> Held:
        by = {}
        all_seen = True
        for process in self._each():
            try:
                if any(target == wanted for _, target in _open_in(process)):
                    by[process.name] = self.holder(int(process.name))
            except PermissionError:
                all_seen = all_seen and os.geteuid() == 0  # root is refused only by processes that are shut in
            except OSError:
                continue  # it has ended
        return Held(tuple(by.values()), all_seen)

    def gpio_lines(self) -> dict[tuple[str, int], Holder]:
        """Return who holds which line of which chip, as far as the kernel tells (fdinfo of 6.1 and later)."""
        found = {}
        for process in self._each():
            with contextlib.suppress(OSError):
                for descriptor, target in _open_in(process):
                    if "gpio-line" not in target:
                        continue
                    told = text_of(process / "fdinfo" / descriptor) or ""
                    chip = re.search(r"^gpio-chip:\s*(\S+)", told, flags=re.MULTILINE)
                    for line in re.findall(r"^gpio-line:\s*(\d+)", told, flags=re.MULTILINE) if chip else ():
                        found[str(chip and chip[1]), int(line)] = self.holder(int(process.name))
        return found

    def locking(self, path: Path) -> Holder | None:
        """Return who has locked a file with flock(2); asking the lock itself would be in the way of who starts now."""
        try:
            stat = path.stat()
        except OSError:
            return None
        # proc_locks(5): "1: FLOCK ADVISORY WRITE 708 08:01:7864448 0 EOF", the device in hexadecimal.
        name = f"{os.major(stat.st_dev):02x}:{os.minor(stat.st_dev):02x}:{stat.st_ino}"
        for line in (text_of(self._proc / "locks") or "").splitlines():
            words = line.split()
            if len(words) > 5 and words[1] == "FLOCK" and words[5] == name and words[4].isdigit():
                return self.holder(int(words[4]))
        return None

    def listening(self, port: int) -> Held | None:
        """Return who listens on a TCP port; None when nobody does."""
        sockets = {
            f"socket:[{words[9]}]"
            for words in self._sockets()
            if words[3] == _LISTENS and int(words[1].rpartition(":")[2], 16) == port
        }
        if not sockets:
            return None
        held = [self._holding(name) for name in sockets]
        by = {holder.pid: holder for each in held for holder in each.by}
        return Held(tuple(by.values()), all(each.all_seen for each in held))

    def connected(self, pid: int, port: int) -> bool | None:
        """Return whether a process has a connection to a TCP port; None where this user may not see."""
        try:
            mine = {target for _, target in _open_in(self._proc / str(pid))}
        except OSError:
            return None
        return any(
            f"socket:[{words[9]}]" in mine
            for words in self._sockets()
            if words[3] == _CONNECTED and int(words[2].rpartition(":")[2], 16) == port
        )

    def _sockets(self) -> Iterator[list[str]]:
        """Yield the rows of proc_net_tcp: number, local and remote address, state … inode."""
        for table in ("tcp", "tcp6"):
            for line in (text_of(self._proc / "net" / table) or "").splitlines()[1:]:
                if len(words := line.split()) > 9:
                    yield words

    def holder(self, pid: int) -> Holder:
        """Return a process by its number."""
        folder = self._proc / str(pid)
        command = text_of(folder / "cmdline") or text_of(folder / "comm") or ""
        unit = _UNIT.search(text_of(folder / "cgroup") or "")
        return Holder(pid, command, unit["unit"] if unit and unit["unit"].endswith(".service") else "")

    def _each(self) -> Iterator[Path]:
        with contextlib.suppress(OSError):
            for entry in self._proc.iterdir():
                if entry.name.isdigit() and int(entry.name) != os.getpid():
                    yield entry


def _open_in(process: Path) -> Iterator[tuple[str, str]]:
    """Yield each descriptor of a process and what it leads to; raises OSError where they may not be seen."""
    for descriptor in (process / "fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            yield descriptor.name, str(descriptor.readlink())
