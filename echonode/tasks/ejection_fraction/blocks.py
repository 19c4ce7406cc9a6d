"""The blocks of UniFormer: patches, local aggregation by depthwise convolutions, attention over space and time."""

from __future__ import annotations

from typing import Final

import torch
import torch.nn.functional as functional
from torch import nn

HEAD_CHANNELS: Final = 64
MLP_RATIO: Final = 4
DROPOUT: Final = 0.1
EMBED_EPS: Final = 1e-5
BLOCK_EPS: Final = 1e-6


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
        self.mlp = Mlp(nn.Conv3d(channels, MLP_RATIO * channels, 1), nn.Conv3d(MLP_RATIO * channels, channels, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, T, H, W) -> the same."""
        x = x + self.pos_embed(x)
        x = x + self.conv2(self.attn(self.conv1(self.norm1(x))))
        mixed: torch.Tensor = x + self.mlp(self.norm2(x))
        return mixed


class AttentionBlock(nn.Module):
    """Attention of every pixel of every frame to every other."""

    def __init__(self, channels: int, *, dropout: float = DROPOUT) -> None:
        super().__init__()
        self.pos_embed = _depthwise(channels, 3)
        self.norm1 = nn.LayerNorm(channels, eps=BLOCK_EPS)
        self.attn = Attention(channels, dropout=dropout)
        self.norm2 = nn.LayerNorm(channels, eps=BLOCK_EPS)
        wide = MLP_RATIO * channels
        self.mlp = Mlp(nn.Linear(channels, wide), nn.Linear(wide, channels), dropout=dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, T, H, W) -> the same."""
        x = x + self.pos_embed(x)
        tokens: torch.Tensor = x.flatten(2).transpose(1, 2)
        tokens = tokens + self.attn(self.norm1(tokens))
        tokens = tokens + self.mlp(self.norm2(tokens))
        return tokens.transpose(1, 2).reshape(x.shape)


class Attention(nn.Module):
    """Multi-head self-attention with heads of 64 channels; the rows of `qkv` are query, key, value."""

    def __init__(self, channels: int, *, dropout: float = DROPOUT) -> None:
        super().__init__()
        self.heads = channels // HEAD_CHANNELS
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)
        self.proj_drop = nn.Dropout(dropout)
        self._dropout = dropout

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """(N, L, C) -> the same."""
        count, length, channels = tokens.shape
        q, k, v = self.qkv(tokens).view(count, length, 3, self.heads, HEAD_CHANNELS).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(q, k, v, dropout_p=self._dropout if self.training else 0.0)
        answer: torch.Tensor = self.proj_drop(self.proj(mixed.transpose(1, 2).reshape(count, length, channels)))
        return answer


class Mlp(nn.Module):
    """Widens, activates (exact GELU) and narrows; `fc1` and `fc2` are linear or 1 x 1 x 1 convolutions."""

    def __init__(self, fc1: nn.Module, fc2: nn.Module, *, dropout: float = DROPOUT) -> None:
        super().__init__()
        self.fc1, self.fc2 = fc1, fc2
        self.act, self.drop = nn.GELU(), nn.Dropout(dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The same shape."""
        answer: torch.Tensor = self.drop(self.fc2(self.drop(self.act(self.fc1(x)))))
        return answer


def _depthwise(channels: int, size: int) -> nn.Conv3d:
    return nn.Conv3d(channels, channels, size, padding=size // 2, groups=channels)
