"""M-mode of a heart whose diameter is known, and real networks with weights set by hand: dark between bright is cavity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydicom.dataset import Dataset

from echonode.tasks.mmode.net import CardioNet, QuickNat, build
from tests.support.loops import loop_dataset

ROWS, COLUMNS = 160, 160
SECONDS, MILLIMETRES = 0.002, 0.05
PERIOD = 50
"""Columns of a beat: 600 beats a minute."""


@dataclass(frozen=True, slots=True)
class Heart:
    """A strip uint8 (H, L), and the true diameter of each column in mm."""

    strip: np.ndarray
    lvid: np.ndarray


def heart(*, columns: int = COLUMNS, rows: int = ROWS, seed: int = 0) -> Heart:
    """Bright walls, a dark cavity that beats between 5 and 3.2 mm; end-diastoles at columns 20, 70, 120 …"""
    lvid = 4.1 + 0.9 * np.cos(2 * np.pi * (np.arange(columns) - 20) / PERIOD)
    pixels = lvid / MILLIMETRES
    noise = np.random.default_rng(seed).integers(0, 40, (rows, columns))
    row = np.arange(rows)[:, None] + 0.5
    cavity = (row > rows / 2 - pixels / 2) & (row < rows / 2 + pixels / 2)
    return Heart(strip=np.where(cavity, noise, 200 + noise).astype(np.uint8), lvid=lvid)


def region(*, columns: int = COLUMNS, rows: int = ROWS, x0: int = 0, y0: int = 0, **other: Any) -> Dataset:
    """An item of the Sequence of Ultrasound Regions, of M-mode in s by cm unless `other` says something else."""
    item = Dataset()
    item.RegionSpatialFormat, item.RegionDataType, item.RegionFlags = 2, 1, 0
    item.RegionLocationMinX0, item.RegionLocationMinY0 = x0, y0
    item.RegionLocationMaxX1, item.RegionLocationMaxY1 = x0 + columns - 1, y0 + rows - 1
    item.PhysicalUnitsXDirection, item.PhysicalUnitsYDirection = 4, 3
    item.PhysicalDeltaX, item.PhysicalDeltaY = SECONDS, MILLIMETRES / 10
    for keyword, value in other.items():
        setattr(item, keyword, value)
    return item


def write_mmode(path: Path, frames: np.ndarray, *, regions: Sequence[Dataset] | None = None, **other: Any) -> Path:
    """Frames uint8 (T, H, W) as a DICOM file of M-mode; `other` are further attributes."""
    dataset = loop_dataset(frames=len(frames))
    count, rows, columns = frames.shape
    dataset.NumberOfFrames, dataset.Rows, dataset.Columns = count, rows, columns
    dataset.PixelData = frames.tobytes()
    dataset.SequenceOfUltrasoundRegions = [region(columns=columns, rows=rows)] if regions is None else list(regions)
    for keyword, value in other.items():
        setattr(dataset, keyword, value)
    dataset.save_as(path, enforce_file_format=True)
    return path


def outlining_network() -> QuickNat:
    """QuickNAT with the published keys whose weights pass the picture on, so that what is dark has a positive logit."""
    network = build("quicknat")
    assert isinstance(network, QuickNat)
    with torch.no_grad():
        for name, value in network.state_dict().items():
            value.fill_(1.0 if name.endswith(("running_var", "prelu.weight")) or _scale(name) else 0.0)
        network.encode1.conv3.weight[0, 0] = 1.0
        network.decode3.conv3.weight[0, 0] = 1.0  # the last decoder, by the published wiring
        network.classifier.conv.weight[0, 0] = -20.0
        network.classifier.conv.bias[0] = 20.0 * 0.45
    return network.eval().requires_grad_(False)


def deciding_network(logit: float) -> CardioNet:
    """CardioNet that says the same of every stretch."""
    network = build("cardionet")
    assert isinstance(network, CardioNet)
    with torch.no_grad():
        network.linear.weight.zero_()
        network.linear.bias.fill_(logit)
    return network.eval().requires_grad_(False)


def segmentation_file(path: Path, network: QuickNat) -> Path:
    """A file as the authors save their segmentation network."""
    torch.save(segmentation_content(network), path)
    return path


def segmentation_content(network: QuickNat) -> dict[str, Any]:
    """What that file holds."""
    return {
        "epoch": 20, "net_state_dict": network.state_dict(),
        "optimizer": {"state": {0: {"step": torch.tensor(4.0)}}, "param_groups": [{"lr": 1e-4, "params": [0]}]},
        "loss": torch.tensor(0.05), "dice": torch.tensor(0.98), "mse": torch.tensor(0.02), "best_dice": 0.98,
        "best_mse": 0,
    }  # fmt: skip


def _scale(name: str) -> bool:
    return ".batchnorm" in name and name.endswith(".weight")
