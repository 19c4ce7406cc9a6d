"""A small network of wall motion for one CPU core: where cavity and muscle are, then how each wall moves in a beat.

Space first, then time, as R(2+1)D has it (Tran et al., CVPR 2018), but the step in time is chosen by the heart and not
by the clock: frames are weighed by the cavity's area into one picture of end-diastole and one of end-systole, and of
both is taken how far each wall lies from the cavity's axis (`profile.py`). A few linear layers judge that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
import torch.nn.functional as functional
from torch import nn

from echonode.tasks.cmr.profile import PROFILE, profiles

SIDE: Final = 144
"""Of the pictures that it takes."""
WINDOW: Final = (8, 28, 96)
"""First row, first column and side of the part that is looked at: where an apical view has its left ventricle."""
CELL: Final = 2
CELLS: Final = WINDOW[2] // CELL
TISSUES: Final = 2
SEGMENTS: Final = 7
_RARE: Final = -2.0


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Seen:
    """`answer` (N, outputs) and `narrowing` (N, 7) of the segments."""

    answer: torch.Tensor
    narrowing: torch.Tensor


class Frames(nn.Module):
    """Pictures (N, 1, 96, 96) from 0 to 1 -> logits (N, 2, 48, 48) of cavity and muscle."""

    def __init__(self, width: int) -> None:
        super().__init__()
        wide = 2 * width
        self.stem = nn.Sequential(_conv(1, width, kernel=6, stride=2 * CELL), nn.ReLU(inplace=True))
        self.near = Residual(width)
        self.down = nn.Sequential(_conv(width, wide, stride=2), nn.ReLU(inplace=True))
        self.far = nn.Sequential(Residual(wide), Residual(wide, apart=2))
        self.up = nn.Conv2d(wide, width, 1)
        self.fused = nn.Sequential(_conv(width, width), nn.ReLU(inplace=True))
        self.tissue = nn.Conv2d(width, 4 * TISSUES, 1)
        nn.init.constant_(self.tissue.bias, _RARE)  # type: ignore[arg-type]

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """The logits."""
        near = self.near(self.stem(pictures.contiguous(memory_format=torch.channels_last)))
        far = self.up(self.far(self.down(near)))
        fused = self.fused(near + functional.interpolate(far, scale_factor=2.0))
        return functional.pixel_shuffle(self.tissue(fused), 2)


class CompactWallMotion(nn.Module):
    """(N, 3, T, 144, 144) from 0 to 1 -> (N, outputs). One channel is looked at: echo is grey."""

    def __init__(self, *, outputs: int = 1, width: int = 24, dropout: float = 0.1) -> None:
        super().__init__()
        self.frames = Frames(width)
        self.judge = nn.Sequential(
            nn.BatchNorm1d(PROFILE), nn.Linear(PROFILE, 96), nn.ReLU(inplace=True), nn.Dropout(dropout),
            nn.Linear(96, 64), nn.ReLU(inplace=True), nn.Dropout(dropout),
        )  # fmt: skip
        self.narrowing = nn.Linear(64, SEGMENTS)
        self.fc = nn.Linear(64 + SEGMENTS + 2, outputs)

    def forward(self, clips: torch.Tensor) -> torch.Tensor:
        """The answer alone."""
        top, left, side = WINDOW
        return self.seen(clips[:, 0, :, top : top + side, left : left + side]).answer

    def tissue(self, windows: torch.Tensor) -> torch.Tensor:
        """Logits (N, T, 2, 48, 48) of cavity and muscle in windows (N, T, 96, 96)."""
        count, steps = windows.shape[:2]
        logits: torch.Tensor = self.frames(windows.reshape(count * steps, 1, *windows.shape[2:]))
        return logits.reshape(count, steps, *logits.shape[1:])

    def seen(self, windows: torch.Tensor) -> Seen:
        """What is judged of windows (N, T, 96, 96) of clips."""
        shown = torch.sigmoid(self.tissue(windows).float())
        with torch.autocast(windows.device.type, enabled=False):
            return self.judged(profiles(shown))

    def judged(self, profile: torch.Tensor) -> Seen:
        """What is judged of profiles (N, PROFILE)."""
        with torch.autocast(profile.device.type, enabled=False):
            judged = self.judge(profile)
            narrowing = self.narrowing(judged)
            extremes = torch.stack([narrowing.amin(dim=1), narrowing.amax(dim=1)], dim=1)
            answer = self.fc(torch.cat([judged, narrowing, extremes], dim=1))
        return Seen(answer=answer, narrowing=narrowing)


class Residual(nn.Module):
    """Two 3 x 3 convolutions beside the identity; `apart` spreads their kernels."""

    def __init__(self, channels: int, *, apart: int = 1) -> None:
        super().__init__()
        self.first, self.second = _conv(channels, channels, apart=apart), _conv(channels, channels, apart=apart)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) -> the same."""
        changed: torch.Tensor = self.second(functional.relu(self.first(x)))
        return functional.relu(x + changed)


def _conv(into: int, out: int, *, kernel: int = 3, stride: int = 1, apart: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(into, out, kernel, stride=stride, padding=apart, dilation=apart, bias=False), nn.BatchNorm2d(out)
    )
