"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def _seq() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make them."""
    op.create_table(
        "device_event",
        sa.Column("seq", _seq(), autoincrement=True, nullable=False),
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("type", sa.String(128), nullable=False),
        sa.Column("source", sa.String(128), nullable=False),
        sa.Column("stream", sa.String(64), nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("time", sa.BigInteger, nullable=False),
        sa.Column("clock_synced", sa.Boolean, nullable=False),
        sa.Column("occurred_at", sa.BigInteger, nullable=False),
        sa.Column("received_at", sa.BigInteger, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_device_event"),
        sa.UniqueConstraint("id", name="uq_device_event_id"),
    )
    op.create_index("ix_device_event_type_occurred_at", "device_event", ["type", "occurred_at"])
    op.create_index("ix_device_event_source_stream_sequence", "device_event", ["source", "stream", "sequence"])
    op.create_table(
        "quarantine",
        sa.Column("seq", _seq(), autoincrement=True, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("received_at", sa.BigInteger, nullable=False),
        sa.Column("topic", sa.String(256), nullable=False),
        sa.Column("event_id", sa.String(64)),
        sa.Column("reason", sa.String(300), nullable=False),
        sa.Column("size", sa.Integer, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_quarantine"),
        sa.UniqueConstraint("digest", name="uq_quarantine_digest"),
    )
    op.create_table(
        "queue_event",
        sa.Column("seq", _seq(), autoincrement=False, nullable=False),
        sa.Column("day", sa.String(10), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("actor", sa.String(64), nullable=False),
        sa.Column("key", sa.String(160)),
        sa.PrimaryKeyConstraint("seq", name="pk_queue_event"),
    )
    op.create_index("ix_queue_event_day_seq", "queue_event", ["day", "seq"])
    op.create_table(
        "command",
        sa.Column("key", sa.String(160), nullable=False),
        sa.Column("ask", sa.String(200), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("actor", sa.String(64), nullable=False),
        sa.Column("answer", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_command"),
    )
    op.create_index("ix_command_at", "command", ["at"])
    op.create_table(
        "ticket",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("day", sa.String(10), nullable=False),
        sa.Column("number", sa.String(5), nullable=False),
        sa.Column("service", sa.String(32), nullable=False),
        sa.Column("priority", sa.String(8), nullable=False),
        sa.Column("state", sa.String(9), nullable=False),
        sa.Column("issued_at", sa.BigInteger, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("counter", sa.String(32)),
        sa.Column("called_at", sa.BigInteger),
        sa.Column("started_at", sa.BigInteger),
        sa.Column("ended_at", sa.BigInteger),
        sa.Column("recalls", sa.Integer, nullable=False),
        sa.Column("outcome", sa.String(16)),
        sa.Column("behind", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_ticket"),
    )
    op.create_index("ix_ticket_day_number", "ticket", ["day", "number"], unique=True)
    op.create_table(
        "rating",
        sa.Column("id", sa.String(160), nullable=False),
        sa.Column("ticket", sa.String(64)),
        sa.Column("counter", sa.String(32), nullable=False),
        sa.Column("source", sa.String(128), nullable=False),
        sa.Column("scale", sa.String(16), nullable=False),
        sa.Column("level", sa.Integer, nullable=False),
        sa.Column("given_at", sa.BigInteger, nullable=False),
        sa.Column("received_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_rating"),
        sa.UniqueConstraint("ticket", name="uq_rating_ticket"),
    )
    op.create_index("ix_rating_counter_given_at", "rating", ["counter", "given_at"])
    op.create_table(
        "device",
        sa.Column("station", sa.String(32), nullable=False),
        sa.Column("device", sa.String(32), nullable=False),
        sa.Column("seen_at", sa.BigInteger, nullable=False),
        sa.Column("status", sa.Text),
        sa.Column("health", sa.Text),
        sa.Column("reported", sa.Text),
        sa.PrimaryKeyConstraint("station", "device", name="pk_device"),
    )
    op.create_table(
        "stream",
        sa.Column("source", sa.String(128), nullable=False),
        sa.Column("stream", sa.String(64), nullable=False),
        sa.Column("upto", sa.BigInteger, nullable=False),
        sa.Column("highest", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("source", "stream", name="pk_stream"),
    )
