"""Levels above the objects know whether all of theirs is hidden; what the node found when it checked itself."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_LEVELS = ("patient", "study", "series")


def _text(name: str) -> sa.Column[Any]:
    return sa.Column(name, _TEXT, server_default="", nullable=False)


def upgrade() -> None:
    """Make the columns and both tables; nothing that was stored before is hidden."""
    for table in _LEVELS:
        op.add_column(table, sa.Column("hidden", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.create_index(
        "ix_instance_hidden",
        "instance",
        ["hidden", "study_fk"],
        unique=False,
        sqlite_where=sa.text("hidden = 1"),
        postgresql_where=sa.text("hidden"),
    )
    op.create_table(
        "self_check",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        _text("check_id"),
        _text("occasion"),
        _text("state"),
        _text("asked_by"),
        sa.Column("asked_at", sa.Float(53), nullable=False),
        sa.Column("started_at", sa.Float(53), nullable=True),
        sa.Column("ended_at", sa.Float(53), nullable=True),
        _text("owner"),
        _text("study_uid"),
        sa.Column("ok", sa.Boolean(), nullable=True),
        _text("says"),
        sa.PrimaryKeyConstraint("id", name="pk_self_check"),
        sa.UniqueConstraint("check_id", name="uq_self_check_check_id"),
        sa.UniqueConstraint("occasion", name="uq_self_check_occasion"),
    )
    op.create_index("ix_self_check_ended_at", "self_check", ["ended_at"], unique=False)
    op.create_table(
        "self_check_answer",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("check_fk", _ID, nullable=False),
        sa.Column("at", sa.Float(53), nullable=False),
        _text("task"),
        _text("model"),
        _text("what"),
        _text("unit"),
        sa.Column("measured", sa.Float(53), nullable=True),
        sa.Column("truth", sa.Float(53), nullable=True),
        sa.Column("limit", sa.Float(53), nullable=True),
        sa.Column("ok", sa.Boolean(), nullable=False),
        _text("says"),
        sa.ForeignKeyConstraint(["check_fk"], ["self_check.id"], name="fk_self_check_answer_check_fk"),
        sa.PrimaryKeyConstraint("id", name="pk_self_check_answer"),
    )
    op.create_index("ix_self_check_answer_check_fk", "self_check_answer", ["check_fk"], unique=False)


def downgrade() -> None:
    """Drop both tables and the columns."""
    op.drop_table("self_check_answer")
    op.drop_table("self_check")
    op.drop_index("ix_instance_hidden", "instance")
    for table in _LEVELS:
        op.drop_column(table, "hidden")
