"""What `motcua install-units` writes, runs and says; in folders that stand for a machine's root."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from host.install import STANDARD_PROGRAM, InstallError, Part, Wanted, folder, install, main, starts, targets, uninstall

ROOT = Path(__file__).parents[2]
CENTER_UNIT = "etc/systemd/system/motcua-center.service"
DEVICE_UNIT = "etc/systemd/system/motcua-device@.service"


@dataclass
class Host:
    """A folder in a root's place, and who runs the commands there."""

    root: Path
    live: bool = False
    said: list[str] = field(default_factory=list)
    ran: list[str] = field(default_factory=list)
    fails: str = ""

    def run(self, command: Sequence[str]) -> str | None:
        """Take a command; `fails` names the one that does not work."""
        self.ran.append(" ".join(command))
        return "broken" if self.fails and self.fails in self.ran[-1] else None

    def configure(self) -> None:
        """Write configurations, as a technician does before."""
        (self.root / "etc/motcua").mkdir(parents=True, exist_ok=True)
        (self.root / "etc/motcua/center.toml").touch()
        (self.root / "etc/motcua/station.toml").write_text("[device.rating]\n[device.display]\n")

    def install(
        self, *parts: Part, devices: Sequence[str] = (), enable: bool = False, program: str = "", dry: bool = False
    ) -> list[str]:
        """Install and return what was said."""
        wanted = Wanted(self.root, frozenset(parts), self.live, tuple(devices), enable, program or STANDARD_PROGRAM)
        self.said.clear()
        self.ran.clear()
        install(wanted, folder(), run=self.run, say=self.said.append, dry=dry)
        return self.said

    def uninstall(self) -> list[str]:
        """Uninstall and return what was said."""
        self.said.clear()
        self.ran.clear()
        uninstall(Wanted(self.root, live=self.live), folder(), run=self.run, say=self.said.append)
        return self.said

    def files(self) -> set[str]:
        """Return the paths of all files that there are now."""
        return {str(path.relative_to(self.root)) for path in self.root.rglob("*") if path.is_file()}


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """An empty root."""
    return Host(tmp_path)


@pytest.fixture
def live(tmp_path: Path) -> Host:
    """The same, taken for the machine that runs."""
    return Host(tmp_path, live=True)


def test_each_machine_gets_what_it_needs(host: Host) -> None:
    """A server gets the center's unit, a counter its devices' unit, rules and modules; users and rights go to both."""
    both = {"etc/sysusers.d/motcua.conf", "etc/tmpfiles.d/motcua.conf"}
    host.install("center")
    assert host.files() == both | {CENTER_UNIT}
    host.install("device")
    assert {DEVICE_UNIT, "etc/modules-load.d/motcua.conf", "etc/udev/rules.d/70-motcua.rules"} <= host.files()
    every = {path.name for path in (ROOT / "systemd").rglob("*") if path.is_file()}
    assert {Path(path).name for path in host.files()} == every


def test_only_a_camera_may_use_cameras(live: Host) -> None:
    """A device of the kind camera, whatever its name, gets the rights and limits of a camera; a pad does not."""
    live.configure()
    addition = "etc/systemd/system/motcua-device@{}.service.d/10-motcua.conf"
    wanted = Wanted(live.root, frozenset({"device"}), live=True, devices=("rating", "eye"), kinds={"eye": "camera"})
    install(wanted, folder(), run=live.run, say=live.said.append)
    assert [path for path in live.files() if "service.d" in path] == [addition.format("eye")]
    text = (live.root / addition.format("eye")).read_text()
    assert "DeviceAllow=char-video4linux rw" in text
    assert "systemctl edit motcua-device@NAME.service" in text.splitlines()[0]
    assert "video" not in (live.root / DEVICE_UNIT).read_text()
    live.uninstall()
    assert not [path for path in live.root.rglob("*") if "service.d" in path.name]


def test_a_camera_that_ran_without_its_rights_is_restarted(live: Host) -> None:
    """An older version had no such file: after the upgrade the camera starts with it, and no other device."""
    live.configure()
    live.install("device", devices=["rating", "camera"], enable=True)
    addition = live.root / "etc/systemd/system/motcua-device@camera.service.d/10-motcua.conf"
    addition.unlink()
    live.install("device", devices=["rating", "camera"], enable=True)
    assert live.ran[-1] == "systemctl try-restart motcua-device@camera.service"


def test_what_a_person_added_to_a_device_stays(live: Host) -> None:
    """A file beside ours that somebody else wrote is no business of an uninstall."""
    live.configure()
    live.install("device", devices=["camera"])
    own = live.root / "etc/systemd/system/motcua-device@camera.service.d/override.conf"
    own.write_text("[Service]\nNice=0\n")
    live.uninstall()
    assert own.is_file()
    assert [path.name for path in own.parent.iterdir()] == ["override.conf"]


def test_the_second_time_changes_nothing(host: Host) -> None:
    """Installing again says of each file that it is unchanged, and leaves it as it is."""
    assert {line.split()[0] for line in host.install("center", "device") if str(host.root) in line} >= {"new"}
    before = {path: (host.root / path).stat().st_mtime_ns for path in host.files()}
    said = host.install("center", "device")
    assert {line.split()[0] for line in said if f" {host.root}/etc" in line} == {"unchanged"}
    assert {path: (host.root / path).stat().st_mtime_ns for path in host.files()} == before


def test_a_file_that_differs_is_named_and_written_whole(host: Host) -> None:
    """What somebody changed, or an older version wrote, is replaced and called changed; no draft stays."""
    host.install("center")
    unit = host.root / CENTER_UNIT
    whole = unit.read_text()
    unit.write_text("[Service]\nExecStart=/bin/false\n")
    assert f"changed    {unit}" in host.install("center")
    assert unit.read_text() == whole
    assert unit.stat().st_mode & 0o777 == 0o644
    assert not [path for path in host.files() if path.endswith(".new")]


def test_the_running_program_is_the_one_that_is_started(host: Host) -> None:
    """A unit starts the program that installed it, and says who wrote it and where changes belong."""
    host.install("center", "device", program="/srv/motcua-2/bin/motcua")
    for path, advice in ((CENTER_UNIT, "motcua-center.service"), (DEVICE_UNIT, "motcua-device@NAME.service")):
        text = (host.root / path).read_text()
        assert re.findall(r"^ExecStart=(\S+)", text, flags=re.MULTILINE) == ["/srv/motcua-2/bin/motcua"]
        assert STANDARD_PROGRAM not in text
        assert text.startswith("# Written by `motcua install-units`")
        assert f"systemctl edit {advice}" in text.splitlines()[0]


def test_a_dry_run_touches_nothing(host: Host) -> None:
    """It says what would be written and run, and does neither."""
    said = host.install("device", devices=["rating"], dry=True)
    assert f"new        {host.root / DEVICE_UNIT}" in said
    assert any(line.startswith("would run  systemd-sysusers") for line in said)
    assert (host.files(), host.ran) == (set(), [])


def test_a_machine_is_told_of_everything(live: Host) -> None:
    """Users come before rights, rules and modules before the units, the units' start at last."""
    live.configure()
    live.install("device", devices=["rating", "display"], enable=True)
    assert live.ran == [
        "systemd-sysusers motcua.conf",
        "systemd-tmpfiles --create motcua.conf",
        "udevadm control --reload",
        "udevadm trigger --subsystem-match=gpio --subsystem-match=tty --settle",
        "systemctl restart systemd-modules-load.service",
        "systemctl daemon-reload",
        "systemctl enable --now motcua-device@rating.service motcua-device@display.service motcua-renew.timer",
    ]


def test_an_upgrade_restarts_what_it_changed(live: Host) -> None:
    """A unit whose file is another one than before is restarted if it runs; an unchanged one goes on undisturbed."""
    live.configure()
    live.install("center", enable=True)
    live.install("center", enable=True)
    assert not any("restart" in command for command in live.ran)
    live.install("center", enable=True, program="/opt/motcua-2/bin/motcua")
    assert live.ran[-1] == "systemctl try-restart motcua-center.service"


def test_an_image_is_left_to_its_first_boot(host: Host) -> None:
    """Into an image it writes, makes users and enables, and speaks to no service manager that runs here."""
    host.configure()
    host.install("device", devices=["rating"], enable=True)
    assert host.ran == [
        f"systemd-sysusers --root={host.root} motcua.conf",
        f"systemd-tmpfiles --root={host.root} --create motcua.conf",
        f"systemctl --root={host.root} enable motcua-device@rating.service motcua-renew.timer",
    ]


def test_nothing_is_enabled_before_it_is_configured(host: Host) -> None:
    """`--enable` without a configuration names the file that is missing, before anything is written."""
    with pytest.raises(InstallError, match=r"etc/motcua/center\.toml is not there: write it first"):
        host.install("center", enable=True)
    assert host.files() == set()


def test_without_enable_it_says_what_comes_next(host: Host) -> None:
    """Whoever has not configured yet reads the file to write and the command for afterwards."""
    assert host.install("center")[-1] == (
        "next: write /etc/motcua/center.toml, then: motcua install-units --center --enable"
    )
    assert host.install("device", devices=["rating"])[-1].endswith("motcua install-units --device rating --enable")


def test_a_command_that_fails_is_named_with_its_reason(host: Host) -> None:
    """The first command that does not work ends it, with the command's own words."""
    host.fails = "systemd-tmpfiles"
    with pytest.raises(InstallError, match=r"^systemd-tmpfiles .*motcua\.conf: broken$"):
        host.install("center")


def test_a_missing_module_ends_nothing(live: Host) -> None:
    """A kernel without one of the modules is warned of; the units are installed all the same."""
    live.fails = "systemd-modules-load"
    said = live.install("device", devices=["rating"])
    assert any(line.startswith("warning    broken: some module is missing here") for line in said)
    assert live.ran[-1] == "systemctl daemon-reload"


def test_uninstalling_leaves_data_and_configuration(live: Host) -> None:
    """What runs is disabled and stopped, every file of ours goes, and what people made stays."""
    live.configure()
    live.install("device", devices=["rating"], enable=True)
    wants = live.root / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir()
    (wants / "motcua-device@rating.service").symlink_to("../motcua-device@.service")
    live.uninstall()
    assert live.ran[:2] == [
        "systemctl disable motcua-device@rating.service",
        "systemctl stop motcua-device@*.service motcua-renew.service motcua-renew.timer",
    ]
    assert {path for path in live.files() if "wants" not in path} == {
        "etc/motcua/center.toml",
        "etc/motcua/station.toml",
    }
    (wants / "motcua-device@rating.service").unlink()
    live.uninstall()
    assert live.ran == []


def test_a_timer_is_started_in_its_services_place(tmp_path: Path) -> None:
    """Of a service with a timer the timer is enabled; a template stands for each device."""
    for name in ("motcua-device@.service", "motcua-renew@.service", "motcua-renew@.timer"):
        (tmp_path / name).write_text("")
    files = targets(tmp_path, Wanted(Path("/"), frozenset(("device",))))
    assert starts(files, ["rating", "callpad"]) == [
        "motcua-device@rating.service",
        "motcua-device@callpad.service",
        "motcua-renew@rating.timer",
        "motcua-renew@callpad.timer",
    ]


# --- the command ------------------------------------------------------------------------------------------------------


def image(tmp_path: Path) -> Path:
    """Return an image in which Motcua is installed."""
    program = tmp_path / "image" / STANDARD_PROGRAM[1:]
    program.parent.mkdir(parents=True)
    program.touch(mode=0o755)
    return tmp_path / "image"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "say --center, --device NAME… or --uninstall"),
        (["--center", "--uninstall"], 2, "say --center, --device NAME… or --uninstall"),
        (["--device", "Rating"], 1, "--device 'Rating': a name of small letters, digits and hyphens"),
        (["--device", "../x"], 1, "--device '../x': a name of small letters"),
        (["--center", "--program", "motcua"], 1, "motcua: units start a program by an absolute path"),
        (["--center", "--program", "/home/pi/bin/motcua"], 1, "units see neither homes nor temporary folders"),
        (["--center", "--program", "/opt/none/motcua"], 1, "/opt/none/motcua is not there: install Motcua first"),
        (["--center", "--enable"], 1, "etc/motcua/center.toml is not there: write it first"),
    ],
)
def test_what_cannot_be_meant_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, said: str
) -> None:
    """A wrong option gets what is wrong with it and what is right; nothing is written."""
    root = image(tmp_path)
    assert main([*arguments, "--root", str(root)]) == code
    errors = capsys.readouterr().err
    assert said in errors
    assert errors.count("\n") == 1
    assert not (root / "etc").exists()


def test_the_devices_are_those_of_the_station_s_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--device` without names takes the devices that station.toml has, and names a file that cannot be read."""
    root = image(tmp_path)
    Host(root).configure()
    assert main(["--device", "--root", str(root), "--dry-run"]) == 0
    assert "motcua install-units --device rating display --enable" in capsys.readouterr().out
    (root / "etc/motcua/station.toml").write_text("[device")
    assert main(["--device", "--root", str(root)]) == 1
    assert f"{root}/etc/motcua/station.toml: " in capsys.readouterr().err


@pytest.mark.skipif(os.geteuid() != 0, reason="users and rights in an image are made by root: sudo make test")
@pytest.mark.skipif(shutil.which("systemd-sysusers") is None, reason="systemd is missing: apt-get install systemd")
def test_an_image_is_ready_to_boot(tmp_path: Path) -> None:
    """The programs of systemd make users, rights and start in an image, and take the start back."""
    root = image(tmp_path)
    Host(root).configure()
    command = [sys.executable, "-m", "motcua.cli", "install-units", "--root", str(root)]
    subprocess.run(
        [*command, "--center", "--device", "rating", "--enable"], check=True, capture_output=True, timeout=60
    )
    assert "motcua-center:" in (root / "etc/passwd").read_text()
    station = (root / "etc/motcua/station.toml").stat()
    group = next(line for line in (root / "etc/group").read_text().splitlines() if line.startswith("motcua:"))
    assert (station.st_mode & 0o777, station.st_gid) == (0o640, int(group.split(":")[2]))
    wants = root / "etc/systemd/system/multi-user.target.wants"
    assert {link.name for link in wants.iterdir()} == {"motcua-center.service", "motcua-device@rating.service"}
    subprocess.run([*command, "--uninstall"], check=True, capture_output=True, timeout=60)
    assert not [path for path in root.rglob("*motcua-*") if path.is_symlink()]


def test_the_wheel_carries_every_file() -> None:
    """Whatever stands in systemd/ is in the wheel, in a folder of the same name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    carried = {
        (place, file)
        for place, patterns in project["tool"]["setuptools"]["data-files"].items()
        for pattern in patterns
        for file in ROOT.glob(pattern)
    }
    there = {path for path in (ROOT / "systemd").rglob("*") if path.is_file()}
    assert carried == {(f"share/motcua/{path.parent.relative_to(ROOT)}", path) for path in there}
