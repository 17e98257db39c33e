"""Fresh databases without the migrations, which take twenty times as long as the tables that come of them."""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa


class Copied:
    """Stands in for the way to the newest schema: goes it once, and copies what came of it into fresh databases."""

    def __init__(self, upgrade: Callable[..., None]) -> None:
        self.upgrade = upgrade
        self._statements: list[str] = []

    def __call__(self, connection: sa.Connection) -> None:
        """Bring a database to the newest version; what is not fresh, or not SQLite, goes the whole way."""
        if connection.dialect.name != "sqlite" or sa.inspect(connection).get_table_names():
            self.upgrade(connection)
        elif not self._statements:
            self.upgrade(connection)
            self._statements = content(connection.connection.driver_connection)
        else:
            for statement in self._statements:
                connection.exec_driver_sql(statement)


def content(database: Any) -> list[str]:
    """Return the statements that make a database what it is."""
    return [line for line in database.iterdump() if line not in {"BEGIN TRANSACTION;", "COMMIT;"}]
