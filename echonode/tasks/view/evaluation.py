"""`echonode evaluate view`, and what a training tells of its locked test: accuracy, confusion, classes, reliability."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from echonode.core.errors import BadInput
from echonode.tasks.view.calibration import Calibration
from echonode.tasks.view.classes import CLASSES, OTHER
from echonode.tasks.view.dataset import REAL, Cache, Sample, layout, pictures_of
from echonode.tasks.view.net import ARCHITECTURE, ViewNet
from echonode.tasks.view.nonsense import KINDS
from echonode.tasks.view.prepare import normalised
from echonode.tasks.view.runner import CONFIG_SEEN, CONFIG_SIDE, ROLE, ViewRunner, open_runner
from echonode.tasks.view.scores import (
    UNKNOWN,
    Scored,
    class_rows,
    confusion_rows,
    figures_of,
    loop_rows,
    reliability_rows,
    scored_of,
)
from echonode.tasks.view.simulated import Recording
from echonode.training.arguments import Evaluation, EvaluationArguments, TrainingArguments, TrainingResult
from echonode.training.dataset import DatasetManifest, Item, Split
from echonode.training.publish import as_half, metric, publish
from echonode.training.run import Run
from echonode.training.sources import described, evaluation_data
from echonode.training.statistics import bootstrap_interval
from echonode.training.table import Table

PLANNED: Final = ("planned", "planned colour")
BATCH: Final = 32

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]


def evaluate(arguments: EvaluationArguments) -> Evaluation:
    """The tables of each package on the data; on recorded files a line each as well.

    Raises:
        BadInput: no package, or nothing in the data that can be used.
    """
    if not arguments.packages:
        raise BadInput("--model is missing: a view package")
    data = evaluation_data(arguments, name="view", layout=layout)
    tables: dict[str, Table] = {}
    metrics: dict[str, tuple[Any, ...]] = {}
    figures: list[Path] = []
    further: dict[str, object] = {}
    for package in arguments.packages:
        runner = open_runner(package, arguments.device, arguments.threads)
        with tempfile.TemporaryDirectory(prefix="echonode-view-") as scratch:
            scored = scored_items(
                runner, data, data.items, folder=Path(scratch), workers=max(1, arguments.workers)
            )  # fmt: skip
        title = f"{package.name}: " if len(arguments.packages) > 1 else ""
        tables |= {title + name: table for name, table in tables_of(scored, on=data.source).items()}
        metrics[package.name] = metrics_of(scored, on=data.source, locked=False)
        further[package.name] = dict(figures_of(scored))
        if arguments.figures is not None:
            figures += _drawn(scored, arguments.figures, package.name)
    return Evaluation(tables=tables, metrics=metrics, figures=tuple(figures), further={"calibration": further})


def tested_and_published(
    run: Run, arguments: TrainingArguments, network: ViewNet, calibration: Calibration, cache: Cache, *, steps: int,
    widths: Sequence[int], side: int, seen: int,
) -> TrainingResult:  # fmt: skip
    """The locked test of the weights as they are published, and the package with its tables."""
    data = run.dataset
    assert data is not None
    network.load_state_dict(as_half(network.state_dict()))
    runner = ViewRunner(network=network, device=run.device, calibration=calibration, contract={}, side=side, seen=seen)
    items = data.by_split()[Split.TEST]
    metrics: tuple[Any, ...] = ()
    tables: Mapping[str, Table] = {}
    if items:
        scored = scored_items(runner, data, items, folder=cache.folder, workers=2)
        on = _tested_on(data)
        metrics, tables = metrics_of(scored, on=on, locked=True), tables_of(scored, on=on)
    package = publish(
        run, arguments, recipe="view", weights={ROLE: network.state_dict()}, steps=steps, metrics=metrics, half=(ROLE,),
        tables=tables,
        manifest={
            "task": "view", "title": "View of a transthoracic loop", "architecture": {ROLE: ARCHITECTURE},
            "config": {
                "widths": list(widths), CONFIG_SIDE: side, CONFIG_SEEN: seen, "temperature": calibration.temperature,
                "threshold": calibration.threshold, "classes": list(CLASSES),
            },
            "input": {"modes": ["2d", "2d-colour", "unknown"]}, "evaluated": ["clinical"],
            "output": [{"name": "view"}], "trained_on": _words(data),
        },
        words={"How sure it is": [
            f"Logits are divided by {calibration.temperature:g}, chosen on validation loops that were changed as in "
            f"training. Below a confidence of {calibration.threshold:g} the answer is `{UNKNOWN}`.",
        ], "How it was tested": [_test_in_words(data)]},
    )  # fmt: skip
    return TrainingResult(folder=run.folder, package=package, metrics=metrics)


def scored_items(
    runner: ViewRunner, data: DatasetManifest, items: Sequence[Item], *, folder: Path, workers: int
) -> Scored:
    """What the runner's network says of every recording of `items`; of simulated studies of nonsense too.

    Recorded files are prepared as the runner prepares them; simulated loops are recorded in a few frames of one beat.

    Raises:
        BadInput: none of them can be used.
    """
    simulated = Cache(folder, data, Recording())
    recorded = Cache(folder, data, Recording(frames=runner.seen, side=runner.side))
    samples = simulated.samples([item for item in items if item.phantom is not None], workers=workers)
    samples += recorded.samples([item for item in items if item.phantom is None], workers=workers)
    shelf = pictures_of(samples)
    rows = [(sample, sample.kind, sample.label, pictures) for sample, pictures in zip(samples, shelf, strict=True)]
    rows += [row for sample, pictures in zip(samples, shelf, strict=True) for row in _nonsense(sample, pictures)]
    inputs = [normalised(_sized(row[3], runner.side)) for row in rows]
    logits: list[Floats] = []
    for group in _alike(inputs):
        logits += list(runner.logits(torch.from_numpy(np.stack(group))))
    return scored_of(
        logits, keys=[row[0].item.key for row in rows], patients=[row[0].item.patient for row in rows],
        kinds=[row[1] for row in rows], labels=[row[2] for row in rows], calibration=runner.calibration,
    )  # fmt: skip


def tables_of(scored: Scored, *, on: str) -> dict[str, Table]:
    """Every table, by its title."""
    kinds = [(f"{kind}", scored.of_kinds(kind)) for kind in dict.fromkeys(scored.kinds)]
    planned = scored.of_kinds(*PLANNED)
    groups = [("all", scored), *([("loops of the protocol", planned)] if len(planned.keys) else []), *kinds]
    rows = []
    for name, part in groups:
        interval = bootstrap_interval(part.right.astype(float), statistic=_mean, by=part.patients)
        sure = part.answered
        rows.append((name, len(part.keys), interval.value, interval.low, interval.high, _mean(sure.astype(float)),
                     _mean(part.right[sure].astype(float))))  # fmt: skip
    calibration = figures_of(scored)
    tables = {
        "Accuracy": Table(
            columns=("recordings", "n", "accuracy", "low", "high", "answered", "accuracy where answered"),
            rows=tuple(rows), words=f"On {on}. Intervals of 95 % by bootstrap over patients; answered: with a confidence "
            f"of {scored.threshold:g} or more.",
        ),
        "Confusion": Table(
            columns=("truth", *CLASSES, UNKNOWN, "n"), rows=tuple(confusion_rows(scored)),
            words="Rows are the truth, columns the answer.",
        ),
        "Classes": Table(
            columns=("class", "n", "sensitivity", "predictive value", "F1"), rows=tuple(class_rows(scored)),
            words="By the likeliest class, whatever its confidence.",
        ),
        "Reliability": Table(
            columns=("confidence", "n", "mean confidence", "right"), rows=tuple(reliability_rows(scored)),
            words="; ".join(f"{name} {value:.3f}" for name, value in calibration.items()) + ".",
        ),
    }  # fmt: skip
    real = scored.of_kinds(REAL)
    if len(real.keys):
        tables["Recordings"] = Table(
            columns=("file", "truth", "answer", "confidence", "second", "its confidence", "likeliest is"),
            rows=tuple(loop_rows(real)), words="One line a recorded file.",
        )  # fmt: skip
    return tables


def metrics_of(scored: Scored, *, on: str, locked: bool) -> tuple[Any, ...]:
    """Accuracy over all, over the protocol's loops, where answered; and how often what is no view was called one."""

    def one(name: str, part: Scored, values: NDArray[np.bool_]) -> list[Any]:
        if not len(part.keys):
            return []
        interval = bootstrap_interval(values.astype(float), statistic=_mean, by=part.patients)
        return [metric(name, interval, on=on, locked=locked)]

    planned, sure = scored.of_kinds(*PLANNED), scored.where(scored.answered)
    others = scored.where(scored.labels == CLASSES.index(OTHER))
    called = others.answered & (others.said != CLASSES.index(OTHER))
    return (
        *one("view accuracy", scored, scored.right),
        *one("view accuracy, loops of the protocol", planned, planned.right),
        *one("view accuracy where answered", sure, sure.right),
        *one("share answered", scored, scored.answered),
        *one("no view, but called one", others, called),
    )


def _nonsense(sample: Sample, pictures: Bytes) -> list[tuple[Sample, str, int, Bytes]]:
    """Each kind of nonsense once a simulated study, made from its first loop: the same each time."""
    if sample.place != 0 or sample.item.phantom is None:
        return []
    chance = np.random.Generator(np.random.PCG64(np.random.SeedSequence([sample.item.phantom[1], 811])))
    return [(sample, name, CLASSES.index(OTHER), make(pictures, chance)) for name, make in KINDS.items()]


def _sized(pictures: Bytes, side: int) -> Bytes:
    if pictures.shape[1] == side:
        return pictures
    return np.stack([cv2.resize(each, (side, side), interpolation=cv2.INTER_AREA) for each in pictures]).astype(
        np.uint8
    )


def _alike(inputs: Sequence[Floats]) -> list[list[Floats]]:
    """Batches of inputs with the same number of frames, in their order."""
    groups: list[list[Floats]] = []
    for each in inputs:
        if not groups or len(groups[-1]) == BATCH or groups[-1][0].shape != each.shape:
            groups.append([])
        groups[-1].append(each)
    return groups


def _mean(values: NDArray[np.float64]) -> float:
    return float(np.mean(values)) if len(values) else float("nan")


def _words(data: DatasetManifest) -> str:
    if not data.simulated:
        return data.source
    cohorts = dict.fromkeys(item.phantom[0] for item in data.by_split()[Split.TRAIN] if item.phantom is not None)
    return f"simulated hearts of echonode's phantom ({', '.join(cohorts)}), no patient"


def _test_in_words(data: DatasetManifest) -> str:
    words = "With the weights as they are published, as float16."
    if any(item.phantom is not None for item in data.by_split()[Split.TEST]):
        low, high = Recording().scale
        words += (
            f" Simulated loops were recorded for it in {Recording().frames} frames of one beat, at {low:g} to {high:g} of the "
            "scanner's raster and without persistence: cleaner and fewer than the frames that the runner takes of a clip."
        )
    return words


def _tested_on(data: DatasetManifest) -> str:
    """The test split in words."""
    items = data.by_split()[Split.TEST]
    if any(item.phantom is None for item in items):
        return data.source
    return "; ".join(described(text) for text in dict.fromkeys(item.phantom[0] for item in items if item.phantom))


def _drawn(scored: Scored, folder: Path, name: str) -> list[Path]:
    from echonode.training.figures import confusion_plot, reliability_plot
    from echonode.training.statistics import confusion

    said = [CLASSES[label] for label in scored.said]
    table = confusion(said, [CLASSES[label] for label in scored.labels], CLASSES)
    return [
        confusion_plot(folder / f"{name}-confusion.png", table, CLASSES, title=name),
        reliability_plot(folder / f"{name}-reliability.png", scored.confidence, scored.right, title=name),
    ]
