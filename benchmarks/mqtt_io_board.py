"""mqtt-io on the same simulated board as our daemons: `python -m benchmarks.mqtt_io_board --socket PATH -- CONFIG`."""

import sys

from mqtt_io.__main__ import main as mqtt_io

from simulator.board import main


def run(arguments: list[str]) -> int:
    """Run mqtt-io's own program with these arguments."""
    sys.argv = ["mqtt_io", *arguments]
    mqtt_io()
    return 0


if __name__ == "__main__":
    sys.exit(main(program=run))
