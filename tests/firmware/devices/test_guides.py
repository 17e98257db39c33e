"""The guides of the devices say what the code does."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from firmware.devices.registry import KINDS

ROOT = Path(__file__).parents[3]
GUIDES = ROOT / "docs" / "guide"
HERE = Path(__file__).parent


def blocks(page: Path) -> dict[str, str]:
    """Return the code of a page by the path that its first line names."""
    found = re.findall(r"```python\n# (\S+)\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    return dict(found)


def test_the_guide_s_device_passes_the_contract_suite(tmp_path: Path) -> None:
    """Who follows "Add a device" word by word has a device that passes the contract suite and its own test."""
    code = blocks(GUIDES / "add-a-device.md")
    shutil.copytree(ROOT / "firmware", tmp_path / "firmware", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "firmware" / "devices" / "pedal.py").write_text(code.pop("firmware/devices/pedal.py"))
    registry = tmp_path / "firmware" / "devices" / "registry.py"
    line = code.pop("firmware/devices/registry.py")
    registry.write_text(registry.read_text().replace("_MODULES = {\n", "_MODULES = {\n" + line))
    tests = tmp_path / "tests"
    tests.mkdir()
    fixture = code.pop("tests/firmware/devices/conftest.py")
    (tests / "conftest.py").write_text((HERE / "conftest.py").read_text() + "\n\n" + fixture)
    for name in ("test_contract.py", "test_registry.py"):
        shutil.copy(HERE / name, tests / name)
    (tests / "test_pedal.py").write_text(code.pop("tests/firmware/devices/test_pedal.py"))
    assert code == {}
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "pedal", "tests"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) >= 12


@pytest.mark.parametrize("check", [["format", "--check"], ["check"]], ids=["format", "lint"])
def test_the_guide_s_device_keeps_the_house_style(tmp_path: Path, check: list[str]) -> None:
    """The guide's file is formatted and linted like the project's own."""
    (tmp_path / "pedal.py").write_text(blocks(GUIDES / "add-a-device.md")["firmware/devices/pedal.py"])
    done = subprocess.run(
        [sys.executable, "-m", "ruff", *check, "--config", ROOT / "pyproject.toml", tmp_path],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", KINDS)
def test_every_key_of_a_device_is_documented(name: str) -> None:
    """A device's page names every key of its table."""
    page = (GUIDES / "devices" / f"{name}.md").read_text(encoding="utf-8")
    fields = [field.encode_name for field in msgspec.structs.fields(KINDS[name].config)]
    assert [field for field in fields if f"`{field}`" not in page] == []
