"""The order of samples, their randomness, and batches from it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from echonode.training.batches import batches, in_turn
from echonode.training.order import EpochOrder


def test_each_epoch_takes_every_sample_in_an_order_of_its_own() -> None:
    order = EpochOrder(count=12, batch=4, seed=1)
    epochs = [[index for _, row in order.steps(3 * epoch, 3 * epoch + 3) for index in row] for epoch in range(3)]
    assert all(sorted(epoch) == list(range(12)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3


def test_the_order_of_a_step_does_not_depend_on_where_one_begins() -> None:
    """Otherwise a resumed run sees other samples than the one that was killed."""
    order = EpochOrder(count=11, batch=3, seed=5)
    assert list(order.steps(6, 13)) == list(order.steps(0, 13))[6:] == [order.step(step) for step in range(6, 13)]


def test_processes_share_the_samples_and_take_as_many_steps_each() -> None:
    """A process that runs out first lets the others wait for ever."""
    ranks = [EpochOrder(count=11, batch=2, seed=5, rank=rank, world_size=3) for rank in range(3)]
    assert {order.steps_per_epoch for order in ranks} == {2}
    seen = [index for order in ranks for _, row in order.steps(0, 2) for index in row]
    assert len(seen) == 12
    assert set(seen) == set(range(11))


@pytest.mark.parametrize(("drop", "steps"), [(False, 3), (True, 2)])
def test_every_step_has_the_same_size(drop: bool, steps: int) -> None:
    """A last batch of one breaks batch normalisation."""
    order = EpochOrder(count=5, batch=2, seed=0, drop_last=drop)
    assert order.steps_per_epoch == steps
    assert {len(row) for _, row in order.steps(0, 2 * steps)} == {2}
    assert EpochOrder(count=2, batch=8, seed=0, drop_last=drop).step(0)[1].__len__() == 8


def load(index: int, chance: np.random.Generator) -> tuple[int, float]:
    return index, float(chance.random())


def test_a_sample_meets_the_same_chance_whoever_loads_it_and_the_run_loses_none_of_its_own() -> None:
    """Worker processes, or a new start, must not change what is learned."""
    order = EpochOrder(count=7, batch=2, seed=3)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    alone = list(batches(load, order, start=0, stop=9))
    helped = list(batches(load, order, start=0, stop=9, workers=2))
    late = list(batches(load, order, start=5, stop=9, workers=1))
    assert torch.equal(torch.get_rng_state(), before)
    for other in (helped, alone[:5] + late):
        assert [step for step, _ in other] == list(range(9))
        assert all(
            torch.equal(a, b) for (_, x), (_, y) in zip(alone, other, strict=True) for a, b in zip(x, y, strict=True)
        )
    chances = [float(value) for _, (_, values) in alone for value in values]
    assert len(set(chances)) > 12


def test_samples_in_turn_come_whole_and_in_order() -> None:
    def together(samples: list[Any]) -> list[Any]:
        return samples

    found = list(in_turn(load, [4, 2, 9], batch=2, collate=together))
    assert [indices for indices, _ in found] == [(4, 2), (9,)]
    assert [sample[0] for _, samples in found for sample in samples] == [4, 2, 9]
