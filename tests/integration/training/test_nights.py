"""Trainings in real processes, over nights that the test's clock makes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from echonode.archive.archive import Archive
from echonode.cli.main import execute
from echonode.core import task
from echonode.core.settings import WorkSection
from echonode.core.states import WorkState
from echonode.core.work import WorkItem, WorkKind
from echonode.flow.leases import Leases
from echonode.flow.takeover import take_over
from echonode.flow.training_orders import words
from echonode.flow.trainings import SAVING_SECONDS, Trainings
from echonode.trainer import LocalTrainer
from tests.support.bench import Clock
from tests.support.installed import install_tiny
from tests.support.tiny_recipe import TASK
from tests.support.waiting import wait_until

STEPS, HOLD = "17", 13
PATIENCE = 250.0
"""Seconds: on a busy machine the lowest priority gets little."""


@dataclass(slots=True)
class Nights:
    """A node's archive and its one worker, without the node."""

    folder: Path
    archive: Archive
    clock: Clock
    trainings: Trainings

    def at(self, day: int, time: str) -> int:
        self.clock.now = datetime.fromisoformat(f"2026-03-{day:02d}T{time}").timestamp()
        return self.trainings.sweep()

    def until(self, done: Callable[[], Any], what: str) -> None:
        """Sweep until it is so."""
        wait_until(lambda: (self.trainings.sweep(), done())[1], what, seconds=PATIENCE)

    @property
    def item(self) -> WorkItem:
        (item,) = self.archive.work.list(kind=WorkKind.TRAIN)
        return item

    @property
    def says(self) -> str:
        return words(self.item, self.clock())

    @property
    def run(self) -> Path:
        return self.folder / "data" / "trainings" / "runs" / "tiny-model"

    @property
    def pid(self) -> int:
        hand: Any = self.trainings._hand
        return int(hand.training.pid)

    def hold(self) -> None:
        self.until(lambda: (self.run / "holding-0").exists() or not self.trainings.in_hand, "the training to hold")
        assert self.trainings.in_hand, self.item.reason

    def ended(self) -> None:
        self.until(lambda: not self.trainings.in_hand, "the training to end")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    chance = np.random.default_rng(0)
    for patient in range(10):
        picture = chance.random() + 0.1 * chance.random((12, 12))
        np.save(folder / f"p{patient}-0.npy", picture.astype(np.float32))
    return folder


@pytest.fixture
def nights(
    tmp_path: Path, checkout: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[Nights]:
    """At ordinary priority, unless a test asks otherwise: a machine that runs tests is busy all the time."""
    monkeypatch.setenv("PYTHONPATH", install_tiny(tmp_path / "site", checkout=checkout))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setenv("ECHONODE_CONFIG", str(tmp_path / "config"))
    monkeypatch.setattr(task, "installed_tasks", lambda: {TASK.name: TASK})
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "node.toml").write_text(
        f'[storage]\nroot = "{tmp_path / "data"}"\n[models]\npaths = []\nimported = "{tmp_path / "models"}"\n'
    )
    (tmp_path / "data").mkdir()
    yielding = bool(getattr(request, "param", False))
    clock = Clock(datetime.fromisoformat("2026-03-03T15:00").timestamp())
    archive = Archive.open(f"sqlite:///{tmp_path / 'data' / 'echonode.sqlite3'}", clock=clock, migrate=True)
    trainings = Trainings(
        archive=archive,
        trainer=LocalTrainer(tmp_path / "data", configuration=tmp_path / "config", yielding=yielding),
        settings=WorkSection(),
        owner="worker 1",
        clock=clock,
    )
    yield Nights(tmp_path, archive, clock, trainings)
    trainings.close()
    archive.close()


@pytest.fixture
def order(nights: Nights, pictures: Path) -> Callable[..., int]:
    """`echonode train tiny ... --at`, as typed."""

    def give(*further: str, at: str = "22:00") -> int:
        code = execute(
            ["train", "tiny", "--data", str(pictures), "--steps", STEPS, "--device", "cpu", "--name", "tiny-model",
             "--threads", "1", "--at", at, *further]
        )  # fmt: skip
        for item in nights.archive.work.list(kind=WorkKind.TRAIN, state=WorkState.SCHEDULED):
            # the command read the true clock; the night of the test is another one
            retried = nights.archive.work.cancel(item.id, reason="")
            opening = datetime.fromisoformat("2026-03-03T22:00").timestamp()
            nights.archive.work.retry(retried.id, not_before=opening)
        return code

    return give


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


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_stopped_by_the_morning_canceled_and_gone_on_with_it_ends_with_the_same_bits(
    nights: Nights, order: Callable[..., int], pictures: Path, tmp_path: Path
) -> None:
    """Three nights: the window's end, a person's cancel and retry, and a package as if nothing had happened."""
    assert order("--until", "06:00", "--set", f"hold_at={HOLD}") == 0
    assert nights.says == "waits for 22:00"
    assert nights.at(3, "21:59") == 0
    assert nights.at(3, "22:00") == 1
    nights.hold()
    nights.at(4, "06:00")
    nights.ended()
    assert nights.says == "stopped at 06:00, goes on at 22:00"
    assert content(nights.run / "last.pt")["step"] == HOLD
    assert nights.at(4, "12:00") == 0

    nights.at(4, "22:00")
    nights.archive.work.cancel(nights.item.id, reason="the wrong night")
    nights.ended()
    assert nights.says == "given up: the wrong night"
    assert content(nights.run / "last.pt")["step"] < int(STEPS)
    nights.archive.work.retry(nights.item.id, not_before=datetime.fromisoformat("2026-03-05T22:00").timestamp())

    nights.at(5, "22:00")
    nights.ended()
    assert nights.item.state is WorkState.COMPLETED, nights.item.reason
    assert nights.item.outcome["package"] == str(nights.folder / "models" / "tiny-model")
    assert nights.item.outcome["metrics"][0]["name"] == "brightness MAE"
    assert f"trained, step {STEPS} of {STEPS}, " in nights.says

    whole = tmp_path / "whole"
    subprocess.run(
        [sys.executable, "-P", "-m", "echonode", "train", "tiny", "--data", str(pictures), "--steps", STEPS, "--device",
         "cpu", "--name", "tiny-model", "--threads", "1", "--out", str(whole / "run"), "--models", str(whole / "models")],
        env={**os.environ, "OMP_NUM_THREADS": "1"}, check=True, capture_output=True,
    )  # fmt: skip
    assert identical(content(nights.run / "last.pt"), content(whole / "run" / "last.pt"))
    for name in ("tiny.safetensors", "manifest.toml", "MODEL_CARD.md"):
        mine = nights.folder / "models" / "tiny-model" / name
        assert mine.read_bytes() == (whole / "models" / "tiny-model" / name).read_bytes(), name
    audit = [row.event for row in reversed(nights.archive.audit.latest())]
    assert audit == [
        "training ordered", "training began", "training stopped", "training began", "training stopped", "training began",
        "trained",
    ]  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("nights", [True], indirect=True, ids=["yielding"])
def test_it_runs_below_everything_stands_still_and_ends_with_its_worker(
    nights: Nights, order: Callable[..., int]
) -> None:
    """The kernel's own word on priority, standing still, and the lock that one training holds."""
    assert order("--set", f"hold_at={HOLD}", "--workers", "1") == 0
    nights.at(3, "22:00")
    nights.hold()
    pid = nights.pid
    assert os.sched_getscheduler(pid) == os.SCHED_IDLE
    assert os.getpriority(os.PRIO_PROCESS, pid) == 19
    assert int(Path(f"/proc/{pid}/oom_score_adj").read_text()) == 800
    hand: Any = nights.trainings._hand
    hand.training.pause()
    wait_until(lambda: state_of(pid) == "T", "the training to stand still")
    hand.training.go_on()
    wait_until(lambda: state_of(pid) != "T", "the training to go on")
    hand.training.pause()
    nights.at(4, "01:00")
    nights.archive.work.cancel(nights.item.id, reason="enough")
    nights.ended()
    assert content(nights.run / "last.pt")["step"] == HOLD  # it saved, although it stood still


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_crash_says_the_last_line_of_its_log(nights: Nights, order: Callable[..., int]) -> None:
    assert order("--set", "hold_at=1") == 0
    nights.at(3, "22:00")
    nights.hold()
    os.kill(nights.pid, signal.SIGKILL)
    nights.ended()
    assert "killed by SIGKILL" in nights.item.reason
    assert (nights.item.state, nights.item.attempts) == (WorkState.SCHEDULED, 1)
    nights.at(3, "23:00")
    nights.ended()
    assert nights.item.state is WorkState.COMPLETED


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_what_the_recipe_refuses_is_not_tried_again(nights: Nights, order: Callable[..., int]) -> None:
    assert order("--set", "widht=3") == 0
    nights.at(3, "22:00")
    nights.ended()
    assert nights.item.state is WorkState.CANCELED
    assert "widht" in nights.says


def test_an_order_is_kept_whole_with_absolute_paths(
    nights: Nights, order: Callable[..., int], pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The node's process stands in another folder than the person who typed."""
    assert order("--until", "06:00", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    item = nights.item
    assert told["id"] == item.id
    arguments = item.payload["arguments"]
    assert arguments["data"] == [str(pictures)]
    assert arguments["out"] == told["folder"] == str(nights.run)
    assert (arguments["threads"], arguments["models"]) == (1, str(nights.folder / "models"))
    assert (item.payload["at"], item.payload["until"]) == ("22:00", "06:00")
    assert item.payload["who"].startswith("cli:")


@pytest.mark.parametrize(
    ("further", "complaint"),
    [
        (["--at", "25:00"], "a time from 00:00 to 23:59"),
        (["--at", "22:00", "--until", "22:00"], "no time between"),
        (["--until", "06:00"], "--until belongs to --at"),
        (["--at", "22:00", "--resume"], "holds no run to go on with"),
        (["--at", "22:00", "--data", "nowhere"], "no such file"),
    ],
)
def test_a_wrong_order_is_one_line(
    nights: Nights, further: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute(["train", "tiny", "--data", "phantom:2@1", *further]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert complaint in line
    assert nights.archive.work.list(kind=WorkKind.TRAIN) == []


def test_the_next_worker_takes_a_training_over(nights: Nights, order: Callable[..., int]) -> None:
    """What a killed worker had in hand is not lost, and costs no attempt."""
    assert order() == 0
    nights.at(3, "22:00")
    nights.trainings._hand.training.kill()  # type: ignore[union-attr]  # with its worker
    assert take_over(nights.archive, Leases(nights.archive.work, owner="worker 2", seconds=60)) == 1
    assert (nights.item.state, nights.item.attempts) == (WorkState.SCHEDULED, 0)
    nights.clock.now += SAVING_SECONDS
    nights.ended()
    assert nights.item.state is WorkState.SCHEDULED


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
