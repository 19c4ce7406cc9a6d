"""The segmentation U-Net of "Echo from noise", with the keys of the published state dict.

A U-Net of MONAI's shape (Cardoso et al. 2022): stride-2 convolutions down, transposed ones up, instance norms without
weights, LeakyReLU 0.1; the last convolution has neither. The first halves the picture: full resolution is never kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import torch
import torch.nn.functional as functional
from torch import nn

from echonode.tasks.segmentation import echo_unet
from echonode.tasks.segmentation.echo_unet import EchoUnet

ARCHITECTURE: Final = "camus-unet"
CHANNELS: Final = (2, 4, 8, 16, 32, 64, 128, 256)
SLOPE: Final = 0.1
ARCHITECTURES: Final = {ARCHITECTURE: "channels", echo_unet.ARCHITECTURE: "widths"}
"""Each with its argument for the width of its levels."""


def build(architecture: str, **config: Any) -> CamusUnet | EchoUnet:
    """The published "camus-unet", or our own "echo-unet".

    `in_channels` 1, `out_channels` 4 and one number a level may be given: `channels` of camus-unet, `widths` of echo-unet.

    Raises:
        ValueError: no such architecture, or an argument that it does not take.
    """
    if architecture not in ARCHITECTURES:
        raise ValueError(f"no architecture {architecture!r}; there are: {', '.join(ARCHITECTURES)}")
    sizes = ARCHITECTURES[architecture]
    surplus = sorted(set(config) - {"in_channels", "out_channels", sizes})
    if surplus:
        raise ValueError(f"{architecture} takes no argument {', '.join(surplus)}")
    return CamusUnet(**config) if architecture == ARCHITECTURE else EchoUnet(**config)


class CamusUnet(nn.Module):
    """(N, 1, H, W) -> logits (N, 4, H, W); H and W are multiples of 128, 256 or more."""

    def __init__(self, in_channels: int = 1, out_channels: int = 4, channels: Sequence[int] = CHANNELS) -> None:
        super().__init__()
        if len(channels) < 2:
            raise ValueError("channels of two levels or more are expected")
        self.model = _level(in_channels, out_channels, tuple(channels), top=True)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """The logits of each code."""
        logits: torch.Tensor = self.model(pictures)
        return logits


class Convolution(nn.Module):
    """A 3 x 3 convolution, then norm and activation unless `bare`."""

    def __init__(self, conv: nn.Conv2d | nn.ConvTranspose2d, *, bare: bool = False) -> None:
        super().__init__()
        self.conv = conv
        self._bare = bare

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, in, H, W) -> (N, out, H', W')."""
        h: torch.Tensor = self.conv(x)
        return h if self._bare else functional.leaky_relu(functional.instance_norm(h, eps=1e-5), SLOPE)


class Skip(nn.Module):
    """What goes in, beside what a deeper level makes of it."""

    def __init__(self, submodule: nn.Module) -> None:
        super().__init__()
        self.submodule = submodule

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) -> (N, C + deeper, H, W)."""
        return torch.cat((x, self.submodule(x)), dim=1)


def _level(in_channels: int, out_channels: int, channels: tuple[int, ...], *, top: bool) -> nn.Sequential:
    width, below = channels[0], channels[1]
    down = Convolution(nn.Conv2d(in_channels, width, 3, stride=2, padding=1))
    if len(channels) > 2:
        inner: nn.Module = _level(width, width, channels[1:], top=False)
        both = 2 * width
    else:
        inner = Convolution(nn.Conv2d(width, below, 3, padding=1))
        both = width + below
    up = nn.ConvTranspose2d(both, out_channels, 3, stride=2, padding=1, output_padding=1)
    return nn.Sequential(down, Skip(inner), Convolution(up, bare=top))
