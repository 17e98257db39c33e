import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

SYSTEMD = Path(__file__).parents[2] / "systemd"
PROGRAM = "/opt/motcua/bin/motcua"
UNITS = ["motcua-device@.service", "motcua-center.service"]
CAMERA = "motcua-device@camera.service.d"


def needs(tool: str) -> pytest.MarkDecorator:
    """Skip where a tool is missing, and say how to get it."""
    return pytest.mark.skipif(shutil.which(tool) is None, reason=f"{tool} is missing: apt-get install systemd")


def installed(unit: str, folder: Path) -> Path:
    """Write a unit as it would be started here: a template as an instance, with a program that exists."""
    text = (SYSTEMD / unit).read_text(encoding="utf-8")
    assert PROGRAM in text
    path = folder / unit.replace("@.", "@rating.")
    path.write_text(text.replace(PROGRAM, "/bin/true"), encoding="utf-8")
    return path


def installed_camera(folder: Path) -> Path:
    """Write the devices' unit as an instance of a camera, with what a camera has beside it."""
    path = installed("motcua-device@.service", folder).rename(folder / "motcua-device@camera.service")
    shutil.copytree(SYSTEMD / CAMERA, folder / CAMERA)
    return path


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run systemd-analyze, without asking a running systemd for anything."""
    environment = os.environ | {"SYSTEMD_COLORS": "0"}
    return subprocess.run(
        ["systemd-analyze", "--no-pager", *arguments], capture_output=True, text=True, timeout=60, env=environment
    )


def values(unit: str, key: str) -> list[str]:
    """Return what a unit says for a key."""
    return re.findall(rf"^{key}=(.*)$", (SYSTEMD / unit).read_text(encoding="utf-8"), flags=re.MULTILINE)


@needs("systemd-analyze")
@pytest.mark.parametrize("unit", UNITS)
def test_systemd_understands_every_line(unit: str, tmp_path: Path) -> None:
    """The service manager has nothing to say against a unit; its exit code alone would forgive an unknown key."""
    done = analyze("verify", installed(unit, tmp_path))
    assert (done.returncode, done.stderr) == (0, "")


@needs("systemd-analyze")
def test_a_misspelt_key_is_found(tmp_path: Path) -> None:
    """The check above would see a slip of the pen."""
    unit = installed("motcua-center.service", tmp_path)
    unit.write_text(unit.read_text().replace("ProtectHome=", "ProtectHomes="))
    assert "ProtectHomes" in analyze("verify", unit).stderr


@needs("systemd-analyze")
@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_is_exposed_little(unit: str, tmp_path: Path) -> None:
    """The exposure of a unit, as systemd judges it, is at most 1.5 of 10."""
    done = analyze("security", "--offline=yes", "--threshold=15", installed(unit, tmp_path))
    assert done.returncode == 0, done.stdout


@needs("systemd-analyze")
def test_a_camera_is_exposed_little(tmp_path: Path) -> None:
    """With the rights of a camera the unit is understood line by line, and exposed at most 1.5 of 10."""
    unit = installed_camera(tmp_path)
    done = analyze("verify", unit)
    assert (done.returncode, done.stderr) == (0, "")
    done = analyze("security", "--offline=yes", "--threshold=15", unit)
    assert done.returncode == 0, done.stdout
    assert "AF_NETLINK" in done.stdout  # so it was read
    assert "✗ RestrictAddressFamilies=~AF_NETLINK" in done.stdout


@needs("systemd-analyze")
def test_a_slip_in_what_a_camera_may_is_found(tmp_path: Path) -> None:
    """The check above reads what stands beside the unit."""
    unit = installed_camera(tmp_path)
    (addition,) = (tmp_path / CAMERA).iterdir()
    addition.write_text(addition.read_text().replace("CPUWeight=", "CPUWait="))
    assert "CPUWait" in analyze("verify", unit).stderr


def test_a_camera_comes_after_the_buttons() -> None:
    """A camera has less of processor and disk than a pad of the same counter, is limited, and is ended before it."""
    (addition,) = (SYSTEMD / CAMERA).iterdir()
    camera = dict(re.findall(r"^(\w+)=(.*)$", addition.read_text(encoding="utf-8"), flags=re.MULTILINE))
    pad = "motcua-device@.service"
    assert values(pad, "Nice") == values(pad, "CPUWeight") == []
    assert int(camera["Nice"]) > 0
    assert int(camera["CPUWeight"]) < 100 > int(camera["IOWeight"])
    assert camera["MemoryMax"] == "600M"
    assert int(camera["OOMScoreAdjust"]) > int(values(pad, "OOMScoreAdjust")[0])
    assert "video" not in " ".join(values(pad, "DeviceAllow") + values(pad, "SupplementaryGroups"))


@pytest.mark.parametrize("unit", UNITS)
def test_a_wrong_configuration_is_not_tried_again(unit: str) -> None:
    """A program that ended with 2 waits for a person; any other failure is tried again for ever."""
    assert values(unit, "RestartPreventExitStatus") == ["2"]
    assert values(unit, "Restart") == ["on-failure"]
    assert values(unit, "StartLimitIntervalSec") == ["0"]


def test_a_device_needs_no_network_to_start() -> None:
    """A pad takes presses before, and without, any network."""
    assert "online" not in " ".join(values("motcua-device@.service", "After"))
    assert values("motcua-device@.service", "Wants") == values("motcua-device@.service", "Requires") == []


def test_lgpio_has_a_folder_for_its_pipe() -> None:
    """The folder in which lgpio makes its pipe is the one that systemd makes for each device."""
    (folder,) = values("motcua-device@.service", "RuntimeDirectory")
    assert values("motcua-device@.service", "WorkingDirectory") == [f"%t/{folder}"]
    assert f"LG_WD=%t/{folder}" in values("motcua-device@.service", "Environment")
    assert "%i" in folder


@needs("systemd-sysusers")
def test_the_users_of_the_units_are_made(tmp_path: Path) -> None:
    """The users that the units name are made, and the devices' user may use GPIO and serial ports."""
    (tmp_path / "etc").mkdir()
    done = subprocess.run(
        ["systemd-sysusers", f"--root={tmp_path}", SYSTEMD / "sysusers.d" / "motcua.conf"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    users = {line.split(":")[0] for line in (tmp_path / "etc" / "passwd").read_text().splitlines()}
    groups = dict(line.split(":")[0::3] for line in (tmp_path / "etc" / "group").read_text().splitlines())
    assert {user for unit in UNITS for user in values(unit, "User")} <= users
    assert (groups["gpio"], groups["dialout"]) == ("motcua", "motcua")
