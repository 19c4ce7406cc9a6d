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
        """The logistic function of the logit; not calibrated."""
        return probability_of(self.logit)

    def results(self) -> tuple[Result, ...]:
        """The probability as a coded measurement."""
        concept = FINDINGS[self.finding]
        return (Measurement(concept=concept, value=self.probability, unit=PROBABILITY, frames=self.frames),)

    def details(self) -> Mapping[str, Any]:
        """What is no coded measurement, as JSON values."""
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
