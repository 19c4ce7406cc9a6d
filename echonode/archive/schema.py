"""The tables of the archive: one SQLAlchemy metadata for SQLite and PostgreSQL.

Times are seconds since the epoch. Columns whose name ends in `_key` hold normalised text (archive/text.py) and serve
matching only; what is answered stands in `attributes` as DICOM JSON (PS3.18 F.2).
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
)

REVISION = "0005"
"""Head of the migrations in archive/migrations; a database at another revision is not opened."""

METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# Ranges and prefixes compare code points: PostgreSQL does that under collation "C" only, SQLite always.
_TEXT = Text().with_variant(Text(collation="C"), "postgresql")
_ID = BigInteger().with_variant(Integer(), "sqlite")


def _id() -> Column[int]:
    return Column("id", _ID, primary_key=True, autoincrement=True)


def _text(name: str, *, index: bool = False, unique: bool = False) -> Column[str]:
    return Column(name, _TEXT, nullable=False, server_default="", index=index, unique=unique)


def _json(name: str) -> Column[object]:
    return Column(name, JSON, nullable=False)


def _time(name: str, *, index: bool = False) -> Column[float]:
    return Column(name, Float(53), nullable=False, index=index)


def _hidden() -> Column[bool]:
    """Of a level above the objects: whether all that it has is hidden, as this node's own simulated studies are."""
    return Column("hidden", Boolean, nullable=False, server_default=false())


def _flag(name: str, *, index: bool = False) -> Column[bool]:
    return Column(name, Boolean, nullable=False, server_default=false(), index=index)


def _person() -> tuple[Column[str], ...]:
    return (
        _text("patient_id", index=True),
        _text("issuer"),
        _text("name_key", index=True),
        _text("ideographic_key", index=True),
        _text("phonetic_key", index=True),
        _text("birth_date", index=True),
        _text("sex"),
    )


PATIENT = Table(
    "patient",
    METADATA,
    _id(),
    _text("identity", unique=True),
    *_person(),
    _json("attributes"),
    _hidden(),
)

STUDY = Table(
    "study",
    METADATA,
    _id(),
    _text("study_uid", unique=True),
    Column("patient_fk", _ID, ForeignKey("patient.id"), nullable=False, index=True),
    *_person(),  # as this study's own objects have them: one PatientID may stand with two spellings of a name
    _json("patient_attributes"),
    _text("study_date", index=True),
    _text("study_time"),
    _text("accession", index=True),
    _text("study_id", index=True),
    _text("referring_key"),
    _json("attributes"),
    _text("calling_ae"),
    _time("first_received_at"),
    _time("last_received_at", index=True),
    Column("unsettled_since", Float(53), index=True),
    Column("settled_at", Float(53)),
    Column("held", _TEXT),
    _flag("stress"),  # an object of it names a stage
    _flag("report_due", index=True),  # something that a report says has changed since the last one
    Column("revision", Integer, server_default=text("0"), nullable=False),  # corrections of the patient's identity
    _hidden(),
)

SERIES = Table(
    "series",
    METADATA,
    _id(),
    Column("study_fk", _ID, ForeignKey("study.id"), nullable=False),
    _text("series_uid", index=True),
    _text("modality"),  # no index of its own: the planner would walk every series of that modality
    _json("attributes"),
    _hidden(),
    UniqueConstraint("study_fk", "series_uid"),
    Index(None, "study_fk", "modality"),
)

INSTANCE = Table(
    "instance",
    METADATA,
    _id(),
    _text("sop_instance_uid", unique=True),
    Column("series_fk", _ID, ForeignKey("series.id"), nullable=False),
    Column("study_fk", _ID, ForeignKey("study.id"), nullable=False),
    _text("sop_class_uid"),
    _text("transfer_syntax_uid"),
    _text("patient_id"),
    _text("sha256"),
    _text("blob", unique=True),
    Column("size", BigInteger, nullable=False),
    Column("dataset_offset", Integer, nullable=False),
    Column("derived", Boolean, nullable=False),
    Column("hidden", Boolean, nullable=False),
    _text("origin"),
    _text("calling_ae"),
    _text("called_ae"),
    _text("peer_address"),
    _text("correlation_id"),
    _time("received_at"),
    _json("attributes"),
    _json("facts"),
    _text("mode"),  # of the facts, for questions
    _text("view"),
    Column("view_confidence", Float(53)),
    Column("quality", Float(53)),
    _text("withdrawn"),  # why, of a result that was taken back; it is hidden then
    Index(None, "series_fk", "hidden"),  # both count without reading a row
    Index(None, "study_fk", "sop_class_uid", "hidden"),
    Index("ix_instance_view", "view", "mode", sqlite_where=text("view <> ''"), postgresql_where=text("view <> ''")),
    # of the few that are hidden alone: what is left over is found at once, however much is stored
    Index("ix_instance_hidden", "hidden", "study_fk", sqlite_where=text("hidden = 1"), postgresql_where=text("hidden")),
)

CONTENT = Table(
    "content",
    METADATA,
    Column("instance_fk", _ID, ForeignKey("instance.id"), primary_key=True, autoincrement=False),
    _text("metadata"),  # the whole data set but its bulk, as one object of DICOM JSON
    Column("frames", LargeBinary, nullable=False),  # core/frame_table.py
    _text("pixel_vr"),
    Column("rows", Integer, nullable=False),
    Column("columns", Integer, nullable=False),
    Column("samples", Integer, nullable=False),
    Column("bits_allocated", Integer, nullable=False),
    _text("photometric"),
)

NAME_WORD = Table(
    "name_word",
    METADATA,
    Column("study_fk", _ID, ForeignKey("study.id"), primary_key=True, autoincrement=False),
    Column("word", _TEXT, primary_key=True),  # of the patient's name, normalised; for fuzzy matching
    Index(None, "word", "study_fk"),
)

VERSION = Table(
    "version",
    METADATA,
    _id(),
    Column("instance_fk", _ID, ForeignKey("instance.id"), nullable=False, index=True),
    _text("sop_class_uid"),
    _text("transfer_syntax_uid"),
    _text("sha256"),
    _text("blob", unique=True),
    Column("size", BigInteger, nullable=False),
    Column("dataset_offset", Integer, nullable=False),
    _text("detail"),
    _text("origin"),
    _text("calling_ae"),
    _text("correlation_id"),
    _time("received_at"),
)

IDENTITY = Table(
    "identity",
    METADATA,
    _id(),
    _text("study_uid"),
    _text("digest"),
    _text("patient_id"),
    _text("issuer"),
    _text("name"),
    _text("birth_date"),
    _json("attributes"),
    _text("sop_instance_uid"),
    _text("calling_ae"),
    _time("first_seen_at"),
    Column("open", Boolean, nullable=False),
    UniqueConstraint("study_uid", "digest"),
)

QUARANTINE = Table(
    "quarantine",
    METADATA,
    _id(),
    _text("blob", unique=True),
    _text("sha256"),
    Column("size", BigInteger, nullable=False),
    Column("dataset_offset", Integer, nullable=False),
    _text("reason"),
    Column("dicom_status", Integer, nullable=False),
    _text("sop_class_uid"),
    _text("sop_instance_uid"),
    _text("study_uid"),
    _text("transfer_syntax_uid"),
    _text("origin"),
    _text("calling_ae"),
    _text("called_ae"),
    _text("peer_address"),
    _text("correlation_id"),
    _time("first_seen_at"),
    _time("last_seen_at"),
    Column("count", Integer, nullable=False),
)

WORKITEM = Table(
    "workitem",
    METADATA,
    _id(),
    _text("work_id", unique=True),
    _text("kind"),
    _text("queue"),
    _text("unique_key", unique=True),
    _text("state"),
    _text("study_uid", index=True),
    _text("series_uid"),
    _text("sop_instance_uid"),
    _text("route"),
    _json("payload"),
    _text("correlation_id"),
    Column("priority", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("max_attempts", Integer, nullable=False),
    _time("created_at"),
    _time("updated_at"),
    _time("not_before"),
    Column("lease_owner", _TEXT),
    Column("lease_until", Float(53)),
    Column("held", _TEXT),
    _text("reason"),
    _json("outcome"),
    Index("ix_workitem_offer", "kind", "state", "priority", "created_at"),
    Index("ix_workitem_lease", "state", "lease_until"),
)

PAUSE = Table(
    "pause",
    METADATA,
    _id(),
    _text("kind"),
    _text("name"),
    _text("by"),
    _text("reason"),
    _time("at"),
    UniqueConstraint("kind", "name"),
)

AUDIT = Table(
    "audit",
    METADATA,
    _id(),
    _time("at", index=True),
    _text("event"),
    _text("correlation_id"),
    _text("study_uid", index=True),
    _text("sop_instance_uid"),
    _text("who"),
    _json("details"),
)

READING = Table(
    "reading",
    METADATA,
    _id(),
    _text("work_id"),
    _text("study_uid"),
    _text("sop_instance_uid"),
    _text("task"),
    _text("model"),
    _text("version"),
    _text("digest"),
    _text("route"),
    _json("parameters"),
    _json("results"),  # as execution/spool.py writes them, without arrays
    _json("details"),
    _json("objects"),  # of core/readings.py KeptObject
    _text("view"),
    _text("stage"),
    Column("current", Boolean, nullable=False),
    _flag("shadow"),  # beside the active model, or of history run again: told to nobody, compared alone
    _time("at"),
    Index(None, "study_uid", "current"),
    Index(None, "model", "at"),
    Index(None, "sop_instance_uid", "route"),
)

MODEL_EVENT = Table(
    "model_event",
    METADATA,
    _id(),
    _text("line", index=True),  # what a route calls the model: the name of the first package of its line
    _text("model"),
    _text("version"),
    _text("digest"),
    _text("event"),  # of core/model_states.py: register, shadow, activate, displace, rollback, retire, remove
    _text("state"),  # candidate, shadow, active, retired, removed: of the package after it
    _text("displaced"),  # the package that was active in the line before
    _text("by"),
    _text("why"),
    _json("checks"),  # what the contract tests found
    _time("at"),
)

REPORT = Table(
    "report",
    METADATA,
    _id(),
    _text("study_uid", index=True),
    _text("sop_instance_uid", unique=True),
    _text("sop_class_uid"),
    _text("series_uid"),
    _text("content_digest"),
    _text("state"),  # preliminary, verified, addendum
    _text("status"),  # current, superseded, withdrawn; of addenda the newest one is current too
    _text("predecessor_uid"),
    Column("revision", Integer, nullable=False),
    _text("by"),
    _text("comment"),
    _json("content"),  # core/report.py StudyReport
    _json("objects"),  # further objects of this report: document, measurements
    _time("at"),
)

SELF_CHECK = Table(
    "self_check",
    METADATA,
    _id(),
    _text("check_id", unique=True),
    _text("occasion", unique=True),  # a day of the schedule has one check, whoever asks
    _text("state"),  # asked, running, ended
    _text("asked_by"),
    _time("asked_at"),
    Column("started_at", Float(53)),
    Column("ended_at", Float(53), index=True),
    _text("owner"),
    _text("study_uid"),
    Column("ok", Boolean),  # none while it is not known
    _text("says"),
)

SELF_CHECK_ANSWER = Table(
    "self_check_answer",
    METADATA,
    _id(),
    Column("check_fk", _ID, ForeignKey("self_check.id"), nullable=False, index=True),
    _time("at"),
    _text("task"),
    _text("model"),
    _text("what"),
    _text("unit"),
    Column("measured", Float(53)),
    Column("truth", Float(53)),
    Column("limit", Float(53)),  # of the difference
    Column("ok", Boolean, nullable=False),
    _text("says"),
)

REFUSAL = Table(
    "refusal",
    METADATA,
    _id(),
    _text("what"),
    _text("calling_ae"),
    _text("address"),
    _text("reason"),
    _text("advice"),
    Column("count", Integer, nullable=False),
    _time("first_seen_at"),
    _time("last_seen_at", index=True),
    UniqueConstraint("what", "calling_ae", "address", "reason"),
)

ASSOCIATION = Table(
    "association",
    METADATA,
    _id(),
    _text("association_id", unique=True),
    _text("calling_ae"),
    _text("called_ae"),
    _text("peer_address"),
    _text("owner", index=True),
    _time("opened_at"),
    Column("closed_at", Float(53), index=True),
)

ASSOCIATION_STUDY = Table(
    "association_study",
    METADATA,
    _id(),
    _text("association_id"),
    _text("study_uid", index=True),
    UniqueConstraint("association_id", "study_uid"),
)
