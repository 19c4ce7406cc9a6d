"""How well two label maps agree: Dice of cavity, whole ventricle and atrium, as published and as is sound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from echonode.tasks.common.camus import CAMUS_CODES, checked_codes

CAVITY, MYOCARDIUM, ATRIUM = 1, 2, 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Dice:
    """Overlap from 0 to 1 of the left ventricle's cavity, of cavity and myocardium together, and of the left atrium."""

    endocardium: float
    epicardium: float
    atrium: float

    @property
    def scores(self) -> tuple[float, float, float]:
        """The three, in that order."""
        return self.endocardium, self.epicardium, self.atrium


def dice(found: ArrayLike, truth: ArrayLike, *, absent: float = float("nan")) -> Dice:
    """The agreement of two maps (H, W) of CAMUS codes.

    `absent` stands for a structure that neither map has: no number by default, so that it can be left out of a mean.
    The published code counts it as 0.

    Raises:
        BadInput: another code than 0 to 3.
        ValueError: two sizes.
    """
    ours, theirs = checked_codes(found, CAMUS_CODES), checked_codes(truth, CAMUS_CODES)
    if ours.shape != theirs.shape:
        raise ValueError(f"maps of {ours.shape} and {theirs.shape} cannot be compared")

    def overlap(codes: Sequence[int]) -> float:
        a, b = np.isin(ours, codes), np.isin(theirs, codes)
        both = int(a.sum()) + int(b.sum())
        return 2 * int((a & b).sum()) / both if both else absent

    return Dice(endocardium=overlap([CAVITY]), epicardium=overlap([CAVITY, MYOCARDIUM]), atrium=overlap([ATRIUM]))


def summary(scores: Sequence[Dice]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation (of the whole population) over images, (3,) each; what is no number is left out."""
    table = np.array([score.scores for score in scores], np.float64)
    return np.nanmean(table, axis=0), np.nanstd(table, axis=0)
