"""Runs a program that dies with its parent: `python -I -S leash.py PARENT_PID PROGRAM ARG…`.

A demo that is killed must leave nothing behind. The kernel's parent-death signal survives exec, so this file sets it
and becomes the program; doing it between fork and exec of the parent would run Python code beside its other threads.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main(argv: list[str]) -> None:
    """Put this process on the leash and become the program."""
    parent, program, *args = argv
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        code = ctypes.get_errno()
        sys.exit(f"prctl(PR_SET_PDEATHSIG): {os.strerror(code)}")
    if os.getppid() != int(parent):  # it died before the leash was on
        sys.exit(1)
    os.execvp(program, [program, *args])  # noqa: S606 - becoming the program is what this file is for


if __name__ == "__main__":
    main(sys.argv[1:])
