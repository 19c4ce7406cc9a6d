"""A training beside a live node: real worker, real training process, a real study in between."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from echonode.cli.main import execute
from echonode.core.states import WorkState
from echonode.core.work import WorkItem, WorkKind
from tests.support.installed import install_tiny
from tests.support.live import LiveNode, Pacs, send
from tests.support.loops import loop_dataset
from tests.support.waiting import process_is_alive, wait_until

PATIENCE = 500.0


def training_of(node: LiveNode) -> int:
    """The process that trains; 0 when there is none."""
    return next(iter(node.children("echonode train tiny")), 0)


def item_of(node: LiveNode) -> WorkItem:
    with node.archive() as archive:
        (item,) = archive.work.list(kind=WorkKind.TRAIN)
        return item


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_training_yields_to_a_study_survives_the_worker_and_is_published(
    node: LiveNode, pacs: Pacs, tmp_path: Path, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order is typed once; from then on the node keeps it, whatever is sent or killed in that night."""
    monkeypatch.setenv("PYTHONPATH", install_tiny(tmp_path / "site", checkout=checkout))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    chance = np.random.default_rng(0)
    for patient in range(10):
        np.save(pictures / f"p{patient}-0.npy", (chance.random() + 0.1 * chance.random((12, 12))).astype(np.float32))
    node.start()
    now = datetime.now()
    hours = ["--at", f"{now:%H:%M}", "--until", f"{now + timedelta(minutes=30):%H:%M}"]
    run, models = tmp_path / "run", tmp_path / "models"
    command = [
        str(Path(sys.executable).parent / "echonode"), "train", "tiny", "--data", str(pictures), "--steps", "17",
        "--device", "cpu", "--set", "hold_at=13", "--name", "tiny-model", "--out", str(run), "--models", str(models),
        "--config", str(node.config), *hours,
    ]  # fmt: skip
    ordered = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ordered.returncode == 0, ordered.stderr
    wait_until(lambda: (run / "holding-0").exists(), "the training to hold", seconds=PATIENCE)
    training = training_of(node)
    assert os.sched_getscheduler(training) == os.SCHED_IDLE

    assert send(node.port, loop_dataset()) == [0x0000]
    wait_until(lambda: state_of(training) == "T", "the training to stand still")
    wait_until(lambda: pacs.objects, "the result to be delivered", seconds=PATIENCE)
    wait_until(lambda: state_of(training) != "T", "the training to go on")

    (worker,) = node.children("echonode.node worker")
    os.kill(worker, signal.SIGKILL)
    wait_until(lambda: not process_is_alive(training), "the training to end with its worker")
    wait_until(lambda: item_of(node).state is WorkState.COMPLETED, "the training to be done", seconds=PATIENCE)
    item = item_of(node)
    assert item.outcome["package"] == str(models / "tiny-model")
    assert (item.attempts, item.outcome["step"]) == (1, 17)
    assert (models / "tiny-model" / "manifest.toml").is_file()
    assert execute(["work", "list", "--kind", "train", "--config", str(node.config)]) == 0
    assert node.stop() == 0
