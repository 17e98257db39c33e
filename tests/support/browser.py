"""Debian's Chromium, as tests start it."""

import shutil

import pytest

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# The same engine without the desktop's windows and profiles, which cost 0.4 s of processor time a page; else the whole.
_PROGRAMS = ("/usr/bin/chromium-headless-shell", "/usr/bin/chromium")


def chromium() -> str:
    """Return the browser's program; skips the test where there is none."""
    for program in _PROGRAMS:
        if shutil.which(program):
            return program
    pytest.skip("chromium is missing: sudo make system-packages")
