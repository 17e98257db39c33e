"""Reads a center's database from outside, whether the center runs or not; never writes."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.pool import NullPool

from center.errors import StoreError


@contextlib.contextmanager
def read_only(url: str) -> Iterator[sa.Connection]:
    """Open the store of a URL for reading; raise StoreError in a line where that cannot be."""
    parsed = sa.make_url(url)
    if parsed.get_backend_name() == "sqlite":
        path = Path(parsed.database or "")
        if not path.is_file():
            raise StoreError(f"{path}: is not there; has this center ever run with this file?")
        engine = sa.create_engine(f"sqlite:///file:{quote(str(path.absolute()))}?mode=ro&uri=true", poolclass=NullPool)
    else:
        engine = sa.create_engine(parsed, poolclass=NullPool, execution_options={"postgresql_readonly": True})
    try:
        with engine.connect() as connection:
            yield connection
    except sa.exc.SQLAlchemyError as error:
        cause = getattr(error, "orig", None) or error
        raise StoreError(f"{parsed.database}: cannot be read: {cause}") from error
    finally:
        engine.dispose()
