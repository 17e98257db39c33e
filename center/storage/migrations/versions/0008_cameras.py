"""Incidents, clips, and uploads under way."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make them."""
    op.create_table(
        "incident",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("station", sa.String(32), nullable=False),
        sa.Column("device", sa.String(32), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("zone", sa.String(64), nullable=False),
        sa.Column("confidence", sa.Float, nullable=False),
        sa.Column("ticket", sa.String(64)),
        sa.Column("began_at", sa.BigInteger, nullable=False),
        sa.Column("heard_at", sa.BigInteger, nullable=False),
        sa.Column("ended_at", sa.BigInteger),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("thumbnail", sa.LargeBinary),
        sa.Column("clip", sa.String(32)),
        sa.Column("reviewed_at", sa.BigInteger),
        sa.Column("reviewed_by", sa.String(64)),
        sa.Column("note", sa.String(1000)),
        sa.PrimaryKeyConstraint("id", name="pk_incident"),
    )
    op.create_index("ix_incident_began_at", "incident", ["began_at"])
    op.create_index("ix_incident_clip", "incident", ["clip"])
    op.create_index("ix_incident_pictured", "incident", ["heard_at"], sqlite_where=sa.text("thumbnail IS NOT NULL"))
    op.create_table(
        "clip",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("station", sa.String(32), nullable=False),
        sa.Column("device", sa.String(32), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("start", sa.BigInteger, nullable=False),
        sa.Column("seconds", sa.Float, nullable=False),
        sa.Column("why", sa.String(64)),
        sa.Column("ticket", sa.String(64)),
        sa.Column("bytes", sa.BigInteger),
        sa.Column("sha256", sa.String(64)),
        sa.Column("arrived_at", sa.BigInteger),
        sa.Column("sealed_bytes", sa.BigInteger),
        sa.Column("sealed_sha256", sa.String(64)),
        sa.Column("sealed_at", sa.BigInteger),
        sa.Column("made_at", sa.BigInteger, nullable=False),
        sa.Column("held", sa.Boolean, nullable=False),
        sa.Column("wiped_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="pk_clip"),
    )
    op.create_index("ix_clip_sha256", "clip", ["sha256"])
    op.create_index("ix_clip_sealed_sha256", "clip", ["sealed_sha256"])
    op.create_index("ix_clip_made_at", "clip", ["made_at"])
    op.create_table(
        "upload",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("clip", sa.String(32), nullable=False),
        sa.Column("file", sa.String(8), nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("token", sa.String(64), nullable=False),
        sa.Column("ends_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_upload"),
    )
    op.create_index("ix_upload_clip", "upload", ["clip"])
