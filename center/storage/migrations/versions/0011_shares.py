"""Recordings: which are going, a picture of each, and how much one camera has here."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_HERE = sa.text("wiped_at IS NULL")


def upgrade() -> None:
    """Make them."""
    op.add_column("clip", sa.Column("wiping_at", sa.BigInteger))
    op.add_column("clip", sa.Column("thumbnail", sa.LargeBinary))
    op.create_index("ix_clip_unwiped", "clip", ["station", "device"], sqlite_where=_HERE, postgresql_where=_HERE)
