"""`echonode train segmentation`: cavity, myocardium and atrium of the left heart in apical pictures.

`sound` (the default): our small U-Net at 128 x 128 on pictures as the runner prepares them, cross-entropy and soft Dice
on labels averaged over a pixel, AdamW with one cycle, an average of weights, the best by Dice on validation.

`published` ("Echo from noise", Stojanovski et al., ASMUS 2023): the network of MONAI's shape at 256 x 256 on whole frames,
plain cross-entropy, Adam 1e-3 with a cosine over the number of epochs that is stepped each batch, batch 1, 300 epochs, the
authors' augmentation, the best by mean Dice where a structure that is absent counts as 0. What differs: validation pictures
are not augmented (the authors' are, so that their choice of weights hangs on chance); the last of their 301 epochs is left
out; pictures are normalised by one mean and deviation of the training set in training and in use alike (the authors
average two sets' in training, and forget it in their test script).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, cast

import numpy as np
import torch
import torch.nn.functional as functional
from numpy.typing import NDArray

from echonode.core.errors import BadInput
from echonode.tasks.common.checkpoint import checked_state, load_published, load_weights, shapes_of, without_prefix
from echonode.tasks.segmentation import augment
from echonode.tasks.segmentation.dataset import APICAL, Cache, Prepared, Sample, layout, load, load_with_loop
from echonode.tasks.segmentation.dice import Dice, dice, summary
from echonode.tasks.segmentation.echo_unet import EchoUnet
from echonode.tasks.segmentation.net import ARCHITECTURES, CHANNELS, CamusUnet, build
from echonode.tasks.segmentation.prepare import Normalisation, with_loop
from echonode.tasks.segmentation.upstream import PREFIXES
from echonode.training.arguments import TrainingArguments, TrainingResult
from echonode.training.batches import batches, in_turn
from echonode.training.dataset import DatasetManifest, Split
from echonode.training.ema import MovingAverage
from echonode.training.options import as_json, with_options
from echonode.training.order import EpochOrder
from echonode.training.processes import this_process
from echonode.training.run import Run
from echonode.training.sources import dataset_of

NAME: Final = "segmentation"
INDIFFERENT: Final = ("cache", "test_scale", "test_beats")
MEASURED: Final = 256  # samples that mean and deviation are taken from

Network = CamusUnet | EchoUnet
Bytes = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Options:
    """The recipe's own: `--set key=value`."""

    architecture: Literal["echo-unet", "camus-unet"] = "echo-unet"
    widths: tuple[int, ...] = (24, 48, 96, 160)
    side: int = 128
    loop: bool = True
    """Whether the network sees mean and deviation of the loop beside each picture."""
    alone: float = 0.15
    """How often it must do without them in training, as with a still."""
    preparation: Literal["clinical", "published"] = "clinical"
    augmentation: Literal["sound", "published", "none"] = "sound"
    rate: float = 3e-3
    least_rate: float = 3e-5
    decay: float = 0.01
    warm_up: float = 0.05
    average: float = 0.995
    dice_weight: float = 0.5
    frames: int = 6
    views: tuple[str, ...] = APICAL
    validate_every: int = 200
    validation_samples: int = 360
    test_scale: float = 1.0
    test_beats: float = 1.5
    cache: Path | None = None

    def __post_init__(self) -> None:
        if self.side % 32 or not 32 <= self.side <= 512:
            raise ValueError(f"side {self.side}: a multiple of 32 from 32 to 512 is expected")
        if self.frames < 1 or self.validate_every < 1 or self.validation_samples < 1:
            raise ValueError("frames, validate_every and validation_samples: at least 1 is expected")
        if not 0.1 <= self.test_scale <= 1 or not 1 <= self.test_beats <= 5:
            raise ValueError("test_scale from 0.1 to 1 and test_beats from 1 to 5 are expected")


PUBLISHED: Final = Options(
    architecture="camus-unet", widths=CHANNELS, side=256, loop=False, preparation="published", augmentation="published", rate=1e-3,
    least_rate=1e-4, decay=0.0, warm_up=0.0, average=0.0, dice_weight=0.0,
)  # fmt: skip


def main(arguments: TrainingArguments) -> TrainingResult:
    """Set up: data, cache, network; then `fit`.

    Raises:
        BadInput: data or an option that is not understood.
    """
    known = arguments.recipe == "published"
    options = with_options(PUBLISHED if known else Options(), arguments.options)
    data = dataset_of(arguments, name=NAME, layout=layout)
    splits = data.by_split()
    if not splits[Split.TRAIN] or not splits[Split.VALIDATION]:
        raise BadInput("nothing to train on or nothing to choose by: at least three patients are needed")
    cache = cache_of(options, data, arguments.out)
    workers = max(1, min(2, arguments.workers))
    train = cache.samples(splits[Split.TRAIN], workers=workers, tell=_told("preparing what is learned from"))
    validation = cache.samples(splits[Split.VALIDATION], workers=workers, tell=_told("preparing what is chosen by"))
    validation = evenly(validation, options.validation_samples)
    batch = arguments.batch or (1 if known else 16)
    epochs = arguments.epochs or (300 if known else 10)
    rank, world_size = this_process()
    order = EpochOrder(count=len(train), batch=batch, seed=arguments.seed, rank=rank, world_size=world_size)
    total = arguments.steps or epochs * order.steps_per_epoch
    # Where the cache lies and how large the test's pictures are does not change what is learned.
    decisive = {name: value for name, value in as_json(options).items() if name not in INDIFFERENT}
    identity = arguments.identity(options=decisive, batch=batch, epochs=epochs)
    with Run.of(arguments, identity=identity, total=total, dataset=data) as run:
        return fit(run, arguments, options, order, train, validation, epochs=epochs)


def fit(
    run: Run, arguments: TrainingArguments, options: Options, order: EpochOrder, train: Sequence[Sample],
    validation: Sequence[Sample], *, epochs: int,
) -> TrainingResult:  # fmt: skip
    """Learn, choose by validation, be told the error on the test split, publish."""
    normalisation = measured(train)
    inner = network_of(options)
    if arguments.init is not None:
        inner.load_state_dict(first_weights(arguments.init, inner))
    inner = inner.to(device=run.device).to(memory_format=torch.channels_last)
    average = MovingAverage(inner, decay=options.average)
    steady = cast("Network", average.average)
    known = arguments.recipe == "published"
    optimiser = (torch.optim.Adam if known else torch.optim.AdamW)(
        inner.parameters(), lr=options.rate, weight_decay=options.decay
    )
    period = epochs if known else run.total
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, partial(rate_at, options=options, period=period))
    scaler = run.scaler()
    parts: dict[str, Any] = {
        "network": inner, "average": average, "optimiser": optimiser, "schedule": schedule, "scaler": scaler,
    }  # fmt: skip
    start, best = 0, -1.0
    if (kept := run.restore()) is not None:
        start, state = kept
        best = state.pop("best")
        for name, part in parts.items():
            part.load_state_dict(state[name])
    model = run.wrap(inner)
    change = {"sound": augment.sound, "published": augment.published, "none": _unchanged}[options.augmentation]

    def sample(index: int, chance: np.random.Generator) -> tuple[Bytes, Bytes]:
        picture, labels = change(*_loaded(train[index], options, chance), chance)
        return np.ascontiguousarray(picture), augment.shares(labels, options.side)

    def state_now() -> dict[str, Any]:
        return {**{name: part.state_dict() for name, part in parts.items()}, "best": best}

    # With a batch of 1, as published, a validation each 200 steps would take longer than the training.
    every = max(options.validate_every, order.steps_per_epoch) if known else options.validate_every
    reached = start
    for step, (pictures, wanted) in batches(sample, order, start=start, stop=run.total, workers=arguments.workers):
        if run.stop_wanted:
            run.save(step, state_now())
            return TrainingResult(folder=run.folder, stopped_at=step)
        if run.time_is_up:
            break
        model.train()
        inputs = normalisation.tensor_of(pictures).to(run.device, memory_format=torch.channels_last)
        target = wanted.to(run.device).float() / 255
        with run.autocast():
            logits = model(inputs)
        loss = loss_of(logits.float(), target, dice_weight=options.dice_weight)
        optimiser.zero_grad(set_to_none=True)
        scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        scaler.step(optimiser)
        scaler.update()
        schedule.step()
        average.update(inner)
        reached = step + 1
        run.log(reached, loss=loss.item(), rate=float(schedule.get_last_lr()[0]))
        run.tick(reached, f"loss {loss.item():.4f}, best Dice {max(0.0, best):.4f}")
        if reached % every == 0 or reached == run.total:
            best = _chosen(run, steady, normalisation, validation, reached, best, state_now, options)
    if reached > start and reached % every and reached != run.total:
        best = _chosen(run, steady, normalisation, validation, reached, best, state_now, options)
    chosen, state = run.best() or (reached, state_now())
    average.load_state_dict(state["average"])
    from echonode.tasks.segmentation.evaluate import tested_and_published

    return tested_and_published(run, arguments, options, steady, normalisation, steps=chosen)


def _chosen(
    run: Run, network: Network, normalisation: Normalisation, validation: Sequence[Sample], step: int, best: float,
    state: Callable[[], dict[str, Any]], options: Options,
) -> float:  # fmt: skip
    """Validate, keep the state, and give the best score so far."""
    scores = scored(network, normalisation, validation, run.device, options)
    mean, _ = summary([replace_nan(each) for each in scores] if options.preparation == "published" else scores)
    score = run.agreed(float(np.nanmean(mean)))
    run.log(step, validation_dice=score, dice_endo=mean[0], dice_epi=mean[1], dice_atrium=mean[2])
    picture = overlay(network, normalisation, evenly(validation, 12), run.device, options)
    if run.first:
        run.picture(step, "validation", picture)
    better = score > best
    kept = state() | {"best": max(score, best)}
    run.save(step, kept, best=better)
    return max(score, best)


def loss_of(logits: torch.Tensor, target: torch.Tensor, *, dice_weight: float) -> torch.Tensor:
    """Cross-entropy with shares (N, 4, H, W) as targets, and `dice_weight` times 1 - soft Dice of the three structures."""
    entropy = functional.cross_entropy(logits, target)
    if not dice_weight:
        return entropy
    found = logits.softmax(dim=1)[:, 1:]
    wanted = target[:, 1:]
    both = (found * wanted).sum(dim=(0, 2, 3))
    whole = (found * found).sum(dim=(0, 2, 3)) + (wanted * wanted).sum(dim=(0, 2, 3))
    overlap = (2 * both + 1) / (whole + 1)
    return entropy + dice_weight * (1 - overlap).mean()


def rate_at(step: int, *, options: Options, period: int) -> float:
    """The part of the rate at a step: up in a line, then down a cosine; published: the cosine goes on, down and up."""
    least = options.least_rate / options.rate
    warm = options.warm_up * period
    if step < warm:
        return max(least, (step + 1) / warm)
    cosine = 0.5 * (1 + np.cos(np.pi * (step - warm) / max(1.0, period - warm)))
    return float(least + (1 - least) * cosine)


def network_of(options: Options) -> Network:
    """The network that the options name, with weights drawn anew."""
    channels = 3 if options.loop else 1
    return build(options.architecture, in_channels=channels, **{ARCHITECTURES[options.architecture]: options.widths})


def first_weights(path: Path, network: Network) -> dict[str, torch.Tensor]:
    """Weights of a safetensors file or of the authors' checkpoint, checked against the network.

    Raises:
        CheckpointRefused: they are not this network's.
    """
    expected = shapes_of(network)
    if path.suffix == ".safetensors":
        return load_weights(path, expected)
    return checked_state(without_prefix(load_published(path), PREFIXES, where="state_dict"), expected, where="--init")


def measured(samples: Sequence[Sample]) -> Normalisation:
    """Mean and deviation of the pictures, from a few hundred of them that lie evenly in the data set."""
    pictures = np.stack([load(sample)[0] for sample in evenly(samples, MEASURED)]).astype(np.float64) / 255
    return Normalisation(mean=round(float(pictures.mean()), 4), std=round(max(1e-3, float(pictures.std())), 4))


@torch.no_grad()
def scored(
    network: Network, normalisation: Normalisation, samples: Sequence[Sample], device: torch.device, options: Options
) -> list[Dice]:
    """Dice of each sample, at the pictures' size."""
    network.eval()
    found: list[Dice] = []

    def sample(index: int, chance: np.random.Generator) -> tuple[Bytes, Bytes]:
        picture, labels = _loaded(samples[index], options, None)
        return picture, augment.shares(labels, len(picture)).argmax(axis=0).astype(np.uint8)

    for _, (pictures, wanted) in in_turn(sample, range(len(samples)), batch=16):
        logits = network(normalisation.tensor_of(pictures).to(device))
        labels = logits.argmax(dim=1).to(torch.uint8).cpu().numpy()
        found += [dice(ours, truth) for ours, truth in zip(labels, wanted.numpy(), strict=True)]
    return found


@torch.no_grad()
def overlay(
    network: Network, normalisation: Normalisation, samples: Sequence[Sample], device: torch.device, options: Options
) -> NDArray[np.uint8]:
    """A sheet (H, W, 3): pictures with the borders that were found, and the true ones in grey."""
    from echonode.tasks.common.camus import edges

    seen = np.stack([_loaded(sample, options, None)[0] for sample in samples])
    pictures = np.stack([load(sample)[0] for sample in samples])
    labels = network(normalisation.tensor_of(torch.from_numpy(seen)).to(device)).argmax(dim=1).cpu().numpy()
    shown = []
    for picture, found, each in zip(pictures, labels, samples, strict=True):
        truth = augment.shares(load(each)[1], len(picture)).argmax(axis=0)
        colour = np.repeat(picture[:, :, None], 3, axis=2)
        colour[edges(truth)] = (150, 150, 150)
        colour[edges(found)] = (255, 210, 60)
        shown.append(colour)
    wide = int(np.ceil(np.sqrt(len(shown))))
    shown += [np.zeros_like(shown[0])] * (-len(shown) % wide)
    rows = [np.concatenate(shown[first : first + wide], axis=1) for first in range(0, len(shown), wide)]
    return np.concatenate(rows)


def cache_of(options: Options, data: DatasetManifest, out: Path) -> Cache:
    """Where samples are prepared: --set cache=DIR, or in the run's folder."""
    prepared = Prepared(
        side=options.side, preparation=options.preparation, frames=options.frames, views=options.views
    )  # fmt: skip
    return Cache(options.cache or out / "cache", data, prepared)


def evenly(samples: Sequence[Sample], most: int) -> list[Sample]:
    """At most `most` of them, evenly spread."""
    chosen = sorted({int(place) for place in np.linspace(0, len(samples) - 1, min(most, len(samples))).round()})
    return [samples[place] for place in chosen]


def replace_nan(score: Dice) -> Dice:
    """As published: a structure that is absent from both counts as 0."""
    endocardium, epicardium, atrium = (0.0 if value != value else value for value in score.scores)
    return Dice(endocardium=endocardium, epicardium=epicardium, atrium=atrium)


def _loaded(sample: Sample, options: Options, chance: np.random.Generator | None) -> tuple[Bytes, Bytes]:
    """A sample as the network sees it; with `chance` now and then without its loop."""
    if not options.loop:
        return load(sample)
    if chance is not None and chance.random() < options.alone:
        picture, labels = load(sample)
        return with_loop(picture[None])[0], labels
    return load_with_loop(sample, options.frames)


def _unchanged(picture: Bytes, labels: Bytes, chance: np.random.Generator) -> tuple[Bytes, Bytes]:
    return picture, labels


def _told(words: str) -> Callable[[int, int], None]:
    import sys

    def tell(done: int, total: int) -> None:
        if done % 25 == 0 or done == total:
            sys.stderr.write(f"{words}: {done} of {total}\n")

    return tell
