"""At which level a sweep's line lies, LV, mitral or aorta: `echonode train mmode-level`.

Nobody published a recipe for this: `published` is refused. A small convolutional network sees the whole strip on a grid
of 1 mm by 10 ms; cross entropy; the weights' moving average that does best in validation is kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as functional
from numpy.typing import NDArray

from echonode.core.errors import BadInput
from echonode.tasks.mmode.compact import LEVEL, LevelNet
from echonode.tasks.mmode.dataset import Cache, samples
from echonode.tasks.mmode.grid import network_picture
from echonode.tasks.mmode.sample import Sample, relit, seen
from echonode.tasks.mmode.train import INPUT, beside, initial, tested_and_published
from echonode.training.arguments import TrainingArguments, TrainingResult
from echonode.training.batches import batches, in_turn
from echonode.training.dataset import Split
from echonode.training.ema import MovingAverage
from echonode.training.options import as_json, with_options
from echonode.training.order import EpochOrder
from echonode.training.processes import this_process
from echonode.training.run import Run
from echonode.training.sources import dataset_of

WHERE = ("cache", "processes", "beside", "whole", "test")


@dataclass(frozen=True, kw_only=True)
class Options:
    """As of mmode-boundaries; `columns`: how much of a strip is seen at once, 10 ms each."""

    widths: tuple[int, ...] = (16, 24, 32, 48, 64)
    rate: float = 3e-3
    decay: float = 1e-3
    average: float = 0.98
    columns: int = 224
    every: int = 25
    cache: Path | None = None
    processes: int = 2
    beside: tuple[str, ...] = ()
    whole: bool = True
    test: bool = True


def main(arguments: TrainingArguments) -> TrainingResult:
    """Train, select by validation, test on what is held out, and publish."""
    if arguments.recipe == "published":
        raise BadInput("--recipe published: nobody published a recipe for the level of a sweep; sound is the only one")
    options = with_options(Options(), arguments.options)
    others = beside(options.beside)
    data = dataset_of(arguments, name="mmode")
    cache = Cache(folder=options.cache or arguments.out / "cache", processes=options.processes)
    train, held = (samples(data, split, cache) for split in (Split.TRAIN, Split.VALIDATION))
    rank, world_size = this_process()
    order = EpochOrder(
        count=len(train), batch=arguments.batch or 24, seed=arguments.seed, rank=rank, world_size=world_size
    )  # fmt: skip
    total = arguments.steps or (arguments.epochs or 12) * order.steps_per_epoch
    matters = {key: value for key, value in as_json(options).items() if key not in WHERE}
    identity = arguments.identity(options=matters, batch=order.batch)
    with Run.of(arguments, identity=identity, total=total, dataset=data) as run:
        chosen, stopped = fit(run, arguments, options, order, train, held)
        if stopped is not None:
            return TrainingResult(folder=run.folder, stopped_at=stopped)
        step, network = chosen
        manifest = {
            "task": "mmode", "title": "Level of an M-mode sweep", "architecture": {"level": LEVEL},
            "config": {"widths": {LEVEL: list(options.widths)}}, "input": INPUT, "output": [{"name": "level"}],
        }  # fmt: skip
        return tested_and_published(
            run, arguments, recipe="mmode-level", steps=step, manifest=manifest, weights={"level": network.state_dict()},
            others=others, data=data, cache=cache, whole=options.whole if options.test else None,
        )  # fmt: skip


def fit(
    run: Run, arguments: TrainingArguments, options: Options, order: EpochOrder, train: list[Path], held: list[Path]
) -> tuple[tuple[int, torch.nn.Module], int | None]:
    """The step and the network that did best in validation, and where a signal stopped it."""
    inner = LevelNet(options.widths).to(run.device).to(memory_format=torch.channels_last)
    initial(inner, arguments.init)
    average = MovingAverage(inner, decay=options.average)
    optimiser = torch.optim.AdamW(inner.parameters(), lr=options.rate, weight_decay=options.decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, options.rate, total_steps=run.total, pct_start=0.15)
    scaler = run.scaler()
    parts: dict[str, Any] = {
        "network": inner,
        "average": average,
        "optimiser": optimiser,
        "schedule": schedule,
        "scaler": scaler,
    }
    start, best = 0, float("inf")
    if (kept := run.restore()) is not None:
        start, state = kept
        best = state.pop("best")
        for name, part in parts.items():
            part.load_state_dict(state[name])
    model = run.wrap(inner)
    shelf = [Sample.load(path) for path in train]

    def load(index: int, chance: np.random.Generator) -> tuple[NDArray[np.float32], int]:
        view = seen(shelf[index], chance, columns=options.columns)
        return network_picture(relit(view.picture, chance))[None], shelf[index].level

    for step, (pictures, levels) in batches(load, order, start=start, stop=run.total, workers=arguments.workers):
        if run.stop_wanted:
            run.save(step, {**{name: part.state_dict() for name, part in parts.items()}, "best": best})
            return (step, inner), step
        last = run.time_is_up
        model.train()
        with run.autocast():
            logits = model(pictures.to(run.device).contiguous(memory_format=torch.channels_last))
        loss = functional.cross_entropy(logits.float(), levels.to(run.device), label_smoothing=0.02)
        optimiser.zero_grad()
        scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        scaler.step(optimiser)
        scaler.update()
        schedule.step()
        average.update(inner)
        run.log(step + 1, loss=loss.item())
        run.tick(step + 1, f"loss {loss.item():.4f}")
        if (step + 1) % options.every == 0 or step + 1 == run.total or last:
            error, right = validation(average.average, held, run)
            error = run.agreed(error)
            run.log(step + 1, validation_loss=error, validation_accuracy=right)
            better, best = error < best, min(best, error)
            states = {name: part.state_dict() for name, part in parts.items()}
            run.save(step + 1, {**states, "best": best}, best=better)
        if last:
            break
    step, state = run.best() or (run.step, {"average": average.state_dict()})
    average.load_state_dict(state["average"])
    return (step, average.average), None


def validation(network: torch.nn.Module, held: list[Path], run: Run) -> tuple[float, float]:
    """Cross entropy and accuracy without augmentation."""
    network.eval()
    losses: list[float] = []
    right: list[bool] = []

    def load(index: int, chance: np.random.Generator) -> tuple[NDArray[np.float32], int]:
        sample = Sample.load(held[index])
        return network_picture(seen(sample, None, columns=288).picture)[None], sample.level

    with torch.no_grad():
        for _, (pictures, levels) in in_turn(load, range(len(held)), batch=24):
            logits = network(pictures.to(run.device)).cpu()
            losses += functional.cross_entropy(logits, levels, reduction="none").tolist()
            right += (logits.argmax(dim=1) == levels).tolist()
    return float(np.mean(losses)), float(np.mean(right))
