"""`motcua device install BUNDLE`: puts what `motcua provision` made where the devices look for it."""

import os
import re
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from contract.settings import SettingsError, parse
from contract.topics import SEGMENT
from firmware.config import Station, read_station
from firmware.errors import ConfigError, MotcuaError
from host.files import replace_file

STATION = Path("etc/motcua/station.toml")
USER = "motcua"
MOST_BYTES = 64 * 1024
MOST_FILES = 100
_NAME = SEGMENT[1:-1]
_KEY = re.compile(rf"keys/(root|{_NAME}/{_NAME})\.pem")


class InstallError(MotcuaError):
    """The bundle cannot be installed; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Installed:
    """What was done. `kept`: the station's file was there and was left alone; `lines` must stand in it."""

    station_file: Path
    keys_dir: Path
    names: tuple[str, ...]
    kept: bool
    lines: str
    has_user: bool


def install(bundle: Path, *, root: Path = Path("/"), force: bool = False) -> Installed:
    """Install a bundle under `root`. A station's file that is there stays, unless `force`; keys are replaced.

    The keys come first: a power cut in between leaves a station as it was, or with keys that nothing names yet.
    """
    files = _read(bundle)
    ours = _station(files["station.toml"], f"{bundle}: station.toml")
    station_file = root / STATION
    kept = station_file.exists() and not force
    if kept:
        theirs = read_station(station_file)
        if (theirs.center, theirs.station) != (ours.center, ours.station):
            raise InstallError(
                f"{station_file}: is for {theirs.station} of {theirs.center}, the bundle for {ours.station} of"
                f" {ours.center}; if this Pi changes its place: --force writes a new file"
            )
    folder = ours.broker.keys_dir
    if kept and theirs.broker.keys_dir is not None:
        folder = theirs.broker.keys_dir
    if folder is None or not folder.startswith("/") or ".." in Path(folder).parts:
        raise InstallError(f"broker.keys_dir: a folder by its whole path, got {folder}")
    keys_dir = root / folder.lstrip("/")
    owner = _user(root)
    try:
        keys_dir.parent.parent.mkdir(parents=True, exist_ok=True)
        _folder(keys_dir.parent, owner)
        _folder(_no_link(keys_dir), owner)
        for name, content in sorted(files.items()):
            if name != "station.toml":
                file = keys_dir / name.removeprefix("keys/")
                _folder(_no_link(file.parent), owner)
                replace_file(file, content, mode=0o600, owner=owner)
        if not kept:
            station_file.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            group = None if owner is None else (os.geteuid(), owner[1])
            replace_file(station_file, files["station.toml"], mode=0o640, owner=group)
    except OSError as error:
        raise InstallError(f"{error.filename}: cannot be written: {error.strerror}; run this as root") from error
    return Installed(
        station_file=station_file,
        keys_dir=keys_dir,
        names=tuple(sorted(name[len("keys/") : -len(".pem")] for name in files if name.count("/") == 2)),
        kept=kept,
        lines=f'[broker]\nhost = "{ours.broker.host}"\nport = {ours.broker.port}\nkeys_dir = "{folder}"\n',
        has_user=owner is not None,
    )


def _read(bundle: Path) -> Mapping[str, bytes]:
    """Return the files of a bundle; nothing else may be in it."""
    files: dict[str, bytes] = {}
    try:
        with tarfile.open(bundle, mode="r:gz") as archive:
            for member in archive:
                known = member.name == "station.toml" or _KEY.fullmatch(member.name)
                content = archive.extractfile(member) if known and member.isreg() else None
                if content is None or member.size > MOST_BYTES or len(files) >= MOST_FILES:
                    raise InstallError(
                        f"{bundle}: no bundle of motcua provision: {member.name!r} does not belong in it"
                    )
                files[member.name] = content.read()
    except OSError as error:
        raise InstallError(f"{bundle}: cannot be read: {error.strerror or error}") from error
    except (tarfile.TarError, EOFError) as error:
        raise InstallError(f"{bundle}: no bundle of motcua provision, or damaged on its way: {error}") from error
    if "station.toml" not in files or "keys/root.pem" not in files:
        raise InstallError(f"{bundle}: no bundle of motcua provision: station.toml or keys/root.pem is missing")
    return files


def _station(text: bytes, path: str) -> Station:
    try:
        return msgspec.convert(parse(text), Station)
    except (SettingsError, msgspec.ValidationError) as error:
        raise ConfigError(f"{path}: {error}") from error


def _user(root: Path) -> tuple[int, int] | None:
    """Return the numbers of the devices' user in the system under `root`; None if it has none, or we may not give."""
    if os.geteuid() != 0:
        return None
    try:
        lines = (root / "etc/passwd").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    found = next((line.split(":") for line in lines if line.startswith(f"{USER}:")), None)
    return None if found is None else (int(found[2]), int(found[3]))


def _no_link(folder: Path) -> Path:
    """Refuse a link in a folder of the devices' user, who could lead whoever installs, as root, anywhere by it."""
    if folder.is_symlink():
        raise InstallError(f"{folder}: is a link; remove it, keys are kept in a folder of their own")
    return folder


def _folder(folder: Path, owner: tuple[int, int] | None) -> None:
    """Make a folder that is missing, for the devices' user alone."""
    if not folder.is_dir():
        folder.mkdir(mode=0o700)
        if owner is not None:
            os.chown(folder, *owner)
