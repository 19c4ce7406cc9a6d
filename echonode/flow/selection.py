"""Which one value of each concept stands for the study, and in words why.

Only loops at rest stand for a study. Biplane goes before single plane (four-chamber before two-chamber), that before
video regression; Teichholz never heads a report; what a person entered goes before every machine.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from echonode.core.report import LoopSaid, ReportedValue, ValueGroup
from echonode.dicom.views import VIEWS
from echonode.flow.concepts import MEAN, OF_A_RECORDING, PIXELS, Rank, concept_of, is_possible, method_words, rank_of
from echonode.flow.groups import Sorted
from echonode.flow.stages import REST, is_rest, stage_key

VIEW_ORDER: Final = ("A4C", "A2C", "A3C", "A5C", "PLAX", "PSAX-PM", "PSAX-CHORDS", "PSAX-MV", "PSAX")
_NAMES: Final = {code: name for name, code in VIEWS.items()}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Candidate:
    value: ReportedValue
    group: ValueGroup
    at: tuple[int, int]
    task: str
    of_study: bool
    view: str
    quality: float

    @property
    def rank(self) -> Rank:
        return rank_of(self.value.measurement, self.view)

    @property
    def key(self) -> tuple[object, ...]:
        """Sorts the best first; nothing in it depends on the order in which loops came."""
        algorithm, number = self.value.algorithm, self.value.measurement
        return (
            self.group.contrast,  # no model was made for a ventricle that is filled with contrast
            self.rank,
            algorithm is not None and algorithm.simulated,
            not self.of_study,
            -len(self.value.frames),
            VIEW_ORDER.index(self.view) if self.view in VIEW_ORDER else len(VIEW_ORDER),
            _stage_place(self.group.stage),
            -self.quality,
            (algorithm.name, algorithm.version, algorithm.digest) if algorithm is not None else ("", "", ""),
            number.concept.value,
            sorted(self.value.frames),
            number.value,
            number.frames,
        )


def select(groups: Sequence[Sorted], loops: Sequence[LoopSaid]) -> tuple[ValueGroup, ...]:
    """The groups with one value of each concept marked, where a value stands for the study at rest."""
    by_concept: dict[str, list[_Candidate]] = defaultdict(list)
    shown = {loop.source.sop_instance_uid: loop for loop in loops}
    for place, each in enumerate(groups):
        for index, value in enumerate(each.group.values):
            if stands_for_study(value, each.group):
                by_concept[concept_of(value.measurement.concept).name].append(
                    _Candidate(
                        value=value,
                        group=each.group,
                        at=(place, index),
                        task=each.tasks[index],
                        of_study=index < each.of_study,
                        view=view_of(value, shown),
                        quality=_quality(value, shown),
                    )
                )
    marked: dict[tuple[int, int], str] = {}
    for candidates in by_concept.values():
        able = sorted(
            (each for each in candidates if each.rank is not Rank.TEICHHOLZ and not _is_part(each, candidates)),
            key=lambda each: each.key,
        )
        if able:
            marked[able[0].at] = _reason(able[0], candidates)
    return tuple(
        replace(
            each.group,
            values=tuple(
                replace(value, selected=(place, index) in marked, selection=marked.get((place, index), ""))
                for index, value in enumerate(each.group.values)
            ),
        )
        for place, each in enumerate(groups)
    )


def stands_for_study(value: ReportedValue, group: ValueGroup) -> bool:
    """Whether a value may stand for the study at all: of a heart at rest, one that a heart can have, in a unit that
    others can read."""
    number = value.measurement
    return (
        is_possible(number)
        and is_rest(group.stage)
        and number.unit != PIXELS
        and number.concept.value not in OF_A_RECORDING
    )


def view_of(value: ReportedValue, loops: Mapping[str, LoopSaid]) -> str:
    """The short name of the view that all loops of a value show; empty where they differ or it is not known."""
    codes = {loops[uid].view if uid in loops else None for uid in value.frames}
    if len(codes) != 1:
        return ""
    (code,) = codes
    return "" if code is None else _NAMES.get(code, "")


def _is_part(loop: _Candidate, candidates: Sequence[_Candidate]) -> bool:
    """Whether a value of its task was made of this one with others: of loops by one model, or fused of several models."""
    models = {_model(each) for each in candidates if each.task == loop.task and not each.of_study}
    return not loop.of_study and any(
        each.of_study
        and (each.task, each.at[0], each.rank) == (loop.task, loop.at[0], loop.rank)
        and loop.value.frames.keys() <= each.value.frames.keys()
        and (_model(each) == _model(loop) or _model(each) not in models)
        for each in candidates
    )


def _model(candidate: _Candidate) -> str:
    return "" if candidate.value.algorithm is None else candidate.value.algorithm.digest


def _quality(value: ReportedValue, loops: Mapping[str, LoopSaid]) -> float:
    return min((loops[uid].quality or 0.0 for uid in value.frames if uid in loops), default=0.0)


def _stage_place(stage: str | None) -> int:
    key = stage_key(stage)
    return 0 if not key else 1 + (REST.index(key) if key in REST else len(REST))


def _reason(chosen: _Candidate, candidates: Sequence[_Candidate]) -> str:
    """Why this one: what it is, before which others."""
    own = _words(chosen)
    methods = dict.fromkeys(_words(each) for each in sorted(candidates, key=lambda each: each.key))
    others = [words or "measured as it stands" for words in methods if words != own]
    parts = [own] if own else []
    loops = len(chosen.value.frames)
    if loops > 1:
        mean = chosen.rank is Rank.DIRECT and chosen.value.measurement.derivation == MEAN
        parts.append(f"{'mean over' if mean else 'of'} {loops} loops")
    elif len(candidates) == 1:
        parts.append("the only value")
    elif not others:
        parts.append(f"one of {len(candidates)}, by view and quality")
    if others:
        parts.append(f"before {', '.join(others)}")
    if chosen.group.stage:
        parts.append(f"at rest, stage {chosen.group.stage}")
    if chosen.group.contrast:
        parts.append("with contrast: there is none without")
    return ", ".join(parts)


def _words(candidate: _Candidate) -> str:
    return method_words(candidate.value.measurement, candidate.view)
