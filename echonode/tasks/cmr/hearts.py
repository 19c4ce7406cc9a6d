"""Simulated hearts whose wall motion an ejection fraction does not give away.

A cohort of the phantom draws wall motion to explain a low ejection fraction: there whoever knows the one knows the
other. Here motion is drawn first, in the territories of the coronary arteries, and the rest of the ventricle makes up
for some of what is lost, as it does in patients. `Mixture.REGIONAL` is that; `DRAWN` leaves the cohort's patients as
they are; `MIXED` is both, a quarter of them as they are.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from echonode.phantom.patient import Patient, patient, possible
from echonode.phantom.segments import ANGLES, CENTRES_DEGREES, HEIGHTS, NORMAL, mean_contraction
from echonode.phantom.ventricle import Ventricle

ABNORMAL: Final = 2
"""From this score on a segment moves abnormally (ASE/EACVI 2015: 2 hypokinetic, 3 akinetic, 4 dyskinetic)."""
SEEN: Final = 7
"""Segments that an apical view shows."""
_STREAM: Final = 907
_DRAWN_SHARE, _NORMAL_SHARE, _GLOBAL_SHARE = 0.25, 0.42, 0.10
_TERRITORIES: Final = ((2, 1, 8, 7, 13, 14, 17), (4, 10, 15, 9, 3), (5, 11, 6, 12, 16))
_TERRITORY_SHARES: Final = (0.45, 0.30, 0.25)
_WORST: Final = (2, 3, 4)
_WORST_SHARES: Final = (0.30, 0.50, 0.20)
_HEALTHY_EF: Final = (50.0, 72.0)
_GLOBAL_EF: Final = (15.0, 42.0)
_LEAST_EF: Final = 18.0
_MOST_MADE_UP: Final = 0.9
_RING_HEIGHTS: Final = (0.175,) * 6 + (0.525,) * 6 + (0.81,) * 4 + (0.93,)


class Mixture(StrEnum):
    """Which hearts a simulated study shows."""

    REGIONAL = "regional"
    DRAWN = "drawn"
    MIXED = "mixed"


def examined(drawn: Patient, mixture: Mixture) -> Patient:
    """The patient that is recorded in the place of `drawn`: the same person, with the same seed.

    Of the regional ones 42 % move normally (ejection fraction 50 to 72 %), 10 % are hypokinetic all over (15 to 42 %),
    and the others have two or more neighbouring segments of one coronary territory that are hypokinetic, akinetic or
    dyskinetic: in some of them none that the view shows.
    """
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([drawn.seed, _STREAM])))
    draws = rng.random(8)
    if mixture is Mixture.DRAWN or (mixture is Mixture.MIXED and draws[0] < _DRAWN_SHARE):
        return drawn
    low, high = _HEALTHY_EF
    healthy = low + (high - low) * float(draws[1])
    if draws[2] < _NORMAL_SHARE:
        return patient(seed=drawn.seed, ef_percent=round(healthy, 1), wall_motion=NORMAL)
    if draws[2] < _NORMAL_SHARE + _GLOBAL_SHARE:
        low, high = _GLOBAL_EF
        failing = round(low + (high - low) * float(draws[1]), 1)
        return patient(seed=drawn.seed, ef_percent=failing, wall_motion=(ABNORMAL,) * len(NORMAL))
    motion = _regional(rng)
    share = mean_contraction(motion)
    # The rest makes up for some of it, as far as it can.
    wanted = max(_LEAST_EF, healthy * (share + _MOST_MADE_UP * float(draws[3]) * (1 - share)))
    while not possible(ef_percent=round(wanted, 1), wall_motion=motion):
        wanted *= 0.95
    return patient(seed=drawn.seed, ef_percent=round(wanted, 1), wall_motion=motion)


def narrowing(person: Patient) -> NDArray[np.float32]:
    """How much of its cross-section each of the 17 segments has lost at end-systole, as a share; float32 (17,)."""
    left = Ventricle(person).state(volume_ml=person.esv_ml, emptied=1.0).area
    rows = np.clip((np.asarray(_RING_HEIGHTS) * HEIGHTS).astype(int), 0, HEIGHTS - 1)
    turns = (np.asarray(CENTRES_DEGREES, float) + 180) % 360
    columns = np.clip((turns * ANGLES / 360).astype(int), 0, ANGLES - 1) + 1  # the table begins with its last column
    return np.asarray(1 - left[rows, columns], np.float32)


def _regional(rng: np.random.Generator) -> tuple[int, ...]:
    """Scores with neighbours in one territory abnormal."""
    territory = _TERRITORIES[int(rng.choice(len(_TERRITORIES), p=_TERRITORY_SHARES))]
    worst = int(rng.choice(_WORST, p=_WORST_SHARES))
    count = int(rng.integers(2, len(territory) + 1))
    first = int(rng.integers(0, len(territory) - count + 1))
    scores = list(NORMAL)
    for number in territory[first : first + count]:
        scores[number - 1] = worst
    if worst > ABNORMAL and count > 2:  # towards its border it is less bad
        scores[territory[first if rng.random() < 0.5 else first + count - 1] - 1] = ABNORMAL
    return tuple(scores)
