"""The yardstick itself: a rule or a comparison that is wrong here would pass a wrong network."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from echonode.core.errors import BadInput
from echonode.tasks.common.parity import compared, difference, drawn, filled, read_arrays, read_set, state_row, strided


def _network() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.PReLU(), nn.LayerNorm(4))


def test_each_kind_of_entry_has_its_rule() -> None:
    state = filled(_network()).state_dict()
    for key, kind in {
        "0.weight": "weight", "0.bias": "bias", "1.weight": "scale", "1.bias": "bias", "1.running_mean": "mean",
        "1.running_var": "variance", "2.weight": "bias", "3.weight": "scale",
    }.items():  # fmt: skip
        assert torch.equal(state[key], drawn(key, state[key].shape, kind)), key  # type: ignore[arg-type]
    assert state["1.num_batches_tracked"].dtype == torch.int64
    assert torch.equal(filled(_network(), gain=2).state_dict()["0.weight"], 2 * state["0.weight"])
    assert torch.equal(filled(_network(), gain=2).state_dict()["0.bias"], state["0.bias"])


def test_another_state_dict_never_passes() -> None:
    network = _network()
    listed = [{"key": key, "shape": list(value.shape)} for key, value in network.state_dict().items()]
    assert state_row("n", network, listed).passed
    assert not state_row("n", network, listed[1:]).passed
    assert not state_row("n", network, [{**listed[0], "shape": [2, 1, 5, 5]}, *listed[1:]]).passed
    assert not state_row("n", network, [{**listed[0], "sum": 123.0}, *listed[1:]]).passed
    assert not state_row("n", network, [{**listed[0], "init": "b"}, *listed[1:]]).passed


@pytest.mark.parametrize("found", [[1.0], [1.0, math.nan], [1.0, math.inf]])
def test_what_cannot_be_compared_differs_without_end(found: list[float]) -> None:
    assert difference(found, [1.0, 2.0]) == math.inf
    assert not compared("n", "q", found, [1.0, 2.0], tolerance=1e9).passed


def test_differences_are_absolute() -> None:
    assert compared("n", "q", torch.tensor([1.0, -2.0]), [1.5, -2.0], tolerance=0.5).difference == 0.5
    np.testing.assert_array_equal(strided(torch.arange(10).view(2, 5), 4, 2), [0, 4])


def test_a_set_that_is_none_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"set\.json: cannot be read"):
        read_set(tmp_path)
    (tmp_path / "set.json").write_text('{"seed": "7"}')
    with pytest.raises(BadInput, match="whole numbers"):
        read_set(tmp_path)
    np.savez(tmp_path / "x.npz", x=np.array([{}], dtype=object))
    with pytest.raises(BadInput, match="no file of arrays"):
        read_arrays(tmp_path / "x.npz")
