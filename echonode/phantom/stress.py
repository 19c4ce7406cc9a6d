"""A patient under stress: the heart beats faster and harder, and what is not fed well moves less."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from echonode.phantom.patient import Patient, possible
from echonode.phantom.presets import TERRITORIES, Stage

_ISCHAEMIC = 0.5
_TARGET = 0.85
_LOST_A_STEP = 0.9
_LEAST_EF, _MOST_EF = 12.0, 80.0


def narrowed_artery(draws: np.ndarray) -> str | None:
    """The artery that cannot follow under stress, of two draws in 0..1; None for half of all patients."""
    if draws[0] >= _ISCHAEMIC:
        return None
    names = tuple(TERRITORIES)
    return names[min(int(draws[1] * len(names)), len(names) - 1)]


def stressed(rest: Patient, stage: Stage, *, artery: str | None) -> Patient:
    """The same patient in a stage of the protocol: heart rate, filling, ejection and wall motion have changed.

    Segments of `artery` get at least the stage's score, their neighbours stay as they were; the ejection fraction loses
    for each step that a segment became worse.
    """
    peak = max(_TARGET * (220 - rest.age_years), rest.heart_rate_bpm + 25)
    rate = rest.heart_rate_bpm + stage.rate_share * (peak - rest.heart_rate_bpm)
    motion = list(rest.wall_motion)
    if artery is not None:
        for segment in TERRITORIES[artery]:
            motion[segment - 1] = max(motion[segment - 1], stage.ischaemia)
    steps = sum(now - before for now, before in zip(motion, rest.wall_motion, strict=True))
    # A failing heart answers less: a third of the gain is left at an ejection fraction of 20 %.
    answer = float(np.interp(rest.ef_percent, (20, 55), (0.33, 1.0)))
    wanted = rest.ef_percent + stage.ejection_gain * answer - _LOST_A_STEP * steps
    ejection = round(float(np.clip(wanted, _LEAST_EF, _MOST_EF)), 1)
    while not possible(ef_percent=ejection, wall_motion=motion) and ejection > _LEAST_EF:
        ejection = max(ejection - 1, _LEAST_EF)
    filling = stage.filling if steps == 0 else 1 + (stage.filling - 1) / 2
    return replace(
        rest,
        heart_rate_bpm=round(rate, 1),
        ef_percent=ejection,
        edv_ml=round(rest.edv_ml * filling, 1),
        wall_motion=tuple(motion),
    )
