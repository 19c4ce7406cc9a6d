"""The sound recipe: the refinement network on real and simulated loops, for frames that were left out.

The loss is squared error, taken relative to that of plain classical flow on the whole picture that a crop is of, so that
every loop and every frame counts alike. It blurs: what cannot be known is averaged away. So the picture gets the
sharpness of its loop back where the network is used (texture.py).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import torch
from safetensors.torch import load_file

from echonode.core.errors import BadInput
from echonode.tasks.common.warp import warp
from echonode.tasks.slow_motion.optical_flow import SMOOTHNESS
from echonode.tasks.slow_motion.refined_flow import Look
from echonode.tasks.slow_motion.refinement import ARCHITECTURE, MULTIPLE, Flows4, Refinement
from echonode.tasks.slow_motion.synthesis import flows_at
from echonode.tasks.slow_motion.train.folds import LEAVE_ONE_OUT, Folds
from echonode.tasks.slow_motion.train.loops import layout, loops_of
from echonode.tasks.slow_motion.train.samples import PREFILTER, Samples, augmented, draw, joined
from echonode.training.arguments import TrainingArguments, TrainingResult
from echonode.training.batches import batches, in_turn
from echonode.training.dataset import DatasetManifest, Split
from echonode.training.ema import MovingAverage
from echonode.training.options import as_json, with_options
from echonode.training.order import EpochOrder
from echonode.training.publish import publish
from echonode.training.run import Run
from echonode.training.sources import dataset_of
from echonode.training.table import Table

SAMPLES_FILE = "samples.npz"
LEAST_ERROR = 1e-4  # mean square in 0 to 1: below it a crop is as good as still
MOST_ERROR = 4.0  # times that of classical flow: a crop that is much worse counts no more than this
WARM_UP = 200
LAST_RATE = 0.02  # of the first
WORDS: Final = {
    "What is interpolated": [
        "Two acquired frames and those before and after them are brought there by classical flow and by how motion speeds "
        "up; the network says what to add to the two that are fused. Up to four frames of the loop are asked back from those "
        "beside them, and as much is added as they bear out (the object says how much where it is not all), at most a "
        "share of what the two frames differ by. Some of the fine texture is put back as it is in the acquired frames, and "
        "the picture is sharpened until it is nearly as sharp as they are. Acquired frames pass bit for bit."
    ]
}
UNNAMED: Final = "this network"
INDIFFERENT: Final = ("folds", "version")  # options that do not change what is learned


@dataclass(frozen=True, kw_only=True)
class Options:
    """Sizes of the network, of samples, and the weights of the loss.

    `everything` learns from all items, also those that would have been kept for validation and test: for a package whose
    error was measured on folds. `folds` are the files of their evaluations, for the card; `version` is the package's.
    `colour` takes colour Doppler loops too; coloured pixels never count.
    """

    width: int = 64
    deep: int = 96
    fine: int = 32
    blocks: int = 2
    targets: int = 120
    crops: int = 4
    most: int = 10_000
    """Samples in memory, half a megabyte each as drawn: of many loops fewer are taken of each."""
    drawn: int = 160
    crop: int = 112
    rate: float = 1.5e-3
    decay: float = 0.998
    validate_every: int = 250
    colour: bool = True
    everything: bool = False
    folds: tuple[Path, ...] = ()
    version: str = "1"

    def __post_init__(self) -> None:
        if self.crop % MULTIPLE or not MULTIPLE <= self.crop <= self.drawn:
            raise ValueError(f"crop: a multiple of {MULTIPLE} of at most drawn ({self.drawn}) is expected")


def main(arguments: TrainingArguments) -> TrainingResult:
    """Draw the samples, train, choose by validation, publish.

    Raises:
        BadInput: options or data that cannot be used, or a test that would be learned from.
    """
    options = with_options(Options(), arguments.options)
    if options.everything and arguments.test_data:
        raise BadInput("--set everything=true learns from the test as well: what --test-data names is to be held out")
    data = dataset_of(arguments, name="slow motion", layout=layout)
    batch, total = arguments.batch or 10, arguments.steps or 4000
    decisive = {name: value for name, value in as_json(options).items() if name not in INDIFFERENT}
    identity = arguments.identity(options=decisive, batch=batch)
    folds = _folds(arguments, options)
    cv2.setNumThreads(max(1, arguments.threads))
    with Run.of(arguments, identity=identity, total=total, dataset=data) as run:
        train, validation = _samples(run, data, options)
        return fit(run, arguments, options, data, train, validation, folds, batch)


def fit(
    run: Run, arguments: TrainingArguments, options: Options, data: DatasetManifest, train: Samples,
    validation: Samples | None, folds: Folds | None, batch: int,
) -> TrainingResult:  # fmt: skip
    """The loop."""
    network = Refinement(width=options.width, deep=options.deep, fine=options.fine, blocks=options.blocks)
    if arguments.init is not None:
        _begin_from(network, arguments)
    network = network.to(run.device).to(memory_format=torch.channels_last)
    average = MovingAverage(network, decay=options.decay)
    optimiser = torch.optim.AdamW(network.parameters(), lr=options.rate, betas=(0.9, 0.99), weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(step, run.total))
    scaler = run.scaler()
    parts: dict[str, Any] = {
        "network": network,
        "average": average,
        "optimiser": optimiser,
        "schedule": schedule,
        "scaler": scaler,
    }
    start, best = 0, -math.inf
    if (kept := run.restore()) is not None:
        start, state = kept
        best = float(state.pop("best"))
        for name, part in parts.items():
            part.load_state_dict(state[name])
    model = run.wrap(network)
    order = EpochOrder(count=len(train), batch=batch, seed=arguments.seed, rank=run.rank, world_size=run.world_size)

    def load(index: int, chance: np.random.Generator) -> tuple[Any, ...]:
        return augmented(train, index, crop=options.crop, chance=chance)

    def states() -> dict[str, Any]:
        return {**{name: part.state_dict() for name, part in parts.items()}, "best": best}

    done = start
    for step, crops in batches(load, order, start=start, stop=run.total, workers=arguments.workers):
        if run.stop_wanted:
            run.save(step, states())
            return TrainingResult(folder=run.folder, stopped_at=step)
        if run.time_is_up:
            break
        model.train()
        lights, flows, counts, times, wanted = (part.to(run.device) for part in crops)
        errors = _errors(model, lights, flows, counts, times, run)
        loss = MOST_ERROR * torch.tanh(errors.found / (wanted + LEAST_ERROR) / MOST_ERROR).mean()
        optimiser.zero_grad()
        scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        scaler.unscale_(optimiser)
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        scaler.step(optimiser)
        scaler.update()
        schedule.step()
        average.update(network)
        done = step + 1
        gain = float(_decibels(errors.classical, errors.found).mean())
        run.log(
            done,
            loss=loss.item(),
            gain_db=gain,
            pulsing=errors.sharpness.item(),
            fused_gain_db=_decibels(errors.classical, errors.flow).mean().item(),
        )
        run.tick(done, f"{gain:+.2f} dB, pulsing {errors.sharpness.item():.2f}")
        if done % options.validate_every == 0 or done == run.total:
            better = False
            if validation is not None:
                gain, sharpness = _validated(average.average, validation, options, run)
                run.log(done, validation_gain_db=gain, validation_pulsing=sharpness)
                score = run.agreed(gain)
                better, best = score > best, max(best, score)
            run.save(done, states(), best=better)
    chosen, state = run.best() or (done, {"average": average.state_dict()})
    average.load_state_dict(state["average"])
    package = publish(
        run, arguments, recipe="slow-motion", weights={"refinement": average.average.state_dict()}, steps=chosen,
        manifest=_manifest(data, options), half=("refinement",), tables=_tables(average.average, validation, folds, options, run),
        metrics=folds.metrics(seed=run.seed) if folds is not None else (),
        words={**WORDS, **({"How it was judged": [LEAVE_ONE_OUT]} if folds is not None else {})},
    )  # fmt: skip
    return TrainingResult(folder=run.folder, package=package)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Errors:
    """Mean squares (N,) of the picture, of the picture before anything is added, and of plain classical flow; the gradient
    energy of all pictures over that of the targets."""

    found: torch.Tensor
    flow: torch.Tensor
    classical: torch.Tensor
    sharpness: torch.Tensor


def _errors(
    model: torch.nn.Module, lights: torch.Tensor, flows: torch.Tensor, counts: torch.Tensor, times: torch.Tensor,
    run: Run,
) -> _Errors:  # fmt: skip
    frames, target = lights[:, :4], lights[:, 4:]
    between = Flows4(forward=flows[:, 0:2], backward=flows[:, 2:4], before=flows[:, 4:6], after=flows[:, 6:8])
    t = times.view(-1, 1, 1, 1)
    with run.autocast():
        correction = model(frames, between, times)
    fused = correction.fused.float()
    picture = fused + correction.light
    with torch.no_grad():
        to0, to1 = flows_at(t, between.forward, between.backward)
        first, second = frames[:, 1:2], frames[:, 2:3]
        plain = (1 - t) * warp(first, to0, convention="exact") + t * warp(second, to1, convention="exact")
        classical = _mean_square(plain - target, counts) + LEAST_ERROR
        wanted = _gradient_energy(target, counts) + 1e-9
    return _Errors(
        found=_mean_square(picture - target, counts), flow=_mean_square(fused - target, counts), classical=classical,
        sharpness=_gradient_energy(picture.detach().clamp(0, 1), counts) / wanted,
    )  # fmt: skip


def _mean_square(difference: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    return (difference**2 * counts).sum((1, 2, 3)) / counts.sum((1, 2, 3)).clamp(min=1)


def _gradient_energy(picture: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """The sum of squared central differences, over all pictures."""
    across = (picture[:, :, 1:-1, 2:] - picture[:, :, 1:-1, :-2]) / 2
    down = (picture[:, :, 2:, 1:-1] - picture[:, :, :-2, 1:-1]) / 2
    return ((across**2 + down**2) * counts[:, :, 1:-1, 1:-1]).sum()


def _decibels(classical: torch.Tensor, found: torch.Tensor) -> torch.Tensor:
    return 10 * torch.log10(classical / found.clamp(min=1e-9)).detach()


def _rate(step: int, total: int) -> float:
    wave = 0.5 * (1 + math.cos(math.pi * min(1.0, step / total)))
    return min(1.0, (step + 1) / WARM_UP) * (LAST_RATE + (1 - LAST_RATE) * wave)


def _validated(network: torch.nn.Module, samples: Samples, options: Options, run: Run) -> tuple[float, float]:
    """Mean gain over classical flow in dB, and gradient energy over the acquired frames', without augmentation's chance."""
    network.eval()
    gains: list[float] = []
    sharp: list[float] = []

    def load(index: int, chance: np.random.Generator) -> tuple[Any, ...]:
        return augmented(samples, index, crop=options.crop, chance=chance)

    with torch.no_grad():
        for _, crops in in_turn(load, range(0, len(samples), max(1, len(samples) // 300)), batch=10):
            lights, flows, counts, times, _ = (part.to(run.device) for part in crops)
            errors = _errors(network, lights, flows, counts, times, run)
            gains += _decibels(errors.classical, errors.found).tolist()
            sharp.append(float(errors.sharpness))
    return float(np.mean(gains)), float(np.mean(sharp))


def _samples(run: Run, data: DatasetManifest, options: Options) -> tuple[Samples, Samples | None]:
    """The samples of the train and the validation split; drawn once and kept in the run's folder."""
    found: list[Samples | None] = []
    for split in (Split.TRAIN, Split.VALIDATION):
        path = run.folder / f"{split}-{SAMPLES_FILE}"
        kept = Samples.load(path) if run.resume else None
        if kept is None:
            items = data.items if options.everything and split is Split.TRAIN else data.by_split()[split]
            kept = _drawn(run, data, items, options) if items and not (options.everything and found) else None
            if kept is not None and run.first:
                kept.save(path)
        found.append(kept)
    if found[0] is None:
        raise BadInput("no loop to learn from in the training split")
    return found[0], found[1]


def _drawn(run: Run, data: DatasetManifest, items: Any, options: Options) -> Samples | None:
    parts: list[Samples] = []
    targets = options.targets
    for number, item in enumerate(items):
        for place, loop in enumerate(loops_of(data, item, colour=options.colour)):
            some = draw(loop, targets=targets, crops=options.crops, size=options.drawn, seed=(run.seed, number, place))
            if some is not None:
                parts.append(some)
            while sum(map(len, parts)) > options.most and max(map(len, parts)) > 1:
                parts, targets = [each.every_second() for each in parts], max(1, targets // 2)
    return joined(parts) if parts else None


def _begin_from(network: Refinement, arguments: TrainingArguments) -> None:
    assert arguments.init is not None
    try:
        network.load_state_dict({key: value.float() for key, value in load_file(arguments.init).items()})
    except (RuntimeError, ValueError, OSError) as error:
        raise BadInput(f"--init {arguments.init}: does not fit the network: {str(error).splitlines()[0]}") from error


def _manifest(data: DatasetManifest, options: Options) -> dict[str, Any]:
    look = Look()
    return {
        "task": "slow_motion", "title": "Slow motion by refined optical flow", "version": options.version,
        "trained_on": data.learned_from,
        "preparation": "clinical", "evaluated": ["clinical"],
        "architecture": {"refinement": ARCHITECTURE},
        "config": {
            "width": options.width, "deep": options.deep, "fine": options.fine, "blocks": options.blocks,
            "prefilter_sigma": PREFILTER, "smoothness": SMOOTHNESS,
            "most_added": look.most_added, "texture_share": look.texture_share, "precision": "auto",
            "gradient_energy": look.gradient_energy,
            "disagreement_pixels": 3.0, "repeat_fraction": 0.35, "colour_fraction": 0.004,
        },
        "input": {"modes": ["2d", "unknown"], "frames_min": 2, "frame_gap_ms_max": 45.0, "colour": False},
        "output": [{"name": "loop"}],
        "intended_use": "research use only, not for diagnosis; never measure on interpolated frames",
        "licence": "that of echonode",
    }  # fmt: skip


def _folds(arguments: TrainingArguments, options: Options) -> Folds | None:
    """What folds told, read before anything is learned; None without any."""
    if not options.folds:
        return None
    if not options.everything:
        raise BadInput("--set folds= is for a network that learns from everything: --set everything=true")
    return Folds.read(options.folds, name=arguments.name or UNNAMED)


def _tables(
    network: torch.nn.Module, validation: Samples | None, folds: Folds | None, options: Options, run: Run
) -> dict[str, Table]:
    if folds is not None:
        return folds.tables(seed=run.seed)
    if validation is None:
        return {}
    gain, sharpness = _validated(network, validation, options, run)
    rows = (("gain over classical flow, dB", round(gain, 2)), ("gradient energy over acquired", round(sharpness, 2)))
    return {"Validation": Table(columns=("quantity", "value"), rows=rows, words="Crops of loops not learned from.")}
