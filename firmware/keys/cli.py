"""`motcua device install` and `motcua device renew`: a station's keys, on its Pi."""

import argparse
import logging
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from firmware.clock import SystemClock
from firmware.config import read_station
from firmware.errors import ConfigError, MotcuaError
from firmware.keys.install import STATION, Installed, install
from firmware.keys.renew import renew
from host import journal


def main(argv: Sequence[str]) -> int:
    """Run a command; returns 0 done, 1 failed, 2 asked or configured wrongly."""
    try:
        options = _parser().parse_args(argv)
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else 2
    about = journal.start(logging.INFO)
    try:
        if options.command == "install":
            sys.stdout.write(_told(install(options.bundle, root=options.root, force=options.force)))
        else:
            station = read_station(options.config)
            about |= {"MOTCUA_CENTER": station.center, "MOTCUA_STATION": station.station}
            renew(
                options.config,
                clock_is_set=SystemClock().synchronised,
                now=lambda: datetime.now(UTC),
                force=options.force,
            )
    except ConfigError as error:
        journal.complain(str(error))
        return 2
    except MotcuaError as error:
        journal.complain(str(error))
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="motcua device")
    commands = parser.add_subparsers(dest="command", required=True)
    installing = commands.add_parser("install", help="install the keys and the configuration of a station")
    installing.add_argument("bundle", type=Path, help="the file that motcua provision made")
    installing.add_argument("--root", type=Path, default=Path("/"), metavar="DIR", help="an image's folder (/)")
    installing.add_argument("--force", action="store_true", help="also replace a station's file that is there")
    renewing = commands.add_parser("renew", help="ask the center for new certificates, where they are due")
    renewing.add_argument("--config", type=Path, default=Path("/") / STATION, metavar="FILE")
    renewing.add_argument("--force", action="store_true", help="also where they are not due")
    return parser


def _told(done: Installed) -> str:
    lines = [f"{done.keys_dir}: keys of {', '.join(done.names)}"]
    if done.kept:
        lines += [
            f"{done.station_file}: was there and is left as it is (--force replaces it). These lines must stand in it:",
            "",
            done.lines,
        ]
    else:
        lines.append(f"{done.station_file}: written; adapt the wiring to yours")
    if not done.has_user:
        lines.append("The files belong to who runs this: there is no user motcua yet (motcua install-units makes it)")
    lines.append(
        "Devices that run take the keys at their next connection, within seconds where the old ones were refused, or at"
        " once: sudo systemctl restart 'motcua-device@*'"
    )
    return "\n".join(lines) + "\n"
