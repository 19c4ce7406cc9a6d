"""The numbers of the tables, each with its interval. Pure numpy; the same seed gives the same interval."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from echonode.core.agreement_statistics import LEVEL, Agreement, Interval, bland_altman

__all__ = [
    "EF_BANDS",
    "LEVEL",
    "RESAMPLES",
    "Agreement",
    "Band",
    "Difference",
    "Floats",
    "Interval",
    "Statistic",
    "auc",
    "auc_interval",
    "bias",
    "bland_altman",
    "bootstrap_interval",
    "confusion",
    "correlation",
    "error_by_band",
    "mae",
    "paired_bootstrap",
    "r2",
    "rmse",
    "roc",
]

RESAMPLES = 2000
EF_BANDS = (0.0, 30.0, 40.0, 50.0, 60.0, 100.0)
Statistic = Callable[..., float]
Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """How much lower or higher a statistic is with model a than with b, on the same cases; `p` is two-sided."""

    value: float
    low: float
    high: float
    p: float
    n: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Band:
    """The error within one band of the truth; NaN where nothing falls into it."""

    low: float
    high: float
    n: int
    mae: float
    rmse: float
    bias: float


def mae(prediction: ArrayLike, truth: ArrayLike) -> float:
    """Mean absolute error."""
    return float(np.mean(np.abs(_floats(prediction) - _floats(truth))))


def rmse(prediction: ArrayLike, truth: ArrayLike) -> float:
    """Root of the mean squared error."""
    return float(np.sqrt(np.mean((_floats(prediction) - _floats(truth)) ** 2)))


def bias(prediction: ArrayLike, truth: ArrayLike) -> float:
    """Mean of prediction minus truth."""
    return float(np.mean(_floats(prediction) - _floats(truth)))


def r2(prediction: ArrayLike, truth: ArrayLike) -> float:
    """Coefficient of determination, 1 - SSres / SStot; NaN when the truth does not vary."""
    values = _floats(truth)
    spread = float(np.sum((values - values.mean()) ** 2))
    return float("nan") if spread == 0 else 1.0 - float(np.sum((_floats(prediction) - values) ** 2)) / spread


def correlation(prediction: ArrayLike, truth: ArrayLike) -> float:
    """Pearson's r; NaN when either does not vary."""
    a, b = _floats(prediction), _floats(truth)
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt(np.sum(a**2) * np.sum(b**2)))
    return float("nan") if scale == 0 else float(np.sum(a * b)) / scale


def bootstrap_interval(
    *arrays: ArrayLike,
    statistic: Statistic,
    by: Sequence[str] | None = None,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    seed: int = 0,
) -> Interval:
    """`statistic(*arrays)` with its percentile bootstrap interval (Efron 1979).

    The arrays have one entry a case along their first axis and are drawn together. `by` names the patient of each
    case: then patients are drawn, with all of their cases. Draws for which the statistic is NaN (an AUC of one class)
    are left out.

    Raises:
        ValueError: no cases, or arrays of different length.
    """
    columns = [np.asarray(array) for array in arrays]
    groups = _groups(_length(columns), by)
    drawn = [statistic(*(column[rows] for column in columns)) for rows in _draws(groups, resamples, seed)]
    low, high = _percentiles(drawn, level)
    return Interval(value=float(statistic(*columns)), low=low, high=high, n=len(groups), level=level)


def paired_bootstrap(
    a: Sequence[ArrayLike],
    b: Sequence[ArrayLike],
    *,
    statistic: Statistic,
    by: Sequence[str] | None = None,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    seed: int = 0,
) -> Difference:
    """`statistic(*a) - statistic(*b)` on the same cases, with its interval: both models see each draw.

    `p` is twice the share of draws on the other side of 0 than most of them are, at least 1 / (resamples + 1).

    Raises:
        ValueError: no cases, or arrays of different length.
    """
    first, second = [np.asarray(array) for array in a], [np.asarray(array) for array in b]
    groups = _groups(_length([*first, *second]), by)
    drawn = np.array(
        [
            statistic(*(column[rows] for column in first)) - statistic(*(column[rows] for column in second))
            for rows in _draws(groups, resamples, seed)
        ]
    )
    drawn = drawn[np.isfinite(drawn)]
    low, high = _percentiles(drawn, level)
    below, above = int(np.sum(drawn <= 0)), int(np.sum(drawn >= 0))
    return Difference(
        value=float(statistic(*first) - statistic(*second)),
        low=low,
        high=high,
        p=min(1.0, 2.0 * (min(below, above) + 1) / (len(drawn) + 1)),
        n=len(groups),
    )


def auc(score: ArrayLike, positive: ArrayLike) -> float:
    """Area under the ROC curve: how often a positive case scores above a negative one, ties half; NaN for one class."""
    scores, classes = _floats(score), np.asarray(positive).astype(bool)
    count = int(classes.sum())
    others = len(classes) - count
    if count == 0 or others == 0:
        return float("nan")
    return (float(_midranks(scores)[classes].sum()) - count * (count + 1) / 2) / (count * others)


def auc_interval(score: ArrayLike, positive: ArrayLike, *, level: float = LEVEL) -> Interval:
    """The AUC with DeLong's interval (DeLong et al., Biometrics 1988), on the logit scale so that it stays in 0 to 1.

    Cases must be independent; with several a patient take `bootstrap_interval(..., statistic=auc, by=patients)`.

    Raises:
        ValueError: fewer than two cases of a class.
    """
    scores, classes = _floats(score), np.asarray(positive).astype(bool)
    up, down = scores[classes], scores[~classes]
    if len(up) < 2 or len(down) < 2:
        raise ValueError(f"{len(up)} positive and {len(down)} negative cases: two of each are needed")
    value, all_ranks = auc(scores, classes), _midranks(scores)
    of_up = (all_ranks[classes] - _midranks(up)) / len(down)
    of_down = 1 - (all_ranks[~classes] - _midranks(down)) / len(up)
    variance = float(of_up.var(ddof=1) / len(up) + of_down.var(ddof=1) / len(down))
    z = NormalDist().inv_cdf((1 + level) / 2)
    if variance == 0 or value in (0.0, 1.0):
        return Interval(value=value, low=value, high=value, n=len(scores), level=level)
    logit, half = np.log(value / (1 - value)), z * np.sqrt(variance) / (value * (1 - value))
    low, high = (1 / (1 + np.exp(-(logit + sign * half))) for sign in (-1, 1))
    return Interval(value=value, low=float(low), high=float(high), n=len(scores), level=level)


def roc(score: ArrayLike, positive: ArrayLike) -> tuple[Floats, Floats]:
    """False and true positive rate at each threshold, from (0, 0) to (1, 1)."""
    scores, classes = _floats(score), np.asarray(positive).astype(bool)
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.diff(scores[order]) != 0, True)
    hit, missed = np.cumsum(classes[order])[ends], np.cumsum(~classes[order])[ends]
    return (np.append(0.0, missed / max(1, missed[-1])), np.append(0.0, hit / max(1, hit[-1])))


def error_by_band(prediction: ArrayLike, truth: ArrayLike, *, bands: Sequence[float] = EF_BANDS) -> tuple[Band, ...]:
    """The error in each band of the truth, low <= truth < high; the last one takes its upper end too."""
    found, values = _floats(prediction), _floats(truth)
    rows = []
    for low, high in itertools.pairwise(bands):
        inside = (values >= low) & ((values < high) | ((high == bands[-1]) & (values == high)))
        p, t = found[inside], values[inside]
        some = len(p) > 0
        rows.append(
            Band(low=low, high=high, n=len(p), mae=mae(p, t) if some else float("nan"),
                 rmse=rmse(p, t) if some else float("nan"), bias=bias(p, t) if some else float("nan"))
        )  # fmt: skip
    return tuple(rows)


def confusion(predicted: Sequence[str], truth: Sequence[str], classes: Sequence[str]) -> NDArray[np.int64]:
    """How often a case of class row was called class column."""
    place = {name: number for number, name in enumerate(classes)}
    table = np.zeros((len(classes), len(classes)), np.int64)
    for said, true in zip(predicted, truth, strict=True):
        table[place[true], place[said]] += 1
    return table


def _floats(values: ArrayLike) -> Floats:
    return np.asarray(values, np.float64)


def _midranks(values: Floats) -> Floats:
    """Ranks from 1; cases of equal value share the middle of their ranks."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks: Floats = ((ends - counts + 1 + ends) / 2)[inverse]
    return ranks


def _length(columns: Sequence[NDArray[np.generic]]) -> int:
    lengths = {len(column) for column in columns}
    if len(lengths) != 1 or not (count := lengths.pop()):
        raise ValueError("arrays of one length, with at least one case, are expected")
    return count


def _groups(count: int, by: Sequence[str] | None) -> list[NDArray[np.int64]]:
    """The rows of each patient, patients in the order of their names."""
    if by is None:
        return [np.array([row]) for row in range(count)]
    if len(by) != count:
        raise ValueError(f"{len(by)} patients for {count} cases")
    rows: dict[str, list[int]] = {}
    for row, patient in enumerate(by):
        rows.setdefault(patient, []).append(row)
    return [np.array(rows[patient]) for patient in sorted(rows)]


def _draws(groups: Sequence[NDArray[np.int64]], resamples: int, seed: int) -> list[NDArray[np.int64]]:
    chance = np.random.Generator(np.random.PCG64(seed))
    single = all(len(group) == 1 for group in groups)
    rows = np.concatenate(groups)
    draws = []
    for _ in range(resamples):
        taken = chance.integers(0, len(groups), len(groups))
        draws.append(rows[taken] if single else np.concatenate([groups[index] for index in taken]))
    return draws


def _percentiles(drawn: Sequence[float] | Floats, level: float) -> tuple[float, float]:
    finite = np.asarray(drawn, np.float64)
    finite = finite[np.isfinite(finite)]
    if not len(finite):
        return float("nan"), float("nan")
    low, high = np.quantile(finite, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
