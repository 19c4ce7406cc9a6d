"""What a lab relies on: the same loop says the same, nonsense is refused, and a brighter loop is called brighter."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from echo_gain.combine import combine
from echo_gain.concepts import GREY, GREY_RANGE, PERCENT
from echo_gain.net import ARCHITECTURE, GreyNet
from echo_gain.runner import GainRunner, open_runner
from safetensors.torch import save_file

from echonode.core.clip import Clip, Mode
from echonode.core.package import Package
from echonode.core.readings import KeptReading, StudyValue
from echonode.core.results import Ineligible, Measurement, Picture


@pytest.fixture
def runner(tmp_path: Path) -> GainRunner:
    """A runner of weights that nobody has trained."""
    torch.manual_seed(0)
    save_file(GreyNet().state_dict(), tmp_path / "grey.safetensors")
    package = Package(
        name="g", version="1", task="gain", title="G", folder=tmp_path, digest="0" * 64,
        architecture={"grey": ARCHITECTURE}, config={"width": 8, "side": 48, "frames": 4},
        input={"modes": ["2d"], "colour": False, "frames_min": 2}, weights={"grey": tmp_path / "grey.safetensors"},
    )  # fmt: skip
    return open_runner(package, "cpu", 1)


def clip(*, frames: int = 6, mode: Mode = Mode.B_MODE, bright: int = 120) -> Clip:
    pictures = np.random.default_rng(1).integers(0, bright, (frames, 90, 120, 1), dtype=np.uint8)
    return Clip(frames=pictures, times_ms=np.arange(frames) * 20.0, mode=mode)


def told(done: int, total: int) -> None:
    assert done <= total


def test_a_loop_has_one_number_and_one_picture_and_says_the_same_twice(runner: GainRunner) -> None:
    first, second = (runner.run([clip()], [{}], told)[0] for _ in range(2))
    measured, shown, _ = first
    assert isinstance(measured, Measurement)
    assert (measured.concept, measured.unit, measured.count) == (GREY, PERCENT, 4)
    assert 0 <= measured.value <= 100
    assert isinstance(shown, Picture)
    assert shown.pixels.shape == (90, 120, 3)
    assert second[0] == measured
    assert (second[1].pixels == shown.pixels).all()


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (clip(mode=Mode.PW), "mode"),
        (clip(mode=Mode.COLOUR), "mode"),
        (clip(frames=1), "frames"),
        (clip(bright=1), "dark"),
    ],
)
def test_what_shows_no_tissue_is_refused_in_words(runner: GainRunner, wrong: Clip, code: str) -> None:
    ((refusal,),) = runner.run([wrong], [{}], told)
    assert isinstance(refusal, Ineligible)
    assert refusal.code == code


def test_a_study_is_told_how_far_its_loops_are_apart() -> None:
    readings = [
        KeptReading(
            sop_instance_uid=uid, study_uid="1", task="gain", model="g", version="1", digest="d", route="gain", work_id="w",
            results=(Measurement(concept=GREY, value=value, unit=PERCENT, frames=(0,)),),
        )
        for uid, value in (("1.1", 20.0), ("1.2", 31.0))
    ]  # fmt: skip
    mean, apart = combine(readings)
    assert isinstance(mean, StudyValue)
    assert isinstance(apart, StudyValue)
    assert (mean.measurement.concept, mean.measurement.value) == (GREY, 25.5)
    assert (apart.measurement.concept, apart.measurement.value) == (GREY_RANGE, 11.0)
    assert set(mean.frames) == set(apart.frames) == {"1.1", "1.2"}
    assert combine(readings[:1]) == []
