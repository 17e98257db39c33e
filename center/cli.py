"""`motcua center`: serve a center by its configuration file."""

import argparse
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from center.config import read
from center.errors import CenterError, ConfigError

_PRIORITIES = ((logging.ERROR, "<3>"), (logging.WARNING, "<4>"), (logging.INFO, "<6>"), (0, "<7>"))


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
    _log_to_stderr(os.environ)
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


class _JournalFormatter(logging.Formatter):
    """Lines for journald: it has the time already, and reads the priority from the prefix."""

    def format(self, record: logging.LogRecord) -> str:
        prefix = next(prefix for level, prefix in _PRIORITIES if record.levelno >= level)
        return "\n".join(prefix + line for line in super().format(record).splitlines())


def _log_to_stderr(environment: Mapping[str, str]) -> None:
    handler = logging.StreamHandler()
    if "JOURNAL_STREAM" in environment:
        handler.setFormatter(_JournalFormatter("%(name)s: %(message)s"))
    else:
        handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


if __name__ == "__main__":
    sys.exit(main())
