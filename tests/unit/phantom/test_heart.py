"""The heart in space: its volumes, its wall, its matter and what lies where are what they claim to be."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from echonode.phantom.heart import CAVITY, Heart, Label
from echonode.phantom.patient import Patient, patient

_INFARCT = (1,) * 6 + (3, 3, 1, 1, 1, 1, 3, 3, 1, 1, 4)
_HEARTS = {
    "healthy": patient(seed=1, ef_percent=64),
    "failing": patient(seed=4, ef_percent=25),
    "infarct": patient(seed=5, wall_motion=_INFARCT),
    "thick": patient(seed=6, ef_percent=72, septal_wall_mm=17, posterior_wall_mm=13),
}
_SPACING = 1.3


def _box() -> NDArray[np.float32]:
    """One point in every cell of a box around the ventricle, anywhere in its cell: no surface runs along a row."""
    axes = (np.arange(-62, 62, _SPACING), np.arange(-62, 62, _SPACING), np.arange(-6, 135, _SPACING))
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    return (grid + np.random.default_rng(1).uniform(0, _SPACING, grid.shape)).astype(np.float32)


def _volumes(heart: Heart, t_s: float) -> tuple[float, float]:
    """Millilitres of cavity and muscle, counted."""
    points = _box()
    labels = heart.tissue(points, t_s).labels
    inside, height = heart.cavity(points, t_s)
    cell = _SPACING**3 / 1000
    cavity = np.isin(labels, CAVITY).sum()
    leaflets = ((labels == Label.VALVE) & inside & (height > 0)).sum()
    return float((cavity + leaflets) * cell), float((labels == Label.MYOCARDIUM).sum() * cell)


@pytest.mark.parametrize("name", _HEARTS)
def test_labels_hold_the_patients_volumes_and_ejection_fraction(name: str) -> None:
    heart = Heart(_HEARTS[name])
    wave = heart.beats(3)[0]
    full, muscle = _volumes(heart, wave)
    empty, muscle_later = _volumes(heart, heart.end_systole_s(wave))
    assert full == pytest.approx(heart.patient.edv_ml, rel=0.01)
    assert 100 * (1 - empty / full) == pytest.approx(heart.patient.ef_percent, abs=0.3)
    assert muscle_later == pytest.approx(muscle, rel=0.01), "the wall neither grows nor shrinks"


@pytest.mark.parametrize("name", _HEARTS)
def test_the_wall_is_incompressible_everywhere(name: str) -> None:
    heart = Heart(_HEARTS[name])
    moment = heart.end_systole_s(heart.beats(3)[0]) - 0.05
    points = _box()[::31]
    step = 0.25
    ends = [points + step * sign * np.eye(3, dtype=np.float32)[axis] for axis in range(3) for sign in (1, -1)]
    found = [heart.tissue(end, moment) for end in ends]
    deep = np.all([one.labels == Label.MYOCARDIUM for one in found], axis=0)
    columns = [(found[2 * a].material - found[2 * a + 1].material)[deep] / (2 * step) for a in range(3)]
    volume = np.linalg.det(np.stack(columns, axis=-1).astype(np.float64))
    assert deep.sum() > 500
    assert np.median(volume) == pytest.approx(1, abs=0.01)
    assert np.percentile(np.abs(volume - 1), 95) < 0.06


def test_matter_is_where_it_was_drawn_at_end_diastole() -> None:
    heart = Heart(_HEARTS["infarct"])
    wave = heart.beats(3)[0]
    points = _box()[::17]
    tissue = heart.tissue(points, wave)
    lv = np.isin(tissue.labels, (Label.LV, Label.MYOCARDIUM))
    shift = np.asarray(heart.state(wave).shift_mm, np.float32)
    assert np.abs(tissue.material[lv] - (points[lv] - shift)).max() < 0.02


@pytest.mark.parametrize("name", _HEARTS)
def test_matter_moves_continuously(name: str) -> None:
    heart = Heart(_HEARTS[name])
    points = _box()[::101]
    # Over R waves too: the beat must join on to the next one.
    times = np.arange(heart.beats(3)[0] - 0.05, heart.beats(3)[1] + 0.05, 0.004)
    before = heart.tissue(points, float(times[0]))
    for t in times[1:]:
        now = heart.tissue(points, float(t))
        same = now.labels == before.labels
        # A leaflet sweeps through a point of space at speed, and the ring's own coordinates with it.
        same &= now.labels != Label.VALVE
        jump = np.linalg.norm(now.material[same] - before.material[same], axis=-1)
        assert np.percentile(jump, 99.5) < 2.4
        assert same.mean() > 0.95
        before = now


def test_a_dead_segment_moves_less_than_a_live_one() -> None:
    heart = Heart(patient(seed=8, wall_motion=(1, 3, 3, 1, 1, 1) * 2 + (1,) * 5))
    wave = heart.beats(3)[0]
    after = heart.walls_mm(heart.chordal_line, heart.end_systole_s(wave))
    walls = heart.walls_mm(heart.chordal_line, wave)
    assert after[3] - after[2] > 1.25 * (walls[3] - walls[2]), "the posterior wall thickens"
    assert after[1] - after[0] < 1.25 * (walls[1] - walls[0]), "the dead septum hardly does"


def test_diameters_are_those_of_a_heart() -> None:
    heart = Heart(_HEARTS["healthy"])
    wave = heart.beats(3)[0]
    end = heart.end_systole_s(wave)
    assert 38 < heart.lvid_mm(wave) < 56
    assert 25 < 100 * (1 - heart.lvid_mm(end) / heart.lvid_mm(wave)) < 45
    assert heart.ivs_mm(wave) == pytest.approx(heart.patient.septal_wall_mm, abs=0.7)
    assert heart.lvpw_mm(wave) == pytest.approx(heart.patient.posterior_wall_mm, abs=0.7)


@pytest.mark.parametrize("seed", range(12))
def test_any_patient_has_a_whole_heart(seed: int) -> None:
    heart = Heart(patient(seed=seed))
    points = np.random.default_rng(seed).uniform((-90, -90, -80), (90, 90, 140), (60_000, 3)).astype(np.float32)
    for t in np.linspace(0, 1, 5):
        tissue = heart.tissue(points, float(t))
        assert np.isfinite(tissue.material).all()
        assert set(np.unique(tissue.labels)) >= {1, 2, 3, 4, 5, 6, 8, 9}


def test_the_same_patient_gives_the_same_bytes_however_the_points_come() -> None:
    one, two = Heart(_HEARTS["infarct"]), Heart(_HEARTS["infarct"])
    points = _box()[::11]
    first, second = one.tissue(points, 0.31), two.tissue(points[: len(points) // 2 * 2].reshape(2, -1, 3), 0.31)
    count = len(points) // 2 * 2
    assert (first.labels[:count] == second.labels.reshape(-1)).all()
    assert (first.material[:count] == second.material.reshape(-1, 3)).all()


def _sizes(heart: Heart, label: Label, t_s: float) -> int:
    return int((heart.tissue(_box()[::3] * np.float32(1.0) - np.float32([0, 0, 60]), t_s).labels == label).sum())


def test_atria_fill_while_the_ventricle_empties() -> None:
    heart = Heart(_HEARTS["healthy"])
    wave = heart.beats(3)[0]
    end = heart.end_systole_s(wave)
    for atrium in (Label.LA, Label.RA):
        assert _sizes(heart, atrium, end) > 1.2 * _sizes(heart, atrium, wave)


def test_hearts_without_a_wall_on_a_line_say_so() -> None:
    heart = Heart(_HEARTS["healthy"])
    line = heart.chordal_line
    aside = type(line)(level=line.level, plane=line.plane, angle_radians=1.4)
    assert np.isnan(heart.walls_mm(aside, 0.0)).all()


def test_a_patient_is_not_changed_by_its_heart() -> None:
    one: Patient = patient(seed=7)
    Heart(one).volume_ml(0.2)
    assert one == patient(seed=7)


@pytest.mark.parametrize("name", _HEARTS)
def test_the_left_atrium_is_as_large_as_the_patients(name: str) -> None:
    heart = Heart(_HEARTS[name])
    low, high = np.array([-75, -75, -110]), np.array([75, 75, 30])
    points = np.random.default_rng(3).uniform(low, high, (400_000, 3)).astype(np.float32)
    labels = heart.tissue(points, heart.end_systole_s(heart.beats(3)[0]) + 0.06).labels
    share = float((labels == Label.LA).mean())
    assert share * np.prod((high - low) / 10.0) == pytest.approx(heart.patient.la_volume_ml, rel=0.12)
