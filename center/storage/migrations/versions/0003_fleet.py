"""Alerts, the last day of each device, and how far the health of devices has been thinned."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make them."""
    op.create_table(
        "alert",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("station", sa.String(32), nullable=False),
        sa.Column("device", sa.String(32), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("detail", sa.String(64), nullable=False),
        sa.Column("begun_at", sa.BigInteger, nullable=False),
        sa.Column("ended_at", sa.BigInteger),
        sa.Column("acknowledged_at", sa.BigInteger),
        sa.Column("acknowledged_by", sa.String(64)),
        sa.Column("told", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_alert"),
    )
    op.create_index("ix_alert_ended_at", "alert", ["ended_at"])
    op.create_index("ix_alert_begun_at", "alert", ["begun_at"])
    op.create_table(
        "device_quarter",
        sa.Column("station", sa.String(32), nullable=False),
        sa.Column("device", sa.String(32), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("level", sa.String(1), nullable=False),
        sa.PrimaryKeyConstraint("station", "device", "at", name="pk_device_quarter"),
    )
    op.create_table(
        "swept",
        sa.Column("what", sa.String(32), nullable=False),
        sa.Column("upto", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("what", name="pk_swept"),
    )
