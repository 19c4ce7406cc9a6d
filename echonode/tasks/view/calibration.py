"""How sure the network may say it is: one temperature (Guo et al., ICML 2017), and a confidence below which it is silent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

TEMPERATURES: Final = np.exp(np.linspace(np.log(0.3), np.log(5.0), 113))
THRESHOLDS: Final = np.arange(0.5, 0.951, 0.01)
WANTED: Final = 0.95  # of the answers on changed loops, which are harder than any as recorded

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Calibration:
    """Logits are divided by `temperature`; a view is named from a confidence of `threshold` on.

    Raises:
        ValueError: values that are none.
    """

    temperature: float = 1.0
    threshold: float = 0.6

    def __post_init__(self) -> None:
        if not 0.05 <= self.temperature <= 50 or not 0 <= self.threshold < 1:
            raise ValueError(f"temperature {self.temperature} or threshold {self.threshold} is none")

    def probabilities(self, logits: ArrayLike) -> Floats:
        """Probabilities (N, classes), each row adding up to 1."""
        scaled = np.asarray(logits, np.float64) / self.temperature
        raised = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
        return np.asarray(raised / raised.sum(axis=-1, keepdims=True), np.float64)


def calibrated(logits: ArrayLike, labels: ArrayLike) -> Calibration:
    """The temperature with the least negative log likelihood, and the least threshold at which 95 % of answers are right.

    `logits` (N, classes) and `labels` (N,) are of a validation split, never of the test. Where no threshold reaches 95 %
    it is 0.95.

    Raises:
        ValueError: nothing to calibrate by.
    """
    found, true = np.asarray(logits, np.float64), np.asarray(labels, np.int64)
    if not len(found) or len(found) != len(true):
        raise ValueError(f"{len(found)} logits and {len(true)} labels")
    losses = [
        negative_log_likelihood(Calibration(temperature=float(t)).probabilities(found), true) for t in TEMPERATURES
    ]
    temperature = round(float(TEMPERATURES[int(np.argmin(losses))]), 4)
    sure = Calibration(temperature=temperature).probabilities(found)
    right, confidence = sure.argmax(axis=1) == true, sure.max(axis=1)
    for threshold in THRESHOLDS:
        given = confidence >= threshold
        if given.any() and right[given].mean() >= WANTED:
            return Calibration(temperature=temperature, threshold=round(float(threshold), 2))
    return Calibration(temperature=temperature, threshold=round(float(THRESHOLDS[-1]), 2))


def negative_log_likelihood(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """Mean of -log of the probability of what is true."""
    rows = np.asarray(probabilities, np.float64)
    return float(-np.log(np.maximum(rows[np.arange(len(rows)), np.asarray(labels, np.int64)], 1e-12)).mean())


def calibration_error(confidence: ArrayLike, right: ArrayLike, *, bins: int = 10) -> float:
    """Expected calibration error: how far confidence and accuracy lie apart, over bins of equal width."""
    said, true = np.asarray(confidence, np.float64), np.asarray(right, np.float64)
    place = np.clip((said * bins).astype(int), 0, bins - 1)
    return float(
        sum((place == each).mean() * abs(said[place == each].mean() - true[place == each].mean())
            for each in range(bins) if (place == each).any())
    )  # fmt: skip
