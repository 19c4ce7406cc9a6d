"""The blocks of the semantic diffusion U-Net: residual blocks, norms that a label map steers, attention.

Wang et al., "Semantic Image Synthesis via Diffusion Models" (2022), on the ablated diffusion model of Dhariwal and
Nichol (NeurIPS 2021); the label norm is SPADE (Park et al., CVPR 2019). Names of members are the keys of the published
state dicts.
"""

from __future__ import annotations

from typing import Final, Literal, cast

import torch
import torch.nn.functional as functional
from torch import nn

GROUPS: Final = 32
LABEL_WIDTH: Final = 128

Resampling = Literal["none", "up", "down"]


class Norm(nn.GroupNorm):
    """Group normalisation in 32 groups, always computed in float32."""

    def __init__(self, channels: int, *, affine: bool = True) -> None:
        super().__init__(GROUPS, channels, affine=affine)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, ...) normalised, in the precision of `x`."""
        return super().forward(x.float()).to(x.dtype)


class Labels:
    """One-hot label maps (N, L, H, W), and what they mean to each label norm.

    With `keep` the terms of a norm are computed once and used again at every step: they depend on neither the noise
    nor the time. Give such an object to one network only, and drop it with its maps.
    """

    def __init__(self, one_hot: torch.Tensor, *, keep: bool = False) -> None:
        self.one_hot = one_hot
        self._kept: dict[int, tuple[torch.Tensor, torch.Tensor]] | None = {} if keep else None

    def terms(self, norm: LabelNorm, size: torch.Size) -> tuple[torch.Tensor, torch.Tensor]:
        """Factor and offset of `norm` at `size`."""
        if self._kept is None:
            return norm.terms(self.one_hot, size)
        if id(norm) not in self._kept:
            self._kept[id(norm)] = norm.terms(self.one_hot, size)
        return self._kept[id(norm)]


class LabelNorm(nn.Module):
    """A norm without own scale whose factor and offset come from the label map (SPADE)."""

    def __init__(self, channels: int, label_channels: int, label_width: int = LABEL_WIDTH) -> None:
        super().__init__()
        self.param_free_norm = Norm(channels, affine=False)
        self.mlp_shared = nn.Sequential(nn.Conv2d(label_channels, label_width, 3, padding=1), nn.ReLU())
        self.mlp_gamma = nn.Conv2d(label_width, channels, 3, padding=1)
        self.mlp_beta = nn.Conv2d(label_width, channels, 3, padding=1)

    def terms(self, one_hot: torch.Tensor, size: torch.Size) -> tuple[torch.Tensor, torch.Tensor]:
        """(1 + gamma, beta), each (N, C, *size), of label maps of any size."""
        weight = self.mlp_gamma.weight
        seen = functional.interpolate(one_hot.to(weight.dtype), size=tuple(size), mode="nearest")
        hidden = self.mlp_shared(seen)
        return 1 + self.mlp_gamma(hidden), self.mlp_beta(hidden)

    def forward(self, x: torch.Tensor, labels: Labels) -> torch.Tensor:
        """(N, C, H, W) normalised and steered."""
        factor, offset = labels.terms(self, x.shape[2:])
        return torch.addcmul(offset, self.param_free_norm(x), factor)


class Residual(nn.Module):
    """What both residual blocks share: norm, SiLU, resampling, convolution; then time, SiLU, convolution; plus a skip."""

    emb_layers: nn.Sequential

    def __init__(self, resampling: Resampling) -> None:
        super().__init__()
        self._resampling = resampling

    def resampled(self, x: torch.Tensor) -> torch.Tensor:
        """Half the size by averages, twice the size by repetition, or as it is."""
        if self._resampling == "down":
            return functional.avg_pool2d(x, 2)
        if self._resampling == "up":
            return functional.interpolate(x, scale_factor=2, mode="nearest")
        return x

    def timed(self, normed: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        """`normed` scaled and shifted by the time embedding."""
        scale, shift = self.emb_layers(time).to(normed.dtype)[:, :, None, None].chunk(2, dim=1)
        return torch.addcmul(shift, normed, 1 + scale)


class ResBlock(Residual):
    """The encoder's residual block; the label map does not reach it."""

    def __init__(
        self, in_channels: int, channels: int, *, time_width: int, dropout: float, resampling: Resampling = "none"
    ) -> None:
        super().__init__(resampling)
        self.in_layers = nn.Sequential(Norm(in_channels), nn.SiLU(), nn.Conv2d(in_channels, channels, 3, padding=1))
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(time_width, 2 * channels))
        last = zeroed(nn.Conv2d(channels, channels, 3, padding=1))
        self.out_layers = nn.Sequential(Norm(channels), nn.SiLU(), nn.Dropout(dropout), last)
        self.skip_connection = _skip(in_channels, channels)

    def forward(self, x: torch.Tensor, time: torch.Tensor, labels: Labels) -> torch.Tensor:
        """(N, in, H, W) -> (N, out, H', W')."""
        h = self.in_layers[2](self.resampled(self.in_layers[1](self.in_layers[0](x))))
        h = self.timed(self.out_layers[0](h), time)
        h = self.out_layers[3](self.out_layers[2](self.out_layers[1](h)))
        return cast(torch.Tensor, self.skip_connection(self.resampled(x)) + h)


class LabelResBlock(Residual):
    """The residual block of the middle and the decoder; both its norms see the label map."""

    def __init__(
        self,
        in_channels: int,
        channels: int,
        *,
        time_width: int,
        dropout: float,
        label_channels: int,
        label_width: int = LABEL_WIDTH,
        resampling: Resampling = "none",
    ) -> None:
        super().__init__(resampling)
        self.in_norm = LabelNorm(in_channels, label_channels, label_width)
        self.in_layers = nn.Sequential(nn.SiLU(), nn.Conv2d(in_channels, channels, 3, padding=1))
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(time_width, 2 * channels))
        self.out_norm = LabelNorm(channels, label_channels, label_width)
        last = zeroed(nn.Conv2d(channels, channels, 3, padding=1))
        self.out_layers = nn.Sequential(nn.SiLU(), nn.Dropout(dropout), last)
        self.skip_connection = _skip(in_channels, channels)

    def forward(self, x: torch.Tensor, time: torch.Tensor, labels: Labels) -> torch.Tensor:
        """(N, in, H, W) -> (N, out, H', W')."""
        h = self.in_layers[1](self.resampled(self.in_layers[0](self.in_norm(x, labels))))
        h = self.out_layers(self.timed(self.out_norm(h, labels), time))
        return cast(torch.Tensor, self.skip_connection(self.resampled(x)) + h)


class Attention(nn.Module):
    """Self-attention over all places, in heads of `head_channels`.

    `new_order` splits the channels into queries, keys and values first and then into heads; the legacy order the other
    way round. Checkpoints of the two are not interchangeable and do not tell which they are.
    """

    def __init__(self, channels: int, *, head_channels: int, new_order: bool) -> None:
        super().__init__()
        self._heads, self.new_order = channels // head_channels, new_order
        self.norm = Norm(channels)
        self.qkv = nn.Conv1d(channels, 3 * channels, 1)
        self.proj_out = zeroed(nn.Conv1d(channels, channels, 1))

    def forward(self, x: torch.Tensor, time: torch.Tensor, labels: Labels) -> torch.Tensor:
        """(N, C, H, W) -> the same shape."""
        count, channels = x.shape[:2]
        flat = x.reshape(count, channels, -1)
        mixed = self.qkv(self.norm(flat))
        if self.new_order:
            parts = mixed.view(count, 3, self._heads, channels // self._heads, -1).unbind(1)
        else:
            parts = mixed.view(count, self._heads, 3, channels // self._heads, -1).unbind(2)
        query, key, value = (part.transpose(2, 3) for part in parts)
        seen = functional.scaled_dot_product_attention(query, key, value)
        seen = seen.transpose(2, 3).reshape(count, channels, -1)
        mixed = flat + self.proj_out(seen)
        return cast(torch.Tensor, mixed.view(x.shape))


def _skip(in_channels: int, channels: int) -> nn.Module:
    return nn.Identity() if in_channels == channels else nn.Conv2d(in_channels, channels, 1)


def zeroed(layer: nn.Conv1d | nn.Conv2d) -> nn.Module:
    """`layer` with weights of zero: at the start of training its block passes its input on."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer
