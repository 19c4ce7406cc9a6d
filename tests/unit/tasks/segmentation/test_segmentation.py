"""Segmentation: parity, areas in true centimetres, both preparations, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from echonode.core.clip import Clip, Mode, Region
from echonode.core.errors import BadInput
from echonode.core.results import Ineligible, LabelMap, Measurement
from echonode.tasks.common.camus import camus_codes, sector_codes, subsampled
from echonode.tasks.common.reading import read
from echonode.tasks.segmentation.dice import dice, summary
from echonode.tasks.segmentation.net import CamusUnet
from echonode.tasks.segmentation.parity import check
from echonode.tasks.segmentation.prepare import Normalisation, View, clinical_view
from echonode.tasks.segmentation.runner import SegmentationRunner


class Bright(CamusUnet):
    """Says cavity where it is bright, myocardium where it is less so, and atrium nowhere."""

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        grey = pictures[:, 0]
        codes = (grey > 0.3).long() * 2 - (grey > 0.7).long()
        return torch.nn.functional.one_hot(codes, 4).permute(0, 3, 1, 2).float()


def _runner(preparation: str = "clinical", **contract: Any) -> SegmentationRunner:
    return SegmentationRunner(
        network=Bright(), device=torch.device("cpu"), normalisation=Normalisation(), contract=contract,
        preparation=preparation,
    )  # fmt: skip


def _calibrated(delta_x: float, delta_y: float) -> Region:
    return Region(
        spatial_format=1, data_type=1, x0=0, y0=0, x1=399, y1=299, units_x=3, units_y=3, delta_x=delta_x,
        delta_y=delta_y,
    )  # fmt: skip


def _disc_loop(*, regions: tuple[Region, ...] = (), frames: int = 4) -> Clip:
    """A grey sector whose brightness beats, with a bright disc of radius 60 in a ring to 80; text in a corner."""
    y, x = np.mgrid[0:300, 0:400]
    far = np.hypot(x - 200, y - 150)
    pictures = []
    for index in range(frames):
        grey = np.where((x > 60) & (x < 340) & (y > 10) & (y < 290), 20 + 18 * (index % 2), 0)
        grey[far < 80] = 130 + 20 * (index % 2)
        grey[far < 60] = 210 + 20 * (index % 2)
        grey[2:8, 2:50] = 255
        pictures.append(np.repeat(grey[:, :, None], 3, axis=2))
    times = np.arange(frames) * 40.0
    return Clip(frames=np.stack(pictures).astype(np.uint8), times_ms=times, regions=regions, mode=Mode.B_MODE)


def _silent(done: int, total: int) -> None:
    pass


def test_every_quantity_of_the_vectors(parity: Path) -> None:
    torch.set_num_threads(1)
    rows = list(check(parity, whole=False))
    assert len(rows) >= 14
    assert not [row for row in rows if not row.passed]


@pytest.mark.parametrize("delta", [(0.05, 0.05), (0.05, 0.1), (-0.05, 0.04)])
def test_areas_are_true_square_centimetres(delta: tuple[float, float]) -> None:
    clip = _disc_loop(regions=(_calibrated(*delta),))
    results, details = read(_runner(), clip, {}, _silent)
    cavity = next(one for one in results if isinstance(one, Measurement) and one.concept.value == "LVAREA")
    assert cavity.unit.value == "cm2"
    assert cavity.value == pytest.approx(np.pi * 60**2 * abs(delta[0] * delta[1]), rel=0.03)
    assert details["areas"]["myocardium"]["px"][1] == pytest.approx(np.pi * (80**2 - 60**2), rel=0.05)
    (labels,) = (one for one in results if isinstance(one, LabelMap))
    assert labels.labels.shape == (4, 300, 400)
    assert not labels.labels[:, :9, :55].any()  # the text outside the sector


def test_without_calibration_areas_are_pixels_and_say_so() -> None:
    results, details = read(_runner(), _disc_loop(), {"frames": [2]}, _silent)
    assert {one.unit.value for one in results if isinstance(one, Measurement)} == {"{pixels}"}
    assert details["areas"]["lv_cavity"]["cm2"] is None
    assert details["frames"] == [2]
    assert any("no size of its pixels" in note for note in details["notes"])


def test_published_mode_looks_at_the_whole_frame() -> None:
    results, _ = read(_runner("published"), _disc_loop(), {}, _silent)
    labels = next(one for one in results if isinstance(one, LabelMap)).labels
    assert (labels[0, 3:7, 5:45] == 1).mean() > 0.8  # the text is taken for cavity, as the authors' own code would


def test_a_still_is_enough_and_black_is_refused() -> None:
    loop = _disc_loop(frames=1)
    results, _ = read(_runner(), loop, {}, _silent)
    assert any(isinstance(one, Measurement) for one in results)
    black = Clip(frames=np.zeros((1, 64, 64, 1), np.uint8), times_ms=np.zeros(1))
    (refusal,) = _runner().run([black], [{}], _silent)[0]
    assert isinstance(refusal, Ineligible)


@pytest.mark.parametrize("frames", [[9], [-1], [], "0", [True], [1.0]])
def test_frames_that_are_not_there_are_refused(frames: object) -> None:
    found = _runner().read(_disc_loop(), {"frames": frames}, _silent)
    assert isinstance(found, Ineligible)
    assert "frames" in found.reason


def test_colour_and_other_modes_are_refused() -> None:
    clip = _disc_loop()
    assert isinstance(_runner(modes=["m-mode"]).read(clip, {}, _silent), Ineligible)
    assert isinstance(_runner().read(clip, {"preparation": "magic"}, _silent), Ineligible)


def test_labels_go_back_where_the_picture_came_from() -> None:
    view = clinical_view(_disc_loop(regions=(_calibrated(0.05, 0.1),)))
    assert isinstance(view, View)
    frame = _disc_loop().frames[1]
    bright = (view.picture(frame) > 180).astype(np.uint8)
    back = view.onto_frame(bright) > 0
    truth = (frame[:, :, 0] > 180) & view.sector
    assert 2 * (back & truth).sum() / (back.sum() + truth.sum()) > 0.97


def test_dice_counts_a_structure_that_neither_map_has_only_when_asked() -> None:
    a = np.zeros((8, 8), np.uint8)
    a[:4] = 1
    same = dice(a, a)
    assert same.endocardium == same.epicardium == 1
    assert np.isnan(same.atrium)
    assert dice(a, a, absent=0.0).atrium == 0
    mean, deviation = summary([same, dice(a, a * 0, absent=0.0)])
    assert mean[0] == deviation[0] == 0.5
    assert mean[2] == 0
    with pytest.raises(BadInput, match="label 4"):
        dice(a * 4, a)


def test_codes_of_both_networks_translate() -> None:
    labels = np.array([[0, 1], [2, 3]], np.uint8)
    sector = sector_codes(labels, np.ones((2, 2), np.uint8))
    assert sector.tolist() == [[2, 1], [3, 4]]
    assert camus_codes(sector).tolist() == labels.tolist()
    assert sector_codes(labels, np.array([[0, 1], [1, 0]])).tolist() == [[0, 1], [3, 0]]
    with pytest.raises(BadInput, match="label 5"):
        camus_codes(np.full((1, 1), 5, np.uint8))
    assert subsampled(3, 5).tolist() == [0, 0, 1, 1, 2]
