"""Where noise comes from: seeds that are derived from what an image is, so that it can be made again."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Protocol

import torch

SEED_BITS = 63


class NoiseSource(Protocol):
    """Standard normal noise for a walk through a schedule."""

    def start(self) -> torch.Tensor:
        """(N, C, H, W): what the walk starts from."""
        ...

    def at(self, step: int) -> torch.Tensor:
        """(N, C, H, W): what is added on leaving `step`; steps are asked in falling order, each once."""
        ...


class SeededNoise:
    """Noise of one generator an image, on the CPU: the same for any batch and any device."""

    def __init__(self, seeds: Sequence[int], shape: tuple[int, int, int], device: torch.device) -> None:
        self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self._shape, self._device = shape, device

    def start(self) -> torch.Tensor:
        """The pictures of pure noise."""
        return self._next()

    def at(self, step: int) -> torch.Tensor:
        """The next noise of each generator."""
        return self._next()

    def _next(self) -> torch.Tensor:
        drawn = [torch.randn(self._shape, generator=generator) for generator in self._generators]
        return torch.stack(drawn).to(self._device)


def image_seed(base: int, *, name: str, number: int = 0) -> int:
    """The seed of image `number` made of the label map `name` in a run with seed `base`.

    It depends on nothing else: not on the order of files, the batch, the shard or what was made before.
    """
    told = f"{base}\0{name}\0{number}".encode()
    return int.from_bytes(hashlib.sha256(told).digest()[:8], "big") >> (64 - SEED_BITS)
