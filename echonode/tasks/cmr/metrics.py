"""How well probabilities tell who has a finding: the ROC curve, its area, and Youden's threshold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
RESAMPLES: Final = 10_000
SEED: Final = 0
POINTS_MOST: Final = 20_000_000  # resampled values held at once


def roc(labels: Values, scores: Values) -> tuple[Values, Values, Values]:
    """False positive rate, true positive rate and threshold, from no positive call to all; equal scores are one step.

    Raises:
        ValueError: only one class.
    """
    positives = float((labels == 1).sum())
    negatives = float(len(labels) - positives)
    if positives == 0 or negatives == 0:
        raise ValueError("a ROC curve needs both classes")
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order], labels[order] == 1
    steps = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
    true = np.cumsum(hits)[steps] / positives
    false = np.cumsum(~hits)[steps] / negatives
    return np.append(0.0, false), np.append(0.0, true), np.append(np.inf, ranked[steps])


def auc(labels: Values, scores: Values) -> float:
    """Area under the ROC curve."""
    false, true, _ = roc(labels, scores)
    return float(np.trapezoid(true, false))


def youden(labels: Values, scores: Values) -> float:
    """The threshold at the first maximum of true less false positive rate, from the highest threshold down."""
    false, true, thresholds = roc(labels, scores)
    return float(thresholds[int(np.argmax(true - false))])


def evaluation(truth: Sequence[float], predicted: Sequence[float]) -> Mapping[str, Any]:
    """AUC with bootstrap 95 % limits, and Youden's threshold of these data; the tool "metrics".

    None stands where one class is absent, or no threshold is better than calling nobody positive. The threshold is
    fitted to the very labels that it is printed beside: it is optimistic.
    """
    labels, scores = np.array(truth, np.float64), np.array(predicted, np.float64)
    if not set(labels.tolist()) <= {0.0, 1.0}:
        return {"n": len(labels), "error": "labels are 0 or 1"}
    found: dict[str, Any] = {"n": len(labels), "positives": int(labels.sum()), "auc": None}
    if len(set(labels.tolist())) < 2:
        return found
    threshold = youden(labels, scores)
    return found | {
        "auc": auc(labels, scores),
        "auc_limits_95": _limits(labels, scores),
        "youden_threshold": threshold if np.isfinite(threshold) else None,
    }


def _limits(labels: Values, scores: Values) -> list[float]:
    random = np.random.default_rng(SEED)
    count = min(RESAMPLES, max(200, POINTS_MOST // len(labels)))
    values = []
    for _ in range(count):
        chosen = random.integers(0, len(labels), len(labels))
        if 0 < labels[chosen].sum() < len(labels):
            values.append(auc(labels[chosen], scores[chosen]))
    return [float(limit) for limit in np.percentile(values, [2.5, 97.5])]
