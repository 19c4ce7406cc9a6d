"""A confidence of 0.8 should be right four times in five, and silence is better than a wrong view."""

from __future__ import annotations

import numpy as np
import pytest

from echonode.tasks.view.calibration import Calibration, calibrated, calibration_error
from echonode.tasks.view.classes import CLASSES
from echonode.tasks.view.scores import class_rows, confusion_rows, loop_rows, reliability_rows, scored_of


def drawn(scale: float, count: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Logits whose softmax at temperature `scale` is how probable each class is, and classes drawn so."""
    chance = np.random.default_rng(2)
    logits = 2 * chance.standard_normal((count, len(CLASSES)))
    probability = Calibration().probabilities(logits)
    labels = np.array([chance.choice(len(CLASSES), p=row) for row in probability])
    return scale * logits, labels


@pytest.mark.parametrize("scale", [0.5, 1.0, 3.0])
def test_the_temperature_undoes_confidence_that_is_too_high_or_too_low(scale: float) -> None:
    """An overconfident network would name views that it does not know."""
    logits, labels = drawn(scale)
    found = calibrated(logits, labels)
    assert found.temperature == pytest.approx(scale, rel=0.12)
    sure = found.probabilities(logits)
    assert calibration_error(sure.max(axis=1), sure.argmax(axis=1) == labels) < 0.03


def test_the_threshold_rises_until_answers_can_be_trusted() -> None:
    """Of the views that are named on changed loops, 95 % should be right."""
    logits, labels = drawn(1.0)
    assert calibrated(logits, labels).threshold >= 0.85
    easy = 12 * np.eye(len(CLASSES))[labels]
    assert calibrated(easy, labels).threshold == 0.5
    with pytest.raises(ValueError, match="logits"):
        calibrated(np.zeros((0, 8)), np.zeros(0))


def test_the_tables_count_what_was_said() -> None:
    """A confusion table that is transposed would praise the wrong class."""
    logits = [np.array(row, np.float32) for row in np.eye(len(CLASSES))[[0, 1, 1, 2]] * 9]
    logits.append(np.zeros(len(CLASSES), np.float32))
    scored = scored_of(
        logits, keys=list("abcde"), patients=list("abcde"), kinds=["recorded"] * 5, labels=[0, 0, 1, 2, 3],
        calibration=Calibration(threshold=0.6),
    )  # fmt: skip
    rows = {row[0]: row[1:] for row in confusion_rows(scored)}
    assert rows["PLAX"] == (1, 1, 0, 0, 0, 0, 0, 0, 0, 2)
    assert rows["A2C"] == (0, 0, 0, 0, 0, 0, 0, 0, 1, 1)
    assert {row[0]: row[2] for row in class_rows(scored)}["PLAX"] == pytest.approx(0.5)
    assert sum(int(row[1] or 0) for row in reliability_rows(scored)) == 5
    assert [row[2] for row in loop_rows(scored)][-1] == "unknown (PLAX)"
