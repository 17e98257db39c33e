"""What is installed into the machine: a wheel of this work tree and its dependencies."""

import functools
import io
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from pathlib import Path
from typing import Literal

from tests.vm.image import ROOT, digest, locked, stage
from tests.vm.machine import Machine

PREFIX = "/opt/motcua"
SITE = "lib/python3.11/site-packages"
"""Debian 12's Python is 3.11."""


def install(machine: Machine) -> None:
    """Install Motcua with its extra `pi` under /opt/motcua: Debian's Python, everything else from PyPI."""
    with tempfile.TemporaryDirectory(prefix="motcua-wheel-") as folder:
        wheel = _wheel(Path(folder))
        site = Path(folder, "site")
        _pip("install", "--no-deps", "--target", str(site), str(wheel))
        script = (site / "bin" / "motcua").read_text()
        files = io.BytesIO()
        with tarfile.open(fileobj=files, mode="w") as tar:
            tar.add(_dependencies("pi"), SITE)
            tar.add(site, SITE)
            tar.add(site / "share", "share")
    machine.run(f"python3 -m venv --without-pip {PREFIX}")
    machine.run(f"tar -x --no-same-owner -C {PREFIX}", stdin=files.getvalue())
    machine.put(f"{PREFIX}/bin/motcua", re.sub(r"\A#!.*", f"#!{PREFIX}/bin/python3", script), mode="755")


def install_extra(machine: Machine, extra: Literal["center", "camera"]) -> None:
    """Add what an extra needs, on a disk of its own: it is too much to be copied each time."""
    needs = _dependencies(extra)
    with locked():
        made = stage(f"{extra}-disk", digest(needs.name), functools.partial(_make_disk, needs))
    device = machine.plug_read_only_disk(made / "disk.raw", name=extra)
    machine.run(f"mkdir -p {PREFIX}/{extra} && mount -t ext4 -o ro {device} {PREFIX}/{extra}")
    machine.put(f"{PREFIX}/{SITE}/{extra}.pth", f"{PREFIX}/{extra}\n")


def _make_disk(content: Path, out: Path) -> None:
    out.mkdir()
    size = sum(file.lstat().st_size + 4096 for file in content.rglob("*")) * 5 // 4
    disk = out / "disk.raw"
    with disk.open("wb") as file:
        file.truncate(size)
    subprocess.run(
        ["mke2fs", "-q", "-F", "-t", "ext4", "-O", "^has_journal", "-d", content, disk], check=True, timeout=120
    )


def _wheel(folder: Path) -> Path:
    """Build the wheel in a copy of the work tree: setuptools would put leftovers of earlier builds into it."""
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    source = folder / "source"
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():  # not what is deleted but not yet committed
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, source / name)
    _pip("wheel", "--no-deps", "--wheel-dir", str(folder), str(source))
    return next(folder.glob("motcua-*.whl"))


def _dependencies(extra: str) -> Path:
    """Return a folder with what an extra needs, for the machine's Python; kept until the requirements change."""
    needs = (ROOT / "pyproject.toml", ROOT / "constraints.txt")
    with locked():
        return stage(f"{extra}-site", digest("", *needs), functools.partial(_install_dependencies, extra))


def _install_dependencies(extra: str, out: Path) -> None:
    install_wheels(out, *requirements(extra))


def requirements(extra: str) -> list[str]:
    """Return what the product and one of its extras need."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [*project["dependencies"], *project["optional-dependencies"][extra]]


def install_wheels(out: Path, *wanted: str, python: str = "3.11") -> None:
    """Put wheels into a folder, at the versions that we have pinned, for another Python than this one."""
    constraints = ROOT / "constraints.txt"
    # A wheel's tag names the oldest glibc it runs on; Debian 12 has 2.36.
    platforms = [f"manylinux_2_{minor}_x86_64" for minor in range(36, 16, -1)] + ["manylinux2014_x86_64"]
    _pip(
        *("install", "--target", str(out), "--python-version", python, "--only-binary", ":all:"),
        *(part for platform in platforms for part in ("--platform", platform)),
        *(("--constraint", str(constraints)) if constraints.is_file() else ()),
        *wanted,
    )


def _pip(*arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    if done.returncode:
        raise RuntimeError(f"pip {arguments[0]} ended with {done.returncode}:\n{done.stdout}")
