"""The tables, in the order of their foreign keys."""

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

GROUPS = ("plans", "studies", "accounts", "leases", "results", "server")


def upgrade() -> None:
    for group in GROUPS:
        op.execute(Path(__file__).with_name(f"0001_{group}.sql").read_text())
