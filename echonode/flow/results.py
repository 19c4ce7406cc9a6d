"""What a run gave, sorted: what becomes objects at once, what is kept as a reading, and both in few words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from echonode.core.errors import RunFailed
from echonode.core.package import Package
from echonode.core.result_json import KEPT
from echonode.core.results import (
    Details,
    Finding,
    Ineligible,
    LabelMap,
    Loop,
    Measurement,
    Picture,
    Result,
)
from echonode.core.settings import LimitsSection, NodeSection
from echonode.derive.common import DerivedObject
from echonode.derive.report_codes import VIEW_UNKNOWN

SHORT: Mapping[tuple[str, str], str] = {
    ("10230-1", "LN"): "EF",
    ("18043-0", "LN"): "EF",
    ("79991-6", "LN"): "EF biplane",
    ("79992-4", "LN"): "EF A2C",
    ("79993-2", "LN"): "EF A4C",
    ("18026-5", "LN"): "EDV",
    ("18148-7", "LN"): "ESV",
    ("29436-3", "LN"): "LVIDd",
    ("29438-9", "LN"): "LVIDs",
    ("8867-4", "LN"): "HR",
    ("111031", "DCM"): "view",
}
"""What people call concepts whose meanings are long."""
VOLUMES: Mapping[str, frozenset[str]] = {
    "ED": frozenset({"18026-5", "79998-1", "79999-9"}),
    "ES": frozenset({"18148-7", "80003-7", "80004-5"}),
}
"""LOINC codes of volumes that are read of one frame."""
INSIDE = "in_patient_study"
"""The parameter that puts synthetic pictures into the study of the object that they were made from."""
FEW = 4
"""Values that are told in one line."""

Make = Callable[[], DerivedObject]


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """What objects are built from beside the result: the stored source, the model, and how the study stands.

    `patient` is the study's as DICOM JSON where a person decided or corrected it, `revision` counts corrections.
    """

    source: Path
    package: Package
    parameters: Mapping[str, Any]
    node: NodeSection
    limits: LimitsSection
    now: datetime
    revision: int = 0
    patient: Mapping[str, Any] | None = None


def objects_of(results: Sequence[Result], origin: Origin) -> list[Make]:
    """What builds each object of the results, in their order; UIDs follow from source, model, parameters and place.

    Builders load what they need when they build.

    Raises:
        RunFailed: two loops or two label maps, of which only one could have a name.
    """
    if any(sum(isinstance(each, kind) for each in results) > 1 for kind in (Loop, LabelMap)):
        raise RunFailed("the model gave more than one loop or label map", transient=False)
    known: dict[str, Any] = {
        "package": origin.package,
        "parameters": origin.parameters,
        "node": origin.node,
        "now": origin.now,
        "limits": origin.limits,
        "revision": origin.revision,
        "patient": origin.patient,
    }
    made: list[Make] = []
    pictures = 0
    for result in results:
        match result:
            case Loop():
                made.append(partial(_cine, origin.source, result, known))
            case LabelMap():
                made.append(partial(_segmentation, origin.source, result, known))
                made.append(partial(_overlay, origin.source, result, known | {"marks": marks_of(results)}))
            case Picture(synthetic=True):
                inside = origin.parameters.get(INSIDE) is True
                options = known | {"index": pictures, INSIDE: inside}
                made.append(partial(_synthetic, origin.source, result, options))
                pictures += 1
            case Picture():
                made.append(partial(_capture, origin.source, result, known | {"index": pictures}))
                pictures += 1
    return made


def marks_of(results: Sequence[Result]) -> dict[int, str]:
    """The frames of end-diastole and end-systole, counted from 0, as the volumes among the results were read of them."""
    return {
        result.frames[0]: name
        for result in results
        if isinstance(result, Measurement) and len(result.frames) == 1
        for name, concepts in VOLUMES.items()
        if result.concept.scheme == "LN" and result.concept.value in concepts
    }


def frames_exist(results: Sequence[Result], *, count: int) -> bool:
    """Whether what the results were read from are frames of an object of `count` frames; no report can name others."""
    named = (frame for each in results if isinstance(each, Measurement | Finding) for frame in each.frames)
    return all(0 <= frame < count for frame in named)


def kept_of(results: Sequence[Result]) -> tuple[Result, ...]:
    """The results that are kept as values."""
    return tuple(each for each in results if isinstance(each, KEPT))


def details_of(results: Sequence[Result]) -> dict[str, Any]:
    """What the run gave beside its results."""
    return {name: value for each in results if isinstance(each, Details) for name, value in each.values.items()}


def values_in_words(results: Sequence[Result]) -> list[str]:
    """Each number and answer as people write it: "EF 54 %"."""
    said = []
    for result in results:
        match result:
            case Measurement():
                unit = result.unit.value
                unit = "" if unit in ("1", "") or unit.startswith("{") else f" {unit}"
                said.append(f"{_name(result)} {_number(result.value)}{unit}")
            case Finding():
                said.append(_answer(result))
    return said


def line_of(outcome: Mapping[str, Any]) -> str:
    """One line for people of the outcome of a run: "EF 54 %, 1 capture", "made slow-motion", "refused: ..."."""
    if outcome.get("result") == "superseded":
        return f"not needed any more: {outcome.get('reason', '')}"
    values = [str(each) for each in outcome.get("values", ())]
    kinds = Counter(str(each.get("kind", "result")) for each in outcome.get("objects", ()))
    if not values and not kinds:
        if outcome.get("result") == "refused":
            return f"refused: {outcome.get('reason', '')}"
        return f"made {outcome['kind']}" if "kind" in outcome else "nothing to tell"
    told = values[:FEW] + ([f"{len(values) - FEW} more"] if len(values) > FEW else [])
    made = [kind if count == 1 and not values else _counted(count, kind) for kind, count in kinds.items()]
    line = ", ".join([*told, *made])
    if not values:
        line = f"made {line}"
    return f"{line}; refused: {outcome['reason']}" if outcome.get("reason") else line


def refused_in_words(results: Sequence[Result]) -> str:
    """The reasons among the results, as one line."""
    return "; ".join(dict.fromkeys(each.reason for each in results if isinstance(each, Ineligible)))


def _name(result: Measurement | Finding) -> str:
    concept = result.concept
    return SHORT.get((concept.value, concept.scheme), concept.meaning)


def _answer(result: Finding) -> str:
    sure = "" if result.confidence is None else f"{100 * result.confidence:.0f} %"
    if result.value == VIEW_UNKNOWN:
        return f"view not recognised{f' (likeliest {sure})' if sure else ''}"
    return f"{_name(result)} {result.value.meaning}{f' ({sure})' if sure else ''}"


def _number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 20 else f"{value:.3g}"


def _counted(count: int, kind: str) -> str:
    plural = kind if count == 1 or kind == "slow-motion" else f"{kind}s"
    return f"{count} {plural}"


def _cine(source: Path, loop: Loop, options: Mapping[str, Any]) -> DerivedObject:
    from echonode.derive.cine import build_cine

    return build_cine(source, loop, **options)


def _segmentation(source: Path, labels: LabelMap, options: Mapping[str, Any]) -> DerivedObject:
    from echonode.derive.segmentation import build_segmentation

    return build_segmentation(source, labels, **options)


def _overlay(source: Path, labels: LabelMap, options: Mapping[str, Any]) -> DerivedObject:
    from echonode.derive.overlay import build_overlay

    return build_overlay(source, labels, **options)


def _capture(source: Path, picture: Picture, options: Mapping[str, Any]) -> DerivedObject:
    from echonode.derive.capture import build_capture

    return build_capture(source, picture, **options)


def _synthetic(source: Path, picture: Picture, options: Mapping[str, Any]) -> DerivedObject:
    from echonode.derive.synthetic import build_synthetic

    return build_synthetic(source, picture, **options)
