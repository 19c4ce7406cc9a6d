"""Real networks with weights set by hand on a heart whose diameter is known."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch

from echonode.core.clip import Clip, Mode, Region
from echonode.core.codes import Code
from echonode.core.results import Details, Ineligible, LabelMap, Measurement, Picture, Result
from echonode.tasks.mmode.networks import Networks, Sampling
from echonode.tasks.mmode.runner import MModeRunner, Settings
from tests.support.mmode import (
    COLUMNS,
    MILLIMETRES,
    PERIOD,
    ROWS,
    SECONDS,
    deciding_network,
    heart,
    outlining_network,
)

REGION = Region(
    spatial_format=2, data_type=1, x0=0, y0=0, x1=COLUMNS - 1, y1=ROWS - 1, units_x=4, units_y=3, delta_x=SECONDS,
    delta_y=MILLIMETRES / 10,
)  # fmt: skip
MOUSE = {"body_mass_g": 28.0}


def _runner(*, logits: tuple[float, ...] = (3.0,), segmenter: bool = True) -> MModeRunner:
    torch.set_num_threads(1)
    networks = Networks(
        segmenter=outlining_network() if segmenter else None, judges=[deciding_network(logit) for logit in logits],
        device=torch.device("cpu"), sampling=Sampling(samples=2),
    )  # fmt: skip
    usual = Settings(preparation="clinical", mode="reference", species=None, body_mass=None)
    return MModeRunner(networks, usual=usual, species=["mouse"])


def _clip(*, regions: tuple[Region, ...] = (REGION,)) -> Clip:
    frames = heart().strip[None, :, :, None]
    return Clip(frames=frames, times_ms=np.zeros(1), regions=regions, mode=Mode.M_MODE)


def _run(runner: MModeRunner, **parameters: Any) -> tuple[Result, ...]:
    told: list[tuple[int, int]] = []
    (results,) = runner.run([_clip()], [parameters], lambda done, total: told.append((done, total)))
    assert told == sorted(told)
    assert told[-1][0] == told[-1][1]
    return results


def test_known_heart_is_measured() -> None:
    results = _run(_runner(), **MOUSE)
    found = {result.concept.value: result for result in results if isinstance(result, Measurement)}
    truth = heart().lvid
    assert found["29436-3"].value == pytest.approx(truth.max(), abs=1.2 * MILLIMETRES)
    assert found["29438-9"].value == pytest.approx(truth.min(), abs=1.2 * MILLIMETRES)
    assert found["8867-4"].value == pytest.approx(60 / (PERIOD * SECONDS), rel=0.03)
    large, small = (7 * d**3 / (2.4 + d) for d in (truth.max(), truth.min()))
    assert found["18043-0"].value == pytest.approx(100 * (large - small) / large, abs=3)
    assert found["18026-5"].unit.value == "uL", "mice: Teichholz with mm gives microlitres"
    assert found["29436-3"].unit.value == "mm"
    (labels,) = (result for result in results if isinstance(result, LabelMap))
    assert labels.labels.shape == (1, ROWS, COLUMNS)
    pixels = labels.labels[0].sum(axis=0) * MILLIMETRES
    np.testing.assert_allclose(pixels, truth, atol=3 * MILLIMETRES)


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({}, "species"),
        ({"species": "human"}, "species"),
        ({"body_mass_g": 70_000.0}, "species"),
        ({"species": "mouse", "body_mass_g": 70_000.0}, "species"),
        ({"species": "cat"}, "parameters"),
        ({"body_mass_g": -3}, "parameters"),
        ({"body_mass_g": "heavy"}, "parameters"),
        ({"mode": "eval", **MOUSE}, "parameters"),
        ({"preparation": "mine", **MOUSE}, "parameters"),
        ({"preparation": "published", "species": "mouse"}, "calibration"),
    ],
)
def test_weights_of_mice_never_measure_a_patient(parameters: dict[str, Any], code: str) -> None:
    """Nor a recording of which nobody said whose it is."""
    (refused,) = _run(_runner(), **parameters)
    assert isinstance(refused, Ineligible)
    assert refused.code == code


def test_uncalibrated_strip_is_refused() -> None:
    bare = Region(spatial_format=2, data_type=1, x0=0, y0=0, x1=159, y1=159)
    ((refused,),) = _runner().run([_clip(regions=(bare,))], [MOUSE], lambda done, total: None)
    assert isinstance(refused, Ineligible)
    assert refused.code == "calibration"


def test_bad_stretches_are_not_averaged() -> None:
    """Nothing good gives a refusal, not a zero."""
    refused, *beside = _run(_runner(logits=(-3.0,)), **MOUSE)
    assert [type(one) for one in beside] == [Picture, Details]
    assert isinstance(refused, Ineligible)
    assert refused.code == "quality"


def test_classifiers_alone_say_how_much_is_good() -> None:
    share, *beside = _run(_runner(segmenter=False), **MOUSE)
    assert [type(one) for one in beside] == [Picture, Details]
    assert isinstance(share, Measurement)
    assert share.value == 1.0


def test_published_way_reads_the_same_heart_with_its_own_arithmetic() -> None:
    """Both ways exist beside each other, and say which they are."""
    examination = _runner().examine(
        _clip(regions=(REGION,) * 3), {"preparation": "published", **MOUSE}, lambda done, total: None
    )
    assert not isinstance(examination, Ineligible)
    assert examination.preparation == "published"
    assert examination.lvid is not None
    assert examination.lvid.shape == (COLUMNS - 1,), "the last column is cut off, as published"
    np.testing.assert_allclose(examination.lvid, heart().lvid[:-1], atol=4 * MILLIMETRES)
    assert len(examination.diastoles) == 2, "with at least 85 pixels between them two of the three can be found"
    assert examination.beats == ()


def test_samples_of_the_network_are_no_accuracy() -> None:
    """How much dropout moves a value says nothing of how far it is from the truth: only a locked test does."""
    results = _run(_runner(), mode="mc", **MOUSE)
    found = [result for result in results if isinstance(result, Measurement)]
    assert [result for result in found if any("dropout" in note for note in result.notes)]
    assert [result.uncertainty for result in found] == [None] * len(found)


def test_what_is_measured_says_how() -> None:
    """Number of beats, timing, edges and spread stand beside each value; a picture and the table of beats go with it."""
    results = _run(_runner(), **MOUSE)
    found = {result.concept.value: result for result in results if isinstance(result, Measurement)}
    lvid = found["29436-3"]
    assert lvid.derivation is not None
    assert lvid.derivation.value == "373098007"
    assert lvid.repeatability is not None
    words = " ".join(lvid.notes)
    assert f"mean over {lvid.count} beat" in words
    assert "no ECG was read: end-diastole at the largest diameter" in words
    assert "inner edge to inner edge" in words
    assert "fewer than 3" in words, "the strip shows two beats, and says so"
    assert found["18043-0"].method == Code("125209", "DCM", "Teichholz")
    (picture,) = (result for result in results if isinstance(result, Picture))
    assert picture.pixels.dtype == np.uint8
    assert not picture.synthetic
    assert picture.pixels.shape[1] <= 1024
    (details,) = (result for result in results if isinstance(result, Details))
    assert json.loads(json.dumps(details.values))["beats"][0]["lvid_d_mm"] == pytest.approx(5.0, abs=0.06)
