"""Where the walls run in a strip, and when the heart is fullest and emptiest: `echonode train mmode-boundaries`.

`sound`: a small U-Net on a grid of 1 mm by 10 ms gives the places of four borders in each column (soft argmax over
rows: cross entropy with a narrow Gaussian, and the error in mm) and the columns of the R wave and of end-systole.

`published`: QuickNAT as Echo2Pheno trains it (Bukas et al., Mamm Genome 2023;34:200): square windows at 256 x 256 in 0 to
1, binary cross entropy on the sigmoid, Adam at 1e-4, batches of 4, 20 epochs, no augmentation, dropout of whole channels
at 0.2, and the weights of the last epoch (their "best" can never be chosen, as it is compared with 0). Deviations: the split
is by patient, not by window (theirs shows windows of one recording on both sides); the cavity's mask of a simulated sweep
comes from its truth; windows are cut from the grid, as high as the strip.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as functional
from numpy.typing import NDArray

from echonode.core.errors import BadInput
from echonode.tasks.mmode.compact import LEVELS, TRACER, Traced, Tracer, places
from echonode.tasks.mmode.dataset import Cache, mask_layout, samples
from echonode.tasks.mmode.grid import network_picture
from echonode.tasks.mmode.net import QuickNat
from echonode.tasks.mmode.prepare import network_input
from echonode.tasks.mmode.sample import Sample, View, relit, seen
from echonode.tasks.mmode.train import INPUT, beside, initial, tested_and_published
from echonode.tasks.mmode.windows import SIDE
from echonode.training.arguments import TrainingArguments, TrainingResult
from echonode.training.batches import batches, in_turn
from echonode.training.dataset import Split
from echonode.training.ema import MovingAverage
from echonode.training.options import as_json, with_options
from echonode.training.order import EpochOrder
from echonode.training.processes import this_process
from echonode.training.run import Run
from echonode.training.sources import dataset_of

Arrays = tuple[NDArray[np.float32], ...]
Kept = tuple[NDArray[np.float32], NDArray[np.float32]]


@dataclass(frozen=True, kw_only=True)
class Options:
    """`widths` of the network; `cache`: a folder of made strips, the run's own when none; `beside`: package folders whose
    networks are published with these; `whole`: test sweeps as large as a scanner
    writes them; `test`: whether what is held out is tested before the package is written; `every`: steps a validation."""

    widths: tuple[int, ...] = (24, 32, 48, 64, 96)
    rate: float = 3e-3
    decay: float = 1e-4
    average: float = 0.99
    every: int = 50
    cache: Path | None = None
    processes: int = 2
    beside: tuple[str, ...] = ()
    whole: bool = True
    test: bool = True

    @property
    def matters(self) -> dict[str, object]:
        """What decides the result; where things lie does not."""
        return {
            key: value
            for key, value in as_json(self).items()
            if key not in ("cache", "processes", "beside", "whole", "test")
        }


def main(arguments: TrainingArguments) -> TrainingResult:
    """Train, select by validation, test on what is held out, and publish."""
    options = with_options(Options(), arguments.options)
    others = beside(options.beside)
    data = dataset_of(arguments, name="mmode", layout=mask_layout)
    cache = Cache(folder=options.cache or arguments.out / "cache", processes=options.processes)
    published = arguments.recipe == "published"
    levels = ("lv",) if published else LEVELS
    train, held = (samples(data, split, cache, levels=levels) for split in (Split.TRAIN, Split.VALIDATION))
    rank, world_size = this_process()
    order = EpochOrder(
        count=len(train), batch=arguments.batch or (4 if published else 16), seed=arguments.seed, rank=rank, world_size=world_size
    )  # fmt: skip
    total = arguments.steps or (arguments.epochs or 20) * order.steps_per_epoch
    identity = arguments.identity(options=options.matters, batch=order.batch)
    with Run.of(arguments, identity=identity, total=total, dataset=data) as run:
        chosen, stopped = (fit_published if published else fit)(run, arguments, options, order, train, held)
        if stopped is not None:
            return TrainingResult(folder=run.folder, stopped_at=stopped)
        step, network = chosen
        manifest = {
            "task": "mmode",
            "title": "M-mode of the left ventricle: walls, level, quality" if others.weights else "M-mode boundaries",
            "architecture": {"segmentation": "quicknat"} if published else {"boundaries": TRACER},
            "config": {} if published else {"widths": {TRACER: list(options.widths)}},
            "input": INPUT,
            "output": [{"name": "lvid", "unit": "mm"}, {"name": "heart_rate", "unit": "{beats}/min"}],
        }
        role = "segmentation" if published else "boundaries"
        return tested_and_published(
            run, arguments, recipe="mmode-boundaries", steps=step, manifest=manifest, weights={role: network.state_dict()},
            others=others, data=data, cache=cache, whole=options.whole if options.test else None,
        )  # fmt: skip


def fit(
    run: Run, arguments: TrainingArguments, options: Options, order: EpochOrder, train: list[Path], held: list[Path]
) -> tuple[tuple[int, torch.nn.Module], int | None]:
    """The sound recipe: the step and the network that did best in validation, and where a signal stopped it."""
    inner = Tracer(options.widths).to(run.device).to(memory_format=torch.channels_last)
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

    def load(index: int, chance: np.random.Generator) -> Arrays:
        view = seen(shelf[index], chance)
        return targets(view, network_picture(relit(view.picture, chance)))

    for step, batch in batches(load, order, start=start, stop=run.total, workers=arguments.workers):
        if run.stop_wanted:
            run.save(step, {**{name: part.state_dict() for name, part in parts.items()}, "best": best})
            return (step, inner), step
        last = run.time_is_up
        model.train()
        pictures, *truth = (each.to(run.device) for each in batch)
        with run.autocast():
            traced = model(pictures.contiguous(memory_format=torch.channels_last))
        loss, parted = loss_of(traced, *truth)
        optimiser.zero_grad()
        scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        scaler.unscale_(optimiser)
        torch.nn.utils.clip_grad_norm_(inner.parameters(), 5.0)
        scaler.step(optimiser)
        scaler.update()
        schedule.step()
        average.update(inner)
        run.log(step + 1, loss=loss.item(), **parted)
        run.tick(step + 1, f"loss {loss.item():.4f}")
        if (step + 1) % options.every == 0 or step + 1 == run.total or last:
            scores = validation(average.average, held, run)
            score = run.agreed(scores["score"])
            run.log(step + 1, **{f"validation_{name}": value for name, value in scores.items()})
            better, best = score < best, min(best, score)
            states = {name: part.state_dict() for name, part in parts.items()}
            run.save(step + 1, {**states, "best": best}, best=better)
        if last:
            break
    step, state = run.best() or (run.step, {"average": average.state_dict()})
    average.load_state_dict(state["average"])
    return (step, average.average), None


def targets(view: View, picture: NDArray[np.float32]) -> Arrays:
    """Picture (1, H, W); rows (4, W/2) of the walls, NaN where not known; phases (2, W/2), -1 where not known."""
    half = picture.shape[1] // 2
    walls = (view.walls[:, 0::2] + view.walls[:, 1::2]) / 2
    where = 2 * np.arange(half, dtype=np.float32) + 0.5
    phases = np.full((2, half), -1, np.float32)
    for row, columns in zip(phases, (view.diastoles, view.systoles), strict=True):
        if columns is not None:
            near = np.abs(where[None] - columns[:, None]) if len(columns) else np.full((1, half), np.inf)
            row[:] = np.exp(-0.5 * (near / 3.0) ** 2).max(axis=0)
    phases[:, view.good[0::2] < 0] = -1
    return picture[None], np.asarray(walls, np.float32), phases


def loss_of(traced: Traced, walls: torch.Tensor, phases: torch.Tensor) -> tuple[torch.Tensor, dict[str, float]]:
    """What is minimised: the walls' cross entropy and error in rows, and the phases' cross entropy."""
    known = torch.isfinite(walls)
    rows = torch.arange(traced.walls.shape[2], device=walls.device, dtype=torch.float32)
    at = torch.where(known, (walls - 0.5) / 2, torch.zeros_like(walls))
    wanted = torch.softmax(-0.5 * ((rows[:, None] - at[:, :, None]) / 0.8) ** 2, dim=2)
    entropy = -(wanted * torch.log_softmax(traced.walls.float(), dim=2)).sum(dim=2)
    error = (places(traced.walls) - torch.where(known, walls, torch.zeros_like(walls))).abs()
    count = known.sum().clamp(min=1)
    entropy, error = (entropy * known).sum() / count, (error * known).sum() / count
    told = phases >= 0
    weight = torch.where(phases > 0.1, 4.0, 1.0) * told
    beat = functional.binary_cross_entropy_with_logits(traced.phases, phases.clamp(min=0), reduction="none")
    beat = (beat * weight).sum() / weight.sum().clamp(min=1)
    parted = {"entropy": entropy.item(), "rows": error.item(), "phases": beat.item()}
    return entropy + 0.5 * error + 4 * beat, parted


def validation(network: torch.nn.Module, held: list[Path], run: Run) -> dict[str, float]:
    """Mean error of the walls in rows (mm) and of the phases, without augmentation."""
    network.eval()
    wall, count, beat, told = 0.0, 0, 0.0, 0

    def load(index: int, chance: np.random.Generator) -> Arrays:
        view = seen(Sample.load(held[index]), None, columns=288)
        return targets(view, network_picture(view.picture))

    with torch.no_grad():
        for _, (pictures, walls, phases) in in_turn(load, range(len(held)), batch=16):
            traced = network(pictures.to(run.device))
            known, some = torch.isfinite(walls), phases >= 0
            wall += float((places(traced.walls).cpu() - walls).abs()[known].sum())
            beat += float((torch.sigmoid(traced.phases).cpu() - phases).abs()[some].sum())
            count, told = count + int(known.sum()), told + int(some.sum())
    found = {"rows": wall / max(1, count), "phases": beat / max(1, told)}
    return {**found, "score": found["rows"] + 10 * found["phases"]}


def fit_published(
    run: Run, arguments: TrainingArguments, options: Options, order: EpochOrder, train: list[Path], held: list[Path]
) -> tuple[tuple[int, torch.nn.Module], int | None]:
    """The authors' recipe: QuickNAT, the last step's weights, and where a signal stopped it."""
    network = QuickNat().to(run.device)
    initial(network, arguments.init, key="net_state_dict")
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-4)
    scaler = run.scaler()
    parts: dict[str, Any] = {"network": network, "optimiser": optimiser, "scaler": scaler}
    start = 0
    if (kept := run.restore()) is not None:
        start, state = kept
        for name, part in parts.items():
            part.load_state_dict(state[name])
    model = run.wrap(network)

    def load(index: int, chance: np.random.Generator) -> Kept:
        return window(Sample.load(train[index]), chance)

    step = start
    for step, (pictures, masks) in batches(load, order, start=start, stop=run.total, workers=arguments.workers):
        if run.stop_wanted or run.time_is_up:
            run.save(step, {name: part.state_dict() for name, part in parts.items()})
            if run.stop_wanted:
                return (step, network), step
            break
        model.train()
        network.dropout.generator = torch.Generator().manual_seed(int(torch.randint(2**31, ())))
        with run.autocast():
            logits = model(pictures.to(run.device))
        network.dropout.generator = None
        loss = functional.binary_cross_entropy_with_logits(logits.float(), masks.to(run.device))
        optimiser.zero_grad()
        scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        scaler.step(optimiser)
        scaler.update()
        run.log(step + 1, loss=loss.item())
        run.tick(step + 1, f"loss {loss.item():.4f}")
        if (step + 1) % order.steps_per_epoch == 0 or step + 1 == run.total:
            run.log(step + 1, validation_dice=window_dice(network, held, run))
            run.save(step + 1, {name: part.state_dict() for name, part in parts.items()})
    return (run.step, network.eval()), None


def window(sample: Sample, chance: np.random.Generator) -> Kept:
    """A square window of the strip at 256 x 256 in 0 to 1, and the cavity's mask in it; each (1, 256, 256)."""
    height, length = sample.picture.shape
    left = int(chance.integers(0, max(1, length - height + 1)))
    part = slice(left, left + height)
    rows = np.arange(height)[:, None]
    with np.errstate(invalid="ignore"):
        mask = ((rows >= sample.walls[1]) & (rows <= sample.walls[2]))[:, part].astype(np.float32)
    picture = cv2.resize(sample.picture[:, part].astype(np.float64), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    return network_input(np.asarray(picture, np.float64))[None], cv2.resize(
        mask, (SIDE, SIDE), interpolation=cv2.INTER_NEAREST
    )[None]


def window_dice(network: torch.nn.Module, held: list[Path], run: Run) -> float:
    """2 |A and B| / (|A| + |B| + 1e-4), the mean over windows, as the authors compute it."""
    if not held:
        raise BadInput("no window to validate on")
    network.eval()
    found: list[float] = []
    with torch.no_grad():
        for _, (pictures, masks) in in_turn(
            lambda index, chance: window(Sample.load(held[index]), chance), range(len(held)), batch=4
        ):
            said = (torch.sigmoid(network(pictures.to(run.device))) > 0.5).float().cpu()
            shared = 2 * (said * masks).sum(dim=(1, 2, 3))
            found += (shared / (said.sum(dim=(1, 2, 3)) + masks.sum(dim=(1, 2, 3)) + 1e-4)).tolist()
    return float(np.mean(found))
