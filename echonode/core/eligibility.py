"""What a model's [input] table says of an object and its patient: the first reason why it is not for the model.

The node asks with the facts of a header before anything is decoded, runners ask with the clip. What is not known passes
here: an unknown age is stated beside the result.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from echonode.core.clip import Mode
from echonode.core.results import Ineligible
from echonode.core.view_codes import UNKNOWN_VIEW, is_one_of

COLOURED: Final = frozenset({Mode.COLOUR, Mode.COLOUR_M_MODE, Mode.TDI})
MILLISECONDS_A_MINUTE: Final = 60_000.0
ADULT_YEARS: Final = 18.0
Contract = Mapping[str, Any]
"""The [input] table of a manifest as plain values; a key that is absent asks for nothing."""


def refusal_of_patient(
    contract: Contract, *, age_years: float | None, species: str, transesophageal: bool
) -> Ineligible | None:
    """Why the model is not for this patient, or for this way to the heart."""
    made_for = tuple(contract.get("species") or ())
    if made_for and species and species.casefold() not in {each.casefold() for each in made_for}:
        return Ineligible(reason=f"the model was made for {_words(made_for)}; this is {species}", code="species")
    youngest, oldest = contract.get("age_years_min"), contract.get("age_years_max")
    if age_years is not None and youngest is not None and age_years < float(youngest):
        who = (
            "adults (18 years and older)" if float(youngest) == ADULT_YEARS else f"{float(youngest):g} years and older"
        )
        return Ineligible(reason=f"the model is for {who}; this patient is {in_words(age_years)}", code="age")
    if age_years is not None and oldest is not None and int(age_years) > float(oldest):
        reason = f"the model is for patients of at most {float(oldest):g} years; this patient is {in_words(age_years)}"
        return Ineligible(reason=reason, code="age")
    if contract.get("tte_only") and transesophageal:
        return Ineligible(reason="the model takes transthoracic echo; this is transesophageal", code="transesophageal")
    return None


def refusal_of_mode(contract: Contract, *, mode: Mode, reason: str = "") -> Ineligible | None:
    """Why what the object shows, tissue or flow, is not for the model; `reason` is why it is of that mode."""
    modes = tuple(contract.get("modes") or ())
    if modes and mode not in modes:
        why = f" ({reason})" if reason else ""
        return Ineligible(reason=f"the model takes {_words(modes)}; this is {mode}{why}", code="mode")
    if not contract.get("colour", True) and mode in COLOURED:
        return Ineligible(reason=f"the model takes no colour Doppler; this is {mode}", code="colour")
    return None


def refusal_of_view(contract: Contract, *, view: str | None) -> Ineligible | None:
    """Why the view is not one of the model's; who takes PSAX takes PSAX-MV."""
    views = tuple(contract.get("views") or ())
    if not views or is_one_of(view, views):
        return None
    return Ineligible(reason=f"the model takes the views {_words(views)}; this is {view or UNKNOWN_VIEW}", code="view")


def refusal_of_count(contract: Contract, *, frames: int) -> Ineligible | None:
    """Why the object has too few frames, whatever their times."""
    fewest = max(int(contract.get("frames_min") or 1), int(contract.get("frames_per_beat_min") or 1))
    if frames >= fewest:
        return None
    return Ineligible(reason=f"the model needs {fewest} frames or more; this has {frames}", code="frames")


def refusal_of_times(
    contract: Contract, *, longest_gap_ms: float | None, interval_ms: float | None, heart_rate: float | None
) -> Ineligible | None:
    """Why the frames are too far apart: the longest time between two, or too few of them in a beat."""
    most = contract.get("frame_gap_ms_max")
    if longest_gap_ms is not None and most is not None and longest_gap_ms > float(most) + 1e-6:
        reason = f"the model takes frames at most {float(most):g} ms apart; here two are {longest_gap_ms:.1f} ms apart"
        return Ineligible(reason=reason, code="frame-gap")
    fewest = contract.get("frames_per_beat_min")
    if fewest is not None and heart_rate and interval_ms:
        found = MILLISECONDS_A_MINUTE / heart_rate / interval_ms
        if found < int(fewest):
            reason = f"the model needs {fewest} frames a beat; at {heart_rate:g} beats a minute there are {found:.0f}"
            return Ineligible(reason=reason, code="frames-per-beat")
    return None


def in_words(age_years: float) -> str:
    """An age as people say it: 7, 5 months, 12 days."""
    if age_years >= 2:
        return str(int(age_years))
    months = int(age_years * 12)
    if months >= 1:
        return f"{months} month{'s' if months > 1 else ''} old"
    days = max(1, int(age_years * 365.25))
    return f"{days} day{'s' if days > 1 else ''} old"


def _words(values: Collection[str]) -> str:
    return " or ".join(str(value) for value in values)
