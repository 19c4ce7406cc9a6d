"""Profiles of many clips made once, when what is cavity and muscle is learned and kept: judging them is then quick."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from echonode.tasks.cmr.clips import Loop, plain_clips, training_clip
from echonode.tasks.cmr.compact import WINDOW, CompactWallMotion
from echonode.tasks.cmr.prepare import Convention
from echonode.tasks.cmr.profile import profiles

Profiles = NDArray[np.float32]


@torch.no_grad()
def changed_profiles(
    network: CompactWallMotion, loops: Sequence[Loop], convention: Convention, *, views: int, seed: int,
    device: torch.device,
) -> Profiles:  # fmt: skip
    """(loops, views, PROFILE) of clips that begin anywhere, are moved and look otherwise; `seed` decides how."""
    network.eval()
    made = []
    for number, loop in enumerate(loops):
        chances = [
            np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, view, number]))) for view in range(views)
        ]
        windows = np.stack([training_clip(loop, convention, chance=chance)["window"] for chance in chances])
        made.append(_profiles(network, windows, device))
    return np.stack(made)


@torch.no_grad()
def plain_profiles(
    network: CompactWallMotion, loops: Sequence[Loop], convention: Convention, *, device: torch.device
) -> Profiles:
    """(loops, clips, PROFILE) of the clips that the runner would look at."""
    network.eval()
    top, left, side = WINDOW
    return np.stack(
        [
            _profiles(
                network,
                plain_clips(loop, convention, clips=convention.clips)[:, 0, :, top : top + side, left : left + side],
                device,
            )
            for loop in loops
        ]
    )


def _profiles(network: CompactWallMotion, windows: NDArray[np.generic], device: torch.device) -> Profiles:
    shown = torch.sigmoid(network.tissue(torch.from_numpy(windows).to(device)).float())
    found: Profiles = profiles(shown).cpu().numpy().astype(np.float32)
    return found
