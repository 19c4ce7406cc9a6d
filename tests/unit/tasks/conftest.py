"""Deterministic weights for networks, by a rule that needs nobody's code."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
import torch

from echonode.tasks.slow_motion.net import UNet, build


def _by_rule(network: UNet) -> UNet:
    state = {}
    for key, value in network.state_dict().items():
        drawn = np.random.default_rng(zlib.crc32(key.encode())).standard_normal(tuple(value.shape))
        scaled = drawn / np.sqrt(np.prod(value.shape[1:])) if value.ndim > 1 else 0.02 * drawn
        state[key] = torch.from_numpy(scaled.astype(np.float32))
    network.load_state_dict(state)
    return network.eval().requires_grad_(False)


@pytest.fixture(scope="session")
def flow_net() -> UNet:
    torch.set_num_threads(1)
    return _by_rule(build("superslomo-flow"))


@pytest.fixture(scope="session")
def interpolation_net() -> UNet:
    torch.set_num_threads(1)
    return _by_rule(build("superslomo-interpolation"))
