"""What a report says of each object: what it shows, how that is known, and why there is no result of it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from echonode.core.facts import Facts
from echonode.core.readings import KeptReading
from echonode.core.report import LoopSaid, ObjectReference, Refused
from echonode.core.results import Finding
from echonode.core.routes import RoutesFile
from echonode.core.states import WorkState
from echonode.core.task import TaskSpec
from echonode.core.work import WorkItem, WorkKind
from echonode.dicom.views import view_code
from echonode.flow.algorithms import Algorithms, algorithm_of
from echonode.flow.route import ConditionExplanation, RouteExplanation, explain, failure_in_words

MEASURES_NOTHING: Final = frozenset({"slow_motion", "view", "synthesis"})
"""Tasks whose results are no values: an object that only they took still lacks a measurement."""
ROUTING: Final = "Routing"
_NO_MODEL: Final = re.compile(r"there is no model '([^']+)'")


def loops_said(
    facts: Sequence[Facts],
    *,
    references: Mapping[str, ObjectReference],
    readings: Sequence[KeptReading],
    items: Sequence[WorkItem],
    routes: RoutesFile,
    algorithms: Algorithms,
    tasks: Mapping[str, TaskSpec],
) -> tuple[LoopSaid, ...]:
    """One entry an object with pixels that came from elsewhere, numbered from 1 in the order of `facts`."""
    read: dict[str, list[KeptReading]] = defaultdict(list)
    for reading in readings:
        read[reading.sop_instance_uid].append(reading)
    ended: dict[str, list[WorkItem]] = defaultdict(list)
    for item in items:
        ended[item.sop_instance_uid].append(item)
    found: list[LoopSaid] = []
    for each in facts:
        if each.derived or not each.has_pixels:
            continue
        uid = each.sop_instance_uid
        judged = [one for one in read[uid] if one.task == "view" and any(isinstance(r, Finding) for r in one.results)]
        found.append(
            LoopSaid(
                number=len(found) + 1,
                source=reference_of(each, references),
                mode=str(each.mode),
                mode_reason=each.mode_reason,
                view=view_code(each.view),
                view_reason=each.view_reason,
                view_confidence=each.view_confidence,
                quality=each.quality,
                stage=each.stage,
                contrast=each.contrast,
                frames=each.frames,
                algorithm=algorithm_of(judged[0], algorithms) if judged else None,
                refusals=_refusals(each, read[uid], ended[uid], references, routes, algorithms, tasks),
            )
        )
    return tuple(found)


def reference_of(facts: Facts, references: Mapping[str, ObjectReference]) -> ObjectReference:
    """How the report refers to an object."""
    return references.get(facts.sop_instance_uid) or ObjectReference(
        sop_instance_uid=facts.sop_instance_uid, sop_class_uid=facts.sop_class_uid, series_uid=facts.series_uid
    )


def title_of(task: str, tasks: Mapping[str, TaskSpec]) -> str:
    """A task for people; one that is not installed any more by its name."""
    return tasks[task].title if task in tasks else task.replace("_", " ")


def ended_without_result(item: WorkItem, tasks: Mapping[str, TaskSpec], source: ObjectReference | None) -> Refused:
    """Why a run that was planned gave nothing."""
    title = title_of(str(item.payload.get("task", "")) or item.queue, tasks)
    missing = _NO_MODEL.search(item.reason)
    if missing is not None:
        reason, code = f"model {missing[1]} is not installed", "not-installed"
    elif item.state is WorkState.CANCELED:
        reason, code = f"given up: {item.reason or 'no reason was kept'}", "given-up"
    else:
        reason, code = f"has not run yet{f': held: {item.held}' if item.held else ''}", "not-run"
    return Refused(task=title, reason=reason, code=code, source=source)


def _refusals(
    facts: Facts,
    readings: Sequence[KeptReading],
    items: Sequence[WorkItem],
    references: Mapping[str, ObjectReference],
    routes: RoutesFile,
    algorithms: Algorithms,
    tasks: Mapping[str, TaskSpec],
) -> tuple[Refused, ...]:
    source = reference_of(facts, references)
    said = [
        Refused(
            task=title_of(reading.task, tasks),
            reason=refusal.reason,
            code=refusal.code,
            source=source,
            algorithm=algorithm_of(reading, algorithms),
        )
        for reading in readings
        for refusal in reading.refusals
    ]
    explained = explain(facts, routes)
    matching = {each.route for each in explained if each.matches}
    known = {each.route for each in explained}
    answered = {reading.route for reading in readings}
    # A run that was taken back because its route does not want the object any more is no missing result.
    stands = [
        item
        for item in items
        if item.kind is WorkKind.RUN
        and item.state is not WorkState.COMPLETED
        and item.route not in answered
        and (item.route in matching or item.route not in known)
    ]
    said += [ended_without_result(item, tasks, source) for item in stands]
    tried = {reading.task for reading in readings} | {str(item.payload.get("task", "")) for item in stands}
    unrouted = _unrouted(explained, tried)
    if unrouted is not None:
        said.append(Refused(task=ROUTING, reason=unrouted[0], code=unrouted[1], source=source))
    distinct = {(each.task, each.reason, each.code, each.algorithm and each.algorithm.digest): each for each in said}
    return tuple(sorted(distinct.values(), key=lambda each: (each.task, each.reason, each.code)))


def _unrouted(explained: Sequence[RouteExplanation], tried: set[str]) -> tuple[str, str] | None:
    """Why nothing measures the object, and a code; None where something did, or refused, or nothing is configured to."""
    if tried - MEASURES_NOTHING:
        return None
    measuring = [each for each in explained if each.task not in MEASURES_NOTHING]
    who = "no route measures it" if tried else "no route takes it"
    if not measuring and tried:
        return None  # slow motion alone is wanted here, and was tried
    waiting = [each for each in measuring or explained if each.matches]
    if waiting:
        return f"route {waiting[0].route} takes it, and has not run on it since it was stored", "not-run"
    near = _nearest(measuring or explained)
    return (f"{who}: {near}" if near else f"{who}: there is none that is enabled"), "no-route"


def _nearest(explained: Sequence[RouteExplanation]) -> str:
    """What keeps the object from the routes that come nearest: those for its mode, of these the ones that miss least.

    Where no route is for its mode, the modes that there are routes for are all that there is to say.
    """
    enabled = [each for each in explained if each.conditions[0].holds]
    if not enabled:
        return ""
    missed = [{one.name: one for one in each.conditions if not one.holds} for each in enabled]
    of_its_mode = [each for each in missed if "mode" not in each]
    near = of_its_mode or [{"mode": each["mode"]} for each in missed]
    fewest = min(map(len, near))
    nearest = [each for each in near if len(each) == fewest]
    alike = [each for each in nearest if each.keys() == nearest[0].keys()]
    return "; ".join(
        failure_in_words(replace(failed, actual=_short(failed.actual), expected=_any_of(alike, name)))
        for name, failed in alike[0].items()
    )


def _any_of(missed: Sequence[Mapping[str, ConditionExplanation]], name: str) -> str:
    """What several routes ask for: "A4C or A2C"; of bounds that of the first route."""
    if name.endswith(("_min", "_max")):
        return missed[0][name].expected
    return " or ".join(dict.fromkeys(value for each in missed for value in each[name].expected.split(" or ")))


def _short(actual: str) -> str:
    return actual.split(" (", 1)[0]
