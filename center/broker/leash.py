"""Runs a program that ends when its parent does: `python -m center.broker.leash PARENT_PID PROGRAM ARGUMENT…`.

A center that was killed must not leave a broker behind that keeps the port. The kernel sends the signal (Linux,
prctl(2) PR_SET_PDEATHSIG); it survives exec, so the program need not know.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(argv: list[str]) -> None:
    """Tie this process to its parent, then become the program."""
    parent, program = int(argv[0]), argv[1:]
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:  # it died before the kernel was told
        sys.exit(0)
    os.execv(program[0], program)  # noqa: S606 – the program was found by its whole path


if __name__ == "__main__":
    main(sys.argv[1:])
