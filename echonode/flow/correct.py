"""A patient's identity was wrong: the study is another's, and everything that was made of it is made anew.

What was made under the wrong identity is withdrawn. Runs that had given something run again under the next revision, so
that their objects are other objects; a person's report is written once more.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy.engine import Connection

from echonode.archive.archive import Archive
from echonode.archive.entry import identity_of, text_of
from echonode.archive.identity import PatientIdentity
from echonode.core.attributes import ATTRIBUTES
from echonode.core.errors import BadInput, NotFound
from echonode.core.report import ReportState
from echonode.core.routes import RoutesFile
from echonode.core.settings import WorkSection
from echonode.core.states import WorkState
from echonode.core.work import WorkItem, WorkKind, WorkRequest
from echonode.flow.report_orders import reissue_request
from echonode.flow.withdraw import made_by, said, take_back

KEYWORDS: Mapping[str, str] = {
    "patient_id": "PatientID",
    "issuer": "IssuerOfPatientID",
    "name": "PatientName",
    "birth_date": "PatientBirthDate",
    "sex": "PatientSex",
}
_LONGEST: Mapping[str, int] = {"PatientName": 324}
_PLAIN = 64
MOST_ITEMS = 100_000
_AGAIN = "|revision "


@dataclass(frozen=True, kw_only=True, slots=True)
class Corrected:
    """What became of a study whose patient was corrected; `runs` is how many run again."""

    study_uid: str
    patient_id: str
    revision: int
    withdrawn: int
    runs: int


def correct(
    archive: Archive,
    routes: RoutesFile,
    settings: WorkSection,
    *,
    study: str,
    changes: Mapping[str, str],
    by: str,
    reason: str,
    who: str,
) -> Corrected:
    """The study is of the patient that it had with `changes` (patient_id, issuer, name, birth_date, sex).

    Raises:
        NotFound: no such study.
        BadInput: a value that the attribute cannot have, nothing that changes, no name or no reason, or an open conflict.
    """
    by, reason = said(by, "a name"), said(reason, "a reason")
    study_uid = archive.index.resolve_study(study)
    state = archive.studies.state(study_uid)
    if state is None:
        raise NotFound(f"no study has the UID {study_uid}")
    attributes = corrected_attributes(state.patient, changes)
    if attributes == dict(state.patient):
        raise BadInput("that is what the study says already")
    with archive.transaction() as connection:
        identity = archive.conflicts.correct(
            connection, study_uid, attributes=attributes, by=f"{who} for {by}", reason=reason
        )
        revision, withdrawn, runs = reissue(
            archive,
            routes,
            settings,
            connection,
            study_uid=study_uid,
            reason=f"identity corrected: {reason}",
            by=by,
            who=who,
        )
    return Corrected(
        study_uid=study_uid, patient_id=identity.patient_id, revision=revision, withdrawn=withdrawn, runs=runs
    )


def resolve(
    archive: Archive, routes: RoutesFile, settings: WorkSection, *, study_uid: str, keep: str, who: str
) -> tuple[str, str]:
    """Say whose a study with two identities is: its PatientID and the identity's digest.

    What was made under another identity than the one that is kept is made anew.

    Raises:
        NotFound, BadInput: as `Conflicts.resolve`.
    """
    before = archive.studies.state(study_uid)
    if before is None:
        raise NotFound(f"no study has the UID {study_uid}")

    def then(connection: Connection, kept: PatientIdentity) -> None:
        made = [each for each in archive.withdrawals.results(study_uid) if not each.withdrawn]
        another = any(each.patient_id and each.patient_id != kept.patient_id for each in made)
        if made and (another or identity_of(before.patient).contradicts(kept)):
            reason = "the study was decided to be of another patient"
            reissue(archive, routes, settings, connection, study_uid=study_uid, reason=reason, by=who, who=who)
        else:
            archive.studies.due(connection, study_uid)

    identity = archive.conflicts.resolve(study_uid, keep=keep, by=who, then=then)
    return identity.patient_id, identity.digest


def reissue(
    archive: Archive,
    routes: RoutesFile,
    settings: WorkSection,
    connection: Connection,
    *,
    study_uid: str,
    reason: str,
    by: str,
    who: str,
) -> tuple[int, int, int]:
    """Withdraw what was made of the study and have it made anew: the new revision, how many objects went, how many runs."""
    standing = archive.reports.standing(study_uid)
    made = archive.withdrawals.results(study_uid)
    uids = [each.sop_instance_uid for each in made if not each.withdrawn and not each.is_note]
    revision = archive.studies.revise(connection, study_uid)
    taken = take_back(
        archive,
        routes,
        settings,
        connection,
        study_uid=study_uid,
        uids=uids,
        reason=reason,
        by=by,
        who=who,
        wrong_patient=True,
    )
    archive.reports.allow_again(connection, study_uid, uids={each.sop_instance_uid for each in standing})
    requests = _runs_again(archive, study_uid, revision, taken.uids)
    requests += [
        reissue_request(study_uid, report_uid=each.sop_instance_uid, revision=revision, settings=settings)
        for each in standing
        if each.state is ReportState.VERIFIED
    ]
    archive.work.enqueue(connection, requests)
    return revision, len(taken.uids), sum(request.kind is WorkKind.RUN for request in requests)


def corrected_attributes(patient: Mapping[str, Any], changes: Mapping[str, str]) -> dict[str, Any]:
    """The patient level in DICOM JSON with `changes`; an empty text leaves the attribute without a value.

    Raises:
        BadInput: a word that is not known, or a value that the attribute cannot have (PS3.5 6.2).
    """
    attributes = dict(patient)
    for word, text in changes.items():
        keyword = KEYWORDS.get(word)
        if keyword is None:
            raise BadInput(f"{word!r} cannot be corrected; there are: {', '.join(KEYWORDS)}")
        value = text.strip()
        _check(word, keyword, value)
        attribute = ATTRIBUTES[keyword]
        element: dict[str, Any] = {"vr": attribute.vr}
        if value:
            element["Value"] = [_person_name(value) if attribute.vr == "PN" else value]
        attributes[attribute.tag] = element
    if not text_of(attributes, "PatientID"):
        raise BadInput("a patient needs a Patient ID")
    return attributes


def _check(word: str, keyword: str, value: str) -> None:
    if len(value) > _LONGEST.get(keyword, _PLAIN):
        raise BadInput(f"{word} has {len(value)} characters; {_LONGEST.get(keyword, _PLAIN)} at most")
    if "\\" in value or not value.isprintable():
        raise BadInput(f"{word} must be one line without a backslash")
    if keyword == "PatientBirthDate" and value and not _is_date(value):
        raise BadInput(f"{word} {value!r} is no date like 19700131")
    if keyword == "PatientSex" and value not in ("", "M", "F", "O"):
        raise BadInput(f"{word} must be M, F or O")


def _is_date(text: str) -> bool:
    if len(text) != 8 or not (text.isascii() and text.isdigit()):
        return False
    try:
        date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        return False
    return True


def _person_name(text: str) -> dict[str, str]:
    groups = zip(("Alphabetic", "Ideographic", "Phonetic"), text.split("="), strict=False)
    return {name: group for name, group in groups if group}


def _runs_again(archive: Archive, study_uid: str, revision: int, taken: Collection[str]) -> list[WorkRequest]:
    """Every run whose answer still counts or whose object was withdrawn just now, once more under the new revision.

    What started from a label map is planned when the new label map is there.
    """
    counting = {each.work_id for each in archive.readings.of_study(study_uid)}
    found: dict[str, WorkItem] = {}
    for item in archive.work.list(kind=WorkKind.RUN, study_uid=study_uid, limit=MOST_ITEMS):
        made = set(taken).intersection(made_by(item))
        if item.state is WorkState.COMPLETED and "input" not in item.payload and (made or item.id in counting):
            found.setdefault(item.unique_key.partition(_AGAIN)[0], item)
    return [
        WorkRequest(
            kind=item.kind,
            queue=item.queue,
            unique_key=f"{key}{_AGAIN}{revision}",
            study_uid=item.study_uid,
            series_uid=item.series_uid,
            sop_instance_uid=item.sop_instance_uid,
            route=item.route,
            payload=item.payload,
            correlation_id=item.correlation_id,
            priority=item.priority,
            max_attempts=item.max_attempts,
        )
        for key, item in reversed(found.items())
    ]
