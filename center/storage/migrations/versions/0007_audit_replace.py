"""The audit log refuses an entry in another's place too: REPLACE deletes without asking the trigger that guards it."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Guard it."""
    if op.get_bind().dialect.name == "sqlite":
        op.execute(
            "CREATE TRIGGER audit_no_replace BEFORE INSERT ON audit"
            " WHEN EXISTS (SELECT 1 FROM audit WHERE seq = NEW.seq)"
            " BEGIN SELECT RAISE(ABORT, 'the audit log takes new entries only'); END"
        )
