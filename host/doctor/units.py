"""Units of systemd: installed, enabled, running, and which program they start."""

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from host.doctor.finding import Finding, ok, problem, warning
from host.doctor.roots import Roots

RESTARTS = 3
"""So many restarts since it was started by a person are a sign of something."""

_SHOWN = "LoadState,ActiveState,SubState,UnitFileState,NRestarts,Result,ExecMainStatus,ExecStart,User,DynamicUser"
_TIMEOUT_S = 5


@dataclass(frozen=True, slots=True)
class UnitFacts:
    """What systemd says of a unit; `says_version` is of the program that it would start now."""

    name: str
    loaded: bool
    active: str
    sub: str = ""
    enabled: bool = True
    restarts: int = 0
    exit_code: int = 0
    program: str = ""
    says_version: str = ""
    user: str = ""


def probe(unit: str, roots: Roots, *, systemctl: str = "systemctl") -> UnitFacts | None:
    """Ask systemd; None where it does not run this machine."""
    if not (roots.run / "systemd/system").is_dir():
        return None
    said = _said([systemctl, "show", f"--property={_SHOWN}", unit])
    if said is None:
        return None
    told = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
    found = re.search(r"path=(\S+)", told.get("ExecStart", ""))
    program = found[1] if found else ""
    return UnitFacts(
        name=unit,
        loaded=told.get("LoadState") == "loaded",
        active=told.get("ActiveState", ""),
        sub=told.get("SubState", ""),
        enabled=told.get("UnitFileState") in ("enabled", "enabled-runtime", "static", "generated"),
        restarts=_number(told.get("NRestarts")),
        exit_code=_number(told.get("ExecMainStatus")),
        program=program,
        says_version=(_said([program, "--version"]) or "").strip() if Path(program).name == "motcua" else "",
        user="" if told.get("DynamicUser") == "yes" else told.get("User", ""),
    )


def judge(facts: UnitFacts, *, version: str) -> Sequence[Finding]:
    """Judge a unit that the configuration asks for; `version` is of the program that looks."""
    name = facts.name.removesuffix(".service")
    start = f"sudo systemctl enable --now {name}"
    if not facts.loaded:
        return [problem("unit-missing", f"{name} is not installed", "sudo motcua install-units, then " + start)]
    found: list[Finding] = []
    log = f"journalctl -u {name} -n 20"
    if facts.active == "failed" and facts.exit_code == 2:
        found.append(
            problem(
                "unit-misconfigured", f"{name} waits for a person: its configuration is wrong", f"{log} has the line"
            )
        )
    elif facts.active == "failed" or facts.sub == "auto-restart":
        found.append(problem("unit-failed", f"{name} fails (exit code {facts.exit_code})", f"{log} says why"))
    elif facts.active not in ("active", "activating", "reloading"):
        found.append(problem("unit-stopped", f"{name} is configured and does not run", start))
    elif facts.restarts >= RESTARTS:
        found.append(
            warning("unit-restarts", f"{name} runs, but was restarted {facts.restarts} times", f"{log} says why")
        )
    else:
        found.append(ok("unit", f"{name} is {facts.active}"))
    if not facts.enabled:
        found.append(
            warning("unit-disabled", f"{name} does not start with the machine", f"sudo systemctl enable {name}")
        )
    if facts.says_version and facts.says_version != version:
        found.append(
            warning(
                "unit-version",
                f"{name} starts {facts.program} of version {facts.says_version}; this is version {version}",
                "use one installation: upgrade the one that the unit starts",
            )
        )
    return found


def _said(command: list[str]) -> str | None:
    try:
        done = subprocess.run(  # noqa: S603 - systemd's own tool, or the program of our own unit
            command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def _number(text: str | None) -> int:
    return int(text) if text and text.isdigit() else 0
