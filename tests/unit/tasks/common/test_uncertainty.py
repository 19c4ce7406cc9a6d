"""Limits of agreement: a number without its error, or with a wrong one, would be believed too much."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from echonode.core.package import Package
from echonode.registry.catalogue import Catalogue
from echonode.tasks.common.uncertainty import Limits, limits_from, limits_of, stated

MODELS = Path(__file__).resolve().parents[4] / "models"


def package(*metrics: dict[str, Any]) -> Package:
    return Package(
        name="m", version="1", task="ejection_fraction", title="m", folder=Path(), digest="0", metrics=metrics
    )


def metric(name: str, value: float, *, locked: bool = True) -> dict[str, Any]:
    return {"name": name, "value": value, "unit": "%", "n": 150, "on": "150 simulated studies", "locked": locked}


def test_a_root_mean_square_error_makes_limits_that_name_their_test() -> None:
    found = limits_of(package(metric("EF MAE", 3.9), metric("EF RMSE", 5.13)), "EF")
    assert found is not None
    assert found.half_width == pytest.approx(10.05, abs=0.01)
    assert found.basis == "95 % limits, 1.96 x RMSE on 150 simulated studies, locked"


def test_measured_limits_of_agreement_stand_before_an_error_and_are_not_widened() -> None:
    found = limits_of(package(metric("EF RMSE", 5.0), metric("EF limits of agreement", 9.1)), "EF")
    assert found is not None
    assert found.half_width == 9.1
    assert "1.96" not in found.basis


@pytest.mark.parametrize(
    "metrics",
    [(), (metric("EF MAE", 3.0),), (metric("EF RMSE", 4.0, locked=False),), (metric("EDV RMSE", 9.0),)],
    ids=["nothing measured", "mean absolute error alone", "not locked", "another quantity"],
)
def test_accuracy_stays_unknown_without_a_locked_test(metrics: tuple[dict[str, Any], ...]) -> None:
    assert limits_of(package(*metrics), "EF") is None
    assert stated(None) == {}


def test_the_first_name_that_was_measured_counts() -> None:
    found = limits_of(package(metric("EF RMSE", 4.0), metric("A4C EF RMSE", 5.0)), "A4C EF", "EF")
    assert found is not None
    assert found.half_width == pytest.approx(9.8)


def test_of_several_locked_tests_the_widest_limits_count_whatever_their_order() -> None:
    tests = (metric("EF RMSE", 5.0), metric("EF RMSE", 4.0))
    for order in (tests, tests[::-1]):
        found = limits_of(package(*order), "EF")
        assert found is not None
        assert found.half_width == pytest.approx(9.8)


def test_limits_come_back_from_json_as_they_were() -> None:
    limits = Limits(half_width=7.9, basis="95 % limits, a test")
    assert limits_from(limits.plain()) == limits
    assert limits_from({"half_width": "wide"}) is None
    assert limits_from(None) is None


def test_the_catalogue_hands_out_what_a_manifest_measured() -> None:
    found = limits_of(Catalogue((MODELS,)).get("phantom-ejection-fraction"), "EF")
    assert found is not None
    assert found.half_width == pytest.approx(1.96 * 4.054, abs=0.01)
    assert "seed 9000001" in found.basis
