"""`motcua device install`: what a bundle holds comes to its place, whole, or not at all."""

import io
import stat
import tarfile
from pathlib import Path

import pytest

from center.keys.bundle import pack, station_toml
from firmware.cli import main
from firmware.config import load
from firmware.devices.registry import KINDS

KEYS = {"q03/rating": b"the rating pad's key", "q03/keys": b"the station's key"}


def bundle(folder: Path, *, station: str = "q03", keys: dict[str, bytes] = KEYS) -> Path:
    """Write a bundle as `motcua provision` makes it."""
    toml = station_toml(
        center="bentre", root="motcua", station=station, host="192.168.10.2", port=8883, devices=["rating"],
        scale="vn-3", levels=3,
    )  # fmt: skip
    path = folder / "bundle.tar.gz"
    path.write_bytes(pack(toml, b"the root", keys, made_at=0))
    return path


def test_everything_comes_to_its_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Keys come to the devices' folder for its owner alone, the configuration where the units look for it."""
    root = tmp_path / "root"
    assert main(["install", str(bundle(tmp_path)), "--root", str(root)]) == 0
    keys = root / "var/lib/motcua/keys"
    assert (keys / "root.pem").read_bytes() == b"the root"
    assert (keys / "q03/rating.pem").read_bytes() == KEYS["q03/rating"]
    assert {stat.S_IMODE(file.stat().st_mode) for file in keys.rglob("*.pem")} == {0o600}
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in (keys, keys / "q03", keys.parent)} == {0o700}
    station = root / "etc/motcua/station.toml"
    assert stat.S_IMODE(station.stat().st_mode) == 0o640
    assert load(station, "rating", KINDS, environment={"STATE_DIRECTORY": "/x"}).broker.host == "192.168.10.2"
    assert "keys of q03/keys, q03/rating" in capsys.readouterr().out
    assert not list(root.rglob(".*"))


def test_a_file_that_somebody_wrote_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A station's file that is there stays, the keys are replaced, and the lines that it needs are shown."""
    station = tmp_path / "etc/motcua/station.toml"
    station.parent.mkdir(parents=True)
    own = 'center = "bentre"\nstation = "q03"\n[device.rating]\nscale = "vn-5"\n'
    station.write_text(own)
    assert main(["install", str(bundle(tmp_path)), "--root", str(tmp_path)]) == 0
    assert station.read_text() == own
    assert (tmp_path / "var/lib/motcua/keys/q03/rating.pem").exists()
    said = capsys.readouterr().out
    assert "left as it is" in said
    assert 'keys_dir = "/var/lib/motcua/keys"' in said
    assert main(["install", str(bundle(tmp_path)), "--root", str(tmp_path), "--force"]) == 0
    assert "vn-3" in station.read_text()


def test_keys_of_another_station_are_not_put_here(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A bundle that was carried to the wrong Pi changes nothing, unless that Pi is to change its place."""
    assert main(["install", str(bundle(tmp_path)), "--root", str(tmp_path)]) == 0
    other = bundle(tmp_path, station="q04", keys={"q04/rating": b"another"})
    assert main(["install", str(other), "--root", str(tmp_path)]) == 1
    assert "is for q03 of bentre, the bundle for q04 of bentre" in capsys.readouterr().err
    assert not (tmp_path / "var/lib/motcua/keys/q04").exists()
    assert main(["install", str(other), "--root", str(tmp_path), "--force"]) == 0
    assert (tmp_path / "var/lib/motcua/keys/q04/rating.pem").read_bytes() == b"another"


def archive(folder: Path, *members: tarfile.TarInfo) -> Path:
    """Write an archive that motcua provision would not make."""
    path = folder / "bad.tar.gz"
    with tarfile.open(path, "w:gz") as made:
        for member in members:
            made.addfile(member, io.BytesIO(bytes(member.size)))
    return path


def member(name: str, *, size: int = 3, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    """Return an archive's member."""
    one = tarfile.TarInfo(name)
    one.size, one.type, one.linkname = size, kind, link
    return one


@pytest.mark.parametrize(
    "bad",
    [
        [member("../../etc/shadow")],
        [member("/etc/shadow")],
        [member("keys/../../x.pem")],
        [member("keys/q03/rating.pem", kind=tarfile.SYMTYPE, link="/etc/shadow", size=0)],
        [member("keys/q03/../rating.pem")],
        [member("keys/q03/rating.pem\n")],
        [member("keys/root.pem", size=100_000)],
        [member("keys/root.pem")],
        [member("station.toml")],
        [],
    ],
    ids=lambda bad: repr([one.name for one in bad]),
)
def test_what_does_not_belong_in_a_bundle_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], bad: list[tarfile.TarInfo]
) -> None:
    """An archive with any other file, a link, too much or too little is refused whole, in one line."""
    root = tmp_path / "root"
    assert main(["install", str(archive(tmp_path, *bad)), "--root", str(root)]) == 1
    said = capsys.readouterr().err
    assert "no bundle of motcua provision" in said
    assert said.count("\n") == 1
    assert not root.exists()


@pytest.mark.parametrize(("content", "line"), [(b"nothing", "damaged"), (None, "cannot be read")])
def test_a_file_that_is_no_archive_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, line: str
) -> None:
    """A missing file, or one that was damaged on its way, is one line."""
    path = tmp_path / "bundle.tar.gz"
    if content is not None:
        path.write_bytes(content)
    assert main(["install", str(path), "--root", str(tmp_path)]) == 1
    assert line in capsys.readouterr().err


def test_half_a_bundle_is_refused_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A bundle that was cut off on its way installs nothing."""
    path = bundle(tmp_path)
    path.write_bytes(path.read_bytes()[:-30])
    root = tmp_path / "root"
    assert main(["install", str(path), "--root", str(root)]) == 1
    assert "damaged on its way" in capsys.readouterr().err
    assert not root.exists()


@pytest.mark.parametrize("where", ["var/lib/motcua/keys", "var/lib/motcua/keys/q03"])
def test_a_link_in_the_place_of_a_folder_leads_nowhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], where: str
) -> None:
    """The devices' user could lead whoever installs, as root, out of the folder of keys: links there are refused."""
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    elsewhere.mkdir()
    link = root / where
    link.parent.mkdir(parents=True)
    link.symlink_to(elsewhere)
    assert main(["install", str(bundle(tmp_path)), "--root", str(root)]) == 1
    assert f"{link}: is a link; remove it" in capsys.readouterr().err
    assert list(elsewhere.iterdir()) == []


def test_a_file_that_waits_for_the_key_does_not_get_it(tmp_path: Path) -> None:
    """What lies where a key is first written is not written to: its owner could read it, or give it away."""
    root = tmp_path / "root"
    folder = root / "var/lib/motcua/keys/q03"
    folder.mkdir(parents=True)
    (tmp_path / "other").write_text("of somebody else")
    (folder / ".rating.pem.new").hardlink_to(tmp_path / "other")
    assert main(["install", str(bundle(tmp_path)), "--root", str(root)]) == 0
    assert (tmp_path / "other").read_text() == "of somebody else"
    assert (folder / "rating.pem").read_bytes() == KEYS["q03/rating"]


def test_keys_stay_under_the_folder_that_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A bundle whose configuration leads upwards is refused."""
    toml = station_toml(
        center="bentre", root="motcua", station="q03", host="h", port=8883, devices=["rating"], scale="vn-3", levels=3
    ).replace("/var/lib/motcua/keys", "/var/../../keys")
    path = tmp_path / "bad.tar.gz"
    path.write_bytes(pack(toml, b"the root", KEYS, made_at=0))
    assert main(["install", str(path), "--root", str(tmp_path / "root")]) == 1
    assert "broker.keys_dir: a folder by its whole path" in capsys.readouterr().err
    assert not (tmp_path / "keys").exists()


def test_what_a_renewal_says_names_center_and_station(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the journal a renewal is found as every line of a device is: by `MOTCUA_STATION=q03`."""
    fields: dict[str, str] = {}
    said: list[dict[str, str]] = []
    monkeypatch.setattr("firmware.keys.cli.journal.start", lambda _level: fields)
    monkeypatch.setattr("firmware.keys.cli.renew", lambda *_, **__: said.append(dict(fields)))
    assert main(["install", str(bundle(tmp_path)), "--root", str(tmp_path)]) == 0
    assert main(["renew", "--config", str(tmp_path / "etc/motcua/station.toml")]) == 0
    assert said == [{"MOTCUA_CENTER": "bentre", "MOTCUA_STATION": "q03"}]
