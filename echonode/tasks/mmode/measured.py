"""What a runner says of a simulated sweep, beside its truth: one row a sweep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from echonode.core.results import Ineligible, Measurement
from echonode.tasks.mmode import concepts
from echonode.tasks.mmode.case import Case
from echonode.tasks.mmode.examination import Examination
from echonode.tasks.mmode.outcome import results_of
from echonode.tasks.mmode.runner import MModeRunner

SUBJECT: Final = {"species": "human"}
LV: Final = "lv"


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
    )


def dice_of(mask: np.ndarray, case: Case) -> float | None:
    """2 |A and B| / (|A| + |B|) of the cavity over the strip; None off the LV level."""
    if case.level != LV or mask.shape[1] != case.walls.shape[1]:
        return None
    rows = np.arange(mask.shape[0])[:, None]
    true = (rows >= case.walls[1]) & (rows <= case.walls[2])
    return float(2 * (mask & true).sum() / max(1, mask.sum() + true.sum()))


def _silent(done: int, total: int) -> None:
    """Nobody looks."""
