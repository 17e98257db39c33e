"""`motcua install-units`: puts units, users, rights and rules where systemd and udev read them, and takes them away.

What is installed is read from the distribution's folder `systemd/`. A file's place there says where it goes: a unit to
/etc/systemd/system, anything else to the folder of the same name under /etc. Its name says who needs it: a unit of the
center begins with `motcua-center`; all other units, rules and modules are for devices; users and rights are for both.
What stands in `motcua-device@KIND.service.d` is for the devices of that kind, whatever they are called.
"""

import argparse
import os
import re
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from host.files import replace_file

Part = Literal["center", "device"]
Run = Callable[[Sequence[str]], str | None]
"""Runs a command; returns None, or why it failed."""

STANDARD_PROGRAM = "/opt/motcua/bin/motcua"
"""What the units in the folder start; the program that is really there takes its place."""
UNITS = "etc/systemd/system"
_CONFIG: dict[Part, str] = {"center": "etc/motcua/center.toml", "device": "etc/motcua/station.toml"}
_MARK = "# Written by `motcua install-units`, and written over by the next one."
_UNSEEN = ("/home/", "/root/", "/run/", "/tmp/", "/var/tmp/")  # noqa: S108 - nothing is written there
_ADDITION = re.compile(r"motcua-device@(?P<name>.+)\.service\.d")
_TEMPLATE = "motcua-device@.service"
_WORD = re.compile(r"[a-z0-9][a-z0-9-]*")
_PATH = re.compile(r"/[A-Za-z0-9._+/-]+")


class InstallError(Exception):
    """It cannot be installed so; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody asks for. `root` is an image's folder, or that of the machine that runs, which then is `live`.

    `devices` are names in the station's file; `kinds` has the kinds of those that are called otherwise.
    """

    root: Path
    parts: frozenset[Part] = frozenset(("center", "device"))
    live: bool = False
    devices: tuple[str, ...] = ()
    enable: bool = False
    program: str = STANDARD_PROGRAM
    kinds: Mapping[str, str] = field(default_factory=dict)


# --- what goes where: pure -------------------------------------------------------------------------------------------


def targets(folder: Path, wanted: Wanted) -> dict[str, str]:
    """Return path, without its root, and content of each file that is asked for."""
    return {
        target: _content(file, wanted.program)
        for file in sorted(folder.rglob("*"))
        if file.is_file() and _parts_of(file) & wanted.parts
        for target in _targets(file.relative_to(folder), wanted)
    }


def _targets(file: Path, wanted: Wanted) -> list[str]:
    if (addition := _ADDITION.fullmatch(file.parent.name)) is not None:
        kind = addition["name"]
        names = [name for name in wanted.devices if wanted.kinds.get(name, name) == kind]
        if not wanted.devices:
            names = [kind]  # nothing is configured yet
        return [f"{UNITS}/motcua-device@{name}.service.d/{file.name}" for name in names]
    return [f"{UNITS}/{file.name}" if _is_unit(file) else f"etc/{file}"]


def _parts_of(file: Path) -> frozenset[Part]:
    if file.parent.name in ("sysusers.d", "tmpfiles.d"):
        return frozenset(("center", "device"))
    return frozenset(("center",)) if file.name.startswith("motcua-center") else frozenset(("device",))


def _content(file: Path, program: str) -> str:
    text = file.read_text(encoding="utf-8").replace(STANDARD_PROGRAM, program)
    unit = file.name if _is_unit(file) else _TEMPLATE if _ADDITION.fullmatch(file.parent.name) else ""
    advice = f" For changes of your own: systemctl edit {unit.replace('@.', '@NAME.')}" if unit else ""
    return f"{_MARK}{advice}\n{text}"


def _is_unit(file: Path) -> bool:
    return file.suffix in (".service", ".timer")


def starts(files: Mapping[str, str], devices: Sequence[str]) -> list[str]:
    """Return the units that are to run: the timers, and of services those that no timer starts."""
    names = [Path(path).name for path in files if path.startswith(UNITS)]
    timers = [name for name in names if name.endswith(".timer")]
    services = [
        name for name in names if name.endswith(".service") and name.replace(".service", ".timer") not in timers
    ]
    return [
        unit
        for name in [*services, *timers]
        for unit in ([name.replace("@.", f"@{device}.") for device in devices] if "@." in name else [name])
    ]


# --- the edge --------------------------------------------------------------------------------------------------------


def install(wanted: Wanted, folder: Path, *, run: Run, say: Callable[[str], None], dry: bool = False) -> None:
    """Write what differs, make users and rights, tell systemd and udev of it; raise InstallError."""
    files = targets(folder, wanted)
    units = starts(files, wanted.devices)
    if wanted.enable:
        _check_configured(wanted)
    changed = set()
    ran_before = (wanted.root / UNITS / _TEMPLATE).is_file()
    for path, content in files.items():
        target = wanted.root / path
        before = _read(target)
        if before == content:
            say(f"unchanged  {target}")
            continue
        addition = _ADDITION.fullmatch(target.parent.name)
        if before is not None or (addition is not None and ran_before):
            changed.add(target.parent.name.removesuffix(".d") if addition is not None else target.name)
        say(f"{'new      ' if before is None else 'changed  '}  {target}")
        if not dry:
            _write(target, content)
    for step in _steps(wanted):
        _do(step, run=run, say=say, dry=dry)
    if wanted.enable:
        _do(_systemctl(wanted, "enable", *(["--now"] if wanted.live else []), *units), run=run, say=say, dry=dry)
        if wanted.live and (stale := [unit for unit in units if {unit, _template(unit)} & changed]):
            _do(["systemctl", "try-restart", *stale], run=run, say=say, dry=dry)
    else:
        say(f"next: write {_files_of(wanted)}, then: motcua install-units {_options(wanted)} --enable")


def uninstall(wanted: Wanted, folder: Path, *, run: Run, say: Callable[[str], None], dry: bool = False) -> None:
    """Stop what runs and remove what was installed; configuration, data and users stay."""
    root = wanted.root
    files = targets(folder, wanted)
    there = [root / path for path in files if (root / path).is_file()]
    there += [each for each in _additions(root) if each not in there]
    names = {target.name for target in there if target.parent == root / UNITS}
    enabled = sorted({link.name for link in (root / UNITS).glob("*.wants/motcua-*") if _template(link.name) in names})
    if enabled:
        _do(_systemctl(wanted, "disable", *enabled), run=run, say=say, dry=dry)
    if names and wanted.live:
        # A template is stopped by a pattern: an instance may run without being enabled.
        _do(["systemctl", "stop", *(name.replace("@.", "@*.") for name in sorted(names))], run=run, say=say, dry=dry)
    for target in there:
        say(f"removed    {target}")
        if not dry:
            _remove(target)
    if there and wanted.live:
        _do(["systemctl", "daemon-reload"], run=run, say=say, dry=dry)
        _do(["udevadm", "control", "--reload"], run=run, say=say, dry=dry)
    say("left where they are: /etc/motcua, /var/lib/motcua*, the users motcua and motcua-center")


def _additions(root: Path) -> list[Path]:
    """Return what was installed for devices of some kind, under whichever names they had."""
    files = sorted((root / UNITS).glob("motcua-device@*.service.d/*"))
    return [file for file in files if file.is_file() and (_read(file) or "").startswith(_MARK)]


def _steps(wanted: Wanted) -> Iterator[list[str]]:
    """Yield the commands that make what was written count: each time, as the last time may have been cut short."""
    at = [] if wanted.live else [f"--root={wanted.root}"]
    yield ["systemd-sysusers", *at, "motcua.conf"]
    yield ["systemd-tmpfiles", *at, "--create", "motcua.conf"]
    if not wanted.live:
        return
    if "device" in wanted.parts:
        yield ["udevadm", "control", "--reload"]
        yield ["udevadm", "trigger", "--subsystem-match=gpio", "--subsystem-match=tty", "--settle"]
        yield ["systemctl", "restart", "systemd-modules-load.service"]
    yield ["systemctl", "daemon-reload"]


def _systemctl(wanted: Wanted, *arguments: str) -> list[str]:
    return ["systemctl", *([] if wanted.live else [f"--root={wanted.root}"]), *arguments]


def _do(command: Sequence[str], *, run: Run, say: Callable[[str], None], dry: bool) -> None:
    say(f"{'would run' if dry else 'runs     '}  {' '.join(command)}")
    why = None if dry else run(command)
    if why is None:
        return
    if "systemd-modules-load.service" not in command:
        raise InstallError(f"{' '.join(command)}: {why}")
    say(f"warning    {why}: some module is missing here; adapters may need a restart of their device's service")


def _template(unit: str) -> str:
    return re.sub(r"@.*\.", "@.", unit)


def _files_of(wanted: Wanted) -> str:
    return " and ".join(f"/{_CONFIG[part]}" for part in sorted(wanted.parts))


def _options(wanted: Wanted) -> str:
    options = {"center": "--center", "device": " ".join(["--device", *wanted.devices])}
    return " ".join(options[part] for part in sorted(wanted.parts))


def _check_configured(wanted: Wanted) -> None:
    for part in sorted(wanted.parts):
        if not (wanted.root / _CONFIG[part]).is_file():
            raise InstallError(
                f"--enable: {wanted.root / _CONFIG[part]} is not there: write it first, or leave --enable out"
            )
    if "device" in wanted.parts and not wanted.devices:
        raise InstallError("--enable: which devices? Name them after --device")


def _read(target: Path) -> str | None:
    try:
        return target.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise InstallError(f"{target}: cannot be read: {error}") from error


def _write(target: Path, content: str) -> None:
    """Write a file whole or not at all, also before a power cut."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        replace_file(target, content.encode(), mode=0o644)
    except OSError as error:
        raise InstallError(f"{target}: cannot be written: {error.strerror}; {_advice()}") from error


def _remove(target: Path) -> None:
    try:
        target.unlink()
        if _ADDITION.fullmatch(target.parent.name) and not any(target.parent.iterdir()):
            target.parent.rmdir()
    except OSError as error:
        raise InstallError(f"{target}: cannot be removed: {error.strerror}; {_advice()}") from error


def _advice() -> str:
    return "run it as root (sudo)" if os.geteuid() else "is the disk read-only?"


# --- the command -----------------------------------------------------------------------------------------------------


def folder() -> Path:
    """Return where this distribution has its units: in the work tree it runs from, else where pip has put them."""
    source = Path(__file__).parents[1] / "systemd"
    installed = Path(sysconfig.get_path("data")) / "share" / "motcua" / "systemd"
    return source if (source / "motcua-center.service").is_file() else installed


def main(argv: Sequence[str] | None = None) -> int:
    """Install or uninstall; returns 0 done, 1 failed, 2 asked wrongly."""
    parser = argparse.ArgumentParser(
        prog="motcua install-units",
        description="Install the systemd units of a center or of a counter's devices, with their users and rights.",
    )
    parser.add_argument("--center", action="store_true", help="this machine is the center's server")
    parser.add_argument(
        "--device",
        nargs="*",
        metavar="NAME",
        help="this machine is a counter's; without names, the devices that /etc/motcua/station.toml has",
    )
    parser.add_argument("--enable", action="store_true", help="start them now and at every boot")
    parser.add_argument("--uninstall", action="store_true", help="stop and remove all units of Motcua; data stays")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done and do nothing")
    parser.add_argument(
        "--root", type=Path, default=Path("/"), metavar="DIR", help="install into an image mounted there"
    )
    parser.add_argument("--program", metavar="PATH", help="what the units start; by default this very program")
    try:
        arguments = parser.parse_args(argv)
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else 2
    parts: set[Part] = set()
    if arguments.center:
        parts.add("center")
    if arguments.device is not None:
        parts.add("device")
    if bool(parts) == arguments.uninstall:
        sys.stderr.write(
            "motcua install-units: say --center, --device NAME… or --uninstall, and only one of the last\n"
        )
        return 2
    try:
        root = _checked_root(arguments.root, dry=arguments.dry_run)
        live = root == Path("/")
        if arguments.uninstall:
            uninstall(Wanted(root, live=live), folder(), run=_run, say=_say, dry=arguments.dry_run)
            return 0
        kinds = _configured(root) if "device" in parts else {}
        names = _checked_names(arguments.device or list(kinds)) if "device" in parts else ()
        program = _checked_program(arguments.program, root)
        wanted = Wanted(root, frozenset(parts), live, names, arguments.enable, program, kinds)
        install(wanted, folder(), run=_run, say=_say, dry=arguments.dry_run)
    except InstallError as error:
        sys.stderr.write(f"motcua install-units: {error}\n")
        return 1
    return 0


def _checked_root(root: Path, *, dry: bool) -> Path:
    root = root.absolute()
    if not root.is_dir():
        raise InstallError(f"--root {root}: a folder, the root of a mounted image")
    if root == Path("/") and not dry:
        if os.geteuid() != 0:
            raise InstallError("only root may: sudo motcua install-units …")
        if not Path("/run/systemd/system").is_dir():
            raise InstallError("systemd does not run this machine; for an image that it will run: --root DIR")
    return root


def _checked_program(given: str | None, root: Path) -> str:
    """Return the program as the units will find it."""
    program = given or str(Path(sysconfig.get_path("scripts")) / "motcua")
    if given is None and root != Path("/"):
        # A program of the image itself, or of the machine that prepares it: then the image's own stands in its place.
        inside = Path(program)
        program = f"/{inside.relative_to(root)}" if inside.is_relative_to(root) else STANDARD_PROGRAM
    if not _PATH.fullmatch(program):
        raise InstallError(f"{program}: units start a program by an absolute path of letters, digits and . _ + - only")
    if program.startswith(_UNSEEN):
        raise InstallError(f"{program}: units see neither homes nor temporary folders; install it under /opt/motcua")
    if not (root / program[1:]).exists():
        raise InstallError(f"{root / program[1:]} is not there: install Motcua first, or name it: --program PATH")
    return program


def _checked_names(names: Sequence[str]) -> tuple[str, ...]:
    for name in names:
        if not _WORD.fullmatch(name):
            raise InstallError(f"--device {name!r}: a name of small letters, digits and hyphens, as in station.toml")
    return tuple(dict.fromkeys(names))


def _configured(root: Path) -> Mapping[str, str]:
    """Return name → kind of the devices that the station's file has, none where there is no such file yet."""
    path = root / _CONFIG["device"]
    try:
        with path.open("rb") as file:
            devices = tomllib.load(file).get("device")
    except FileNotFoundError:
        return {}
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InstallError(f"{path}: {error}") from error
    if not isinstance(devices, dict):
        return {}
    return {name: str(table.get("kind", name)) if isinstance(table, dict) else name for name, table in devices.items()}


def _run(command: Sequence[str]) -> str | None:
    try:
        done = subprocess.run(  # noqa: S603 - our own commands, without a shell
            command, check=False, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, timeout=120
        )
    except FileNotFoundError:
        return "not found; it is part of systemd (apt install systemd udev)"
    except subprocess.TimeoutExpired:
        return "does not come to an end"
    if done.returncode == 0:
        return None
    return done.stderr.strip().replace("\n", "; ") or f"ended with {done.returncode}"


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
