"""The check-up of a station, put together: which checks there are for what its file configures."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlunsplit

from contract.settings import SettingsError, explain_os_error, parse
from firmware.config import DeviceConfig, load, read_secret
from firmware.devices.camera.config import CameraConfig
from firmware.devices.registry import KINDS
from firmware.doctor import cameras, hearing, outboxes, pins, ports
from firmware.errors import ConfigError
from firmware.version import VERSION
from host.doctor import body, broker, certificates, clock, disk, rights, units
from host.doctor.broker import Door, Word
from host.doctor.examine import Check
from host.doctor.finding import Finding, ok, problem
from host.doctor.holders import Holder, Processes
from host.doctor.rights import User
from host.doctor.roots import Roots

USER = "motcua"
STATE_DIR = "/var/lib/motcua"
"""What the unit gives the devices, where the file does not."""

PAGES_PORT = 8080
"""Where a center's pages are as a rule; asked for the time only."""

BROKER_LIMIT_S = 25.0
CAMERA_LIMIT_S = 25.0
_RENEW = "renew it at the center: docs/guide/operator.md"
_NEW_KEYS = (
    "make new ones at the center (motcua provision renew {station}; provision {station}, if none is good) and install"
    " them here (motcua device install): new keys are tried within seconds, refused ones in the end every ten minutes"
)

T = TypeVar("T")


@dataclass(slots=True)
class Station:
    """What a file says, as far as it can be used."""

    path: Path
    devices: list[DeviceConfig] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def read(path: Path) -> Station:
    """Read a file device by device, so that one mistake hides no other."""
    station = Station(path)
    try:
        names = parse(path.read_bytes()).get("device")
    except OSError as error:
        station.faults.append(f"{path}: {explain_os_error(error)}")
        return station
    except SettingsError as error:
        station.faults.append(f"{path}: {error}")
        return station
    if names == {}:
        station.faults.append(f"{path}: device: at least one device, got none")
    for name in names if isinstance(names, dict) else ["a device"]:
        try:
            station.devices.append(load(path, name, KINDS, environment=_of_the_unit(name)))
        except ConfigError as error:
            station.faults.append(str(error))
    station.faults = list(dict.fromkeys(station.faults))  # what is wrong above the devices, each of them says
    return station


def _of_the_unit(name: str) -> Mapping[str, str]:
    """Return what systemd tells a device that it runs; root sees its credentials, while it runs."""
    return {"STATE_DIRECTORY": STATE_DIR, "CREDENTIALS_DIRECTORY": f"/run/credentials/motcua-device@{name}.service"}


def checks(path: Path, *, roots: Roots | None = None, read_chip: pins.ReadChip = pins.read_chip) -> Sequence[Check]:
    """Return the checks for a station's file, in the order in which they are shown."""
    roots = roots or Roots()
    station = read(path)
    devices = station.devices
    processes = Processes(roots.proc)
    pin_uses = [use for each in devices for use in pins.uses(each.name, each.options)]
    port_uses = [
        ports.PortUse(each.name, Path(port), shared=bool(getattr(each.options, "shared", None)))
        for each in devices
        if (port := getattr(each.options, "port", None))
    ]
    user = rights.user_of(USER)
    found = [Check("configuration", lambda: _configuration(station, pin_uses, port_uses))]
    if pin_uses:
        found.append(
            Check(
                "pins",
                lambda: pins.judge(
                    pin_uses, pins.probe(pin_uses, _daemons(devices, processes), roots, processes, read=read_chip)
                ),
            )
        )
    if port_uses:
        found.append(
            Check(
                "serial ports",
                lambda: _all(port_uses, lambda use: ports.judge(ports.probe(use, roots, processes), user)),
            )
        )
    found.append(Check("cameras", lambda: _cameras(devices, roots, user), CAMERA_LIMIT_S))
    if devices:
        found += [
            *_visits(devices, roots, processes),
            Check("certificates", lambda: _certificates(devices)),
            Check("clock", lambda: _clock(devices[0], roots)),
            Check("disk", lambda: disk.judge(disk.probe(devices[0].state_dir.parent, roots))),
            Check(
                "outboxes",
                lambda: _all(
                    devices, lambda each: outboxes.judge(outboxes.probe(each.name, each.state_dir, processes))
                ),
            ),
            Check("permissions", lambda: _permissions(path, devices, user or rights.current_user())),
        ]
    found += [
        Check("power", lambda: body.judge_power(body.probe(roots))),
        Check("memory", lambda: body.judge_memory(body.probe(roots))),
        Check("units", lambda: _all(devices, lambda each: _unit(each.name, roots))),
    ]
    return found


def _configuration(
    station: Station, pin_uses: Sequence[pins.Use], port_uses: Sequence[ports.PortUse]
) -> Sequence[Finding]:
    found = [problem("config", fault, "correct that line of the file") for fault in station.faults]
    if station.devices:
        names = ", ".join(each.name for each in station.devices)
        address = station.devices[0].address
        found.append(ok("config-read", f"{station.path}: station {address.station} of {address.center}, with {names}"))
    return [*found, *pins.judge_uses(pin_uses), *ports.judge_uses(port_uses)]


def _daemons(devices: Sequence[DeviceConfig], processes: Processes) -> dict[str, Holder]:
    """Return the processes that run these devices: each holds the lock of its outbox."""
    held = {each.name: processes.locking(each.state_dir / "outbox.lock") for each in devices}
    return {name: holder for name, holder in held.items() if holder is not None}


def _cameras(devices: Sequence[DeviceConfig], roots: Roots, user: User | None) -> Sequence[Finding]:
    uses = [
        cameras.CameraUse(each.address.station, each.name, each.options, each.state_dir)
        for each in devices
        if isinstance(each.options, CameraConfig)
    ]
    is_set = clock.probe(roots).synchronised
    judged = _all(
        uses,
        lambda use: cameras.judge(
            cameras.probe(use, roots, clock_is_set=is_set), user and _in_unit(user, use.device, roots)
        ),
    )
    return [*cameras.look(roots), *judged]


def _in_unit(user: User, device: str, roots: Roots) -> User:
    """Return the user with the groups that the unit of a camera adds, where that is installed."""
    if not (roots.etc / "systemd/system" / f"motcua-device@{device}.service.d").is_dir():
        return user
    return User(user.name, user.uid, user.gids | rights.gids_of("video"))


def _doors(devices: Sequence[DeviceConfig]) -> list[list[DeviceConfig]]:
    """Return the devices in groups that go to the same broker with the same papers."""
    groups: list[list[DeviceConfig]] = []
    for each in devices:
        group = next((group for group in groups if group[0].broker == each.broker), None)
        if group is None:
            groups.append([each])
        else:
            group.append(each)
    return groups


def _visits(devices: Sequence[DeviceConfig], roots: Roots, processes: Processes) -> list[Check]:
    groups = _doors(devices)
    return [
        Check(
            "broker" if len(groups) == 1 else f"broker, as {', '.join(each.name for each in group)}",
            partial(_broker, group, roots, processes),
            BROKER_LIMIT_S,
        )
        for group in groups
    ]


def _broker(group: Sequence[DeviceConfig], roots: Roots, processes: Processes) -> Sequence[Finding]:
    from firmware.mqtt.tls import explain_tls, needs_new_keys, tls_context

    config, address = group[0].broker, group[0].address
    is_set = clock.probe(roots).synchronised
    daemons = _daemons(group, processes)
    expected = [hearing.Expected(each.address, daemons.get(each.name)) for each in group]
    try:
        password = read_secret(config.password_file, "broker.password_file") if config.password_file else None
        door = Door(
            host=config.host,
            port=config.port,
            username=config.username,
            password=password,
            mqtt_5=config.protocol == "5",
            context=tls_context(config, clock_is_set=is_set, oldest=True),
            explain=lambda error: explain_tls(error, config),
            needs_new_keys=needs_new_keys,
            new_keys=_NEW_KEYS.format(station=address.station),
        )
    except ConfigError as error:
        return [problem("broker-files", str(error), "correct it; a file that only its user may read needs sudo here")]
    center = hearing.center_topic(address)
    facts = broker.probe(door, [center, *(each.topic for each in expected)], enough=_center_is_live(center))
    found = [*broker.judge(facts, door, now=datetime.now(UTC), clock_is_set=is_set)]
    if facts.let_in:
        found.append(hearing.judge_center(facts.heard, center, center=address.center))
        found.extend(hearing.judge_devices(facts.heard, expected, version=VERSION))
    for each in expected:
        if each.holder is not None:
            found.extend(hearing.judge_connection(each.holder, processes.connected(each.holder.pid, config.port)))
    return found


def _center_is_live(topic: str) -> Callable[[Mapping[str, Word]], bool]:
    return lambda heard: topic in heard and heard[topic].live


def _certificates(devices: Sequence[DeviceConfig]) -> Sequence[Finding]:
    named = {
        (path, key): None
        for each in devices
        for path, key in ((each.broker.ca_file, "broker.ca_file"), (each.broker.cert_file, "broker.cert_file"))
        if path is not None
    }
    now = datetime.now(UTC)
    return _all(
        list(named),
        lambda one: certificates.judge(certificates.probe(Path(one[0])), key=one[1], now=now, renew=_RENEW),
    )


def _clock(device: DeviceConfig, roots: Roots) -> Sequence[Finding]:
    found = list(clock.judge(clock.probe(roots), decides_the_day=False))
    host = device.broker.host
    url = urlunsplit(("http", f"{f'[{host}]' if ':' in host else host}:{PAGES_PORT}", "/healthz", "", ""))
    theirs = clock.date_of(url, timeout_s=2)
    if theirs is not None:
        found.append(clock.compare(datetime.now(UTC), theirs, whose="the center's server"))
    return found


def _permissions(path: Path, devices: Sequence[DeviceConfig], user: User) -> Sequence[Finding]:
    found = [*rights.judge_config(rights.probe(path), user)]
    for secret, key in dict.fromkeys(
        (secret, key)
        for each in devices
        for secret, key in (
            (each.broker.password_file, "broker.password_file"),
            (each.broker.key_file or each.broker.cert_file, "broker.key_file"),
        )
        if secret is not None
    ):
        found.extend(rights.judge_secret(rights.probe(Path(secret)), user, key=key))
    for folder in dict.fromkeys(each.state_dir.parent for each in devices):
        found.extend(rights.judge_folder(rights.probe(folder), user))
    return found


def _unit(device: str, roots: Roots) -> Sequence[Finding]:
    facts = units.probe(f"motcua-device@{device}.service", roots)
    return units.judge(facts, version=VERSION) if facts is not None else []


def _all(things: Sequence[T], look: Callable[[T], Sequence[Finding]]) -> list[Finding]:
    return [finding for thing in things for finding in look(thing)]
