"""How much the samples of `mc` differ in what is reported."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from echonode.tasks.mmode.species import Species
from echonode.tasks.mmode.volumes import ejection_fraction, fractional_shortening, teichholz

NORMAL_95 = 1.96


def half_widths(
    traces: Sequence[NDArray[np.float64]], *, diastoles: Sequence[int], systoles: Sequence[int], species: Species
) -> dict[str, float]:
    """Half widths of 95 % limits over sampled traces in mm, of medians over the beats at these columns; none for one trace."""
    if len(traces) < 2 or not diastoles or not systoles:
        return {}
    sampled = [_medians(trace, diastoles, systoles, species) for trace in traces]
    sound = [values for values in sampled if np.isfinite(list(values.values())).all()]
    if len(sound) < 2:
        return {}
    return {name: float(NORMAL_95 * np.std([values[name] for values in sound], ddof=1)) for name in sound[0]}


def _medians(
    trace: NDArray[np.float64], diastoles: Sequence[int], systoles: Sequence[int], species: Species
) -> dict[str, float]:
    d = trace[list(diastoles)][np.isfinite(trace[list(diastoles)])]
    s = trace[list(systoles)][np.isfinite(trace[list(systoles)])]
    if not len(d) or not len(s) or np.median(d) <= 0:
        return {"lvid_d": np.nan}
    large, small = float(np.median(d)), float(np.median(s))
    volumes = teichholz(np.array([large, small]) / species.diameter_mm)
    return {
        "lvid_d": large,
        "lvid_s": small,
        "edv": float(volumes[0]),
        "esv": float(volumes[1]),
        "ejection_fraction": ejection_fraction(float(volumes[0]), float(volumes[1])),
        "fractional_shortening": fractional_shortening(large, small),
    }
