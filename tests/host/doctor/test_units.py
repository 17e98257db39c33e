"""Units, by what systemctl says; the program that plays it answers as the real one does."""

from pathlib import Path

import pytest

from host.doctor import units
from host.doctor.roots import Roots
from host.doctor.units import UnitFacts

NAME = "motcua-device@rating.service"
WELL = UnitFacts(
    NAME, loaded=True, active="active", sub="running", says_version="0.1.0", program="/opt/motcua/bin/motcua"
)


def changed(**changes: object) -> UnitFacts:
    """Return a unit that is well, but for these."""
    return UnitFacts(**({name: getattr(WELL, name) for name in UnitFacts.__slots__} | changes))


@pytest.mark.parametrize(
    ("facts", "found"),
    [
        (WELL, [("unit", "ok")]),
        (changed(active="activating", sub="start"), [("unit", "ok")]),
        (changed(loaded=False), [("unit-missing", "problem")]),
        (changed(active="inactive", sub="dead"), [("unit-stopped", "problem")]),
        (changed(active="failed", exit_code=2), [("unit-misconfigured", "problem")]),
        (changed(active="failed", exit_code=1), [("unit-failed", "problem")]),
        (changed(active="activating", sub="auto-restart", exit_code=1), [("unit-failed", "problem")]),
        (changed(restarts=2), [("unit", "ok")]),
        (changed(restarts=3), [("unit-restarts", "warning")]),
        (changed(enabled=False), [("unit", "ok"), ("unit-disabled", "warning")]),
        (changed(says_version="0.0.9"), [("unit", "ok"), ("unit-version", "warning")]),
        (changed(says_version=""), [("unit", "ok")]),
    ],
)
def test_a_unit_is_judged(facts: UnitFacts, found: list[tuple[str, str]]) -> None:
    """Installed, running, enabled, steady and of this version: what is not has a line of its own."""
    assert [(each.code, each.level) for each in units.judge(facts, version="0.1.0")] == found


def test_a_unit_is_named_as_systemctl_takes_it() -> None:
    """The advice can be copied into the terminal."""
    (finding,) = units.judge(changed(active="inactive"), version="0.1.0")
    assert finding.do == "sudo systemctl enable --now motcua-device@rating"


def program(path: Path, text: str) -> str:
    """Write a program of the shell."""
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_systemd_is_asked(tmp_path: Path) -> None:
    """All that is judged comes out of one answer of systemctl, the version from the program that the unit starts."""
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    motcua = program(tmp_path / "motcua", "echo 0.0.9")
    answer = f"""LoadState=loaded
ActiveState=activating
SubState=auto-restart
UnitFileState=disabled
NRestarts=7
Result=exit-code
ExecMainStatus=1
ExecStart={{ path={motcua} ; argv[]={motcua} device run rating ; ignore_errors=no ; pid=0 ; status=0/0 }}
User=motcua
DynamicUser=no"""
    systemctl = program(tmp_path / "systemctl", f'[ "$1 $3" = "show {NAME}" ] && cat <<E\n{answer}\nE')
    assert units.probe(NAME, Roots(run=tmp_path / "run"), systemctl=systemctl) == UnitFacts(
        NAME, loaded=True, active="activating", sub="auto-restart", enabled=False, restarts=7, exit_code=1,
        program=motcua, says_version="0.0.9", user="motcua",
    )  # fmt: skip


def test_without_systemd_there_is_nothing_to_ask(tmp_path: Path) -> None:
    """A machine that another program runs, or whose systemctl fails, has no units to judge."""
    assert units.probe(NAME, Roots(run=tmp_path)) is None
    (tmp_path / "systemd/system").mkdir(parents=True)
    assert units.probe(NAME, Roots(run=tmp_path), systemctl=program(tmp_path / "no", "exit 1")) is None
    assert units.probe(NAME, Roots(run=tmp_path), systemctl=str(tmp_path / "none")) is None
