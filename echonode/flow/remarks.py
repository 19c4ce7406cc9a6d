"""What a report remarks about its own values: methods that disagree, unknown ages, simulated training, no selection."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from echonode.core.facts import Facts
from echonode.core.report import Algorithm, LoopSaid, ReportedFinding, ReportedValue, ValueGroup
from echonode.dicom.units import PERCENT
from echonode.flow.concepts import (
    CONCEPTS,
    EJECTION_FRACTION,
    OF_A_RECORDING,
    Rank,
    concept_of,
    method_words,
    number_words,
    rank_of,
)
from echonode.flow.selection import view_of
from echonode.flow.stages import is_rest, stage_key

FUSED: Final = " + "
"""Joins the names of models that were fused into one value: each has values of its own in the report."""
ADULT_YEARS: Final = 16.0
"""A model that asks for patients at least this old is one for adults."""
NOTHING_SELECTED: Final = "no value is selected: "
TEICHHOLZ_ALONE: Final = "not selected, by Teichholz alone: "


def with_disagreement(group: ValueGroup, loops: Sequence[LoopSaid], *, limit: float) -> ValueGroup:
    """The group, with a remark where its methods of ejection fraction are more than `limit` points apart.

    A method, of one view and model, is heard once: by the value that was made of most loops.
    """
    shown = {loop.source.sop_instance_uid: loop for loop in loops}
    heard: dict[tuple[str, str], tuple[float, Algorithm | None]] = {}
    for value in sorted(
        group.values, key=lambda each: (-len(each.frames), sorted(each.frames), each.measurement.value)
    ):
        number = value.measurement
        if concept_of(number.concept) is not EJECTION_FRACTION:
            continue
        method = method_words(number, view_of(value, shown)) or "a method that is not stated"
        model = value.algorithm.title if value.algorithm is not None else ""
        heard.setdefault((method, model), (number.value, value.algorithm))
    values = [value for value, _ in heard.values()]
    apart = max(values, default=0.0) - min(values, default=0.0)
    if apart <= limit:
        return group
    methods = [method for method, _ in heard]
    said = [
        f"{number_words(value, PERCENT)} by {method}{f' of {model}' if methods.count(method) > 1 and model else ''}"
        for (method, model), (value, _) in sorted(heard.items(), key=lambda item: (-item[1][0], item[0]))
    ]
    remark = f"methods of ejection fraction are {apart:.0f} points apart, more than {limit:g}: {', '.join(said)}"
    return replace(group, remarks=(*group.remarks, remark))


def selection_remarks(groups: Sequence[ValueGroup]) -> tuple[str, ...]:
    """Why a study has values and none, or none of a concept, stands for it."""
    told = [
        (group, value)
        for group in groups
        for value in group.values
        if value.measurement.concept.value not in OF_A_RECORDING
    ]
    chosen = {concept_of(value.measurement.concept).name for _, value in told if value.selected}
    if told and not chosen and not any(is_rest(group.stage) for group, _ in told):
        stages = {stage_key(group.stage): group.stage or "" for group, _ in told}
        named = ", ".join(stages[key] for key in sorted(stages))
        return (f"{NOTHING_SELECTED}only loops at rest stand for the study, and all values are of stress ({named})",)
    alone: dict[str, list[ReportedValue]] = defaultdict(list)
    for group, value in told:
        name = concept_of(value.measurement.concept).name
        if is_rest(group.stage) and name not in chosen and rank_of(value.measurement, "") is Rank.TEICHHOLZ:
            alone[name].append(value)
    said = [
        f"{concept.title} {number_words(first.measurement.value, first.measurement.unit)}"
        for concept in CONCEPTS
        if concept.name in alone
        for first in (min(alone[concept.name], key=lambda each: (-len(each.frames), sorted(each.frames))),)
    ]
    if not said:
        return ()
    return (f"{TEICHHOLZ_ALONE}{', '.join(said)}; the method takes a whole ventricle from one diameter",)


def study_remarks(groups: Sequence[ValueGroup], loops: Sequence[LoopSaid], facts: Sequence[Facts]) -> tuple[str, ...]:
    """What holds of the study as a whole: unknown age, models of simulated data alone, objects that show no patient."""
    remarks = []
    known = {each.sop_instance_uid: each for each in facts}
    used = list(_used(groups))
    adult = {
        algorithm.title
        for algorithm, frames in used
        if algorithm.age_years_min is not None
        and algorithm.age_years_min >= ADULT_YEARS
        and any(uid in known and known[uid].age_years is None for uid in frames)
    }
    if adult:
        remarks.append(f"age unknown: adult models were used ({', '.join(sorted(adult))})")
    behind = [*(algorithm for algorithm, _ in used), *(loop.algorithm for loop in loops if loop.algorithm is not None)]
    simulated = {
        f"{algorithm.name} {algorithm.version}"
        for algorithm in behind
        if algorithm.simulated and FUSED not in algorithm.name
    }
    if simulated:
        remarks.append(f"trained on simulated data alone, never tested on patients: {', '.join(sorted(simulated))}")
    remarks += stage_remark(loops)
    own = [each for each in facts if not each.derived and each.has_pixels]
    if own and all(each.simulated for each in own):
        remarks.append("every object is simulated and shows no patient")
    if not own:
        remarks.append("the study has no object with pixels")
    return tuple(remarks)


def stage_remark(loops: Sequence[LoopSaid]) -> list[str]:
    """That stages stand apart, where there is one beside rest."""
    if all(is_rest(loop.stage) for loop in loops):
        return []
    stages = {
        stage_key(loop.stage): loop.stage or "no stage" for loop in sorted(loops, key=lambda each: each.stage or "")
    }
    named = ", ".join(stages[key] for key in sorted(stages, key=lambda each: (not is_rest(each), each)))
    said = f"stages ({named}) stand apart: nothing is averaged or fused over them"
    return [f"{said}, and only loops at rest stand for the study"]


def _used(groups: Sequence[ValueGroup]) -> Iterable[tuple[Algorithm, Mapping[str, tuple[int, ...]]]]:
    for group in groups:
        everything: tuple[ReportedValue | ReportedFinding, ...] = (*group.values, *group.findings)
        for said in everything:
            if said.algorithm is not None:
                yield said.algorithm, said.frames
