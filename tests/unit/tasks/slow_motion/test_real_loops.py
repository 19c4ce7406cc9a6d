"""Which of the real loops are slowed down: a colour loop that passes shows velocities that nobody measured."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from echonode.core.clip import Clip, Mode
from echonode.core.errors import EchonodeError
from echonode.core.package import Package
from echonode.core.results import Ineligible
from echonode.core.settings import LimitsSection
from echonode.dicom.pixels import read_clip
from echonode.tasks.common.sector import Scene
from echonode.tasks.slow_motion.eligibility import Limits, judge

GREY = {
    "adult_xario/I_000031.dcm",
    "paediatric_hp/I_000001.dcm",
    "paediatric_hp/I_000002.dcm",
    "single/GREYSCALE_CINE.dcm",
    "single/examples_ybr_color.dcm",
    *(f"stress_acuson/I_0000{number:02d}.dcm" for number in range(7, 19)),
}
COLOUR = {
    "adult_xario/I_000032.dcm",
    "paediatric_hp/I_000003.dcm",
    "single/IM00001.implicit_little_endian.dcm",
    "single/US-PAL-8-10x-echo.dcm",
    "single/jpeg-ls-Palette.dcm",
}
SLOW_COLOUR = {"paediatric_hp/I_000003.dcm", "single/US-PAL-8-10x-echo.dcm", "single/jpeg-ls-Palette.dcm"}


@pytest.fixture(scope="module")
def limits(optical_flow: Package) -> Limits:
    return Limits.of(contract=optical_flow.input, config=optical_flow.config)


def _read(shared_data: Path, name: str) -> Clip:
    return read_clip(shared_data / "ultrasound" / name, limits=LimitsSection())


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", sorted(GREY))
def test_grey_loops_are_eligible(name: str, shared_data: Path, limits: Limits) -> None:
    found = judge(_read(shared_data, name), limits=limits, factor=4)
    assert isinstance(found, Scene), found
    assert 0.05 < found.sector.mean() < 0.95
    assert found.colour_fraction < 0.001, "far from the limit of 0.004"


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", sorted(COLOUR))
def test_colour_is_seen_in_the_pixels(name: str, shared_data: Path, limits: Limits) -> None:
    """Neither header nor frame rate may be what saves us."""
    clip = _read(shared_data, name)
    if name in SLOW_COLOUR:
        assert isinstance(found := judge(clip, limits=limits, factor=4), Ineligible)
        assert found.code == "frame-gap"
    even = np.arange(len(clip.frames)) * 40.0
    bare = Clip(frames=clip.frames, times_ms=even, regions=clip.regions, mode=Mode.B_MODE)
    found_again = judge(bare, limits=limits, factor=4)
    assert isinstance(found_again, Ineligible)
    assert found_again.code == "colour"


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_every_still_is_refused(shared_data: Path, limits: Limits) -> None:
    stills = 0
    for entry in json.loads((shared_data / "manifest.json").read_text()):
        if not entry["file"].startswith("ultrasound/") or int(entry["frames"] or 1) != 1:
            continue
        try:
            clip = read_clip(shared_data / entry["file"], limits=LimitsSection())
        except EchonodeError:
            continue
        found = judge(clip, limits=limits, factor=4)
        assert isinstance(found, Ineligible), entry["file"]
        assert found.code == "still"
        stills += 1
    assert stills >= 12
