"""How far ejection fractions are from the truth: error, agreement, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
RESAMPLES: Final = 10_000
SEED: Final = 0
BANDS: Final = ((0.0, 40.0), (40.0, 50.0), (50.0, 100.0))
"""Reduced, mildly reduced and preserved: regression to the mean shows in the first."""


def r2(truth: Values, predicted: Values) -> float:
    """The coefficient of determination; no number where all truths are equal."""
    total = float(((truth - truth.mean()) ** 2).sum())
    return 1.0 - float(((truth - predicted) ** 2).sum()) / total if total > 0 else float("nan")


def mae(truth: Values, predicted: Values) -> float:
    """Mean absolute error."""
    return float(np.abs(predicted - truth).mean())


def rmse(truth: Values, predicted: Values) -> float:
    """Root mean square error."""
    return float(np.sqrt(((predicted - truth) ** 2).mean()))


def evaluation(truth: Sequence[float], predicted: Sequence[float]) -> Mapping[str, Any]:
    """Errors in percent points with bootstrap 95 % limits, Bland-Altman limits of agreement, and errors by band.

    Numbers that cannot be computed are None. The tool "metrics".
    """
    y, x = np.array(truth, np.float64), np.array(predicted, np.float64)
    if len(y) == 0:
        return {"n": 0}
    error = x - y
    deviation = float(error.std(ddof=1)) if len(y) > 1 else None
    mean = float(error.mean())
    return {
        "n": len(y),
        "mae": mae(y, x),
        "rmse": rmse(y, x),
        "r2": _number(r2(y, x)),
        "limits_95": _limits(y, x),
        "bias": mean,
        "limits_of_agreement": [mean - 1.96 * deviation, mean + 1.96 * deviation] if deviation is not None else None,
        "by_band": [
            {
                "from": low,
                "to": high,
                "n": int(inside.sum()),
                "mae": mae(y[inside], x[inside]) if inside.any() else None,
            }
            for low, high in BANDS
            for inside in ((y >= low) & ((y < high) | (high == BANDS[-1][1])),)
        ],
    }


def _limits(y: Values, x: Values) -> Mapping[str, list[float] | None]:
    """2.5th and 97.5th percentile over resampled studies; a resample of equal truths has no R2 and is left out."""
    draws = np.random.default_rng(SEED).integers(0, len(y), (RESAMPLES, len(y))) if len(y) <= 2000 else None
    found: dict[str, list[float] | None] = {}
    for name, measure in (("mae", mae), ("rmse", rmse), ("r2", r2)):
        if len(y) < 2:
            found[name] = None
            continue
        random = np.random.default_rng(SEED)
        values = np.array(
            [measure(y[chosen], x[chosen])
             for chosen in (draws if draws is not None else (random.integers(0, len(y), len(y)) for _ in range(1000)))]
        )  # fmt: skip
        values = values[np.isfinite(values)]
        found[name] = [float(limit) for limit in np.percentile(values, [2.5, 97.5])] if len(values) else None
    return found


def _number(value: float) -> float | None:
    return value if np.isfinite(value) else None
