"""What a report says was predicted of cardiac MRI: a prediction that reads like a measurement would mislead."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from echonode.core.codes import PRIVATE_SCHEME
from echonode.core.errors import PackageInvalid
from echonode.core.package import Package
from echonode.core.results import Finding, Measurement
from echonode.tasks.cmr.quantities import QUANTITIES
from echonode.tasks.cmr.reading import Reading
from echonode.tasks.cmr.runner import remarks_of
from echonode.tasks.common.uncertainty import Limits


def reading(finding: str, *per_clip: float, **changes: Any) -> Reading:
    starts = tuple(100.0 * place for place in range(len(per_clip)))
    return Reading(
        **(
            {"finding": finding, "mode": "clinical", "per_clip": per_clip, "starts_ms": starts, "frames": (0, 3)}
            | changes
        )
    )


def measured(made: Reading) -> Measurement:
    first = made.results()[0]
    assert isinstance(first, Measurement)
    return first


def test_every_concept_is_private() -> None:
    """A site's database must never file a prediction under a code that means measured."""
    assert {quantity.concept.scheme for quantity in QUANTITIES.values()} == {PRIVATE_SCHEME}
    classes = [quantity.classes for quantity in QUANTITIES.values() if quantity.classes is not None]
    assert {each.concept.scheme for each in classes} == {PRIVATE_SCHEME}


@pytest.mark.parametrize(
    ("finding", "code", "unit"),
    [
        ("wall-motion", "PROB-WMA", "%"), ("segment-motion", "PROB-WMA", "%"), ("scar", "PROB-LGE", "%"),
        ("native-t1", "PRED-NT1", "ms"), ("t2", "PRED-T2", "ms"), ("ecv", "PRED-ECV", "%"),
    ],
)  # fmt: skip
def test_each_finding_has_its_concept_and_unit(finding: str, code: str, unit: str) -> None:
    number = measured(reading(finding, 1.5, 2.5))
    assert (number.concept.value, number.unit.value) == (code, unit)
    assert number.method is not None
    assert number.derivation is not None
    assert number.site is not None
    assert (number.method.value, number.derivation.value, number.site.value) == ("PREDFROMUS", "121427", "49848007")
    assert number.count == 2


def test_a_probability_is_in_percent_of_the_mean_logit() -> None:
    number = measured(reading("scar", -1.0, 3.0))
    assert number.value == pytest.approx(73.106, abs=0.001)
    assert number.repeatability == pytest.approx((95.257 - 26.894) / 2**0.5, abs=0.01)
    assert measured(reading("scar", -1.0)).repeatability is None
    assert number.uncertainty is None


def test_what_a_probability_means_is_said_where_the_concept_does_not() -> None:
    assert "which this view shows" in measured(reading("segment-motion", 0.0)).notes[0]
    assert measured(reading("wall-motion", 0.0)).notes == ()


def test_a_regression_is_said_as_it_is_with_its_limits() -> None:
    number = measured(reading("native-t1", 980.0, 1020.0, limits=Limits(half_width=90.0, basis="a test")))
    assert (number.value, number.unit.value) == (1000.0, "ms")
    assert (number.uncertainty, number.uncertainty_basis) == (90.0, "a test")


def test_a_class_is_named_only_where_the_package_has_a_threshold() -> None:
    assert len(reading("scar", 3.0).results()) == 1
    _, finding = reading("scar", 3.0, threshold=0.4).results()
    assert isinstance(finding, Finding)
    assert (finding.concept.value, finding.value.value) == ("PRED-LGECLASS", "122113")
    assert finding.confidence == pytest.approx(0.953, abs=0.001)
    _, negative = reading("segment-motion", -3.0, threshold=0.4).results()
    assert isinstance(negative, Finding)
    assert negative.value.value == "373122000"
    assert negative.confidence == pytest.approx(0.953, abs=0.001)


def package(metrics: tuple[Any, ...] = (), **config: Any) -> Package:
    return Package(
        name="m", version="1", task="cmr", title="m", folder=Path(), digest="0", config=config, metrics=metrics
    )


def test_a_native_t1_tells_its_field_strength_or_that_nobody_stated_it() -> None:
    assert "1.5 T" in remarks_of(package(field_strength_t=1.5), "native-t1")[0]
    assert "not stated" in remarks_of(package(), "native-t1")[0]
    with pytest.raises(PackageInvalid, match="tesla"):
        remarks_of(package(field_strength_t="high"), "native-t1")


def test_how_well_a_model_tells_apart_is_said_only_of_a_locked_test() -> None:
    area = {"name": "AUC", "value": 0.907, "low": 0.85, "high": 0.94, "on": "150 loops", "locked": True}
    assert remarks_of(package((area,)), "scar") == (
        "area under the ROC curve 0.91 (0.85 to 0.94) on 150 loops, locked",
    )
    assert remarks_of(package(({**area, "locked": False},)), "scar") == ()
