"""Makes SQLite careless: the control that shows that the check sees a loss. In the virtual machine only, never shipped.

Python loads it before the daemon because PYTHONPATH says so; `CARELESS` is OFF or NORMAL.
"""

import functools
import os
import sqlite3
from typing import Any

_PRAGMA = "PRAGMA synchronous"


class Careless(sqlite3.Connection):
    """A connection that flushes less than it is asked to."""

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        """Run a statement, but for the one that asks for care."""
        return super().execute(f"{_PRAGMA} = {os.environ['CARELESS']}" if sql.startswith(_PRAGMA) else sql, *parameters)


sqlite3.connect = functools.partial(sqlite3.connect, factory=Careless)  # type: ignore[assignment]
