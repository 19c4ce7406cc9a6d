"""Whether a model takes an object, from its facts alone: the manifest's input contract, before anything is decoded."""

from __future__ import annotations

from collections.abc import Collection

from echonode.core.clip import Mode
from echonode.core.facts import Facts
from echonode.core.results import Ineligible
from echonode.registry.manifest import InputContract

COLOURED = frozenset({Mode.COLOUR, Mode.COLOUR_M_MODE, Mode.TDI})


def refusal_of(contract: InputContract, facts: Facts) -> Ineligible | None:
    """Why the model does not take the object, or None. What the header does not tell is left to the runner."""
    if not facts.has_pixels:
        return Ineligible(reason="the object has no pixels", code="no-pixels")
    if contract.modes and facts.mode not in contract.modes:
        why = f" ({facts.mode_reason})" if facts.mode_reason else ""
        return Ineligible(reason=f"the model takes {_words(contract.modes)}; this is {facts.mode}{why}", code="mode")
    if not contract.colour and facts.mode in COLOURED:
        return Ineligible(reason=f"the model takes no colour Doppler; this is {facts.mode}", code="colour")
    if contract.views and (facts.view or "unknown") not in contract.views:
        view = facts.view or "unknown"
        return Ineligible(reason=f"the model takes the views {_words(contract.views)}; this is {view}", code="view")
    if facts.frames < contract.frames_min:
        reason = f"the model needs {contract.frames_min} frames or more; this has {facts.frames}"
        return Ineligible(reason=reason, code="frames")
    gap, longest = facts.longest_gap_ms, contract.frame_gap_ms_max
    if gap is not None and longest is not None and gap > longest:
        reason = f"the model takes frames at most {longest:g} ms apart; here two are {gap:.1f} ms apart"
        return Ineligible(reason=reason, code="frame-gap")
    if contract.calibrated and not facts.calibrated:
        return Ineligible(reason="the model needs a calibrated region; this object has none", code="calibration")
    return None


def names_another(facts: Facts, *, patient_id: str) -> bool:
    """Whether the object's own PatientID is not the one that its study has, once a person has decided whose it is.

    Stored bytes stay as they came, and a result repeats the header of its source: it would leave under that patient.
    """
    return bool(facts.patient_id and patient_id) and facts.patient_id != patient_id


def _words(values: Collection[str]) -> str:
    return " or ".join(str(value) for value in values)
