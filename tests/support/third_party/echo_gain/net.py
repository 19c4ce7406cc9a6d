"""A very small network: from a few frames to one number."""

from __future__ import annotations

import torch
from torch import nn

ARCHITECTURE = "grey-net"


class GreyNet(nn.Module):
    """Grey level (N,), 0 to 1, of pictures (N, F, H, W), 0 to 1. Frames are seen one by one, their features averaged."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.seen = nn.Sequential(
            nn.Conv2d(1, width, 5, 2, 2), nn.ReLU(), nn.Conv2d(width, 2 * width, 3, 2, 1), nn.ReLU()
        )
        self.last = nn.Linear(4 * width + 2, 1)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """The grey levels."""
        count, frames, height, width = pictures.shape
        flat = pictures.reshape(count * frames, 1, height, width)
        seen = self.seen(flat)
        pooled = (seen.mean((2, 3)), seen.amax((2, 3)), flat.mean((2, 3)), flat.std((2, 3)))
        features = torch.cat(pooled, dim=1).reshape(count, frames, -1).mean(1)
        grey: torch.Tensor = self.last(features)[:, 0].sigmoid()
        return grey
