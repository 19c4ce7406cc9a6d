"""Which standard view a loop shows: `echonode train view`.

There is no published recipe that this follows, so `published` is refused. A small convolutional network sees a few
frames of the sector; cross entropy on loops changed as other machines and windows would show them, and one in ten made
into nonsense of class OTHER; AdamW with one cycle; the moving average of the weights that does best on changed
validation loops is kept, and its confidence is calibrated on them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import torch
import torch.nn.functional as functional
from numpy.typing import NDArray

from echonode.core.errors import BadInput
from echonode.tasks.common.checkpoint import load_weights, shapes_of
from echonode.tasks.view.augment import augmented, chosen
from echonode.tasks.view.calibration import Calibration, calibrated
from echonode.tasks.view.classes import CLASSES, OTHER
from echonode.tasks.view.dataset import Cache, Sample, layout, pictures_of
from echonode.tasks.view.evaluation import tested_and_published
from echonode.tasks.view.net import WIDTHS, ViewNet, build
from echonode.tasks.view.nonsense import nonsense
from echonode.tasks.view.prepare import normalised
from echonode.tasks.view.simulated import Recording
from echonode.training.arguments import TrainingArguments, TrainingResult
from echonode.training.batches import batches, in_turn
from echonode.training.dataset import Split
from echonode.training.ema import MovingAverage
from echonode.training.options import as_json, with_options
from echonode.training.order import EpochOrder, sample_generator
from echonode.training.processes import this_process
from echonode.training.run import Run
from echonode.training.sources import dataset_of

NAME: Final = "view"
WHERE: Final = ("cache", "processes")
DRAWS: Final = 3  # changed copies of each validation loop that confidence is calibrated by

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Options:
    """The recipe's own: `--set key=value`. `frames` are seen of each loop in training, `seen` in use.

    `round` makes a second training that begins with `--init` see other changed copies of the same data.
    """

    widths: tuple[int, ...] = WIDTHS
    side: int = 96
    frames: int = 2
    seen: int = 8
    recorded: int = 4
    kept_side: int = 128
    nonsense: float = 0.10
    round: int = 0
    rate: float = 3e-3
    decay: float = 0.02
    average: float = 0.98
    smoothing: float = 0.03
    validate_every: int = 100
    validation_samples: int = 320
    cache: Path | None = None
    processes: int = 2

    def __post_init__(self) -> None:
        if not 32 <= self.side <= 256 or not 48 <= self.kept_side <= 512:
            raise ValueError("side: 32 to 256, and kept_side: 48 to 512 are expected")
        if min(self.frames, self.seen, self.recorded, self.validate_every, self.validation_samples) < 1:
            raise ValueError("frames, seen, recorded, validate_every and validation_samples: at least 1 is expected")
        if not 0 <= self.nonsense < 1:
            raise ValueError("nonsense: a share from 0 to below 1 is expected")


def main(arguments: TrainingArguments) -> TrainingResult:
    """Set up: data, cache, network; then `fit`.

    Raises:
        BadInput: data or an option that is not understood.
    """
    if arguments.recipe == "published":
        raise BadInput("--recipe published: nobody's recipe is followed here; sound is the only one")
    options = with_options(Options(), arguments.options)
    data = dataset_of(arguments, name=NAME, layout=layout)
    splits = data.by_split()
    if not splits[Split.TRAIN] or not splits[Split.VALIDATION]:
        raise BadInput("nothing to train on or nothing to choose by: at least three patients are needed")
    recording = Recording(frames=options.recorded, side=options.kept_side)
    cache = Cache(options.cache or arguments.out / "cache", data, recording)
    train, held = (cache.samples(splits[split], workers=options.processes) for split in (Split.TRAIN, Split.VALIDATION))
    rank, world_size = this_process()
    order = EpochOrder(
        count=len(train), batch=arguments.batch or 32, seed=arguments.seed, rank=rank, world_size=world_size
    )  # fmt: skip
    total = arguments.steps or (arguments.epochs or 12) * order.steps_per_epoch
    matters = {key: value for key, value in as_json(options).items() if key not in WHERE}
    identity = arguments.identity(options=matters, batch=order.batch)
    with Run.of(arguments, identity=identity, total=total, dataset=data) as run:
        return fit(run, arguments, options, order, train, held, cache)


def fit(
    run: Run, arguments: TrainingArguments, options: Options, order: EpochOrder, train: list[Sample],
    held: list[Sample], cache: Cache,
) -> TrainingResult:  # fmt: skip
    """Learn, choose and calibrate by validation, be told the error on the test split, publish."""
    inner = build(widths=options.widths)
    if arguments.init is not None:
        inner.load_state_dict(load_weights(arguments.init, shapes_of(inner)))
    inner = inner.to(device=run.device).to(memory_format=torch.channels_last)
    average = MovingAverage(inner, decay=options.average)
    steady = cast("ViewNet", average.average)
    optimiser = torch.optim.AdamW(inner.parameters(), lr=options.rate, weight_decay=options.decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, options.rate, total_steps=run.total, pct_start=0.15)
    scaler = run.scaler()
    parts: dict[str, Any] = {
        "network": inner, "average": average, "optimiser": optimiser, "schedule": schedule, "scaler": scaler,
    }  # fmt: skip
    start, best = 0, float("inf")
    if (kept := run.restore()) is not None:
        start, state = kept
        best = state.pop("best")
        for name, part in parts.items():
            part.load_state_dict(state[name])
    model = run.wrap(inner)
    shelf, other = pictures_of(train), CLASSES.index(OTHER)
    judges = held[:: max(1, len(held) // options.validation_samples)]

    def load(index: int, chance: np.random.Generator) -> tuple[Floats, int]:
        if options.round:
            chance = sample_generator(arguments.seed, options.round, int(chance.integers(1 << 62)))
        pictures, label = chosen(shelf[index], chance, frames=options.frames), train[index].label
        if chance.random() < options.nonsense:
            pictures, label = nonsense(pictures, chance), other
        return normalised(augmented(pictures, chance, side=options.side)), label

    def state_now() -> dict[str, Any]:
        return {**{name: part.state_dict() for name, part in parts.items()}, "best": best}

    for step, (pictures, labels) in batches(load, order, start=start, stop=run.total, workers=arguments.workers):
        if run.stop_wanted:
            run.save(step, state_now())
            return TrainingResult(folder=run.folder, stopped_at=step)
        last = run.time_is_up
        model.train()
        with run.autocast():
            logits = model(pictures.to(run.device))
        loss = functional.cross_entropy(logits.float(), labels.to(run.device), label_smoothing=options.smoothing)
        optimiser.zero_grad(set_to_none=True)
        scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        scaler.step(optimiser)
        scaler.update()
        schedule.step()
        average.update(inner)
        run.log(step + 1, loss=loss.item(), rate=float(schedule.get_last_lr()[0]))
        run.tick(step + 1, f"loss {loss.item():.3f}, best {best:.3f}")
        if (step + 1) % options.validate_every == 0 or step + 1 == run.total or last:
            given, true = judged(steady, judges, options, run.device)
            error = run.agreed(float(functional.cross_entropy(torch.from_numpy(given), torch.from_numpy(true))))
            run.log(step + 1, validation_loss=error, validation_accuracy=float((given.argmax(axis=1) == true).mean()))
            better, best = error < best, min(best, error)
            run.save(step + 1, state_now(), best=better)
        if last:
            break
    steps, state = run.best() or (run.step, state_now())
    average.load_state_dict(state["average"])
    calibration = calibration_of(steady, held, options, run.device)
    return tested_and_published(
        run, arguments, steady, calibration, cache, steps=steps, widths=options.widths, side=options.side,
        seen=options.seen,
    )  # fmt: skip


@torch.no_grad()
def judged(
    network: ViewNet, samples: list[Sample], options: Options, device: torch.device, *, seed: int = 0
) -> tuple[Floats, NDArray[np.int64]]:
    """Logits of changed copies of `samples`, nonsense among them as in training, and what is true."""
    network.eval()
    shelf, other = pictures_of(samples), CLASSES.index(OTHER)
    given: list[Floats] = []
    true: list[int] = []

    def load(index: int, chance: np.random.Generator) -> tuple[Floats, int]:
        pictures, label = chosen(shelf[index], chance, frames=options.frames), samples[index].label
        if chance.random() < options.nonsense:
            pictures, label = nonsense(pictures, chance), other
        return normalised(augmented(pictures, chance, side=options.side)), label

    for _, (pictures, labels) in in_turn(load, range(len(samples)), batch=32, seed=seed):
        given.append(network(pictures.to(device)).float().cpu().numpy())
        true += labels.tolist()
    return np.concatenate(given), np.array(true, np.int64)


def calibration_of(network: ViewNet, held: list[Sample], options: Options, device: torch.device) -> Calibration:
    """Temperature and threshold from changed validation loops: as hard as what is learned from, and none of it."""
    rows = [judged(network, held, options, device, seed=draw) for draw in range(1, 1 + DRAWS)]
    return calibrated(np.concatenate([row[0] for row in rows]), np.concatenate([row[1] for row in rows]))
