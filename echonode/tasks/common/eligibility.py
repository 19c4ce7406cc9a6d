"""Why a clip is not for a model, from what its manifest says it takes; what pixels show is judged later."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from echonode.core import eligibility
from echonode.core.clip import Clip
from echonode.core.eligibility import COLOURED, MILLISECONDS_A_MINUTE
from echonode.core.results import Ineligible

__all__ = ["COLOURED", "MILLISECONDS_A_MINUTE", "refusal_of_clip", "refusal_of_mode", "refusal_of_patient"]


def refusal_of_clip(clip: Clip, contract: Mapping[str, Any], *, by_time: bool) -> Ineligible | None:
    """The first reason why the [input] table of a package refuses a clip, or None.

    `by_time` says that frames are chosen by their times, so that they must be known.
    """
    count = len(clip.frames)
    if count < 2:
        return Ineligible(reason="it is a still image: nothing moves in it", code="still")
    refusal = refusal_of_mode(clip, contract) or eligibility.refusal_of_count(contract, frames=count)
    if refusal is not None:
        return refusal
    if not clip.timed:
        reason = "the source does not tell when its frames were taken; the frame rate must be stated"
        return Ineligible(reason=reason, code="untimed") if by_time else None
    gaps = np.diff(clip.times_ms)
    return eligibility.refusal_of_times(
        contract, longest_gap_ms=float(gaps.max()), interval_ms=float(np.median(gaps)), heart_rate=clip.heart_rate
    )


def refusal_of_mode(clip: Clip, contract: Mapping[str, Any]) -> Ineligible | None:
    """Why what the clip shows, tissue or flow, is not for the model, or None."""
    return eligibility.refusal_of_mode(contract, mode=clip.mode)


def refusal_of_patient(parameters: Mapping[str, Any], contract: Mapping[str, Any]) -> Ineligible | None:
    """Why the patient is not for the model, as far as the parameters of a run tell: `age_years`, `species` and
    `transesophageal`, each unknown when absent."""
    age = parameters.get("age_years")
    return eligibility.refusal_of_patient(
        contract,
        age_years=None if age is None else float(age),
        species=str(parameters.get("species") or ""),
        transesophageal=bool(parameters.get("transesophageal")),
    )
