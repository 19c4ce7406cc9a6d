"""A segmentation that was made from labels gives the labels back: pictures are synthesised from them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from echonode.core.codes import Code
from echonode.core.errors import BudgetExceeded, Undecodable
from echonode.core.package import Package
from echonode.core.results import LabelMap
from echonode.core.settings import LimitsSection, NodeSection
from echonode.derive.segmentation import build_segmentation
from echonode.dicom.label_maps import is_label_map, read_label_map
from tests.support.loops import write_loop

FRAMES = (1, 2, 5)
LIMITS = LimitsSection()


@pytest.fixture
def labels() -> np.ndarray:
    """Three frames of 45 x 45: odd numbers of pixels, so that frames begin in the middle of bytes."""
    made = np.zeros((3, 45, 45), np.uint8)
    for index, size in enumerate((9, 20, 14)):
        made[index, 5 : 5 + size, 7 : 7 + size] = 1
        made[index, 30:40, 3 : 3 + size] = 2
    return made


@pytest.fixture
def segmentation(tmp_path: Path, labels: np.ndarray) -> Path:
    write_loop(tmp_path / "loop.dcm", size=45)
    package = Package(name="unet", version="1", task="segmentation", title="U-Net", folder=tmp_path, digest="d" * 64)
    named = {1: Code("87878005", "SCT", "Left ventricle"), 2: Code("82471001", "SCT", "Left atrium")}
    built = build_segmentation(
        tmp_path / "loop.dcm",
        LabelMap(labels=labels, frames=FRAMES, segments=named),
        package=package,
        parameters={},
        node=NodeSection(),
        now=datetime(2026, 1, 2, tzinfo=UTC),
    )
    built.write(tmp_path / "seg.dcm")
    return tmp_path / "seg.dcm"


def test_the_labels_come_back_as_they_were(segmentation: Path, labels: np.ndarray) -> None:
    """One bit in the wrong place and the synthetic heart is another one."""
    clip = read_label_map(segmentation, limits=LIMITS)
    assert is_label_map(segmentation)
    assert np.array_equal(clip.frames[..., 0], labels)
    assert list(clip.times_ms) == list(FRAMES)
    assert not clip.timed


@pytest.mark.parametrize(("phase", "index"), [("ED", 1), ("ES", 0)])
def test_a_phase_is_the_frame_with_the_largest_or_smallest_ventricle(
    segmentation: Path, labels: np.ndarray, phase: str, index: int
) -> None:
    """A picture of end-diastole must be made of end-diastole."""
    clip = read_label_map(segmentation, limits=LIMITS, phase=phase)
    assert np.array_equal(clip.frames[..., 0], labels[index : index + 1])


def test_what_is_no_label_map_of_ours_is_refused(tmp_path: Path, segmentation: Path) -> None:
    """A foreign or damaged file must end in a reason, not in a picture."""
    loop = tmp_path / "loop.dcm"
    assert not is_label_map(loop)
    with pytest.raises(Undecodable, match="only segmentations that echonode made"):
        read_label_map(loop, limits=LIMITS)
    with pytest.raises(Undecodable, match="phase"):
        read_label_map(segmentation, limits=LIMITS, phase="middle")
    with pytest.raises(BudgetExceeded):
        read_label_map(segmentation, limits=LimitsSection(frames=2))
