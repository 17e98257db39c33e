"""The schema: which version a database has, and the way to the newest.

Alembic is loaded only where there is something to do: it costs a fifth of a center's start.
"""

from importlib import resources

import sqlalchemy as sa

MIGRATIONS = "center.storage:migrations"
_FOUND = sa.text("SELECT version_num FROM alembic_version")


def versions() -> list[str]:
    """Return the versions that this program knows, oldest first: a migration's file begins with its own."""
    files = resources.files("center.storage").joinpath("migrations", "versions").iterdir()
    return sorted({file.name.partition("_")[0] for file in files if file.name[0].isdigit()})


def version(connection: sa.Connection) -> str | None:
    """Return a database's version; None if nothing was ever made in it."""
    found: str | None = None
    if sa.inspect(connection).has_table("alembic_version"):
        found = connection.execute(_FOUND).scalar()
    return found


def upgrade(connection: sa.Connection, to: str = "head") -> None:
    """Bring a database to the newest version, or to another, within the connection's transaction."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", MIGRATIONS)
    config.attributes["connection"] = connection
    command.upgrade(config, to)
