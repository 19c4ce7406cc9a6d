"""A real recipe of the smallest size: learns the mean brightness of small pictures. It shows how recipes are written.

`python -m tests.support.tiny_recipe train tiny --data FOLDER ...` is `echonode train` where this is the only task.
`--set hold_at=N` makes it wait before step N until a signal comes, so that a test can kill it at a known place; a run that
goes on does not wait again. `tests.support.installed.install_tiny` makes it a task that other processes find.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from echonode.core import task
from echonode.training.arguments import Evaluation, EvaluationArguments, TrainingArguments, TrainingResult
from echonode.training.batches import batches, in_turn
from echonode.training.dataset import Candidate, DatasetManifest, Split
from echonode.training.ema import MovingAverage
from echonode.training.options import as_json, with_options
from echonode.training.order import EpochOrder
from echonode.training.publish import metric, publish
from echonode.training.run import Run
from echonode.training.sources import dataset_of, evaluation_data
from echonode.training.statistics import bland_altman, bootstrap_interval, mae
from echonode.training.table import Table

TASK = task.TaskSpec(
    name="tiny",
    title="Tiny",
    runner="tests.support.tiny_recipe:nothing",
    recipes={"tiny": "tests.support.tiny_recipe:main"},
    evaluations={"tiny": "tests.support.tiny_recipe:evaluate"},
)
SAVE_EVERY = 5


@dataclass(frozen=True, kw_only=True)
class Options:
    width: int = 8
    rate: float = 0.01
    dropout: float = 0.1
    hold_at: int | None = None
    cohort: bool = False


def layout(path: Path) -> Iterator[Candidate]:
    """A folder of PATIENT-NUMBER.npy."""
    for file in sorted(path.glob("*.npy")):
        yield Candidate(key=file.stem, patient=file.stem.partition("-")[0], files=(file,))


def network(options: Options) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, options.width, 3), nn.BatchNorm2d(options.width), nn.ReLU(), nn.Dropout(options.dropout),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(options.width, 1),
    )  # fmt: skip


def main(arguments: TrainingArguments) -> TrainingResult:
    options = with_options(Options(), arguments.options)
    if arguments.recipe == "published":
        options = replace(options, dropout=0.0)
    data = dataset_of(arguments, name="tiny", layout=layout)
    train = data.by_split()[Split.TRAIN]
    batch = arguments.batch or 4
    epochs = arguments.epochs or 3
    order = EpochOrder(count=len(train), batch=batch, seed=arguments.seed)
    total = arguments.steps or epochs * order.steps_per_epoch
    identity = arguments.identity(options=as_json(replace(options, hold_at=None)), batch=batch)
    with Run.of(arguments, identity=identity, total=total, dataset=data) as run:
        return fit(run, arguments, options, data, replace(order, rank=run.rank, world_size=run.world_size), total)


def fit(
    run: Run, arguments: TrainingArguments, options: Options, data: DatasetManifest, order: EpochOrder, total: int
) -> TrainingResult:
    inner = network(options).to(run.device)
    average = MovingAverage(inner, decay=0.9)
    optimiser = torch.optim.AdamW(inner.parameters(), lr=options.rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, total)
    scaler = run.scaler()
    parts = {"network": inner, "average": average, "optimiser": optimiser, "schedule": schedule, "scaler": scaler}
    start, best = 0, float("inf")
    if (kept := run.restore()) is not None:
        start, state = kept
        best = state.pop("best")
        for name, part in parts.items():
            part.load_state_dict(state[name])
    model = run.wrap(inner)
    train = data.by_split()[Split.TRAIN]

    def load(index: int, chance: np.random.Generator) -> tuple[np.ndarray, np.float32]:
        picture = np.load(data.paths(train[index])[0])
        return (picture + chance.normal(0, 0.05, picture.shape)).astype(np.float32)[None], picture.mean()

    step = start
    for step, (pictures, truth) in batches(load, order, start=start, stop=total, workers=arguments.workers):
        hold(run, step, options.hold_at)
        if run.stop_wanted:
            run.save(step, {**{name: part.state_dict() for name, part in parts.items()}, "best": best})
            return TrainingResult(folder=run.folder, stopped_at=step)
        if run.time_is_up:
            break
        model.train()
        with run.autocast():
            loss = nn.functional.mse_loss(model(pictures.to(run.device))[:, 0].float(), truth.to(run.device))
        optimiser.zero_grad()
        scaler.scale(loss).backward()
        scaler.step(optimiser)
        scaler.update()
        schedule.step()
        average.update(inner)
        run.log(step + 1, loss=loss.item())
        run.tick(step + 1, f"loss {loss.item():.4f}")
        if (step + 1) % SAVE_EVERY == 0 or step + 1 == total:
            predicted, wanted = predictions(average.average, data, Split.VALIDATION, run)
            error = run.agreed(mae(predicted, wanted))
            run.log(step + 1, validation_mae=error)
            better, best = error < best, min(best, error)
            states = {name: part.state_dict() for name, part in parts.items()}
            run.save(step + 1, {**states, "best": best}, best=better)
    chosen, state = run.best() or (0, {"average": average.state_dict()})
    average.load_state_dict(state["average"])
    predicted, wanted = predictions(average.average, data, Split.TEST, run)
    patients = [item.patient for item in data.by_split()[Split.TEST]]
    test = bootstrap_interval(predicted, wanted, statistic=mae, by=patients, resamples=200)
    metrics = (metric("brightness MAE", test, on=data.source, locked=True),)
    package = publish(
        run, arguments, recipe="tiny", weights={"tiny": average.average.state_dict()}, steps=chosen, metrics=metrics,
        manifest={"task": "tiny", "title": "Tiny", "trained_on": data.source, "output": [{"name": "brightness"}],
                  "architecture": {"tiny": "conv"}, "config": {"width": options.width}},
        tables={"Test": Table(columns=("patient", "predicted"), rows=tuple(zip(patients, predicted, strict=True)))},
        words={"How it was chosen": ["The best of validation."]},
    )  # fmt: skip
    return TrainingResult(folder=run.folder, package=package, metrics=metrics)


def predictions(net: nn.Module, data: DatasetManifest, split: Split, run: Run) -> tuple[list[float], list[float]]:
    """The brightness that an evaluating network gives, and the true one."""
    items = data.by_split()[split]
    net.eval()
    predicted: list[float] = []
    wanted: list[float] = []

    def load(index: int, chance: np.random.Generator) -> tuple[np.ndarray, np.float32]:
        picture = np.load(data.paths(items[index])[0])
        return picture[None], picture.mean()

    with torch.no_grad():
        for _, (pictures, truth) in in_turn(load, range(len(items)), batch=4):
            predicted += net(pictures.to(run.device))[:, 0].tolist()
            wanted += truth.tolist()
    return predicted, wanted


def evaluate(arguments: EvaluationArguments) -> Evaluation:
    data = evaluation_data(arguments, name="tiny", layout=layout)
    truth = [float(np.load(data.paths(item)[0]).mean()) for item in data.items]
    rows = []
    metrics = {}
    for package in arguments.packages:
        from safetensors.torch import load_file

        net = network(Options(width=int(package.config["width"]))).eval()
        net.load_state_dict(load_file(package.weights["tiny"]))
        with torch.no_grad():
            given = [net(torch.from_numpy(np.load(data.paths(item)[0]))[None, None]).item() for item in data.items]
        interval = bootstrap_interval(given, truth, statistic=mae, resamples=100, seed=arguments.seed)
        metrics[package.name] = (metric("brightness MAE", interval, on=data.source, locked=True),)
        rows.append((package.name, mae(given, truth), bland_altman(given, truth).bias.value))
    figures = []
    if arguments.figures is not None:
        from echonode.training.figures import scatter_plot

        figures.append(scatter_plot(arguments.figures / "scatter.png", given, truth, quantity="brightness", unit="1"))
    table = Table(columns=("model", "MAE", "bias"), rows=tuple(rows), words="Brightness, all pictures.")
    return Evaluation(tables={"Brightness": table}, metrics=metrics, figures=tuple(figures))


def hold(run: Run, step: int, hold_at: int | None) -> None:
    """Wait where a test wants to kill this process, for a minute at most; a run that goes on does not wait again."""
    if step != hold_at or run.resume:
        return
    (run.folder / f"holding-{run.rank}").touch()
    deadline = time.monotonic() + 60
    while not run.stop_wanted and time.monotonic() < deadline:
        time.sleep(0.01)


if __name__ == "__main__":
    from echonode.cli.main import execute

    torch.set_num_threads(1)
    task.installed_tasks = lambda: {TASK.name: TASK}
    sys.exit(execute(sys.argv[1:]))
