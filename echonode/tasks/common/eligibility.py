"""Why a clip is not for a model, from what its manifest says it takes; what pixels show is judged later."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from echonode.core.clip import Clip, Mode
from echonode.core.results import Ineligible

COLOURED: Final = frozenset({Mode.COLOUR, Mode.COLOUR_M_MODE, Mode.TDI})
MILLISECONDS_A_MINUTE: Final = 60_000.0


def refusal_of_clip(clip: Clip, contract: Mapping[str, Any], *, by_time: bool) -> Ineligible | None:
    """The first reason why the [input] table of a package refuses a clip, or None.

    `by_time` says that frames are chosen by their times, so that they must be known.
    """
    count = len(clip.frames)
    if count < 2:
        return Ineligible(reason="it is a still image: nothing moves in it", code="still")
    refusal = refusal_of_mode(clip, contract)
    if refusal is not None:
        return refusal
    fewest = max(int(contract.get("frames_min") or 1), int(contract.get("frames_per_beat_min") or 1))
    if count < fewest:
        return Ineligible(reason=f"the model needs {fewest} frames or more; this has {count}", code="frames")
    if not clip.timed:
        reason = "the source does not tell when its frames were taken; the frame rate must be stated"
        return Ineligible(reason=reason, code="untimed") if by_time else None
    return _refusal_by_time(clip, contract)


def refusal_of_mode(clip: Clip, contract: Mapping[str, Any]) -> Ineligible | None:
    """Why what the clip shows, tissue or flow, is not for the model, or None."""
    modes = tuple(contract.get("modes") or ())
    if modes and clip.mode not in modes:
        reason = f"the model takes {' or '.join(str(mode) for mode in modes)}; this is {clip.mode}"
        return Ineligible(reason=reason, code="mode")
    if not contract.get("colour", True) and clip.mode in COLOURED:
        return Ineligible(reason=f"the model takes no colour Doppler; this is {clip.mode}", code="colour")
    return None


def _refusal_by_time(clip: Clip, contract: Mapping[str, Any]) -> Ineligible | None:
    gaps = np.diff(clip.times_ms)
    longest, most = float(gaps.max()), contract.get("frame_gap_ms_max")
    if most is not None and longest > float(most) + 1e-6:
        reason = f"the model takes frames at most {float(most):g} ms apart; here two are {longest:.1f} ms apart"
        return Ineligible(reason=reason, code="frame-gap")
    fewest = contract.get("frames_per_beat_min")
    if fewest is not None and clip.heart_rate:
        beat = MILLISECONDS_A_MINUTE / clip.heart_rate
        found = beat / float(np.median(gaps))
        if found < int(fewest):
            reason = (
                f"the model needs {fewest} frames a beat; at {clip.heart_rate:g} beats a minute there are {found:.0f}"
            )
            return Ineligible(reason=reason, code="frames-per-beat")
    return None
