"""`motcua provision`: keys for a counter's devices, made and revoked at the center."""

import argparse
import contextlib
import os
import re
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from center.config import Config, read
from center.errors import CenterError, ConfigError, KeysError
from center.keys import names, papers
from center.keys.access import KEYS_DEVICE, READER
from center.keys.authority import Authority
from center.keys.bundle import pack, pack_for_reader, station_toml
from center.keys.index import Issued
from center.keys.keeper import authority
from contract.topics import CENTER_STATION, SEGMENT
from host.doctor.holders import Processes
from host.files import replace_file

CONFIG = Path("/etc/motcua/center.toml")
DEVICES = ("rating", "callpad", "display")
CENTER_S = 5.0
"""So long a center has to see that there are new keys; it looks every second."""
BROKER_S = 0.2
"""So long its broker has to read its list again."""
USAGE = """usage: motcua provision COUNTER [--devices NAME,NAME] [--host HOST] [--out FILE] [--place] [--config FILE]
       motcua provision --reader NAME [--host HOST] [--out FILE] [--config FILE]
       motcua provision renew COUNTER[/DEVICE] [--host HOST] [--out FILE] [--config FILE]
       motcua provision revoke COUNTER[/DEVICE] [--old] [--config FILE]
       motcua provision list [--config FILE]

  On the center's server: makes one file with the keys and the configuration of a counter's devices. Carry it to the
  counter's Pi and install it there: motcua device install FILE

  --reader  keys for another program, as Home Assistant, which may hear what devices say, and say nothing; to renew or
            revoke them it is reader/NAME
  renew     new keys for devices that have some; the old ones go on until they are revoked with --old
  revoke    keys that were lost or taken away: their devices are thrown off within seconds (--old: all but the newest)
  list      every key, until when, and whether it was revoked
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns 0 done, 1 failed, 2 asked or configured wrongly."""
    args = list(sys.argv[1:] if argv is None else argv)
    if not args or not {"-h", "--help"}.isdisjoint(args):
        sys.stdout.write(USAGE)
        return 0 if args else 2
    command = args.pop(0) if args[0] in ("list", "revoke", "renew") else "issue"
    try:
        options = _parser(command).parse_args(args)
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else 2
    try:
        return _run(command, options)
    except ConfigError as error:
        sys.stderr.write(f"motcua: {error}\n")
        return 2
    except CenterError as error:
        sys.stderr.write(f"motcua: {error}\n")
        return 1


def _parser(command: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="motcua provision", usage=USAGE[len("usage: ") :], add_help=False)
    parser.add_argument("--config", type=Path, default=CONFIG)
    if command == "issue":
        for_whom = parser.add_mutually_exclusive_group(required=True)
        for_whom.add_argument("target", nargs="?")
        for_whom.add_argument("--reader")
    elif command != "list":
        parser.add_argument("target")
    if command == "revoke":
        parser.add_argument("--old", action="store_true")
    if command in ("issue", "renew"):
        parser.add_argument("--host")
        parser.add_argument("--out", type=Path)
    if command == "issue":
        parser.add_argument("--devices", default=",".join(DEVICES))
        parser.add_argument("--place", action="store_true")
    return parser


def _run(command: str, options: argparse.Namespace) -> int:
    config = read(options.config)
    if not config.broker.secured:
        raise ConfigError(
            f'{options.config}: broker.host: an address that the counters reach, as "0.0.0.0", because a broker on'
            f' loopback asks for no keys, got "{config.broker.host}"'
            if config.broker.kind != "external"
            else f'{options.config}: broker.kind: not "external": keys are made for a broker that the center starts'
        )
    data_dir = Path(config.data_dir)
    if not data_dir.is_dir():
        raise KeysError(f"{data_dir}: no such folder; start the center once (systemctl start motcua-center)")
    match command:
        case "list":
            with _as_owner(data_dir):
                issued = Authority(data_dir / "keys", center=config.id).index().issued
            sys.stdout.write(_table(issued, datetime.now(UTC)))
        case "revoke":
            _revoke(config, *_target(options.target), old=options.old)
        case "renew":
            station, device = _target(options.target)
            _renew(config, station, device, options)
        case _ if options.reader is not None:
            _issue_reader(config, options.reader, options)
        case _:
            station, device = _target(options.target)
            if device is not None:
                raise KeysError(f"{options.target}: give the devices by --devices {device}")
            _check_station(config, station, place=options.place)
            _issue(config, station, _devices(options.devices), options)
    return 0


def _issue(config: Config, station: str, devices: Sequence[str], options: argparse.Namespace) -> None:
    data_dir, now = Path(config.data_dir), datetime.now(UTC)
    with _as_owner(data_dir):
        good = {one.identity for one in authority(config).index().of(station) if one.good(now)}
    if have := [device for device in devices if f"{station}/{device}" in good]:
        missing = ",".join(device for device in devices if device not in have)
        others = f"; for the others: motcua provision {station} --devices {missing}" if missing else ""
        raise KeysError(
            f"{station} has keys for {', '.join(have)} already: motcua provision renew {station} makes new ones{others}"
        )
    wanted = [f"{station}/{device}" for device in devices]
    if f"{station}/{KEYS_DEVICE}" not in good:
        wanted.append(f"{station}/{KEYS_DEVICE}")
    _make(config, station, devices, wanted, options)


def _issue_reader(config: Config, name: str, options: argparse.Namespace) -> None:
    identity = f"{READER}/{name}"
    if not re.fullmatch(SEGMENT, name):
        raise KeysError(f"--reader: a name of 1 to 32 of a-z, 0-9 and inner hyphens, got {name}")
    with _as_owner(Path(config.data_dir)):
        good = any(one.good(datetime.now(UTC)) for one in authority(config).index().of(READER, name))
    if good:
        raise KeysError(f"{identity} has keys already: motcua provision renew {identity} makes new ones")
    _make(config, READER, (), [identity], options)


def _renew(config: Config, station: str, device: str | None, options: argparse.Namespace) -> None:
    now = datetime.now(UTC)
    with _as_owner(Path(config.data_dir)):
        issued = authority(config).index().of(station, device)
    wanted = sorted({one.identity for one in issued if one.good(now)})
    if station == READER and (device is None or not wanted):
        raise KeysError(f"{options.target}: no reader that has good keys: motcua provision --reader NAME makes some")
    if not wanted:
        only = f" --devices {device}" if device and device != KEYS_DEVICE else ""
        raise KeysError(f"{options.target} has no keys that are good: motcua provision {station}{only} makes some")
    devices = [one.split("/")[1] for one in wanted if not one.endswith(f"/{KEYS_DEVICE}")]
    _make(config, station, devices, wanted, options)


def _make(
    config: Config, station: str, devices: Sequence[str], wanted: Sequence[str], options: argparse.Namespace
) -> None:
    reader = wanted[0] if station == READER else None
    out = options.out or Path(f"motcua-{(reader or station).replace('/', '-')}.tar.gz")
    host = options.host or _host(config)
    data_dir = Path(config.data_dir)
    with _as_owner(data_dir):
        one = authority(config)
        known = papers.names_of(papers.load(one.broker_file.read_bytes()).certificate)
    if host not in known:
        raise ConfigError(
            f'{options.config}: broker.names: with "{host}", so that the broker\'s certificate is good for it, got'
            f" {', '.join(known)}"
        )
    _check_free(out)
    with _as_owner(data_dir):
        pairs, root = one.issue(wanted), one.root_pem()
    _await_center(data_dir, wanted)
    made_at = int(datetime.now(UTC).timestamp())
    if reader is not None:
        _write(out, pack_for_reader(root, pairs[reader], made_at=made_at), again=f"renew {reader}")
        sys.stdout.write(
            f"{out}: keys for {reader}, which reaches the broker as {host}:{config.broker.port} over TLS\n"
            "It hears all that devices say, each rating too, and can say nothing: give it to who may know that.\n"
            "It holds a private key: delete it afterwards.\n"
        )
        return
    toml = station_toml(
        center=config.id,
        root=config.root,
        station=station,
        host=host,
        port=config.broker.port,
        devices=devices,
        scale=config.rating.scale,
        levels=len(config.scale.levels),
    )
    _write(out, pack(toml, root, pairs, made_at=made_at), again=f"renew {station}")
    sys.stdout.write(
        f"{out}: keys for {', '.join(devices)} of {station}, which reach the center as {host}:{config.broker.port}\n"
        f"Carry it to that Pi, then there: sudo motcua device install {out.name}\n"
        "It holds private keys: delete it afterwards.\n"
    )


def _check_free(out: Path) -> None:
    """Refuse a place for a bundle before keys are made for it."""
    if out.exists() or out.is_symlink():
        raise KeysError(f"{out}: exists; remove it, or choose another with --out")
    if not os.access(out.parent, os.W_OK | os.X_OK):
        raise KeysError(f"{out}: cannot be written: {out.parent} is no folder to write in; choose another with --out")


def _await_center(data_dir: Path, identities: Iterable[str]) -> None:
    """Return when a center that runs has put them on its broker's list, or does not seem to.

    Who comes before is let in by the certificate alone: nothing kept is handed out, and the first words are dropped.
    """
    if Processes(Path("/proc")).locking(data_dir / "center.lock") is None:
        return  # it lists them when it starts
    deadline = time.monotonic() + CENTER_S
    while not {f"user {identity}" for identity in identities} <= set(_lines(data_dir / "keys" / "acl")):
        if time.monotonic() > deadline:
            sys.stderr.write(
                "the center has not taken the new keys up yet: look at its log, journalctl -u motcua-center\n"
            )
            return
        time.sleep(0.05)
    time.sleep(BROKER_S)


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []


def _write(out: Path, bundle: bytes, *, again: str) -> None:
    """Write a bundle whole or not at all. Who is cut off here has keys that nobody holds, and makes others."""
    try:
        replace_file(out, bundle)
    except OSError as error:
        raise KeysError(
            f"{out}: cannot be written: {error.strerror}; the keys are made: motcua provision {again} --out FILE makes"
            f" others and writes them elsewhere"
        ) from error


def _revoke(config: Config, station: str, device: str | None, *, old: bool) -> None:
    data_dir = Path(config.data_dir)
    with _as_owner(data_dir):
        revoked = Authority(data_dir / "keys", center=config.id).revoke(station, device, but_newest=old)
    if not revoked:
        target = station if device is None else f"{station}/{device}"
        raise KeysError(f"{target} has no {'older ' if old else ''}keys to revoke: motcua provision list shows all")
    for one in revoked:
        sys.stdout.write(f"revoked: {one.identity}, serial {one.serial}\n")


def _table(issued: Sequence[Issued], now: datetime) -> str:
    if not issued:
        return "no keys yet: motcua provision COUNTER makes some\n"
    rows = [("device", "until", "made", "how", "state", "serial")]
    for one in issued:
        state = "good" if one.good(now) else "expired"
        if one.revoked_at is not None:
            state = f"revoked {one.revoked_at:%Y-%m-%d}"
        rows.append((one.identity, f"{one.expires_at:%Y-%m-%d}", f"{one.made_at:%Y-%m-%d}", one.how, state, one.serial))
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    return "".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() + "\n" for row in rows
    )


def _target(text: str) -> tuple[str, str | None]:
    station, slash, device = text.partition("/")
    for part in (station, device) if slash else (station,):
        if not re.fullmatch(SEGMENT, part):
            raise KeysError(f"{text}: a counter, or counter/device, of 1 to 32 of a-z, 0-9 and inner hyphens each")
    return station, device or None


def _check_station(config: Config, station: str, *, place: bool) -> None:
    counters = [one.id for one in config.counter]
    if station in (CENTER_STATION, READER):
        whose = "the center's own name" if station == CENTER_STATION else "for programs that only read: --reader NAME"
        raise KeysError(f"{station}: that is {whose}")
    if station not in counters and not place:
        raise KeysError(f"{station}: no counter of this center ({', '.join(counters)}); another place needs --place")


def _devices(text: str) -> list[str]:
    devices = list(dict.fromkeys(text.split(",")))
    for device in devices:
        if not re.fullmatch(SEGMENT, device) or device == KEYS_DEVICE:
            raise KeysError(
                f"--devices: names as in the station's file, with commas, and none of them {KEYS_DEVICE}, got {text}"
            )
    return devices


def _host(config: Config) -> str:
    """Return where devices reach this machine, if it is not told."""
    wild = config.broker.host in ("0.0.0.0", "::")  # noqa: S104 – compared, not bound
    for found in (() if wild else (config.broker.host,), config.broker.names, names.addresses()):
        if found:
            return found[0]
    raise KeysError("this machine has no address yet: connect it to the counters' network, or give one with --host")


@contextlib.contextmanager
def _as_owner(folder: Path) -> Iterator[None]:
    """Work in the center's folder as its owner: a file that root made there would keep the center out."""
    stat = folder.stat()
    if os.geteuid() != 0 or stat.st_uid == 0:
        yield
        return
    os.setegid(stat.st_gid)
    os.seteuid(stat.st_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


if __name__ == "__main__":
    sys.exit(main())
