"""The report of a study, composed of what is kept of it; what a person changes in it; the digest of what it says.

Pure: no clock, no archive. The same study gives the same report, in whatever order its loops came.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from echonode.core.errors import BadInput
from echonode.core.facts import Facts
from echonode.core.identity import digest_of
from echonode.core.readings import KeptReading
from echonode.core.report import ObjectReference, ReportedValue, ReportState, StudyReport, ValueGroup
from echonode.core.report_json import to_json
from echonode.core.results import Measurement
from echonode.core.routes import RoutesFile
from echonode.core.task import TaskSpec
from echonode.core.work import WorkItem, WorkKind
from echonode.flow.algorithms import Algorithms
from echonode.flow.concepts import ENTERABLE, LV_FUNCTION, Enterable, concept_of, unit_words
from echonode.flow.groups import groups_of, reading_key, title_of_group
from echonode.flow.loops_said import ended_without_result, loops_said
from echonode.flow.remarks import selection_remarks, study_remarks, with_disagreement
from echonode.flow.selection import select
from echonode.flow.stages import is_rest

NOT_SAID: Final = ("state", "predecessors", "content_digest", "verified_by", "verified_at", "review_comment")
"""Fields of a report that are about it, not in it."""


def compose(
    *,
    study_uid: str,
    facts: Sequence[Facts],
    references: Mapping[str, ObjectReference],
    readings: Sequence[KeptReading],
    open_or_canceled: Sequence[WorkItem],
    derived: Sequence[tuple[str, ObjectReference]],
    routes: RoutesFile,
    algorithms: Algorithms,
    tasks: Mapping[str, TaskSpec],
    revision: int,
    state: ReportState,
    predecessors: Sequence[ObjectReference] = (),
) -> StudyReport:
    """The report of one study.

    `facts` are of its visible objects in the order in which they came, `readings` the current ones, `open_or_canceled`
    its runs that gave nothing, `derived` what was made of it, by kind. What is said of objects that are not among
    `facts` is left out. The only thing that is looked up is what `TaskSpec.combine` names.
    """
    current = sorted(readings, key=reading_key)
    loops = loops_said(
        facts,
        references=references,
        readings=current,
        items=open_or_canceled,
        routes=routes,
        algorithms=algorithms,
        tasks=tasks,
    )
    selected = select(groups_of(current, facts, algorithms=algorithms, tasks=tasks), loops)
    groups = tuple(with_disagreement(group, loops, limit=routes.report.ef_disagreement) for group in selected)
    without_object = [
        ended_without_result(item, tasks, None)
        for item in open_or_canceled
        if item.kind is WorkKind.RUN and not item.sop_instance_uid
    ]
    return with_digest(
        StudyReport(
            study_uid=study_uid,
            state=state,
            loops=loops,
            groups=groups,
            refusals=tuple(sorted(without_object, key=lambda each: (each.task, each.reason))),
            remarks=(*selection_remarks(groups), *study_remarks(groups, loops, facts)),
            predecessors=tuple(predecessors),
            derived=tuple(sorted(derived, key=lambda each: (each[0], each[1].sop_instance_uid))),
            revision=revision,
        )
    )


def with_digest(report: StudyReport) -> StudyReport:
    """The report with the digest of what it says."""
    return replace(report, content_digest=content_digest(report))


def content_digest(report: StudyReport) -> str:
    """SHA-256 in hex over everything that is said, whatever its order; not over state, review and predecessors.

    `revision` counts: once a patient's identity was corrected, the same words are about someone else.
    """
    said = {name: value for name, value in to_json(report).items() if name not in NOT_SAID}
    said["loops"] = _unordered(
        {name: _unordered(value) if name == "refusals" else value for name, value in loop.items() if name != "number"}
        for loop in said["loops"]
    )
    said["groups"] = _unordered(
        {name: _unordered(value) if isinstance(value, list) else value for name, value in group.items()}
        for group in said["groups"]
    )
    return digest_of(said | {name: _unordered(said[name]) for name in ("refusals", "remarks", "derived")})


def apply(report: StudyReport, changes: Mapping[str, float], by: str) -> StudyReport:
    """The report with a person's values, by word ("EF"), selected; the machine's stay and are selected no more.

    Lengths are in mm, volumes in mL, EF and FS in percent, HR in beats a minute. A value that a person entered before
    for the same concept is replaced.

    Raises:
        BadInput: nobody is named, a word is not known, or a value is none that a heart can have.
    """
    name = by.strip()
    if not name:
        raise BadInput("a value that is entered needs the name of who enters it")
    entered = [(_enterable(word), float(value)) for word, value in changes.items()]
    for enterable, value in entered:
        _plausible(enterable, value)
    volumes = {enterable.word: value for enterable, value in entered}
    for large, small in (("EDV", "ESV"), ("LVIDd", "LVIDs")):
        if volumes.get(small, 0.0) > volumes.get(large, math.inf):
            raise BadInput(f"{small} {volumes[small]:g} is larger than {large} {volumes[large]:g}")
    groups = report.groups
    for enterable, value in entered:
        groups = _with_value(groups, enterable, value, name)
    stale = set(selection_remarks(report.groups))
    kept = [remark for remark in report.remarks if remark not in stale]
    return with_digest(replace(report, groups=groups, remarks=(*selection_remarks(groups), *kept)))


def verified(report: StudyReport, by: str, at: float, comment: str = "") -> StudyReport:
    """The report as a person answers for it; `at` is seconds since the epoch. What it says stays as it is.

    Raises:
        BadInput: nobody is named.
    """
    if not by.strip():
        raise BadInput("a report is verified by someone: name who")
    return replace(
        report, state=ReportState.VERIFIED, verified_by=by.strip(), verified_at=at, review_comment=comment.strip()
    )


def _unordered(values: Any) -> list[Any]:
    return sorted(values, key=lambda each: json.dumps(each, sort_keys=True))


def _enterable(word: str) -> Enterable:
    known = ENTERABLE.get(word.strip().casefold())
    if known is None:
        there = ", ".join(each.word for each in ENTERABLE.values())
        raise BadInput(f"{word.strip()[:40]!r} is no value that can be entered; there are: {there}")
    return known


def _plausible(enterable: Enterable, value: float) -> None:
    if not (math.isfinite(value) and enterable.low <= value <= enterable.high):
        bounds = f"{enterable.low:g} to {enterable.high:g} {unit_words(enterable.unit)}"
        raise BadInput(f"{enterable.word} {value:g} is none that a heart can have: {bounds} is")


def _with_value(groups: Sequence[ValueGroup], enterable: Enterable, value: float, by: str) -> tuple[ValueGroup, ...]:
    """The groups with the person's value in that of the heart at rest, and no other of its concept selected."""
    concept = concept_of(enterable.concept)
    own = ReportedValue(
        measurement=Measurement(concept=enterable.concept, value=value, unit=enterable.unit),
        frames={},
        algorithm=None,
        selected=True,
        selection=f"entered by {by}",
        entered_by=by,
    )
    others = [
        replace(
            group,
            values=tuple(
                replace(each, selected=False, selection="") if concept_of(each.measurement.concept) is concept else each
                for each in group.values
                if not (each.entered_by and concept_of(each.measurement.concept) is concept)
            ),
        )
        for group in groups
    ]
    at_rest = [
        place
        for place, group in enumerate(others)
        if group.topic == LV_FUNCTION and is_rest(group.stage) and not group.contrast
    ]
    if at_rest:
        place = at_rest[0]
        others[place] = replace(others[place], values=(own, *others[place].values))
    else:
        new = ValueGroup(topic=LV_FUNCTION, title=title_of_group(LV_FUNCTION, None, False), values=(own,))
        others.insert(0, new)
    return tuple(others)
