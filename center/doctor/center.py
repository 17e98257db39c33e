"""The check-up of a center, put together: which checks there are for what its file configures."""

import importlib.util
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from center.cameras.bucket import Bucket
from center.cameras.vault import VaultError
from center.config import Config, read
from center.doctor import clear, copies, pages, store
from center.errors import ConfigError
from contract.codec import decode
from contract.errors import ContractError
from contract.states import Status
from contract.topics import Channel, center_address
from host.doctor import body, broker, certificates, clock, disk, rights, units
from host.doctor.broker import Door, Word
from host.doctor.examine import Check
from host.doctor.finding import Finding, ok, problem, warning
from host.doctor.holders import Holder, Processes
from host.doctor.roots import Roots

USER = "motcua-center"
UNIT = "motcua-center.service"
STORE_LIMIT_S = 20.0
BROKER_LIMIT_S = 25.0
BUCKET_LIMIT_S = 25.0
_SBIN = "/usr/sbin:/usr/local/sbin"
_LOG = "journalctl -u motcua-center -n 20"
_RENEW = "sudo systemctl restart motcua-center makes a new one; one of your own you renew yourself"


def checks(path: Path, *, version: str, roots: Roots | None = None, backups: Path = copies.FOLDER) -> Sequence[Check]:
    """Return the checks for a center's file, in the order in which they are shown."""
    roots = roots or Roots()
    about_the_machine = [
        Check("clock", lambda: clock.judge(clock.probe(roots), decides_the_day=True)),
        Check("power", lambda: body.judge_power(body.probe(roots))),
        Check("memory", lambda: body.judge_memory(body.probe(roots))),
        Check("units", lambda: _unit(roots, version)),
    ]
    try:
        config = read(path)
    except ConfigError as error:
        fault = problem("config", str(error), "correct that line of the file")
        return [Check("configuration", lambda: [fault]), *about_the_machine]
    processes = Processes(roots.proc)
    return [
        Check("configuration", lambda: [_configuration(path, config)]),
        Check("store", lambda: store.judge(store.probe(config.store_url, processes)), STORE_LIMIT_S),
        Check("copies", lambda: copies.judge(copies.probe(backups), now=datetime.now(UTC))),
        Check(
            "pages",
            lambda: pages.judge(pages.probe(config.http, processes), runs=_center(config, processes) is not None),
        ),
        Check("broker", lambda: _broker(config, processes, roots), BROKER_LIMIT_S),
        Check("certificates", lambda: _certificates(config)),
        *([Check("recordings", lambda: _recordings(config), BUCKET_LIMIT_S)] if config.clips.store else []),
        *(
            [Check("clear versions", lambda: clear.judge(config), STORE_LIMIT_S)]
            if config.clips.reveal_key_file
            else []
        ),
        Check("disk", lambda: disk.judge(disk.probe(Path(config.data_dir), roots))),
        Check("permissions", lambda: _permissions(path, config)),
        *about_the_machine,
    ]


def _configuration(path: Path, config: Config) -> Finding:
    counters = ", ".join(one.id for one in config.counter)
    return ok("config-read", f"{path}: center {config.id}, counters {counters}, {config.timezone}")


def _center(config: Config, processes: Processes) -> Holder | None:
    """Return the center that runs on this configuration's folder."""
    return processes.locking(Path(config.data_dir) / "center.lock")


def _broker(config: Config, processes: Processes, roots: Roots) -> Sequence[Finding]:
    own, runs = config.broker, _center(config, processes)
    if own.kind != "external":
        if (missing := _broker_missing(config)) is not None:
            return [missing]
        if runs is None:
            return [_broker_port(own.port, processes)]
    address = center_address(config.id, root=config.root)
    topic = address.topic(Channel.STATUS)
    try:
        door = _door(config)
    except OSError as error:
        return [problem("broker-files", f"{error.filename or 'keys'}: {error.strerror or error}", "run this with sudo")]
    facts = broker.probe(door, [topic], enough=_is_live(topic))
    found = [*broker.judge(facts, door, now=datetime.now(UTC), clock_is_set=clock.probe(roots).synchronised)]
    if runs is not None and facts.let_in:
        found.append(_heard(facts.heard.get(topic)))
    if runs is not None:
        found.extend(_connected(runs, own.port, processes))
    return found


def _broker_missing(config: Config) -> Finding | None:
    program = shutil.which("mosquitto", path=f"{os.environ.get('PATH', os.defpath)}:{_SBIN}")
    kind = config.broker.kind
    if program is not None and kind != "amqtt":
        return None
    if kind == "mosquitto":
        return problem("broker-missing", "mosquitto is not installed", "sudo apt install mosquitto")
    if importlib.util.find_spec("amqtt") is None:
        return problem("broker-missing", "neither mosquitto nor amqtt is installed", "sudo apt install mosquitto")
    return None


def _broker_port(port: int, processes: Processes) -> Finding:
    held = processes.listening(port)
    if held is None:
        return ok("broker-port", f"its port {port} is free; the center does not run")
    who = ", ".join(map(str, held.by)) or "a program that is not shown to this user"
    return problem(
        "broker-taken",
        f"its port {port} is taken by {who}",
        "if it is Debian's own: sudo systemctl disable --now mosquitto; else set broker.port to a free one",
    )


def _door(config: Config) -> Door:
    own = config.broker
    if own.secured:
        keys = Path(config.data_dir) / "keys"
        context = broker.trusting(keys / "root.pem")
        context.load_cert_chain(keys / "center.pem")
        return Door(own.connect_host, own.port, context=context)
    password = Path(own.password_file).read_text(encoding="utf-8").rstrip("\r\n") if own.password_file else None
    trust = broker.trusting(Path(own.ca_file)) if own.ca_file else None
    if trust is not None and own.cert_file:
        trust.load_cert_chain(own.cert_file, own.key_file)
    return Door(own.connect_host, own.port, own.username, password, context=trust)


def _is_live(topic: str) -> Callable[[Mapping[str, Word]], bool]:
    return lambda heard: topic in heard and heard[topic].live


def _heard(word: Word | None) -> Finding:
    try:
        state = decode(word.payload, Status).state if word is not None else None
    except ContractError:
        state = None
    if state != "online":
        return problem(
            "center-unheard", f"the center runs, but is not heard at its broker ({state or 'no word'})", _LOG
        )
    if word is not None and not word.live:
        return warning("center-silent", "the center was online at its broker, but has said nothing for seconds", _LOG)
    return ok("center-online", "the center is heard there")


def _connected(center: Holder, port: int, processes: Processes) -> Sequence[Finding]:
    connected = processes.connected(center.pid, port)
    if connected is None:
        return []
    if connected:
        return [ok("center-connected", f"{center} is connected to it")]
    return [problem("center-unconnected", f"{center} is not connected to it", _LOG)]


def _certificates(config: Config) -> Sequence[Finding]:
    named: list[tuple[Path, str]] = []
    if config.broker.secured:
        keys = Path(config.data_dir) / "keys"
        named = [
            (keys / f"{name}.pem", name) for name in ("root", "broker", "center") if (keys / f"{name}.pem").exists()
        ]
    given = {
        "http.cert_file": config.http.cert_file,
        "broker.ca_file": config.broker.ca_file,
        "broker.cert_file": config.broker.cert_file,
    }
    named += [(Path(path), key) for key, path in given.items() if path]
    now = datetime.now(UTC)
    return [
        finding
        for path, key in named
        for finding in certificates.judge(certificates.probe(path), key=key, now=now, renew=_RENEW)
    ]


def _recordings(config: Config) -> Sequence[Finding]:
    """Ask the store elsewhere as the center will; only looks."""
    try:
        bucket = Bucket(config.clips, config.id)
    except ConfigError as error:
        return [problem("bucket-keys", str(error), "correct [clips] store_key_file or store_ca_file, or run with sudo")]
    try:
        bucket.check()
    except VaultError as error:
        return [problem("bucket", str(error), "until then recordings wait here and at their cameras")]
    return [ok("bucket", f"{bucket.address}: takes these keys, and keeps no versions")]


def _permissions(path: Path, config: Config) -> Sequence[Finding]:
    user = rights.user_of(USER) or rights.current_user()
    found = [
        *rights.judge_config(rights.probe(path), user),
        *rights.judge_folder(rights.probe(Path(config.data_dir)), user),
    ]
    secrets = {
        "broker.password_file": config.broker.password_file,
        "broker.key_file": config.broker.key_file,
        "http.key_file": config.http.key_file,
        "clips.store_key_file": config.clips.store_key_file,
        "clips.reveal_key_file": config.clips.reveal_key_file,
    }
    if config.broker.secured and (root := Path(config.data_dir) / "keys" / "root.key").exists():
        secrets["the root key"] = str(root)
    for key, secret in secrets.items():
        if secret:
            found.extend(rights.judge_secret(rights.probe(Path(secret)), user, key=key))
    return found


def _unit(roots: Roots, version: str) -> Sequence[Finding]:
    facts = units.probe(UNIT, roots)
    return units.judge(facts, version=version) if facts is not None else []
