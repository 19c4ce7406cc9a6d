"""An order of a training, as the words of the command that carries it out."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from echonode.cli.main import execute
from echonode.cli.train import plain_arguments
from echonode.core import task
from echonode.core.errors import BadInput
from echonode.trainer import LocalTrainer, command_line
from echonode.training.arguments import TrainingArguments, TrainingResult
from tests.support.waiting import wait_until


def test_every_argument_comes_through_kept_and_typed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An argument that is lost on the way trains another model than was ordered, all night."""
    (tmp_path / "start.pt").touch()
    wanted = TrainingArguments(
        task="t", data=("phantom:2@1", str(tmp_path)), test_data=("archive:Modality=US",), out=tmp_path / "--run",
        recipe="published", init=tmp_path / "start.pt", seed=7, device="cpu", precision="bf16", threads=2, steps=9,
        minutes=1.5, batch=3, workers=1, resume=True, options={"rate": "0.1", "note": "a=b --c"}, name="a-model",
        models=tmp_path / "models",
    )  # fmt: skip
    given: list[TrainingArguments] = []

    def recipe(arguments: TrainingArguments) -> TrainingResult:
        given.append(arguments)
        return TrainingResult(folder=arguments.out)

    spec = task.TaskSpec(name="t", title="T", runner="json:loads", recipes={"t": "json:loads"})
    monkeypatch.setattr(task, "installed_tasks", lambda: {"t": spec})
    monkeypatch.setattr(task, "resolve", lambda _reference: recipe)
    kept = json.loads(json.dumps(plain_arguments(wanted)))
    assert execute(command_line(kept, resume=False)) == 0
    epochs = {**kept, "steps": None, "epochs": 4}
    assert execute(command_line(epochs, resume=False)) == 0
    assert given[0] == wanted
    assert given[1].epochs == 4


@pytest.mark.parametrize("arguments", [{}, {"task": "t", "out": "/r"}, {"task": "t", "out": "/r", "data": None}])
def test_what_is_no_order_is_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        command_line(arguments, resume=False)


def test_a_training_that_says_nothing_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 0 is no model."""
    monkeypatch.setattr("echonode.trainer.this_python", lambda *_: (sys.executable, "-c", "print('hello')"))
    training = LocalTrainer(tmp_path, configuration=tmp_path).start("w", {"task": "t", "out": "/r", "data": ["d"]})
    ended = wait_until(training.ended, "the process to end")
    assert ended.result is None
    assert "without a result" in ended.reason
