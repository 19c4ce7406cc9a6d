"""The recipe: what a killed and resumed run, a published edition or a shipped package would get wrong."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from echonode.core.errors import BadInput, CheckpointRefused, PackageInvalid
from echonode.core.package import Package
from echonode.registry.verify import verify
from echonode.tasks.segmentation.evaluate import evaluate
from echonode.tasks.segmentation.runner import Refinement, open_runner
from echonode.tasks.segmentation.train import PUBLISHED, Options, first_weights, loss_of, main, network_of, rate_at
from echonode.training.arguments import EvaluationArguments, TrainingArguments
from echonode.training.run import Run

TINY = {
    "side": "32", "widths": "4,8", "frames": "2", "validate_every": "3", "validation_samples": "4",
    "test_scale": "0.2", "test_beats": "1",
}  # fmt: skip


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def arguments(out: Path, cache: Path, *, options: Mapping[str, str] = TINY, **further: Any) -> TrainingArguments:
    torch.set_num_threads(1)
    given: dict[str, Any] = {
        "data": ("phantom:3@31/quick",), "steps": 5, "batch": 2, "seed": 4, "threads": 1, "device": "cpu",
        "models": out.parent / "models",
    }  # fmt: skip
    return TrainingArguments(
        task="segmentation", out=out, options={**options, "cache": str(cache)}, **{**given, **further}
    )


@pytest.mark.slow
def test_killed_and_resumed_is_uninterrupted_and_the_package_runs(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = main(arguments(tmp_path / "whole" / "run", cache, name="tiny"))
    assert whole.package is not None
    log = Run.log

    def killed(run: Run, step: int, **scalars: float) -> None:
        log(run, step, **scalars)
        if step == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "log", killed)
        stopped = main(arguments(tmp_path / "cut" / "run", cache, name="tiny"))
    assert stopped.stopped_at == 2
    resumed = main(arguments(tmp_path / "cut" / "run", cache, name="tiny", resume=True))
    assert resumed.package is not None
    first, second = (load_file(each / "segmentation.safetensors") for each in (whole.package, resumed.package))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert [metric.value for metric in whole.metrics] == [metric.value for metric in resumed.metrics]

    package = verify(whole.package)
    assert package.simulated
    assert "no patient" in package.trained_on
    found = evaluate(
        EvaluationArguments(
            task="segmentation",
            packages=(package, package),
            data=("phantom:2@9000101/quick",),
            device="cpu",
            options={"scale": "0.2", "beats": "1"},
            figures=tmp_path / "figures",
        )
    )
    assert "Overlap" in " ".join(found.tables)
    names = {metric.name for metric in found.metrics["tiny"]}
    assert "Dice, LV cavity" in names


def test_a_wrong_option_lists_those_that_there_are(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(BadInput, match="validate_every"):
        main(arguments(tmp_path / "run", cache, options={"depth": "4"}))
    with pytest.raises(BadInput, match="multiple of 32"):
        main(arguments(tmp_path / "run", cache, options={"side": "100"}))


def test_the_published_schedule_goes_up_again_after_as_many_steps_as_epochs() -> None:
    rates = [rate_at(step, options=PUBLISHED, period=300) * PUBLISHED.rate for step in (0, 150, 300, 600)]
    assert rates == pytest.approx([1e-3, 5.5e-4, 1e-4, 1e-3])
    ours = Options()
    assert rate_at(999, options=ours, period=1000) * ours.rate == pytest.approx(ours.least_rate, rel=0.02)
    assert rate_at(0, options=ours, period=1000) < 0.05


def test_the_published_network_is_the_authors_and_takes_their_weights(tmp_path: Path) -> None:
    network = network_of(PUBLISHED)
    assert sum(weight.numel() for weight in network.parameters()) == 664_282
    file = tmp_path / "model.pth"
    torch.save({f"_orig_mod.{name}": value for name, value in network.state_dict().items()}, file)
    assert first_weights(file, network).keys() == network.state_dict().keys()
    with pytest.raises(CheckpointRefused):
        first_weights(file, network_of(Options()))


def test_a_perfect_answer_costs_nothing_and_a_border_lies_between_pixels() -> None:
    shares = torch.zeros(1, 4, 4, 4)
    shares[:, 0, :, :2], shares[:, 1, :, 2:] = 1, 1
    assert float(loss_of(100 * shares, shares, dice_weight=0.5)) < 0.26, "absent structures count a little"
    half = torch.full((1, 4, 1, 1), 0.0)
    half[:, :2] = 0.5
    logits = torch.zeros(1, 4, 1, 1, requires_grad=True)
    loss_of(logits, half, dice_weight=0.0).backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert float(logits.grad[0, 0]) == float(logits.grad[0, 1]), "half of each pulls both alike"


@pytest.mark.parametrize("config", [{"side": 100}, {"side": True}, {"smooth": 1}, {"smoothing_ms": -1}, {"loop": "no"}])
def test_a_package_with_a_wrong_setting_is_refused(config: dict[str, Any]) -> None:
    with pytest.raises(PackageInvalid, match="config"):
        Refinement.of(config)


@pytest.mark.parametrize("widths", [[8], "8,16", [8, 0], [8, 2.5]])
def test_a_package_with_wrong_widths_is_refused(widths: object, tmp_path: Path) -> None:
    package = Package(
        name="x", version="1", task="segmentation", title="x", folder=tmp_path, digest="0",
        architecture={"segmentation": "echo-unet"}, config={"widths": widths}, weights={"segmentation": tmp_path / "x"},
    )  # fmt: skip
    with pytest.raises(PackageInvalid, match="widths"):
        open_runner(package, "cpu", 1)


def test_refinement_is_off_unless_a_package_says_so() -> None:
    assert Refinement.of({}) == Refinement()
    assert Refinement().side == 256
    assert not np.any([Refinement().smooth, Refinement().whole, Refinement().loop, Refinement().smoothing_ms])
