"""A network of the smallest published kind, filled by rule, and label maps."""

from __future__ import annotations

import pytest
import torch

from echonode.tasks.common.parity import filled
from echonode.tasks.common.sector_rule import label_map
from echonode.tasks.synthesis.net import SdmUnet, build
from echonode.tasks.synthesis.prepare import one_hot


@pytest.fixture(scope="session")
def small_net() -> SdmUnet:
    """Three levels at 32 pixels: fast enough to walk through."""
    torch.set_num_threads(1)
    return filled(
        build(
            "sdm-unet", image_size=32, model_channels=32, channel_mult=(1, 2), attention_resolutions=(16,),
            num_head_channels=32, num_res_blocks=1,
        )
    )  # fmt: skip


@pytest.fixture(scope="session")
def one_map() -> torch.Tensor:
    """A one-hot label map (1, 5, 32, 32)."""
    return one_hot(label_map(32, 32, 3), 5)
