"""Run the benchmarks: all of them, or those named on the command line.

`python -m benchmarks [NAME …] [--rounds N] [--json FILE]`. Exit code 0 also when a goal is missed: a shared machine
is no judge. The table says which goals were met.
"""

import argparse
import importlib
import json
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.figures import Row, render

SOAKS = ("hostile", "kills", "month", "camera_week")
"""What takes many minutes and runs only by name: `make soak`."""

NAMES = (
    "press", "panel", "idle", "outage", "load", "ingest", "board", "look",
    "camera_analysis", "camera_recording", "camera_daemon", "camera_incidents",
)  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "names",
        nargs="*",
        choices=[*NAMES, *SOAKS, []],
        metavar="NAME",
        help=f"any of {', '.join((*NAMES, *SOAKS))}; all but the last four where none is named",
    )
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each; the table shows medians (default 3)")
    parser.add_argument("--json", type=Path, help="write the rows there as well")
    options = parser.parse_args(argv)
    print(
        f"{platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}, load {os.getloadavg()}"
    )
    rows: list[Row] = []
    for name in options.names or NAMES:
        module = importlib.import_module(f"benchmarks.{name}")
        title = (module.__doc__ or "").partition("\n")[0]
        print(f"\n{name}: {title}", flush=True)
        found: list[Row] = module.run(options.rounds)
        print(render(found), flush=True)
        rows += found
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(
            json.dumps([asdict(row) for row in rows], ensure_ascii=False, indent=1), encoding="utf-8"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
