"""Results as JSON values and back."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from echonode.core.codes import Code
from echonode.core.errors import BadInput
from echonode.core.result_json import json_values, results_of_json, results_to_json
from echonode.core.results import Embedding, Finding, Ineligible, Measurement, Result

EF = Measurement(
    concept=Code("10230-1", "LN", "LVEF"),
    value=61.5,
    unit=Code("%", "UCUM", "percent"),
    method=Code("125208", "DCM", "Method of Disks, Single Plane"),
    frames=(3, 9),
    uncertainty=4.0,
    uncertainty_basis="test",
    count=3,
    notes=("a note",),
)
RESULTS: tuple[Result, ...] = (
    EF,
    Finding(concept=Code("111031", "DCM", "Image View"), value=Code("1", "SCT", "PLAX"), confidence=0.9),
    Ineligible(reason="too short", code="frames"),
)


def test_results_come_back_from_json_as_they_were() -> None:
    """What the archive gives the report is what the model said."""
    page = json.loads(json.dumps(results_to_json(RESULTS), allow_nan=False))
    assert results_of_json(page) == RESULTS


def test_a_field_of_a_later_version_has_its_default() -> None:
    """A reading that an older version kept must be readable by a newer one."""
    (page,) = results_to_json([EF])
    del page["values"]["count"]
    assert results_of_json([page]) == (replace(EF, count=None),)


def test_arrays_and_nonsense_are_refused() -> None:
    """A database row must not grow with a network's features, and a damaged one must say so."""
    with pytest.raises(BadInput, match="embedding"):
        results_to_json([Embedding(vector=np.zeros(3, np.float32), space="s")])
    for page in ([{"kind": "?"}], [{"kind": "ineligible", "values": {"colour": 1}}], [{}]):
        with pytest.raises(BadInput):
            results_of_json(page)


def test_details_become_json_that_every_reader_takes() -> None:
    """A number that is none would make the whole row unreadable to PostgreSQL."""
    told = {
        "n": np.float32(0.5),
        3: (1, float("nan")),
        "a": np.arange(2),
        "x": None,
        "ok": True,
        "c": Code("a", "b", "c"),
    }
    assert json_values(told) == {"n": 0.5, "3": [1, None], "a": [0, 1], "x": None, "ok": True, "c": str(told["c"])}
