"""The authors' networks with weights by rule, and a heart that beats between text and an ECG."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch

from echonode.tasks.common.checkpoint import outline
from echonode.tasks.common.parity import by_rule
from echonode.tasks.ejection_fraction.net import build

State = dict[str, Any]


def state(architecture: str, **config: Any) -> State:
    torch.set_num_threads(1)
    return by_rule(outline(partial(build, architecture, **config)))


@pytest.fixture(scope="session")
def uniformer() -> State:
    return state("uniformer-small")


@pytest.fixture(scope="session")
def kinetics() -> State:
    return state("uniformer-small", outputs=400)


@pytest.fixture(scope="session")
def regressor() -> State:
    return state("ef-regressor")


@pytest.fixture(scope="session")
def r2plus1d() -> State:
    return state("r2plus1d-18")
