"""The parts of the recipe: hearts, profiles, calibration and fusion, each where a mistake would bias the tables."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from echonode.phantom.cohort import Cohort
from echonode.phantom.patient import patient
from echonode.phantom.segments import NORMAL
from echonode.tasks.cmr.calibration import Line, platt
from echonode.tasks.cmr.cases import Cases, fused
from echonode.tasks.cmr.compact import CompactWallMotion
from echonode.tasks.cmr.hearts import Mixture, examined, narrowing
from echonode.tasks.cmr.net import build
from echonode.tasks.cmr.profile import LEVELS, PROFILE, profiles
from echonode.training.statistics import auc

A4C = (3, 6, 9, 12, 14, 16, 17)


def test_an_ejection_fraction_does_not_give_regional_motion_away() -> None:
    """Otherwise a model of the ejection fraction would pass for one of wall motion."""
    people = [examined(study.patient, Mixture.REGIONAL) for study in Cohort.parse("phantom:200@12")]
    abnormal = [any(person.wall_motion[number - 1] >= 2 for number in A4C) for person in people]
    assert 0.3 < np.mean(abnormal) < 0.6
    assert auc([-person.ef_percent for person in people], abnormal) < 0.85
    assert [examined(study.patient, Mixture.REGIONAL) for study in Cohort.parse("phantom:3@12")] == people[:3]


def test_a_dyskinetic_segment_does_not_narrow() -> None:
    scores = list(NORMAL)
    scores[8 - 1] = scores[7 - 1] = scores[13 - 1] = 4
    found = narrowing(patient(seed=3, ef_percent=50, wall_motion=scores))
    assert found[7 - 1] < 0.05
    assert found[4 - 1] > 0.4


def cavity(*, left: float, right: float, turn: float = 0.0, shift: float = 0.0) -> torch.Tensor:
    """A tall half-round cavity, its walls so far from the axis, and muscle about it: (2, 48, 48)."""
    y, x = np.mgrid[0:48, 0:48].astype(float)
    y, x = y - 24 - shift, x - 24 - shift
    y, x = np.cos(turn) * y - np.sin(turn) * x, np.sin(turn) * y + np.cos(turn) * x
    wide = np.where(x < 0, left, right)
    far = (x / wide) ** 2 + (y / 15) ** 2
    thick = (x / (wide + 3)) ** 2 + (y / 18) ** 2
    inside = 1 / (1 + np.exp(12 * (far - 1)))
    return torch.from_numpy(np.stack([inside, 1 / (1 + np.exp(12 * (thick - 1))) - inside])).float()


def beat(*, left: float, right: float, **place: float) -> torch.Tensor:
    """Six frames from full (8 either side) to emptied and back."""
    shares = (0.0, 0.5, 1.0, 1.0, 0.5, 0.0)
    return torch.stack([cavity(left=8 - s * (8 - left), right=8 - s * (8 - right), **place) for s in shares])


def test_profiles_show_which_wall_stands_still_wherever_the_heart_lies() -> None:
    made = profiles(
        torch.stack(
            [beat(left=7.8, right=4.5), beat(left=4.5, right=7.8), beat(left=7.8, right=4.5, turn=0.3, shift=3.0)]
        )
    )
    assert made.shape == (3, PROFILE)
    fixed = made[:, 4 * LEVELS : 6 * LEVELS].reshape(3, LEVELS, 2)  # the cavity of end-systole from end-diastole's axis
    middle = fixed[:, LEVELS // 2 - 2 : LEVELS // 2 + 2].mean(dim=1)
    assert middle[0, 0] > middle[0, 1] + 0.05
    assert middle[1, 1] > middle[1, 0] + 0.05
    torch.testing.assert_close(middle[2], middle[0], atol=0.03, rtol=0)


def test_the_compact_network_is_small_and_looks_at_grey_alone() -> None:
    network = build("compact-wall-motion", width=24).eval()
    assert isinstance(network, CompactWallMotion)
    assert sum(weight.numel() for weight in network.parameters()) < 1_500_000
    clip = torch.rand(1, 1, 4, 144, 144)
    with torch.no_grad():
        torch.testing.assert_close(network(clip), network(clip.expand(1, 3, 4, 144, 144)))
    with pytest.raises(ValueError, match="takes no argument depth"):
        build("compact-wall-motion", depth=3)


def test_calibration_makes_probabilities_keep_their_word() -> None:
    random = np.random.default_rng(1)
    truth = random.random(4000)
    logits = 3 * np.log(truth / (1 - truth)) + 1  # three times too sure, and leaning to yes
    line = platt(logits, random.random(4000) < truth)
    assert line.scale == pytest.approx(1 / 3, rel=0.1)
    assert line.offset == pytest.approx(-1 / 3, abs=0.1)
    last = torch.nn.Linear(3, 1)
    x = torch.rand(2, 3)
    before = last(x)
    Line(scale=2.0, offset=1.0).folded_into(last)
    torch.testing.assert_close(last(x), 2 * before + 1)


def test_few_and_perfect_cases_do_not_make_it_certain() -> None:
    line = platt([-1.0, -0.5, 0.5, 1.0], [0, 0, 1, 1])
    assert 0 < line.scale < 20


def cases(said: list[float], truth: list[float], studies: list[str]) -> Cases:
    return Cases(
        keys=tuple(f"{study}-{n}" for n, study in enumerate(studies)), patients=tuple(studies), studies=tuple(studies),
        said=np.array(said), truth=np.array(truth), ef_percent=np.full(len(said), 60.0), worst=np.ones(len(said), np.int64),
    )  # fmt: skip


def test_views_of_a_study_are_fused_by_the_mean_of_their_logits() -> None:
    both = fused([cases([2.0, -1.0], [1, 0], ["s1", "s2"]), cases([0.0, -3.0], [0, 0], ["s1", "s2"])])
    assert both.keys == ("s1", "s2")
    np.testing.assert_allclose(both.said, [1.0, -2.0])
    np.testing.assert_array_equal(both.truth, [1.0, 0.0])


def test_average_precision_counts_equal_scores_together() -> None:
    assert cases([2.0, 1.0, 0.0], [1, 0, 1], ["a", "b", "c"]).average_precision == pytest.approx((1 + 2 / 3) / 2)
    assert cases([1.0, 1.0], [1, 0], ["a", "b"]).average_precision == pytest.approx(0.5)
    assert cases([4.0, -4.0], [1, 0], ["a", "b"]).called(0.5) == (1.0, 1.0)
