"""Real loops of real scanners through the whole path: each ends with an object or with a reason that can be read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest

from echonode.core.states import WorkState
from echonode.core.task import installed_tasks
from echonode.core.work import WorkKind
from tests.support.bench import Bench

ROUTES = {
    "route": [
        {
            "name": "everything",
            "task": "slow_motion",
            "model": "optical-flow",
            "parameters": {"factor": 2},
            "deliver_to": ["pacs"],
        }
    ],
    "destination": [{"name": "pacs", "peer": "pacs"}],
}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # real files break rules, and pydicom says so
def test_every_real_file_ends_with_an_object_or_a_reason(
    opened: Callable[..., Bench], shared_data: Path, checkout: Path, tmp_path: Path
) -> None:
    """What no model was made for comes every day: stills, colour, spectra, reports, odd transfer syntaxes."""
    (tmp_path / "models").symlink_to(checkout / "models")
    bench = opened(routes=ROUTES, tasks=installed_tasks())
    sent = 0
    for path in sorted((shared_data / "ultrasound").rglob("*.dcm")):
        dataset = pydicom.dcmread(path)
        part = bench.blobs.new_part()
        part.write_bytes(path.read_bytes())
        receipt = bench.receive_file(part, dataset, calling_ae="SCANNER")
        sent += receipt.verdict == "stored"
    bench.run_all()
    bench.deliver_all()
    assert len(bench.items(WorkKind.RUN)) == sent
    runs = [run for run in bench.items(WorkKind.RUN) if not run.held]  # two files name one study and two patients
    assert len(runs) >= sent - 2
    assert {run.state for run in runs} == {WorkState.COMPLETED}, [run.reason for run in runs if run.reason]
    results = Counter(run.outcome["result"] for run in runs)
    assert results["published"] >= 5, [run.outcome for run in runs]
    assert all(run.outcome["reason"] for run in runs if run.outcome["result"] == "refused")
    assert len(bench.derived()) == results["published"] == len(set(bench.destination.received))
