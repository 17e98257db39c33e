"""What a check-up finds: a level, a code that stays the same, what is so, and what to do about it."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

JSON_VERSION = 1
"""Of the published shape; a changed meaning is a new number, a new field is not."""


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line. `code` is for programs and for docs/guide/doctor.md, `says` and `do` are for the technician."""

    code: str
    level: Level
    says: str
    do: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """What one check found."""

    check: str
    findings: tuple[Finding, ...]


def ok(code: str, says: str) -> Finding:
    """Return a finding that needs nobody."""
    return Finding(code, Level.OK, says)


def warning(code: str, says: str, do: str) -> Finding:
    """Return a finding that can wait, but not for ever."""
    return Finding(code, Level.WARNING, says, do)


def problem(code: str, says: str, do: str) -> Finding:
    """Return a finding that keeps something from working, or soon will."""
    return Finding(code, Level.PROBLEM, says, do)


def count(sections: Iterable[Section], level: Level) -> int:
    """Return how many findings have a level."""
    return sum(finding.level is level for section in sections for finding in section.findings)


def verdict(sections: Sequence[Section]) -> Level:
    """Return the worst level."""
    return next((level for level in (Level.PROBLEM, Level.WARNING) if count(sections, level)), Level.OK)


def as_text(sections: Iterable[Section]) -> str:
    """Return the lines for a terminal: what a check found below its name, what to do below what is wrong."""
    sections = [section for section in sections if section.findings]
    lines = []
    for section in sections:
        lines.append(section.check)
        for finding in section.findings:
            lines.append(f"  {finding.level:8} {_printable(finding.says)}  [{finding.code}]")
            if finding.do:
                lines.append(f"           -> {_printable(finding.do)}")
    lines.append("")
    lines.append(_sum(sections))
    return "\n".join(lines) + "\n"


def as_json(sections: Sequence[Section], *, program: str, at: datetime) -> str:
    """Return the same for programs; docs/guide/doctor.md describes the shape."""
    document: dict[str, Any] = {
        "version": JSON_VERSION,
        "program": program,
        "at": at.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "verdict": verdict(sections),
        "findings": [
            {"check": section.check, "code": each.code, "level": each.level, "says": each.says, "do": each.do}
            for section in sections
            for each in section.findings
        ],
    }
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def _sum(sections: Sequence[Section]) -> str:
    problems, warnings = count(sections, Level.PROBLEM), count(sections, Level.WARNING)
    well = count(sections, Level.OK)
    if not problems and not warnings:
        return f"All is well ({well} looked at)."
    return f"{_many(problems, 'problem')}, {_many(warnings, 'warning')}, {well} ok."


def _many(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _printable(text: str) -> str:
    """A name from outside (a process, a certificate) must not drive the terminal."""
    return "".join(sign if sign.isprintable() else "?" for sign in text)
