"""The recipe of the ejection fraction: CoReEcho's two stages (Maani et al., MICCAI 2024, arXiv 2403.10164).

Stage 1: the encoder learns to order embeddings as ejection fractions are ordered (Rank-N-Contrast), beside a regressor
with an L1 loss. Stage 2: the encoder is frozen at its best and the regressor alone goes on. The best validation MAE
chooses.

`sound` trains echonode's compact network on clips chosen by time, end to end, and lets it also learn, where the data
know them (simulated hearts), where the cavity is and how its area and volume run through the beat.

`published` keeps the authors' network, clips (36 frames, every fourth, short videos padded with black before
normalisation), shift of up to 6 pixels, two views a video, batch 16, AdamW 1e-4 with weight decay 1e-4, a tenth of the
rate from the sixteenth epoch, 26 and 5 epochs, temperature 1, the regressor on detached features, and selection by
validation MAE of one clip, ties to the later. What differs from theirs: Rank-N-Contrast is computed in float64, where
theirs overflows; the clip of a validation video is the same in each epoch; grey is kept as one channel and shown as
three; the second view is not decoded in stage 2. The initialisation (Kinetics-400) is the user's to give: --init.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from echonode.tasks.ejection_fraction.beginning import begin
from echonode.tasks.ejection_fraction.clips import clip_by_number, clip_by_time, open_loop
from echonode.tasks.ejection_fraction.compact import STEP
from echonode.tasks.ejection_fraction.convention import Convention
from echonode.tasks.ejection_fraction.dataset import ef_of, kept_loops, layout
from echonode.tasks.ejection_fraction.learner import Learner, Weights
from echonode.tasks.ejection_fraction.loops import Form
from echonode.tasks.ejection_fraction.net import build
from echonode.tasks.ejection_fraction.publishing import publish_tested
from echonode.training.arguments import TrainingArguments, TrainingResult
from echonode.training.batches import batches, in_turn
from echonode.training.dataset import DatasetManifest, Item, Split
from echonode.training.ema import MovingAverage
from echonode.training.options import as_json, with_options
from echonode.training.order import EpochOrder
from echonode.training.processes import this_process
from echonode.training.run import Run
from echonode.training.sources import dataset_of
from echonode.training.statistics import correlation, mae

Loops = list[tuple[Item, Path]]
RECIPE = "ejection-fraction"
HEAD_SHARE = 0.85
"""Of the time, when --minutes ends the first stage early."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Defaults of the sound recipe; losses that weigh nothing are left out."""

    cache: Path | None = None
    side: int = 80
    frames: int = 24
    period_ms: float = 50.0
    widths: tuple[int, ...] = (32, 64, 128)
    depths: tuple[int, ...] = (1, 1, 2)
    dropout: float = 0.0
    head_dropout: float = 0.05
    steady: bool = True
    rate: float = 2e-3
    head_rate: float = 1e-3
    weight_decay: float = 0.02
    warm_up: int = 40
    tenth_from_epoch: int | None = None
    views: int = 1
    temperature: float = 2.0
    contrast: float = 0.1
    error: float = 0.1
    cells: float = 4.0
    course: float = 1.0
    detached: bool = False
    average: float = 0.98
    head_epochs: int = 4
    clip_norm: float = 5.0
    validate_every: int = 0
    limit: int = 0

    @property
    def weights(self) -> Weights:
        """What the losses weigh."""
        return Weights(
            error=self.error, contrast=self.contrast, temperature=self.temperature, detached=self.detached,
            cells=self.cells, course=self.course,
            steady=self.steady,
        )  # fmt: skip


PUBLISHED = Options(
    side=112, frames=36, rate=1e-4, head_rate=1e-4, weight_decay=1e-4, warm_up=0, tenth_from_epoch=15, views=2,
    temperature=1.0, contrast=1.0, error=1.0, cells=0.0, course=0.0, detached=True, average=0.0, head_epochs=5,
    head_dropout=0.4, steady=False, clip_norm=0.0,
)  # fmt: skip


def main(arguments: TrainingArguments) -> TrainingResult:
    """Train, and publish a package when a name is given.

    Raises:
        BadInput: options, data or an initial checkpoint that cannot be used.
    """
    published = arguments.recipe == "published"
    options = with_options(PUBLISHED if published else Options(), arguments.options)
    data = dataset_of(arguments, name=RECIPE, layout=layout)
    identity = arguments.identity(options={**as_json(options), "cache": None, "validate_every": None})
    convention = convention_of(options, published=published)
    form = Form(by_time=not published, side=112 if published else 96, spread=not published)
    batch = arguments.batch or 16
    cache = options.cache or arguments.out / "loops"
    splits = data.by_split()
    loops = {}
    for split in (Split.TRAIN, Split.VALIDATION):
        items = splits[split][: options.limit or None]
        loops[split], left_out = kept_loops(data, items, form, folder=cache, workers=2, told=None)
        for key, reason in left_out.items():
            sys.stderr.write(f"left out: {key}: {reason}\n")
    rank, world_size = this_process()
    order = EpochOrder(
        count=len(loops[Split.TRAIN]), batch=batch, seed=arguments.seed, rank=rank, world_size=world_size, drop_last=True
    )  # fmt: skip
    head = options.head_epochs * order.steps_per_epoch
    epochs = arguments.epochs or (26 if published else 30)
    total = arguments.steps or epochs * order.steps_per_epoch + head
    head = min(head, total // 4)
    with Run.of(arguments, identity={**identity, "batch": batch}, total=total, dataset=data) as run:
        return fit(run, arguments, options, convention, data, loops, order, total - head)


def networks_of(options: Options, *, published: bool) -> nn.ModuleDict:
    """Encoder, regressor, and for the sound recipe what it learns besides."""
    if published:
        return nn.ModuleDict({"encoder": build("uniformer-small"), "regressor": build("ef-regressor")})
    encoder = build("uniformer-compact", widths=options.widths, depths=options.depths, dropout=options.dropout)
    return nn.ModuleDict(
        {
            "encoder": encoder,
            "regressor": build("ef-regressor", features=2 * options.widths[-1], dropout=options.head_dropout),
            "cells": nn.Conv2d(options.widths[1], 1, 1),
            "course": nn.Linear(options.widths[-1], 2 * STEP),
        }
    )


def convention_of(options: Options, *, published: bool) -> Convention:
    """How clips are cut, in training and by the package's runner."""
    if published:
        return Convention(frames=options.frames, side=options.side)
    return Convention(frames=options.frames, side=options.side, period_ms=options.period_ms, stride=2)


def fit(
    run: Run, arguments: TrainingArguments, options: Options, convention: Convention, data: DatasetManifest,
    loops: Mapping[Split, Loops], order: EpochOrder, first_of_head: int,
) -> TrainingResult:  # fmt: skip
    """Both stages, then the locked test and the package."""
    published = arguments.recipe == "published"
    train = loops[Split.TRAIN]
    networks = networks_of(options, published=published)
    if not published:
        truth = [open_loop(place, ef_of(item)).ef_percent for item, place in train]
        nn.init.constant_(networks["regressor"].get_parameter("6.bias"), float(np.mean(truth)))
    if arguments.init is not None:
        begin(networks, arguments.init)
    networks.to(run.device)
    average = MovingAverage(networks, decay=options.average)
    start, best, kept = 0, float("inf"), run.restore()
    if kept is not None:
        start, best = kept[0], float(kept[1]["best"])
        networks.load_state_dict(kept[1]["networks"])
        average.load_state_dict(kept[1]["average"])
    every = options.validate_every or max(1, min(order.steps_per_epoch, 200))
    for stage, first, last in ((1, 0, first_of_head), (2, first_of_head, run.total)):
        if start >= last:
            continue
        if stage == 2 and start <= first and (chosen := run.best()) is not None:
            networks.load_state_dict(chosen[1]["average"]["average"])
            average = MovingAverage(networks, decay=options.average)
        model = run.wrap(Learner(networks, options.weights, stage=stage))
        trained = [each for each in networks.parameters() if each.requires_grad]
        optimiser = torch.optim.AdamW(trained, lr=options.rate, weight_decay=options.weight_decay)
        if kept is not None and start > first:
            optimiser.load_state_dict(kept[1]["optimiser"])
        load = partial(sample, train, convention, views=options.views if stage == 1 else 1, published=published)
        for step, batch in batches(load, order, start=max(start, first), stop=last, workers=arguments.workers):
            state = {"networks": networks.state_dict(), "average": average.state_dict(), "best": best}
            if run.stop_wanted:
                run.save(step, {**state, "optimiser": optimiser.state_dict()})
                return TrainingResult(folder=run.folder, stopped_at=step)
            for group in optimiser.param_groups:
                group["lr"] = rate_at(step, options, stage=stage, last=last, steps_per_epoch=order.steps_per_epoch)
            model.train()
            with run.autocast():
                losses = model({name: values.to(run.device) for name, values in batch.items()})
            loss = torch.stack(list(losses.values())).sum()
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            if options.clip_norm:
                nn.utils.clip_grad_norm_(trained, options.clip_norm)
            optimiser.step()
            average.update(networks)
            run.log(step + 1, loss=loss.item(), **{f"loss_{name}": value.item() for name, value in losses.items()})
            run.tick(step + 1, f"stage {stage}, loss {loss.item():.3f}, best validation MAE {best:.2f}")
            ending = run.time_is_up or (stage == 1 and time_for_head(run, arguments))
            if ending or (step + 1) % every == 0 or step + 1 == last:
                predicted, wanted = validated(
                    average.average, loops[Split.VALIDATION], convention, run, published=published
                )
                error = run.agreed(mae(predicted, wanted))
                run.log(step + 1, validation_mae=error, validation_r=correlation(predicted, wanted))
                better, best = error <= best, min(best, error)
                state = {"networks": networks.state_dict(), "average": average.state_dict(), "best": best}
                run.save(step + 1, {**state, "optimiser": optimiser.state_dict()}, best=better)
            if ending:
                break
    steps, chosen_state = run.best() or (0, {"average": average.state_dict()})
    average.load_state_dict(chosen_state["average"])
    sizes = {} if published else {
        "widths": list(options.widths), "depths": list(options.depths), "features": 2 * options.widths[-1]
    }  # fmt: skip
    return publish_tested(
        run, arguments, convention, data, average.average, sizes=sizes, steps=steps, limit=options.limit,
        cache=options.cache or arguments.out / "loops",
    )  # fmt: skip


def sample(
    loops: Loops, convention: Convention, index: int, chance: np.random.Generator, *, views: int, published: bool
) -> dict[str, np.ndarray]:
    """`views` clips of a loop, each drawn and changed for itself."""
    item, place = loops[index]
    loop = open_loop(place, ef_of(item))
    made = [
        clip_by_number(loop, convention, chance=chance, shifted=True) if published
        else clip_by_time(loop, convention, chance=chance)
        for _ in range(views)
    ]  # fmt: skip
    return {name: np.stack([each[name] for each in made]) for name in made[0]}


def time_for_head(run: Run, arguments: TrainingArguments) -> bool:
    """Whether --minutes leave the first stage no more time."""
    return arguments.minutes is not None and run.seconds > HEAD_SHARE * 60 * arguments.minutes


def rate_at(step: int, options: Options, *, stage: int, last: int, steps_per_epoch: int) -> float:
    """The learning rate: the authors' steps, or a warm-up and half a cosine."""
    if stage == 2:
        return options.head_rate
    if options.tenth_from_epoch is not None:
        return options.rate * (0.1 if step // steps_per_epoch >= options.tenth_from_epoch else 1.0)
    rising = min(1.0, (step + 1) / max(1, options.warm_up))
    return options.rate * rising * (0.02 + 0.98 * (1 + math.cos(math.pi * step / last)) / 2)


@torch.no_grad()
def validated(
    networks: nn.Module, loops: Loops, convention: Convention, run: Run, *, published: bool
) -> tuple[list[float], list[float]]:
    """What evaluating networks say of one clip of each loop, and the truth."""

    def load(index: int, chance: np.random.Generator) -> Any:
        item, place = loops[index]
        loop = open_loop(place, ef_of(item))
        made = (
            clip_by_number(loop, convention, chance=chance, shifted=False) if published
            else clip_by_time(loop, convention, chance=None)
        )  # fmt: skip
        return made["clip"], made["ef"]

    predicted: list[float] = []
    wanted: list[float] = []
    for _, (clips, truth) in in_turn(load, range(len(loops)), batch=8, seed=run.seed):
        with run.autocast():
            embedding = networks.get_submodule("encoder")(clips.to(run.device))[1]
        predicted += networks.get_submodule("regressor")(embedding.float())[:, 0].tolist()
        wanted += truth.tolist()
    return predicted, wanted
