"""The firmware's version, as devices report it in `status` and health."""

VERSION = "0.1.0"
"""Equal to the distribution's; reading that one's metadata at run time would cost 3 MB and 40 ms on a device."""
