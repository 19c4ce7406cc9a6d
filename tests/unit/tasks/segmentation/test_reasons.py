"""A loop that gives outlines and no volumes says why: the gap in the report would otherwise be a riddle."""

from __future__ import annotations

import numpy as np
import pytest

from echonode.core.results import Ineligible, LabelMap
from echonode.tasks.segmentation.reading import Reading


def reading(**changes: object) -> Reading:
    values = {"labels": np.ones((2, 8, 8), np.uint8), "frames": (0, 1), "pixel_cm2": 0.01, "mode": "clinical"}
    return Reading(**(values | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(("reason", "said"), [("no whole beat", ["no volumes: no whole beat"]), ("", [])])
def test_outlines_without_volumes_come_with_the_reason(reason: str, said: list[str]) -> None:
    results = reading(no_ventricle=reason).results()
    assert isinstance(results[0], LabelMap)
    assert [each.reason for each in results if isinstance(each, Ineligible)] == said
