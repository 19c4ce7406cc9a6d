"""Limits of agreement that a lab may quote: right for few cases too."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from echonode.core.agreement_statistics import bland_altman


@pytest.mark.parametrize("n", [2, 3, 4, 5, 8, 12, 60])
def test_the_interval_of_the_bias_is_that_of_student(n: int) -> None:
    """A pilot of five studies would otherwise be told more certainty than it has."""
    differences = np.linspace(-4, 7, n) + np.arange(n) % 3
    found = bland_altman(differences + 50, np.full(n, 50.0))
    half = stats.t.ppf(0.975, n - 1) * differences.std(ddof=1) / np.sqrt(n)
    assert found.bias.value == pytest.approx(differences.mean())
    assert found.bias.high - found.bias.value == pytest.approx(half, rel=0.01)
    assert found.upper.value == pytest.approx(differences.mean() + 1.959964 * differences.std(ddof=1))


def test_one_case_is_no_agreement() -> None:
    with pytest.raises(ValueError, match="at least two"):
        bland_altman([50], [51])
