"""How bright the myocardium is: `echonode train gain`.

A small network sees a few frames; mean squared error on simulated loops whose gain is turned up and down; AdamW with one
cycle; the state that does best on validation patients is published, its error measured once on the test patients.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from echo_gain.net import ARCHITECTURE, GreyNet
from echo_gain.recordings import Recording, recordings
from echonode.core.errors import BadInput
from echonode.training.arguments import TrainingArguments, TrainingResult
from echonode.training.batches import batches
from echonode.training.dataset import DatasetManifest, Split
from echonode.training.options import as_json, with_options
from echonode.training.order import EpochOrder
from echonode.training.publish import metric, publish
from echonode.training.run import Run
from echonode.training.sources import dataset_of
from echonode.training.statistics import bootstrap_interval, mae


@dataclass(frozen=True, kw_only=True)
class Options:
    """The recipe's own: `--set key=value`."""

    width: int = 8
    side: int = 48
    frames: int = 4
    scale: float = 0.2
    loops: int = 4
    rate: float = 0.01
    validate_every: int = 20


def main(arguments: TrainingArguments) -> TrainingResult:
    """Set up: options, data, order, run."""
    if arguments.recipe == "published":
        raise BadInput("gain: there is no published recipe; leave out --recipe")
    options = with_options(Options(), arguments.options)
    data = dataset_of(arguments, name="gain")
    made = {
        split: recordings(items, frames=options.frames, side=options.side, scale=options.scale, loops=options.loops)
        for split, items in data.by_split().items()
    }
    if not all(made[split] for split in Split):
        raise BadInput("gain: train, validation and test need a loop each; more studies are needed")
    order = EpochOrder(count=len(made[Split.TRAIN]), batch=arguments.batch or 8, seed=arguments.seed)
    total = arguments.steps or (arguments.epochs or 40) * order.steps_per_epoch
    identity = arguments.identity(options=as_json(options), batch=order.batch)
    with Run.of(arguments, identity=identity, total=total, dataset=data) as run:
        order = replace(order, rank=run.rank, world_size=run.world_size)
        return fit(run, arguments, options, data, made, order, total)


def fit(
    run: Run, arguments: TrainingArguments, options: Options, data: DatasetManifest,
    made: dict[Split, list[Recording]], order: EpochOrder, total: int,
) -> TrainingResult:  # fmt: skip
    """The loop, the choice, the test, the package."""
    inner = GreyNet(options.width).to(run.device)
    optimiser = torch.optim.AdamW(inner.parameters(), lr=options.rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, options.rate, total_steps=total)
    parts: dict[str, Any] = {"network": inner, "optimiser": optimiser, "schedule": schedule}
    start, best = 0, float("inf")
    if (kept := run.restore()) is not None:
        start, state = kept
        best = state.pop("best")
        for name, part in parts.items():
            part.load_state_dict(state[name])
    model = run.wrap(inner)

    def load(index: int, chance: np.random.Generator) -> tuple[np.ndarray, np.float32]:
        each = made[Split.TRAIN][index]
        turned = np.float32(chance.uniform(0.5, 1.5))
        pictures = each.pictures[..., ::-1] if chance.random() < 0.5 else each.pictures
        return np.clip(pictures * turned, 0, 1), np.float32(min(1.0, each.grey * float(turned)))

    for step, (pictures, truth) in batches(load, order, start=start, stop=total, workers=arguments.workers):
        if run.stop_wanted:
            run.save(step, {**{name: part.state_dict() for name, part in parts.items()}, "best": best})
            return TrainingResult(folder=run.folder, stopped_at=step)
        if run.time_is_up:
            break
        model.train()
        with run.autocast():
            loss = nn.functional.mse_loss(model(pictures.to(run.device)).float(), truth.to(run.device))
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch tells no types here
        optimiser.step()
        schedule.step()
        run.log(step + 1, loss=loss.item())
        run.tick(step + 1, f"loss {loss.item():.5f}")
        if (step + 1) % options.validate_every == 0 or step + 1 == total:
            error = run.agreed(mae(*greys(inner, made[Split.VALIDATION])))
            run.log(step + 1, validation_mae=error)
            better, best = error < best, min(best, error)
            states = {name: part.state_dict() for name, part in parts.items()}
            run.save(step + 1, {**states, "best": best}, best=better)
    steps, state = run.best() or (0, {"network": inner.state_dict()})
    inner.load_state_dict(state["network"])
    test = made[Split.TEST]
    predicted, wanted = greys(inner, test)
    tested = bootstrap_interval(predicted, wanted, statistic=mae, by=[each.patient for each in test], seed=run.seed)
    metrics = (metric("grey level MAE", tested, unit="%", on=data.source, locked=True),)
    errors = np.abs(np.asarray(predicted) - np.asarray(wanted))
    package = publish(
        run, arguments, recipe="gain", weights={"grey": inner.state_dict()}, steps=steps, metrics=metrics,
        manifest={
            "task": "gain", "title": "Brightness of the myocardium", "trained_on": data.source,
            "architecture": {"grey": ARCHITECTURE},
            "config": {
                "width": options.width, "side": options.side, "frames": options.frames,
                "error_95": round(float(np.quantile(errors, 0.95)), 2), "error_95_of": f"{len(test)} simulated loops",
            },
            "input": {"modes": ["2d"], "colour": False, "frames_min": 2, "species": ["human"], "age_years_min": 18},
            "output": [{"name": "grey level of the myocardium", "unit": "%"}],
        },
        words={"How it was chosen": ["The best of the validation patients."]},
    )  # fmt: skip
    return TrainingResult(folder=run.folder, package=package, metrics=metrics)


def greys(network: GreyNet, made: list[Recording]) -> tuple[list[float], list[float]]:
    """What an evaluating network gives, and the truth, in percent."""
    network.eval()
    device = next(network.parameters()).device
    with torch.no_grad():
        predicted = [100 * float(network(torch.from_numpy(each.pictures)[None].to(device))) for each in made]
    return predicted, [100 * each.grey for each in made]
