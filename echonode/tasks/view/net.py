"""A small network that sees a few frames of a loop and says which view they show."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, Final

import torch
import torch.nn.functional as functional
from torch import nn

from echonode.tasks.view.classes import CLASSES

ARCHITECTURE: Final = "echo-view"
WIDTHS: Final = (24, 40, 64, 96, 144)
COORDINATES: Final = 2


class ViewNet(nn.Module):
    """Logits (N, 8) of pictures (N, F, H, W): each frame alone through convolutions, their features pooled over frames.

    Two further channels tell every pixel where it lies: a view is an arrangement, and pooling would forget it.
    """

    def __init__(self, widths: Sequence[int] = WIDTHS, *, dropout: float = 0.2) -> None:
        super().__init__()
        self.stem = _convolved(1 + COORDINATES, widths[0], kernel=5, stride=2)
        self.stages = nn.Sequential(*(Stage(first, second) for first, second in itertools.pairwise(widths)))
        self.dropout = nn.Dropout(dropout)
        self.last = nn.Linear(4 * widths[-1], len(CLASSES))

    def features(self, pictures: torch.Tensor) -> torch.Tensor:
        """What the network sees in each frame, pooled over place and frames: (N, 4 * the last width)."""
        count, frames, height, width = pictures.shape
        flat = pictures.reshape(count * frames, 1, height, width)
        down = torch.linspace(-1, 1, height, device=pictures.device, dtype=pictures.dtype)
        right = torch.linspace(-1, 1, width, device=pictures.device, dtype=pictures.dtype)
        places = torch.stack((down[:, None].expand(height, width), right.expand(height, width)))
        placed = torch.cat((flat, places.expand(len(flat), -1, -1, -1)), dim=1)
        seen = self.stages(self.stem(placed.contiguous(memory_format=torch.channels_last)))
        pooled = torch.cat((seen.mean(dim=(2, 3)), seen.amax(dim=(2, 3))), dim=1).float()
        over = pooled.reshape(count, frames, -1)
        return torch.cat((over.mean(dim=1), over.amax(dim=1)), dim=1)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """The logits of `pictures`, as `prepare.normalised` gives them."""
        logits: torch.Tensor = self.last(self.dropout(self.features(pictures)))
        return logits


class Stage(nn.Module):
    """Half the size, then a residual convolution."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.down = _convolved(before, after, stride=2)
        self.more = nn.Sequential(nn.Conv2d(after, after, 3, padding=1, bias=False), nn.BatchNorm2d(after))

    def forward(self, seen: torch.Tensor) -> torch.Tensor:
        """Features of half the size."""
        half = self.down(seen)
        return functional.relu(half + self.more(half))


def build(**config: Any) -> ViewNet:
    """The network with `widths` of its own where given.

    Raises:
        ValueError: widths that are none.
    """
    widths = config.get("widths", WIDTHS)
    if not isinstance(widths, list | tuple) or not 3 <= len(widths) <= 8:
        raise ValueError(f"{ARCHITECTURE}: widths are 3 to 8 whole numbers, not {str(widths)[:40]!r}")
    if any(type(width) is not int or not 1 <= width <= 1024 for width in widths):
        raise ValueError(f"{ARCHITECTURE}: widths are 3 to 8 whole numbers from 1 to 1024")
    return ViewNet(tuple(widths))


def _convolved(before: int, after: int, *, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(after), nn.ReLU(inplace=True)
    )
