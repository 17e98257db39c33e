"""Ratings by their age, so that what was kept long enough is found without reading all."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the index."""
    op.create_index("ix_rating_given_at", "rating", ["given_at"])
