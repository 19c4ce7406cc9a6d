"""The semantic diffusion U-Net, with the keys of the published state dicts.

Stojanovski et al., "Echo from noise: synthetic ultrasound image generation using diffusion models for real image
segmentation" (ASMUS 2023), trained one network a view and phase with the architecture of Wang et al. (2022).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import nn

from echonode.tasks.synthesis.blocks import LABEL_WIDTH, Attention, LabelResBlock, Labels, Norm, ResBlock, zeroed

ARCHITECTURE: Final = "sdm-unet"
MULTIPLIERS: Final = {
    512: (0.5, 1, 1, 2, 2, 4, 4),
    256: (1, 1, 2, 2, 4, 4),
    128: (1, 1, 2, 3, 4),
    64: (1, 2, 3, 4),
}
LONGEST_PERIOD: Final = 10_000


@dataclass(frozen=True, kw_only=True, slots=True)
class UnetConfig:
    """What a semantic diffusion U-Net is made of; the defaults are the published network.

    `channel_mult` None takes the multipliers of that `image_size`. `attention_resolutions` are sizes of feature maps,
    in pixels, that have attention. `label_channels` is the number of label codes, with one more for each condition that
    the network was told of; `label_width` is the hidden width of the label norms. `out_channels` is twice
    `in_channels` where the network learns its variance.
    """

    image_size: int = 256
    in_channels: int = 3
    out_channels: int = 6
    model_channels: int = 256
    num_res_blocks: int = 2
    channel_mult: tuple[float, ...] | None = None
    attention_resolutions: tuple[int, ...] = (32, 16, 8)
    num_head_channels: int = 64
    label_channels: int = 5
    label_width: int = LABEL_WIDTH
    dropout: float = 0.0
    use_new_attention_order: bool = True

    def __post_init__(self) -> None:
        if self.channel_mult is None and self.image_size not in MULTIPLIERS:
            raise ValueError(f"image_size {self.image_size} has no usual channel_mult; state it")
        if self.image_size % self.reduction:
            raise ValueError(f"image_size {self.image_size} is no multiple of {self.reduction}")
        if any(width % 32 or width % self.num_head_channels for width in self.widths):
            raise ValueError(f"widths {self.widths} are no multiples of 32 and of num_head_channels")
        if any(size < 1 or self.image_size % size for size in self.attention_resolutions):
            raise ValueError(f"attention_resolutions {self.attention_resolutions} do not divide {self.image_size}")

    @property
    def multipliers(self) -> tuple[float, ...]:
        """Multipliers of `model_channels`, one a level."""
        return MULTIPLIERS[self.image_size] if self.channel_mult is None else self.channel_mult

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels, one number a level."""
        return tuple(int(multiplier * self.model_channels) for multiplier in self.multipliers)

    @property
    def reduction(self) -> int:
        """Pictures' sides are multiples of this."""
        return int(2 ** (len(self.multipliers) - 1))


def build(architecture: str, **config: Any) -> SdmUnet:
    """The network "sdm-unet" with the arguments of `UnetConfig`; lists of numbers may also be text, "32,16,8".

    Raises:
        ValueError: no such architecture, an argument that it does not take, or values that make no network.
    """
    if architecture != ARCHITECTURE:
        raise ValueError(f"no architecture {architecture!r}; there is: {ARCHITECTURE}")
    return SdmUnet(config_of(config))


def config_of(config: dict[str, Any]) -> UnetConfig:
    """`UnetConfig` of plain values, as a manifest has them.

    Raises:
        ValueError: as `build`.
    """
    surplus = sorted(set(config) - set(UnetConfig.__dataclass_fields__))
    if surplus:
        raise ValueError(f"{ARCHITECTURE} takes no argument {', '.join(surplus)}")
    values = dict(config)
    if values.get("channel_mult") is not None:
        values["channel_mult"] = _numbers(values["channel_mult"], float)
    if "attention_resolutions" in values:
        values["attention_resolutions"] = _numbers(values["attention_resolutions"], int)
    return UnetConfig(**values)


class SdmUnet(nn.Module):
    """(N, in, H, W), timesteps (N,), one-hot label maps (N, L, H, W) -> (N, out, H, W).

    Timesteps are those of the whole schedule, 0 to 999 in the published networks, however few of them are walked.
    """

    def __init__(self, config: UnetConfig) -> None:
        super().__init__()
        self.config = config
        base, time_width = config.model_channels, 4 * config.model_channels
        self.time_embed = nn.Sequential(nn.Linear(base, time_width), nn.SiLU(), nn.Linear(time_width, time_width))
        plain: dict[str, Any] = {"time_width": time_width, "dropout": config.dropout}
        steered = plain | {"label_channels": config.label_channels, "label_width": config.label_width}
        factors = {config.image_size // size for size in config.attention_resolutions}
        widths, levels = config.widths, len(config.widths)

        def attention(width: int) -> nn.Module:
            return Attention(width, head_channels=config.num_head_channels, new_order=config.use_new_attention_order)

        width = widths[0]
        self.input_blocks = nn.ModuleList([nn.ModuleList([nn.Conv2d(config.in_channels, width, 3, padding=1)])])
        skips = [width]
        for level in range(levels):
            for _ in range(config.num_res_blocks):
                layers: list[nn.Module] = [ResBlock(width, widths[level], **plain)]
                width = widths[level]
                if 2**level in factors:
                    layers.append(attention(width))
                self.input_blocks.append(nn.ModuleList(layers))
                skips.append(width)
            if level < levels - 1:
                self.input_blocks.append(nn.ModuleList([ResBlock(width, width, resampling="down", **plain)]))
                skips.append(width)
        self.middle_block = nn.ModuleList(
            [LabelResBlock(width, width, **steered), attention(width), LabelResBlock(width, width, **steered)]
        )
        self.output_blocks = nn.ModuleList()
        for level in reversed(range(levels)):
            for number in range(config.num_res_blocks + 1):
                layers = [LabelResBlock(width + skips.pop(), widths[level], **steered)]
                width = widths[level]
                if 2**level in factors:
                    layers.append(attention(width))
                if level and number == config.num_res_blocks:
                    layers.append(LabelResBlock(width, width, resampling="up", **steered))
                self.output_blocks.append(nn.ModuleList(layers))
        last = zeroed(nn.Conv2d(width, config.out_channels, 3, padding=1))
        self.out = nn.Sequential(Norm(width), nn.SiLU(), last)

    def forward(self, x: torch.Tensor, timesteps: torch.Tensor, labels: torch.Tensor | Labels) -> torch.Tensor:
        """The network's answer; `labels` that keep their terms make all steps after the first cheaper."""
        seen = labels if isinstance(labels, Labels) else Labels(labels)
        time = self.time_embed(time_features(timesteps, self.config.model_channels))
        h = x.to(self.torso_dtype)
        skips: list[torch.Tensor] = []
        for block in self.input_blocks:
            h = _through(block, h, time, seen)
            skips.append(h)
        h = _through(self.middle_block, h, time, seen)
        for block in self.output_blocks:
            h = _through(block, torch.cat((h, skips.pop()), dim=1), time, seen)
        answer: torch.Tensor = self.out(h.to(x.dtype))
        return answer

    @property
    def torso_dtype(self) -> torch.dtype:
        """The precision of the convolutions between the first and the last."""
        first = self.input_blocks[0]
        if not isinstance(first, nn.ModuleList) or not isinstance(first[0], nn.Conv2d):
            raise TypeError("the first input block is a convolution")
        return first[0].weight.dtype

    def in_torso(self, precision: torch.dtype) -> SdmUnet:
        """This network, its blocks' convolutions turned to `precision`; norms, linear layers and the last stay float32."""
        for blocks in (self.input_blocks, self.middle_block, self.output_blocks):
            for layer in blocks.modules():
                if isinstance(layer, nn.Conv1d | nn.Conv2d):
                    layer.to(precision)
        return self


def time_features(timesteps: torch.Tensor, width: int) -> torch.Tensor:
    """(N, width) cosines, then sines, of the timesteps at frequencies from 1 down to 1 / 10000, float32."""
    half = width // 2
    steps = torch.arange(half, dtype=torch.float32, device=timesteps.device)
    angles = timesteps[:, None].float() * torch.exp(-math.log(LONGEST_PERIOD) * steps / half)[None]
    return torch.cat((angles.cos(), angles.sin()), dim=1)


def _through(block: nn.Module, h: torch.Tensor, time: torch.Tensor, labels: Labels) -> torch.Tensor:
    for layer in block.children():
        h = layer(h) if isinstance(layer, nn.Conv2d) else layer(h, time, labels)
    return h


def _numbers(given: str | Sequence[float], kind: type) -> tuple[Any, ...]:
    parts = given.split(",") if isinstance(given, str) else given
    return tuple(kind(part) for part in parts)
