"""Studies whose objects name two patients: everything of them waits until a person says whose they are."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.engine import Connection

from echonode.archive.audit import Audit
from echonode.archive.database import Database
from echonode.archive.entry import Entry, identity_of
from echonode.archive.identity import PatientIdentity
from echonode.archive.schema import AUDIT, IDENTITY, INSTANCE, STUDY
from echonode.archive.studies import Studies
from echonode.archive.upsert import insert_new
from echonode.archive.workitems import WorkStore
from echonode.core.ages import age_between, day_of
from echonode.core.errors import BadInput, NotFound
from echonode.core.ports import Clock
from echonode.core.query import Level

CORRECTED = "patient corrected"
"""The event of the audit trail whose details name the identities that were wrong."""
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

    def __init__(self, database: Database, work: WorkStore, audit: Audit, studies: Studies, *, clock: Clock) -> None:
        self._database = database
        self._studies = studies
        self._work = work
        self._audit = audit
        self._clock = clock

    def check(self, connection: Connection, entry: Entry, *, known: PatientIdentity) -> bool:
        """Hold the study when `entry` contradicts what is known of its patient; part of the ingest transaction.

        An identity that a person has decided on already opens nothing again; one that a person has corrected is taken
        for the right one.
        """
        if not entry.identity.contradicts(known):
            return False
        rows = list(connection.execute(select(IDENTITY).where(_I.study_uid == entry.study_uid)))
        if any(not entry.identity.contradicts(_identity(row)) for row in rows):
            is_open = any(row.open for row in rows)
            if not is_open and entry.identity.digest in self._corrected(connection, entry.study_uid):
                _adopt(connection, {entry.sop_instance_uid}, known, instead_of=entry.identity)
            return is_open
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

    def resolve(
        self,
        study_uid: str,
        *,
        keep: str,
        by: str = "",
        then: Callable[[Connection, PatientIdentity], None] | None = None,
    ) -> PatientIdentity:
        """The study belongs to `keep`, a PatientID or a claim's digest; its runs and deliveries go on.

        Stored bytes stay as they were received; queries answer with the identity that was kept. `then` is done in the
        same transaction.

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
            identity = self._studies.decide(connection, study_uid, kept.attributes)
            connection.execute(update(IDENTITY).where(_I.study_uid == study_uid).values(open=False))
            self._work.release_study(connection, study_uid)
            self._audit.write(
                connection,
                event="identity conflict resolved",
                study_uid=study_uid,
                who=by,
                details={"kept": kept.digest, "claims": [row.digest for row in rows]},
            )
            if then is not None:
                then(connection, identity)
        return identity

    def correct(
        self, connection: Connection, study_uid: str, *, attributes: Mapping[str, Any], by: str, reason: str
    ) -> PatientIdentity:
        """The study is of the patient of `attributes`, and the identity that it had was wrong.

        Objects under the wrong identity, stored or still to come, count as the right patient's: their runs go on.

        Raises:
            NotFound: no such study.
            BadInput: the study has an open conflict.
        """
        query = select(STUDY.c.patient_attributes, STUDY.c.held).where(STUDY.c.study_uid == study_uid)
        study = connection.execute(query).first()
        if study is None:
            raise NotFound(f"no study has the UID {study_uid}")
        if connection.execute(select(_I.id).where(_I.study_uid == study_uid, _I.open)).first() is not None:
            raise BadInput("the study names two patients: say first whose it is (echonode conflicts)")
        wrong, right = identity_of(study.patient_attributes), identity_of(attributes)
        for each in (study.patient_attributes, attributes):
            self._claim(connection, study_uid, each)
        connection.execute(update(IDENTITY).where(_I.study_uid == study_uid).values(open=False))
        self._studies.decide(connection, study_uid, attributes)
        corrected = {wrong.patient_id, right.patient_id}
        objects = select(INSTANCE.c.sop_instance_uid, INSTANCE.c.facts).where(
            INSTANCE.c.study_fk == select(STUDY.c.id).where(STUDY.c.study_uid == study_uid).scalar_subquery(),
            ~INSTANCE.c.derived,
        )
        found = connection.execute(objects).all()
        ours = {row.sop_instance_uid for row in found if row.facts.get("patient_id") in corrected}
        _adopt(connection, ours, right, instead_of=wrong)
        self._audit.write(
            connection,
            event=CORRECTED,
            study_uid=study_uid,
            who=by,
            details={"wrong": wrong.digest, "right": right.digest, "reason": reason, "objects": len(ours)},
        )
        return right

    def _corrected(self, connection: Connection, study_uid: str) -> set[str]:
        query = select(AUDIT.c.details).where(AUDIT.c.study_uid == study_uid, AUDIT.c.event == CORRECTED)
        return {str(details.get("wrong")) for details in connection.execute(query).scalars()}

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


def _adopt(
    connection: Connection, uids: Collection[str], right: PatientIdentity, *, instead_of: PatientIdentity
) -> None:
    """The index counts these objects as that patient's, as old as that one was; their bytes stay as they came."""
    query = (
        select(INSTANCE.c.id, INSTANCE.c.facts, STUDY.c.study_date)
        .join(STUDY, STUDY.c.id == INSTANCE.c.study_fk)
        .where(INSTANCE.c.sop_instance_uid.in_(list(uids)))
    )
    for row in connection.execute(query).all():
        facts = {**row.facts, "patient_id": right.patient_id}
        if right.birth_date != instead_of.birth_date:
            born, seen = day_of(right.birth_date), day_of(row.study_date)
            facts["age_years"] = age_between(born, seen) if born is not None and seen is not None else None
        connection.execute(update(INSTANCE).where(INSTANCE.c.id == row.id).values(facts=facts))


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
