"""An exponential moving average of a network's weights: what is validated and published when a recipe keeps one."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch


class MovingAverage:
    """Average of `network`'s floating weights with `decay` a step; the first steps average faster (1 + n) / (10 + n).

    Buffers that are whole numbers are copied. `average` is a network of its own, in evaluation mode.
    """

    def __init__(self, network: torch.nn.Module, *, decay: float) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"decay {decay}: from 0 to below 1 is expected")
        self.average = copy.deepcopy(network).eval().requires_grad_(False)
        self._decay = decay
        self._steps = 0

    @torch.no_grad()
    def update(self, network: torch.nn.Module) -> None:
        """Take in the weights after one optimiser step."""
        decay = min(self._decay, (1 + self._steps) / (10 + self._steps))
        self._steps += 1
        for kept, new in zip(self.average.state_dict().values(), network.state_dict().values(), strict=True):
            if kept.is_floating_point():
                kept.lerp_(new.to(kept.dtype), 1 - decay)
            else:
                kept.copy_(new)

    def state_dict(self) -> dict[str, Any]:
        """What `Run.save` keeps."""
        return {"average": self.average.state_dict(), "steps": self._steps}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what was kept."""
        self.average.load_state_dict(state["average"])
        self._steps = int(state["steps"])
