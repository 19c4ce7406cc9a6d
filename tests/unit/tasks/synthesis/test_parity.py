"""The diffusion networks against their authors' numbers; a failure means another model runs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from echonode.tasks.synthesis.parity import check
from echonode.tasks.synthesis.schedule import kept_timesteps, noise_schedule


@pytest.mark.slow
def test_every_quantity_of_the_vectors(parity: Path) -> None:
    torch.set_num_threads(1)
    rows = list(check(parity, whole=False))
    assert len(rows) > 120
    assert not [row for row in rows if not row.passed]


def test_a_set_without_a_folder_for_it_gives_nothing(tmp_path: Path) -> None:
    assert not list(check(tmp_path, whole=True))


@pytest.mark.parametrize(
    ("respacing", "says"),
    [("ddim300", "exactly 300"), ("2000", "cannot be kept"), ("600,5", "section of 500"), ("fast", "no respacing"),
     ("-5", "no respacing"), ("", "no respacing")],
)  # fmt: skip
def test_a_respacing_that_cannot_be_met_is_named(respacing: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        kept_timesteps(1000, respacing)


def test_a_whole_respacing_is_the_schedule_itself() -> None:
    whole, respaced = noise_schedule("cosine", 100), noise_schedule("cosine", 100, respacing="100")
    torch.testing.assert_close(torch.from_numpy(whole.betas), torch.from_numpy(respaced.betas), atol=1e-12, rtol=0)
    with pytest.raises(ValueError, match="no schedule"):
        noise_schedule("sigmoid")
