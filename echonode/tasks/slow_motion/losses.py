"""The training losses of Super SloMo (equations 7 to 11 of the paper), without the perceptual term."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as functional

from echonode.tasks.common.warp import WarpConvention, warp
from echonode.tasks.slow_motion.synthesis import Between

RECONSTRUCTION_WEIGHT, WARP_WEIGHT, SMOOTHNESS_WEIGHT = 204.0, 102.0, 1.0


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Losses:
    """Each term as a scalar tensor, unweighted; pictures are in 0 to 1 less the means."""

    reconstruction: torch.Tensor
    warping: torch.Tensor
    smoothness: torch.Tensor

    @property
    def total(self) -> torch.Tensor:
        """The weighted sum: 204 and 102 are 0.8 and 0.4 on the scale of 0 to 255."""
        return (
            RECONSTRUCTION_WEIGHT * self.reconstruction
            + WARP_WEIGHT * self.warping
            + SMOOTHNESS_WEIGHT * self.smoothness
        )


def losses(
    found: Between,
    target: torch.Tensor,
    *,
    picture0: torch.Tensor,
    picture1: torch.Tensor,
    forward: torch.Tensor,
    backward: torch.Tensor,
    convention: WarpConvention,
) -> Losses:
    """The losses of one interpolated picture against the acquired one."""
    warping = (
        functional.l1_loss(found.warped0, target)
        + functional.l1_loss(found.warped1, target)
        + functional.l1_loss(warp(picture0, backward, convention=convention), picture1)
        + functional.l1_loss(warp(picture1, forward, convention=convention), picture0)
    )
    return Losses(
        reconstruction=functional.l1_loss(found.frames, target),
        warping=warping,
        smoothness=_roughness(forward) + _roughness(backward),
    )


def psnr(found: torch.Tensor, target: torch.Tensor) -> float:
    """Peak signal-to-noise ratio in dB for pictures with a range of 1."""
    return float(10 * torch.log10(1 / functional.mse_loss(found, target)))


def _roughness(flow: torch.Tensor) -> torch.Tensor:
    across = (flow[:, :, :, 1:] - flow[:, :, :, :-1]).abs().mean()
    down = (flow[:, :, 1:, :] - flow[:, :, :-1, :]).abs().mean()
    return across + down
