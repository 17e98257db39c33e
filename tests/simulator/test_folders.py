"""A demo's folders: made, removed, kept, and swept after a kill."""

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from simulator.folders import FoldersError, folders, sweep

HOLD = """
import pathlib, sys
from simulator.folders import folders
with folders(None) as made:
    (made.data / "center.db").write_text("x")
    print(made.run, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let this folder be the one for temporary files."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def test_what_is_temporary_goes_with_the_demo(temporary: Path) -> None:
    """Nothing is left of a demo that ended, unless its data are to be looked into."""
    with folders(None) as made:
        assert made.data.is_dir()
    assert list(temporary.iterdir()) == []
    with folders(None) as made:
        made.kept = True
    sweep()
    assert made.data.is_dir()


def test_named_data_stay(temporary: Path) -> None:
    """Data in a folder that somebody named stay there; the sockets beside them go."""
    with folders(temporary / "mine") as made:
        assert made.run.is_dir()
    assert [each.name for each in temporary.iterdir()] == ["mine"]


@pytest.mark.parametrize("asked", ["/dev/null", "/dev/null/inside", "/proc/motcua"])
def test_a_folder_that_cannot_be_used_is_named(temporary: Path, asked: str) -> None:
    """Data that cannot be written are refused in one line, and nothing temporary stays."""
    with (
        pytest.raises(FoldersError, match=f"^{asked} cannot be written: .*; choose another --data$"),
        folders(Path(asked)),
    ):
        pass
    assert list(temporary.iterdir()) == []


def test_a_killed_demo_is_swept_and_a_living_one_is_not(temporary: Path) -> None:
    """The next demo removes the folder of one that was killed; a demo that runs keeps its own."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as held:
        assert held.stdout is not None
        run = Path(held.stdout.readline().strip())
        assert run.parent == temporary
        sweep()
        assert run.is_dir()
        held.kill()
        held.wait()
        sweep()
        assert not run.exists()


def test_folders_of_others_are_left_alone(temporary: Path) -> None:
    """A folder without our lock is not ours, whatever its name is; neither is a link."""
    (temporary / "motcua-of-somebody").mkdir()
    (temporary / "elsewhere").mkdir()
    (temporary / "elsewhere" / "in-use").touch()
    (temporary / "motcua-link").symlink_to(temporary / "elsewhere")
    sweep()
    assert len(list(temporary.iterdir())) == 3
