"""The numbers in the tables, against values worked out by hand, by formula or by another way of counting."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from echonode.training import statistics as s
from echonode.training.overlap import dice, hausdorff_mm, mean_edge_distance_mm

CHANCE = np.random.default_rng(1)


def test_errors_of_a_small_example() -> None:
    predicted, truth = [50.0, 60.0, 30.0], [55.0, 58.0, 30.0]
    assert s.mae(predicted, truth) == pytest.approx(7 / 3)
    assert s.rmse(predicted, truth) == pytest.approx((29 / 3) ** 0.5)
    assert s.bias(predicted, truth) == pytest.approx(-1)
    mean = np.mean(truth)
    assert s.r2(predicted, truth) == pytest.approx(1 - 29 / sum((value - mean) ** 2 for value in truth))
    assert np.isnan(s.r2(predicted, [1.0, 1.0, 1.0]))


def test_an_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    """A 95 % interval that holds the truth in 70 % would sell chance as progress."""
    held = 0
    for trial in range(200):
        values = np.random.default_rng(trial).normal(3.0, 1.0, 40)
        interval = s.bootstrap_interval(values, statistic=np.mean, resamples=300, seed=trial)
        held += interval.low <= 3.0 <= interval.high
    assert 180 <= held <= 198


def test_many_loops_of_few_patients_are_few_cases() -> None:
    """Twenty loops of one patient say as much as one: the interval must be wider when they belong together."""
    patients = np.repeat(np.arange(8), 20)
    values = CHANCE.normal(0, 1, 8)[patients] + CHANCE.normal(0, 0.1, 160)
    loose = s.bootstrap_interval(values, statistic=np.mean, resamples=500)
    honest = s.bootstrap_interval(values, statistic=np.mean, resamples=500, by=[str(each) for each in patients])
    assert honest.n == 8
    assert honest.high - honest.low > 3 * (loose.high - loose.low)


def test_the_same_seed_gives_the_same_interval() -> None:
    values = CHANCE.normal(0, 1, 30)
    assert s.bootstrap_interval(values, statistic=np.mean) == s.bootstrap_interval(values, statistic=np.mean)


def test_pairs_tell_a_small_steady_difference_that_separate_intervals_would_hide() -> None:
    truth = CHANCE.normal(55, 12, 60)
    hard = CHANCE.normal(0, 6, 60)
    a, b = truth + hard, truth + hard * 1.15
    found = s.paired_bootstrap((a, truth), (b, truth), statistic=s.mae, resamples=800)
    assert found.high < 0
    assert found.p < 0.01
    same = s.paired_bootstrap((a, truth), (a, truth), statistic=s.mae, resamples=200)
    assert (same.value, same.p) == (0.0, 1.0)


def test_limits_of_agreement_by_formula() -> None:
    differences = np.array([-2.0, 0.0, 1.0, 3.0, 3.0, 1.0])
    found = s.bland_altman(differences + 50, np.full(6, 50.0))
    sd = differences.std(ddof=1)
    assert found.bias.value == pytest.approx(1.0)
    assert found.upper.value - found.lower.value == pytest.approx(2 * 1.96 * sd, rel=1e-4)
    t = 2.5706  # Student's t, 5 degrees of freedom, 0.975
    assert found.bias.high == pytest.approx(1.0 + t * sd / 6**0.5, rel=0.01)
    with pytest.raises(ValueError, match="two"):
        s.bland_altman([1.0], [1.0])


def test_auc_counts_pairs_and_ties() -> None:
    scores, classes = np.array([0.1, 0.4, 0.4, 0.8, 0.9, 0.2]), np.array([0, 0, 1, 1, 0, 1])
    pairs = [
        1.0 if up > down else 0.5 if up == down else 0.0
        for up, down in itertools.product(scores[classes == 1], scores[classes == 0])
    ]
    assert s.auc(scores, classes) == pytest.approx(np.mean(pairs))
    assert np.isnan(s.auc(scores, np.ones(6)))
    false, true = s.roc(scores, classes)
    assert np.trapezoid(true, false) == pytest.approx(np.mean(pairs))


def test_the_interval_of_an_auc_is_about_that_of_the_bootstrap() -> None:
    classes = np.arange(200) % 2
    scores = CHANCE.normal(classes * 1.0, 1.0)
    formula = s.auc_interval(scores, classes)
    drawn = s.bootstrap_interval(scores, classes, statistic=s.auc, resamples=1000)
    assert formula.value == drawn.value
    assert formula.low == pytest.approx(drawn.low, abs=0.02)
    assert formula.high == pytest.approx(drawn.high, abs=0.02)


def test_bands_hold_every_case_once() -> None:
    truth = np.array([10.0, 30.0, 39.9, 55.0, 100.0])
    bands = s.error_by_band(truth + 2, truth)
    assert [band.n for band in bands] == [1, 2, 0, 1, 1]
    assert bands[1].bias == pytest.approx(2)
    assert np.isnan(bands[2].mae)


def test_confusion_has_the_truth_in_rows() -> None:
    assert s.confusion(["a", "b", "b"], ["a", "a", "b"], ["a", "b"]).tolist() == [[1, 1], [0, 1]]


def test_overlap_and_distance_of_two_boxes() -> None:
    a, b = np.zeros((40, 40), bool), np.zeros((40, 40), bool)
    a[10:20, 10:20] = True
    b[10:20, 15:25] = True
    assert dice(a, b) == pytest.approx(0.5)
    assert hausdorff_mm(a, b, spacing_mm=(1.0, 0.5)) == pytest.approx(2.5)
    assert mean_edge_distance_mm(a, a) == 0
    empty = np.zeros_like(a)
    assert (dice(empty, empty), hausdorff_mm(empty, empty), hausdorff_mm(a, empty)) == (1.0, 0.0, float("inf"))
