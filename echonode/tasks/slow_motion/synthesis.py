"""The arithmetic of Super SloMo for any time between two frames: flows at t, the network's input, the fusion.

Times are a vector of T values in (0, 1): every function works on all of them at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from echonode.tasks.common.warp import WarpConvention, warp
from echonode.tasks.slow_motion.net import UNet

FIXED_CHANNELS = 10


def times_vector(times: torch.Tensor | list[float], like: torch.Tensor) -> torch.Tensor:
    """Times as (T, 1, 1, 1) on the device and in the precision of `like`."""
    return torch.as_tensor(times, dtype=like.dtype, device=like.device).view(-1, 1, 1, 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Coefficients:
    """Flow from t to 0 is c00 F01 + c01 F10; flow from t to 1 is c10 F01 + c11 F10; the pictures weigh w0 and w1."""

    c00: torch.Tensor
    c01: torch.Tensor
    c10: torch.Tensor
    c11: torch.Tensor
    w0: torch.Tensor
    w1: torch.Tensor

    @classmethod
    def at(cls, t: torch.Tensor) -> Coefficients:
        """The coefficients for motion that is linear over the interval (equation 4 of the paper)."""
        both = -t * (1 - t)
        return cls(c00=both, c01=t * t, c10=(1 - t) ** 2, c11=both, w0=1 - t, w1=t)


def flows_at(t: torch.Tensor, forward: torch.Tensor, backward: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(T, 2, H, W) flows from each t to frame 0 and to frame 1, from F01 and F10 (1, 2, H, W)."""
    c = Coefficients.at(t)
    return c.c00 * forward + c.c01 * backward, c.c10 * forward + c.c11 * backward


def fuse(
    picture0: torch.Tensor,
    picture1: torch.Tensor,
    *,
    t: torch.Tensor,
    to0: torch.Tensor,
    to1: torch.Tensor,
    answer: torch.Tensor,
    convention: WarpConvention,
) -> torch.Tensor:
    """Frames (T, C, H, W): both pictures warped by the refined flows and weighed by time and visibility.

    `to0`, `to1` are the flows before refinement, `answer` (T, 5, H, W) the interpolation network's: two flow
    corrections and the logit of how visible frame 0 is.
    """
    warped0 = warp(picture0, to0 + answer[:, 0:2], convention=convention)
    warped1 = warp(picture1, to1 + answer[:, 2:4], convention=convention)
    visible0 = torch.sigmoid(answer[:, 4:5])
    weight0, weight1 = (1 - t) * visible0, t * (1 - visible0)
    return (weight0 * warped0 + weight1 * warped1) / (weight0 + weight1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Between:
    """Frames between two pictures, with what led to them."""

    frames: torch.Tensor
    answer: torch.Tensor
    warped0: torch.Tensor
    warped1: torch.Tensor


def flows_between(flow_net: UNet, picture0: torch.Tensor, picture1: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """F01 and F10 (1, 2, H, W) from the flow network."""
    flows = flow_net(torch.cat((picture0, picture1), dim=1))
    return flows[:, 0:2], flows[:, 2:4]


def frames_between(
    interpolation_net: UNet,
    picture0: torch.Tensor,
    picture1: torch.Tensor,
    *,
    forward: torch.Tensor,
    backward: torch.Tensor,
    t: torch.Tensor,
    convention: WarpConvention,
) -> Between:
    """Every time of `t` in one batch; the half of the first convolution that does not see t is computed once."""
    fixed = torch.cat((picture0, picture1, forward, backward), dim=1)
    first = interpolation_net.conv1
    fixed_part = torch.nn.functional.conv2d(
        fixed, first.weight[:, :FIXED_CHANNELS], first.bias, padding=first.padding
    )
    to0, to1 = flows_at(t, forward, backward)
    warped0 = warp(picture0, to0, convention=convention)
    warped1 = warp(picture1, to1, convention=convention)
    moving = torch.cat((to1, to0, warped1, warped0), dim=1)
    moving_part = torch.nn.functional.conv2d(moving, first.weight[:, FIXED_CHANNELS:], padding=first.padding)
    answer = interpolation_net.after_first(fixed_part + moving_part)
    frames = fuse(picture0, picture1, t=t, to0=to0, to1=to1, answer=answer, convention=convention)
    return Between(frames=frames, answer=answer, warped0=warped0, warped1=warped1)
