"""One reading of a CMR finding from one view: a number a clip, and what their mean says."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from echonode.core.results import Measurement, Result
from echonode.tasks.cmr.quantities import PREDICTED_FROM_ECHO, QUANTITIES, Quantity, probability_of
from echonode.tasks.common.concepts import ESTIMATED, LV_MYOCARDIUM
from echonode.tasks.common.uncertainty import Limits, stated


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """`per_clip` in logits of a finding, else in the unit of its quantity.

    `threshold` is the package's, on the probability; None where it set none. `limits` are those of a regression's locked
    test; `remarks` are what the package says of its answers (the field strength of a T1, its area under the curve).
    """

    finding: str
    mode: str
    per_clip: tuple[float, ...]
    starts_ms: tuple[float, ...]
    frames: tuple[int, ...]
    threshold: float | None = None
    notes: tuple[str, ...] = ()
    limits: Limits | None = None
    remarks: tuple[str, ...] = ()

    @property
    def quantity(self) -> Quantity:
        """What is asked."""
        return QUANTITIES[self.finding]

    @property
    def logit(self) -> float:
        """The mean over clips, as the network answers."""
        return math.fsum(self.per_clip) / len(self.per_clip)

    @property
    def probability(self) -> float:
        """The logistic function of the logit, 0 to 1; not calibrated by the authors of the released models."""
        return probability_of(self.logit)

    @property
    def value(self) -> float:
        """What the measurement says: the probability in percent, or of a regression the mean over clips as it is."""
        return self.quantity.said(self.logit)

    @property
    def spread(self) -> float | None:
        """Standard deviation over clips in the measurement's unit; None for fewer than two."""
        said = [self.quantity.said(number) for number in self.per_clip]
        return statistics.stdev(said) if len(said) > 1 else None

    def results(self) -> tuple[Result, ...]:
        """The probability or value as a coded measurement; the predicted class only where the package has a threshold."""
        means = (self.quantity.means,) if self.quantity.means else ()
        measurement = Measurement(
            concept=self.quantity.concept, value=self.value, unit=self.quantity.unit, method=PREDICTED_FROM_ECHO,
            frames=self.frames, repeatability=self.spread, count=len(self.per_clip), site=LV_MYOCARDIUM,
            derivation=ESTIMATED, notes=(*means, *self.remarks, *self.notes), **stated(self.limits),
        )  # fmt: skip
        if self.quantity.classes is None or self.threshold is None:
            return (measurement,)
        return (measurement, self.quantity.classes.finding(self.probability, self.threshold, frames=self.frames))

    def details(self) -> Mapping[str, Any]:
        """What is no coded measurement, as JSON values; `combine` reads them back."""
        shared = {
            "preparation": self.mode,
            "finding": self.finding,
            "starts_in_ms": list(self.starts_ms),
            "frames": list(self.frames),
            "standard_deviation_over_clips": self.spread,
            "limits_95": None if self.limits is None else self.limits.plain(),
            "notes": list(self.notes),
        }
        if not self.quantity.probability:
            return shared | {"value": self.value, "per_clip": list(self.per_clip)}
        return shared | {
            "logit": self.logit,
            "probability": self.probability,
            "per_clip_logits": list(self.per_clip),
            "threshold": self.threshold,
            "above_threshold": None if self.threshold is None else self.probability >= self.threshold,
        }
