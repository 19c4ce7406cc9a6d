"""The promise of a training run: stopped or killed anywhere, on one process or two, it ends where it would have ended."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from echonode.core.errors import BadInput
from echonode.training.arguments import TrainingArguments, TrainingResult
from tests.support.tiny_recipe import main
from tests.support.waiting import wait_until

Train = Callable[..., list[str]]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
STEPS, HOLD = 17, 13


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    chance = np.random.default_rng(0)
    for patient in range(10):
        for number in range(2):
            picture = chance.random() + 0.1 * chance.random((12, 12))
            np.save(folder / f"p{patient}-{number}.npy", picture.astype(np.float32))
    return folder


@pytest.fixture(scope="module")
def train(pictures: Path) -> Train:
    def command(out: Path, *further: str, starter: tuple[str, ...] = ()) -> list[str]:
        return [
            sys.executable, *starter, "-m", "tests.support.tiny_recipe", "train", "tiny", "--data", str(pictures),
            "--out", str(out), "--models", str(out.parent / "models"), "--steps", str(STEPS), "--device", "cpu", *further,
        ]  # fmt: skip

    return command


@pytest.fixture(scope="module")
def uninterrupted(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nobody disturbed."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    here(pictures, folder)
    return folder


def here(pictures: Path, folder: Path, **changes: Any) -> TrainingResult:
    """The same run in this process."""
    threads = torch.get_num_threads()
    try:
        return main(
            TrainingArguments(
                task="tiny", data=(str(pictures),), out=folder, models=folder.parent / "models", name="tiny-model",
                steps=STEPS, device="cpu", threads=1, **changes,
            )
        )  # fmt: skip
    finally:
        torch.set_num_threads(threads)


def finished(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=120)


def struck(command: list[str], folder: Path, number: signal.Signals) -> tuple[int, str]:
    """Exit status and output of a run that got a signal where it holds."""
    process = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        wait_until(lambda: (folder / "holding-0").exists() or process.poll() is not None, "the run to hold")
        process.send_signal(number)
        out, error = process.communicate(timeout=60)
    finally:
        process.kill()
    return process.returncode, out + error


def content(path: Path) -> dict[str, Any]:
    loaded = torch.load(path, weights_only=True)
    del loaded["seconds"]
    return loaded


def identical(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(identical(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(identical, a, b))
    return bool(a == b)


def assert_ended_alike(folder: Path, whole: Path) -> None:
    for name in ("last.pt", "best.pt"):
        assert identical(content(folder / name), content(whole / name)), name
    for name in ("tiny.safetensors", "manifest.toml", "MODEL_CARD.md"):
        package = Path("models") / "tiny-model" / name
        assert (folder.parent / package).read_bytes() == (whole.parent / package).read_bytes(), name
    logged = [
        [{key: value for key, value in json.loads(line).items() if key != "seconds"} for line in text.splitlines()]
        for text in ((each / "metrics.jsonl").read_text() for each in (folder, whole))
    ]
    assert logged[0] == logged[1]


@pytest.mark.slow
@pytest.mark.parametrize(("number", "workers"), [(signal.SIGTERM, "0"), (signal.SIGKILL, "2")])
def test_a_run_that_was_struck_ends_as_if_nothing_had_happened(
    number: signal.Signals, workers: str, train: Train, uninterrupted: Path, tmp_path: Path
) -> None:
    """Weights, optimiser, averages, random generators, metrics and the package: hours of training are not in doubt."""
    folder = tmp_path / "run"
    asked = ("--name", "tiny-model", "--workers", workers)
    status, said = struck(train(folder, *asked, "--set", f"hold_at={HOLD}"), folder, number)
    if number is signal.SIGTERM:
        assert status == 0, said
        assert f"stopped at step {HOLD}; --resume goes on" in said
        assert content(folder / "last.pt")["step"] == HOLD
    else:
        assert status == -signal.SIGKILL
        assert content(folder / "last.pt")["step"] == 10
    assert not (tmp_path / "models").exists()
    done = finished(train(folder, *asked, "--resume"))
    assert done.returncode == 0, done.stderr
    assert_ended_alike(folder, uninterrupted)


def test_resuming_a_finished_run_changes_nothing(pictures: Path, uninterrupted: Path) -> None:
    """A night of scripts that resume whatever they find must not spoil what is done."""
    package = uninterrupted.parent / "models" / "tiny-model"
    before = {path.name: path.read_bytes() for path in package.iterdir()}
    assert here(pictures, uninterrupted, resume=True).package == package
    assert {path.name: path.read_bytes() for path in package.iterdir()} == before


@pytest.mark.slow
def test_two_processes_train_one_model_and_stop_together(train: Train, tmp_path: Path) -> None:
    """Under torchrun the two must see different samples, agree on weights, and both stop when one is told to."""
    together = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--no-python", sys.executable)
    whole, folder = tmp_path / "a" / "run", tmp_path / "b" / "run"
    done = finished(train(whole, "--name", "tiny-model", "--batch", "2", starter=together))
    assert done.returncode == 0, done.stderr
    assert json.loads((whole / "run.json").read_text())["identity"]["processes"] == 2
    assert len(content(whole / "last.pt")["random"]) == 2

    asked = ("--name", "tiny-model", "--batch", "2")
    command = train(folder, *asked, "--set", f"hold_at={HOLD}", starter=together)
    process = subprocess.Popen(
        command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    try:
        wait_until(lambda: (folder / "holding-1").exists() or process.poll() is not None, "the run to hold")
        process.terminate()
        said = process.communicate(timeout=90)[0]
    finally:
        process.kill()
    assert content(folder / "last.pt")["step"] == HOLD, said

    alone = finished(train(folder, *asked, "--resume"))
    assert alone.returncode == 2
    assert "processes: 2 -> 1" in alone.stderr
    done = finished(train(folder, *asked, "--resume", starter=together))
    assert done.returncode == 0, done.stderr
    assert_ended_alike(folder, whole)


def test_minutes_end_a_run_early_and_it_is_published(pictures: Path, tmp_path: Path) -> None:
    """A night shift of the GPU ends in the morning with a model, not with nothing."""
    result = here(pictures, tmp_path / "run", minutes=1e-6)
    assert result.stopped_at is None
    assert (tmp_path / "models" / "tiny-model" / "manifest.toml").is_file()


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({}, "holds a run already; --resume"),
        ({"resume": True, "seed": 5}, "seed: 0 -> 5"),
        ({"resume": True, "options": {"width": "4"}}, "options: "),
        ({"resume": True, "precision": "bf16"}, "precision: fp32 -> bf16"),
    ],
)
def test_a_run_is_gone_on_with_only_as_what_it_is(
    pictures: Path, uninterrupted: Path, changes: dict[str, Any], complaint: str
) -> None:
    """Two runs mixed in one folder would give a model that nobody can make again."""
    with pytest.raises(BadInput, match=complaint):
        here(pictures, uninterrupted, **changes)


def test_a_changed_file_is_noticed_before_training_goes_on(pictures: Path, tmp_path: Path) -> None:
    """The model card names the data set's digest: it must stay true."""
    copied = tmp_path / "pictures"
    shutil.copytree(pictures, copied)
    here(copied, tmp_path / "run")
    np.save(copied / "p3-1.npy", np.ones((12, 12), np.float32))
    with pytest.raises(BadInput, match=r"p3-1\.npy: was changed since the data set was frozen"):
        here(copied, tmp_path / "run", resume=True)
