"""Label maps and pictures to the networks' tensors, and back to bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from echonode.tasks.common.camus import checked_codes

LEVELS: Final = 127.5

Bytes = NDArray[np.uint8]


def one_hot(labels: ArrayLike, codes: int) -> torch.Tensor:
    """(1, codes, H, W) float32 of a label map (H, W).

    Raises:
        BadInput: a value is no code.
    """
    values = torch.from_numpy(checked_codes(labels, codes).astype(np.int64))
    return torch.nn.functional.one_hot(values, codes).permute(2, 0, 1)[None].float()


def conditioned(one_hot: torch.Tensor, views: Sequence[str | None], conditions: Sequence[str]) -> torch.Tensor:
    """(N, codes, H, W) with a plane for each condition: ones where it is that map's view, zeros where it is not, or
    not known."""
    if not conditions:
        return one_hot
    count, _, rows, columns = one_hot.shape
    told = torch.zeros((count, len(conditions), 1, 1), dtype=one_hot.dtype)
    for number, view in enumerate(views):
        if view in conditions:
            told[number, conditions.index(view)] = 1
    return torch.cat((one_hot, told.expand(-1, -1, rows, columns).to(one_hot.device)), dim=1)


def folded(pictures: torch.Tensor, patch: int) -> torch.Tensor:
    """(N, C, H, W) with each square of `patch` x `patch` pixels as channels: (N, C * patch^2, H / patch, W / patch).

    A network that works on these sees four times fewer places at a patch of 2; nothing is lost.
    """
    return pictures if patch == 1 else torch.nn.functional.pixel_unshuffle(pictures, patch)


def unfolded(pictures: torch.Tensor, patch: int) -> torch.Tensor:
    """The inverse of `folded`."""
    return pictures if patch == 1 else torch.nn.functional.pixel_shuffle(pictures, patch)


def resized_labels(labels: ArrayLike, size: int) -> Bytes:
    """A label map, nearest to `size` x `size`; the aspect ratio is not kept, as in training."""
    return np.asarray(Image.fromarray(np.asarray(labels, np.uint8)).resize((size, size), Image.Resampling.NEAREST))


def resized_picture(picture: Bytes, size: int) -> Bytes:
    """A picture (H, W[, 3]), halved by averages while twice too large, then bicubic to `size` x `size`."""
    image = Image.fromarray(picture)
    while min(image.size) >= 2 * size:
        image = image.resize((image.width // 2, image.height // 2), Image.Resampling.BOX)
    return np.asarray(image.resize((size, size), Image.Resampling.BICUBIC))


def normalised(picture: Bytes) -> NDArray[np.float32]:
    """Levels 0 to 255 as -1 to 1."""
    return picture.astype(np.float32) / np.float32(LEVELS) - 1


def as_levels(pictures: torch.Tensor) -> Bytes:
    """(N, 3, H, W), or (N, 1, H, W), in -1 to 1 as (N, H, W, 3) levels, rounded as the published results were saved."""
    levels = ((pictures.float() + 1) / 2 * 255 + 0.5).clamp(0, 255).to(torch.uint8).expand(-1, 3, -1, -1)
    found: Bytes = levels.permute(0, 2, 3, 1).contiguous().cpu().numpy()
    return found


def luma(picture: Bytes) -> Bytes:
    """(H, W) of an RGB picture, as the published segmentation reads it."""
    return np.asarray(Image.fromarray(picture).convert("L"))
