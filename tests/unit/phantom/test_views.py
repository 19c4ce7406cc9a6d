"""Views: every plane shows what an echocardiographer expects, on the side where they expect it."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from echonode.phantom.heart import Heart, Label
from echonode.phantom.patient import patient
from echonode.phantom.views import Level, View, mmode_line, plane

_DEPTH = np.arange(0, 165, 0.75)
_SIDE = np.arange(-75, 75, 0.75)
_SEEDS = (0, 1, 4)


def _picture(view: View, seed: int, *, error: float = 0.0, at_end: bool = False) -> NDArray[np.uint8]:
    one = patient(seed=seed)
    heart = Heart(one)
    wave = heart.beats(3)[0]
    down, right = np.meshgrid(_DEPTH, _SIDE, indexing="ij")
    points = plane(view, one, error=error, seed=seed).at(down, right)
    return heart.tissue(points, heart.end_systole_s(wave) if at_end else wave).labels


def _middle(labels: NDArray[np.uint8], *kinds: Label) -> tuple[float, float]:
    """Depth and side in mm of the middle of what is one of these."""
    rows, columns = np.nonzero(np.isin(labels, kinds))
    assert len(rows) > 60, f"nothing of {kinds} to be seen"
    return float(_DEPTH[rows].mean()), float(_SIDE[columns].mean())


@pytest.mark.parametrize("seed", _SEEDS)
def test_parasternal_long_axis(seed: int) -> None:
    labels = _picture(View.PLAX, seed)
    lv, rv, la, aorta = (_middle(labels, kind) for kind in (Label.LV, Label.RV, Label.LA, Label.AORTA))
    assert rv[0] < lv[0], "the right ventricle is nearest to the chest"
    assert aorta[0] < la[0], "the aorta lies above the left atrium"
    assert aorta[1] > lv[1], "the aorta is on the right of the picture"
    assert la[1] > lv[1]
    assert (labels != Label.RA).all()


@pytest.mark.parametrize("seed", _SEEDS)
def test_apical_four_chamber(seed: int) -> None:
    labels = _picture(View.A4C, seed, at_end=True)
    lv, rv, la, ra = (_middle(labels, kind) for kind in (Label.LV, Label.RV, Label.LA, Label.RA))
    assert rv[1] < lv[1], "the left ventricle is on the right of the picture"
    assert ra[1] < la[1]
    assert la[0] > lv[0]
    assert ra[0] > rv[0]
    assert (labels == Label.AORTA).sum() < 40, "no aorta in four chambers"


@pytest.mark.parametrize("seed", _SEEDS)
def test_apical_two_chamber_has_no_right_heart(seed: int) -> None:
    labels = _picture(View.A2C, seed)
    assert _middle(labels, Label.LA)[0] > _middle(labels, Label.LV)[0]
    assert np.isin(labels, (Label.RV, Label.RA, Label.AORTA)).sum() < 60


@pytest.mark.parametrize("seed", _SEEDS)
@pytest.mark.parametrize("view", [View.A3C, View.A5C])
def test_the_aorta_leaves_in_the_apical_long_axis_and_five_chamber(view: View, seed: int) -> None:
    labels = _picture(view, seed)
    lv, aorta = _middle(labels, Label.LV), _middle(labels, Label.AORTA)
    assert aorta[0] > lv[0]
    if view is View.A3C:
        assert aorta[1] > _middle(labels, Label.LA)[1]


@pytest.mark.parametrize("seed", _SEEDS)
def test_short_axis_is_a_ring_with_papillary_muscles_beside_a_crescent(seed: int) -> None:
    labels = _picture(View.PSAX, seed)
    lv, rv = _middle(labels, Label.LV, Label.PAPILLARY), _middle(labels, Label.RV)
    assert rv[1] < lv[1]
    papillary = np.nonzero(labels == Label.PAPILLARY)
    assert len(papillary[0]) > 60
    assert _DEPTH[papillary[0]].mean() > lv[0], "papillary muscles lie in the lower half"
    assert np.ptp(_SIDE[papillary[1]]) > 12, "one on either side"
    cavity = np.nonzero(np.isin(labels, (Label.LV, Label.PAPILLARY)))
    assert np.ptp(_DEPTH[cavity[0]]) == pytest.approx(np.ptp(_SIDE[cavity[1]]), rel=0.1)


def test_subcostal_shows_the_right_heart_first_and_the_apex_on_the_right() -> None:
    labels = _picture(View.SUBCOSTAL, 1)
    assert _middle(labels, Label.RV)[0] < _middle(labels, Label.LV)[0]
    assert _middle(labels, Label.LA)[1] < _middle(labels, Label.LV)[1]


@pytest.mark.parametrize("view", list(View))
def test_planes_are_orthonormal_and_their_errors_repeat(view: View) -> None:
    one = patient(seed=2)
    cut = plane(view, one, seed=5)
    axes = np.stack([cut.depth, cut.lateral])
    assert axes @ axes.T == pytest.approx(np.eye(2), abs=1e-9)
    again, other = plane(view, one, seed=5), plane(view, one, seed=6)
    assert (again.position == cut.position).all()
    assert not (other.position == cut.position).all()
    middle = cut.points(np.array([10.0]), np.array([0.0]))
    assert middle[0] == pytest.approx(cut.position + 10 * cut.depth, abs=1e-3)


def _strip(level: Level, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.float64], float, float]:
    one = patient(seed=seed, ef_percent=62, heart_rate_bpm=65)
    heart = Heart(one)
    wave = heart.beats(3)[0]
    times = np.arange(wave, wave + 0.9, 0.01)
    points = mmode_line(level, one).points(np.arange(0, 150, 0.3))
    labels = np.stack([heart.tissue(points, float(t)).labels for t in times], axis=1)
    return labels, times - wave, heart.end_systole_s(wave) - wave, heart.rhythm.phase(wave + 0.01).rr_s


@pytest.mark.parametrize("seed", _SEEDS)
def test_mmode_at_the_aorta_shows_the_box_above_the_left_atrium(seed: int) -> None:
    labels, times, end, _ = _strip(Level.AORTA, seed)
    aorta = [np.flatnonzero(column == Label.AORTA).mean() for column in labels.T]
    atrium = [np.flatnonzero(column == Label.LA).mean() for column in labels.T]
    assert (np.array(aorta) < np.array(atrium)).all()
    apart = np.array([np.ptp(np.flatnonzero(column == Label.VALVE)) * 0.3 for column in labels.T])
    ejecting = (times > 0.1) & (times < end - 0.06)
    resting = times > end + 0.02
    assert apart[ejecting].min() > 10, "cusps apart in systole"
    assert np.median(apart[resting]) < 6, "a line in diastole"


@pytest.mark.parametrize("seed", _SEEDS)
def test_mmode_at_the_mitral_valve_shows_the_early_and_the_late_wave(seed: int) -> None:
    labels, times, end, rr = _strip(Level.MITRAL, seed)
    top = np.array(
        [np.flatnonzero(c == Label.VALVE)[0] * 0.3 if (c == Label.VALVE).any() else np.nan for c in labels.T]
    )
    early = np.nanmin(top[(times > end + 0.05) & (times < end + 0.3)])
    resting = np.nanmax(top[(times > end + 0.15) & (times < rr - 0.12)])
    late = np.nanmin(top[(times > rr - 0.14) & (times < rr)])
    assert resting > early + 2
    assert resting > late + 0.5
    assert np.nanmedian(top[(times > 0.1) & (times < end)]) > early + 4, "shut in systole"
