"""The recipe on tiny data: it is stopped and resumed to the same weights, and its package runs and says what it does not know."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from echonode.core.clip import Clip, Mode
from echonode.core.errors import BadInput, PackageInvalid
from echonode.core.results import Details, Finding, Ineligible
from echonode.registry.verify import read_manifest, verify
from echonode.tasks.view import dataset as view_dataset
from echonode.tasks.view import evaluation, train
from echonode.tasks.view.classes import CLASSES, CODES, IMAGE_VIEW, NOT_RECOGNISED
from echonode.tasks.view.evaluation import evaluate
from echonode.tasks.view.runner import open_runner
from echonode.tasks.view.simulated import Recording, Shown
from echonode.training.arguments import EvaluationArguments, TrainingArguments

TINY = {"widths": "4,6,8", "side": "32", "kept_side": "48", "validate_every": "3", "processes": "1"}


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One thread, and simulated studies that are bright blobs: each class has its place."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)

    def shown(study: Any, recording: Recording) -> Iterator[Shown]:
        chance = np.random.default_rng(study.index)
        for label, view in enumerate(CLASSES):
            pictures = chance.integers(20, 60, (recording.frames, recording.side, recording.side)).astype(np.uint8)
            row, column = divmod(label, 3)
            pictures[:, 2 + 16 * row : 14 + 16 * row, 2 + 16 * column : 14 + 16 * column] = 220
            yield Shown(pictures=pictures, view=view, kind="planned")

    monkeypatch.setattr(view_dataset, "shown", shown)
    yield
    torch.set_num_threads(threads)


def arguments(out: Path, **other: Any) -> TrainingArguments:
    return TrainingArguments(
        task="view", data=("phantom:6@12",), out=out, steps=other.pop("steps", 6), batch=4, device="cpu",
        options={**TINY, "cache": str(out.parent / "cache")}, models=out.parent / "models", **other,
    )  # fmt: skip


def test_a_stopped_and_resumed_run_ends_as_one_that_was_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A site may switch its machine off over night: nothing of the result may depend on it."""
    whole = train.main(arguments(tmp_path / "whole", name="whole"))
    assert whole.package is not None
    real, count = train.augmented, 0

    def augmented(*given: Any, **named: Any) -> Any:
        nonlocal count
        count += 1
        if count == 6:
            os.kill(os.getpid(), signal.SIGTERM)
        return real(*given, **named)

    with monkeypatch.context() as patch:
        patch.setattr(train, "augmented", augmented)
        stopped = train.main(arguments(tmp_path / "parts", name="parts"))
    assert stopped.stopped_at is not None
    assert 0 < stopped.stopped_at < 6
    assert stopped.package is None
    resumed = train.main(arguments(tmp_path / "parts", name="parts", resume=True))
    assert resumed.package is not None
    one, other = (load_file(package / "view.safetensors") for package in (whole.package, resumed.package))
    assert all(torch.equal(one[key], other[key]) for key in one)
    assert whole.metrics == resumed.metrics


def test_what_is_published_says_that_it_is_simulated_and_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package whose card hides where it learned, or whose errors are another's, or that the runner refuses, is worth nothing."""
    tested: dict[str, torch.Tensor] = {}
    real = evaluation.ViewRunner

    def runner_of(*, network: Any, **named: Any) -> Any:
        tested.update({name: value.clone() for name, value in network.state_dict().items()})
        return real(network=network, **named)

    with monkeypatch.context() as patch:
        patch.setattr(evaluation, "ViewRunner", runner_of)
        result = train.main(arguments(tmp_path / "run", name="tiny"))
    assert result.package is not None
    shipped = load_file(result.package / "view.safetensors")
    assert shipped.keys() == tested.keys()
    assert all(torch.equal(tested[name], value.to(tested[name].dtype)) for name, value in shipped.items())
    manifest = read_manifest(result.package)
    assert manifest.simulated
    assert manifest.trained_on == "simulated hearts of echonode's phantom (phantom:6@12/routine), no patient"
    assert {each.name for each in manifest.metrics} >= {"view accuracy", "no view, but called one"}
    assert all(each.locked for each in manifest.metrics)
    card = (result.package / "MODEL_CARD.md").read_text()
    assert all(
        f"## {title}" in card for title in ("Accuracy", "Confusion", "Classes", "Reliability", "How it was tested")
    )
    package = verify(result.package)
    runner = open_runner(package, "cpu", 1)
    chance = np.random.default_rng(0)
    frames = chance.integers(0, 255, (6, 64, 64, 1)).astype(np.uint8)
    clip = Clip(frames=frames, times_ms=np.arange(6) * 40.0, mode=Mode.B_MODE)
    sweep = replace(clip, mode=Mode.M_MODE)
    dark = Clip(frames=np.zeros((1, 64, 64, 1), np.uint8), times_ms=np.zeros(1))
    told: list[tuple[int, int]] = []
    (found, details), (refused,), (empty,) = runner.run(
        [clip, sweep, dark], [{}, {}, {}], lambda done, total: told.append((done, total))
    )
    assert isinstance(found, Finding)
    assert isinstance(details, Details)
    assert details.values["mode"] == "2d"
    assert found.concept == IMAGE_VIEW
    assert found.value in {*CODES.values(), NOT_RECOGNISED}
    assert isinstance(refused, Ineligible)
    assert refused.code == "mode"
    assert isinstance(empty, Ineligible)
    assert told[-1] == (3, 3)
    found_again = evaluate(EvaluationArguments(task="view", packages=(package,), data=("phantom:2@13",))).metrics[
        "tiny"
    ]
    assert found_again
    assert not any(each.locked for each in found_again), "an evaluation cannot know what was learned from"
    with pytest.raises(PackageInvalid, match="classes"):
        open_runner(replace(package, config={**package.config, "classes": ["PLAX"]}), "cpu", 1)
    with pytest.raises(PackageInvalid, match="widths"):
        open_runner(replace(package, config={**package.config, "widths": [0]}), "cpu", 1)


def test_below_the_threshold_the_answer_is_unknown(tmp_path: Path) -> None:
    """A view that the network only guesses must not send a loop to a model for it."""
    result = train.main(arguments(tmp_path / "run", name="tiny"))
    assert result.package is not None
    package = verify(result.package)
    sure = open_runner(replace(package, config={**package.config, "threshold": 0.999}), "cpu", 1)
    frames = np.random.default_rng(4).integers(0, 255, (6, 64, 64, 1)).astype(np.uint8)
    reading = sure.read(Clip(frames=frames, times_ms=np.arange(6) * 40.0), {}, lambda done, total: None)
    assert not isinstance(reading, Ineligible)
    (found,) = reading.results()
    assert isinstance(found, Finding)
    assert found.value == NOT_RECOGNISED
    assert reading.details()["view"] == "unknown"
    assert reading.details()["likeliest"] in CLASSES
    assert sum(reading.probabilities.values()) == pytest.approx(1)


def test_nobodys_recipe_is_not_called_published(tmp_path: Path) -> None:
    """--recipe published promises the authors' own settings; here there are no authors."""
    with pytest.raises(BadInput, match="nobody"):
        train.main(arguments(tmp_path / "run", recipe="published"))
