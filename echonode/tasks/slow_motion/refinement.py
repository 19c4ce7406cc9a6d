"""A small network that corrects classical flow and what is fused from it, seen from four frames, at any time between.

Dense inverse search does the large part of the work; the network looks at the two frames and at those before and after
them, all brought to time t by that flow, and gives a correction of both flows and a soft correction of the picture. The
fine texture of the picture is that of the acquired frames: the correction of the picture has half the resolution, so
that it can move light and edges but neither draw nor erase speckle. Four frames for acceleration: Xu et al., "Quadratic
Video Interpolation", NeurIPS 2019; correction of a flow by what it warps: Jiang et al., "Super SloMo", CVPR 2018.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
import torch.nn.functional as functional
from torch import nn

from echonode.tasks.common.warp import warp
from echonode.tasks.slow_motion.synthesis import flows_at

ARCHITECTURE: Final = "flow-refinement"
MULTIPLE: Final = 8  # pixels: the coarsest level has an eighth of the resolution
LIGHT: Final = 0.2  # about the mean of an echo; pictures reach the network around zero
FLOW_SCALE: Final = 0.1


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Flows4:
    """Flows (N, 2, H, W) in pixels: frame 0 to 1 and back, 0 to the frame before it, 1 to the frame after it."""

    forward: torch.Tensor
    backward: torch.Tensor
    before: torch.Tensor
    after: torch.Tensor


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Correction:
    """Corrected flows (N, 2, H, W) from t to frame 0 and to frame 1; what to add to the picture (N, 1, H, W) in 0 to 1."""

    to0: torch.Tensor
    to1: torch.Tensor
    light: torch.Tensor


class Refinement(nn.Module):
    """Four frames (N, 4, H, W) in 0 to 1 (before, 0, 1, after), their flows and times (N,) to a Correction.

    H and W are multiples of 8. `width` channels at a quarter of the resolution, `fine` at half of it.
    """

    def __init__(self, *, width: int = 40, fine: int = 24) -> None:
        super().__init__()
        deep = width + width // 2 - width // 2 % 8
        self.look = _conv(4 * 16 + 8 + 1, width)
        self.look_more = Residual(width)
        self.down = nn.Conv2d(width, deep, 3, stride=2, padding=1)
        self.context = Residual(deep)
        self.up = _conv(deep, width)
        self.join = Residual(width)
        self.flow = _conv(width, 4)
        self.hand_down = _conv(width, fine)
        self.fine_look = _conv(fine + 8, fine)
        self.fine_more = Residual(fine)
        self.light = _conv(fine, 1)
        # It begins as the classical flow: no correction at all.
        for last in (self.flow, self.light):
            nn.init.zeros_(last.weight)
            if last.bias is not None:
                nn.init.zeros_(last.bias)

    def forward(self, frames: torch.Tensor, flows: Flows4, times: torch.Tensor) -> Correction:
        """The correction at each of the times."""
        t = times.view(-1, 1, 1, 1)
        to0, to1 = flows_at(t, flows.forward, flows.backward)
        with torch.no_grad():
            to_before = to0 + warp(flows.before, to0, convention="exact")
            to_after = to1 + warp(flows.after, to1, convention="exact")
            seen = torch.cat(
                [
                    warp(frames[:, place : place + 1], flow, convention="exact") - LIGHT
                    for place, flow in ((1, to0), (2, to1), (0, to_before), (3, to_after))
                ],
                dim=1,
            )
            motion = functional.avg_pool2d(torch.cat((to0, to1, to0 + flows.before, to1 + flows.after), dim=1), 4)
        quarter = (frames.shape[2] // 4, frames.shape[3] // 4)
        x = torch.cat((2 * functional.pixel_unshuffle(seen, 4), FLOW_SCALE * motion, t.expand(-1, 1, *quarter)), dim=1)
        x = self.look_more(self.look(x))
        wide = self.up(functional.relu(self.context(self.down(x))))
        x = functional.relu(self.join(x + _enlarged(wide, to=quarter)))
        moved = _enlarged(self.flow(x).float(), to=frames.shape[2:])
        half = (frames.shape[2] // 2, frames.shape[3] // 2)
        y = torch.cat((_enlarged(self.hand_down(x), to=half), 2 * functional.pixel_unshuffle(seen[:, :2], 2)), dim=1)
        y = self.light(functional.relu(self.fine_more(self.fine_look(y)))).float()
        return Correction(
            to0=to0 + moved[:, :2], to1=to1 + moved[:, 2:], light=LIGHT * _enlarged(y, to=frames.shape[2:])
        )


class Residual(nn.Module):
    """Two convolutions beside the straight way."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _conv(channels, channels)
        self.second = _conv(channels, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """As many channels as it is given."""
        added: torch.Tensor = self.second(functional.relu(self.first(functional.relu(x))))
        return x + added


def _conv(into: int, out: int) -> nn.Conv2d:
    return nn.Conv2d(into, out, 3, padding=1)


def _enlarged(x: torch.Tensor, *, to: tuple[int, ...] | torch.Size) -> torch.Tensor:
    return functional.interpolate(x, size=tuple(to), mode="bilinear", align_corners=False)
