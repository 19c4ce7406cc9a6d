"""The networks of CoReEcho and its relatives, with the keys of the published state dicts.

`uniformer-small`: Li et al., "UniFormer: Unified Transformer for Efficient Spatiotemporal Representation Learning",
ICLR 2022, the small video model; Maani et al., "CoReEcho", MICCAI 2024 (arXiv 2403.10164) train it on echocardiograms,
with `ef-regressor` on its features. `r2plus1d-18` is EchoNet-Dynamic's (Ouyang et al., Nature 2020;580:252).
`uniformer-compact` is echonode's own small one.
"""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import nn

from echonode.tasks.common.r2plus1d import r2plus1d_18
from echonode.tasks.ejection_fraction.blocks import DROPOUT, AttentionBlock, ConvolutionBlock, PatchEmbed
from echonode.tasks.ejection_fraction.compact import CompactUniFormer

WIDTHS: Final = (64, 128, 320, 512)
DEPTHS: Final = (3, 4, 8, 3)
REGRESSOR_DROPOUT: Final = 0.4
FEATURES: Final = WIDTHS[-1]
START_PERCENT: Final = 55.6
"""Where the output of an untrained network begins: the mean ejection fraction of the training data."""


def build(architecture: str, **config: Any) -> nn.Module:
    """The network of that name: "uniformer-small", "uniformer-compact", "ef-regressor" or "r2plus1d-18".

    `outputs` is the width of the head of uniformer-small and r2plus1d-18 (1); `features` and `dropout` are the
    regressor's (512, 0.4), `widths`, `depths` and `dropout` uniformer-compact's.

    Raises:
        ValueError: no such architecture, or a constructor argument that it does not take.
    """
    takes = {
        "uniformer-small": {"outputs"}, "uniformer-compact": {"widths", "depths", "dropout"},
        "ef-regressor": {"features", "dropout"}, "r2plus1d-18": {"outputs"},
    }  # fmt: skip
    if architecture not in takes:
        raise ValueError(f"no architecture {architecture!r}; there are: {', '.join(takes)}")
    if unknown := sorted(config.keys() - takes[architecture]):
        raise ValueError(f"{architecture} takes no argument {', '.join(unknown)}")
    if architecture == "ef-regressor":
        return EjectionFractionRegressor(**config)
    if architecture == "uniformer-compact":
        return CompactUniFormer(**config)
    outputs = int(config.get("outputs", 1))
    return UniFormer(outputs=outputs) if architecture == "uniformer-small" else r2plus1d_18(outputs=outputs)


class UniFormer(nn.Module):
    """(N, 3, T, H, W) of any T >= 1 and H, W >= 32 -> (head (N, outputs), embedding (N, 512)).

    Convolutions mix neighbours in the first two stages, attention over all of space and time in the last two.
    """

    def __init__(self, *, outputs: int = 1) -> None:
        super().__init__()
        self.patch_embed1 = PatchEmbed(3, WIDTHS[0], kernel=(3, 4, 4), stride=(2, 4, 4), padding=(1, 0, 0))
        self.patch_embed2 = PatchEmbed(WIDTHS[0], WIDTHS[1])
        self.patch_embed3 = PatchEmbed(WIDTHS[1], WIDTHS[2])
        self.patch_embed4 = PatchEmbed(WIDTHS[2], WIDTHS[3])
        self.pos_drop = nn.Dropout(DROPOUT)
        self.blocks1 = nn.ModuleList(ConvolutionBlock(WIDTHS[0]) for _ in range(DEPTHS[0]))
        self.blocks2 = nn.ModuleList(ConvolutionBlock(WIDTHS[1]) for _ in range(DEPTHS[1]))
        self.blocks3 = nn.ModuleList(AttentionBlock(WIDTHS[2]) for _ in range(DEPTHS[2]))
        self.blocks4 = nn.ModuleList(AttentionBlock(WIDTHS[3]) for _ in range(DEPTHS[3]))
        self.norm = nn.BatchNorm3d(FEATURES)
        self.head = nn.Linear(FEATURES, outputs)
        self.apply(_start)
        if outputs == 1:
            nn.init.constant_(self.head.bias, START_PERCENT)

    def forward(self, clips: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The head's output and the embedding, the mean of the last stage over time and space."""
        x = self.pos_drop(self.patch_embed1(clips))
        for stage in range(1, 5):
            if stage > 1:
                x = self.get_submodule(f"patch_embed{stage}")(x)
            for block in self.get_submodule(f"blocks{stage}").children():
                x = block(x)
        embedding = self.norm(x).flatten(2).mean(dim=-1)
        return self.head(embedding), embedding


class EjectionFractionRegressor(nn.Sequential):
    """Embeddings (N, features) -> ejection fraction in percent (N, 1), neither bounded nor activated."""

    def __init__(self, *, features: int = FEATURES, dropout: float = REGRESSOR_DROPOUT) -> None:
        super().__init__(
            nn.BatchNorm1d(features),
            nn.Dropout(dropout),
            nn.Linear(features, features),
            nn.BatchNorm1d(features),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(features, 1),
        )
        nn.init.constant_(self.get_parameter("6.bias"), START_PERCENT)


def _start(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
