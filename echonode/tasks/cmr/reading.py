"""One reading of a CMR finding from one view: a logit a clip, and the probability of their mean."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from echonode.core.codes import PRIVATE_SCHEME, Code
from echonode.core.results import Measurement, Result

FINDINGS: Final[Mapping[str, Code]] = {
    "wall-motion": Code("CMR-WMA", PRIVATE_SCHEME, "Probability of wall motion abnormality on cardiac MRI"),
    "scar": Code("CMR-SCAR", PRIVATE_SCHEME, "Probability of myocardial scar on cardiac MRI"),
}
PROBABILITY: Final = Code("1", "UCUM", "no units")


@dataclass(frozen=True, kw_only=True, slots=True)
class Quantity:
    """What a model says: a coded concept, its unit, its title; `probability` of a finding, else a value."""

    concept: Code
    title: str
    unit: Code = PROBABILITY
    probability: bool = True


QUANTITIES: Final[Mapping[str, Quantity]] = {
    **{name: Quantity(concept=code, title=f"CMR {name.replace('-', ' ')}") for name, code in FINDINGS.items()},
    "segment-motion": Quantity(
        concept=Code("WMA-VIEW", PRIVATE_SCHEME, "Probability that a segment in view moves abnormally"),
        title="Abnormal wall motion",
    ),
    "ejection-fraction": Quantity(
        concept=Code("10230-1", "LN", "Left Ventricular Ejection Fraction"), title="Ejection fraction",
        unit=Code("%", "UCUM", "percent"), probability=False,
    ),
    "score-index": Quantity(
        concept=Code("WMSI-VIEW", PRIVATE_SCHEME, "Wall motion score index of the segments in view"),
        title="Wall motion score index", probability=False,
    ),
    "value": Quantity(
        concept=Code("CMR-VALUE", PRIVATE_SCHEME, "Value of the manifest that the model learned"),
        title="Value", probability=False,
    ),
}  # fmt: skip
"""What the runner knows to say: the findings of the released models, and what echonode's own recipe trains."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """`per_clip` in logits; `threshold` is the site's, on the probability, None where it set none."""

    finding: str
    mode: str
    per_clip: tuple[float, ...]
    starts_ms: tuple[float, ...]
    frames: tuple[int, ...]
    threshold: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def logit(self) -> float:
        """The mean over clips."""
        return math.fsum(self.per_clip) / len(self.per_clip)

    @property
    def probability(self) -> float:
        """The logistic function of the logit; not calibrated by the authors of the released models."""
        return probability_of(self.logit)

    @property
    def value(self) -> float:
        """What the measurement says: the probability, or of a regression the mean over clips as it is."""
        return self.probability if QUANTITIES[self.finding].probability else self.logit

    def results(self) -> tuple[Result, ...]:
        """The probability or value as a coded measurement."""
        quantity = QUANTITIES[self.finding]
        return (Measurement(concept=quantity.concept, value=self.value, unit=quantity.unit, frames=self.frames),)

    def details(self) -> Mapping[str, Any]:
        """What is no coded measurement, as JSON values."""
        if not QUANTITIES[self.finding].probability:
            return {
                "preparation": self.mode,
                "finding": self.finding,
                "per_clip": list(self.per_clip),
                "starts_in_ms": list(self.starts_ms),
                "frames": list(self.frames),
                "notes": list(self.notes),
            }
        return {
            "preparation": self.mode,
            "finding": self.finding,
            "logit": self.logit,
            "per_clip_logits": list(self.per_clip),
            "starts_in_ms": list(self.starts_ms),
            "frames": list(self.frames),
            "threshold": self.threshold,
            "above_threshold": None if self.threshold is None else self.probability >= self.threshold,
            "notes": list(self.notes),
        }


def probability_of(logit: float) -> float:
    """1 / (1 + exp(-logit)), without overflow."""
    if logit >= 0:
        return 1.0 / (1.0 + math.exp(-logit))
    grown = math.exp(logit)
    return grown / (1.0 + grown)
