"""What models said is kept, and the reports that are made of it; views can be asked for."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_SEEN = sa.text("view <> ''")


def _text(name: str) -> sa.Column[Any]:
    return sa.Column(name, _TEXT, server_default="", nullable=False)


def _json(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.JSON(), nullable=False)


def _flag(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Boolean(), server_default=sa.false(), nullable=False)


def upgrade() -> None:
    """Make both tables and the columns; views of what was stored before are asked for one object at a time."""
    for column in (_flag("stress"), _flag("report_due")):
        op.add_column("study", column)
    op.add_column("study", sa.Column("revision", sa.Integer(), server_default=sa.text("0"), nullable=False))
    op.create_index("ix_study_report_due", "study", ["report_due"], unique=False)
    for column in (_text("mode"), _text("view"), _text("withdrawn")):
        op.add_column("instance", column)
    for name in ("view_confidence", "quality"):
        op.add_column("instance", sa.Column(name, sa.Float(53), nullable=True))
    op.create_index(
        "ix_instance_view", "instance", ["view", "mode"], unique=False, sqlite_where=_SEEN, postgresql_where=_SEEN
    )
    op.create_table(
        "reading",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        _text("work_id"),
        _text("study_uid"),
        _text("sop_instance_uid"),
        _text("task"),
        _text("model"),
        _text("version"),
        _text("digest"),
        _text("route"),
        _json("parameters"),
        _json("results"),
        _json("details"),
        _json("objects"),
        _text("view"),
        _text("stage"),
        sa.Column("current", sa.Boolean(), nullable=False),
        sa.Column("at", sa.Float(53), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_reading"),
    )
    op.create_index("ix_reading_study_uid_current", "reading", ["study_uid", "current"], unique=False)
    op.create_index("ix_reading_sop_instance_uid_route", "reading", ["sop_instance_uid", "route"], unique=False)
    op.create_table(
        "report",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        _text("study_uid"),
        _text("sop_instance_uid"),
        _text("sop_class_uid"),
        _text("series_uid"),
        _text("content_digest"),
        _text("state"),
        _text("status"),
        _text("predecessor_uid"),
        sa.Column("revision", sa.Integer(), nullable=False),
        _text("by"),
        _text("comment"),
        _json("content"),
        _json("objects"),
        sa.Column("at", sa.Float(53), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_report"),
        sa.UniqueConstraint("sop_instance_uid", name="uq_report_sop_instance_uid"),
    )
    op.create_index("ix_report_study_uid", "report", ["study_uid"], unique=False)


def downgrade() -> None:
    """Drop both tables and the columns."""
    op.drop_table("report")
    op.drop_table("reading")
    op.drop_index("ix_instance_view", "instance")
    for name in ("quality", "view_confidence", "withdrawn", "view", "mode"):
        op.drop_column("instance", name)
    op.drop_index("ix_study_report_due", "study")
    for name in ("revision", "report_due", "stress"):
        op.drop_column("study", name)
