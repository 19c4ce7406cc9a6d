"""What every Executor promises, whichever stands behind the port."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest

from echonode.core.errors import RunFailed
from echonode.core.ports import Executor, RunRequest
from echonode.core.results import Loop
from echonode.core.settings import ExecutionSection, LimitsSection
from echonode.dicom.video import write_pictures, write_video
from echonode.execution.inline import InlineExecutor
from echonode.execution.local import LocalExecutor
from tests.support.loops import disc_frames, write_loop
from tests.support.runners import TASKS, write_package

PATIENCE = 60.0


@pytest.fixture(params=["inline", "local"])
def executor(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, checkout: Path) -> Iterator[Executor]:
    monkeypatch.setenv("PYTHONPATH", str(checkout))
    limits = LimitsSection(decoded_bytes=1 << 20)
    made: Executor
    if request.param == "inline":
        made = InlineExecutor(tasks=TASKS, limits=limits)
    else:
        made = LocalExecutor(tasks=TASKS, limits=limits, settings=ExecutionSection(devices=("cpu",), threads=1))
    yield made
    made.shutdown()


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return write_package(tmp_path / "models")


def ask(tmp_path: Path, package: Path, *, task: str = "sample", frames: int = 6, size: int = 32, **parameters: object):
    run_id = uuid4().hex
    source = tmp_path / f"{run_id}.dcm"
    write_loop(source, frames=frames, size=size)
    spool = tmp_path / "spool" / run_id
    spool.mkdir(parents=True)
    return RunRequest(run_id=run_id, task=task, package=package, source=source, spool=spool, parameters=parameters)


def test_a_run_gives_the_model_s_loop(executor: Executor, tmp_path: Path, package: Path) -> None:
    """Frames that changed on the way back would be a slow motion of something else."""
    outcome = executor.submit(ask(tmp_path, package)).result(PATIENCE)
    (loop,) = outcome.results
    assert isinstance(loop, Loop)
    assert np.array_equal(loop.frames[::2, :, :, 0], disc_frames(frames=6, size=32))
    assert loop.positions.tolist() == [number / 2 for number in range(11)]
    assert (outcome.device, outcome.refusal) == ("cpu", None)
    assert outcome.details["package_digest"]


def test_a_refusal_is_a_result(executor: Executor, tmp_path: Path, package: Path) -> None:
    """A refusal that looks like a failure would be tried again and again."""
    outcome = executor.submit(ask(tmp_path, package, do="refuse")).result(PATIENCE)
    assert outcome.refusal is not None
    assert outcome.refusal.reason == "this one is not for me"


def test_a_fault_in_the_model_fails_the_run_with_its_words(executor: Executor, tmp_path: Path, package: Path) -> None:
    """The operator must read what happened without opening a log."""
    with pytest.raises(RunFailed, match="ValueError: the model has a fault"):
        executor.submit(ask(tmp_path, package, do="raise")).result(PATIENCE)
    assert executor.submit(ask(tmp_path, package)).result(PATIENCE).results


def test_what_cannot_be_decoded_is_refused(executor: Executor, tmp_path: Path, package: Path) -> None:
    """A broken object must end with its reason, not take three attempts and a dead letter."""
    request = ask(tmp_path, package)
    request.source.write_bytes(request.source.read_bytes()[:2000])
    refusal = executor.submit(request).result(PATIENCE).refusal
    assert refusal is not None
    assert refusal.code == "undecodable"


@pytest.mark.parametrize("name", ["loop.mkv", "pictures"])
def test_videos_and_pictures_run_too(executor: Executor, tmp_path: Path, package: Path, name: str) -> None:
    """A teaching file that was exported as a video is a loop as well."""
    frames = disc_frames(frames=5, size=32)[..., None]
    source = tmp_path / name
    if source.suffix:
        write_video(source, frames, fps=50)
    else:
        source.mkdir()
        write_pictures(source, frames)
    request = replace(ask(tmp_path, package), source=source, facts={"frame_rate": 50.0})
    (loop,) = executor.submit(request).result(PATIENCE).results
    assert isinstance(loop, Loop)
    assert np.array_equal(loop.frames[::2, :, :, :1], frames)
    assert loop.times_ms[2] == pytest.approx(20.0)


def test_a_bomb_is_refused_before_it_is_decoded(executor: Executor, tmp_path: Path, package: Path) -> None:
    """One object that claims more pixels than the limits allow must not take the runner's memory."""
    refusal = executor.submit(ask(tmp_path, package, frames=40, size=256)).result(PATIENCE).refusal
    assert refusal is not None
    assert refusal.code == "undecodable"


def test_progress_reaches_the_asker(executor: Executor, tmp_path: Path, package: Path) -> None:
    """A person who waits for a long run sees that it moves."""
    told: list[tuple[int, int]] = []
    executor.submit(ask(tmp_path, package), progress=lambda done, total: told.append((done, total))).result(PATIENCE)
    assert told[-1] == (1, 1)


@pytest.mark.parametrize("wrong", ["task", "package"])
def test_a_run_that_cannot_start_fails_for_good(executor: Executor, tmp_path: Path, package: Path, wrong: str) -> None:
    """A wrong name does not become right by trying again."""
    places = {"task": package, "package": package.parent / "missing"}
    request = ask(tmp_path, places[wrong], task="nothing" if wrong == "task" else "sample")
    with pytest.raises(RunFailed) as failure:
        executor.submit(request).result(PATIENCE)
    assert not failure.value.transient


def test_capacity_is_there_before_and_gone_after_the_end(executor: Executor, tmp_path: Path, package: Path) -> None:
    """A worker that claims without room keeps items from other workers; after shutdown nothing may start."""
    assert executor.capacity(package) >= 1
    executor.shutdown()
    executor.shutdown()
    assert executor.capacity(package) == 0
    with pytest.raises(RunFailed):
        executor.submit(ask(tmp_path, package)).result(PATIENCE)


def test_health_names_the_models_that_run(executor: Executor, tmp_path: Path, package: Path) -> None:
    """`echonode` shows an operator what the runners do."""
    executor.submit(ask(tmp_path, package)).result(PATIENCE)
    assert list(executor.health()["models"]) == ["probe"]
