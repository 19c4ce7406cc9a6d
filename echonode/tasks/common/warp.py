"""Backward warp of an image by a flow in pixels, in the three conventions that checkpoints were trained with.

`half-pixel` is what `grid_sample` does since torch 1.3 with the authors' grid (pixel centres at n + 0.5: no motion
shifts by half a pixel); `legacy` is torch 1.2 and before (corners aligned, but the grid divides by the size, not the
size minus one); both sample zero outside the image. `exact` leaves a picture without motion as it is and repeats the
border.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as functional

WarpConvention = Literal["half-pixel", "legacy", "exact"]
Sampling = Literal["bilinear", "bicubic"]
CONVENTIONS: tuple[WarpConvention, ...] = ("half-pixel", "legacy", "exact")


def warp(
    image: torch.Tensor, flow: torch.Tensor, *, convention: WarpConvention, how: Sampling = "bilinear"
) -> torch.Tensor:
    """`image` (N, C, H, W) sampled where `flow` (N, 2, H, W; x then y, in pixels) points; same shape.

    `image` may have N = 1 for any number of flows. Published networks sample bilinearly; bicubic keeps fine texture.
    """
    count, _, height, width = flow.shape
    rows = torch.arange(height, device=flow.device, dtype=flow.dtype).view(1, height, 1)
    columns = torch.arange(width, device=flow.device, dtype=flow.dtype).view(1, 1, width)
    x, y = columns + flow[:, 0], rows + flow[:, 1]
    if convention == "exact":
        grid = torch.stack((2 * x / max(width - 1, 1) - 1, 2 * y / max(height - 1, 1) - 1), dim=3)
    else:
        grid = torch.stack((2 * (x / width - 0.5), 2 * (y / height - 0.5)), dim=3)
    return functional.grid_sample(
        image.expand(count, -1, -1, -1),
        grid,
        mode=how,
        padding_mode="border" if convention == "exact" else "zeros",
        align_corners=convention != "half-pixel",
    )
