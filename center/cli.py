"""`motcua center`: serve a center by its configuration file."""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from center.config import read
from center.errors import CenterError, ConfigError


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns 0 done, 1 failed, 2 asked or configured wrongly."""
    parser = argparse.ArgumentParser(prog="motcua center", description="The center: broker, ingest, queue, pages.")
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve", help="run the center until it is stopped")
    serve.add_argument("--config", type=Path, required=True, metavar="FILE", help="the center's TOML file")
    try:
        arguments = parser.parse_args(argv)
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else 2
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    for talkative in ("alembic", "uvicorn"):
        logging.getLogger(talkative).setLevel(logging.WARNING)
    try:
        config = read(arguments.config)
        from center.serve import serve as run  # after the configuration: its faults are told at once

        return run(config)
    except ConfigError as error:
        sys.stderr.write(f"motcua: {error}\n")
        return 2
    except CenterError as error:
        sys.stderr.write(f"motcua: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
