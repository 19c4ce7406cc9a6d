"""Findings of a study from those of its loops: the mean of logits over views. Imports no torch.

Loops of one view are averaged first, so that a view that was recorded three times does not speak three times; then the
views. The logistic function of the mean logit is the study's probability; a regression's views have their plain mean.
"""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from echonode.core.readings import KeptReading, StudyValue
from echonode.core.results import Ineligible, Measurement
from echonode.tasks.cmr.quantities import QUANTITIES, Quantity
from echonode.tasks.common.uncertainty import limits_from, stated

UNTOLD = "a view that is not told"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Said:
    """What one loop said: `number` is a logit, or the value of a regression."""

    reading: KeptReading
    measurement: Measurement
    number: float

    @property
    def view(self) -> str:
        return self.reading.view or UNTOLD


def combine(readings: Sequence[KeptReading]) -> Sequence[StudyValue | Ineligible]:
    """One value a finding; findings are never mixed, whatever concept they share."""
    groups: dict[str, list[_Said]] = defaultdict(list)
    for reading in readings:
        finding = reading.details.get("finding")
        if not isinstance(finding, str) or finding not in QUANTITIES:
            continue
        number = reading.details.get("logit" if QUANTITIES[finding].probability else "value")
        measurement = next((m for m in reading.measurements if m.concept == QUANTITIES[finding].concept), None)
        if measurement is None or isinstance(number, bool) or not isinstance(number, int | float):
            continue
        if math.isfinite(number):
            groups[finding].append(_Said(reading=reading, measurement=measurement, number=float(number)))
    return [_fused(QUANTITIES[finding], groups[finding]) for finding in sorted(groups)]


def _fused(quantity: Quantity, said: Sequence[_Said]) -> StudyValue:
    said = sorted(said, key=lambda each: (each.view, each.reading.sop_instance_uid, each.reading.digest))
    frames = {each.reading.sop_instance_uid: each.measurement.frames for each in said}
    if len(said) == 1:
        only = said[0]
        return StudyValue(
            measurement=replace(only.measurement, frames=()), frames=frames, model=only.reading.model,
            version=only.reading.version, digest=only.reading.digest,
        )  # fmt: skip
    by_view: dict[str, list[float]] = defaultdict(list)
    for each in said:
        by_view[each.view].append(each.number)
    views = {view: math.fsum(numbers) / len(numbers) for view, numbers in by_view.items()}
    number = math.fsum(views.values()) / len(views)
    first = said[0].measurement
    shared = [note for note in first.notes if all(note in each.measurement.notes for each in said)]
    models = sorted({(each.reading.model, each.reading.version, each.reading.digest) for each in said})
    model, version, digest = (" + ".join(parts) for parts in zip(*models, strict=True))
    measurement = Measurement(
        concept=quantity.concept, value=quantity.said(number), unit=quantity.unit, method=first.method,
        repeatability=statistics.stdev(quantity.said(each.number) for each in said), count=len(said), site=first.site,
        derivation=first.derivation, notes=(_words(quantity, views, by_view), *shared), **_limits(said),
    )  # fmt: skip
    return StudyValue(measurement=measurement, frames=frames, model=model, version=version, digest=digest)


def _limits(said: Sequence[_Said]) -> dict[str, Any]:
    """The widest of a single loop's, where every loop has some: nobody has tested the mean."""
    each = [limits_from(one.reading.details.get("limits_95")) for one in said]
    known = [limits for limits in each if limits is not None]
    if len(known) < len(each):
        return {}
    widest = max(known, key=lambda limits: (limits.half_width, limits.basis))
    return stated(replace(widest, basis=f"of a single loop: {widest.basis}"))


def _words(quantity: Quantity, views: dict[str, float], by_view: dict[str, list[float]]) -> str:
    """How the study's value was made of its views."""
    how = "mean of logits" if quantity.probability else "mean"
    each = [
        f"{view} {quantity.said(views[view]):.0f} {quantity.unit.value if quantity.unit.value != '1' else ''}".rstrip()
        + (f" ({len(by_view[view])} loops)" if len(by_view[view]) > 1 else "")
        for view in sorted(views)
    ]
    return f"{how} over {', '.join(each)}; repeatability is the standard deviation over loops"
