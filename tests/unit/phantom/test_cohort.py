"""A cohort is a name for patients: the same ones for everybody, and never the same ones under two seeds."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echonode.core.errors import BadInput
from echonode.phantom.cohort import Cohort
from echonode.phantom.dialect import DIALECTS, dialect_of
from echonode.phantom.machine import MACHINES
from echonode.phantom.presets import PRESETS, TERRITORIES
from echonode.phantom.seeds import INDEX_BITS, PART_BITS, SEED_BITS, seed_of

PLACES = st.tuples(*(st.integers(0, (1 << bits) - 1) for bits in (SEED_BITS, INDEX_BITS, PART_BITS)))


@pytest.mark.parametrize(
    ("text", "count", "seed", "preset"),
    [
        ("phantom:200@7", 200, 7, "routine"),
        ("phantom:1@0/stress", 1, 0, "stress"),
        ("phantom:12@3/quick", 12, 3, "quick"),
    ],
)
def test_a_cohort_is_named_by_a_short_text(text: str, count: int, seed: int, preset: str) -> None:
    cohort = Cohort.parse(text)
    assert (cohort.count, cohort.seed, cohort.preset, len(cohort)) == (count, seed, preset, count)
    assert Cohort.parse(str(cohort)) == cohort


@pytest.mark.parametrize(
    "text",
    ["", "phantom", "phantom:7", "phantom:@7", "phantom:0@7", "phantom:-1@7", "phantom:2@-7", "phantom:2@7/", "data/set",
     "phantom:2@7/none", "phantom:2@2147483648", "phantom:99999999@7", "phantom:2@7/routine ", "phantom:٢@7"],
)  # fmt: skip
def test_what_names_no_cohort_is_refused_in_words(text: str) -> None:
    with pytest.raises(BadInput, match="was expected"):
        Cohort.parse(text)


@given(PLACES, PLACES)
def test_no_two_places_share_a_seed(one: tuple[int, int, int], other: tuple[int, int, int]) -> None:
    assert (seed_of(*one) == seed_of(*other)) == (one == other)
    assert 0 <= seed_of(*one) < 1 << 63


def test_patients_of_two_cohorts_are_never_the_same() -> None:
    """Training on one seed and testing on another would otherwise leak patients."""
    used = [
        {study.patient.seed for study in Cohort.parse(f"phantom:20@{seed}/quick")}
        | {plan.seed for study in Cohort.parse(f"phantom:20@{seed}/quick") for plan in study.plans}
        for seed in (7, 8, 1 << 20)
    ]
    assert all(len(seeds) == 20 + 20 * 4 for seeds in used)
    assert not used[0] & used[1]
    assert not used[0] & used[2]


def test_a_study_is_the_same_in_a_larger_cohort_and_needs_no_other_one() -> None:
    small, large = Cohort.parse("phantom:3@7"), Cohort.parse("phantom:16777216@7")
    assert small[2] == large[2]
    assert large[16777215] != large[2]
    assert small[-1] == small[2]
    assert small[1:] == (small[1], small[2])
    assert [study.index for study in small] == [0, 1, 2]
    with pytest.raises(IndexError):
        small[3]


@pytest.mark.parametrize("name", list(PRESETS))
def test_every_preset_records_what_its_table_says(name: str) -> None:
    preset = PRESETS[name]
    study = Cohort(count=1, seed=5, preset=name)[0]
    assert len(study.plans) == preset.objects == len(study.loops) + len(study.sweeps)
    assert [plan.view for plan in study.loops] == [row.view for row in preset.loops] * max(len(preset.stages), 1)
    assert [plan.level for plan in study.sweeps] == list(preset.sweeps)
    assert all(plan.machine == study.machine for plan in study.plans)
    assert len({plan.seed for plan in study.plans}) == len(study.plans)


def test_under_stress_the_heart_beats_faster_and_a_narrow_artery_shows_at_the_peak() -> None:
    ischaemic = 0
    for study in Cohort.parse("phantom:12@11/stress"):
        rest, low, peak, recovery = (study.loops[4 * stage].patient for stage in range(4))
        assert rest == study.patient
        assert rest.heart_rate_bpm < low.heart_rate_bpm < peak.heart_rate_bpm
        assert recovery.heart_rate_bpm < peak.heart_rate_bpm
        worse = {n for n, (a, b) in enumerate(zip(rest.wall_motion, peak.wall_motion, strict=True), start=1) if b > a}
        if study.artery is None:
            assert not worse
            assert peak.ef_percent >= rest.ef_percent
        else:
            assert worse <= set(TERRITORIES[study.artery])
            ischaemic += bool(worse)
        assert low.wall_motion == rest.wall_motion
        assert (peak.height_cm, peak.septal_wall_mm, peak.seed) == (rest.height_cm, rest.septal_wall_mm, rest.seed)
    assert ischaemic


def test_every_patient_of_many_can_be_made() -> None:
    """One impossible patient would stop a night's training."""
    for study in Cohort.parse("phantom:60@23/stress"):
        for plan in study.loops:
            assert 12 <= plan.frames <= 96
            assert 0.3 <= plan.quality <= 1


def test_headers_of_all_habits_occur() -> None:
    """A node tried on phantoms alone should meet view codes, view names, neither, and both ways to tell time."""
    assert {dialect_of(machine) for machine in MACHINES.values()} == set(DIALECTS)
    machines = [study.machine for study in Cohort.parse("phantom:40@2/quick")]
    assert len({machine.manufacturer for machine in machines}) >= 5
    assert sum(machine.name in MACHINES for machine in machines) in range(12, 36)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, (1 << SEED_BITS) - 1), st.integers(0, (1 << INDEX_BITS) - 1))
def test_any_study_of_any_seed_can_be_planned(seed: int, index: int) -> None:
    study = Cohort(count=index + 1, seed=seed, preset="stress")[index]
    assert len(study.plans) == 16


def test_a_training_loop_is_recorded_in_the_size_that_it_needs() -> None:
    plan = Cohort.parse("phantom:1@7/quick")[0].loops[1]
    loop = plan.acquire(frames=4, frame_time_ms=50.0, rows=64, columns=80, overlays=False)
    assert loop.frames.shape[:3] == (4, 64, 80)
    assert loop.times_ms.tolist() == [0, 50, 100, 150]
    assert loop.labels is not None
    assert loop.labels.shape == (4, 64, 80)
    assert loop.view == plan.view
    again = plan.acquire(frames=4, frame_time_ms=50.0, rows=64, columns=80, overlays=False, labels=False)
    assert (again.frames == loop.frames).all()
    assert again.labels is None
