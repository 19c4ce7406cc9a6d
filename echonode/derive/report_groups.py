"""The measurement groups of a report (TID 1501): one a loop, and one for each topic, stage and algorithm."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from echonode.core.codes import Code
from echonode.core.identity import derived_uid, digest_of
from echonode.core.report import (
    Algorithm,
    LoopSaid,
    Refused,
    ReportedFinding,
    ReportedValue,
    StudyReport,
    ValueGroup,
)
from echonode.derive import report_codes as codes
from echonode.derive import report_items as items
from echonode.derive.common import parameters_text
from echonode.derive.report_sources import Sources
from echonode.derive.report_values import finding_of, measurement_of, pictures_of, refusal_of
from echonode.dicom.facts import MANUFACTURER

if TYPE_CHECKING:
    from highdicom.sr import (
        AlgorithmIdentification,
        ContentItem,
        MeasurementsAndQualitativeEvaluations,
        TrackingIdentifier,
    )

REFUSED_FOR_QUALITY = "quality"
_ABOUT: Final[Mapping[str, tuple[Code, Code]]] = {
    "lv-function": (codes.LEFT_VENTRICLE, codes.LEFT_VENTRICLE),
    "cmr": (codes.CMR_PREDICTED, codes.LV_MYOCARDIUM),
}
"""Finding type and site of what is said, by topic."""


def groups_of(report: StudyReport, sources: Sources) -> list[MeasurementsAndQualitativeEvaluations]:
    """Every measurement group: the loops in order, then the topics in theirs."""
    made = [loop_group(loop, report.study_uid, sources) for loop in report.loops]
    for group in report.groups:
        made += [value_group(part, report.study_uid, sources) for part in _parts(group)]
    return made


def loop_group(loop: LoopSaid, study_uid: str, sources: Sources) -> MeasurementsAndQualitativeEvaluations:
    """View, mode and quality of one object, and why models gave nothing for it.

    A loop that was refused for its quality has Image Quality "Non-diagnostic quality" and no number.
    """
    from highdicom.sr import Measurement, MeasurementsAndQualitativeEvaluations, SourceImageForMeasurementGroup

    unreadable = any(refused.code == REFUSED_FOR_QUALITY for refused in loop.refusals)
    numbers = [] if unreadable else [(codes.VIEW_CONFIDENCE, loop.view_confidence), (codes.QUALITY_SCORE, loop.quality)]
    measurements = [
        Measurement(name=items.coded(name), value=round(value, 2), unit=items.coded(codes.ONE))
        for name, value in numbers
        if value is not None
    ]
    for measurement in measurements:
        items.exact(measurement[0])
    uid = loop.source.sop_instance_uid
    group = MeasurementsAndQualitativeEvaluations(
        tracking_identifier=_tracking(f"View and quality {loop.number}", derived_uid("loop", study_uid, uid)),
        finding_type=items.coded(codes.IMAGE_VIEW),
        algorithm_id=algorithm_of(loop.algorithm),
        measurements=measurements,
        source_images=[
            SourceImageForMeasurementGroup(
                referenced_sop_class_uid=sources.reference(uid).sop_class_uid, referenced_sop_instance_uid=uid
            )
        ]
        if sources.is_picture(uid)
        else None,
    )
    items.with_items(group[0], _of_loop(loop, sources, unreadable=unreadable))
    return group


def _of_loop(loop: LoopSaid, sources: Sources, *, unreadable: bool) -> Iterator[ContentItem]:
    yield items.code(codes.IMAGE_VIEW, loop.view if loop.view is not None else codes.VIEW_UNKNOWN)
    if items.plain(loop.view_reason):
        yield items.text(codes.VIEW_REASON, loop.view_reason)
    mode = codes.MODES.get(loop.mode)
    if mode is not None:
        yield items.code(codes.IMAGE_MODE, mode)
    if items.plain(loop.mode_reason):
        yield items.text(codes.MODE_REASON, f"{loop.mode}: {loop.mode_reason}")
    if unreadable:
        yield items.code(codes.IMAGE_QUALITY, codes.NON_DIAGNOSTIC)
    elif loop.quality is not None:
        yield items.code(codes.IMAGE_QUALITY, codes.quality_code(loop.quality))
    yield from _circumstances(loop.stage, contrast=loop.contrast)
    for refused in loop.refusals:
        yield refusal_of(refused, sources, of_loop=True)


@dataclass(kw_only=True, slots=True)
class _Part:
    """What one algorithm, or a person, said of one topic at one stage."""

    group: ValueGroup
    algorithm: Algorithm | None
    entered_by: str = ""
    first: bool = False
    values: list[ReportedValue] = field(default_factory=list)
    findings: list[ReportedFinding] = field(default_factory=list)
    refusals: list[Refused] = field(default_factory=list)

    @property
    def title(self) -> str:
        """The tracking identifier."""
        if self.entered_by:
            return f"{self.group.title}: entered by {self.entered_by}"
        algorithm = self.algorithm
        return self.group.title if algorithm is None else f"{self.group.title}: {algorithm.name} {algorithm.version}"


def _parts(group: ValueGroup) -> list[_Part]:
    """A measurement group names one algorithm (TID 1501): values of several are several groups."""
    parts: dict[str, _Part] = {}

    def part(algorithm: Algorithm | None, entered_by: str = "") -> _Part:
        key = f"person {entered_by}" if entered_by else algorithm_key(algorithm)
        return parts.setdefault(key, _Part(group=group, algorithm=algorithm, entered_by=entered_by))

    for value in group.values:
        part(None if value.entered_by else value.algorithm, value.entered_by).values.append(value)
    for finding in group.findings:
        part(finding.algorithm).findings.append(finding)
    for refused in group.refusals:
        part(refused.algorithm).refusals.append(refused)
    if not parts and group.remarks:
        part(None)
    found = list(parts.values())
    for first in found[:1]:
        first.first = True
    return found


def algorithm_key(algorithm: Algorithm | None) -> str:
    """What tells one algorithm with its parameters from another."""
    if algorithm is None:
        return ""
    return "|".join((algorithm.name, algorithm.version, algorithm.digest, digest_of(dict(algorithm.parameters))))


def value_group(part: _Part, study_uid: str, sources: Sources) -> MeasurementsAndQualitativeEvaluations:
    """The numbers and answers of one topic, one stage and one algorithm, and what is missing."""
    from highdicom.sr import FindingSite, MeasurementsAndQualitativeEvaluations, SourceImageForMeasurementGroup

    group = part.group
    # Of what a code that we do not know was measured: of the heart, more is not known.
    kind, site = _ABOUT.get(group.topic, (codes.HEART, codes.HEART))
    made = MeasurementsAndQualitativeEvaluations(
        tracking_identifier=_tracking(
            part.title,
            derived_uid(
                "group", study_uid, group.topic, group.title, group.stage or "", part.entered_by,
                algorithm_key(part.algorithm),
            ),
        ),
        finding_category=None if kind == codes.CMR_PREDICTED else items.coded(codes.ANATOMICAL_STRUCTURE),
        finding_type=items.coded(kind),
        finding_sites=[FindingSite(items.coded(site))],
        algorithm_id=algorithm_of(part.algorithm),
        measurements=[measurement_of(value, sources) for value in part.values],
        source_images=[
            SourceImageForMeasurementGroup(
                referenced_sop_class_uid=sources.reference(uid).sop_class_uid, referenced_sop_instance_uid=uid
            )
            for uid in pictures_of([*part.values, *part.findings], sources)
        ],
    )  # fmt: skip
    items.with_items(made[0], _of_part(part, sources))
    return made


def _of_part(part: _Part, sources: Sources) -> Iterator[ContentItem]:
    for finding in part.findings:
        yield finding_of(finding, sources)
    yield from _circumstances(part.group.stage, contrast=part.group.contrast)
    if not part.entered_by:
        yield items.code(codes.INTENDED_USE, codes.RESEARCH_ONLY)
    for refused in part.refusals:
        yield refusal_of(refused, sources)
    if part.first:
        yield from remarks_of(part.group.remarks)


def _circumstances(stage: str | None, *, contrast: bool) -> Iterator[ContentItem]:
    """Stage as its code of CID 12002, where its name surely means one, and as the scanner names it; contrast."""
    state = codes.stage_code(stage)
    if state is not None:
        yield items.code(codes.STAGE, state)
    if stage and items.plain(stage):
        yield items.text(codes.STAGE, stage)
    if contrast:
        yield items.code(codes.CONTRAST, codes.YES)


def remarks_of(remarks: Iterable[str]) -> Iterator[ContentItem]:
    """Sentences for people."""
    for remark in remarks:
        if items.plain(remark):
            yield items.text(codes.REMARK, remark)


def algorithm_of(algorithm: Algorithm | None) -> AlgorithmIdentification | None:
    """Algorithm Identification (TID 4019) with the digests of package and weights, and what it was trained on."""
    from highdicom.sr import AlgorithmIdentification

    if algorithm is None:
        return None
    return AlgorithmIdentification(
        name=items.plain(algorithm.name),
        version=items.plain(algorithm.version),
        manufacturer=MANUFACTURER,
        parameters=[items.plain(line) for line in _told(algorithm)],
        family=items.coded(codes.ARTIFICIAL_INTELLIGENCE) if algorithm.weights_sha256 else None,
    )


def _told(algorithm: Algorithm) -> Iterator[str]:
    yield f"title: {algorithm.title}"
    if algorithm.digest:
        yield f"package sha256: {algorithm.digest}"
    for name, digest in sorted(algorithm.weights_sha256.items()):
        yield f"weights {name} sha256: {digest}"
    if algorithm.parameters:
        yield f"parameters: {parameters_text(algorithm.parameters)}"
    if algorithm.trained_on:
        yield f"trained on: {algorithm.trained_on}"
    if algorithm.simulated:
        yield "trained on simulated data alone"
    if algorithm.reference:
        yield f"reference: {algorithm.reference}"


def _tracking(identifier: str, uid: Any) -> TrackingIdentifier:
    from highdicom.sr import TrackingIdentifier

    return TrackingIdentifier(uid=uid, identifier=items.plain(identifier))
