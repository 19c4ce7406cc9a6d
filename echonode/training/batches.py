"""Batches in the order of an EpochOrder, loaded ahead by worker processes or in this one: the same either way."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, default_collate

from echonode.training.order import EpochOrder, sample_generator

Load = Callable[[int, np.random.Generator], Any]
Collate = Callable[[list[Any]], Any]
VALIDATION_EPOCH = 1 << 31
"""Samples that are only looked at draw from an epoch that training never reaches."""


def batches(
    load: Load,
    order: EpochOrder,
    *,
    start: int,
    stop: int,
    workers: int = 0,
    collate: Collate | None = None,
    pin: bool = False,
) -> Iterator[tuple[int, Any]]:
    """For each step from `start` to `stop` - 1: the step and its batch.

    `load(index, generator)` makes one sample; all its randomness must come from `generator`, which seed, epoch and
    index decide. `collate` puts samples together (torch's own way when not given). With `workers` processes `load`
    runs ahead in them; order and content are the same as without.
    """
    places = ([(order.seed, epoch, index) for index in indices] for epoch, indices in order.steps(start, stop))
    yield from enumerate(_loaded(load, places, workers=workers, collate=collate, pin=pin), start=start)


def in_turn(
    load: Load,
    indices: Sequence[int],
    *,
    batch: int,
    seed: int = 0,
    workers: int = 0,
    collate: Collate | None = None,
    pin: bool = False,
) -> Iterator[tuple[tuple[int, ...], Any]]:
    """The samples `indices` one after the other, in batches of at most `batch`: for validation and tests."""
    cut = [tuple(indices[first : first + batch]) for first in range(0, len(indices), batch)]
    places = ([(seed, VALIDATION_EPOCH, index) for index in group] for group in cut)
    yield from zip(cut, _loaded(load, places, workers=workers, collate=collate, pin=pin), strict=True)


Place = tuple[int, int, int]


class _Samples(Dataset[Any]):
    """What DataLoader asks for samples; a sample is named by seed, epoch and index."""

    def __init__(self, load: Load) -> None:
        self._load = load

    def __getitem__(self, place: Place) -> Any:
        return self._load(place[2], sample_generator(*place))


def _loaded(
    load: Load, places: Iterator[list[Place]], *, workers: int, collate: Collate | None, pin: bool
) -> Iterator[Any]:
    samples, together = _Samples(load), collate or default_collate
    if workers == 0:
        for group in places:
            yield together([samples[place] for place in group])
        return
    import cv2

    # Before the workers are forked: a child of a process whose OpenCV has threads waits for them for ever.
    cv2.setNumThreads(1)
    # DataLoader draws a seed for its workers; from a generator of its own, so that it takes nothing from the run's.
    yield from DataLoader(
        samples, batch_sampler=places, num_workers=workers, collate_fn=together, pin_memory=pin,
        worker_init_fn=_calm, generator=torch.Generator().manual_seed(0),
    )  # fmt: skip


def _calm(worker: int) -> None:
    """One thread a worker: they are many."""
    torch.set_num_threads(1)
