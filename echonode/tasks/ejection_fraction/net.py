"""The networks of CoReEcho and its relatives, with the keys of the published state dicts.

`uniformer-small`: Li et al., "UniFormer: Unified Transformer for Efficient Spatiotemporal Representation Learning",
ICLR 2022, the small video model; Maani et al., "CoReEcho", MICCAI 2024 (arXiv 2403.10164) train it on echocardiograms,
with `ef-regressor` on its features. `r2plus1d-18` is EchoNet-Dynamic's (Ouyang et al., Nature 2020;580:252).
"""

from __future__ import annotations

from typing import Any, Final

import torch
import torch.nn.functional as functional
from torch import nn

from echonode.tasks.common.r2plus1d import r2plus1d_18

WIDTHS: Final = (64, 128, 320, 512)
DEPTHS: Final = (3, 4, 8, 3)
HEAD_CHANNELS: Final = 64
MLP_RATIO: Final = 4
DROPOUT: Final = 0.1
REGRESSOR_DROPOUT: Final = 0.4
EMBED_EPS: Final = 1e-5
BLOCK_EPS: Final = 1e-6
FEATURES: Final = WIDTHS[-1]
START_PERCENT: Final = 55.6
"""Where the output of an untrained network begins: the mean ejection fraction of the training data."""


def build(architecture: str, **config: Any) -> nn.Module:
    """The network of that name: "uniformer-small", "ef-regressor" or "r2plus1d-18".

    `outputs` is the width of the head of the first and the last (1).

    Raises:
        ValueError: no such architecture, or a constructor argument that it does not take.
    """
    takes = {"uniformer-small": {"outputs"}, "ef-regressor": set(), "r2plus1d-18": {"outputs"}}
    if architecture not in takes:
        raise ValueError(f"no architecture {architecture!r}; there are: {', '.join(takes)}")
    if unknown := sorted(config.keys() - takes[architecture]):
        raise ValueError(f"{architecture} takes no argument {', '.join(unknown)}")
    if architecture == "ef-regressor":
        return EjectionFractionRegressor()
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
    """Embeddings (N, 512) -> ejection fraction in percent (N, 1), neither bounded nor activated."""

    def __init__(self) -> None:
        super().__init__(
            nn.BatchNorm1d(FEATURES),
            nn.Dropout(REGRESSOR_DROPOUT),
            nn.Linear(FEATURES, FEATURES),
            nn.BatchNorm1d(FEATURES),
            nn.GELU(),
            nn.Dropout(REGRESSOR_DROPOUT),
            nn.Linear(FEATURES, 1),
        )
        nn.init.constant_(self.get_parameter("6.bias"), START_PERCENT)


class PatchEmbed(nn.Module):
    """Fewer, wider pixels: a strided convolution, then a layer norm over channels."""

    def __init__(
        self, in_channels: int, out_channels: int, *, kernel: tuple[int, int, int] = (1, 2, 2),
        stride: tuple[int, int, int] = (1, 2, 2), padding: tuple[int, int, int] = (0, 0, 0),
    ) -> None:  # fmt: skip
        super().__init__()
        self.norm = nn.LayerNorm(out_channels, eps=EMBED_EPS)
        self.proj = nn.Conv3d(in_channels, out_channels, kernel, stride, padding)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, T, H, W) -> (N, C', T', H', W')."""
        normed: torch.Tensor = self.norm(self.proj(x).permute(0, 2, 3, 4, 1))
        return normed.permute(0, 4, 1, 2, 3).contiguous()


class ConvolutionBlock(nn.Module):
    """Local aggregation by a depthwise 5 x 5 x 5 convolution in the place of attention."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.pos_embed = _depthwise(channels, 3)
        self.norm1 = nn.BatchNorm3d(channels)
        self.conv1 = nn.Conv3d(channels, channels, 1)
        self.conv2 = nn.Conv3d(channels, channels, 1)
        self.attn = _depthwise(channels, 5)
        self.norm2 = nn.BatchNorm3d(channels)
        self.mlp = _Mlp(nn.Conv3d(channels, MLP_RATIO * channels, 1), nn.Conv3d(MLP_RATIO * channels, channels, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, T, H, W) -> the same."""
        x = x + self.pos_embed(x)
        x = x + self.conv2(self.attn(self.conv1(self.norm1(x))))
        mixed: torch.Tensor = x + self.mlp(self.norm2(x))
        return mixed


class AttentionBlock(nn.Module):
    """Attention of every pixel of every frame to every other."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.pos_embed = _depthwise(channels, 3)
        self.norm1 = nn.LayerNorm(channels, eps=BLOCK_EPS)
        self.attn = Attention(channels)
        self.norm2 = nn.LayerNorm(channels, eps=BLOCK_EPS)
        self.mlp = _Mlp(nn.Linear(channels, MLP_RATIO * channels), nn.Linear(MLP_RATIO * channels, channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, T, H, W) -> the same."""
        x = x + self.pos_embed(x)
        tokens: torch.Tensor = x.flatten(2).transpose(1, 2)
        tokens = tokens + self.attn(self.norm1(tokens))
        tokens = tokens + self.mlp(self.norm2(tokens))
        return tokens.transpose(1, 2).reshape(x.shape)


class Attention(nn.Module):
    """Multi-head self-attention with heads of 64 channels; the rows of `qkv` are query, key, value."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.heads = channels // HEAD_CHANNELS
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)
        self.proj_drop = nn.Dropout(DROPOUT)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """(N, L, C) -> the same."""
        count, length, channels = tokens.shape
        q, k, v = self.qkv(tokens).view(count, length, 3, self.heads, HEAD_CHANNELS).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(q, k, v, dropout_p=DROPOUT if self.training else 0.0)
        answer: torch.Tensor = self.proj_drop(self.proj(mixed.transpose(1, 2).reshape(count, length, channels)))
        return answer


class _Mlp(nn.Module):
    """Widens, activates (exact GELU) and narrows; `fc1` and `fc2` are linear or 1 x 1 x 1 convolutions."""

    def __init__(self, fc1: nn.Module, fc2: nn.Module) -> None:
        super().__init__()
        self.fc1, self.fc2 = fc1, fc2
        self.act, self.drop = nn.GELU(), nn.Dropout(DROPOUT)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The same shape."""
        answer: torch.Tensor = self.drop(self.fc2(self.drop(self.act(self.fc1(x)))))
        return answer


def _depthwise(channels: int, size: int) -> nn.Conv3d:
    return nn.Conv3d(channels, channels, size, padding=size // 2, groups=channels)


def _start(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
