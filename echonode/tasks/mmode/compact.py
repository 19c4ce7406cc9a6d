"""Small networks for M-mode on a grid of 1 mm by 10 ms: where the walls run, at which level the line lies, what is good.

All take (N, 1, H, W) as `grid.network_picture` gives it, H and W multiples of 32, and run on strips of any length.
"""

from __future__ import annotations

import itertools
from typing import Any, Final, NamedTuple

import torch
import torch.nn.functional as functional
from torch import nn

TRACER, LEVEL, JUDGE = "mmode-tracer", "mmode-level", "mmode-judge"
COMPACT: Final = (TRACER, LEVEL, JUDGE)
LEVELS: Final = ("lv", "mitral", "aorta")
"""The classes of the level's network, in this order."""
BOUNDARIES: Final = 4
"""Top and bottom of the septum, top and bottom of the posterior wall: the cavity lies between the second and third."""
PHASES: Final = 2
"""End-diastole (the R wave) and end-systole."""
JUDGED: Final = 8
"""Columns of the grid that the judge says one thing of."""


class Traced(NamedTuple):
    """What the tracer gives: `walls` logits over rows (N, 4, H/2, W/2), `phases` logits (N, 2, W/2)."""

    walls: torch.Tensor
    phases: torch.Tensor


class Tracer(nn.Module):
    """A U-Net over the strip's half resolution, and a stack of convolutions in time over what its rows hold."""

    def __init__(self, widths: tuple[int, ...] = (24, 32, 48, 64, 96)) -> None:
        super().__init__()
        self.stem = _convolved(1, widths[0], kernel=5, stride=2)
        self.down = nn.ModuleList(
            nn.Sequential(
                _convolved(widths[max(0, level - 1)], width, stride=1 if level == 0 else 2), _convolved(width, width)
            )
            for level, width in enumerate(widths)
        )
        self.up = nn.ModuleList(
            _convolved(widths[level] + widths[level + 1], widths[level]) for level in range(len(widths) - 1)
        )
        self.walls = nn.Conv2d(widths[0], BOUNDARIES, 1)
        self.over_rows = nn.Conv1d(2 * widths[0] + widths[-1], 64, 1)
        self.in_time = nn.ModuleList(
            nn.Sequential(nn.Conv1d(64, 64, 5, padding=2 * step, dilation=step, bias=False), nn.BatchNorm1d(64))
            for step in (1, 2, 4, 8)
        )
        self.phases = nn.Conv1d(64, PHASES, 1)

    def forward(self, pictures: torch.Tensor) -> Traced:
        """The logits of `pictures`."""
        seen = self.stem(pictures)
        skips: list[torch.Tensor] = []
        for stage in self.down:
            seen = stage(seen)
            skips.append(seen)
        deepest = seen
        for level in reversed(range(len(self.up))):
            lifted = functional.interpolate(seen, size=skips[level].shape[2:], mode="nearest")
            seen = self.up[level](torch.cat((lifted, skips[level]), dim=1))
        deep = functional.interpolate(deepest.mean(dim=2), size=seen.shape[3], mode="nearest")
        beat = functional.relu(self.over_rows(torch.cat((seen.mean(dim=2), seen.amax(dim=2), deep), dim=1)))
        for stage in self.in_time:
            beat = beat + functional.relu(stage(beat))
        # Places are read between rows: logits need more digits than mixed precision leaves them.
        with torch.autocast(pictures.device.type, enabled=False):
            walls = functional.conv2d(seen.float(), self.walls.weight.float(), self.walls.bias)
            return Traced(walls, self.phases(beat.float()))


class LevelNet(nn.Module):
    """Logits (N, 3) of the level that the whole strip was swept at."""

    def __init__(self, widths: tuple[int, ...] = (16, 24, 32, 48, 64)) -> None:
        super().__init__()
        self.stages = _stages(widths)
        self.last = nn.Linear(2 * widths[-1], len(LEVELS))

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """The logits of `pictures`."""
        seen = self.stages(pictures)
        pooled = torch.cat((seen.mean(dim=(2, 3)), seen.amax(dim=(2, 3))), dim=1)
        logits: torch.Tensor = self.last(pooled)
        return logits


class Judge(nn.Module):
    """Logits (N, W/8) that each stretch of 80 ms is good to measure in."""

    def __init__(self, widths: tuple[int, ...] = (16, 24, 32, 48)) -> None:
        super().__init__()
        self.stages = nn.Sequential(
            _convolved(1, widths[0], kernel=5, stride=2),
            _convolved(widths[0], widths[1], stride=2),
            _convolved(widths[1], widths[2], stride=2),
            _convolved(widths[2], widths[3], stride=(2, 1)),
            _convolved(widths[3], widths[3]),
        )
        self.in_time = nn.Sequential(
            nn.Conv1d(2 * widths[3], widths[3], 5, padding=2), nn.ReLU(), nn.Conv1d(widths[3], 1, 5, padding=2)
        )

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """The logits of `pictures`."""
        seen = self.stages(pictures)
        logits: torch.Tensor = self.in_time(torch.cat((seen.mean(dim=2), seen.amax(dim=2)), dim=1))[:, 0]
        return logits


def build_compact(architecture: str, **config: Any) -> Tracer | LevelNet | Judge:
    """The network of that name, with `widths` of its own where given.

    Raises:
        ValueError: no such architecture, or widths that are none.
    """
    kinds: dict[str, type[Tracer] | type[LevelNet] | type[Judge]] = {TRACER: Tracer, LEVEL: LevelNet, JUDGE: Judge}
    if architecture not in kinds:
        raise ValueError(f"no architecture {architecture!r}; there are: {', '.join(kinds)}")
    kind = kinds[architecture]
    widths = config.pop("widths", None)
    if config:
        raise ValueError(f"{architecture} takes no argument {', '.join(sorted(config))}")
    if widths is None:
        return kind()
    if not isinstance(widths, list | tuple) or len(widths) < 4 or not all(type(w) is int and w > 0 for w in widths):
        raise ValueError(f"{architecture}: widths are four or more whole numbers, not {str(widths)[:40]!r}")
    return kind(tuple(widths))


def places(walls: torch.Tensor) -> torch.Tensor:
    """Rows (N, 4, W/2) of the grid where the walls' borders lie: the mean of what the logits leave likely.

    Counted in rows of the whole resolution, the middle of the first one being 0.
    """
    rows = torch.arange(walls.shape[2], device=walls.device, dtype=torch.float32)
    half = (torch.softmax(walls.float(), dim=2) * rows[:, None]).sum(dim=2)
    return 2 * half + 0.5


def _stages(widths: tuple[int, ...]) -> nn.Sequential:
    return nn.Sequential(
        _convolved(1, widths[0], kernel=5, stride=2),
        *(_convolved(before, after, stride=2) for before, after in itertools.pairwise(widths)),
        _convolved(widths[-1], widths[-1]),
    )


def _convolved(
    in_channels: int, out_channels: int, *, kernel: int = 3, stride: int | tuple[int, int] = 1
) -> nn.Sequential:
    """Convolution, batch normalisation, ReLU."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )
