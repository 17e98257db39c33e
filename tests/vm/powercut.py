"""The disk under test in the virtual machine, and what is found on it after power cuts that never happened."""

import json
import random
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.vm import blocklog
from tests.vm.blocklog import Cut, Entry
from tests.vm.machine import Machine
from tests.vm.witness import DEVICE, PLACE, ROOM, SECTOR

INSIDE = "/usr/local/lib/rig"


@dataclass(frozen=True, slots=True)
class Note:
    """What somebody in the machine was told; every cut at `behind` or later must have left it."""

    behind: int
    told: dict[str, Any]
    raw: bytes


class Story:
    """All that was written to the disk, from the first moment to the end of one load."""

    def __init__(self, entries: list[Entry], begin: int) -> None:
        self.entries, self._begin = entries, begin
        self.notes = [
            _note(number, entry)
            for number, entry in enumerate(entries)
            if number >= begin and entry.sector == PLACE // SECTOR
        ]
        self.flushes = [number for number, entry in enumerate(entries) if number >= begin and entry.flush]

    def cuts(self, count: int, seed: int) -> Iterator[Cut]:
        """Yield power cuts at random points of the load."""
        chance = random.Random(seed)  # noqa: S311 - to be repeated, for no secret
        yield from blocklog.cuts(self.entries, self._points(count, chance), chance)

    def cuts_of_a_liar(self, count: int, seed: int, *, forgotten: int) -> Iterator[Cut]:
        """Yield power cuts of a disk that had confirmed its last flushes and not done them."""
        chance = random.Random(seed)  # noqa: S311 - to be repeated, for no secret
        for point in self._points(count, chance):
            before = [number for number in self.flushes if number < point]
            yield from blocklog.cuts(self.entries, [point], chance, forgets=set(before[-forgotten:]))

    def _points(self, count: int, chance: random.Random) -> list[int]:
        everywhere = range(self._begin, len(self.entries) + 1)
        return sorted(chance.sample(everywhere, min(count, len(everywhere))))


class Disk:
    """A disk of the machine whose every write is on record; one load after the other begins with a new file system."""

    def __init__(self, machine: Machine, folder: Path) -> None:
        self._machine = machine
        self._log = folder / "writes.log"
        self._log.touch()
        content = folder / "content.raw"
        with content.open("wb") as file:
            file.truncate(PLACE + ROOM)
        machine.plug_logged_disk(content, self._log)
        for name in ("witness.py", "hand.py", "presses.py", "relay.py", "visits.py"):
            machine.put(f"{INSIDE}/{name}", Path(__file__).with_name(name).read_bytes())
        self._begin = 0

    def begin(self, where: str) -> None:
        """Make a new file system and mount it; the record of a load begins."""
        # As Raspberry Pi OS makes its own, but whole at once: nothing shall be written later that nobody asked for.
        make = f"mke2fs -q -F -t ext4 -E lazy_itable_init=0,lazy_journal_init=0,nodiscard {DEVICE} {PLACE >> 10}k"
        self._machine.run(f"umount -q {DEVICE}; {make} && mkdir -p {where} && mount {DEVICE} {where} && sync")
        self._begin = len(blocklog.read(self._log))

    def end(self) -> Story:
        """End the load and return its record."""
        self._machine.run(f"umount {DEVICE}")
        return Story(blocklog.read(self._log), self._begin)


def recover(cut: Cut, name: str, folder: Path) -> Path:
    """Return a folder of the disk as it is after its file system's own recovery; it may not be there yet.

    The file system's tools replay its journal as the kernel does at the next mount; a mount would take root.
    """
    image = folder / "disk"
    cut.medium.save(image, PLACE)
    checked = _run("e2fsck", "-f", "-p", str(image))
    if checked.returncode > 1:  # 1: something was set right, such as a file that was deleted while it was open
        raise AssertionError(f"the file system at entry {cut.point} is damaged, which is not ours to cause:\n{checked}")
    _run("debugfs", "-R", f'rdump "/{name}" "{folder}"', str(image))
    image.unlink()
    return folder / name


def _note(number: int, entry: Entry) -> Note:
    line, _, rest = entry.data.partition(b"\n")
    told = json.loads(line)
    return Note(number + 1, told, rest[: told.pop("raw")])


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    path = "/usr/sbin:/usr/bin:/sbin:/bin"
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env={"PATH": path, "LC_ALL": "C"})
