"""A call-number display: one of several panel protocols on a serial port, or a page in a browser."""

from firmware.devices.display.kind import KIND

__all__ = ["KIND"]
