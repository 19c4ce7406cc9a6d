"""A small relative of UniFormer for one CPU core: local blocks within frames, then attention over space and time.

Li et al., ICLR 2022, reduced: three stages, dense 3 x 3 kernels within a frame in the place of depthwise ones over
space and time (which a CPU computes slowly), and beside the mean over time how far each feature swings in the clip:
what an ejection fraction is made of.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
import torch.nn.functional as functional
from torch import nn

from echonode.tasks.ejection_fraction.blocks import BLOCK_EPS, EMBED_EPS, MLP_RATIO, Attention, Mlp

WIDTHS: Final = (32, 64, 128)
DEPTHS: Final = (1, 1, 2)
PATCH: Final = 4
"""Pixels of the first patches."""
STEP: Final = 3
"""Frames that are looked at together."""
CELL: Final = 2 * PATCH
"""Pixels of a cell of the second stage, in which the share of the cavity is learned."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Seen:
    """What the encoder gives: `embedding` (N, 2 C); `course` (N, T', C) over time; `cells` (N, T', C2, H / 8, W / 8)."""

    embedding: torch.Tensor
    course: torch.Tensor
    cells: torch.Tensor


class CompactUniFormer(nn.Module):
    """(N, 3, T, H, W), T a multiple of 3, H and W of 16 -> (nothing (N, 0), embedding (N, 2 x the last width)).

    One channel is looked at: echo is grey. There is no head: the regressor says the ejection fraction.
    """

    def __init__(self, *, widths: Sequence[int] = WIDTHS, depths: Sequence[int] = DEPTHS, dropout: float = 0.0) -> None:
        super().__init__()
        first, second, third = widths
        self.patch_embed1 = nn.Conv2d(STEP, first, PATCH, PATCH)
        self.patch_embed2 = nn.Conv2d(first, second, 2, 2)
        self.patch_embed3 = nn.Conv2d(second, third, 2, 2)
        self.blocks1 = nn.Sequential(*(LocalBlock(first) for _ in range(depths[0])))
        self.blocks2 = nn.Sequential(*(LocalBlock(second) for _ in range(depths[1])))
        self.blocks3 = nn.Sequential(*(GlobalBlock(third, dropout=dropout) for _ in range(depths[2])))
        self.norm = nn.LayerNorm(third, eps=EMBED_EPS)

    def forward(self, clips: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Nothing in the place of a head's output, and the embedding."""
        embedding = self.seen(clips).embedding
        return embedding[:, :0], embedding

    def seen(self, clips: torch.Tensor) -> Seen:
        """Everything that a training can learn from."""
        x = _triples(clips[:, 0])
        count, steps = x.shape[:2]
        x = x.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        x = self.blocks1(self.patch_embed1(x))
        cells = self.blocks2(self.patch_embed2(x))
        tokens = self.blocks3(self.patch_embed3(cells).unflatten(0, (count, steps)))
        course = self.norm(tokens.permute(0, 1, 3, 4, 2)).float().mean(dim=(2, 3))
        swing = course.amax(dim=1) - course.amin(dim=1)
        embedding = torch.cat([course.mean(dim=1), swing], dim=1)
        return Seen(embedding=embedding, course=course, cells=cells.unflatten(0, (count, steps)))


class LocalBlock(nn.Module):
    """A residual block of two 3 x 3 convolutions within a frame."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) -> the same."""
        mixed: torch.Tensor = self.conv1(functional.gelu(self.norm1(x)))
        answer: torch.Tensor = x + self.conv2(functional.gelu(self.norm2(mixed)))
        return answer


class GlobalBlock(nn.Module):
    """Attention of every place of every step to every other; each first takes in its neighbours in space and time."""

    def __init__(self, channels: int, *, dropout: float) -> None:
        super().__init__()
        self.pos_embed = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.time_embed = nn.Parameter(torch.zeros(2, channels, 1, 1))
        self.norm1, self.norm2 = nn.LayerNorm(channels, eps=BLOCK_EPS), nn.LayerNorm(channels, eps=BLOCK_EPS)
        self.attn = Attention(channels, dropout=dropout)
        wide = MLP_RATIO * channels
        self.mlp = Mlp(nn.Linear(channels, wide), nn.Linear(wide, channels), dropout=dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, T, C, H, W) -> the same."""
        before, after = self.time_embed
        mixed = x + self.pos_embed(x.flatten(0, 1)).unflatten(0, x.shape[:2])
        mixed = mixed + before * _earlier(x) + after * _earlier(x.flip(1)).flip(1)
        tokens = mixed.permute(0, 1, 3, 4, 2).flatten(1, 3)
        tokens = tokens + self.attn(self.norm1(tokens))
        tokens = tokens + self.mlp(self.norm2(tokens))
        count, steps, channels, height, width = x.shape
        answer: torch.Tensor = tokens.view(count, steps, height, width, channels).permute(0, 1, 4, 2, 3)
        return answer


def _earlier(x: torch.Tensor) -> torch.Tensor:
    """Each step's predecessor; nothing before the first."""
    return torch.cat([torch.zeros_like(x[:, :1]), x[:, :-1]], dim=1)


def _triples(frames: torch.Tensor) -> torch.Tensor:
    """(N, T, H, W) -> (N, T / 3, 3, H, W): three frames after each other are one step."""
    count, length, height, width = frames.shape
    return frames.reshape(count, length // STEP, STEP, height, width)
