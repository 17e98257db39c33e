"""What can go wrong at the center, sorted by what an operator can do about it."""


class CenterError(Exception):
    """The root of the center's own errors. The message is one line for an operator: what is wrong, what to do."""


class ConfigError(CenterError):
    """The configuration cannot work; only a person can mend it. Ends the program with exit code 2."""


class BusyError(CenterError):
    """A port or a folder is in use by another program."""


class StoreError(CenterError):
    """The store cannot be opened or written.

    `full`: the disk is. `poison`: the database refuses these very rows, so that trying again is useless.
    """

    def __init__(self, message: str, *, full: bool = False, poison: bool = False) -> None:
        super().__init__(message)
        self.full = full
        self.poison = poison


class BrokerError(CenterError):
    """The broker cannot be started."""


class KeysError(CenterError):
    """A key or a certificate cannot be made, read or accepted."""
