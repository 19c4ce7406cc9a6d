"""How far the walls lie from the cavity's long axis at end-diastole and at end-systole, as numbers that can be compared.

The axis is that of the cavity's moments, from base to apex; levels along it and distances across it are in units of
the cavity's spread at end-diastole, so that neither the heart's size nor its place, tilt or zoom matter. End-systole is
looked at twice: from the axis of end-diastole (a fixed reference) and from its own (a floating one). Both references
are known from the analysis of regional wall motion in ventriculography, each with its weakness.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
import torch.nn.functional as functional

LEVELS: Final = 16
ACROSS: Final = 20
_ALONG_MOST, _ACROSS_MOST = 2.3, 3.6
_SHARPNESS: Final = 3.0
_FLOOR: Final = 1e-4
PROFILE: Final = 5 * LEVELS * 2 + 5


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Axis:
    """Of each cavity: `centre` (N, 2) x and y from -1 to 1, `along` (N, 2) towards the apex, and the spreads (N,)."""

    centre: torch.Tensor
    along: torch.Tensor
    long: torch.Tensor
    short: torch.Tensor


def profiles(shown: torch.Tensor) -> torch.Tensor:
    """Shares (N, T, 2, H, W) of cavity and muscle -> (N, PROFILE)."""
    area = shown[:, :, 0].mean(dim=(2, 3))
    spread = area.std(dim=1, keepdim=True, unbiased=False)
    place = _SHARPNESS * (area - area.mean(dim=1, keepdim=True)) / (spread + _FLOOR)
    filled, emptied = (
        (torch.softmax(sign * place, dim=1)[:, :, None, None, None] * shown).sum(dim=1) for sign in (1, -1)
    )
    first, last = axis_of(filled[:, 0].detach()), axis_of(emptied[:, 0].detach())
    own = Axis(centre=last.centre, along=last.along, long=first.long, short=first.short)
    sampled = (sides(filled, first), sides(emptied, first), sides(emptied[:, :1], own))
    aside = last.centre - first.centre
    across = torch.stack([-first.along[:, 1], first.along[:, 0]], dim=1)
    numbers = torch.stack(
        [
            emptied[:, 0].mean(dim=(1, 2)) / (filled[:, 0].mean(dim=(1, 2)) + _FLOOR),
            last.long / first.long,
            last.short / first.short,
            (aside * first.along).sum(dim=1) / first.long,
            (aside * across).sum(dim=1) / first.short,
        ],
        dim=1,
    )
    return torch.cat([each.flatten(1) for each in sampled] + [numbers], dim=1)


def axis_of(cavity: torch.Tensor) -> Axis:
    """The axis of shares (N, H, W)."""
    weight = cavity.square()
    whole = weight.sum(dim=(1, 2)) + _FLOOR
    y, x = (_places(cavity.shape[dim], cavity) for dim in (1, 2))
    middle_x = (weight.sum(dim=1) * x).sum(dim=1) / whole
    middle_y = (weight.sum(dim=2) * y).sum(dim=1) / whole
    from_x, from_y = x[None] - middle_x[:, None], y[None] - middle_y[:, None]
    xx = (weight.sum(dim=1) * from_x.square()).sum(dim=1) / whole
    yy = (weight.sum(dim=2) * from_y.square()).sum(dim=1) / whole
    xy = torch.einsum("nyx,ny,nx->n", weight, from_y, from_x) / whole
    half, turned = (xx + yy) / 2, torch.hypot((xx - yy) / 2, xy)
    angle = torch.atan2(2 * xy, xx - yy) / 2
    along = torch.stack([torch.cos(angle), torch.sin(angle)], dim=1)
    along = torch.where(along[:, 1:] > 0, -along, along)  # the apex is above: rows grow downwards
    return Axis(
        centre=torch.stack([middle_x, middle_y], dim=1),
        along=along,
        long=(half + turned + _FLOOR).sqrt(),
        short=(half - turned).clamp(min=0).add(_FLOOR).sqrt(),
    )


def sides(shown: torch.Tensor, axis: Axis) -> torch.Tensor:
    """How much of each tissue (N, K, H, W) lies left and right of the axis at each level: (N, K, LEVELS, 2)."""
    level = torch.linspace(-_ALONG_MOST, _ALONG_MOST, LEVELS, device=shown.device)
    away = torch.linspace(-_ACROSS_MOST, _ACROSS_MOST, 2 * ACROSS, device=shown.device)
    across = torch.stack([-axis.along[:, 1], axis.along[:, 0]], dim=1)
    up = level[None, :, None, None] * (axis.long[:, None] * axis.along)[:, None, None, :]
    right = away[None, None, :, None] * (axis.short[:, None] * across)[:, None, None, :]
    found = functional.grid_sample(shown, axis.centre[:, None, None, :] + up + right, align_corners=False)
    return found.unflatten(3, (2, ACROSS)).mean(dim=4)  # type: ignore[no-untyped-call, no-any-return]


def _places(count: int, like: torch.Tensor) -> torch.Tensor:
    """The middles of `count` pixels from -1 to 1."""
    return (torch.arange(count, device=like.device, dtype=like.dtype) + 0.5) * (2 / count) - 1
