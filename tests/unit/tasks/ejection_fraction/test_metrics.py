"""An error that is printed too small would let a model pass."""

from __future__ import annotations

import pytest

from echonode.tasks.ejection_fraction.metrics import evaluation


def test_errors_agreement_and_bands() -> None:
    found = evaluation([30.0, 45.0, 60.0, 100.0], [34.0, 45.0, 58.0, 98.0])
    assert found["n"] == 4
    assert found["mae"] == 2.0
    assert found["rmse"] == pytest.approx(6**0.5)
    assert found["bias"] == 0.0
    low, high = found["limits_of_agreement"]
    assert -low == high == pytest.approx(1.96 * 8**0.5)
    assert [(band["n"], band["mae"]) for band in found["by_band"]] == [(1, 4.0), (1, 0.0), (2, 2.0)]
    least, most = found["limits_95"]["mae"]
    assert 0 <= least < 2 < most <= 4
    assert found == evaluation([30.0, 45.0, 60.0, 100.0], [34.0, 45.0, 58.0, 98.0]), (
        "the same data give the same limits"
    )


@pytest.mark.parametrize(("truth", "predicted"), [([], []), ([50.0], [51.0]), ([50.0, 50.0], [51.0, 52.0])])
def test_too_little_to_tell_is_said(truth: list[float], predicted: list[float]) -> None:
    found = evaluation(truth, predicted)
    assert found["n"] == len(truth)
    assert found.get("r2") is None
