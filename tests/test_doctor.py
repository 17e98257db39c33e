"""`motcua doctor` as a command, and its page."""

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from motcua.doctor import main
from simulator.ports import free_port

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "guide" / "doctor.md"


@pytest.fixture
def station(tmp_path: Path) -> Path:
    """The file of a station whose broker nobody answers at."""
    file = tmp_path / "station.toml"
    file.write_text(
        f'center = "bentre"\nstation = "q01"\nstate_dir = "{tmp_path}"\n[broker]\nport = {free_port()}\n'
        '[device.display]\ncodec = "screen"\n'
    )
    return file


@pytest.fixture
def center(tmp_path: Path) -> Path:
    """The file of a center that does not run."""
    file = tmp_path / "center.toml"
    file.write_text(
        f'id = "bentre"\nname = "Bến Tre"\ndata_dir = "{tmp_path / "data"}"\n[http]\nport = {free_port()}\n'
        f'[broker]\nport = {free_port()}\n[[service]]\nid = "a"\nletter = "A"\nvi = "A"\nen = "A"\n'
        '[[counter]]\nid = "q01"\nlabel = "1"\nservices = ["a"]\n'
    )
    return file


def run(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    """Run the command."""
    command = [sys.executable, "-m", "motcua.cli", "doctor", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_a_problem_is_exit_code_1(station: Path) -> None:
    """The technician sees what is wrong and what to do; a script sees the exit code."""
    done = run("--config", station)
    assert done.returncode == 1
    assert "  problem  nobody answers at 127.0.0.1:" in done.stdout
    assert re.search(r"\n {11}-> check cable and network", done.stdout)
    assert re.search(r"\n\d+ problems?, \d+ warnings?, \d+ ok\.\n$", done.stdout)
    assert "Traceback" not in done.stderr


def test_a_program_gets_json(station: Path, center: Path) -> None:
    """With --json stdout is one document; with both files each check says whose it is."""
    done = run("--json", "--config", station, "--config", center)
    document = json.loads(done.stdout)
    assert (document["version"], document["verdict"], done.stderr) == (1, "problem", "")
    assert {finding["check"].split(":")[0] for finding in document["findings"]} == {"station", "center"}
    assert {tuple(finding) for finding in document["findings"]} == {("check", "code", "level", "says", "do")}


def test_one_side_alone_may_be_asked_for(station: Path, center: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--station and --center leave the other out, whatever the files are called."""
    renamed = station.rename(station.with_name("counter.toml"))
    main(["--center", "--json", "--config", str(renamed), "--config", str(center)])
    assert f"{center}: center bentre" in capsys.readouterr().out
    main(["--station", "--json", "--config", str(renamed), "--config", str(center)])
    said = capsys.readouterr().out
    assert f"{renamed}: station q01 of bentre" in said
    assert str(center) not in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--loud"], "unrecognized arguments: --loud"),
        (["--station", "--center"], "not allowed with argument"),
    ],
)
def test_a_wrong_command_is_exit_code_2(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What cannot be meant is told on stderr."""
    assert main(arguments) == 2
    assert said in capsys.readouterr().err


def test_nothing_to_look_at_is_exit_code_2(station: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A machine with neither file says how to name one."""
    assert main(["--center", "--config", str(station)]) == 2
    assert capsys.readouterr().err == (
        "motcua doctor: no center is configured here; name its file with --config FILE\n"
    )


def test_a_station_s_doctor_carries_nothing_of_the_center(station: Path) -> None:
    """On a counter's Pi, where the center's libraries are not installed, the check-up works."""
    code = (
        "import sys; from motcua.doctor import main; main(['--json', '--config', sys.argv[1]]);"
        "print({'center', 'sqlalchemy', 'litestar', 'alembic', 'cryptography'} & set(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(station)], capture_output=True, text=True, timeout=60, check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.stderr == "set()\n"


# --- its page ---------------------------------------------------------------------------------------------------------


def codes() -> dict[str, set[str]]:
    """Return every code that the source can give, with its levels."""
    found: dict[str, set[str]] = {}
    for folder in ("host", "firmware", "center"):
        for module in sorted((ROOT / folder / "doctor").glob("*.py")):
            for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                    level = node.func.id
                    if level in {"ok", "warning", "problem"} and isinstance(node.args[0], ast.Constant):
                        found.setdefault(str(node.args[0].value), set()).add(level)
    return found


@pytest.mark.docs
def test_the_page_has_every_line_that_can_be_printed() -> None:
    """Each code stands in the page once, with the levels that it can have, and no other code does."""
    rows = re.findall(r"^\| `([a-z-]+)` \| ([a-z, ]+) \| .+ \|$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert len(rows) == len(dict(rows))
    assert {code: set(levels.split(", ")) for code, levels in rows} == codes()
    assert len(codes()) > 80


@pytest.mark.docs
def test_the_page_knows_the_options() -> None:
    """Every option of the command is explained."""
    text = PAGE.read_text(encoding="utf-8")
    assert [option for option in ("--config", "--json", "--station", "--center") if f"`{option}" not in text] == []
