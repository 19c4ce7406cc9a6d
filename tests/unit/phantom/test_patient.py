"""Patients: overrides are honoured, contradictions refused, seeds repeat."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from echonode.phantom.patient import Sex, patient
from echonode.phantom.segments import contraction_table, mean_contraction


def test_the_same_seed_is_the_same_patient_and_another_seed_another() -> None:
    assert patient(seed=4) == patient(seed=4)
    assert patient(seed=4) != patient(seed=5)


def test_an_override_is_kept_and_leaves_the_rest_as_it_was() -> None:
    drawn, given = patient(seed=9), patient(seed=9, heart_rate_bpm=88.0, sex=None)
    assert given == dataclasses.replace(drawn, heart_rate_bpm=88.0)
    assert patient(seed=9, ef_percent=31.5, sex=Sex.M).ef_percent == 31.5


def test_a_cohort_holds_healthy_and_failing_hearts_of_plausible_size() -> None:
    cohort = [patient(seed=seed) for seed in range(300)]
    fractions = np.array([one.ef_percent for one in cohort])
    assert 0.4 < (fractions > 52).mean() < 0.8
    assert fractions.min() < 25
    index = np.array([one.edv_ml / one.body_surface_m2 for one in cohort])
    healthy = index[fractions > 55]
    assert 45 < np.median(healthy) < 75
    assert np.median(index[fractions < 35]) > np.median(healthy) + 10
    assert any(one.fibrillates for one in cohort)
    assert any(one.septal_wall_mm > 12 for one in cohort)


def test_wall_motion_goes_with_the_ejection_fraction() -> None:
    assert patient(seed=1, ef_percent=62).wall_motion == (1,) * 17
    for seed in range(20):
        assert max(patient(seed=seed, ef_percent=28).wall_motion) > 1
    infarct = (1,) * 6 + (3, 3, 1, 1, 1, 1, 3, 3, 1, 1, 4)
    assert patient(seed=3, wall_motion=infarct).ef_percent < 55


def test_an_ejection_fraction_that_dead_walls_cannot_reach_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot reach"):
        patient(seed=1, ef_percent=65, wall_motion=(3,) * 17)


@pytest.mark.parametrize("wrong", [{"edv_ml": 5000.0}, {"heart_rate_bpm": 0.0}, {"ef_percent": 99.0}])
def test_numbers_that_no_heart_has_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="not within"):
        patient(seed=1, **wrong)  # type: ignore[arg-type]


def test_scores_are_seventeen_of_one_to_four() -> None:
    with pytest.raises(ValueError, match="17 scores"):
        contraction_table((1,) * 16)
    assert mean_contraction((1,) * 17) == pytest.approx(1, abs=1e-5)
    assert mean_contraction((4,) * 17) < 0
