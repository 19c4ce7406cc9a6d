"""Studies whose objects name two patients: everything of them waits until a person says whose they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.engine import Connection

from echonode.archive.audit import Audit
from echonode.archive.database import Database
from echonode.archive.entry import Entry, identity_of, patient_row, person_columns, write_words
from echonode.archive.identity import PatientIdentity
from echonode.archive.schema import IDENTITY, STUDY
from echonode.archive.upsert import insert_new
from echonode.archive.workitems import WorkStore
from echonode.core.errors import BadInput, NotFound
from echonode.core.ports import Clock
from echonode.core.query import Level

_I = IDENTITY.c


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """One identity that objects of the study name; `digest` names it where PatientIDs are the same."""

    digest: str
    patient_id: str
    issuer: str
    name: str
    birth_date: str
    sop_instance_uid: str
    calling_ae: str
    first_seen_at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Conflict:
    """A study and the identities that contradict each other, the first received one first."""

    study_uid: str
    claims: tuple[Claim, ...]


class Conflicts:
    """Patient identity conflicts."""

    def __init__(self, database: Database, work: WorkStore, audit: Audit, *, clock: Clock) -> None:
        self._database = database
        self._work = work
        self._audit = audit
        self._clock = clock

    def check(self, connection: Connection, entry: Entry, *, known: PatientIdentity) -> bool:
        """Hold the study when `entry` contradicts what is known of its patient; part of the ingest transaction.

        An identity that a person has decided on already opens nothing again.
        """
        if not entry.identity.contradicts(known):
            return False
        rows = list(connection.execute(select(IDENTITY).where(_I.study_uid == entry.study_uid)))
        if any(not entry.identity.contradicts(_identity(row)) for row in rows):
            return any(row.open for row in rows)
        if not rows:
            first = select(STUDY.c.patient_attributes).where(STUDY.c.study_uid == entry.study_uid)
            attributes = connection.execute(first).scalar_one()
            self._claim(connection, entry.study_uid, attributes)
        patient = entry.attributes[Level.PATIENT]
        self._claim(connection, entry.study_uid, patient, entry.sop_instance_uid, entry.calling_ae)
        connection.execute(update(IDENTITY).where(_I.study_uid == entry.study_uid).values(open=True))
        self._work.hold_study(connection, entry.study_uid, "two patient identities in one study")
        self._audit.write(
            connection,
            event="identity conflict",
            correlation_id=entry.correlation_id,
            study_uid=entry.study_uid,
            sop_instance_uid=entry.sop_instance_uid,
            who=entry.calling_ae,
            details={"claims": [known.digest, entry.identity.digest]},
        )
        return True

    def list(self) -> list[Conflict]:
        """The conflicts that nobody has resolved yet."""
        query = select(IDENTITY).where(_I.open).order_by(_I.id)
        with self._database.reading() as connection:
            rows = list(connection.execute(query))
        studies: dict[str, list[Claim]] = {}
        for row in rows:
            studies.setdefault(row.study_uid, []).append(_claim(row))
        return [Conflict(study_uid=uid, claims=tuple(claims)) for uid, claims in studies.items()]

    def resolve(self, study_uid: str, *, keep: str, by: str = "") -> PatientIdentity:
        """The study belongs to `keep`, a PatientID or a claim's digest; its runs and deliveries go on.

        Stored bytes stay as they were received; queries answer with the identity that was kept.

        Raises:
            NotFound: the study has no open conflict, or no such identity.
            BadInput: two of its identities have that PatientID; name the digest.
        """
        with self._database.transaction() as connection:
            of_study = select(IDENTITY).where(_I.study_uid == study_uid, _I.open).order_by(_I.id)
            rows = list(connection.execute(of_study))
            if not rows:
                raise NotFound(f"study {study_uid} has no open conflict")
            kept = _choose(rows, keep)
            identity = identity_of(kept.attributes)
            connection.execute(
                update(STUDY)
                .where(STUDY.c.study_uid == study_uid)
                .values(
                    patient_fk=patient_row(connection, kept.attributes, study_uid=study_uid),
                    patient_attributes=kept.attributes,
                    **person_columns(identity, kept.attributes),
                )
            )
            key = connection.execute(select(STUDY.c.id).where(STUDY.c.study_uid == study_uid)).scalar_one()
            write_words(connection, key, identity.name, instead=True)
            connection.execute(update(IDENTITY).where(_I.study_uid == study_uid).values(open=False))
            self._work.release_study(connection, study_uid)
            self._audit.write(
                connection,
                event="identity conflict resolved",
                study_uid=study_uid,
                who=by,
                details={"kept": kept.digest, "claims": [row.digest for row in rows]},
            )
        return identity

    def _claim(
        self,
        connection: Connection,
        study_uid: str,
        attributes: Mapping[str, Any],
        sop_instance_uid: str = "",
        calling_ae: str = "",
    ) -> None:
        identity = identity_of(attributes)
        row = {
            "study_uid": study_uid,
            "digest": identity.digest,
            "patient_id": identity.patient_id,
            "issuer": identity.issuer,
            "name": identity.name,
            "birth_date": identity.birth_date,
            "attributes": attributes,
            "sop_instance_uid": sop_instance_uid,
            "calling_ae": calling_ae,
            "first_seen_at": self._clock(),
            "open": True,
        }
        insert_new(connection, IDENTITY, row)


def _choose(rows: Sequence[Any], keep: str) -> Any:
    fitting = [row for row in rows if keep in (row.digest, row.patient_id)]
    if not fitting:
        raise NotFound(f"no identity of the study is {keep!r}; there are {', '.join(row.digest for row in rows)}")
    if len(fitting) > 1:
        digests = ", ".join(row.digest for row in fitting)
        raise BadInput(f"{keep!r} is the PatientID of more than one identity; name one of {digests}")
    return fitting[0]


def _identity(row: Any) -> PatientIdentity:
    return identity_of(row.attributes)


def _claim(row: Any) -> Claim:
    return Claim(
        digest=row.digest,
        patient_id=row.patient_id,
        issuer=row.issuer,
        name=row.name,
        birth_date=row.birth_date,
        sop_instance_uid=row.sop_instance_uid,
        calling_ae=row.calling_ae,
        first_seen_at=row.first_seen_at,
    )
