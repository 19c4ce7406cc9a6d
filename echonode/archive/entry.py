"""One object on its way into the index: its identity, its indexed attributes, its facts, and the rows it becomes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import orjson
from sqlalchemy import Boolean, Text, bindparam, cast, delete, func, insert, or_, select, true, update
from sqlalchemy.engine import Connection

from echonode.archive import bare
from echonode.archive.bare import Bare, json_text
from echonode.archive.contents import Content, insert_content
from echonode.archive.identity import PatientIdentity
from echonode.archive.schema import INSTANCE, NAME_WORD, PATIENT, SERIES, STUDY, VERSION
from echonode.archive.text import date_key, name_words, person_name_key, person_name_keys, time_key
from echonode.archive.upsert import insert_new
from echonode.core.attributes import ATTRIBUTES
from echonode.core.identity import digest_of
from echonode.core.query import Level


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """What the index keeps of one object.

    `sha256` is over the data set's bytes, `blob` is the name in the BlobStore (data set and transfer syntax).
    `attributes` has DICOM JSON by level, `facts` is `Facts.as_dict()`. An object without `content` gets it when it is
    first asked for. A `hidden` one is kept and worked on, and nothing is told of it: not that it is there either.
    """

    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    series_uid: str
    study_uid: str
    sha256: str
    blob: str
    size: int
    dataset_offset: int
    attributes: Mapping[Level, Mapping[str, Any]]
    facts: Mapping[str, Any]
    content: Content | None = None
    derived: bool = False
    hidden: bool = False
    origin: str = ""
    calling_ae: str = ""
    called_ae: str = ""
    peer_address: str = ""
    correlation_id: str = ""
    identity: PatientIdentity = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "identity", identity_of(self.attributes[Level.PATIENT]))


class AlreadyIndexed(Exception):
    """The SOP Instance UID has a row already; what the transaction wrote so far is to be undone."""


def text_of(attributes: Mapping[str, Any], keyword: str) -> str:
    """The first value of an attribute in DICOM JSON as text, a PN as its groups joined by `=`; empty when absent."""
    values = attributes.get(ATTRIBUTES[keyword].tag, {}).get("Value") or [""]
    return value_text(values[0])


def value_text(value: Any) -> str:
    """One value of DICOM JSON as DICOM text."""
    if isinstance(value, Mapping):
        groups = [str(value.get(group, "")) for group in ("Alphabetic", "Ideographic", "Phonetic")]
        return "=".join(groups).rstrip("=")
    return "" if value is None else str(value)


def insert_entry(connection: Connection, entry: Entry, *, now: float) -> PatientIdentity | None:
    """Add the rows of `entry`, and of the levels above where they are new.

    Returns the study's patient as it was known before; None when the entry made the study, or what is hidden in it has
    no say in whose it is: a study of hidden objects alone is made anew by the first visible one. What we derive from a
    hidden study is hidden.

    Raises:
        AlreadyIndexed: the SOP Instance UID is known; the caller's transaction must not be committed.
    """
    found = _STUDY.run(connection, {"study": entry.study_uid, "series": entry.series_uid}).fetchone()
    known, hidden = None, entry.hidden
    if found is None:
        study_fk = _insert_study(connection, entry, now)
        series_fk = _insert_series(connection, entry, study_fk)
    else:
        study_fk, series_fk, attributes, study_hidden, series_hidden = found
        hidden = hidden or bool(entry.derived and study_hidden)
        entry = replace(entry, hidden=hidden)
        if study_hidden and not hidden:
            _show_study(connection, entry, study_fk, now)
        elif not hidden:
            known = identity_of(orjson.loads(attributes))
        if series_fk and series_hidden and not hidden:
            _show_series(connection, entry, series_fk)
        series_fk = series_fk or _insert_series(connection, entry, study_fk)
    row = {
        "sop_instance_uid": entry.sop_instance_uid,
        "series_fk": series_fk,
        "study_fk": study_fk,
        "sop_class_uid": entry.sop_class_uid,
        "transfer_syntax_uid": entry.transfer_syntax_uid,
        "patient_id": entry.identity.patient_id,
        "sha256": entry.sha256,
        "blob": entry.blob,
        "size": entry.size,
        "dataset_offset": entry.dataset_offset,
        "derived": entry.derived,
        "hidden": hidden,
        "origin": entry.origin,
        "calling_ae": entry.calling_ae,
        "called_ae": entry.called_ae,
        "peer_address": entry.peer_address,
        "correlation_id": entry.correlation_id,
        "received_at": now,
        "attributes": json_text(entry.attributes[Level.IMAGE]),
        "facts": json_text(entry.facts),
        "mode": entry.facts.get("mode") or "",
        "view": entry.facts.get("view") or "",
        "view_confidence": entry.facts.get("view_confidence"),
        "quality": entry.facts.get("quality"),
        "withdrawn": "",
    }
    cursor = _INSTANCE.run(connection, row)
    if cursor.rowcount != 1:
        raise AlreadyIndexed(entry.sop_instance_uid)
    instance_fk = cursor.lastrowid if connection.dialect.name == "sqlite" else cursor.fetchone()[0]
    if entry.content is not None:
        insert_content(connection, instance_fk, entry.content)
    if not entry.derived and not hidden:  # what we add ourselves does not make a study unfinished
        stress = bool(entry.facts.get("stage"))
        _RECEIVED.run(connection, {"study_fk": study_fk, "now": now, "staged": stress})
    return known


def insert_version(connection: Connection, entry: Entry, *, detail: str, now: float) -> bool:
    """Keep `entry` beside the first object of its UID; False when this version is kept already."""
    first = select(INSTANCE.c.id).where(INSTANCE.c.sop_instance_uid == entry.sop_instance_uid)
    row = {
        "instance_fk": connection.execute(first).scalar_one(),
        "sop_class_uid": entry.sop_class_uid,
        "transfer_syntax_uid": entry.transfer_syntax_uid,
        "sha256": entry.sha256,
        "blob": entry.blob,
        "size": entry.size,
        "dataset_offset": entry.dataset_offset,
        "detail": detail,
        "origin": entry.origin,
        "calling_ae": entry.calling_ae,
        "correlation_id": entry.correlation_id,
        "received_at": now,
    }
    return insert_new(connection, VERSION, row) is not None


def identity_of(attributes: Mapping[str, Any]) -> PatientIdentity:
    """The identity that the patient level's DICOM JSON names."""
    return PatientIdentity(
        patient_id=text_of(attributes, "PatientID"),
        issuer=text_of(attributes, "IssuerOfPatientID"),
        name=text_of(attributes, "PatientName"),
        birth_date=date_key(text_of(attributes, "PatientBirthDate")),
    )


def person_columns(identity: PatientIdentity, attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The matching columns that patient and study rows share."""
    alphabetic, ideographic, phonetic = person_name_keys(identity.name)
    return {
        "patient_id": identity.patient_id,
        "issuer": identity.issuer,
        "name_key": alphabetic,
        "ideographic_key": ideographic,
        "phonetic_key": phonetic,
        "birth_date": identity.birth_date,
        "sex": text_of(attributes, "PatientSex"),
    }


def patient_row(connection: Connection, attributes: Mapping[str, Any], *, study_uid: str, hidden: bool = False) -> int:
    """The id of the patient's row, made when it is new. Without a PatientID a patient is known in one study alone."""
    identity = identity_of(attributes)
    parts = [identity.patient_id, identity.issuer] if identity.patient_id else ["", "", study_uid, identity.digest]
    key = digest_of(parts)
    row = {"identity": key, **person_columns(identity, attributes), "attributes": attributes, "hidden": hidden}
    made = insert_new(connection, PATIENT, row)
    if made is not None:
        return made
    if not hidden:
        connection.execute(update(PATIENT).where(PATIENT.c.identity == key, PATIENT.c.hidden).values(hidden=False))
    return int(connection.execute(select(PATIENT.c.id).where(PATIENT.c.identity == key)).scalar_one())


def write_words(connection: Connection, study_fk: int, name: str, *, instead: bool = False) -> None:
    """Let fuzzy matching find the study by the words of `name`; `instead` of those that it has."""
    if instead:
        connection.execute(delete(NAME_WORD).where(NAME_WORD.c.study_fk == study_fk))
    rows = [{"study_fk": study_fk, "word": word} for word in sorted(name_words(name))]
    if rows:
        connection.execute(insert(NAME_WORD), rows)


def _study_row(connection: Connection, entry: Entry, now: float) -> dict[str, Any]:
    attributes, patient = entry.attributes[Level.STUDY], entry.attributes[Level.PATIENT]
    return {
        "study_uid": entry.study_uid,
        "patient_fk": patient_row(connection, patient, study_uid=entry.study_uid, hidden=entry.hidden),
        **person_columns(entry.identity, patient),
        "patient_attributes": patient,
        "study_date": date_key(text_of(attributes, "StudyDate")),
        "study_time": time_key(text_of(attributes, "StudyTime")),
        "accession": text_of(attributes, "AccessionNumber"),
        "study_id": text_of(attributes, "StudyID"),
        "referring_key": person_name_key(text_of(attributes, "ReferringPhysicianName").partition("=")[0]),
        "attributes": attributes,
        "calling_ae": entry.calling_ae,
        "first_received_at": now,
        "last_received_at": now,
        "unsettled_since": None,
        "settled_at": None,
        "held": None,
        "stress": False,
        "report_due": False,
        "revision": 0,
        "hidden": entry.hidden,
    }


def _insert_study(connection: Connection, entry: Entry, now: float) -> int:
    made = insert_new(connection, STUDY, _study_row(connection, entry, now))
    if made is not None:
        write_words(connection, made, entry.identity.name)
        return made
    return int(connection.execute(select(STUDY.c.id).where(STUDY.c.study_uid == entry.study_uid)).scalar_one())


def _show_study(connection: Connection, entry: Entry, study_fk: int, now: float) -> None:
    """The first visible object of a hidden study makes it as if nothing had been there."""
    values = _study_row(connection, entry, now)
    connection.execute(update(STUDY).where(STUDY.c.id == study_fk).values(**values))
    write_words(connection, study_fk, entry.identity.name, instead=True)


def _show_series(connection: Connection, entry: Entry, series_fk: int) -> None:
    values = _series_row(entry)
    connection.execute(update(SERIES).where(SERIES.c.id == series_fk).values(**values))


def _series_row(entry: Entry) -> dict[str, Any]:
    attributes = entry.attributes[Level.SERIES]
    return {
        "series_uid": entry.series_uid,
        "modality": text_of(attributes, "Modality"),
        "attributes": attributes,
        "hidden": entry.hidden,
    }


def _insert_series(connection: Connection, entry: Entry, study_fk: int) -> int:
    row = {"study_fk": study_fk, **_series_row(entry)}
    made = insert_new(connection, SERIES, row)
    if made is not None:
        return made
    same = select(SERIES.c.id).where(SERIES.c.study_fk == study_fk, SERIES.c.series_uid == entry.series_uid)
    return int(connection.execute(same).scalar_one())


_STUDY = Bare(
    select(STUDY.c.id, SERIES.c.id, cast(STUDY.c.patient_attributes, Text), STUDY.c.hidden, SERIES.c.hidden)
    .select_from(STUDY)
    .outerjoin(SERIES, (SERIES.c.study_fk == STUDY.c.id) & (SERIES.c.series_uid == bindparam("series")))
    .where(STUDY.c.study_uid == bindparam("study"))
)
_INSTANCE = bare.insert(INSTANCE, or_nothing=True)
_RECEIVED = Bare(
    update(STUDY)
    .where(STUDY.c.id == bindparam("study_fk"))
    .values(
        last_received_at=bindparam("now"),
        unsettled_since=func.coalesce(STUDY.c.unsettled_since, bindparam("now")),
        stress=or_(STUDY.c.stress, bindparam("staged", type_=Boolean)),
        report_due=true(),
    )
)
