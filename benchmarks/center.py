"""A center's program that a benchmark has started."""

import sys
import time
import urllib.error
import urllib.request

START_TIMEOUT_S = 60.0


def wait_until_live(base_url: str) -> None:
    """Wait until its pages answer; end the benchmark where they do not."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{base_url}/healthz", timeout=1):  # noqa: S310 – our own loopback
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    sys.exit(f"the center did not answer on {base_url} within {START_TIMEOUT_S:.0f} s")
