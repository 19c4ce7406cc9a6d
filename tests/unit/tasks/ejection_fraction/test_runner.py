"""What the node gets: one measurement or one reason a loop, whatever is asked."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
import torch

from echonode.core.clip import Clip, Mode
from echonode.core.results import Details, Embedding, Ineligible, Measurement, Picture, Result
from echonode.tasks.common.checkpoint import outline
from echonode.tasks.common.parity import filled
from echonode.tasks.common.reading import read
from echonode.tasks.common.uncertainty import Limits
from echonode.tasks.ejection_fraction.convention import Convention
from echonode.tasks.ejection_fraction.estimator import Estimator, Method
from echonode.tasks.ejection_fraction.net import build
from echonode.tasks.ejection_fraction.prepare import published
from echonode.tasks.ejection_fraction.runner import EjectionFractionRunner

SMALL = Convention(frames=4, stride=2, side=32, period_ms=40.0)
CONTRACT = {"modes": ["2d"], "colour": False, "frames_min": 4, "frame_gap_ms_max": 50.0}
Make = Any


def _silent(done: int, total: int) -> None:
    """Nobody looks."""


def _loop(count: int = 30, **changes: Any) -> Clip:
    random = np.random.default_rng(6)
    frames = random.integers(30, 220, (count, 32, 32, 1)).astype(np.uint8)
    return Clip(**({"frames": frames, "times_ms": 20.0 * np.arange(count), "mode": Mode.B_MODE} | changes))


@pytest.fixture(scope="module")
def networks() -> dict[str, Any]:
    torch.set_num_threads(1)
    return {
        "encoder": filled(outline(functools.partial(build, "uniformer-small"))),
        "regressor": filled(outline(functools.partial(build, "ef-regressor"))),
    }


@pytest.fixture
def make(networks: dict[str, Any]) -> Make:
    def runner(
        method: Method = "regressor", preparation: str = "published", limits: Limits | None = None
    ) -> EjectionFractionRunner:
        estimator = Estimator(networks, method=method, device=torch.device("cpu"))
        return EjectionFractionRunner(
            estimator=estimator, convention=SMALL, contract=CONTRACT, preparation=preparation, limits=limits
        )

    return runner


def _one(runner: EjectionFractionRunner, clip: Clip, **parameters: Any) -> Result:
    ((result, *_),) = runner.run([clip], [parameters], _silent)
    return result


def test_results_keep_the_order_of_the_loops_and_refusals_stand_among_them(
    make: Make, networks: dict[str, Any]
) -> None:
    told: list[tuple[int, int]] = []
    clips = [_loop(), _loop(mode=Mode.M_MODE), _loop(12)]
    results = make().run(clips, [{}, {}, {"clips": 1}], lambda done, total: told.append((done, total)))
    kinds = [[type(result) for result in given] for given in results]
    assert kinds == [[Measurement, Picture, Details], [Ineligible], [Measurement, Picture, Details]]
    assert told == [(1, 3), (2, 3), (3, 3)]
    tensors = list(published(clips[0], SMALL).tensors(SMALL))
    with torch.inference_mode():
        expected = [float(networks["regressor"](networks["encoder"](tensor[None])[1])) for tensor in tensors]
    measurement = results[0][0]
    assert isinstance(measurement, Measurement)
    assert measurement.value == pytest.approx(np.mean(expected), abs=1e-6)
    assert measurement.uncertainty is None, "the spread over clips of one loop is no confidence limit"
    assert measurement.repeatability == pytest.approx(np.std(expected, ddof=1), abs=1e-6)
    assert (measurement.concept.value, measurement.count) == ("18043-0", len(expected))
    assert measurement.method is not None
    assert measurement.method.value == "VIDEOREGR", "no volumes stand behind it"
    lone = results[2][0]
    assert isinstance(lone, Measurement)
    assert lone.repeatability is None
    assert "read from 1 clips; 3 or more are wanted" in lone.notes


def test_limits_of_the_locked_test_hold_in_the_preparation_that_was_tested(make: Make) -> None:
    runner = make(preparation="clinical", limits=Limits(half_width=7.9, basis="95 % limits, a locked test"))
    tested = _one(runner, _loop())
    assert isinstance(tested, Measurement)
    assert (tested.uncertainty, tested.uncertainty_basis) == (7.9, "95 % limits, a locked test")
    untested = _one(runner, _loop(), preparation="published")
    assert isinstance(untested, Measurement)
    assert untested.uncertainty is None


def test_what_the_node_knows_of_the_patient_breaks_no_run(make: Make) -> None:
    given = _one(make(), _loop(), patient={"age_years": 61.0}, species="human", spool="spool")
    assert isinstance(given, Measurement)


@pytest.mark.parametrize("preparation", ["published", "clinical"])
@pytest.mark.parametrize("clip", [_loop(), _loop(6), _loop(timed=False)], ids=["loop", "short", "untimed"])
def test_a_picture_goes_with_the_number(make: Make, clip: Clip, preparation: str) -> None:
    ((first, *others),) = make(preparation=preparation).run([clip], [{}], _silent)
    if isinstance(first, Ineligible):
        assert first.code == "untimed"
        return
    (picture,) = (each for each in others if isinstance(each, Picture))
    assert isinstance(first, Measurement)
    assert picture.pixels.shape == (720, 960, 3)
    assert f"{first.value:.0f} %" in picture.title
    assert "accuracy unknown" in picture.title
    assert not picture.synthetic


def test_the_picture_shows_nothing_that_stands_beside_the_sector(make: Make) -> None:
    """Names stand there on many scanners: they must not leave in a picture that is said to show none."""
    clip = _loop()
    framed = np.zeros((len(clip.frames), 64, 64, 1), np.uint8)
    framed[:, 16:48, 16:48] = clip.frames
    written = framed.copy()
    written[:, 2:8, 4:60] = 255
    pictures = []
    for frames in (framed, written):
        ((_, picture, _),) = make(preparation="clinical").run([_loop(frames=frames)], [{}], _silent)
        assert isinstance(picture, Picture)
        pictures.append(picture.pixels[50:360])
    np.testing.assert_array_equal(*pictures)


def test_details_have_every_clip(make: Make) -> None:
    results, details = read(make(preparation="clinical"), _loop(), {"clips": 4}, _silent)
    measurement, _ = results
    assert isinstance(measurement, Measurement)
    assert len(details["per_clip"]) == 4
    assert [frames[0] for frames in details["frames_of_clips"]] == [0, 7, 15, 22], "spread over the loop by time"
    assert measurement.value == pytest.approx(np.mean(details["per_clip"]))
    assert details["starts_in_ms"] == pytest.approx([0, 440 / 3, 880 / 3, 440])
    assert measurement.frames == tuple(details["frames"])


def test_an_encoder_without_a_trained_head_gives_features_and_no_number(make: Make) -> None:
    result = _one(make("embedding"), _loop())
    assert isinstance(result, Embedding)
    assert result.vector.shape == (512,)


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"preparation": "best"}, "published or clinical"),
        ({"clips": 0}, "whole number from 1"),
        ({"clips": True}, "whole number from 1"),
        ({"starts": "0"}, "list of frame numbers"),
        ({"starts": [-1]}, "list of frame numbers"),
        ({"starts": [29]}, "does not fit"),
        ({"starts": [0], "preparation": "clinical"}, "belong to preparation published"),
    ],
)
def test_parameters_that_are_not_understood_are_a_reason_and_no_crash(
    parameters: dict[str, Any], says: str, make: Make
) -> None:
    result = _one(make(), _loop(), **parameters)
    assert isinstance(result, Ineligible)
    assert says in result.reason


def test_clinical_mode_needs_times_and_published_does_not(make: Make) -> None:
    untimed = _loop(timed=False)
    assert isinstance(_one(make(), untimed), Measurement)
    refusal = _one(make(preparation="clinical"), untimed)
    assert isinstance(refusal, Ineligible)
    assert refusal.code == "untimed"
