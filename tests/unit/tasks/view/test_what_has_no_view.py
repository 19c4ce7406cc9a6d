"""Strips and pages have no view: whatever a manifest says, none is given; and colour in the pixels is told."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from echonode.core.clip import Clip, Mode
from echonode.core.results import Finding, Ineligible
from echonode.tasks.view.calibration import Calibration
from echonode.tasks.view.net import build
from echonode.tasks.view.runner import NO_PICTURE, Reading, ViewRunner


@pytest.fixture(scope="module")
def runner() -> ViewRunner:
    torch.manual_seed(0)
    return ViewRunner(
        network=build().eval(), device=torch.device("cpu"), calibration=Calibration(temperature=1.0, threshold=0.6),
        contract={}, side=64, seen=2,
    )  # fmt: skip


def clip(mode: Mode, *, flow: bool = False, frames: int = 6) -> Clip:
    grey = np.random.default_rng(1).integers(30, 150, (frames, 96, 96, 1), dtype=np.uint8).repeat(3, axis=3)
    if flow:
        grey[::2, 40:60, 40:60] = (200, 20, 20)
    return Clip(frames=grey, times_ms=33.0 * np.arange(frames), mode=mode)


@pytest.mark.parametrize("mode", list(NO_PICTURE))
def test_no_view_is_seen_in_a_strip_or_a_page(runner: ViewRunner, mode: Mode) -> None:
    found = runner.read(clip(mode, frames=1), {}, lambda done, total: None)
    assert isinstance(found, Ineligible)
    assert (found.code, "shows no view" in found.reason) == ("mode", True)


@pytest.mark.parametrize(("flow", "mode"), [(True, "2d-colour"), (False, "2d")])
def test_the_details_tell_what_the_pixels_show(runner: ViewRunner, flow: bool, mode: str) -> None:
    """The header of a colour loop may be that of its grey siblings."""
    found = runner.read(clip(Mode.B_MODE, flow=flow), {}, lambda done, total: None)
    assert isinstance(found, Reading)
    assert found.details()["mode"] == mode
    assert (found.details()["colour"] > 0.01) is flow
    assert isinstance(found.results()[0], Finding)
