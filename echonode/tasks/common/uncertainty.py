"""How far a model's numbers may be from the truth: what its locked test found. Imports no torch.

The spread over clips or beats of one loop is no such thing: a model may be wrong by the same amount in each of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from echonode.core.package import Package
from echonode.core.results import Measurement

NORMAL_95: Final = 1.96
AGREEMENT: Final = "limits of agreement"
RMSE: Final = "RMSE"
UNKNOWN: Final = "accuracy unknown"


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """`half_width` of the 95 % limits, in the unit of the metric that they come from, and `basis`: which test said so."""

    half_width: float
    basis: str

    def __post_init__(self) -> None:
        if not (math.isfinite(self.half_width) and self.half_width > 0 and self.basis):
            raise ValueError("limits need a width above 0 and the test that they come from")

    def plain(self) -> dict[str, Any]:
        """As JSON values, which `limits_from` reads."""
        return {"half_width": self.half_width, "basis": self.basis}


def limits_of(package: Package, *names: str) -> Limits | None:
    """The 95 % limits of a quantity from the package's locked metrics; None where the accuracy is unknown.

    `names` are what metrics call the quantity ("EF", "biplane EF"), the first that has one counts; an empty one where a package has but
    one. A metric
    "EF limits of agreement" is the half width itself. Else it is 1.96 times "EF RMSE": the root mean square error holds
    the bias too, so these limits are those of a reading about which nothing else is known, never narrower than Bland
    and Altman's (Lancet 1986;1:307) about their bias. A mean absolute error alone gives none. What was not measured on
    a locked test gives none; of several locked tests the widest limits count.
    """
    for name in names:
        for kind, factor, words in ((AGREEMENT, 1.0, AGREEMENT), (RMSE, NORMAL_95, f"{NORMAL_95} x {RMSE}")):
            wanted = f"{name} {kind}".strip()
            tests = [metric for metric in package.metrics if metric.get("locked") and metric["name"] == wanted]
            found = [
                Limits(half_width=width, basis=f"95 % limits, {words} on {metric['on']}, locked")
                for metric in tests
                if math.isfinite(width := factor * float(metric["value"])) and width > 0
            ]
            if found:
                return max(found, key=lambda limits: limits.half_width)
    return None


def limits_from(plain: object) -> Limits | None:
    """The limits that `Limits.plain` wrote, or None for anything else."""
    if not isinstance(plain, Mapping):
        return None
    width, basis = plain.get("half_width"), plain.get("basis")
    if isinstance(width, bool) or not isinstance(width, int | float) or not isinstance(basis, str) or not basis:
        return None
    return Limits(half_width=float(width), basis=basis) if math.isfinite(width) and width > 0 else None


def stated(limits: Limits | None) -> dict[str, Any]:
    """The fields `uncertainty` and `uncertainty_basis` of a Measurement, for its constructor; none when unknown."""
    if limits is None:
        return {}
    return {"uncertainty": limits.half_width, "uncertainty_basis": limits.basis}


def limits_said(measurement: Measurement) -> str:
    """For people: "+- 7.9 %", or that the accuracy is unknown."""
    if measurement.uncertainty is None:
        return UNKNOWN
    return f"+- {measurement.uncertainty:.1f} {measurement.unit.value}"
