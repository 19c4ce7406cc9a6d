"""What a model said of loops, beside the truth; one loop a row, or one study when views are fused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
CALIBRATION_BINS: Final = 10


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Cases:
    """`said` in logits, or of a regression in its unit; `ef_percent` NaN and `worst` 0 where not known."""

    keys: tuple[str, ...]
    patients: tuple[str, ...]
    studies: tuple[str, ...]
    said: Values
    truth: Values
    ef_percent: Values
    worst: NDArray[np.int64]

    @property
    def probability(self) -> Values:
        """The logistic function of what was said."""
        return np.asarray(1 / (1 + np.exp(-np.clip(self.said, -60, 60))), np.float64)

    @property
    def brier(self) -> float:
        """The mean squared distance of probability and outcome."""
        return float(np.mean((self.probability - self.truth) ** 2))

    @property
    def calibration_error(self) -> float:
        """The expected calibration error over ten bins of equal width."""
        place = np.clip((self.probability * CALIBRATION_BINS).astype(int), 0, CALIBRATION_BINS - 1)
        total = 0.0
        for number in range(CALIBRATION_BINS):
            inside = place == number
            if inside.any():
                total += float(inside.mean()) * abs(float(self.probability[inside].mean() - self.truth[inside].mean()))
        return total

    @property
    def average_precision(self) -> float:
        """The area under the curve of precision over recall, in steps; NaN without a positive."""
        order = np.argsort(-self.said, kind="stable")
        hits, scores = self.truth[order], self.said[order]
        if not hits.any():
            return float("nan")
        ends = np.append(np.diff(scores) != 0, True)
        found, looked = np.cumsum(hits)[ends], np.arange(1, len(hits) + 1)[ends]
        return float(np.sum(np.diff(np.append(0.0, found / hits.sum())) * found / looked))

    def called(self, threshold: float | None) -> tuple[float, float] | None:
        """Sensitivity and specificity from that probability on; None without a threshold."""
        if threshold is None:
            return None
        said, positive = self.probability >= threshold, self.truth == 1
        sensitivity = float(said[positive].mean()) if positive.any() else float("nan")
        return sensitivity, float((~said[~positive]).mean()) if (~positive).any() else float("nan")


def fused(parts: Sequence[Cases]) -> Cases:
    """One row a study: the mean of the logits of all its loops, in all views; positive when any of its labels is.

    Studies that one of several views lacks are looked at with the others.
    """
    rows: dict[str, list[tuple[Cases, int]]] = {}
    for cases in parts:
        for number, study in enumerate(cases.studies):
            rows.setdefault(study, []).append((cases, number))
    studies = sorted(rows)
    grouped = [rows[study] for study in studies]
    return Cases(
        keys=tuple(studies),
        patients=tuple(group[0][0].patients[group[0][1]] for group in grouped),
        studies=tuple(studies),
        said=np.array([np.mean([cases.said[n] for cases, n in group]) for group in grouped]),
        truth=np.array([max(float(cases.truth[n]) for cases, n in group) for group in grouped]),
        ef_percent=np.array([group[0][0].ef_percent[group[0][1]] for group in grouped]),
        worst=np.array([max(int(cases.worst[n]) for cases, n in group) for group in grouped]),
    )
