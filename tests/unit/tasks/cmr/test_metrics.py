"""The area under the curve and the threshold that a site may set by it."""

from __future__ import annotations

import numpy as np
import pytest

from echonode.tasks.cmr.metrics import auc, evaluation, roc, youden


def test_area_is_the_share_of_pairs_in_the_right_order() -> None:
    random = np.random.default_rng(4)
    scores = random.integers(0, 12, 60) / 12.0
    labels = (random.random(60) < 0.4).astype(np.float64)
    positive, negative = scores[labels == 1], scores[labels == 0]
    pairs = (positive[:, None] > negative).mean() + 0.5 * (positive[:, None] == negative).mean()
    assert auc(labels, scores) == pytest.approx(pairs, rel=1e-12)


def test_youden_is_the_first_best_threshold_from_above() -> None:
    labels, scores = np.array([1.0, 0.0, 1.0, 0.0]), np.array([0.9, 0.8, 0.7, 0.1])
    assert youden(labels, scores) == 0.9
    false, true, thresholds = roc(labels, scores)
    assert (false[0], true[0], thresholds[0]) == (0.0, 0.0, np.inf)
    assert (false[-1], true[-1]) == (1.0, 1.0)


def test_evaluation_says_what_it_cannot() -> None:
    found = evaluation([1, 0, 1, 0, 0], [0.8, 0.3, 0.6, 0.7, 0.1])
    assert found["auc"] == pytest.approx(5 / 6)
    least, most = found["auc_limits_95"]
    assert least <= 5 / 6 <= most
    assert evaluation([1, 1], [0.5, 0.6])["auc"] is None
    assert "0 or 1" in evaluation([0.5, 1], [0.5, 0.6])["error"]
    assert evaluation([], [])["n"] == 0
    assert evaluation([0, 1], [0.9, 0.1])["youden_threshold"] is None, "JSON knows no infinity"
