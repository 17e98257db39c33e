"""Reviews, holds and looks; how long an incident lasted; what the review pages are found by."""

import sqlalchemy as sa
from alembic import op

from center.storage.tables import Seq

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_UNSEEN = sa.text("reviewed_at IS NULL")


def upgrade() -> None:
    """Make them."""
    op.add_column("incident", sa.Column("lasted_ms", sa.BigInteger))
    op.create_index("ix_incident_station_began_at", "incident", ["station", "began_at"])
    op.create_index("ix_incident_kind_began_at", "incident", ["kind", "began_at"])
    op.create_index("ix_incident_unseen", "incident", ["began_at"], sqlite_where=_UNSEEN)
    op.create_index("ix_incident_unseen_station", "incident", ["station", "began_at"], sqlite_where=_UNSEEN)
    op.create_index("ix_incident_unseen_kind", "incident", ["kind", "began_at"], sqlite_where=_UNSEEN)
    op.add_column("clip", sa.Column("reviewed_at", sa.BigInteger))
    op.add_column("clip", sa.Column("reviewed_by", sa.String(64)))
    op.add_column("clip", sa.Column("note", sa.String(1000)))
    op.create_index("ix_clip_why_start", "clip", ["why", "start"])
    op.create_index("ix_clip_unseen", "clip", ["why", "start"], sqlite_where=_UNSEEN)
    op.create_index("ix_clip_station_start", "clip", ["station", "start"])
    op.create_table(
        "review",
        sa.Column("seq", Seq, nullable=False, autoincrement=True),
        sa.Column("item", sa.String(33), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("actor", sa.String(64), nullable=False),
        sa.Column("note", sa.String(1000), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_review"),
    )
    op.create_table(
        "hold",
        sa.Column("seq", Seq, nullable=False, autoincrement=True),
        sa.Column("clip", sa.String(32), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("actor", sa.String(64), nullable=False),
        sa.Column("held", sa.Boolean, nullable=False),
        sa.Column("reason", sa.String(300), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_hold"),
    )
    op.create_table(
        "look",
        sa.Column("seq", Seq, nullable=False, autoincrement=True),
        sa.Column("clip", sa.String(32), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("actor", sa.String(64), nullable=False),
        sa.Column("file", sa.String(8), nullable=False),
        sa.Column("reason", sa.String(300), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_look"),
    )
    op.create_index("ix_review_item", "review", ["item"])
    op.create_index("ix_review_at", "review", ["at"])
    op.create_index("ix_hold_clip", "hold", ["clip"])
    op.create_index("ix_hold_at", "hold", ["at"])
    op.create_index("ix_look_clip_at", "look", ["clip", "at"])
    op.create_index("ix_look_at", "look", ["at"])
