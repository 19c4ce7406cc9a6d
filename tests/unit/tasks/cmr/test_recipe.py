"""The recipe of findings: what a killed and resumed run, the authors' edition, a manifest or a package would get wrong."""

from __future__ import annotations

import csv
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from echonode.core.clip import Clip
from echonode.core.errors import BadInput
from echonode.core.results import Measurement
from echonode.phantom.cohort import Cohort
from echonode.registry.verify import verify
from echonode.tasks.cmr import train
from echonode.tasks.cmr.clips import open_loop
from echonode.tasks.cmr.dataset import layout
from echonode.tasks.cmr.evaluation import answers, evaluate
from echonode.tasks.cmr.hearts import Mixture
from echonode.tasks.cmr.loops import Form, Origin, kept, planned
from echonode.tasks.cmr.prepare import Convention
from echonode.tasks.cmr.runner import network_of, open_runner
from echonode.tasks.cmr.train import main
from echonode.training.arguments import EvaluationArguments, TrainingArguments
from echonode.training.run import Run

COHORT, LOCKED = "phantom:8@31/quick", "phantom:3@9000101/quick"


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def arguments(out: Path, cache: Path, **further: Any) -> TrainingArguments:
    torch.set_num_threads(1)
    options = {
        "cache": str(cache),
        "width": "4",
        "frames": "4",
        "tissue_frames": "1",
        "validate_every": "2",
        "clips": "1",
    }
    given: dict[str, Any] = {
        "data": (COHORT,), "test_data": (LOCKED,), "steps": 6, "batch": 2, "seed": 4, "threads": 1, "device": "cpu",
        "models": out.parent / "models",
    }  # fmt: skip
    asked = {**options, **further.pop("options", {})}
    return TrainingArguments(task="cmr", out=out, options=asked, **{**given, **further})


@pytest.mark.slow
@pytest.mark.parametrize("at", [2, 5])
def test_a_run_killed_in_either_stage_ends_as_if_it_had_not_been(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    whole = main(arguments(tmp_path / "whole" / "run", cache, name="tiny"))
    log = Run.log

    def killed(run: Run, step: int, **scalars: float) -> None:
        log(run, step, **scalars)
        if step == at and "loss" in scalars:
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "log", killed)
        stopped = main(arguments(tmp_path / "cut" / "run", cache, name="tiny"))
    assert stopped.stopped_at == at
    resumed = main(arguments(tmp_path / "cut" / "run", cache, name="tiny", resume=True))
    assert whole.package is not None
    assert resumed.package is not None
    first, second = (load_file(each / "classifier.safetensors") for each in (whole.package, resumed.package))
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.slow
def test_a_package_is_run_and_evaluated_as_it_was_tested(tmp_path: Path, cache: Path) -> None:
    """The runner must see the clips that the tables were made of, or the card lies."""
    result = main(arguments(tmp_path / "run", cache, name="tiny"))
    assert result.package is not None
    package = verify(result.package)
    assert package.simulated
    assert "no patient" in package.trained_on

    form = Form(mixture=Mixture.REGIONAL, frames=0)
    plan = planned(("phantom:3@9000101/quick", 0), form)
    assert plan is not None
    loop = plan.acquire(rows=round(plan.machine.rows * form.scale), columns=round(plan.machine.columns * form.scale),
                        labels=False)  # fmt: skip
    clip = Clip(frames=loop.frames, times_ms=loop.times_ms, regions=loop.regions, view="A4C")
    reading = open_runner(package, "cpu", 1).read(clip, {}, lambda done, total: None)
    places = kept([Origin(phantom=("phantom:3@9000101/quick", 0))], form, folder=cache)
    assert isinstance(places[0], Path)
    convention = Convention.of(package.config)
    tested = answers(network_of(package), [open_loop(places[0])], convention, torch.device("cpu"))
    assert not hasattr(reading, "reason")
    assert reading.logit == pytest.approx(tested[0], abs=1e-4)  # type: ignore[union-attr]
    measurement, *_ = reading.results()  # type: ignore[union-attr]
    assert isinstance(measurement, Measurement)
    assert measurement.value == pytest.approx(100 * reading.probability)  # type: ignore[union-attr]

    found = evaluate(
        EvaluationArguments(
            task="cmr",
            packages=(package, package),
            data=(LOCKED,),
            device="cpu",
            options={"cache": str(cache)},
            figures=tmp_path / "figures",
        )
    )
    assert {"Findings (regional)", "Findings (drawn)"} <= set(found.tables)
    assert found.metrics["tiny"]
    assert not any(each.locked for each in found.metrics["tiny"]), "an evaluation cannot know what was learned from"
    assert result.metrics
    assert all(each.locked for each in result.metrics)
    assert any(path.name.startswith("roc") for path in found.figures)


@pytest.mark.slow
def test_the_weights_that_are_tested_are_those_that_are_published(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A package is float16: errors measured on finer weights are another model's."""
    tested: dict[str, torch.Tensor] = {}
    real = train.locked_test

    def seen(network: torch.nn.Module, *given: Any, **named: Any) -> Any:
        tested.update({name: value.clone() for name, value in network.state_dict().items()})
        return real(network, *given, **named)

    monkeypatch.setattr(train, "locked_test", seen)
    package = main(arguments(tmp_path / "run", cache, name="tiny")).package
    assert package is not None
    shipped = load_file(package / "classifier.safetensors")
    assert shipped.keys() == tested.keys()
    assert all(torch.equal(tested[name], value.to(tested[name].dtype)) for name, value in shipped.items())
    card = (package / "MODEL_CARD.md").read_text()
    assert "0.4 of the scanner's raster" in card, "a test on smaller pictures than a scanner's must be said to be one"


@pytest.mark.slow
def test_a_regression_says_its_value_in_its_own_unit(tmp_path: Path, cache: Path) -> None:
    """A network learns in units of spread; a package that forgot to undo it would say an EF of 0.3 %."""
    options = {"kind": "regression", "quantity": "ejection-fraction"}
    result = main(arguments(tmp_path / "run", cache, name="tiny-ef", options=options))
    assert result.package is not None
    found = {metric.name: metric.value for metric in result.metrics}
    assert 0 <= found["MAE"] < 40
    package = verify(result.package)
    frames = np.random.default_rng(0).integers(0, 255, (40, 120, 160, 1)).astype(np.uint8)
    clip = Clip(frames=frames, times_ms=33.0 * np.arange(40), view="A4C")
    (measurement,) = open_runner(package, "cpu", 1).read(clip, {}, lambda done, total: None).results()  # type: ignore[union-attr]
    assert measurement.unit.value == "%"
    assert measurement.value > 5


@pytest.mark.slow
def test_the_authors_edition_learns_from_a_manifest(tmp_path: Path) -> None:
    """Their network, their clip, their column names; a video of fewer frames than they need is named and left out."""
    manifest = manifest_of(tmp_path, {f"v{n}": n % 2 for n in range(8)}, frames=10, short="v7")
    edition = {"side": "32", "frames": "4", "validate_every": "1"}
    given = TrainingArguments(
        task="cmr", recipe="published", data=(str(manifest),), out=tmp_path / "run", steps=2, batch=2, device="cpu", threads=1,
        options=edition,
    )  # fmt: skip
    assert main(given).stopped_at is None


def test_unfit_labels_are_refused_with_what_to_do(tmp_path: Path) -> None:
    manifest = manifest_of(tmp_path, {f"v{n}": n + 0.5 for n in range(4)}, frames=20)
    with pytest.raises(BadInput, match="kind=regression"):
        main(TrainingArguments(task="cmr", data=(str(manifest),), out=tmp_path / "run", steps=1, device="cpu"))


def test_a_manifest_keeps_studies_and_splits_together(tmp_path: Path) -> None:
    """Two views of one study on both sides of a split would be a leak."""
    manifest = manifest_of(tmp_path, {"a": 1, "b": 0}, frames=3, split="test")
    found = list(layout(manifest))
    assert [candidate.patient for candidate in found] == ["S-a", "S-b"]
    assert {str(candidate.split) for candidate in found} == {"test"}
    assert found[0].labels["label"] == 1.0


@pytest.mark.parametrize(
    ("row", "said"),
    [({"Video_Unique_ID": "gone"}, "no such video"), ({"LABEL": "yes"}, "no number"), ({"Video_Unique_ID": "../a"}, "no file name")],
)  # fmt: skip
def test_a_wrong_row_is_one_line(tmp_path: Path, row: dict[str, str], said: str) -> None:
    manifest = manifest_of(tmp_path, {"a": 1}, frames=3, changed=row)
    with pytest.raises(BadInput, match=said):
        list(layout(manifest))


def test_simulated_studies_show_a_loop_of_the_view() -> None:
    plan = planned((COHORT, 0), Form(view="A2C", mixture=Mixture.DRAWN))
    assert plan is not None
    assert plan.view == "A2C"
    assert plan.patient == Cohort.parse(COHORT)[0].patient


def manifest_of(
    folder: Path, labels: dict[str, float], *, frames: int, short: str | None = None, split: str = "",
    changed: dict[str, str] | None = None,
) -> Path:  # fmt: skip
    """A manifest.csv in the authors' layout beside small videos of a beating disk."""
    for name in labels:
        writer = cv2.VideoWriter(str(folder / f"{name}.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 30, (64, 64))
        for picture in beating(4 if name == short else frames):
            writer.write(picture)
        writer.release()
    path = folder / "manifest.csv"
    with path.open("w", newline="") as file:
        writer_of_rows = csv.DictWriter(file, ("Study_Unique_ID", "Video_Unique_ID", "frames", "LABEL", "split"))
        writer_of_rows.writeheader()
        for name, label in labels.items():
            row = {"Study_Unique_ID": f"S-{name}", "Video_Unique_ID": name, "frames": str(frames), "LABEL": str(label)}
            writer_of_rows.writerow({**row, "split": split, **(changed or {})})
    return path


def beating(frames: int) -> Iterator[np.ndarray]:
    """A disk that grows and shrinks."""
    y, x = np.mgrid[0:64, 0:64]
    for n in range(frames):
        inside = np.hypot(y - 32, x - 32) < 14 + 8 * np.sin(n)
        yield np.repeat((inside * 180).astype(np.uint8)[..., None], 3, axis=2)
