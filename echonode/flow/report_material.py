"""What a report is made of: everything that the archive keeps of a study, and the headers of what it refers to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pydicom.dataset import Dataset

from echonode.archive.archive import Archive
from echonode.archive.reports import KeptReport
from echonode.archive.studies import StudyState
from echonode.core.errors import EchonodeError, RunFailed, StorageUnavailable
from echonode.core.facts import Facts
from echonode.core.query import StoredInstance
from echonode.core.readings import KeptReading
from echonode.core.report import Algorithm, ObjectReference, ReportState, StudyReport
from echonode.core.report_json import of_json
from echonode.core.routes import RoutesFile
from echonode.core.settings import LimitsSection
from echonode.core.states import WorkState
from echonode.core.task import TaskSpec
from echonode.core.work import WorkItem, WorkKind
from echonode.dicom.header import SYNTAXES_DEFLATED, read_header
from echonode.flow.contract import names_another
from echonode.flow.inflation import read_deflated_header
from echonode.flow.report import compose, content_digest
from echonode.registry.catalogue import Catalogue

POINTED_AT = frozenset({"segmentation", "overlay", "capture", "slow-motion"})
"""Kinds of derived objects that a report may point at."""
SLOW_MOTION = "slow_motion"
MOST_ITEMS = 100_000


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Material:
    """What is known of a study now; nothing of objects that name another patient than the one it was decided to be of."""

    study: StudyState
    facts: tuple[Facts, ...]
    references: Mapping[str, ObjectReference]
    readings: tuple[KeptReading, ...]
    without_result: tuple[WorkItem, ...]
    derived: tuple[tuple[str, ObjectReference], ...]

    @property
    def tells_something(self) -> bool:
        """Whether a model that measures was asked about anything: slow motion alone makes no report."""
        asked = {reading.task for reading in self.readings}
        asked |= {str(item.payload.get("task", "")) for item in self.without_result}
        return bool(asked - {SLOW_MOTION})


def material_of(archive: Archive, study: StudyState) -> Material:
    """Everything that is kept of that study and can be seen."""
    stored = {each.sop_instance_uid: each for each in archive.index.instances(study_uid=study.study_uid)}
    facts = tuple(
        each
        for each in archive.index.facts_of_study(study.study_uid)
        if not each.derived and not names_another(each, patient_id=study.patient_id)
    )
    known = {each.sop_instance_uid for each in facts}
    readings = tuple(each for each in archive.readings.of_study(study.study_uid) if each.sop_instance_uid in known)
    read = {(each.sop_instance_uid, each.route) for each in readings}
    items = archive.work.list(kind=WorkKind.RUN, study_uid=study.study_uid, limit=MOST_ITEMS)
    return Material(
        study=study,
        facts=facts,
        references={uid: _reference(each) for uid, each in stored.items()},
        readings=readings,
        without_result=tuple(
            item
            for item in reversed(items)
            if item.state is not WorkState.COMPLETED
            and not item.payload.get("shadow")  # a model that only looks owes nobody an answer
            and item.outcome.get("result") != "superseded"  # another run answers in its place
            and (item.sop_instance_uid in known or not item.sop_instance_uid)
            and (item.sop_instance_uid, item.route) not in read
        ),
        derived=tuple(
            (made.kind, _reference(stored[made.sop_instance_uid]))
            for reading in readings
            for made in reading.objects
            if made.kind in POINTED_AT and made.sop_instance_uid in stored
        ),
    )


def composed(
    material: Material,
    *,
    routes: RoutesFile,
    catalogue: Catalogue,
    tasks: Mapping[str, TaskSpec],
    state: ReportState,
    predecessors: Iterable[ObjectReference] = (),
) -> StudyReport:
    """The machine's report of it."""
    return compose(
        study_uid=material.study.study_uid,
        facts=material.facts,
        references=material.references,
        readings=material.readings,
        open_or_canceled=material.without_result,
        derived=material.derived,
        routes=routes,
        algorithms=lambda name, version, digest: algorithm(catalogue, name, version, digest),
        tasks=tasks,
        revision=material.study.revision,
        state=state,
        predecessors=tuple(predecessors),
    )


def says_the_same(report: StudyReport, before: KeptReport, *, objects: bool) -> bool:
    """Whether a report says of the heart what an earlier one said, whoever the patient is called by now.

    With `objects`, the segmentations and loops that it points at must be the same too.
    """
    earlier = of_json(before.content)
    if not objects:
        report, earlier = replace(report, derived=()), replace(earlier, derived=())
    return content_digest(replace(report, revision=0)) == content_digest(replace(earlier, revision=0))


def algorithm(catalogue: Catalogue, name: str, version: str, digest: str) -> Algorithm | None:
    """The package of that name, if it is still the one that ran."""
    try:
        package = catalogue.get(name)
    except EchonodeError:
        return None
    if package.digest != digest:
        return None
    youngest = package.input.get("age_years_min")
    return Algorithm(
        name=name,
        version=version,
        title=package.title,
        digest=digest,
        weights_sha256=dict(package.weights_sha256),
        trained_on=package.trained_on,
        simulated=package.simulated,
        reference=_origin(catalogue, name),
        age_years_min=float(youngest) if isinstance(youngest, int | float) else None,
    )


def headers_of(archive: Archive, report: StudyReport, *, limits: LimitsSection) -> dict[str, Dataset]:
    """The header, without pixels, of every object that the report refers to, by SOP Instance UID.

    Raises:
        RunFailed: one is not stored any more.
        StorageUnavailable: a file cannot be read now.
    """
    return headers(archive, referred_to(report), limits=limits)


def headers(archive: Archive, uids: Iterable[str], *, limits: LimitsSection) -> dict[str, Dataset]:
    """As `headers_of`, of these objects."""
    found: dict[str, Dataset] = {}
    for uid in uids:
        stored = archive.index.instance(uid)
        if stored is None:
            raise RunFailed(f"{uid}: the report refers to it, and it is not stored any more", transient=False)
        found[uid] = header_of(stored, limits=limits)
    return found


def header_of(stored: StoredInstance, *, limits: LimitsSection) -> Dataset:
    """The header of one stored object.

    Raises:
        UnreadableObject: the file is no DICOM object.
        StorageUnavailable: it cannot be read now.
    """
    syntax = stored.transfer_syntax_uid
    reader = read_deflated_header if syntax in SYNTAXES_DEFLATED else read_header
    try:
        return reader(
            Path(stored.path), offset=stored.dataset_offset, transfer_syntax_uid=syntax, limits=limits
        ).dataset
    except OSError as error:
        raise StorageUnavailable(f"a stored file cannot be read: {error.strerror}") from error


def referred_to(report: StudyReport) -> list[str]:
    """The SOP Instance UIDs of every object that the report names, each once."""
    named = [loop.source.sop_instance_uid for loop in report.loops]
    refusals = [*report.refusals]
    for group in report.groups:
        refusals += group.refusals
        for value in group.values:
            named += value.frames
        for finding in group.findings:
            named += finding.frames
    named += [refused.source.sop_instance_uid for refused in refusals if refused.source is not None]
    named += [reference.sop_instance_uid for _kind, reference in report.derived]
    named += [reference.sop_instance_uid for reference in report.predecessors]
    return list(dict.fromkeys(named))


def _origin(catalogue: Catalogue, name: str) -> str:
    """Where imported weights come from; empty for those that were trained here, of which `trained_on` tells."""
    source = catalogue.manifest(name).source
    return "" if source is None else f"{source.kind}: {source.file}, sha256 {source.sha256}"


def _reference(stored: StoredInstance) -> ObjectReference:
    return ObjectReference(
        sop_instance_uid=stored.sop_instance_uid,
        sop_class_uid=stored.sop_class_uid,
        series_uid=stored.series_uid,
    )
