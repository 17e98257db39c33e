"""What the install guide shows is what there is: files, commands, paths, units, words."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from center import config as center_config
from center.web.words import WORDS
from firmware import config as firmware_config
from firmware.devices.registry import KINDS
from host import install

pytestmark = pytest.mark.docs

ROOT = Path(__file__).parents[1]
GUIDE = ROOT / "docs" / "guide" / "install.md"


def example(name: str) -> str:
    """Return the TOML block that begins with `# name`."""
    blocks = re.findall(r"```toml\n(.*?)```", GUIDE.read_text(encoding="utf-8"), flags=re.DOTALL)
    return next(block for block in blocks if block.startswith(f"# {name}"))


def shell() -> list[str]:
    """Return all lines of the guide's shell blocks, comments cut off, in their order."""
    blocks = re.findall(r"```sh\n(.*?)```", GUIDE.read_text(encoding="utf-8"), flags=re.DOTALL)
    lines = (line.partition(" #")[0].strip() for block in blocks for line in block.splitlines())
    return [line for line in lines if line]


def units() -> dict[str, str]:
    """Return the units that Motcua has, by their file's name."""
    return {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "systemd").glob("*.service")}


def test_the_shell_understands_every_line() -> None:
    """No quote is left open, no line is cut."""
    done = subprocess.run(["sh", "-n"], input="\n".join(shell()), capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_install_command_does_what_the_guide_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each `install-units` of the guide works as it stands there, and together they enable every unit there is."""
    (tmp_path / "opt/motcua/bin").mkdir(parents=True)
    (tmp_path / "opt/motcua/bin/motcua").touch()
    (tmp_path / "etc/motcua").mkdir(parents=True)
    for name in ("center.toml", "station.toml"):
        (tmp_path / "etc/motcua" / name).write_text(example(name), encoding="utf-8")
    lines = [line.split()[3:] for line in shell() if line.startswith("sudo motcua install-units ")]
    for options in lines:
        assert install.main([*options, "--root", str(tmp_path), "--dry-run"]) == 0
    said = capsys.readouterr().out
    for name in units():
        assert f"{tmp_path}/etc/systemd/system/{name}" in said
    assert "enable motcua-center.service" in said
    assert "enable motcua-device@rating.service motcua-device@callpad.service motcua-device@display.service" in said


def test_every_option_of_the_install_command_is_in_its_table(capsys: pytest.CaptureFixture[str]) -> None:
    """The guide explains each option that the command has."""
    install.main(["--help"])
    options = set(re.findall(r"--[a-z-]+", capsys.readouterr().out)) - {"--help"}
    table = GUIDE.read_text(encoding="utf-8").partition("| option |")[2].partition("\n\n")[0]
    assert {option for option in options if f"`{option}" not in table} == set()


def test_every_make_target_and_extra_exists() -> None:
    """The wheels can be made, for extras that the distribution has."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    targets = [line.split()[1] for line in shell() if line.startswith("make ")]
    assert targets
    for target in targets:
        assert f"\n{target}:" in makefile
    named = re.findall(r"'motcua\[(.*?)\]'|FOR=(\S+)", "\n".join(shell()))
    assert {extra for pair in named for each in pair if each for extra in each.split(",")} <= extras.keys()
    # What is installed is what was collected.
    assert {installed for installed, _ in named if installed} == {"center", *(made for _, made in named if made)}


def test_the_program_stands_where_the_units_look_for_it() -> None:
    """The environment that the guide makes is the one that every unit starts from, and `motcua` is on the PATH."""
    (environment,) = {line.split()[-1] for line in shell() if "python3 -m venv" in line}
    for text in units().values():
        assert f"ExecStart={environment}/bin/motcua " in text
    assert f"sudo ln -sf {environment}/bin/motcua /usr/local/bin/motcua" in shell()


@pytest.mark.parametrize(
    ("unit", "file"), [("motcua-center.service", "center.toml"), ("motcua-device@.service", "station.toml")]
)
def test_the_configuration_is_written_where_its_unit_reads_it(unit: str, file: str) -> None:
    """A file's path is its unit's, its folder is made before, and its rights are set after it was written."""
    found = re.search(r"--config (\S+)", units()[unit])
    assert found
    path = found[1]
    assert Path(path).name == file
    lines = shell()
    written = lines.index(f"sudo nano {path}")
    assert f"sudo mkdir -p {Path(path).parent}" in lines[:written]
    assert any(line.startswith("sudo motcua install-units ") for line in lines[written:])
    assert path in (ROOT / "systemd" / "tmpfiles.d" / "motcua.conf").read_text(encoding="utf-8")


def test_every_unit_that_is_started_exists() -> None:
    """What systemctl is told to restart is a unit of ours, and an instance is a kind of device."""
    lines = [line for line in shell() if line.startswith("sudo systemctl restart ")]
    for name in (name for line in lines for name in line.split()[3:]):
        template, at, instance = name.partition("@")
        assert f"{template}{at}.service" in units()
        assert not at or instance in KINDS
    assert lines


def test_every_command_is_one_that_debian_or_the_guide_installs() -> None:
    """Each line begins with a command that a fresh Debian has, or that the guide has installed."""
    fresh = {"apt", "findmnt", "journalctl", "ln", "mkdir", "mount", "nano", "python3", "raspi-config", "systemctl"}
    fresh |= {"udevadm", "make", "motcua", "/opt/motcua/bin/pip"}
    used = {line.removeprefix("sudo ").split()[0] for line in shell()}
    assert used <= fresh


def test_the_words_of_the_pages_are_theirs() -> None:
    """What the guide quotes from the devices' page is what that page says."""
    text = GUIDE.read_text(encoding="utf-8")
    vietnamese, english = (words.replace("{n}", "n") for words in WORDS["devices_problems"])
    assert f"*{vietnamese}* ({english})" in text
    assert WORDS["offline_short"][0] in text


def test_the_guide_s_center_file_is_read(tmp_path: Path) -> None:
    """The center reads the guide's center.toml, and it says what the guide says."""
    file = tmp_path / "center.toml"
    file.write_text(example("center.toml"), encoding="utf-8")
    config = center_config.read(file)
    assert [counter.id for counter in config.counter] == ["q01", "q02"]


@pytest.mark.parametrize("device", ["rating", "callpad", "display"])
def test_the_guide_s_station_file_is_read(tmp_path: Path, device: str) -> None:
    """Every device of the guide's station.toml reads its own section."""
    file = tmp_path / "station.toml"
    file.write_text(example("station.toml"), encoding="utf-8")
    config = firmware_config.load(file, device, KINDS)
    assert (config.kind, config.address.station) == (device, "q01")


def test_wheels_hold_nothing_of_an_older_version(tmp_path: Path) -> None:
    """What an earlier build left in the folder, as a module that is gone since, is away before the wheel is made."""
    left = [tmp_path / "build/lib/center/gone.py", tmp_path / "dist/wheels/motcua-0.0.1-py3-none-any.whl"]
    python = tmp_path / ".venv/bin/python"
    for file in [*left, python]:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    seen = tmp_path / "seen"
    python.write_text(f"#!/bin/sh\ncase $* in *pip*) find build dist -type f > {seen} 2>/dev/null || true;; esac\n")
    python.chmod(0o755)
    subprocess.run(["make", "-f", ROOT / "Makefile", "wheels"], cwd=tmp_path, check=True, capture_output=True)
    assert seen.read_text() == ""
