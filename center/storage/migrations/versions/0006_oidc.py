"""Whose account it is at an OpenID Connect provider."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the column, which local accounts leave empty."""
    op.add_column("account", sa.Column("subject", sa.String(64)))
    op.create_index("ix_account_subject", "account", ["subject"], unique=True)
