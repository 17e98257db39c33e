"""What the center asks of cameras: settings, recordings to keep, and the key of each week's sample."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_OPEN = sa.text("done_at IS NULL AND gone_at IS NULL")


def upgrade() -> None:
    """Make them."""
    op.create_table(
        "camera_setting",
        sa.Column("station", sa.String(32), nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("changed_at", sa.BigInteger, nullable=False),
        sa.Column("changed_by", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("station", name="pk_camera_setting"),
    )
    op.create_table(
        "camera_wish",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("station", sa.String(32), nullable=False),
        sa.Column("why", sa.String(16), nullable=False),
        sa.Column("ticket", sa.String(64)),
        sa.Column("before_s", sa.Integer, nullable=False),
        sa.Column("after_s", sa.Integer, nullable=False),
        sa.Column("note", sa.String(200), nullable=False),
        sa.Column("asked_at", sa.BigInteger, nullable=False),
        sa.Column("asked_by", sa.String(64), nullable=False),
        sa.Column("week", sa.String(8)),
        sa.Column("officer", sa.String(100)),
        sa.Column("lot", sa.String(64)),
        sa.Column("done_at", sa.BigInteger),
        sa.Column("gone_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="pk_camera_wish"),
    )
    op.create_index("ix_camera_wish_open", "camera_wish", ["asked_at"], sqlite_where=_OPEN)
    op.create_index("ix_camera_wish_station_asked_at", "camera_wish", ["station", "asked_at"])
    op.create_index("ix_camera_wish_ticket", "camera_wish", ["ticket"])
    op.create_index("ix_camera_wish_week_officer", "camera_wish", ["week", "officer"])
    op.create_table(
        "sample_week",
        sa.Column("week", sa.String(8), nullable=False),
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("most", sa.Integer, nullable=False),
        sa.Column("made_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("week", name="pk_sample_week"),
    )
