"""The classifier's network and clips against its authors' numbers; a failure means another model runs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from echonode.tasks.cmr.parity import check


@pytest.mark.slow
def test_every_quantity_of_the_vectors(parity: Path) -> None:
    torch.set_num_threads(1)
    rows = list(check(parity, whole=True))
    assert len(rows) > 60
    assert not [row for row in rows if not row.passed]


def test_a_set_without_a_folder_for_it_gives_nothing(tmp_path: Path) -> None:
    assert not list(check(tmp_path, whole=True))
