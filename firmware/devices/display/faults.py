"""What can go wrong between the port and the panel's glass."""

from firmware.devices.display.signs import Trouble
from firmware.errors import HardwareError


class PanelError(HardwareError):
    """A port or panel fault that may pass. `trouble` is for the center, the message for an operator at the log."""

    def __init__(self, trouble: Trouble, message: str):
        super().__init__(message)
        self.trouble: Trouble = trouble
