"""The life of model packages as events; readings of models that only look."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _text(name: str) -> sa.Column[Any]:
    return sa.Column(name, _TEXT, server_default="", nullable=False)


def upgrade() -> None:
    """Make the table, the column and its index; every reading so far counts."""
    op.add_column("reading", sa.Column("shadow", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.create_index("ix_reading_model_at", "reading", ["model", "at"], unique=False)
    op.create_table(
        "model_event",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        *(_text(name) for name in ("line", "model", "version", "digest", "event", "state", "displaced", "by", "why")),
        sa.Column("checks", sa.JSON(), nullable=False),
        sa.Column("at", sa.Float(53), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_model_event"),
    )
    op.create_index("ix_model_event_line", "model_event", ["line"], unique=False)


def downgrade() -> None:
    """Drop them."""
    op.drop_table("model_event")
    op.drop_index("ix_reading_model_at", "reading")
    op.drop_column("reading", "shadow")
