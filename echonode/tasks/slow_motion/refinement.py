"""A small network that says what is expected between two frames, seen from four of them, at any time.

Dense inverse search does the large part of the work: the two frames and those before and after them are brought to time t
by its flow and by how the motion speeds up. The network looks at all of them and says what to add to the two that are
fused. Four frames for acceleration: Xu et al., "Quadratic Video Interpolation", NeurIPS 2019; a picture that is fused from
two warped ones: Jiang et al., "Super SloMo", CVPR 2018.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
import torch.nn.functional as functional
from torch import nn

from echonode.tasks.common.warp import warp
from echonode.tasks.slow_motion.engine import ACCELERATION
from echonode.tasks.slow_motion.synthesis import flows_at

ARCHITECTURE: Final = "flow-refinement"
MULTIPLE: Final = 8  # pixels: the coarsest level has an eighth of the resolution
LIGHT: Final = 0.2  # about the mean of an echo; pictures reach the network around zero
FLOW_SCALE: Final = 0.1
SLOPE: Final = 0.1  # of rectifiers below zero
HANDED: Final = 32  # channels handed from a quarter of the resolution to half of it


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Flows4:
    """Flows (N, 2, H, W) in pixels: frame 0 to 1 and back, 0 to the frame before it, 1 to the frame after it."""

    forward: torch.Tensor
    backward: torch.Tensor
    before: torch.Tensor
    after: torch.Tensor

    def accelerations(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Of what is seen from frame 0 and from frame 1, the same for all times."""
        return accelerated(self.forward, self.before), accelerated(self.backward, self.after)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Correction:
    """Flows (N, 2, H, W) from t to frame 0 and to frame 1; the picture fused by them (N, 1, H, W) in 0 to 1; and what to add
    to that picture, so that it comes as near to the frame that is missing as squared error can tell."""

    to0: torch.Tensor
    to1: torch.Tensor
    fused: torch.Tensor
    light: torch.Tensor


class Refinement(nn.Module):
    """Four frames (N, 4, H, W) in 0 to 1 (before, 0, 1, after), their flows and times (N,) to a Correction.

    H and W are multiples of 8. `width` channels at a quarter of the resolution, `deep` at an eighth, `fine` at half of it,
    where `blocks` of two convolutions each follow one another.
    """

    def __init__(self, *, width: int = 64, deep: int = 96, fine: int = 32, blocks: int = 2) -> None:
        super().__init__()
        self.look = _conv(4 * 16 + 8 + 1, width)
        self.look_more = Residual(width)
        self.down = nn.Conv2d(width, deep, 3, stride=2, padding=1)
        self.context = nn.Sequential(Residual(deep), Residual(deep))
        self.up = _conv(deep, width)
        self.join = Residual(width)
        self.hand_down = _conv(width, HANDED)
        self.fine_look = _conv(HANDED + 6 * 4 + 1, fine)
        self.fine_more = nn.Sequential(*(Residual(fine) for _ in range(blocks)))
        self.light = _conv(fine, 4)
        # It begins as classical fusion: nothing is added.
        nn.init.zeros_(self.light.weight)
        if self.light.bias is not None:
            nn.init.zeros_(self.light.bias)

    def forward(
        self,
        frames: torch.Tensor,
        flows: Flows4,
        times: torch.Tensor,
        accelerations: tuple[torch.Tensor, torch.Tensor] | None = None,
    ) -> Correction:
        """The correction at each of the times; `accelerations` are those of the flows, where somebody has them."""
        kept = _precision(frames)
        t = times.view(-1, 1, 1, 1)
        quarter, half = ((frames.shape[2] // by, frames.shape[3] // by) for by in (4, 2))
        before, first, second, after = (frames[:, place : place + 1] for place in range(4))
        with torch.no_grad():
            to0, to1 = flows_at(t, flows.forward, flows.backward)
            bend = ACCELERATION * t * (1 - t) / 2
            bent0, bent1 = accelerations or flows.accelerations()
            to0, to1 = to0 + bend * bent0, to1 + bend * bent1
            to_before = to0 + warp(flows.before, to0, convention="exact")
            to_after = to1 + warp(flows.after, to1, convention="exact")
            near = [
                warp(frame, flow, convention="exact")
                for frame, flow in ((first, to0), (second, to1), (before, to_before), (after, to_after))
            ]
            fused = near[0] + t * (near[1] - near[0])
            seen = 2 * (torch.cat((*near, first, second), dim=1) - LIGHT).to(kept)
            moved = (functional.avg_pool2d(flow, 4) for flow in (to0, to1, to_before, to_after))
            motion = torch.cat((FLOW_SCALE * torch.cat(tuple(moved), dim=1), t.expand(-1, 1, *quarter)), dim=1).to(kept)
        x = functional.pixel_unshuffle(seen[:, :4], 4)
        x = self.look_more(self.look(torch.cat((x, motion), dim=1)))
        wide = self.up(_active(self.context(self.down(_active(x)))))
        x = _active(self.join(x + _enlarged(wide, to=quarter)))
        handed = _enlarged(self.hand_down(x), to=half)
        y = torch.cat((handed, functional.pixel_unshuffle(seen, 2), t.expand(-1, 1, *half).to(kept)), dim=1)
        y = self.light(_active(self.fine_more(self.fine_look(y)))).float()
        return Correction(to0=to0, to1=to1, fused=fused, light=LIGHT * functional.pixel_shuffle(y, 2))


def accelerated(onwards: torch.Tensor, back: torch.Tensor) -> torch.Tensor:
    """The acceleration (N, 2, H, W), in pixels by interval squared, of what moves by one flow `onwards` and by the other
    `back`; smooth, and zero where there is no frame to go back to."""
    known = (back.abs().amax(dim=(1, 2, 3), keepdim=True) > 0).to(back.dtype)
    coarse = functional.avg_pool2d((onwards + back) * known, 8)
    return _enlarged(coarse, to=onwards.shape[2:])


class Residual(nn.Module):
    """Two convolutions beside the straight way."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _conv(channels, channels)
        self.second = _conv(channels, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """As many channels as it is given."""
        inner = functional.leaky_relu(self.first(_active(x)), SLOPE, inplace=True)
        added: torch.Tensor = self.second(inner)
        return x + added


def _precision(x: torch.Tensor) -> torch.dtype:
    """That of the convolutions: what they are given is kept in it from the start, which halves what is moved about."""
    kind = x.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype


def _active(x: torch.Tensor) -> torch.Tensor:
    """Leaky: with plain rectifiers whole layers died early in training."""
    return functional.leaky_relu(x, SLOPE)


def _conv(into: int, out: int) -> nn.Conv2d:
    return nn.Conv2d(into, out, 3, padding=1)


def _enlarged(x: torch.Tensor, *, to: tuple[int, ...] | torch.Size) -> torch.Tensor:
    return functional.interpolate(x, size=tuple(to), mode="bilinear", align_corners=False)
