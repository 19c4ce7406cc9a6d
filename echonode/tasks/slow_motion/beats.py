"""Which frames of a loop are whole heart beats, by the R waves that the scanner found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from echonode.core.clip import Clip
from echonode.core.results import Ineligible

MOST_BEATS: Final = 64
BETWEEN_FRAMES: Final = 0.5  # an R wave lies on the nearest frame


def beats_of(times_ms: NDArray[np.float64], r_waves_ms: Sequence[float], *, beats: int) -> slice | None:
    """The frames of `beats` whole beats, from R wave to R wave, both frames in it; None where they are not all there.

    The first R wave is left out where there is one more than needed: loops begin in the middle of things, and the
    published method does the same (two beats: from the second R wave to the fourth). R waves outside the loop by more
    than half an interval do not count.
    """
    if beats < 1 or len(times_ms) < 2:
        return None
    tolerance = BETWEEN_FRAMES * float(np.diff(times_ms).mean())
    inside = sorted(r for r in set(r_waves_ms) if times_ms[0] - tolerance <= r <= times_ms[-1] + tolerance)
    if len(inside) < beats + 1:
        return None
    first = 1 if len(inside) > beats + 1 else 0
    start, stop = (int(np.abs(times_ms - inside[place]).argmin()) for place in (first, first + beats))
    return slice(start, stop + 1) if stop > start else None


def beats_asked(parameters: Mapping[str, Any]) -> int | Ineligible:
    """The parameter `beats`, 0 when there is none; a refusal where it is no whole number from 0 to 64."""
    asked = parameters.get("beats", 0)
    if isinstance(asked, bool) or not isinstance(asked, int) or not 0 <= asked <= MOST_BEATS:
        reason = f"beats must be a whole number from 0 to {MOST_BEATS}, not {asked!r}"
        return Ineligible(reason=reason, code="parameters")
    return asked


def cut_to(clip: Clip, frames: slice) -> Clip:
    """The clip with `frames` alone, on a clock that begins with the first of them."""
    start = float(clip.times_ms[frames][0])
    return Clip(
        frames=clip.frames[frames],
        times_ms=clip.times_ms[frames] - start,
        source=clip.source,
        regions=clip.regions,
        mode=clip.mode,
        view=clip.view,
        stage=clip.stage,
        heart_rate=clip.heart_rate,
        timed=clip.timed,
        r_waves_ms=tuple(wave - start for wave in clip.r_waves_ms),
    )
