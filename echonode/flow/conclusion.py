"""How a run ended: its outcome for people and programs, and the reading that is kept of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from echonode.core.facts import Facts
from echonode.core.package import Package
from echonode.core.readings import KeptObject, KeptReading
from echonode.core.results import Ineligible, Result
from echonode.core.work import WorkItem
from echonode.flow.prepare import LINE, SHADOW, Known, Prepared, Refused
from echonode.flow.publish import Published
from echonode.flow.results import details_of, kept_of, refused_in_words, values_in_words

OWN = "derived"
"""Code of the refusal of what this node made itself: nothing of it is kept."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Conclusion:
    """`outcome` of the workitem, `event` of the audit trail, and the reading to keep, None where it is kept already.

    `outcome` has `result` (published, read, refused), `objects` with uid, kind and whether it is new, `values` in words,
    and, where something was refused, `reason` and `code`. `sop_instance_uid` and `kind` are those of the first object.
    `label_map` is the UID of the segmentation that was made.
    """

    outcome: Mapping[str, Any]
    event: str
    reading: KeptReading | None = None
    package: Package | None = None
    label_map: str = ""
    shadow: bool = False
    """Of a model that only looks: the reading counts nowhere, and nothing follows from it."""


def published(
    prepared: Prepared,
    results: Sequence[Result],
    objects: Sequence[Published],
    *,
    ran: Mapping[str, Any],
    revision: int,
    at: float,
) -> Conclusion:
    """Of a run that ended: `results` with what was refused on the way to objects."""
    reading = _reading(
        prepared.item, prepared.facts, prepared.package, prepared.parameters, results, objects, revision=revision, at=at
    )
    return _concluded(prepared.item, reading, results, objects, ran, prepared.package)


def known(found: Known, *, at: float) -> Conclusion:
    """Of a run that need not start."""
    prepared, before = found.prepared, found.reading
    if before is None:
        results: tuple[Result, ...] = ()
        reading = _reading(
            prepared.item,
            prepared.facts,
            prepared.package,
            prepared.parameters,
            (),
            found.published,
            revision=prepared.revision,
            at=at,
        )
    else:
        results = before.results
        reading = replace(
            before, work_id=prepared.item.id, route=prepared.item.route, stage=prepared.facts.stage, at=at
        )
    return _concluded(prepared.item, reading, results, found.published, {}, prepared.package)


def refused(item: WorkItem, found: Refused) -> Conclusion:
    """Of a run that may not start."""
    outcome: dict[str, Any] = {"result": "refused", "reason": found.refusal.reason, "code": found.refusal.code}
    if found.refusal.code == OWN:
        return Conclusion(outcome=outcome, event="run refused")
    outcome |= _other_name(item, found.package)
    reading = _reading(item, found.facts, found.package, found.parameters, (found.refusal,), (), revision=0, at=0.0)
    shadow = bool(item.payload.get(SHADOW))
    event = "shadow refused" if shadow else "run refused"
    return Conclusion(outcome=outcome, event=event, reading=reading, shadow=shadow)


def not_wanted(item: WorkItem) -> Conclusion:
    """Of a run of a model that does not look at its line any more."""
    reason = f"{item.payload['model']} does not look at {item.payload[LINE]} any more"
    return Conclusion(outcome={"result": "superseded", "reason": reason}, event="shadow not wanted", shadow=True)


def _other_name(item: WorkItem, package: Package | None) -> dict[str, str]:
    """The package that ran, where the queue has another name: that of a line, or a shadow's."""
    return {"model": package.name} if package is not None and package.name != item.queue else {}


def _concluded(
    item: WorkItem,
    reading: KeptReading,
    results: Sequence[Result],
    objects: Sequence[Published],
    ran: Mapping[str, Any],
    package: Package,
) -> Conclusion:
    refusals = [each for each in results if isinstance(each, Ineligible)]
    values = values_in_words(results)
    if objects:
        result, event = "published", "published"
    elif refusals and not values:
        result, event = "refused", "run refused"
    else:
        result, event = "read", "read"
    shadow = bool(item.payload.get(SHADOW))
    if shadow:
        event = f"shadow {'refused' if result == 'refused' else 'read'}"
    outcome: dict[str, Any] = {"result": result} | _other_name(item, package)
    if refusals:
        outcome |= {"reason": refused_in_words(results), "code": refusals[0].code}
    if objects:
        first = objects[0]
        made = [{"uid": each.sop_instance_uid, "kind": each.kind, "new": each.new} for each in objects]
        outcome |= {"kind": first.kind, "sop_instance_uid": first.sop_instance_uid, "objects": made}
        outcome["new"] = any(each.new for each in objects)
    if values:
        outcome["values"] = values
    label_map = next((each.sop_instance_uid for each in objects if each.kind == "segmentation"), "")
    return Conclusion(
        outcome=outcome | dict(ran),
        event=event,
        reading=reading,
        package=package,
        label_map=label_map,
        shadow=shadow,
    )


def _reading(
    item: WorkItem,
    facts: Facts,
    package: Package | None,
    parameters: Mapping[str, Any],
    results: Sequence[Result],
    objects: Sequence[Published],
    *,
    revision: int,
    at: float,
) -> KeptReading:
    """A refusal before a model was found names the one that was asked for."""
    return KeptReading(
        sop_instance_uid=item.sop_instance_uid,
        study_uid=item.study_uid,
        task=str(item.payload["task"]),
        model=package.name if package is not None else str(item.payload["model"]),
        version=package.version if package is not None else "",
        digest=package.digest if package is not None else "",
        route=item.route,
        work_id=item.id,
        parameters=parameters,
        results=kept_of(results),
        details=details_of(results),
        objects=tuple(
            KeptObject(sop_instance_uid=each.sop_instance_uid, kind=each.kind, revision=revision) for each in objects
        ),
        view=facts.view,
        stage=facts.stage,
        at=at,
    )
