"""Which stretches of a strip are good to measure in: `echonode train mmode-quality`.

Labels are an expert's spans of good and bad time, windows sorted into folders good and bad, or simulated strips in
which `spoiling` makes stretches bad and so knows them.

`sound`: `members` small networks, each on its own bootstrap draw of the patients' strips, that say one thing of every 80
ms; their probabilities are averaged.

`published`: Echo2Pheno's CardioNet (Bukas et al., Mamm Genome 2023;34:200): ten networks on bootstrap draws, 15 epochs each,
batches of 4, Adam at 1e-4, windows at 256 x 256 in -1 to 1, affine augmentation (shift 0.2 in time and 0.05 in depth, scale
0.8 to 1.2, no rotation), binary cross entropy of the sigmoid with both classes weighted 0.5, sigmoids averaged. Deviations: split by
patient; windows are cut from the grid as high as the strip, where theirs follow the mouse's mass; a window is bad when
more than a third of it is; the weights of a member's last epoch are kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as functional
from numpy.typing import NDArray

from echonode.tasks.mmode.compact import JUDGE, JUDGED, Judge
from echonode.tasks.mmode.dataset import Cache, quality_layout, samples
from echonode.tasks.mmode.grid import network_picture
from echonode.tasks.mmode.net import CARDIONET_SIDE, CardioNet
from echonode.tasks.mmode.prepare import quality_input
from echonode.tasks.mmode.sample import UNKNOWN, Sample, relit, seen
from echonode.tasks.mmode.spoiling import spoiled
from echonode.tasks.mmode.train import INPUT, beside, initial, tested_and_published
from echonode.training.arguments import TrainingArguments, TrainingResult
from echonode.training.batches import batches, in_turn
from echonode.training.dataset import Split
from echonode.training.options import as_json, with_options
from echonode.training.order import EpochOrder
from echonode.training.run import Run
from echonode.training.sources import dataset_of

WHERE = ("cache", "processes", "beside", "whole", "test")
BAD_SHARE = 1 / 3
Pair = tuple[NDArray[np.float32], NDArray[np.float32]]


@dataclass(frozen=True, kw_only=True)
class Options:
    """As of mmode-boundaries; `members`: networks of the ensemble, which share the steps of the run."""

    members: int = 3
    widths: tuple[int, ...] = (16, 24, 32, 48)
    rate: float = 3e-3
    decay: float = 1e-3
    every: int = 50
    cache: Path | None = None
    processes: int = 2
    beside: tuple[str, ...] = ()
    whole: bool = True
    test: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.members <= 32:
            raise ValueError("members: a number from 1 to 32 is expected")


def main(arguments: TrainingArguments) -> TrainingResult:
    """Train every member after the other, test the ensemble on what is held out, and publish."""
    published = arguments.recipe == "published"
    options = with_options(Options(members=10, rate=1e-4, decay=0.0) if published else Options(), arguments.options)
    others = beside(options.beside)
    data = dataset_of(arguments, name="mmode", layout=quality_layout)
    cache = Cache(folder=options.cache or arguments.out / "cache", processes=options.processes)
    train, held = (samples(data, split, cache) for split in (Split.TRAIN, Split.VALIDATION))
    batch = arguments.batch or (4 if published else 24)
    epochs = arguments.epochs or (15 if published else 8)
    each = (arguments.steps or options.members * epochs * -(-len(train) // batch)) // options.members
    matters = {key: value for key, value in as_json(options).items() if key not in WHERE}
    identity = arguments.identity(options=matters, batch=batch)
    with Run.of(arguments, identity=identity, total=max(1, each) * options.members, dataset=data) as run:
        networks, stopped = fit(run, arguments, options, train, held, batch=batch)
        if stopped is not None:
            return TrainingResult(folder=run.folder, stopped_at=stopped)
        roles = {f"quality_{number:02d}": network for number, network in enumerate(networks, start=1)}
        manifest = {
            "task": "mmode", "title": "Good and bad stretches of M-mode",
            "architecture": dict.fromkeys(roles, "cardionet" if published else JUDGE),
            "config": {} if published else {"widths": {JUDGE: list(options.widths)}}, "input": INPUT,
            "output": [{"name": "quality", "unit": "1"}],
        }  # fmt: skip
        return tested_and_published(
            run, arguments, recipe="mmode-quality", steps=run.total, manifest=manifest,
            weights={role: network.state_dict() for role, network in roles.items()}, others=others, data=data, cache=cache,
            whole=options.whole if options.test else None,
        )  # fmt: skip


def fit(
    run: Run, arguments: TrainingArguments, options: Options, train: list[Path], held: list[Path], *, batch: int
) -> tuple[list[torch.nn.Module], int | None]:
    """The members, and where a signal stopped the run. The steps of each are a run's total over their number."""
    published = arguments.recipe == "published"
    networks = [CardioNet() if published else Judge(options.widths) for _ in range(options.members)]
    for network in networks:
        network.to(run.device).to(memory_format=torch.channels_last)
        initial(network, arguments.init)
    each = run.total // options.members
    optimisers = [_optimiser(network, options, published=published) for network in networks]
    schedules = [
        torch.optim.lr_scheduler.OneCycleLR(optimiser, options.rate, total_steps=each + 1, pct_start=0.15)
        for optimiser in optimisers
        if not published
    ]
    scaler = run.scaler()
    start = 0
    if (kept := run.restore()) is not None:
        start, state = kept
        for part, content in zip([*networks, *optimisers, *schedules, scaler], state["parts"], strict=True):
            part.load_state_dict(content)

    def keep(step: int) -> None:
        run.save(step, {"parts": [part.state_dict() for part in (*networks, *optimisers, *schedules, scaler)]})

    shelf = [Sample.load(path) for path in train]
    for number, inner in enumerate(networks):
        first = number * each
        if start >= first + each:
            continue
        drawn = bootstrap_of([sample.patient for sample in shelf], seed=arguments.seed, member=number)

        def load(index: int, chance: np.random.Generator, drawn: list[int] = drawn) -> Pair:
            return (window if published else stretches)(shelf[drawn[index]], chance)

        order = EpochOrder(
            count=len(drawn), batch=batch, seed=arguments.seed + 1 + number, rank=run.rank, world_size=run.world_size
        )
        model = run.wrap(inner)
        steps = batches(load, order, start=max(0, start - first), stop=each, workers=arguments.workers)
        for own, (pictures, truth) in steps:
            step = first + own
            if run.stop_wanted:
                keep(step)
                return list(networks), step
            model.train()
            with run.autocast():
                said = model(pictures.to(run.device).contiguous(memory_format=torch.channels_last))
            logits = said[0] if isinstance(said, tuple) else said
            loss = loss_of(logits.float(), truth.to(run.device))
            optimisers[number].zero_grad()
            scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
            scaler.step(optimisers[number])
            scaler.update()
            if schedules:
                schedules[number].step()
            run.log(step + 1, loss=loss.item(), member=number)
            run.tick(step + 1, f"member {number + 1} loss {loss.item():.4f}")
            # Every member has its share of the time: one that never learned must not be asked with the others.
            over = run.agreed(
                arguments.minutes is not None and run.seconds >= 60 * arguments.minutes * (number + 1) / options.members
            )
            if (own + 1) % options.every == 0 or own + 1 == each or over:
                right = validation(inner, held, run, published=published)
                run.log(step + 1, validation_accuracy=right)
                keep(step + 1)
            if over:
                break
    return list(networks), None


def bootstrap_of(patients: list[str], *, seed: int, member: int) -> list[int]:
    """Which strips a member learns from: patients drawn with replacement, with all of their strips."""
    chance = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, member, 53])))
    names = sorted(set(patients))
    rows = {name: [place for place, patient in enumerate(patients) if patient == name] for name in names}
    return [place for draw in chance.integers(0, len(names), len(names)) for place in rows[names[draw]]]


def stretches(sample: Sample, chance: np.random.Generator) -> Pair:
    """A part of a strip (1, 160, 192), with what is known of each 8 columns: 1 good, 0 bad, -1 not known or both."""
    view = seen(sample, chance)
    picture, good = relit(view.picture, chance), view.good
    if sample.diastoles is not None:
        picture, known = spoiled(picture, chance)
        good = np.where(good == UNKNOWN, UNKNOWN, known).astype(np.int8)
    return network_picture(picture)[None], told_of(good)


def told_of(good: NDArray[np.int8]) -> NDArray[np.float32]:
    """What is said of each 8 columns: bad where half or more of them are, not known where any is not."""
    count = len(good) // JUDGED
    groups = good[: count * JUDGED].reshape(count, JUDGED)
    share = (groups == 1).mean(axis=1)
    said = np.where(share > 0.5, 1.0, 0.0)
    said[(groups == UNKNOWN).any(axis=1) | ((share > 0) & (share < 1))] = UNKNOWN
    return said.astype(np.float32)


def window(sample: Sample, chance: np.random.Generator) -> Pair:
    """A square window (1, 256, 256) as CardioNet sees it, shifted and scaled, and whether it is good (1,)."""
    picture, good = sample.picture, sample.good
    if sample.diastoles is not None:
        picture, known = spoiled(picture, chance)
        good = known.astype(np.int8)
    height, length = picture.shape
    left = int(chance.integers(0, max(1, length - height + 1)))
    part = slice(left, left + height)
    told = good[part][good[part] != UNKNOWN]
    label = UNKNOWN if not len(told) else float((told == 0).mean() <= BAD_SHARE)
    square = cv2.resize(
        picture[:, part].astype(np.float64), (CARDIONET_SIDE, CARDIONET_SIDE), interpolation=cv2.INTER_CUBIC
    )
    scale = float(chance.uniform(0.8, 1.2))
    across, down = chance.uniform(-0.2, 0.2) * CARDIONET_SIDE, chance.uniform(-0.05, 0.05) * CARDIONET_SIDE
    middle = (1 - scale) * CARDIONET_SIDE / 2
    matrix = np.array([[scale, 0, middle + across], [0, scale, middle + down]])
    moved = cv2.warpAffine(square, matrix, (CARDIONET_SIDE, CARDIONET_SIDE), flags=cv2.INTER_LINEAR)
    return quality_input(np.asarray(moved, np.float64))[None], np.array([label], np.float32)


def loss_of(logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Binary cross entropy where it is known; both classes count alike, as the authors weight them."""
    known = truth >= 0
    loss = functional.binary_cross_entropy_with_logits(logits, truth.clamp(min=0), reduction="none")
    total: torch.Tensor = (loss * known).sum() / known.sum().clamp(min=1)
    return total


def validation(network: torch.nn.Module, held: list[Path], run: Run, *, published: bool) -> float:
    """Accuracy over stretches (or windows) whose quality is known; bad stretches are the same each time."""
    network.eval()
    right: list[bool] = []

    def load(index: int, chance: np.random.Generator) -> Pair:
        return (window if published else stretches)(Sample.load(held[index]), chance)

    with torch.no_grad():
        for _, (pictures, truth) in in_turn(load, range(len(held)), batch=24):
            said = network(pictures.to(run.device))
            logits = (said[0] if isinstance(said, tuple) else said).cpu()
            right += ((logits > 0) == (truth > 0.5))[truth >= 0].tolist()
    return float(np.mean(right)) if right else float("nan")


def _optimiser(network: torch.nn.Module, options: Options, *, published: bool) -> torch.optim.Optimizer:
    if published:
        return torch.optim.Adam(network.parameters(), lr=options.rate)
    return torch.optim.AdamW(network.parameters(), lr=options.rate, weight_decay=options.decay)
