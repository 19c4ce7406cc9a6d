"""What retrieval needs of each object, the words of names, and indexes that count without reading a row."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from echonode.archive.entry import identity_of
from echonode.archive.text import name_words

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_BATCH = 1000


def _text(name: str) -> sa.Column[Any]:
    return sa.Column(name, _TEXT, server_default="", nullable=False)


def upgrade() -> None:
    """Make both tables; contents of what is stored already are composed when they are first asked for."""
    op.create_table(
        "content",
        sa.Column("instance_fk", _ID, autoincrement=False, nullable=False),
        _text("metadata"),
        sa.Column("frames", sa.LargeBinary(), nullable=False),
        _text("pixel_vr"),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("columns", sa.Integer(), nullable=False),
        sa.Column("samples", sa.Integer(), nullable=False),
        sa.Column("bits_allocated", sa.Integer(), nullable=False),
        _text("photometric"),
        sa.ForeignKeyConstraint(["instance_fk"], ["instance.id"], name="fk_content_instance_fk"),
        sa.PrimaryKeyConstraint("instance_fk", name="pk_content"),
    )
    op.create_table(
        "name_word",
        sa.Column("study_fk", _ID, autoincrement=False, nullable=False),
        sa.Column("word", _TEXT, nullable=False),
        sa.ForeignKeyConstraint(["study_fk"], ["study.id"], name="fk_name_word_study_fk"),
        sa.PrimaryKeyConstraint("study_fk", "word", name="pk_name_word"),
    )
    op.create_index("ix_name_word_word_study_fk", "name_word", ["word", "study_fk"], unique=False)
    op.drop_index("ix_instance_series_fk", "instance")
    op.drop_index("ix_instance_study_fk_sop_class_uid", "instance")
    op.create_index("ix_instance_series_fk_hidden", "instance", ["series_fk", "hidden"], unique=False)
    op.create_index(
        "ix_instance_study_fk_sop_class_uid_hidden", "instance", ["study_fk", "sop_class_uid", "hidden"], unique=False
    )
    _fill_words()


def _fill_words() -> None:
    connection = op.get_bind()
    study = sa.table("study", sa.column("id"), sa.column("patient_attributes", sa.JSON()))
    words = sa.table("name_word", sa.column("study_fk"), sa.column("word"))
    last = 0
    while True:
        rows = connection.execute(sa.select(study).where(study.c.id > last).order_by(study.c.id).limit(_BATCH)).all()
        if not rows:
            return
        last = rows[-1].id
        found = [
            {"study_fk": row.id, "word": word}
            for row in rows
            for word in name_words(identity_of(row.patient_attributes).name)
        ]
        if found:
            connection.execute(sa.insert(words), found)


def downgrade() -> None:
    """Drop both tables and bring the first indexes back."""
    op.drop_index("ix_instance_study_fk_sop_class_uid_hidden", "instance")
    op.drop_index("ix_instance_series_fk_hidden", "instance")
    op.create_index("ix_instance_study_fk_sop_class_uid", "instance", ["study_fk", "sop_class_uid"], unique=False)
    op.create_index("ix_instance_series_fk", "instance", ["series_fk"], unique=False)
    op.drop_table("name_word")
    op.drop_table("content")
