"""What models of this task say: coded concepts, all of them private, because none was measured. Imports no torch.

No standard code means "predicted from echo": those of T1, T2 and extracellular volume name what cardiac MRI measures.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from echonode.core.codes import PRIVATE_SCHEME, Code
from echonode.core.results import Finding
from echonode.tasks.common.concepts import MILLISECOND, PERCENT

PREDICTED_FROM_ECHO: Final = Code("PREDFROMUS", PRIVATE_SCHEME, "Predicted from ultrasound by neural network")
ONE: Final = Code("1", "UCUM", "no units")
WALL_MOTION: Final = Code("PROB-WMA", PRIVATE_SCHEME, "Predicted probability of wall motion abnormality")
SCAR: Final = Code("PROB-LGE", PRIVATE_SCHEME, "Predicted probability of myocardial scar (LGE)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Classes:
    """What a probability at the package's threshold or above, and one below it, is called; never without "predicted"."""

    concept: Code
    positive: Code
    negative: Code

    def finding(self, probability: float, threshold: float, *, frames: tuple[int, ...]) -> Finding:
        """The predicted class, with how probable the model holds it."""
        positive = probability >= threshold
        return Finding(
            concept=self.concept, value=self.positive if positive else self.negative,
            confidence=probability if positive else 1 - probability, method=PREDICTED_FROM_ECHO, frames=frames,
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Quantity:
    """What a model says: a coded concept, its unit, its title; `classes` of a probability, None of a regression.

    `means` is a sentence for people, where the concept says less than the model means.
    """

    concept: Code
    title: str
    unit: Code = PERCENT
    classes: Classes | None = None
    means: str = ""

    @property
    def probability(self) -> bool:
        """Whether the network's answer is a logit, and what is said its probability in percent."""
        return self.classes is not None

    def said(self, number: float) -> float:
        """What is said of a network's answer, in `unit`: of a logit its probability in percent."""
        return 100 * probability_of(number) if self.probability else number


MOTION_CLASSES: Final = Classes(
    concept=Code("PRED-WMCLASS", PRIVATE_SCHEME, "Predicted wall motion"),
    positive=Code("WM-ABNORMAL", PRIVATE_SCHEME, "Abnormal wall motion"),
    negative=Code("373122000", "SCT", "Normal wall motion"),
)
SCAR_CLASSES: Final = Classes(
    concept=Code("PRED-LGECLASS", PRIVATE_SCHEME, "Predicted myocardial tissue"),
    positive=Code("122113", "DCM", "Scarred Myocardium"),
    negative=Code("122112", "DCM", "Normal Myocardium"),
)
QUANTITIES: Final[Mapping[str, Quantity]] = {
    "wall-motion": Quantity(concept=WALL_MOTION, title="CMR wall motion", classes=MOTION_CLASSES),
    "scar": Quantity(concept=SCAR, title="CMR scar", classes=SCAR_CLASSES),
    "segment-motion": Quantity(
        concept=WALL_MOTION, title="Abnormal wall motion", classes=MOTION_CLASSES,
        means="probability that a segment which this view shows moves abnormally; learned without cardiac MRI",
    ),
    "native-t1": Quantity(
        concept=Code("PRED-NT1", PRIVATE_SCHEME, "Predicted native myocardial T1"), title="CMR native T1",
        unit=MILLISECOND,
    ),
    "t2": Quantity(
        concept=Code("PRED-T2", PRIVATE_SCHEME, "Predicted myocardial T2"), title="CMR T2", unit=MILLISECOND
    ),
    "ecv": Quantity(
        concept=Code("PRED-ECV", PRIVATE_SCHEME, "Predicted extracellular volume fraction"), title="CMR ECV"
    ),
    "ejection-fraction": Quantity(
        concept=Code("PRED-EF", PRIVATE_SCHEME, "Predicted left ventricular ejection fraction"),
        title="Ejection fraction",
    ),
    "score-index": Quantity(
        concept=Code("WMSI-VIEW", PRIVATE_SCHEME, "Wall motion score index of the segments in view"),
        title="Wall motion score index", unit=ONE,
    ),
    "value": Quantity(
        concept=Code("CMR-VALUE", PRIVATE_SCHEME, "Value of the manifest that the model learned"), title="Value",
        unit=ONE,
    ),
}  # fmt: skip
"""By what a package's config.finding says: the findings of the released models, and what echonode's own recipe trains."""
OF_MRI: Final = ("wall-motion", "scar", "native-t1", "t2", "ecv")
"""What a package of cardiac MRI may answer; any set of them may be installed, one model a view and finding."""


def probability_of(logit: float) -> float:
    """1 / (1 + exp(-logit)), without overflow."""
    if logit >= 0:
        return 1.0 / (1.0 + math.exp(-logit))
    grown = math.exp(logit)
    return grown / (1.0 + grown)
