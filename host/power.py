"""What a Raspberry Pi's firmware says of its power; small, because the devices' daemons ask it, too."""

from pathlib import Path

# Where its driver (drivers/firmware/raspberrypi.c) offers get_throttled: a Pi 4 and a Pi 5; no other board has it.
_THROTTLED = ("devices/platform/soc/soc:firmware", "devices/platform/soc@*/soc@*:firmware")


def throttled_bits(sys: Path) -> int | None:
    """Return the bits of get_throttled, None where the kernel has none."""
    for pattern in _THROTTLED:
        for folder in sorted(sys.glob(pattern)):
            try:
                return int((folder / "get_throttled").read_text(encoding="ascii").strip(), 16)
            except (OSError, ValueError):
                continue
    return None
