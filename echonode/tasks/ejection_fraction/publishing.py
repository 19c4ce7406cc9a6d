"""The end of a run: the locked test by the way that a clip takes in the clinic, and the package."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from torch import nn

from echonode.tasks.ejection_fraction.convention import Convention
from echonode.tasks.ejection_fraction.estimator import Estimator
from echonode.tasks.ejection_fraction.evaluate import held_out_cases, metrics_of, tables_of
from echonode.tasks.ejection_fraction.held_out import Way, answers
from echonode.tasks.ejection_fraction.upstream import COREECHO, INPUT, INTENDED_USE
from echonode.training.arguments import Metrics, TrainingArguments, TrainingResult
from echonode.training.dataset import LOCKED_TEST, DatasetManifest, Split
from echonode.training.publish import as_half, publish
from echonode.training.run import Run
from echonode.training.table import Table

PARTS: Final = ("encoder", "regressor")
TITLE: Final = "Ejection fraction from one apical view"
TARGET: Final = "The target over EF 20-75 is an MAE of at most 3.0 points and an R2 of at least 0.90."


def publish_tested(
    run: Run, arguments: TrainingArguments, convention: Convention, data: DatasetManifest, networks: nn.Module, *,
    sizes: Mapping[str, Any], steps: int, cache: Path, limit: int,
) -> TrainingResult:  # fmt: skip
    """What the chosen weights say of the test split, as the package will say it, and the package if a name is given.

    `sizes` is what the package's [config] says of the networks' sizes. Weights are rounded to float16 before they are tested.
    """
    published = arguments.recipe == "published"
    parts = {name: networks.get_submodule(name) for name in PARTS}
    if not published:
        for part in parts.values():
            part.load_state_dict(as_half(part.state_dict()))
    preparation = "published" if published else "clinical"
    if not run.first:
        return TrainingResult(folder=run.folder)
    way = Way(convention=convention, contract=INPUT, preparation=preparation)
    items = data.by_split()[Split.TEST][: limit or None]
    metrics: Metrics = ()
    tables: dict[str, Table] = {}
    if items:
        held, refused = held_out_cases(data, items, way, folder=cache, workers=2)
        given = answers(held, Estimator(parts, method="regressor", device=run.device), convention)
        locked = bool(arguments.test_data)
        if given:
            metrics = metrics_of(given, on=words_of_test(arguments, data), locked=locked)
            tables = tables_of({arguments.name or "model": given})
        if refused:
            rows = tuple(sorted(refused.items()))
            tables = {**tables, "Not measured": Table(columns=("loop", "reason"), rows=rows)}
    config = (
        dict(COREECHO) if published
        else {name: value for name, value in asdict(convention).items()
              if name in ("frames", "stride", "side", "period_ms", "clips")}
    )  # fmt: skip
    encoder = "uniformer-small" if published else "uniformer-compact"
    package = publish(
        run, arguments, recipe="ejection-fraction", steps=steps, metrics=metrics, tables=tables, half=() if published else PARTS,
        weights={name: part.state_dict() for name, part in parts.items()},
        manifest={
            "task": "ejection_fraction", "title": TITLE, "trained_on": data.learned_from + trained_words(data),
            "intended_use": INTENDED_USE, "architecture": {"encoder": encoder, "regressor": "ef-regressor"},
            "config": {"method": "regressor", **config, **sizes}, "input": INPUT, "preparation": preparation,
            "evaluated": (preparation,) if metrics else (), "output": [{"name": "ejection_fraction", "unit": "%"}],
        },
        words={
            "How it was chosen": [
                "Stage 1 trains encoder and regressor, stage 2 the regressor on the frozen encoder; the weights are those with "
                "the lowest MAE on validation patients. This run looked at the test once, after that; what was known of it before, "
                "from earlier runs, is not written here.", "", TARGET,
            ],
            **beginning_words(arguments),
            "How the test was done": [
                "Each loop at the full size and frame rate of the scanner, through the runner's own preparation, "
                f"{convention.clips} clips a loop, the mean of which is the answer.",
            ],
        },
    )  # fmt: skip
    return TrainingResult(folder=run.folder, package=package, metrics=metrics)


def beginning_words(arguments: TrainingArguments) -> dict[str, list[str]]:
    """Where the run began, when that was not at random."""
    if arguments.init is None:
        return {}
    return {
        "Where it began": [f"With the weights of `{arguments.init.name}`, SHA-256 `{arguments.identity()['init']}`."]
    }


def words_of_test(arguments: TrainingArguments, data: DatasetManifest) -> str:
    """What the test is of, in words."""
    if not arguments.test_data:
        return f"the test split of {data.source}"
    return data.source.partition(LOCKED_TEST)[2]


def trained_words(data: DatasetManifest) -> str:
    """What a simulated cohort is not."""
    return "; simulated hearts of echonode's phantom, no patient" if data.simulated else ""
