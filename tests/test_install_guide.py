"""What the install guide shows is what there is: files, commands, paths, units, users, words."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from center import config as center_config
from center.web.words import WORDS
from firmware import config as firmware_config
from firmware.devices.registry import KINDS

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


def test_every_file_that_is_copied_is_there_and_goes_where_it_works() -> None:
    """What is copied out of the folder exists in it, and everything that stands in systemd/ is copied."""
    copies = [line.split()[2:] for line in shell() if line.startswith("sudo cp ")]
    for source, target in copies:
        assert (ROOT / source).is_file(), source
        kind = "system" if source.endswith(".service") else None
        assert target == (f"/etc/systemd/{kind}/" if kind else f"/etc/{Path(source).parent.name}/")
    copied = {source for source, _ in copies}
    there = {str(path.relative_to(ROOT)) for path in (ROOT / "systemd").rglob("*") if path.is_file()}
    assert copied == there


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
    assert "sudo systemd-tmpfiles --create" in lines[written:]
    assert path in (ROOT / "systemd" / "tmpfiles.d" / "motcua.conf").read_text(encoding="utf-8")


def test_every_unit_that_is_started_exists() -> None:
    """What systemctl is told to start is a unit of ours, and an instance is a kind of device."""
    lines = [line for line in shell() if "enable --now" in line]
    for name in (name for line in lines for name in line.partition("--now ")[2].split() if name.startswith("motcua")):
        template, at, instance = name.partition("@")
        assert f"{template}{at}.service" in units()
        assert not at or instance in KINDS
    assert lines


def test_every_command_is_one_that_debian_or_the_guide_installs() -> None:
    """Each line begins with a command that a fresh Debian has, or that the guide has installed."""
    fresh = {"apt", "cp", "journalctl", "ln", "mkdir", "nano", "python3", "systemctl", "systemd-sysusers"}
    fresh |= {"systemd-tmpfiles", "make", "motcua", "/opt/motcua/bin/pip"}
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
