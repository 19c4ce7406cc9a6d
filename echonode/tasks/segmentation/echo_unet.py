"""A small U-Net of our own for the sound recipe: space to depth, two convolutions a level, bilinear steps up.

After Ronneberger et al. (MICCAI 2015), about a million weights. Four neighbouring pixels go in as four channels and come
out again as four (Shi et al., CVPR 2016), so that nothing is computed at full resolution and nothing of it is lost: it
trains and runs on one CPU core. It learns labels averaged over what a pixel covers: a border lies between pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
import torch.nn.functional as functional
from torch import nn

ARCHITECTURE: Final = "echo-unet"
WIDTHS: Final = (24, 48, 96, 160)


class EchoUnet(nn.Module):
    """(N, 1, H, W) -> logits (N, 4, H, W); H and W are multiples of 2 ** levels."""

    def __init__(self, in_channels: int = 1, out_channels: int = 4, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        if len(widths) < 2 or min(widths) < 1:
            raise ValueError("widths of two levels or more are expected")
        self.down = nn.ModuleList(
            Two(before, width) for before, width in zip((4 * in_channels, *widths[:-1]), widths, strict=True)
        )
        self.up = nn.ModuleList(
            Two(below + width, width) for below, width in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )
        self.head = nn.Conv2d(widths[0], 4 * out_channels, 1)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """The logits of each code."""
        kept = []
        x = functional.pixel_unshuffle(pictures, 2)
        for level, block in enumerate(self.down):
            x = block(x if level == 0 else functional.max_pool2d(x, 2))
            kept.append(x)
        for block, skip in zip(self.up, kept[-2::-1], strict=True):
            large = functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
            x = block(torch.cat((skip, large), dim=1))
        return functional.pixel_shuffle(self.head(x), 2)


class Two(nn.Module):
    """Convolution, norm and activation, twice."""

    def __init__(self, before: int, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(before, width, 3, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(width)
        self.second = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, before, H, W) -> (N, width, H, W)."""
        x = functional.relu(self.first_norm(self.first(x)), inplace=True)
        return functional.relu(self.second_norm(self.second(x)), inplace=True)
