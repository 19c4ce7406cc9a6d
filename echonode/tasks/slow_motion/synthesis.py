"""The arithmetic of Super SloMo for any time between two frames: flows at t, the network's input, the fusion.

Times are a vector of T values in (0, 1): every function works on all of them at once.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import nn

from echonode.tasks.common.warp import WarpConvention, warp
from echonode.tasks.slow_motion.net import UNet

FIXED_CHANNELS = 10


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class FirstLayer:
    """A U-Net's first convolution, cut in the part that does not see t and the part that does.

    For the interpolation network `fixed` takes both pictures and both flows between them, `moving` both flows from t
    and both warped pictures; for the flow network `fixed` is everything and `moving` is None.
    """

    fixed: torch.Tensor
    moving: torch.Tensor | None
    bias: torch.Tensor

    @classmethod
    def of(cls, first: nn.Conv2d) -> FirstLayer:
        """The layer as published: pictures have three channels, the mean of each subtracted."""
        bias = first.bias
        if bias is None:
            raise ValueError("the first convolution has a bias")
        if first.in_channels == 6:
            return cls(fixed=first.weight, moving=None, bias=bias)
        return cls(fixed=first.weight[:, :FIXED_CHANNELS], moving=first.weight[:, FIXED_CHANNELS:], bias=bias)

    @classmethod
    def grey(cls, first: nn.Conv2d, *, means: Sequence[float]) -> FirstLayer:
        """The same layer for pictures of one channel, luma less the mean of `means`.

        Three equal channels less three means are one channel with the summed weights, and a constant in the bias.
        """
        whole = cls.of(first)
        centre = sum(means) / len(means)
        offsets = torch.tensor([centre - mean for mean in means], dtype=first.weight.dtype, device=first.weight.device)

        def folded(weight: torch.Tensor, at: int) -> tuple[torch.Tensor, torch.Tensor]:
            three = weight[:, at : at + 3]
            return three.sum(dim=1, keepdim=True), torch.einsum("ocij,c->o", three, offsets)

        first0, bias0 = folded(whole.fixed, 0)
        first1, bias1 = folded(whole.fixed, 3)
        bias = whole.bias + bias0 + bias1
        fixed = torch.cat((first0, first1, whole.fixed[:, 6:]), dim=1)
        if whole.moving is None:
            return cls(fixed=fixed, moving=None, bias=bias)
        warped1, bias1 = folded(whole.moving, 4)
        warped0, bias0 = folded(whole.moving, 7)
        moving = torch.cat((whole.moving[:, :4], warped1, warped0), dim=1)
        return cls(fixed=fixed, moving=moving, bias=bias + bias0 + bias1)

    def of_pair(self, pair: torch.Tensor) -> torch.Tensor:
        """What the layer gives for what does not depend on t, bias included."""
        return functional.conv2d(pair, self.fixed, self.bias, padding=self.fixed.shape[-1] // 2)

    def with_times(self, of_pair: torch.Tensor, moving: torch.Tensor) -> torch.Tensor:
        """`of_pair` completed by the part that sees t."""
        if self.moving is None:
            raise ValueError("the flow network does not see t")
        return of_pair + functional.conv2d(moving, self.moving, padding=self.moving.shape[-1] // 2)


def times_vector(times: torch.Tensor | Sequence[float], like: torch.Tensor) -> torch.Tensor:
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


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Motion:
    """What is computed once for a pair: F01 and F10 (1, 2, H, W), and the first layer's part that does not see t."""

    forward: torch.Tensor
    backward: torch.Tensor
    first: torch.Tensor


class Synthesis:
    """Both networks and a warp convention: pictures between two pictures.

    `guides` are what the networks look at (N, 3, H, W less the means, or N, 1, H, W with grey layers); `pictures` are
    what is warped and fused, of any channels. In the published method they are the same. `precision` is that of the
    layers after the first; warps and fusion are always float32.
    """

    def __init__(
        self,
        flow_net: UNet,
        interpolation_net: UNet,
        *,
        convention: WarpConvention,
        grey_means: Sequence[float] | None = None,
        precision: torch.dtype = torch.float32,
    ) -> None:
        self._convention = convention
        self._layers = [
            FirstLayer.of(net.conv1) if grey_means is None else FirstLayer.grey(net.conv1, means=grey_means)
            for net in (flow_net, interpolation_net)
        ]
        self._flow_net, self._interpolation_net = flow_net, interpolation_net
        if precision != torch.float32:
            self._flow_net, self._interpolation_net = (
                copy.deepcopy(net).to(precision).to(memory_format=torch.channels_last)
                for net in (flow_net, interpolation_net)
            )

    def motion(self, guide0: torch.Tensor, guide1: torch.Tensor) -> Motion:
        """The flows between two guides."""
        both = torch.cat((guide0, guide1), dim=1)
        flows = self._flow_net.after_first(self._layers[0].of_pair(both)).to(both.dtype)
        first = self._layers[1].of_pair(torch.cat((both, flows), dim=1))
        return Motion(forward=flows[:, 0:2], backward=flows[:, 2:4], first=first)

    def between(
        self,
        motion: Motion,
        *,
        guides: tuple[torch.Tensor, torch.Tensor],
        pictures: tuple[torch.Tensor, torch.Tensor],
        times: Sequence[float],
    ) -> Between:
        """The pictures at all of `times` in one batch."""
        t = times_vector(times, motion.forward)
        to0, to1 = flows_at(t, motion.forward, motion.backward)
        warped0 = warp(guides[0], to0, convention=self._convention)
        warped1 = warp(guides[1], to1, convention=self._convention)
        first = self._layers[1].with_times(motion.first, torch.cat((to1, to0, warped1, warped0), dim=1))
        answer = self._interpolation_net.after_first(first).to(first.dtype)
        frames = fuse(pictures[0], pictures[1], t=t, to0=to0, to1=to1, answer=answer, convention=self._convention)
        return Between(frames=frames, answer=answer, warped0=warped0, warped1=warped1)
