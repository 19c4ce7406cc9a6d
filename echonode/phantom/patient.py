"""Who is examined: sex, size, rhythm and the left heart's dimensions, drawn from a plausible joint distribution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from echonode.phantom.segments import NORMAL, mean_contraction

_PATIENT_STREAM = 101
_LONGITUDINAL = 0.25
_NARROWEST = 0.92


class Sex(StrEnum):
    """Patient's Sex (0010,0040)."""

    F = "F"
    M = "M"
    O = "O"  # noqa: E741


@dataclass(frozen=True, kw_only=True, slots=True)
class Patient:
    """One simulated patient; the heart made of it has exactly this EDV and EF.

    Raises:
        ValueError: a number outside what a heart can be, or wall motion that cannot reach the ejection fraction.
    """

    seed: int
    sex: Sex
    age_years: float
    height_cm: float
    weight_kg: float
    heart_rate_bpm: float
    rr_spread: float
    """Relative standard deviation of the R-R intervals: 0.02 sinus rhythm, 0.15 atrial fibrillation."""
    edv_ml: float
    ef_percent: float
    elongation: float
    """Length of the LV cavity over its largest diameter at end-diastole."""
    septal_wall_mm: float
    posterior_wall_mm: float
    la_volume_ml: float
    """The largest of the beat."""
    rv_width_mm: float
    """Basal diameter at end-diastole."""
    aortic_root_mm: float
    """Diameter at the sinuses."""
    e_over_a: float
    """Peak early over late filling; 0 late filling in atrial fibrillation is `rr_spread` above 0.1."""
    wall_motion: tuple[int, ...] = NORMAL
    """Scores of the 17 segments: 1 normal, 2 hypokinetic, 3 akinetic, 4 dyskinetic."""

    def __post_init__(self) -> None:
        bounds = {
            "heart_rate_bpm": (30, 220),
            "rr_spread": (0, 0.4),
            "edv_ml": (25, 450),
            "ef_percent": (5, 85),
            "elongation": (1.1, 2.6),
            "septal_wall_mm": (4, 25),
            "posterior_wall_mm": (4, 25),
            "la_volume_ml": (12, 250),
            "rv_width_mm": (20, 70),
            "aortic_root_mm": (18, 60),
            "e_over_a": (0.2, 5),
        }
        for name, (low, high) in bounds.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"{name} {value!r} is not within {low} to {high}")
        if self.seed < 0:
            raise ValueError(f"seed {self.seed!r} is negative")
        if not possible(ef_percent=self.ef_percent, wall_motion=self.wall_motion):
            raise ValueError(f"wall motion {self.wall_motion} cannot reach an ejection fraction of {self.ef_percent} %")

    @property
    def esv_ml(self) -> float:
        """The end-systolic volume."""
        return self.edv_ml * (1 - self.ef_percent / 100)

    @property
    def body_surface_m2(self) -> float:
        """Body surface (Mosteller)."""
        return float(np.sqrt(self.height_cm * self.weight_kg / 3600))

    @property
    def fibrillates(self) -> bool:
        """Whether the atria do not contract."""
        return self.rr_spread > 0.1


def shortening(ef_percent: float) -> float:
    """The share of its length that an LV of this ejection fraction loses in systole."""
    return _LONGITUDINAL * ef_percent / 100


def possible(*, ef_percent: float, wall_motion: Sequence[int]) -> bool:
    """Whether segments that move like this can eject this much."""
    narrowing = 1 - (1 - ef_percent / 100) / (1 - shortening(ef_percent))
    mean = mean_contraction(wall_motion)
    return mean > 0 and narrowing / mean <= _NARROWEST


def patient(
    *,
    seed: int,
    ef_percent: float | None = None,
    wall_motion: Sequence[int] | None = None,
    heart_rate_bpm: float | None = None,
    sex: Sex | None = None,
    age_years: float | None = None,
    height_cm: float | None = None,
    weight_kg: float | None = None,
    rr_spread: float | None = None,
    edv_ml: float | None = None,
    elongation: float | None = None,
    septal_wall_mm: float | None = None,
    posterior_wall_mm: float | None = None,
    la_volume_ml: float | None = None,
    aortic_root_mm: float | None = None,
) -> Patient:
    """The patient of this seed; what is given is kept exactly, the rest is drawn to go with it.

    Norms: Lang et al., J Am Soc Echocardiogr 2015;28:1 (chamber quantification).

    Raises:
        ValueError: what is given is out of bounds or contradicts itself.
    """
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, _PATIENT_STREAM])))
    # Everything is drawn, whether given or not: an override never changes the other numbers' draws.
    draws, normal = rng.random(24), rng.standard_normal(24)
    sex = sex if sex is not None else (Sex.F if draws[0] < 0.5 else Sex.M)
    male = sex is Sex.M
    age = age_years if age_years is not None else round(float(20 + 70 * draws[1] ** 0.7), 1)
    height = height_cm if height_cm is not None else round(float((177 if male else 164) + 7 * normal[0]), 1)
    bmi = float(np.clip(26 * np.exp(0.15 * normal[1]), 18, 42))
    weight = weight_kg if weight_kg is not None else round(bmi * (height / 100) ** 2, 1)
    surface = np.sqrt(height * weight / 3600)
    motion = tuple(int(score) for score in wall_motion) if wall_motion is not None else None
    if ef_percent is None:
        healthy = float(np.clip(63 + 4.5 * normal[2], 53, 75))
        if motion is None:
            ef_percent = healthy if draws[2] < 0.55 else float(15 + 40 * draws[3])
        else:
            ef_percent = float(np.clip(healthy * mean_contraction(motion), 12, 75))
        ef_percent = round(ef_percent, 1)
    if motion is None:
        motion = _wall_motion(ef_percent, draws=draws[4:10])
    failing = max(0.0, 55 - ef_percent) / 40
    fibrillates = draws[10] < 0.05 + 0.10 * failing
    spread = (
        rr_spread if rr_spread is not None else (0.15 if fibrillates else round(float(0.015 + 0.02 * draws[11]), 3))
    )
    rate = heart_rate_bpm
    if rate is None:
        rate = round(float(np.clip(69 + 10 * normal[3] + 8 * failing + 12 * (spread > 0.1), 45, 130)), 1)
    thick = draws[12] < 0.18
    wall = float(np.clip((9.4 if male else 8.5) + 0.9 * normal[4] + (2 + 4 * draws[13]) * thick, 6, 16))
    wall_difference = 0.4 * normal[5] + 0.5 * thick
    index = (62 if male else 54) * float(np.exp(0.14 * normal[6])) * (1 + (0.25 + 0.75 * draws[14]) * failing)
    edv = edv_ml if edv_ml is not None else round(float(np.clip(index * surface * (0.9 if thick else 1), 45, 330)), 1)
    dilated = max(0.0, edv / surface - 75) / 60
    atrium = (27 + 3 * normal[7]) * (1 + 0.7 * failing + 0.25 * thick + 0.6 * (spread > 0.1)) * surface
    return Patient(
        seed=seed,
        sex=sex,
        age_years=age,
        height_cm=height,
        weight_kg=weight,
        heart_rate_bpm=rate,
        rr_spread=spread,
        edv_ml=edv,
        ef_percent=ef_percent,
        elongation=elongation
        if elongation is not None
        else round(float(np.clip(1.85 + 0.08 * normal[8] - 0.28 * dilated, 1.35, 2.1)), 3),
        septal_wall_mm=septal_wall_mm
        if septal_wall_mm is not None
        else round(float(np.clip(wall + wall_difference, 6, 18)), 1),
        posterior_wall_mm=posterior_wall_mm
        if posterior_wall_mm is not None
        else round(float(np.clip(wall - wall_difference * 0.6, 6, 16)), 1),
        la_volume_ml=la_volume_ml if la_volume_ml is not None else round(float(np.clip(atrium, 22, 150)), 1),
        rv_width_mm=round(float(np.clip((37 if male else 34) + 3 * normal[9] + 5 * failing * draws[15], 26, 52)), 1),
        aortic_root_mm=aortic_root_mm
        if aortic_root_mm is not None
        else round(float(np.clip((33 if male else 29.5) + 2.2 * normal[10] + 0.04 * (age - 50), 23, 45)), 1),
        e_over_a=round(float(np.clip(2.1 - 0.020 * age + 0.25 * normal[11] + 0.8 * failing * draws[16], 0.5, 3)), 2),
        wall_motion=motion,
    )


def _wall_motion(ef_percent: float, *, draws: np.ndarray) -> tuple[int, ...]:
    """Scores that go with an ejection fraction: normal, one coronary territory, or the whole ventricle."""
    wanted = ef_percent / 62
    if wanted > 0.84:
        return NORMAL
    lad, rca, lcx = (1, 7, 8, 13, 14, 17, 2), (4, 10, 3, 15, 9), (5, 11, 6, 12, 16)
    order = [list(territory) for territory in (lad, rca, lcx)]
    first = order.pop(min(2, int(draws[1] * 3)))
    scores = [1] * 17
    if draws[0] < 0.4:
        scores = [2] * 17
        first = list(range(17, 0, -1)) if draws[2] < 0.5 else first
    queue = [number for territory in (first, *order) for number in territory]
    for worst in (2, 3):
        for number in queue:
            if mean_contraction(scores) <= wanted:
                return tuple(scores)
            scores[number - 1] = max(scores[number - 1], worst)
    return tuple(scores)
