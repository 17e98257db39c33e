"""The whole check-up of a center, beside a real one."""

import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from center.doctor import checks
from host.doctor.examine import examine
from host.doctor.finding import Finding
from tests.support.program import Program


def found(config: Path, backups: Path) -> dict[str, list[Finding]]:
    """Return what is found of a center's file, by check."""
    patient = [replace(each, limit_s=90) for each in checks(config, version="0.1.0", backups=backups)]
    sections = examine(patient)
    return {section.check: list(section.findings) for section in sections}


def codes(findings: Sequence[Finding]) -> list[str]:
    """Return the codes of findings."""
    return [each.code for each in findings]


@pytest.mark.mosquitto
@pytest.mark.parametrize("keys", [False, True], ids=["open", "keys"])
def test_a_running_center_is_well_and_stays_so(tmp_path: Path, keys: bool) -> None:
    """Beside a running center its store, pages and broker are well; it goes on, and its log is as quiet as before."""
    program = Program(tmp_path, "auto")
    text = program.config.read_text(encoding="utf-8")
    program.config.write_text(text.replace("[broker]", f"[broker]\nkeys = {str(keys).lower()}"), encoding="utf-8")
    program.start()
    try:
        program.post("/api/tickets", "key-1", {"service": "dat-dai"})
        before = program.log()
        sections = found(program.config, tmp_path / "none")
        program.post("/api/tickets", "key-2", {"service": "dat-dai"})
        assert program.log() == before
    finally:
        program.end(signal.SIGTERM)
    assert codes(sections["configuration"]) == ["config-read"]
    assert codes(sections["store"]) == ["store-schema", "store", "store-writer"]
    assert codes(sections["pages"]) == ["pages"]
    found_by_key = ["certificate"] if keys else []
    assert codes(sections["broker"]) == [
        "broker-answers", *found_by_key, "broker-login", "center-online", "center-connected",
    ]  # fmt: skip
    assert codes(sections["certificates"]) == 3 * found_by_key
    assert codes(sections["copies"]) == ["copies-none"]
    assert codes(sections["permissions"]) == (["folder", "secret"] if keys else ["folder"])


def test_a_center_that_does_not_run(tmp_path: Path) -> None:
    """Before the first start the ports are free and there is no store; each is said, and nothing is made."""
    program = Program(tmp_path, "auto")
    before = sorted(each.name for each in tmp_path.rglob("*"))
    sections = found(program.config, tmp_path / "none")
    assert codes(sections["store"]) == ["store-none"]
    assert codes(sections["pages"]) == ["pages-free"]
    assert codes(sections["broker"]) == ["broker-port"]
    assert codes(sections["permissions"]) == ["folder-missing"]
    assert sorted(each.name for each in tmp_path.rglob("*")) == before


def test_a_port_that_another_program_has_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stranger on the pages' port and on the broker's is told with what to do, before the center fails to start."""
    monkeypatch.setattr("center.doctor.pages.TIMEOUT_S", 0.5)
    program = Program(tmp_path, "auto")
    code = (
        "import socket, sys; s = [socket.create_server(('127.0.0.1', int(p))) for p in sys.argv[1:]]; print(flush=True)"
    )
    command = [sys.executable, "-c", f"{code}; sys.stdin.read()", str(program.http_port), str(program.mqtt_port)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as stranger:
        assert stranger.stdout is not None
        stranger.stdout.readline()
        sections = found(program.config, tmp_path / "none")
        stranger.communicate()
    for check, taken in (("pages", "pages-taken"), ("broker", "broker-taken")):
        assert codes(sections[check]) == [taken]
        assert f"(pid {stranger.pid})" in sections[check][0].says


def test_a_wrong_file_is_a_problem_and_the_machine_is_looked_at(tmp_path: Path) -> None:
    """The line is the one that the center itself would say."""
    config = tmp_path / "center.toml"
    config.write_text('id = "bentre"\n')
    sections = found(config, tmp_path)
    (finding,) = sections["configuration"]
    assert (finding.code, finding.level) == ("config", "problem")
    assert finding.says.startswith(f"{config}: ")
    assert "memory" in sections
    assert "store" not in sections
