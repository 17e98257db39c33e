"""The `motcua` command: finds the program that was asked for and imports only that one."""

import sys
from collections.abc import Callable, Sequence

from motcua import __version__

USAGE = f"""motcua {__version__}

  motcua device run NAME --config FILE     run one device of a counter (rating, callpad, display, camera)
  motcua center serve --config FILE        run the center: broker, ingest, queue, pages
  motcua center people|audit …             accounts; the audit log (--help tells more)
  motcua center fsck|clips-key …           recordings: whether all are there; the key of clear versions
  motcua doctor                            look at this machine: what is wrong, and what to do (--json, --help)
  motcua provision COUNTER                 make the keys of a counter's devices, on the center's server
  motcua device install FILE               install them, on the counter's Pi
  motcua camera model                      on a Pi with a camera: get the network that finds people (--help tells more)
  motcua demo [--day] …                    a whole center in a box, on simulated hardware (--help tells more)
  motcua install-units --center|--device   install the systemd units (--help tells more)
  motcua contract asyncapi                 print the wire contract as an AsyncAPI 3 document
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code: 0 done, 1 failed, 2 asked or configured wrongly, 130 interrupted."""
    try:
        return _run(list(sys.argv[1:] if argv is None else argv))
    except KeyboardInterrupt:  # before the program was so far that it takes signals itself
        return 130


def _run(args: list[str]) -> int:
    run: Callable[[list[str]], int]
    # Each program is imported only when it is asked for: a device must not carry the center's libraries.
    match args:
        case ["device", *rest]:
            from firmware.cli import main as run
        case ["center", *rest]:
            from center.cli import main as run
        case ["doctor", *rest]:
            from motcua.doctor import main as run
        case ["provision", *rest]:
            from center.keys.cli import main as run
        case ["camera", "model", *rest]:
            from firmware.devices.camera.model import main as run
        case ["demo", *rest]:
            from simulator.cli import main as run
        case ["install-units", *rest]:
            from host.install import main as run
        case ["contract", *rest]:
            from contract.cli import main as run
        case ["--version"]:
            sys.stdout.write(f"{__version__}\n")
            return 0
        case [] | ["-h" | "--help" | "help"]:
            sys.stdout.write(USAGE)
            return 0
        case _:
            sys.stderr.write(f"motcua: unknown command {' '.join(args)!r}\n\n{USAGE}")
            return 2
    return run(rest)


if __name__ == "__main__":
    sys.exit(main())
