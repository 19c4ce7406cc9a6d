"""The order of samples: a function of seed, epoch and rank alone, so that a resumed run goes on where it stopped."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True, slots=True)
class EpochOrder:
    """Which samples make up which step.

    `count` samples are put in a new order each epoch and cut into steps of `batch` for each of `world_size` ranks. The
    last step of an epoch is filled up from the epoch's beginning, so that each step has the same size; with `drop_last`
    it is left out instead (never the only one).

    Raises:
        ValueError: no samples, or a rank that is none.
    """

    count: int
    batch: int
    seed: int
    rank: int = 0
    world_size: int = 1
    shuffle: bool = True
    drop_last: bool = False

    def __post_init__(self) -> None:
        if self.count < 1 or self.batch < 1:
            raise ValueError(f"{self.count} samples in batches of {self.batch}: at least one of each is needed")
        if not 0 <= self.rank < self.world_size:
            raise ValueError(f"rank {self.rank} of {self.world_size}")

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps that one pass over the samples takes."""
        together = self.batch * self.world_size
        return max(1, self.count // together if self.drop_last else -(-self.count // together))

    def step(self, step: int) -> tuple[int, tuple[int, ...]]:
        """The epoch of `step` (from 0) and the samples that this rank takes in it."""
        epoch, place = divmod(step, self.steps_per_epoch)
        return epoch, self._epoch(epoch)[place]

    def steps(self, start: int, stop: int) -> Iterator[tuple[int, tuple[int, ...]]]:
        """As `step` for start, start + 1, ... stop - 1."""
        known, batches = -1, []
        for step in range(start, stop):
            epoch, place = divmod(step, self.steps_per_epoch)
            if epoch != known:
                known, batches = epoch, self._epoch(epoch)
            yield epoch, batches[place]

    def generator(self, epoch: int, index: int) -> np.random.Generator:
        """The randomness of sample `index` in `epoch`: the same whoever loads it, whenever."""
        return sample_generator(self.seed, epoch, index)

    def _epoch(self, epoch: int) -> list[tuple[int, ...]]:
        order = np.arange(self.count)
        if self.shuffle:
            order = np.random.Generator(np.random.PCG64(np.random.SeedSequence([self.seed, epoch]))).permutation(order)
        together = self.batch * self.world_size
        filled = np.resize(order, self.steps_per_epoch * together)
        mine = filled.reshape(self.steps_per_epoch, self.world_size, self.batch)[:, self.rank]
        return [tuple(int(index) for index in row) for row in mine]


def sample_generator(seed: int, epoch: int, index: int) -> np.random.Generator:
    """A generator for one sample of one epoch."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, epoch, index])))
