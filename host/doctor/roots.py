"""Where the kernel and the system tell what they know; tests put a tree of their own in its place."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Roots:
    """The folders to look in."""

    proc: Path = Path("/proc")
    sys: Path = Path("/sys")
    dev: Path = Path("/dev")
    run: Path = Path("/run")
    etc: Path = Path("/etc")


def text_of(path: Path) -> str | None:
    """Return what a file of the kernel's says; None where it has nothing to say or will not: hardware differs."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").replace("\0", " ").strip()
    except OSError:
        return None


def number_of(path: Path, *, base: int = 10) -> int | None:
    """Return the number in a file of the kernel's, None where there is none."""
    try:
        return int(text_of(path) or "", base)
    except ValueError:
        return None
