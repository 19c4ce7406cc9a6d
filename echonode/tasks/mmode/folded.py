"""QuickNAT on a processor with less traffic through memory, to the same numbers as the plain network.

Two fifths of the plain network's time pass outside its convolutions: every dense block joins, normalises and activates
the same pictures three times, each time through the whole memory. Here nothing is joined: normalisation is one
multiplication and addition a channel that writes each part straight to its place in the next convolution's input, row
strip by row strip in memory that is used again, and the 1 x 1 convolution is a matrix product of that strip. Strips are
large: where other programs want the same cores every small step would wait for the slowest thread.

Only for stored statistics: those of the window itself enlarge the last bits in which two orders of adding up differ
beyond what the published numbers allow.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, cast

import torch
import torch.nn.functional as functional
from torch import nn

from echonode.tasks.mmode.net import DECODERS, FILTERS, KERNEL, LEVELS, Dense, QuickNat

STRIP_ELEMENTS: Final = 1 << 22
LAST: Final = torch.channels_last

Line = tuple[torch.Tensor, torch.Tensor]
"""Slope and intercept of a normalisation, one entry a channel."""


class FoldedQuickNat:
    """Calls as `QuickNat` does on the CPU, one window at a time: (N, 1, H, W) -> logits (N, 1, H, W).

    Weights are read when it is made. Not for two threads at once: it keeps its room between calls.
    """

    def __init__(self, network: QuickNat) -> None:
        room = _Room()
        self._encoders = [_FoldedDense(network.get_submodule(f"encode{level}"), room)
                          for level in range(1, LEVELS + 1)]  # fmt: skip
        self._bottleneck = _FoldedDense(network.bottleneck, room)
        self._decoders = {level: _FoldedDense(network.get_submodule(f"decode{level}"), room)
                          for level in range(1, LEVELS + 1)}  # fmt: skip
        self._classifier = network.classifier.conv
        self._dropout = network.dropout

    def __call__(self, pictures: torch.Tensor) -> torch.Tensor:
        """The logits of `pictures`, float32."""
        with torch.inference_mode():
            return torch.cat([self._one(picture[None]) for picture in pictures])

    def _one(self, picture: torch.Tensor) -> torch.Tensor:
        levels: list[tuple[torch.Tensor, torch.Tensor]] = []
        pooled = picture.contiguous(memory_format=LAST)
        for encoder in self._encoders:
            skip = self._dropout(encoder([pooled]))
            pooled, indices = functional.max_pool2d(skip, 2, 2, return_indices=True)
            levels.append((skip, indices))
        lifted = self._bottleneck([pooled])
        for decoder, level in DECODERS:
            skip, indices = levels[level - 1]
            unpooled = functional.max_unpool2d(lifted, indices, [2, 2], [2, 2], output_size=list(skip.shape[2:]))
            lifted = self._dropout(self._decoders[decoder]([skip, unpooled]))
        return functional.conv2d(lifted, self._classifier.weight, self._classifier.bias).contiguous()


class _Room:
    """Memory that is written again and again: fresh pages cost more than what is computed in them."""

    def __init__(self) -> None:
        self._kept: dict[int, torch.Tensor] = {}

    def take(self, place: int, *, height: int, width: int, channels: int) -> torch.Tensor:
        """(H, W, C) that whoever took `place` before has done with."""
        size = height * width * channels
        kept = self._kept.get(place)
        if kept is None or len(kept) < size:
            kept = self._kept[place] = torch.empty(size)
        return kept[:size].view(height, width, channels)


class _FoldedDense:
    """A dense block; pictures are (1, C, H, W) in the channels-last layout."""

    def __init__(self, block: nn.Module, room: _Room) -> None:
        dense = cast(Dense, block)
        self._room = room
        self._slope = float(dense.prelu.weight)
        self._lines = [_line(norm) for norm in (dense.batchnorm1, dense.batchnorm2, dense.batchnorm3)]
        self._convolutions = [(conv.weight.contiguous(memory_format=LAST), conv.bias)
                              for conv in (dense.conv1, dense.conv2)]  # fmt: skip
        self._mix = (dense.conv3.weight.flatten(1).t().contiguous(), cast(torch.Tensor, dense.conv3.bias))

    def __call__(self, parts: Sequence[torch.Tensor]) -> torch.Tensor:
        """(1, 64, H, W) from parts that together are the block's input."""
        known = [_rows(part) for part in parts]
        for line, (weight, bias) in zip(self._lines[:2], self._convolutions, strict=True):
            joined = self._joined(known, line)
            known.append(_rows(functional.conv2d(joined, weight, bias, padding=KERNEL // 2)))
        return self._mixed(known)

    def _joined(self, parts: Sequence[torch.Tensor], line: Line) -> torch.Tensor:
        """All parts, normalised and activated, side by side in a room that the next call writes over."""
        height, width, channels = _shape(parts)
        joined = self._room.take(0, height=height, width=width, channels=channels)
        for rows in _strips(height, width * channels):
            self._fill(joined[rows], parts, line, rows)
        return _picture(joined)

    def _mixed(self, parts: Sequence[torch.Tensor]) -> torch.Tensor:
        """The 1 x 1 convolution of all parts, normalised and activated."""
        height, width, channels = _shape(parts)
        mixed = torch.empty((height, width, FILTERS))
        weight, bias = self._mix
        for rows in _strips(height, width * channels):
            count = rows.stop - rows.start
            strip = self._room.take(1, height=count, width=width, channels=channels)
            self._fill(strip, parts, self._lines[2], rows)
            torch.addmm(bias, strip.view(-1, channels), weight, out=mixed[rows].view(-1, FILTERS))
        return _picture(mixed)

    def _fill(self, strip: torch.Tensor, parts: Sequence[torch.Tensor], line: Line, rows: slice) -> None:
        start, (slope, intercept) = 0, line
        for part in parts:
            place = slice(start, start + part.shape[2])
            torch.addcmul(intercept[place], part[rows], slope[place], out=strip[..., place])
            start = place.stop
        functional.leaky_relu_(strip, self._slope)


def _line(norm: nn.BatchNorm2d) -> Line:
    """The normalisation with its stored statistics, worked out in float64."""
    variance, mean = cast(torch.Tensor, norm.running_var).double(), cast(torch.Tensor, norm.running_mean).double()
    slope = norm.weight.double() / torch.sqrt(variance + norm.eps)
    return slope.float(), (norm.bias.double() - mean * slope).float()


def _picture(rows: torch.Tensor) -> torch.Tensor:
    """(1, C, H, W) over the same memory as (H, W, C); made this way round torch sees the channels-last layout."""
    return rows[None].permute(0, 3, 1, 2)


def _rows(picture: torch.Tensor) -> torch.Tensor:
    """(H, W, C) over the same memory as a channels-last picture (1, C, H, W)."""
    return picture[0].permute(1, 2, 0)


def _shape(parts: Sequence[torch.Tensor]) -> tuple[int, int, int]:
    height, width = parts[0].shape[:2]
    return height, width, sum(part.shape[2] for part in parts)


def _strips(height: int, row: int) -> list[slice]:
    step = max(1, STRIP_ELEMENTS // row)
    return [slice(start, min(start + step, height)) for start in range(0, height, step)]
