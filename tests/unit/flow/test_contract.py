"""The input contract: a model never gets what it was not made for, and the refusal says why in a line."""

from __future__ import annotations

from dataclasses import replace

import pytest

from echonode.core.clip import Mode
from echonode.core.facts import Facts
from echonode.flow.contract import refusal_of
from echonode.registry.manifest import InputContract

LOOP = Facts(
    sop_instance_uid="1.2.3.4",
    sop_class_uid="1.2.840.10008.5.1.4.1.1.3.1",
    series_uid="1.2.3",
    study_uid="1.2",
    transfer_syntax_uid="1.2.840.10008.1.2.1",
    mode=Mode.B_MODE,
    mode_reason="2D tissue region alone",
    view="A4C",
    frames=48,
    has_pixels=True,
    longest_gap_ms=20.0,
    calibrated=True,
)
STRICT = InputContract(
    modes=(Mode.B_MODE,), views=("A4C", "A2C"), frames_min=8, frame_gap_ms_max=45.0, calibrated=True, colour=False
)


def test_what_fits_is_taken() -> None:
    """A contract that refuses what it should take leaves the lab without results."""
    assert refusal_of(STRICT, LOOP) is None
    assert refusal_of(InputContract(), replace(LOOP, mode=Mode.UNKNOWN, view=None, calibrated=False)) is None


def test_what_the_header_does_not_tell_is_left_to_the_runner() -> None:
    """A loop without times may still be one that the pixels show to be fine."""
    assert refusal_of(STRICT, replace(LOOP, longest_gap_ms=None)) is None


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"has_pixels": False}, "no-pixels", "no pixels"),
        ({"mode": Mode.COLOUR, "mode_reason": ""}, "mode", "takes 2d; this is 2d-colour"),
        ({"mode": Mode.PW, "mode_reason": "spectral region"}, "mode", "this is pw (spectral region)"),
        ({"view": "PLAX"}, "view", "takes the views A4C or A2C; this is PLAX"),
        ({"view": None}, "view", "this is unknown"),
        ({"frames": 7}, "frames", "needs 8 frames or more; this has 7"),
        ({"longest_gap_ms": 45.2}, "frame-gap", "at most 45 ms apart; here two are 45.2 ms apart"),
        ({"calibrated": False}, "calibration", "needs a calibrated region"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_reason(change: dict, code: str, words: str) -> None:
    """`Why is there no result?` is answered with the first thing that does not fit."""
    refusal = refusal_of(STRICT, replace(LOOP, **change))
    assert refusal is not None
    assert refusal.code == code
    assert words in refusal.reason


ADULT = InputContract(age_years_min=18.0, age_years_max=90.0, tte_only=True, frames_per_beat_min=12)


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"age_years": 7.0}, "age", "the model is for adults (18 years and older); this patient is 7"),
        ({"age_years": 17.997}, "age", "this patient is 17"),
        ({"age_years": 0.5}, "age", "this patient is 6 months old"),
        ({"age_years": 95.0}, "age", "at most 90 years; this patient is 95"),
        ({"age_years": 90.5}, None, ""),
        ({"age_years": 18.0}, None, ""),
        ({"age_years": None}, None, ""),
        ({"species": "mouse"}, "species", "was made for human; this is mouse"),
        ({"transesophageal": True}, "transesophageal", "transthoracic echo; this is transesophageal"),
        ({"heart_rate": 180.0, "frame_time_ms": 33.0}, "frames-per-beat", "at 180 beats a minute there are 10"),
        ({"heart_rate": 60.0, "frame_time_ms": 33.0}, None, ""),
        ({"heart_rate": None, "frame_time_ms": 33.0}, None, ""),
        ({"frames": 11}, "frames", "needs 12 frames or more"),
    ],
)
def test_an_adult_transthoracic_model_measures_nobody_else(change: dict, code: str | None, words: str) -> None:
    """What the header does not tell passes: the report states that the age is unknown."""
    refusal = refusal_of(ADULT, replace(LOOP, **change))
    assert (refusal and refusal.code) == code
    assert refusal is None or words in refusal.reason


@pytest.mark.parametrize(
    ("wanted", "view", "taken"),
    [("PSAX", "PSAX-MV", True), ("PSAX-MV", "PSAX", False), ("A4C", "A4C-RV", True), ("unknown", None, True)],
)
def test_a_family_of_views_is_taken_as_a_whole(wanted: str, view: str | None, taken: bool) -> None:
    assert (refusal_of(InputContract(views=(wanted,)), replace(LOOP, view=view)) is None) is taken


def test_a_mouse_s_model_takes_mice() -> None:
    assert refusal_of(InputContract(species=("mouse",)), replace(LOOP, species="mouse")) is None
    assert refusal_of(InputContract(species=()), replace(LOOP, species="mouse")) is None


def test_colour_is_refused_also_where_modes_would_allow_it() -> None:
    """Interpolated colour Doppler aliases: it must not slip in by the list of modes."""
    contract = InputContract(modes=(Mode.B_MODE, Mode.COLOUR), colour=False)
    refusal = refusal_of(contract, replace(LOOP, mode=Mode.COLOUR))
    assert refusal is not None
    assert refusal.code == "colour"
