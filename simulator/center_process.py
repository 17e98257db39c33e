"""The center's own program with the demo's page: `python -m simulator.center_process --config F --world SOCKET`."""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from center.config import Config, read
from center.errors import CenterError, ConfigError
from center.serve import serve
from center.web.app import create_app
from center.web.pages import Link
from simulator.web.routes import demo_routes

if TYPE_CHECKING:
    from litestar import Litestar

    from center.hall import Hall

LINK: Link = ("/demo", "Trung tâm mô phỏng", "Các quầy, để bấm thử")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the center until it is stopped; returns the exit code of `motcua center serve`."""
    parser = argparse.ArgumentParser(prog="python -m simulator.center_process", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, metavar="FILE")
    parser.add_argument("--world", type=Path, required=True, metavar="SOCKET", help="the control socket of the demo")
    options = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)

    def make_app(hall: "Hall", config: Config) -> "Litestar":
        labels = {one.id: one.label for one in config.counter}
        routes = demo_routes(options.world, center=config.name, counters=labels, zone=config.timezone)
        return create_app(hall, config, extra_routes=routes, extra_links=(LINK,), login_at="/demo/enter")

    try:
        return serve(read(options.config), make_app=make_app)
    except (ConfigError, CenterError) as error:
        sys.stderr.write(f"motcua: {error}\n")
        return 2 if isinstance(error, ConfigError) else 1


if __name__ == "__main__":
    sys.exit(main())
