"""How well two ways to measure the same thing agree: Bland and Altman, Lancet 1986. Pure numpy."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

LEVEL = 0.95


@dataclass(frozen=True, kw_only=True, slots=True)
class Interval:
    """A value with the interval that holds it at `level`, and how many independent cases (patients) stand behind it."""

    value: float
    low: float
    high: float
    n: int
    level: float = LEVEL

    def __str__(self) -> str:
        return f"{self.value:.3g} ({self.low:.3g} to {self.high:.3g})"


@dataclass(frozen=True, kw_only=True, slots=True)
class Agreement:
    """Bland and Altman (Lancet 1986): bias and limits of agreement, each with its interval, and the SD of differences."""

    bias: Interval
    lower: Interval
    upper: Interval
    sd: float


def bland_altman(prediction: ArrayLike, truth: ArrayLike, *, level: float = LEVEL) -> Agreement:
    """Bias and limits (bias +- 1.96 SD) of prediction minus truth; intervals by Bland and Altman's standard errors.

    Raises:
        ValueError: fewer than two cases.
    """
    differences = np.asarray(prediction, np.float64) - np.asarray(truth, np.float64)
    n = len(differences)
    if n < 2:
        raise ValueError(f"agreement of {n} cases: at least two are needed")
    middle, sd = float(differences.mean()), float(differences.std(ddof=1))
    z, t = NormalDist().inv_cdf(0.975), _student((1 + level) / 2, n - 1)
    around_bias = t * sd / np.sqrt(n)
    around_limit = t * sd * np.sqrt(1 / n + z**2 / (2 * (n - 1)))

    def interval(value: float, half: float) -> Interval:
        return Interval(value=value, low=value - float(half), high=value + float(half), n=n, level=level)

    return Agreement(
        bias=interval(middle, around_bias),
        lower=interval(middle - z * sd, around_limit),
        upper=interval(middle + z * sd, around_limit),
        sd=sd,
    )


def _student(share: float, free: int) -> float:
    """The quantile of Student's t: exact for one and two degrees of freedom, else by Cornish-Fisher within 1 %."""
    if free == 1:
        return math.tan(math.pi * (share - 0.5))
    if free == 2:
        return (2 * share - 1) * math.sqrt(2 / (4 * share * (1 - share)))
    q = NormalDist().inv_cdf(share)
    return (
        q
        + (q**3 + q) / (4 * free)
        + (5 * q**5 + 16 * q**3 + 3 * q) / (96 * free**2)
        + (3 * q**7 + 19 * q**5 + 17 * q**3 - 15 * q) / (384 * free**3)
    )
