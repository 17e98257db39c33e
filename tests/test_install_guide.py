"""The files that the install guide shows are files that the programs accept."""

import re
from pathlib import Path

import pytest

from center import config as center_config
from firmware import config as firmware_config
from firmware.devices.registry import KINDS

pytestmark = pytest.mark.docs

GUIDE = Path(__file__).parents[1] / "docs" / "guide" / "install.md"


def example(name: str) -> str:
    """Return the TOML block that begins with `# name`."""
    blocks = re.findall(r"```toml\n(.*?)```", GUIDE.read_text(encoding="utf-8"), flags=re.DOTALL)
    return next(block for block in blocks if block.startswith(f"# {name}"))


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
