"""The fusion of optical_flow.py with gradients: what the refinement network is trained through.

The same steps as OpticalFlow.frames, in torch: bicubic warps, the mean weighed by time, the fine texture of the mean
raised to the energy that both frames have there.
"""

from __future__ import annotations

import torch
import torch.nn.functional as functional

from echonode.tasks.common.warp import warp
from echonode.tasks.slow_motion.optical_flow import LEAST_ENERGY, MOST_GAIN

FULL = 255.0


def fused(
    frame0: torch.Tensor, frame1: torch.Tensor, *, to0: torch.Tensor, to1: torch.Tensor, t: torch.Tensor, sigma: float
) -> torch.Tensor:
    """Pictures (N, 1, H, W) at t (N, 1, 1, 1) from two frames (N, 1, H, W) in 0 to 1 and the flows to them, in pixels."""
    warped0, warped1 = (
        warp(frame, flow, convention="exact", how="bicubic") for frame, flow in ((frame0, to0), (frame1, to1))
    )
    mean = warped0 + t * (warped1 - warped0)
    if sigma <= 0:
        return mean
    fine0, fine1, fine = (picture - blurred(picture, sigma) for picture in (warped0, warped1, mean))
    energy0, energy1, energy = (blurred(each * each, 2 * sigma).clamp(min=0) for each in (fine0, fine1, fine))
    least = float(LEAST_ENERGY) / FULL**2
    gain = torch.sqrt((energy0 + t * (energy1 - energy0) + least) / (energy + least)).clamp(1, float(MOST_GAIN))
    return mean + (gain - 1) * fine


def blurred(picture: torch.Tensor, sigma: float) -> torch.Tensor:
    """Gaussian blur of (N, 1, H, W); the border is mirrored without its last pixel, as OpenCV does by default."""
    radius = max(1, round(4 * sigma))
    places = torch.arange(-radius, radius + 1, dtype=picture.dtype, device=picture.device)
    kernel = torch.exp(-(places**2) / (2 * sigma * sigma))
    kernel = kernel / kernel.sum()
    across = functional.conv2d(
        functional.pad(picture, (radius, radius, 0, 0), mode="reflect"), kernel.view(1, 1, 1, -1)
    )
    return functional.conv2d(functional.pad(across, (0, 0, radius, radius), mode="reflect"), kernel.view(1, 1, -1, 1))
