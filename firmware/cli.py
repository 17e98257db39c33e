"""`motcua device`: the composition root of a device's daemon."""

import logging
import signal
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC
from pathlib import Path

from contract.codec import encode
from contract.ids import uuid7
from contract.states import Status
from firmware.clock import SystemClock
from firmware.config import DeviceConfig, load, read_secret
from firmware.daemon import Daemon, Stop, WorkerDiedError
from firmware.devices.registry import KINDS, DeviceContext
from firmware.errors import ConfigError, MotcuaError
from firmware.health import HealthProbe
from firmware.mqtt.outbox import Outbox
from firmware.mqtt.transport import Presence, Transport
from firmware.version import VERSION
from host import journal
from host.notify import Notifier

USAGE = """usage: motcua device run NAME --config FILE [--log-level debug|info|warning|error]
       motcua device install BUNDLE [--root DIR] [--force]
       motcua device renew [--config FILE] [--force]

  run       runs the device NAME of the counter that FILE describes, until SIGTERM or Ctrl-C
  install   installs what motcua provision made: the keys of this counter's devices, and a beginning of its file
  renew     asks the center for new certificates in the last third of their time
"""

_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a device; returns the exit code: 0 stopped in order, 1 failed, 2 asked or configured wrongly."""
    args = list(sys.argv[1:] if argv is None else argv)
    match args:
        case ["-h" | "--help"] | ["run", "-h" | "--help"]:
            sys.stdout.write(USAGE)
            return 0
        case ["install" | "renew", *_]:
            from firmware.keys.cli import main as keys  # nothing of it in a running device

            return keys(args)
        case ["run", name, *options] if not name.startswith("-"):
            pass
        case _:
            return _misused("run and the name of a device are needed")
    try:
        path, level = _options(options)
    except ValueError as error:
        return _misused(str(error))
    about = journal.start(level)
    try:
        config = load(path, name, KINDS)
        address = config.address
        about |= {
            "MOTCUA_CENTER": address.center,
            "MOTCUA_STATION": address.station,
            "MOTCUA_DEVICE": address.device,
        }
        run(config)
    except ConfigError as error:
        journal.complain(str(error))
        return 2
    except (MotcuaError, WorkerDiedError) as error:
        logging.getLogger(__name__).error("%s", error)  # noqa: TRY400 - an operator's line; the trace would hide it
        return 1
    return 0


def run(config: DeviceConfig) -> None:
    """Put a daemon together and run it in this thread until it is told to stop."""
    kind = KINDS[config.kind]
    clock = SystemClock()
    outbox = Outbox(config.state_dir, clock=clock, new_id=uuid7)
    address = config.address
    password_file = config.broker.password_file

    def build(memory: Mapping[str, str]):  # type: ignore[no-untyped-def]  # the kind's own types
        context = DeviceContext(
            station=address.station,
            name=address.device,
            new_id=uuid7,
            memory=memory,
            clock=clock,
            state_dir=config.state_dir,
        )
        return kind.build(config.options, context)

    def status(presence: Presence) -> bytes:
        since = clock.now().astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return encode(Status(state=presence, version=VERSION, bootid=clock.boot_id, since=since))

    daemon = Daemon(
        source=address.source,
        build=build,
        desired=kind.desired,
        outbox=outbox,
        clock=clock,
        notifier=Notifier(),
        probe=HealthProbe(version=VERSION, clock=clock, disk=config.state_dir),
    )
    announcement = None
    if config.broker.home_assistant:
        from firmware.mqtt.discovery import announcement as announced  # nothing of it where nobody asks for it

        announcement = announced(address, kind=config.kind, version=VERSION)
    transport = Transport(
        address,
        config.broker,
        password=read_secret(password_file, "broker.password_file") if password_file else None,
        status=status,
        post=daemon.post,
        boot_id=clock.boot_id,
        clock_is_set=clock.synchronised,
        announcement=announcement,
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: daemon.post(Stop()))
    logging.getLogger(__name__).info(
        "%s starts%s, version %s",
        address.source,
        "" if config.kind == address.device else f" as {config.kind}",
        VERSION,
    )
    if config.metrics_port is None:
        daemon.run(transport)
        return
    from firmware.metrics import MetricsServer  # nothing of it in a device that nobody asks for figures

    metrics = MetricsServer(
        config.metrics_port,
        address=address,
        probe=HealthProbe(version=VERSION, clock=clock, disk=config.state_dir),
        outbox=config.state_dir / "outbox.db",
        contact=daemon.in_contact,
    )
    metrics.start()
    try:
        daemon.run(transport)
    finally:
        metrics.stop()


def _options(options: Sequence[str]) -> tuple[Path, int]:
    """Return the configuration's path and the log level; raise ValueError for anything else."""
    path: Path | None = None
    level = logging.INFO
    rest = list(options)
    while rest:
        option, _, given = rest.pop(0).partition("=")
        if option not in ("--config", "--log-level"):
            raise ValueError(f"unknown option {option}")
        if not given:
            if not rest:
                raise ValueError(f"{option} needs a value")
            given = rest.pop(0)
        if option == "--config":
            path = Path(given)
        elif given in _LEVELS:
            level = _LEVELS[given]
        else:
            raise ValueError(f"--log-level: one of {', '.join(_LEVELS)}, got {given}")
    if path is None:
        raise ValueError("--config FILE is needed")
    return path, level


def _misused(why: str) -> int:
    sys.stderr.write(f"motcua device: {why}\n\n{USAGE}")
    return 2
