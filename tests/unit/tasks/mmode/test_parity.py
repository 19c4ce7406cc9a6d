"""Networks and arithmetic of M-mode against the authors' numbers; a failure means that another model runs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from echonode.tasks.mmode.parity import check


@pytest.mark.slow
def test_every_quantity_is_within_its_tolerance(parity: Path) -> None:
    torch.set_num_threads(1)  # whatever a runner left behind
    rows = list(check(parity, False))
    assert len(rows) > 60
    assert not [row for row in rows if not row.passed]
    assert torch.get_num_threads() == 1


def test_a_set_without_m_mode_gives_nothing(tmp_path: Path) -> None:
    """Other sets hold other tasks' vectors."""
    assert list(check(tmp_path, True)) == []
