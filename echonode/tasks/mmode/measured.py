"""What a runner says of a simulated sweep, beside its truth: one row a sweep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from echonode.core.results import Ineligible, Measurement
from echonode.tasks.mmode import concepts
from echonode.tasks.mmode.calibration import sound_calibration
from echonode.tasks.mmode.case import Case
from echonode.tasks.mmode.examination import Examination
from echonode.tasks.mmode.outcome import results_of
from echonode.tasks.mmode.runner import MModeRunner
from echonode.tasks.mmode.species import HUMAN
from echonode.tasks.mmode.volumes import ejection_fraction, fractional_shortening, mass, relative_wall, teichholz

SUBJECT: Final = {"species": "human"}
LV: Final = "lv"
FURTHER: Final = {
    "ivsd": concepts.IVS_D, "lvpwd": concepts.LVPW_D, "fs": concepts.SHORTENING, "ef": concepts.EJECTION_FRACTION,
    "edv": concepts.EDV, "esv": concepts.ESV, "lv_mass": concepts.MASS, "rwt": concepts.RELATIVE_WALL,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """Values in mm and beats a minute; None where there is none. `refused` is the reason's code.

    `motion_rate` is the heart rate at the LV level when the ECG in the picture is not looked at.
    """

    key: str
    patient: str
    level: str
    quality: float
    said_level: str | None
    refused: str | None
    lvidd: float | None
    lvidd_true: float | None
    lvids: float | None
    lvids_true: float | None
    rate: float | None
    motion_rate: float | None
    own_rate: float | None
    shown_rate: float
    dice: float | None
    ivsd: float | None = None
    ivsd_true: float | None = None
    lvpwd: float | None = None
    lvpwd_true: float | None = None
    fs: float | None = None
    fs_true: float | None = None
    ef: float | None = None
    ef_true: float | None = None
    edv: float | None = None
    edv_true: float | None = None
    esv: float | None = None
    esv_true: float | None = None
    lv_mass: float | None = None
    lv_mass_true: float | None = None
    rwt: float | None = None
    rwt_true: float | None = None


def measured(runner: MModeRunner, case: Case) -> Row:
    """Run one case, as a clip that a scanner sent."""
    examination = runner.examine(case.clip, SUBJECT, _silent)
    values: dict[str, float] = {}
    refused = said = dice = rate = None
    motion = None
    if runner.traces_windows and case.level == LV:
        motion = runner.examine(case.clip, {**SUBJECT, "ecg": False}, _silent)
    if isinstance(examination, Ineligible):
        refused = examination.code
    else:
        frames, rows, columns = case.clip.frames.shape[:3]
        results = results_of(examination, frames=frames, rows=rows, columns=columns)
        values = {one.concept.value: one.value for one in results if isinstance(one, Measurement)}
        refused = next((one.code for one in results if isinstance(one, Ineligible)), None)
        levels = examination.levels
        said = max(levels, key=lambda name: levels[name]) if levels is not None else None
        dice = None if examination.mask is None else dice_of(examination.mask, case)
        rate = values.get(concepts.HEART_RATE.value, examination.heart_rate)
    return Row(
        key=case.key,
        patient=case.patient,
        level=case.level,
        quality=case.quality,
        said_level=said,
        refused=refused,
        lvidd=values.get(concepts.LVID_D.value),
        lvidd_true=case.lvidd_mm,
        lvids=values.get(concepts.LVID_S.value),
        lvids_true=case.lvids_mm,
        rate=rate,
        motion_rate=motion.heart_rate if isinstance(motion, Examination) else None,
        own_rate=case.own_rate,
        shown_rate=case.shown_rate,
        dice=dice,
        **{name: values.get(concept.value) for name, concept in FURTHER.items()},
        **_further_truth(case),
    )


def _further_truth(case: Case) -> dict[str, float | None]:
    """What follows from the true diameters, and the true thickness of the walls at the R waves."""
    if case.lvidd_mm is None or case.lvids_mm is None:
        return {}
    large, small = (float(each) for each in teichholz(np.array([case.lvidd_mm, case.lvids_mm]) / HUMAN.diameter_mm))
    found: dict[str, float | None] = {
        "fs_true": fractional_shortening(case.lvidd_mm, case.lvids_mm), "ef_true": ejection_fraction(large, small),
        "edv_true": large, "esv_true": small,
    }  # fmt: skip
    box = sound_calibration(case.clip.regions, rows=case.clip.frames.shape[1], columns=case.clip.frames.shape[2])
    if isinstance(box, Ineligible):
        return found
    columns = [round(wave / box.seconds - 0.5) for wave in case.r_waves_s]
    inside = [column for column in columns if 0 <= column < case.walls.shape[1]]
    if inside:
        walls = case.walls[:, inside].mean(axis=1) * box.millimetres
        septum, posterior = float(walls[1] - walls[0]), float(walls[3] - walls[2])
        found |= {
            "ivsd_true": septum, "lvpwd_true": posterior,
            "lv_mass_true": mass(lvid=case.lvidd_mm, septum=septum, posterior=posterior),
            "rwt_true": relative_wall(lvid=case.lvidd_mm, posterior=posterior),
        }  # fmt: skip
    return found


def dice_of(mask: np.ndarray, case: Case) -> float | None:
    """2 |A and B| / (|A| + |B|) of the cavity over the strip; None off the LV level."""
    if case.level != LV or mask.shape[1] != case.walls.shape[1]:
        return None
    rows = np.arange(mask.shape[0])[:, None]
    true = (rows >= case.walls[1]) & (rows <= case.walls[2])
    return float(2 * (mask & true).sum() / max(1, mask.sum() + true.sum()))


def _silent(done: int, total: int) -> None:
    """Nobody looks."""
