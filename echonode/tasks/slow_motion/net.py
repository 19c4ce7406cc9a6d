"""The two U-Nets of Super SloMo, with the keys of the published state dicts.

Jiang et al., "Super SloMo: High Quality Estimation of Multiple Intermediate Frames for Video Interpolation", CVPR
2018, in the layout of Paliwal's implementation, which Sahashi et al. (Int J Cardiovasc Imaging 2024, 40:385) trained on
echocardiograms. No normalisation, no dropout; every convolution, the last one too, is followed by LeakyReLU(0.1).
"""

from __future__ import annotations

from typing import Final

import torch
import torch.nn.functional as functional
from torch import nn

SLOPE: Final = 0.1
MULTIPLE: Final = 32
WIDTHS: Final = (32, 64, 128, 256, 512, 512)
KERNELS: Final = (5, 3, 3, 3, 3)


def build(architecture: str, *, narrow: int = 1) -> UNet:
    """The network of that name: "superslomo-flow" (6 -> 4 channels) or "superslomo-interpolation" (20 -> 5).

    `narrow` divides every width; the published networks have 1.

    Raises:
        ValueError: no such architecture, or a division that leaves a layer without channels.
    """
    channels = {"superslomo-flow": (6, 4), "superslomo-interpolation": (20, 5)}
    if architecture not in channels:
        raise ValueError(f"no architecture {architecture!r}; there are: {', '.join(channels)}")
    if not 1 <= narrow <= WIDTHS[0]:
        raise ValueError(f"{architecture}: narrow {narrow}: from 1 to {WIDTHS[0]} is expected")
    return UNet(*channels[architecture], narrow=narrow)


class UNet(nn.Module):
    """(N, in, H, W) -> (N, out, H, W); H and W are multiples of 32."""

    def __init__(self, in_channels: int, out_channels: int, *, narrow: int = 1) -> None:
        super().__init__()
        widths = [width // narrow for width in WIDTHS]
        self.conv1 = _same(in_channels, widths[0], 7)
        self.conv2 = _same(widths[0], widths[0], 7)
        for level, kernel in enumerate(KERNELS, start=1):
            self.add_module(f"down{level}", Down(widths[level - 1], widths[level], kernel))
        for level in range(1, 6):
            above = widths[5 - level]
            self.add_module(f"up{level}", Up(widths[6 - level], above))
        self.conv3 = _same(widths[0], out_channels, 3)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """The network's answer for `pictures`."""
        return self.after_first(self.conv1(pictures))

    def after_first(self, first: torch.Tensor) -> torch.Tensor:
        """The answer from what the first convolution gave, bias included, before its activation."""
        skips = [_activated(self.conv2(_activated(first.to(self.conv2.weight.dtype))))]
        for level in range(1, 6):
            skips.append(self.get_submodule(f"down{level}")(skips[-1]))
        lifted = skips.pop()
        for level in range(1, 6):
            lifted = self.get_submodule(f"up{level}")(lifted, skips.pop())
        return _activated(self.conv3(lifted))


class Down(nn.Module):
    """Halves the size and widens."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int) -> None:
        super().__init__()
        self.conv1 = _same(in_channels, out_channels, kernel)
        self.conv2 = _same(out_channels, out_channels, kernel)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """(N, in, H, W) -> (N, out, H/2, W/2)."""
        return _activated(self.conv2(_activated(self.conv1(functional.avg_pool2d(pictures, 2)))))


class Up(nn.Module):
    """Doubles the size, narrows, and joins the skip of that level."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv1 = _same(in_channels, out_channels, 3)
        self.conv2 = _same(2 * out_channels, out_channels, 3)

    def forward(self, pictures: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
        """(N, in, H, W) and (N, out, 2H, 2W) -> (N, out, 2H, 2W)."""
        larger = functional.interpolate(pictures, scale_factor=2.0, mode="bilinear", align_corners=False)
        return _activated(self.conv2(torch.cat((_activated(self.conv1(larger)), skip), dim=1)))


def _same(in_channels: int, out_channels: int, kernel: int) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, kernel, padding=(kernel - 1) // 2)


def _activated(features: torch.Tensor) -> torch.Tensor:
    return functional.leaky_relu(features, SLOPE)
