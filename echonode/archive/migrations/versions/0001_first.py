"""The first schema."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _id() -> sa.Column[Any]:
    return sa.Column("id", _ID, autoincrement=True, nullable=False)


def _text(name: str) -> sa.Column[Any]:
    return sa.Column(name, _TEXT, server_default="", nullable=False)


def upgrade() -> None:
    """Make every table."""
    op.create_table(
        "association",
        _id(),
        _text("association_id"),
        _text("calling_ae"),
        _text("called_ae"),
        _text("peer_address"),
        _text("owner"),
        sa.Column("opened_at", sa.Float(precision=53), nullable=False),
        sa.Column("closed_at", sa.Float(precision=53), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_association"),
        sa.UniqueConstraint("association_id", name="uq_association_association_id"),
    )
    op.create_index("ix_association_closed_at", "association", ["closed_at"], unique=False)
    op.create_index("ix_association_owner", "association", ["owner"], unique=False)
    op.create_table(
        "association_study",
        _id(),
        _text("association_id"),
        _text("study_uid"),
        sa.PrimaryKeyConstraint("id", name="pk_association_study"),
        sa.UniqueConstraint("association_id", "study_uid", name="uq_association_study_association_id_study_uid"),
    )
    op.create_index("ix_association_study_study_uid", "association_study", ["study_uid"], unique=False)
    op.create_table(
        "audit",
        _id(),
        sa.Column("at", sa.Float(precision=53), nullable=False),
        _text("event"),
        _text("correlation_id"),
        _text("study_uid"),
        _text("sop_instance_uid"),
        _text("who"),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit"),
    )
    op.create_index("ix_audit_at", "audit", ["at"], unique=False)
    op.create_index("ix_audit_study_uid", "audit", ["study_uid"], unique=False)
    op.create_table(
        "identity",
        _id(),
        _text("study_uid"),
        _text("digest"),
        _text("patient_id"),
        _text("issuer"),
        _text("name"),
        _text("birth_date"),
        sa.Column("attributes", sa.JSON(), nullable=False),
        _text("sop_instance_uid"),
        _text("calling_ae"),
        sa.Column("first_seen_at", sa.Float(precision=53), nullable=False),
        sa.Column("open", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_identity"),
        sa.UniqueConstraint("study_uid", "digest", name="uq_identity_study_uid_digest"),
    )
    op.create_table(
        "patient",
        _id(),
        _text("identity"),
        _text("patient_id"),
        _text("issuer"),
        _text("name_key"),
        _text("ideographic_key"),
        _text("phonetic_key"),
        _text("birth_date"),
        _text("sex"),
        sa.Column("attributes", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_patient"),
        sa.UniqueConstraint("identity", name="uq_patient_identity"),
    )
    op.create_index("ix_patient_birth_date", "patient", ["birth_date"], unique=False)
    op.create_index("ix_patient_ideographic_key", "patient", ["ideographic_key"], unique=False)
    op.create_index("ix_patient_name_key", "patient", ["name_key"], unique=False)
    op.create_index("ix_patient_patient_id", "patient", ["patient_id"], unique=False)
    op.create_index("ix_patient_phonetic_key", "patient", ["phonetic_key"], unique=False)
    op.create_table(
        "pause",
        _id(),
        _text("kind"),
        _text("name"),
        _text("by"),
        _text("reason"),
        sa.Column("at", sa.Float(precision=53), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_pause"),
        sa.UniqueConstraint("kind", "name", name="uq_pause_kind_name"),
    )
    op.create_table(
        "quarantine",
        _id(),
        _text("blob"),
        _text("sha256"),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("dataset_offset", sa.Integer(), nullable=False),
        _text("reason"),
        sa.Column("dicom_status", sa.Integer(), nullable=False),
        _text("sop_class_uid"),
        _text("sop_instance_uid"),
        _text("study_uid"),
        _text("transfer_syntax_uid"),
        _text("origin"),
        _text("calling_ae"),
        _text("called_ae"),
        _text("peer_address"),
        _text("correlation_id"),
        sa.Column("first_seen_at", sa.Float(precision=53), nullable=False),
        sa.Column("last_seen_at", sa.Float(precision=53), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_quarantine"),
        sa.UniqueConstraint("blob", name="uq_quarantine_blob"),
    )
    op.create_table(
        "refusal",
        _id(),
        _text("what"),
        _text("calling_ae"),
        _text("address"),
        _text("reason"),
        _text("advice"),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("first_seen_at", sa.Float(precision=53), nullable=False),
        sa.Column("last_seen_at", sa.Float(precision=53), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_refusal"),
        sa.UniqueConstraint(
            "what", "calling_ae", "address", "reason", name="uq_refusal_what_calling_ae_address_reason"
        ),
    )
    op.create_index("ix_refusal_last_seen_at", "refusal", ["last_seen_at"], unique=False)
    op.create_table(
        "workitem",
        _id(),
        _text("work_id"),
        _text("kind"),
        _text("queue"),
        _text("unique_key"),
        _text("state"),
        _text("study_uid"),
        _text("series_uid"),
        _text("sop_instance_uid"),
        _text("route"),
        sa.Column("payload", sa.JSON(), nullable=False),
        _text("correlation_id"),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("max_attempts", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.Float(precision=53), nullable=False),
        sa.Column("updated_at", sa.Float(precision=53), nullable=False),
        sa.Column("not_before", sa.Float(precision=53), nullable=False),
        sa.Column("lease_owner", _TEXT, nullable=True),
        sa.Column("lease_until", sa.Float(precision=53), nullable=True),
        sa.Column("held", _TEXT, nullable=True),
        _text("reason"),
        sa.Column("outcome", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_workitem"),
        sa.UniqueConstraint("unique_key", name="uq_workitem_unique_key"),
        sa.UniqueConstraint("work_id", name="uq_workitem_work_id"),
    )
    op.create_index("ix_workitem_lease", "workitem", ["state", "lease_until"], unique=False)
    op.create_index("ix_workitem_offer", "workitem", ["kind", "state", "priority", "created_at"], unique=False)
    op.create_index("ix_workitem_study_uid", "workitem", ["study_uid"], unique=False)
    op.create_table(
        "study",
        _id(),
        _text("study_uid"),
        sa.Column("patient_fk", _ID, nullable=False),
        _text("patient_id"),
        _text("issuer"),
        _text("name_key"),
        _text("ideographic_key"),
        _text("phonetic_key"),
        _text("birth_date"),
        _text("sex"),
        sa.Column("patient_attributes", sa.JSON(), nullable=False),
        _text("study_date"),
        _text("study_time"),
        _text("accession"),
        _text("study_id"),
        _text("referring_key"),
        sa.Column("attributes", sa.JSON(), nullable=False),
        _text("calling_ae"),
        sa.Column("first_received_at", sa.Float(precision=53), nullable=False),
        sa.Column("last_received_at", sa.Float(precision=53), nullable=False),
        sa.Column("unsettled_since", sa.Float(precision=53), nullable=True),
        sa.Column("settled_at", sa.Float(precision=53), nullable=True),
        sa.Column("held", _TEXT, nullable=True),
        sa.ForeignKeyConstraint(["patient_fk"], ["patient.id"], name="fk_study_patient_fk"),
        sa.PrimaryKeyConstraint("id", name="pk_study"),
        sa.UniqueConstraint("study_uid", name="uq_study_study_uid"),
    )
    op.create_index("ix_study_accession", "study", ["accession"], unique=False)
    op.create_index("ix_study_birth_date", "study", ["birth_date"], unique=False)
    op.create_index("ix_study_ideographic_key", "study", ["ideographic_key"], unique=False)
    op.create_index("ix_study_last_received_at", "study", ["last_received_at"], unique=False)
    op.create_index("ix_study_name_key", "study", ["name_key"], unique=False)
    op.create_index("ix_study_patient_fk", "study", ["patient_fk"], unique=False)
    op.create_index("ix_study_patient_id", "study", ["patient_id"], unique=False)
    op.create_index("ix_study_phonetic_key", "study", ["phonetic_key"], unique=False)
    op.create_index("ix_study_study_date", "study", ["study_date"], unique=False)
    op.create_index("ix_study_study_id", "study", ["study_id"], unique=False)
    op.create_index("ix_study_unsettled_since", "study", ["unsettled_since"], unique=False)
    op.create_table(
        "series",
        _id(),
        sa.Column("study_fk", _ID, nullable=False),
        _text("series_uid"),
        _text("modality"),
        sa.Column("attributes", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["study_fk"], ["study.id"], name="fk_series_study_fk"),
        sa.PrimaryKeyConstraint("id", name="pk_series"),
        sa.UniqueConstraint("study_fk", "series_uid", name="uq_series_study_fk_series_uid"),
    )
    op.create_index("ix_series_series_uid", "series", ["series_uid"], unique=False)
    op.create_index("ix_series_study_fk_modality", "series", ["study_fk", "modality"], unique=False)
    op.create_table(
        "instance",
        _id(),
        _text("sop_instance_uid"),
        sa.Column("series_fk", _ID, nullable=False),
        sa.Column("study_fk", _ID, nullable=False),
        _text("sop_class_uid"),
        _text("transfer_syntax_uid"),
        _text("patient_id"),
        _text("sha256"),
        _text("blob"),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("dataset_offset", sa.Integer(), nullable=False),
        sa.Column("derived", sa.Boolean(), nullable=False),
        sa.Column("hidden", sa.Boolean(), nullable=False),
        _text("origin"),
        _text("calling_ae"),
        _text("called_ae"),
        _text("peer_address"),
        _text("correlation_id"),
        sa.Column("received_at", sa.Float(precision=53), nullable=False),
        sa.Column("attributes", sa.JSON(), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["series_fk"], ["series.id"], name="fk_instance_series_fk"),
        sa.ForeignKeyConstraint(["study_fk"], ["study.id"], name="fk_instance_study_fk"),
        sa.PrimaryKeyConstraint("id", name="pk_instance"),
        sa.UniqueConstraint("blob", name="uq_instance_blob"),
        sa.UniqueConstraint("sop_instance_uid", name="uq_instance_sop_instance_uid"),
    )
    op.create_index("ix_instance_series_fk", "instance", ["series_fk"], unique=False)
    op.create_index("ix_instance_study_fk_sop_class_uid", "instance", ["study_fk", "sop_class_uid"], unique=False)
    op.create_table(
        "version",
        _id(),
        sa.Column("instance_fk", _ID, nullable=False),
        _text("sop_class_uid"),
        _text("transfer_syntax_uid"),
        _text("sha256"),
        _text("blob"),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("dataset_offset", sa.Integer(), nullable=False),
        _text("detail"),
        _text("origin"),
        _text("calling_ae"),
        _text("correlation_id"),
        sa.Column("received_at", sa.Float(precision=53), nullable=False),
        sa.ForeignKeyConstraint(["instance_fk"], ["instance.id"], name="fk_version_instance_fk"),
        sa.PrimaryKeyConstraint("id", name="pk_version"),
        sa.UniqueConstraint("blob", name="uq_version_blob"),
    )
    op.create_index("ix_version_instance_fk", "version", ["instance_fk"], unique=False)


def downgrade() -> None:
    """Drop every table."""
    op.drop_table("version")
    op.drop_table("instance")
    op.drop_table("series")
    op.drop_table("study")
    op.drop_table("workitem")
    op.drop_table("refusal")
    op.drop_table("quarantine")
    op.drop_table("pause")
    op.drop_table("patient")
    op.drop_table("identity")
    op.drop_table("audit")
    op.drop_table("association_study")
    op.drop_table("association")
