"""The recipe on a tiny network and simulated hearts: stopped and resumed, published, run, evaluated."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from echonode.cli.main import execute
from echonode.core.errors import BadInput
from echonode.registry.verify import verify
from echonode.tasks.ejection_fraction import train
from echonode.tasks.ejection_fraction.evaluate import evaluate
from echonode.tasks.ejection_fraction.runner import open_runner
from echonode.training.arguments import EvaluationArguments, TrainingArguments, TrainingResult

SIZE = {"widths": "8,16,64", "depths": "1,1,1", "side": "32", "validate_every": "2", "head_epochs": "1", "warm_up": "2"}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("loops")


def arguments(out: Path, cache: Path, **changed: Any) -> TrainingArguments:
    usual: dict[str, Any] = {
        "task": "ejection-fraction", "data": ("phantom:7@31",), "out": out, "seed": 5, "device": "cpu", "threads": 1,
        "batch": 2, "steps": 7, "options": {**SIZE, "cache": str(cache)},
    }  # fmt: skip
    return TrainingArguments(**(usual | changed))


def weights(run: Path) -> dict[str, torch.Tensor]:
    state = torch.load(run / "last.pt", weights_only=True)["state"]
    return {**state["networks"], **{f"average {name}": value for name, value in state["average"]["average"].items()}}


def test_stopped_in_either_stage_and_resumed_it_ends_where_it_would_have(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node is restarted at any time; a training that then ends elsewhere cannot be made again."""
    whole = train.main(arguments(tmp_path / "whole", cache))
    assert whole.stopped_at is None
    rate_at = train.rate_at

    def interrupted(step: int, options: train.Options, **further: Any) -> float:
        if step in (2, 6) and step not in done:
            done.append(step)
            os.kill(os.getpid(), signal.SIGTERM)
        return rate_at(step, options, **further)

    done: list[int] = []
    monkeypatch.setattr(train, "rate_at", interrupted)
    first = train.main(arguments(tmp_path / "pieces", cache))
    assert first.stopped_at == 3
    again = train.main(arguments(tmp_path / "pieces", cache, resume=True))
    assert again.stopped_at is None
    assert done[0] == 2
    one, two = weights(tmp_path / "whole"), weights(tmp_path / "pieces")
    assert one.keys() == two.keys()
    assert [name for name in one if not torch.equal(one[name], two[name])] == []


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> TrainingResult:
    folder = tmp_path_factory.mktemp("published")
    return train.main(
        arguments(folder / "run", cache, test_data=("phantom:3@32",), name="tiny-ef", models=folder / "models")
    )


def test_what_is_published_runs_and_is_evaluated(tmp_path: Path, cache: Path, published: TrainingResult) -> None:
    """The package must be what the runner opens, and its card must say what was measured."""
    result = published
    assert result.package is not None
    package = verify(result.package)
    assert package.simulated
    assert package.preparation == "clinical"
    card = (result.package / "MODEL_CARD.md").read_text()
    assert "EF MAE" in card
    assert "no patient" in card
    assert open_runner(package, "cpu", 1) is not None
    found = evaluate(
        EvaluationArguments(
            task="ejection-fraction", packages=(package, package.__class__(**{**_fields(package), "name": "twin"})),
            data=("phantom:3@32",), figures=tmp_path / "figures", device="cpu", threads=1, options={"cache": str(cache)},
        )
    )  # fmt: skip
    said = json.loads(json.dumps(found.as_json()))
    assert [row["loops"] for row in said["tables"]["Error"]["rows"]] == [3, 3]
    assert said["tables"]["Difference of MAE on the same loops"]["rows"][0]["difference"] == 0
    measured = {metric.name: metric.value for metric in result.metrics}
    assert measured["EF MAE"] == pytest.approx(said["metrics"]["tiny-ef"][0]["value"], abs=1e-3)
    written = {path.name for path in found.figures}
    assert {"tiny-ef-saliency.png", "tiny-ef-embeddings.npz", "tiny-ef-bland-altman.png"} <= written
    with np.load(tmp_path / "figures" / "tiny-ef-embeddings.npz") as kept:
        assert kept["embeddings"].shape == (3, 128)


def test_an_unknown_option_names_those_that_there_are(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(BadInput, match="temperature"):
        train.main(arguments(tmp_path / "run", cache, options={"temprature": "1"}))


@pytest.mark.slow
def test_the_published_recipe_takes_a_step_of_each_stage(tmp_path: Path, cache: Path) -> None:
    """The authors' network, clips and losses, as far as a CPU can show them."""
    result = train.main(
        arguments(
            tmp_path / "run", cache, recipe="published", data=("phantom:4@33",), batch=2, steps=4,
            options={"cache": str(cache), "frames": "8", "limit": "2", "validate_every": "4"},
        )
    )  # fmt: skip
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert result.stopped_at is None
    assert any("loss_contrast" in line for line in lines)
    assert "loss_contrast" not in lines[-1]


@pytest.mark.slow
def test_a_simulated_study_is_read_beside_its_truth(
    tmp_path: Path, published: TrainingResult, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a site tries first: is the number that the model prints near the one that is true?"""
    study = tmp_path / "simulated"
    assert execute(["simulate", str(study), "--studies", "1", "--seed", "44", "--preset", "quick"]) == 0
    capsys.readouterr()
    model = ["--model", str(published.package), "--truth", str(study / "truth.json"), "--json"]
    code = execute(["run", "ejection-fraction", str(study), *model])
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    assert code == 2, "loops of other views are refused, each with its reason"
    (row,) = lines[-1]["truth"]
    truth = json.loads((study / "truth.json").read_text())["studies"][0]["patient"]["ef_percent"]
    assert row["truth"] == pytest.approx(truth)
    assert row["difference"] == pytest.approx(row["value"] - truth)


def _fields(package: Any) -> dict[str, Any]:
    return {name: getattr(package, name) for name in package.__dataclass_fields__}
