"""`motcua provision`: one command at the center makes what one station needs."""

import errno
import os
import shutil
import signal
import stat
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest

from center.keys import papers
from center.keys.authority import Authority
from center.keys.cli import main
from contract.settings import parse
from contract.topics import Address, Channel, center_address
from firmware.config import load
from firmware.devices.registry import KINDS
from tests.support.keys import Client
from tests.support.program import Program
from tests.support.waiting import wait_for

CONFIG = """\
id = "bentre"
name = "Trung tâm"
data_dir = "{data}"

[broker]
host = "0.0.0.0"
names = ["may-chu.local"]

[rating]
scale = "vn-4"

[[service]]
id = "dat-dai"
letter = "A"
vi = "Đất đai"
en = "Land"

[[counter]]
id = "q03"
label = "3"
services = ["dat-dai"]
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A center's file; its data folder is there, as after its first start."""
    (tmp_path / "data").mkdir()
    path = tmp_path / "center.toml"
    path.write_text(CONFIG.format(data=tmp_path / "data"), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return path


def bundle(path: Path) -> dict[str, bytes]:
    """Return what is in a bundle."""
    found = {}
    with tarfile.open(path) as archive:
        for member in archive:
            file = archive.extractfile(member)
            assert file is not None
            found[member.name] = file.read()
    return found


def test_one_command_makes_all_that_a_station_needs(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The bundle is for its owner alone, holds configuration, root and a key for each device, and says what is next."""
    assert main(["q03", "--config", str(config)]) == 0
    out = Path("motcua-q03.tar.gz")
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    files = bundle(out)
    names = {f"keys/q03/{device}.pem" for device in ("rating", "callpad", "display", "keys")}
    assert set(files) == names | {"station.toml", "keys/root.pem"}
    assert len({files[name] for name in names}) == 4
    for name in names:
        assert files[name].count(b"-----BEGIN") == 2
    said = capsys.readouterr().out
    assert "sudo motcua device install motcua-q03.tar.gz" in said
    assert "may-chu.local:8883" in said


def test_the_configuration_of_a_bundle_is_ready_for_each_device(config: Path, tmp_path: Path) -> None:
    """A device reads the bundle's file without a change: it finds the center, its keys, and the scale in use."""
    devices = ("rating", "callpad", "display", "camera")
    assert main(["q03", "--config", str(config), "--host", "127.0.0.1", "--devices", ",".join(devices)]) == 0
    station = tmp_path / "station.toml"
    station.write_bytes(bundle(Path("motcua-q03.tar.gz"))["station.toml"])
    for device in devices:
        read = load(station, device, KINDS, environment={"STATE_DIRECTORY": "/var/lib/motcua"})
        assert (read.broker.host, read.broker.port) == ("127.0.0.1", 8883)
        assert read.broker.ca_file == "/var/lib/motcua/keys/root.pem"
        assert read.broker.cert_file == f"/var/lib/motcua/keys/q03/{device}.pem"
    buttons = parse(station.read_bytes())["device"]["rating"]
    assert (buttons["scale"], len(buttons["buttons"])) == ("vn-4", 4)


def test_the_devices_can_be_chosen_and_added_later(config: Path) -> None:
    """Only what was asked for gets a key; what comes later gets its own, and the station's own is made once."""
    assert main(["q03", "--config", str(config), "--devices", "rating", "--out", "first.tar.gz"]) == 0
    assert main(["q03", "--config", str(config), "--devices", "display", "--out", "second.tar.gz"]) == 0
    assert set(bundle(Path("first.tar.gz"))) == {
        "station.toml", "keys/root.pem", "keys/q03/rating.pem", "keys/q03/keys.pem"
    }  # fmt: skip
    assert set(bundle(Path("second.tar.gz"))) == {"station.toml", "keys/root.pem", "keys/q03/display.pem"}
    assert set(tomllib.loads(bundle(Path("second.tar.gz"))["station.toml"].decode())["device"]) == {"display"}


def test_keys_are_listed_renewed_and_revoked(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The technician sees every key with its state, makes new ones for a station, and revokes old ones or all."""
    given = ["--config", str(config)]
    assert main(["list", *given]) == 0
    assert "no keys yet" in capsys.readouterr().out
    assert main(["q03", *given, "--devices", "rating"]) == 0
    assert main(["renew", "q03", *given, "--out", "new.tar.gz"]) == 0
    assert main(["revoke", "q03", "--old", *given]) == 0
    capsys.readouterr()
    assert main(["list", *given]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["device", "q03/rating", "q03/keys", "q03/keys", "q03/rating"]
    assert ["revoked" in line for line in lines] == [False, True, True, False, False]
    assert main(["revoke", "q03/rating", *given]) == 0
    assert "revoked: q03/rating" in capsys.readouterr().out
    assert main(["revoke", "q03/rating", *given]) == 1
    assert "has no keys to revoke" in capsys.readouterr().err


def test_one_device_whose_keys_were_revoked_gets_new_ones(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whichever command is tried first for that device, its refusal names the one that makes its keys."""
    given = ["--config", str(config)]
    assert main(["q03", *given]) == 0
    assert main(["revoke", "q03/callpad", *given]) == 0
    for tried in (["q03"], ["renew", "q03/callpad"]):
        capsys.readouterr()
        assert main([*tried, *given, "--out", "again.tar.gz"]) == 1
        assert "motcua provision q03 --devices callpad" in capsys.readouterr().err
    assert main(["q03", "--devices", "callpad", *given, "--out", "again.tar.gz"]) == 0


def test_a_reader_gets_three_files(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Another program's bundle has authority, certificate and key apart, and is renewed and revoked as any other."""
    given = ["--config", str(config)]
    assert main(["--reader", "ha", *given]) == 0
    out = Path("motcua-reader-ha.tar.gz")
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    files = bundle(out)
    assert set(files) == {"root.pem", "client.pem", "client.key"}
    assert [content.count(b"-----BEGIN") for content in files.values()] == [1, 1, 1]
    papers.load(files["client.key"] + files["client.pem"])
    said = capsys.readouterr().out
    assert "may-chu.local:8883" in said
    assert "each rating too" in said
    assert main(["--reader", "ha", *given, "--out", "again.tar.gz"]) == 1
    assert "motcua provision renew reader/ha" in capsys.readouterr().err
    assert main(["renew", "reader/ha", *given, "--out", "again.tar.gz"]) == 0
    assert set(bundle(Path("again.tar.gz"))) == set(files)
    assert main(["revoke", "reader/ha", *given]) == 0
    assert main(["renew", "reader/ha", *given, "--out", "third.tar.gz"]) == 1
    assert "motcua provision --reader NAME" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (["q09"], 1, "q09: no counter of this center (q03); another place needs --place"),
        (["Q03"], 1, "Q03: a counter, or counter/device, of 1 to 32 of a-z, 0-9 and inner hyphens each"),
        (["center"], 1, "center: that is the center's own name"),
        (["reader", "--place"], 1, "reader: that is for programs that only read: --reader NAME"),
        (["--reader", "Home Assistant"], 1, "--reader: a name of 1 to 32 of a-z, 0-9 and inner hyphens"),
        (["q03/rating"], 1, "give the devices by --devices rating"),
        (["q03", "--devices", "rating,keys"], 1, "--devices: names as in the station's file"),
        (["q03", "--host", "10.9.9.9"], 2, 'broker.names: with "10.9.9.9", so that the broker\'s certificate'),
        (["q03", "--out", "/nowhere/x.tar.gz"], 1, "/nowhere/x.tar.gz: cannot be written"),
        (["q03", "--out", "center.toml"], 1, "center.toml: exists; remove it"),
        (["renew", "q03"], 1, "q03 has no keys that are good: motcua provision q03 makes some"),
        (["revoke", "q03"], 1, "no keys"),
    ],
)
def test_a_wrong_wish_is_one_line(
    config: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, line: str
) -> None:
    """Whatever cannot be done is one line that says what is allowed or what to do, and no key is made."""
    assert main([*arguments, "--config", str(config)]) == code
    said = capsys.readouterr().err
    assert line in said
    assert said.count("\n") == 1
    assert Authority(config.parent / "data" / "keys", center="bentre").index().issued == ()


def test_keys_are_not_made_twice_by_mistake(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A station that has keys is not given others unless that is asked for."""
    assert main(["q03", "--config", str(config)]) == 0
    assert main(["q03", "--config", str(config), "--out", "again.tar.gz"]) == 1
    assert "q03 has keys for rating, callpad, display already: motcua provision renew q03" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ('host = "0.0.0.0"', 'host = "127.0.0.1"', "broker.host: an address that the counters reach"),
        ('host = "0.0.0.0"', 'kind = "external"', 'broker.kind: not "external"'),
    ],
)
def test_no_keys_for_a_broker_that_asks_for_none(
    config: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, line: str
) -> None:
    """Keys are made for a broker that asks for them; for any other the line says which setting is in the way."""
    config.write_text(config.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    assert main(["q03", "--config", str(config)]) == 2
    assert line in capsys.readouterr().err


def test_a_center_that_never_started_is_said(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without the center's folder, nothing is made in a place that the center could not read later."""
    (config.parent / "data").rmdir()
    assert main(["q03", "--config", str(config)]) == 1
    assert "start the center once (systemctl start motcua-center)" in capsys.readouterr().err


_KILLER = """
import os, signal, sys

begun = []

def watch(event, arguments):
    if event in ("open", "os.rename"):
        if begun:
            os.kill(os.getpid(), signal.SIGKILL)
        if "tar.gz" in str(arguments[0]):
            begun.append(arguments[0])

sys.addaudithook(watch)
"""
"""Kills the program at the next thing that it does with a file once it has begun a bundle."""


def test_who_is_killed_leaves_no_half_of_a_bundle(config: Path, tmp_path: Path) -> None:
    """A command that is killed while it writes leaves no bundle rather than an empty one; another makes it whole."""
    (tmp_path / "killer").mkdir()
    (tmp_path / "killer" / "sitecustomize.py").write_text(_KILLER)
    path = os.pathsep.join((str(tmp_path / "killer"), str(Path(__file__).parents[3])))
    killed = subprocess.run(
        [sys.executable, "-m", "motcua.cli", "provision", "q03", "--config", str(config)],
        env={**os.environ, "PYTHONPATH": path},
        check=False,
        timeout=60,
    )
    assert killed.returncode == -signal.SIGKILL
    assert not Path("motcua-q03.tar.gz").exists()
    assert main(["renew", "q03", "--config", str(config)]) == 0
    assert "keys/q03/rating.pem" in bundle(Path("motcua-q03.tar.gz"))


def test_a_disk_that_fails_late_is_said_with_what_to_do(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the keys are made and their file cannot be, the line says so and how to get others."""
    monkeypatch.setattr("center.keys.cli.replace_file", _full)
    assert main(["q03", "--config", str(config)]) == 1
    said = capsys.readouterr().err
    assert "No space left on device; the keys are made: motcua provision renew q03 --out FILE" in said


def _full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.mosquitto
def test_a_new_station_is_told_what_was_kept_from_its_first_moment(tmp_path: Path) -> None:
    """Whose keys were made while the center runs hears what the broker kept, and is heard, as soon as he has them."""
    if shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin") is None:
        pytest.skip("mosquitto is missing: sudo make system-packages")
    program = Program(tmp_path, "mosquitto")
    text = program.config.read_text(encoding="utf-8").replace('kind = "mosquitto"', 'kind = "mosquitto"\nkeys = true')
    program.config.write_text(text, encoding="utf-8")
    program.start()
    site = SimpleNamespace(
        host="127.0.0.1", port=program.mqtt_port, authority=Authority(tmp_path / "data/keys", center="bentre")
    )
    try:
        for station in ("p1", "p2", "p3"):
            out = tmp_path / f"{station}.tar.gz"
            assert main([station, "--place", "--config", str(program.config), "--out", str(out)]) == 0
            pair = tmp_path / f"{station}.pem"
            pair.write_bytes(bundle(out)[f"keys/{station}/rating.pem"])
            own = Address(center="bentre", station=station, device="rating").topic(Channel.STATUS)
            presence = center_address("bentre").topic(Channel.STATUS)
            with Client(site, pair, subscribe=[own, presence]) as device:  # type: ignore[arg-type] - enough of a site
                device.say(own, b"first word")
                wait_for(lambda own=own, device=device: (own, b"first word") in device.heard)
                # The center speaks every five seconds by itself; what was kept comes first.
                assert device.heard[0][0] == presence
    finally:
        assert program.end(signal.SIGTERM)[0] == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away: run the tests as root to see it")
def test_root_leaves_nothing_that_keeps_the_center_out(config: Path) -> None:
    """What root makes in the center's folder belongs to the folder's owner; the bundle belongs to root."""
    with tempfile.TemporaryDirectory() as name:  # a test's own folder is closed to everybody else
        data = Path(name) / "data"
        data.mkdir()
        Path(name).chmod(0o755)
        os.chown(data, 65534, 65534)
        config.write_text(CONFIG.format(data=data), encoding="utf-8")
        assert main(["q03", "--config", str(config)]) == 0
        assert {file.stat().st_uid for file in (data, data / "keys", *(data / "keys").iterdir())} == {65534}
        assert Path("motcua-q03.tar.gz").stat().st_uid == 0


def test_the_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    """Without arguments, and with --help wherever it stands, the commands are shown."""
    assert main([]) == 2
    for asked in (["--help"], ["q03", "--help"], ["revoke", "-h"]):
        capsys.readouterr()
        assert main(asked) == 0
        said = capsys.readouterr().out
        assert all(word in said for word in ("provision COUNTER", "renew", "revoke", "list"))
