"""Whether a model takes an object, from its facts alone: the manifest's input contract, before anything is decoded."""

from __future__ import annotations

from echonode.core.eligibility import (
    refusal_of_count,
    refusal_of_mode,
    refusal_of_patient,
    refusal_of_times,
    refusal_of_view,
)
from echonode.core.facts import Facts
from echonode.core.results import Ineligible
from echonode.registry.manifest import InputContract


def refusal_of(contract: InputContract, facts: Facts) -> Ineligible | None:
    """Why the model does not take the object, or None. What the header does not tell is left to the runner."""
    if not facts.has_pixels:
        return Ineligible(reason="the object has no pixels", code="no-pixels")
    asked = contract.model_dump()
    refusal = (
        refusal_of_patient(
            asked, age_years=facts.age_years, species=facts.species, transesophageal=facts.transesophageal
        )
        or refusal_of_mode(asked, mode=facts.mode, reason=facts.mode_reason)
        or refusal_of_view(asked, view=facts.view)
        or refusal_of_count(asked, frames=facts.frames)
        or refusal_of_times(
            asked,
            longest_gap_ms=facts.longest_gap_ms,
            interval_ms=facts.frame_time_ms,
            heart_rate=facts.heart_rate,
        )
    )
    if refusal is None and contract.calibrated and not facts.calibrated:
        return Ineligible(reason="the model needs a calibrated region; this object has none", code="calibration")
    return refusal


def names_another(facts: Facts, *, patient_id: str) -> bool:
    """Whether the object's own PatientID is not the one that its study has, once a person has decided whose it is.

    Stored bytes stay as they came, and a result repeats the header of its source: it would leave under that patient.
    """
    return bool(facts.patient_id and patient_id) and facts.patient_id != patient_id
