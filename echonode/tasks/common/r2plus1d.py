"""R(2+1)D with 18 layers, for every task whose authors used it; torchvision keeps the network.

Tran et al., "A Closer Look at Spatiotemporal Convolutions for Action Recognition", CVPR 2018.
"""

from __future__ import annotations

from typing import Final, cast

import torch
from torch import nn

STAGES: Final = ("stem", "layer1", "layer2", "layer3", "layer4")


def r2plus1d_18(*, outputs: int = 1) -> nn.Module:
    """(N, 3, T, H, W) -> (N, outputs), with torchvision's keys; nothing is downloaded."""
    from torchvision.models.video import r2plus1d_18 as network

    return cast(nn.Module, network(weights=None, num_classes=outputs))


def features(network: nn.Module, clips: torch.Tensor) -> torch.Tensor:
    """The embedding (N, 512) from which `network.fc` makes the answer."""
    x = clips
    for stage in STAGES:
        x = network.get_submodule(stage)(x)
    return cast(torch.Tensor, network.get_submodule("avgpool")(x)).flatten(1)
