"""The recipes of M-mode on tiny data: they learn, are killed and resumed to the same weights, and their packages run."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from echonode.core.errors import BadInput
from echonode.registry.verify import read_manifest, verify
from echonode.tasks.mmode import dataset, train_boundaries, train_level, train_quality
from echonode.tasks.mmode.evaluation import evaluate
from echonode.tasks.mmode.runner import open_runner
from echonode.training.arguments import EvaluationArguments, TrainingArguments, TrainingResult

Main = Callable[[TrainingArguments], TrainingResult]
RECIPES: dict[str, tuple[Main, dict[str, str]]] = {
    "mmode-boundaries": (train_boundaries.main, {"widths": "4,6,6,8", "every": "3"}),
    "mmode-quality": (train_quality.main, {"widths": "4,6,6,8", "every": "2", "members": "2"}),
    "mmode-level": (train_level.main, {"widths": "4,6,6,8", "every": "3"}),
}


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One thread, and simulated sweeps of a fifth of their size."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    monkeypatch.setattr(dataset, "SMALLER", (0.2,))
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def windows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Windows img/mask of three recordings: a dark cavity between bright walls."""
    folder = tmp_path_factory.mktemp("windows")
    for name in ("img", "mask", "good", "bad"):
        (folder / name).mkdir()
    chance = np.random.default_rng(5)
    for number in range(9):
        rows, columns = np.mgrid[0:96, 0:96]
        half = 18 + 6 * np.cos(2 * np.pi * (columns + 7 * number) / 40)
        mask = np.abs(rows - 48) < half
        picture = np.where(mask, 20, 180) + chance.integers(0, 40, mask.shape)
        stem = f"mouse{number % 3}_{number}"
        cv2.imwrite(str(folder / "img" / f"{stem}.png"), picture.astype(np.uint8))
        cv2.imwrite(str(folder / "mask" / f"{stem}.png"), 255 * mask.astype(np.uint8))
        cv2.imwrite(str(folder / "good" / f"{stem}.png"), picture.astype(np.uint8))
        noise = chance.integers(0, 255, mask.shape).astype(np.uint8)
        np.save(folder / "bad" / f"noise{number % 3}_{number}.npy", noise)
    return folder


def _arguments(task: str, out: Path, windows: Path, **other: Any) -> TrainingArguments:
    data = "phantom:3@12" if task == "mmode-level" else str(windows)
    options = {**RECIPES[task][1], "cache": str(out.parent / "cache"), "processes": "1", "test": "no"}
    options |= other.pop("options", {})
    return TrainingArguments(
        task=task, data=(data,), out=out, steps=other.pop("steps", 6), batch=2, device="cpu", options=options,
        models=out.parent / "models", **other,
    )  # fmt: skip


@pytest.mark.parametrize("recipe", list(RECIPES))
def test_a_stopped_and_resumed_run_ends_as_one_that_was_not(
    recipe: str, windows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A site may switch its machine off over night: nothing of the result may depend on it."""
    main = RECIPES[recipe][0]
    whole = main(_arguments(recipe, tmp_path / "whole", windows, name="whole"))
    assert whole.stopped_at is None
    assert whole.package is not None
    _signal_at(recipe, 7, monkeypatch)
    stopped = main(_arguments(recipe, tmp_path / "parts", windows, name="parts"))
    assert stopped.stopped_at is not None
    assert 0 < stopped.stopped_at < 6
    assert stopped.package is None
    monkeypatch.undo()
    monkeypatch.setattr(dataset, "SMALLER", (0.2,))
    resumed = main(_arguments(recipe, tmp_path / "parts", windows, name="parts", resume=True))
    assert resumed.package is not None
    for file in sorted(whole.package.glob("*.safetensors")):
        one, other = load_file(file), load_file(resumed.package / file.name)
        assert one.keys() == other.keys()
        assert all(torch.equal(one[key], other[key]) for key in one), file.name


def _signal_at(recipe: str, sample: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGTERM while that sample is made."""
    module: Any = {"mmode-boundaries": train_boundaries, "mmode-quality": train_quality, "mmode-level": train_level}[
        recipe
    ]
    real, count = module.seen, 0

    def seen(*arguments: Any, **other: Any) -> Any:
        nonlocal count
        count += 1
        if count == sample:
            os.kill(os.getpid(), signal.SIGTERM)
        return real(*arguments, **other)

    monkeypatch.setattr(module, "seen", seen)


@pytest.mark.parametrize(
    ("recipe", "architecture"), [("mmode-boundaries", {"quicknat"}), ("mmode-quality", {"cardionet"})]
)
def test_the_authors_recipes_make_packages_of_their_networks(
    recipe: str, architecture: set[str], windows: Path, tmp_path: Path
) -> None:
    """Whoever wants the published method gets it, in a package that the runner opens."""
    options = {"members": "2"} if recipe == "mmode-quality" else {}
    arguments = replace(
        _arguments(recipe, tmp_path / "run", windows, name="authors", recipe="published", steps=2), batch=1,
        options={"cache": str(tmp_path / "cache"), "processes": "1", "test": "no", **options},
    )  # fmt: skip
    found = RECIPES[recipe][0](arguments).package
    assert found is not None
    manifest = read_manifest(found)
    assert set(manifest.architecture.values()) == architecture
    assert not manifest.simulated
    open_runner(verify(found), "cpu", 1)


@pytest.mark.parametrize("recipe", ["mmode-boundaries", "mmode-level"])
def test_under_torchrun_each_process_has_samples_of_its_own(
    recipe: str, windows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two GPUs that see the same samples learn no more than one, and an epoch is one pass of both together."""
    module: Any = {"mmode-boundaries": train_boundaries, "mmode-level": train_level}[recipe]
    seen: dict[str, Any] = {}

    def run(*given: Any, **named: Any) -> Any:
        seen.update(named)
        raise InterruptedError

    real = module.EpochOrder
    monkeypatch.setattr(module, "EpochOrder", lambda **named: seen.setdefault("order", real(**named)))
    monkeypatch.setattr(module.Run, "of", run)
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InterruptedError):
        RECIPES[recipe][0](replace(_arguments(recipe, tmp_path / "run", windows), steps=None, epochs=3))
    order = seen["order"]
    assert (order.rank, order.world_size) == (1, 2)
    assert seen["total"] == 3 * order.steps_per_epoch
    assert order.steps_per_epoch == -(-order.count // 4)


def test_when_time_is_up_every_judge_has_learned(
    windows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The judges are averaged: one that came to no step would add chance to every answer of a published package."""
    begun: list[dict[str, torch.Tensor]] = []
    real = train_quality._optimiser

    def optimiser(network: torch.nn.Module, *given: Any, **named: Any) -> torch.optim.Optimizer:
        begun.append({name: value.clone() for name, value in network.state_dict().items()})
        return real(network, *given, **named)

    monkeypatch.setattr(train_quality, "_optimiser", optimiser)
    found = train_quality.main(
        _arguments("mmode-quality", tmp_path / "run", windows, name="short", steps=40, minutes=1e-6)
    ).package
    assert found is not None
    for number, before in enumerate(begun, start=1):
        after = load_file(found / f"quality_{number:02d}.safetensors")
        assert any(
            not torch.equal(before[name].half(), after[name]) for name in after if before[name].is_floating_point()
        )
    assert len(begun) == 2


def test_nobody_published_a_recipe_for_the_level(windows: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="sound is the only one"):
        train_level.main(_arguments("mmode-level", tmp_path / "run", windows, recipe="published"))


@pytest.mark.slow
def test_three_recipes_make_one_package_that_measures_a_simulated_cohort(windows: Path, tmp_path: Path) -> None:
    """The shipped package comes about like this: level and quality first, then boundaries with both beside."""
    made = []
    for recipe in ("mmode-level", "mmode-quality"):
        arguments = replace(_arguments(recipe, tmp_path / recipe, windows, name=recipe), data=("phantom:3@12",))
        made.append(str(RECIPES[recipe][0](arguments).package))
    arguments = _arguments(
        "mmode-boundaries", tmp_path / "last", windows, name="together",
        options={"beside": ",".join(made), "test": "yes", "whole": "no"},
    )  # fmt: skip
    result = train_boundaries.main(replace(arguments, data=("phantom:3@12",), test_data=("phantom:1@9",)))
    assert result.package is not None
    assert {each.name for each in result.metrics} >= {"level accuracy", "quality AUC"}
    assert all(each.on == "1 simulated studies (seed 9, routine)" for each in result.metrics)
    learned_from = "simulated hearts of echonode's phantom (3 simulated studies (seed 12, routine)), no patient"
    assert read_manifest(result.package).trained_on == learned_from, "the test is nothing that it learned from"
    package = verify(result.package)
    assert set(package.architecture) == {"boundaries", "level", "quality_01", "quality_02"}
    assert package.simulated
    assert sum(file.stat().st_size for file in package.weights.values()) < 4 << 20
    card = (result.package / "MODEL_CARD.md").read_text()
    assert "Level of the sweep" in card
    assert "recipe mmode-quality" in card
    found = evaluate(
        EvaluationArguments(
            task="mmode-boundaries", packages=(package, replace(package, name="again")), data=("phantom:1@9",),
            options={"cache": str(tmp_path / "cache"), "whole": "no", "processes": "1"}, figures=tmp_path / "figures",
        )
    )  # fmt: skip
    assert len(found.further["cases"]["again"]) == 3
    assert all(path.is_file() for path in found.figures)


def test_an_unknown_option_lists_those_there_are(windows: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="members"):
        train_quality.main(_arguments("mmode-quality", tmp_path / "run", windows, options={"nets": "3"}))


def test_windows_have_a_dice(windows: Path, tmp_path: Path) -> None:
    """img/mask folders of a site are tested on as well as trained on."""
    trained = train_boundaries.main(_arguments("mmode-boundaries", tmp_path / "run", windows, name="windows"))
    assert trained.package is not None
    found = evaluate(
        EvaluationArguments(task="mmode-boundaries", packages=(verify(trained.package),), data=(str(windows),))
    )
    (dice,) = found.metrics["windows"]
    assert dice.name == "window Dice"
    assert dice.n == 3, "three recordings, whatever the number of windows"
