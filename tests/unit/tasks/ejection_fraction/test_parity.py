"""CoReEcho's networks, clips, loss and metrics against its authors' numbers; a failure means another model runs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from echonode.tasks.ejection_fraction.parity import check


@pytest.mark.slow
def test_every_quantity_of_the_vectors(parity: Path) -> None:
    torch.set_num_threads(1)
    rows = list(check(parity, whole=True))
    assert len(rows) > 60
    assert not [row for row in rows if not row.passed]


def test_a_set_without_a_folder_for_it_gives_nothing(tmp_path: Path) -> None:
    assert not list(check(tmp_path, whole=True))


@pytest.mark.slow
def test_nothing_of_the_set_is_hard_coded(parity: Path, tmp_path: Path) -> None:
    """Another constant and other starts are read from the files: what no longer fits is seen."""
    shutil.copytree(parity / "coreecho", tmp_path / "coreecho")
    (tmp_path / "set.json").write_text('{"seed": 8, "video_constant": 1}')
    for path in (tmp_path / "coreecho", *(tmp_path / "coreecho").iterdir()):
        path.chmod(0o755)
    cases = json.loads((tmp_path / "coreecho" / "preprocess_cases.json").read_text())
    kept = {"T60_padded": {**cases["T60_padded"], "k": 2}}
    (tmp_path / "coreecho" / "preprocess_cases.json").write_text(json.dumps(kept))
    failed = {row.quantity for row in check(tmp_path, whole=False) if not row.passed}
    assert {"c16 input", "c36 EF", "output", "T60_padded video", "T60_padded from 3 pixels"} <= failed
    assert not any(quantity.startswith("T200") or "gradient" in quantity for quantity in failed)
