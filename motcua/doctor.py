"""`motcua doctor`: looks at this machine for what its station or its center needs, and says what to do."""

import argparse
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from contract.settings import SettingsError, parse
from host.doctor.examine import Check, examine
from host.doctor.finding import Level, as_json, as_text, verdict
from motcua import __version__

STATION = Path("/etc/motcua/station.toml")
CENTER = Path("/etc/motcua/center.toml")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the check-up; returns 0 no problem (perhaps warnings), 1 a problem, 2 nothing to look at or asked wrongly."""
    parser = argparse.ArgumentParser(
        prog="motcua doctor",
        description="Looks at what is configured on this machine and says what is wrong and what to do."
        " Safe at any time: it changes nothing, and takes nothing from what runs.",
        epilog="Exit code: 0 no problem, 1 at least one problem, 2 nothing to look at or asked wrongly.",
    )
    parser.add_argument(
        "--config",
        type=Path,
        action="append",
        metavar="FILE",
        help=f"a station's or a center's file (default: {STATION} and {CENTER}, if there); may be given twice",
    )
    parser.add_argument("--json", action="store_true", help="print the findings for a program")
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--station", action="store_true", help="look at the station only")
    only.add_argument("--center", action="store_true", help="look at the center only")
    try:
        arguments = parser.parse_args(argv)
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else 2
    files = arguments.config or [path for path in (STATION, CENTER) if path.exists()]
    wanted = [
        path for path in files if not (arguments.station or arguments.center) or _is_center(path) == arguments.center
    ]
    if not wanted:
        what = "center" if arguments.center else "station" if arguments.station else "station or center"
        sys.stderr.write(f"motcua doctor: no {what} is configured here; name its file with --config FILE\n")
        return 2
    if os.geteuid() != 0 and not arguments.json:
        sys.stderr.write("Not as root, so not all can be seen: better sudo motcua doctor\n")
    # Both ask the machine itself (power, memory, clock): on a server that is a counter, too, each says its own.
    sections = examine([check for path in wanted for check in _checks(path, several=len(wanted) > 1)])
    if arguments.json:
        sys.stdout.write(as_json(sections, program=__version__, at=datetime.now(UTC)))
    else:
        sys.stdout.write(f"motcua {__version__}, {', '.join(map(str, wanted))}\n\n{as_text(sections)}")
    sys.stdout.flush()
    return 1 if verdict(sections) is Level.PROBLEM else 0


def _checks(path: Path, *, several: bool) -> list[Check]:
    # Only the side that is asked for is imported: a Pi has no libraries of the center.
    if _is_center(path):
        from center.doctor import checks as center_checks

        found, side = center_checks(path, version=__version__), "center"
    else:
        from firmware.doctor import checks as station_checks

        found, side = station_checks(path), "station"
    return [Check(f"{side}: {each.name}", each.look, each.limit_s) for each in found] if several else list(found)


def _is_center(path: Path) -> bool:
    """Tell by what is in a file; by its name where that cannot be read."""
    try:
        values = parse(path.read_bytes())
    except (OSError, SettingsError):
        return "center" in path.name
    return "counter" in values or "data_dir" in values or ("station" not in values and "center" in path.name)


if __name__ == "__main__":
    sys.exit(main())
