"""CardioNet and QuickNAT, with the keys of the published state dicts.

CardioNet judges the quality of a stretch of M-mode; QuickNAT (Roy et al., NeuroImage 2019;186:713) outlines the cavity
of the left ventricle. Both as Echo2Pheno uses them (Bukas et al., Mamm Genome 2023;34:200, for conscious mice).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

import torch
import torch.nn.functional as functional
from torch import nn

Statistics = Literal["stored", "batch"]

CARDIONET_WIDTHS: Final = (1, 64, 128, 256, 128, 64)
CARDIONET_SIDE: Final = 256
FILTERS: Final = 64
KERNEL: Final = 5
DROPOUT: Final = 0.2
LEVELS: Final = 4
DECODERS: Final = ((4, 4), (1, 3), (2, 2), (3, 1))
"""The published wiring: which decoder comes next, and which encoder's skip and indices it is given."""


def build(architecture: str, **config: Any) -> CardioNet | QuickNat:
    """The network of that name: "cardionet" (x -> logit, probability) or "quicknat" (x -> logits).

    Raises:
        ValueError: no such architecture, or a constructor argument that it does not take.
    """
    networks: dict[str, Callable[[], CardioNet | QuickNat]] = {"cardionet": CardioNet, "quicknat": QuickNat}
    if architecture not in networks:
        raise ValueError(f"no architecture {architecture!r}; there are: {', '.join(networks)}")
    if config:
        raise ValueError(f"{architecture} takes no argument {', '.join(sorted(config))}")
    return networks[architecture]()


def use_statistics(network: nn.Module, statistics: Statistics) -> None:
    """Let every batch normalisation use the stored statistics, or those of the batch that it is given.

    Running averages are never changed. The authors' pipeline never leaves training mode, so "batch", one window at a
    time, is what their published numbers were made with.
    """
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.train(statistics == "batch")
            module.track_running_stats = statistics == "stored"


class CardioNet(nn.Module):
    """(N, 1, 256, 256) in -1 to 1 -> logit (N, 1), probability (N,) that the stretch is good."""

    def __init__(self) -> None:
        super().__init__()
        for level in range(1, len(CARDIONET_WIDTHS)):
            self.add_module(f"conv_block{level}", Convolved(CARDIONET_WIDTHS[level - 1], CARDIONET_WIDTHS[level]))
        side = CARDIONET_SIDE >> (len(CARDIONET_WIDTHS) - 1)
        self.linear = nn.Linear(CARDIONET_WIDTHS[-1] * side * side, 1)

    def forward(self, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logit and probability of `pictures`."""
        logit: torch.Tensor = self.linear(self.blocks(pictures)[-1].flatten(1))
        return logit, torch.sigmoid(logit).squeeze(1)

    def blocks(self, pictures: torch.Tensor) -> list[torch.Tensor]:
        """What each of the five blocks gives, halved in size from one to the next."""
        found: list[torch.Tensor] = []
        for level in range(1, len(CARDIONET_WIDTHS)):
            found.append(self.get_submodule(f"conv_block{level}")(found[-1] if found else pictures))
        return found


class Convolved(nn.Module):
    """Convolution, ReLU, and only then batch normalisation; then half the size."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.double_conv = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 3, padding=1), nn.ReLU(), nn.BatchNorm2d(out_channels)
        )

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """(N, in, H, W) -> (N, out, H/2, W/2)."""
        return functional.max_pool2d(self.double_conv(pictures), 2)


@dataclass(frozen=True, slots=True, eq=False)
class Level:
    """What an encoder leaves behind: its skip (N, 64, H, W), the pooled skip, and where each maximum lay."""

    skip: torch.Tensor
    pooled: torch.Tensor
    indices: torch.Tensor


class QuickNat(nn.Module):
    """(N, 1, H, W) in 0 to 1 -> logits (N, 1, H, W) of the cavity; H and W are at least 16."""

    def __init__(self) -> None:
        super().__init__()
        for level in range(1, LEVELS + 1):
            self.add_module(f"encode{level}", Dense(1 if level == 1 else FILTERS))
        self.bottleneck = Dense(FILTERS)
        for level in range(1, LEVELS + 1):
            self.add_module(f"decode{level}", Dense(2 * FILTERS))
        self.classifier = Classifier()
        self.dropout = ChannelDropout()

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """The logits of `pictures`."""
        levels = self.encoded(pictures)
        lifted = self.bottleneck(levels[-1].pooled)
        for decoder, level in DECODERS:
            from_encoder = levels[level - 1]
            unpooled = functional.max_unpool2d(
                lifted, from_encoder.indices, [2, 2], [2, 2], output_size=list(from_encoder.skip.shape[2:])
            )
            joined = torch.cat((from_encoder.skip, unpooled), dim=1)
            lifted = self.dropout(self.get_submodule(f"decode{decoder}")(joined))
        logits: torch.Tensor = self.classifier(lifted)
        return logits

    def encoded(self, pictures: torch.Tensor) -> list[Level]:
        """What the four encoders give."""
        levels: list[Level] = []
        for level in range(1, LEVELS + 1):
            above = levels[-1].pooled if levels else pictures
            skip = self.dropout(self.get_submodule(f"encode{level}")(above))
            levels.append(Level(skip, *functional.max_pool2d(skip, 2, 2, return_indices=True)))
        return levels


class Dense(nn.Module):
    """Three convolutions, each fed by everything before it; normalised and activated before each of them.

    One PReLU of one parameter serves all three places.
    """

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        widths = [in_channels + step * FILTERS for step in range(3)]
        self.conv1 = nn.Conv2d(widths[0], FILTERS, KERNEL, padding=KERNEL // 2)
        self.conv2 = nn.Conv2d(widths[1], FILTERS, KERNEL, padding=KERNEL // 2)
        self.conv3 = nn.Conv2d(widths[2], FILTERS, 1)
        self.batchnorm1 = nn.BatchNorm2d(widths[0])
        self.batchnorm2 = nn.BatchNorm2d(widths[1])
        self.batchnorm3 = nn.BatchNorm2d(widths[2])
        self.prelu = nn.PReLU()

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """(N, in, H, W) -> (N, 64, H, W)."""
        first = self.conv1(self.prelu(self.batchnorm1(pictures)))
        second = self.conv2(self.prelu(self.batchnorm2(torch.cat((pictures, first), dim=1))))
        third: torch.Tensor = self.conv3(self.prelu(self.batchnorm3(torch.cat((pictures, first, second), dim=1))))
        return third


class Classifier(nn.Module):
    """A 1 x 1 convolution to one logit."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(FILTERS, 1, 1)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """(N, 64, H, W) -> (N, 1, H, W)."""
        logits: torch.Tensor = self.conv(pictures)
        return logits


class ChannelDropout(nn.Module):
    """Drops whole channels with the published probability while a generator is given, and nothing otherwise."""

    def __init__(self) -> None:
        super().__init__()
        self.generator: torch.Generator | None = None

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """The same shape."""
        if self.generator is None:
            return pictures
        drawn = torch.rand((*pictures.shape[:2], 1, 1), generator=self.generator, device=self.generator.device)
        kept = (drawn >= DROPOUT).to(pictures) / (1 - DROPOUT)
        return pictures * kept
