"""What can go wrong on a device, sorted by what a program can do about it."""


class MotcuaError(Exception):
    """The root of the firmware's own errors. The message is for an operator: what is wrong and what to do."""


class ConfigError(MotcuaError):
    """The configuration cannot work; only a person can mend it. Ends the program with exit code 2."""


class HardwareError(MotcuaError):
    """A port, line or panel is missing or busy; it may come back, so the daemon tries again."""


class StoreError(MotcuaError):
    """The outbox could not commit: disk full, read-only or failing. Nothing may be confirmed."""
