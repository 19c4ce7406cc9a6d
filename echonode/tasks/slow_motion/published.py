"""The authors' own inference path, kept to compare with: squeeze to multiples of 32, one time after the other, truncate.

It blurs every frame, the acquired ones too, and is never used on patients' loops; benchmarks and parity tests run it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from echonode.tasks.common.warp import WarpConvention, warp
from echonode.tasks.slow_motion.net import MULTIPLE, UNet
from echonode.tasks.slow_motion.synthesis import flows_at, fuse, times_vector


def squeezed(frame: NDArray[np.uint8], *, means: Sequence[float]) -> torch.Tensor:
    """(1, 3, H', W') of an RGB frame (H, W, 3), Lanczos to multiples of 32 below, in 0 to 1 less the means."""
    height, width = frame.shape[:2]
    size = (width // MULTIPLE * MULTIPLE, height // MULTIPLE * MULTIPLE)
    small = np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.LANCZOS))
    scaled = torch.from_numpy(small.transpose(2, 0, 1).copy()).to(torch.float32) / 255
    return (scaled - torch.tensor(means, dtype=torch.float32).view(3, 1, 1)).unsqueeze(0)


def stretched(picture: torch.Tensor, *, means: Sequence[float], size: tuple[int, int]) -> NDArray[np.uint8]:
    """The RGB frame (H, W, 3) of a picture (3, H', W'): means added, cut to whole levels, bilinear to `size` (W, H)."""
    levels = (picture + torch.tensor(means, dtype=torch.float32).view(3, 1, 1)) * 255
    small = levels.to(torch.uint8).permute(1, 2, 0).numpy()
    return np.asarray(Image.fromarray(small).resize(size, Image.Resampling.BILINEAR))


def between(
    flow_net: UNet,
    interpolation_net: UNet,
    picture0: torch.Tensor,
    picture1: torch.Tensor,
    *,
    t: float,
    flows: torch.Tensor,
    convention: WarpConvention,
) -> torch.Tensor:
    """(1, 3, H, W) at one time, by the published order of work; `flows` (1, 4, H, W) is the flow network's answer."""
    forward, backward = flows[:, 0:2], flows[:, 2:4]
    time = times_vector([t], picture0)
    to0, to1 = flows_at(time, forward, backward)
    warped0 = warp(picture0, to0, convention=convention)
    warped1 = warp(picture1, to1, convention=convention)
    answer = interpolation_net(torch.cat((picture0, picture1, forward, backward, to1, to0, warped1, warped0), dim=1))
    return fuse(picture0, picture1, t=time, to0=to0, to1=to1, answer=answer, convention=convention)


@torch.inference_mode()
def slowed(
    flow_net: UNet,
    interpolation_net: UNet,
    frames: Sequence[NDArray[np.uint8]],
    *,
    factor: int,
    means: Sequence[float],
    convention: WarpConvention,
) -> Iterator[NDArray[np.uint8]]:
    """(T - 1) factor + 1 RGB frames of the size of `frames`, the acquired ones resized and back like the others."""
    size = (frames[0].shape[1], frames[0].shape[0])
    pictures = [squeezed(frame, means=means) for frame in frames]
    for picture0, picture1 in pairwise(pictures):
        flows = flow_net(torch.cat((picture0, picture1), dim=1))
        yield stretched(picture0[0], means=means, size=size)
        for step in range(1, factor):
            found = between(
                flow_net, interpolation_net, picture0, picture1, t=step / factor, flows=flows, convention=convention
            )
            yield stretched(found[0], means=means, size=size)
    yield stretched(pictures[-1][0], means=means, size=size)
