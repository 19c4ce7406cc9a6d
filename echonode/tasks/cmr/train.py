"""The recipe of findings from one view: a binary head (BCE) or a regression head (MSE), from a manifest or a phantom.

`sound` trains echonode's compact network on clips chosen by time. Where the data know it (simulated hearts) it first
learns where cavity and muscle are in a frame, keeps that, and then judges profiles of the walls' motion, beside how much
each segment narrows; other data train all of it at once, best from --init. `--set tissue_share=0` leaves the first stage
out, which --init has brought. The lowest validation loss chooses; then the answer is put on its scale: Platt's line for a
probability, Youden's threshold, both from validation.

`published` keeps what is known of the authors' training (Sahashi et al., J Am Soc Echocardiogr 2025;38:807): R(2+1)D
with 18 layers, 16 frames, every second from the first, cut square and resized cubically, blue first, from 0 to 1; BCE
without weights, or MSE; AdamW, rate 0.01, weight decay 0.01, no schedule; selection by validation ROC AUC, or by
validation MAE, never of the first epoch; the end after nine epochs without a best. Unknown, hence ours: the batch (8),
the most epochs (100), no augmentation. Rate 0.01 is the default of their code; that of the released models is not
known. A video of fewer than 32 frames is named and left out. The initialisation (Kinetics-400) is the user's: --init.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import torch
import torch.nn.functional as functional
from torch import nn

from echonode.core.errors import BadInput
from echonode.tasks.cmr.calibration import Line, platt
from echonode.tasks.cmr.clips import UNKNOWN, Loop, open_loop, published_clip, training_clip, training_frames
from echonode.tasks.cmr.compact import SIDE, CompactWallMotion
from echonode.tasks.cmr.dataset import LABEL, kept_loops, layout, target_of
from echonode.tasks.cmr.evaluation import answers, locked_test
from echonode.tasks.cmr.features import Profiles, changed_profiles, plain_profiles
from echonode.tasks.cmr.hearts import Mixture
from echonode.tasks.cmr.loops import Form
from echonode.tasks.cmr.metrics import youden
from echonode.tasks.cmr.net import COMPACT, build
from echonode.tasks.cmr.net import PUBLISHED as PUBLISHED_NETWORK
from echonode.tasks.cmr.prepare import Convention
from echonode.tasks.cmr.quantities import QUANTITIES
from echonode.tasks.cmr.upstream import PREFIXES
from echonode.tasks.common.checkpoint import load_published, without_prefix
from echonode.training.arguments import TrainingArguments, TrainingResult
from echonode.training.batches import batches
from echonode.training.dataset import DatasetManifest, Item, Split
from echonode.training.ema import MovingAverage
from echonode.training.options import as_json, with_options
from echonode.training.order import EpochOrder
from echonode.training.processes import this_process
from echonode.training.publish import as_half, publish
from echonode.training.run import Run
from echonode.training.sources import dataset_of
from echonode.training.statistics import auc, mae

Loops = list[tuple[Item, Path]]
RECIPE: Final = "cmr"
PATIENCE: Final = 9


@dataclass(frozen=True, kw_only=True)
class Options:
    """Defaults of the sound recipe; `quantity` is what a simulated heart is asked, `label` the manifest's column."""

    cache: Path | None = None
    kind: Literal["binary", "regression"] = "binary"
    quantity: Literal["wall-motion", "ejection-fraction", "score-index", "value"] = "wall-motion"
    label: str = LABEL
    view: Literal["A4C", "A2C", "PLAX"] = "A4C"
    mixture: Literal["regional", "drawn", "mixed"] = "mixed"
    side: int = SIDE
    frames: int = 12
    period_ms: float = 90.0
    width: int = 24
    dropout: float = 0.3
    rate: float = 3e-3
    weight_decay: float = 0.03
    warm_up: int = 30
    tissue_share: float = 0.85
    judge_steps: int = 1200
    judge_batch: int = 64
    views: int = 4
    tissue_frames: int = 3
    narrowing: float = 4.0
    average: float = 0.98
    validate_every: int = 0
    clips: int = 3

    def __post_init__(self) -> None:
        if self.kind == "regression" and self.quantity == "wall-motion":
            raise ValueError("wall-motion is yes or no: --set quantity=ejection-fraction, score-index or value")


PUBLISHED: Final = Options(
    side=112, frames=16, period_ms=2000.0 / 30, dropout=0.0, rate=0.01, weight_decay=0.01, warm_up=0, tissue_share=0.0,
    narrowing=0.0, average=0.0, clips=1, mixture="regional",
)  # fmt: skip


def main(arguments: TrainingArguments) -> TrainingResult:
    """Train, and publish a package when a name is given.

    Raises:
        BadInput: options, data or an initial checkpoint that cannot be used.
    """
    published = arguments.recipe == "published"
    options = with_options(PUBLISHED if published else Options(), arguments.options)
    data = dataset_of(arguments, name=RECIPE, layout=partial(layout, label=options.label))
    batch = arguments.batch or (8 if published else 16)
    form = Form(
        view=options.view,
        mixture=Mixture(options.mixture),
        side=options.side,
        published=published,
        clip_frames=options.frames,
    )
    cache = options.cache or arguments.out / "loops"
    loops, splits = {}, data.by_split()
    for split in (Split.TRAIN, Split.VALIDATION):
        loops[split], left_out = kept_loops(data, splits[split], form, folder=cache, workers=2)
        for key, reason in left_out.items():
            sys.stderr.write(f"left out: {key}: {reason}\n")
    rank, world_size = this_process()
    order = EpochOrder(
        count=len(loops[Split.TRAIN]), batch=batch, seed=arguments.seed, rank=rank, world_size=world_size, drop_last=True
    )  # fmt: skip
    epochs = arguments.epochs or (100 if published else 40)
    total = arguments.steps or epochs * order.steps_per_epoch + (0 if published else options.judge_steps)
    said = {**as_json(options), "cache": None, "validate_every": None}
    identity = arguments.identity(options=said, batch=batch)
    with Run.of(arguments, identity=identity, total=total, dataset=data) as run:
        return fit(run, arguments, options, data, loops, order, cache)


def convention_of(options: Options) -> Convention:
    """How clips are cut, in training and by the package's runner."""
    return Convention(frames=options.frames, side=options.side, period_ms=options.period_ms, clips=options.clips)


def fit(
    run: Run, arguments: TrainingArguments, options: Options, data: DatasetManifest, loops: dict[Split, Loops],
    order: EpochOrder, cache: Path,
) -> TrainingResult:  # fmt: skip
    """The loop, then the scale of the answer, the locked test and the package."""
    published, convention = arguments.recipe == "published", convention_of(options)
    opened = {split: [open_loop(place) for _, place in each] for split, each in loops.items()}
    targets = {
        split: [target_of(item, loop, options.quantity) for (item, _), loop in zip(each, opened[split], strict=True)]
        for split, each in loops.items()
    }
    _refuse_unfit(targets, options.kind)
    # A regression learns in units of its spread; the authors' learns the numbers as they are.
    scale = Line()
    if options.kind == "regression" and not published:
        known = np.asarray(targets[Split.TRAIN])
        scale = Line(scale=max(float(known.std()), 1e-6), offset=float(known.mean()))
    network = build(PUBLISHED_NETWORK) if published else build(COMPACT, width=options.width, dropout=options.dropout)
    if arguments.init is not None:
        begin(network, arguments.init)
    network.to(run.device)
    average = MovingAverage(network, decay=options.average)
    optimiser = torch.optim.AdamW(network.parameters(), lr=options.rate, weight_decay=options.weight_decay)
    scaler = run.scaler()
    parts: dict[str, Any] = {"network": network, "average": average, "optimiser": optimiser, "scaler": scaler}
    start, best, waited = 0, math.inf, 0
    if (kept := run.restore()) is not None:
        start, state = kept
        best, waited = float(state["best"]), int(state["waited"])
        for name, part in parts.items():
            part.load_state_dict(state[name])
    every = options.validate_every or order.steps_per_epoch
    taught = not published and all(loop.tissue is not None for loop in opened[Split.TRAIN])
    judging = run.total - min(options.judge_steps, run.total // 2) if taught and options.tissue_share else 0
    step = start
    for stage, first, last in (("tissue", 0, judging), ("judge", judging, run.total)):
        if start >= last:
            continue
        if stage == "judge" and taught and start <= first:
            network.load_state_dict(average.average.state_dict())
            optimiser = torch.optim.AdamW(network.parameters(), lr=options.rate, weight_decay=options.weight_decay)
            parts["optimiser"] = optimiser
        model = run.wrap(Learner(network, options, stage=stage, frozen=taught))
        load: Any = partial(
            sample, opened[Split.TRAIN], targets[Split.TRAIN], convention, scale=scale,
            frames=options.tissue_frames if stage == "tissue" else 0,
        )  # fmt: skip
        steps_of, seen = order, None
        if stage == "judge" and taught and isinstance(network, CompactWallMotion):
            with run.autocast():
                made = changed_profiles(
                    network,
                    opened[Split.TRAIN],
                    convention,
                    views=options.views,
                    seed=arguments.seed,
                    device=run.device,
                )
                seen = plain_profiles(network, opened[Split.VALIDATION], convention, device=run.device)
            load = partial(profile, made, opened[Split.TRAIN], targets[Split.TRAIN], scale=scale)
            steps_of = replace(order, batch=min(options.judge_batch, order.count))
        for step, batch in batches(load, steps_of, start=max(start, first), stop=last, workers=arguments.workers):
            state = {name: part.state_dict() for name, part in parts.items()} | {"best": best, "waited": waited}
            if run.stop_wanted:
                run.save(step, state)
                return TrainingResult(folder=run.folder, stopped_at=step)
            over = elapsed(run, arguments)
            if (
                run.time_is_up
                or (published and waited >= PATIENCE)
                or (stage == "tissue" and over > options.tissue_share)
            ):
                break
            if not published:
                for group in optimiser.param_groups:
                    group["lr"] = options.rate * rate_share(
                        step - first, last - first, options, over=over_in(over, stage, options, taught=taught)
                    )
            model.train()
            with run.autocast():
                losses = model({name: values.to(run.device) for name, values in batch.items()})
            loss = torch.stack(list(losses.values())).sum()
            if not bool(torch.isfinite(loss)):
                raise BadInput(f"step {step + 1}: the loss is no number; a lower --set rate may help")
            optimiser.zero_grad()
            scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
            scaler.step(optimiser)
            scaler.update()
            average.update(network)
            run.log(step + 1, loss=loss.item(), **{f"loss_{name}": value.item() for name, value in losses.items()})
            run.tick(step + 1, f"{stage}, loss {loss.item():.3f}, best validation score {best:.4f}")
            if stage == "tissue" and (step + 1) % every == 0:
                state = {name: part.state_dict() for name, part in parts.items()} | {"best": best, "waited": waited}
                run.save(step + 1, state)
            elif stage == "judge" and ((step + 1) % every == 0 or step + 1 == last):
                said = (
                    judged(average.average, seen, run.device) if seen is not None
                    else answers(average.average, opened[Split.VALIDATION], replace(convention, clips=1), run.device,
                                 precision=run.precision)
                )  # fmt: skip
                found = scores_of(said, targets[Split.VALIDATION], options.kind, scale)
                run.log(step + 1, **{f"validation_{name}": value for name, value in found.items()})
                wanted = (
                    found["loss"] if not published else found["mae"] if options.kind == "regression" else -found["auc"]
                )
                score = run.agreed(math.inf if math.isnan(wanted) else wanted)
                better = score < best
                waited = 0 if better else waited + 1
                # The authors keep nothing of their first epoch, though it counts as the best so far.
                keep = better and not (published and step + 1 <= order.steps_per_epoch < run.total)
                best = min(best, score)
                state = {name: part.state_dict() for name, part in parts.items()} | {"best": best, "waited": waited}
                run.save(step + 1, state, best=keep)
    steps, chosen = run.best() or (step + 1, {"average": average.state_dict()})
    average.load_state_dict(chosen["average"])
    final = average.average
    said = answers(final, opened[Split.VALIDATION], convention, run.device)
    threshold = None
    if options.kind == "regression":
        scale.folded_into(_last(final))
    elif not published:
        line = platt(said, targets[Split.VALIDATION])
        line.folded_into(_last(final))
        threshold = threshold_of(said, targets[Split.VALIDATION], line)
    return finished(run, arguments, options, data, final, cache, threshold=threshold, steps=steps)


class Learner(nn.Module):
    """A network and its losses: a batch in, weighted losses out.

    Of the compact network the stage "tissue" teaches what is cavity and muscle in a frame, "judge" what motion means,
    with the first part `frozen` where it was taught.
    """

    def __init__(self, network: nn.Module, options: Options, *, stage: str, frozen: bool) -> None:
        super().__init__()
        self.network, self._options, self._stage = network, options, stage
        if isinstance(network, CompactWallMotion):
            network.requires_grad_(stage == "judge")
            network.frames.requires_grad_(stage == "tissue" or not frozen)
        self._frozen = frozen

    def train(self, mode: bool = True) -> Learner:
        """As usual, but a frozen part stays as it is evaluated."""
        super().train(mode)
        if isinstance(self.network, CompactWallMotion) and self._stage == "judge" and self._frozen:
            self.network.frames.eval()
        return self

    def forward(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The losses by name."""
        if self._stage == "tissue":
            assert isinstance(self.network, CompactWallMotion)
            shown = self.network.tissue(batch["window"]).float()
            return {"tissue": functional.binary_cross_entropy_with_logits(shown, batch["tissue"])}
        losses = {}
        if isinstance(self.network, CompactWallMotion):
            seen = self.network.judged(batch["profile"]) if self._frozen else self.network.seen(batch["window"])
            answer, known = seen.answer, (batch["narrowing"] > UNKNOWN).float()
            apart = (seen.narrowing - batch["narrowing"]).abs()
            losses["narrowing"] = self._options.narrowing * (apart * known).sum() / known.sum().clamp(min=1)
        else:
            answer = self.network(batch["clip"])
        answer, target = answer.float()[:, 0], batch["target"]
        if self._options.kind == "regression":
            losses["answer"] = functional.mse_loss(answer, target)
        else:
            losses["answer"] = functional.binary_cross_entropy_with_logits(answer, target)
        return losses


def sample(
    loops: Sequence[Loop], targets: Sequence[float], convention: Convention, index: int, chance: np.random.Generator, *,
    scale: Line, frames: int,
) -> dict[str, Any]:  # fmt: skip
    """One loop's clip with what is to be said of it, or with `frames` so many frames of it."""
    loop, target = loops[index], np.float32((targets[index] - scale.offset) / scale.scale)
    if loop.pictures.ndim == 4:
        return {"clip": published_clip(loop), "target": target}
    if frames:
        return dict(training_frames(loop, convention, count=frames, chance=chance))
    return {**training_clip(loop, convention, chance=chance), "target": target}


def profile(
    made: Profiles,
    loops: Sequence[Loop],
    targets: Sequence[float],
    index: int,
    chance: np.random.Generator,
    *,
    scale: Line,
) -> dict[str, Any]:
    """One of the profiles of a loop with what is to be said of it."""
    narrowing = loops[index].narrowing
    assert narrowing is not None
    target = np.float32((targets[index] - scale.offset) / scale.scale)
    return {"profile": made[index, chance.integers(made.shape[1])], "narrowing": narrowing, "target": target}


@torch.no_grad()
def judged(network: nn.Module, seen: Profiles, device: torch.device) -> list[float]:
    """What an evaluating network says of each loop by its profiles (loops, clips, PROFILE): the mean over clips."""
    assert isinstance(network, CompactWallMotion)
    found = network.eval().judged(torch.from_numpy(seen).to(device).flatten(0, 1)).answer[:, 0]
    return [float(value) for value in found.reshape(seen.shape[:2]).mean(dim=1)]


def elapsed(run: Run, arguments: TrainingArguments) -> float:
    """The share of --minutes that is over; 0 without them."""
    return 0.0 if arguments.minutes is None else run.seconds / (60 * arguments.minutes)


def over_in(over: float, stage: str, options: Options, *, taught: bool) -> float:
    """The share of a stage's time that is over, of the share of all."""
    share = options.tissue_share if taught else 0.0
    if stage == "tissue":
        return over / share
    return 0.0 if taught else over


def rate_share(step: int, count: int, options: Options, *, over: float) -> float:
    """A warm-up and half a cosine, over the steps or over the minutes, whichever end first."""
    rising = min(1.0, (step + 1) / max(1, options.warm_up))
    done = min(1.0, max(step / count, over))
    return rising * (0.01 + 0.99 * (1 + math.cos(math.pi * done)) / 2)


def scores_of(said: Sequence[float], wanted: Sequence[float], kind: str, scale: Line) -> dict[str, float]:
    """Validation: loss and AUC of logits, or loss, MAE and the spread of values."""
    x, y = np.asarray(said, float), np.asarray(wanted, float)
    if kind == "regression":
        x = scale.scale * x + scale.offset
        return {"loss": float(np.mean((x - y) ** 2)), "mae": mae(x, y), "mean": float(x.mean()), "sd": float(x.std())}
    return {"loss": float(np.mean(np.logaddexp(0.0, x) - y * x)), "auc": auc(x, y)}


def threshold_of(said: Sequence[float], wanted: Sequence[float], line: Line) -> float | None:
    """Youden's threshold on validation probabilities; None where it separates nothing."""
    x, y = line.scale * np.asarray(said, float) + line.offset, np.asarray(wanted, float)
    if len(set(y.tolist())) < 2:
        return None
    found = youden(y, 1 / (1 + np.exp(-x)))
    return round(float(np.clip(found, 0.01, 0.99)), 4) if math.isfinite(found) else None


def begin(network: nn.Module, source: Path) -> None:
    """Take over what fits of an earlier network: same name, same shape; the answer's last layer may differ.

    Raises:
        BadInput: the file is none that can be read, or nothing in it fits.
    """
    from safetensors.torch import load_file

    content: Any = load_file(source) if source.suffix == ".safetensors" else load_published(source)
    given = without_prefix(content.get("state_dict", content), PREFIXES, where=source.name)
    own = network.state_dict()
    fitting = {key: value for key, value in given.items() if key in own and own[key].shape == value.shape}
    if not fitting:
        raise BadInput(f"{source}: not one of its weights fits the network")
    network.load_state_dict({**own, **fitting})


def finished(
    run: Run, arguments: TrainingArguments, options: Options, data: DatasetManifest, network: nn.Module, cache: Path, *,
    threshold: float | None, steps: int,
) -> TrainingResult:  # fmt: skip
    """The locked test, and the package when a name is given."""
    published, quantity = arguments.recipe == "published", options.quantity
    # A model that never saw a magnetic resonance image does not say what one would show.
    asked = "segment-motion" if quantity == "wall-motion" else quantity
    finding = "value" if not data.simulated and options.kind == "regression" else asked
    items = data.by_split()[Split.TEST]
    convention = convention_of(options)
    form = Form(view=options.view, side=options.side, published=published, frames=0, clip_frames=options.frames)
    network.load_state_dict(as_half(network.state_dict()))
    test = locked_test(
        network.eval(), data, items, form, convention, cache=cache, quantity=quantity, kind=options.kind,
        threshold=threshold, device=run.device,
    )  # fmt: skip
    config: dict[str, Any] = {"finding": finding, "view": options.view, "frames": options.frames, "stride": 2, "side": options.side,
              "period_ms": options.period_ms, "clips": options.clips}  # fmt: skip
    if not published:
        config["network"] = {"width": options.width}
    if threshold is not None:
        config["threshold"] = threshold
    mode = "published" if published else "clinical"
    unit = QUANTITIES[finding].unit.value
    package = publish(
        run, arguments, recipe=RECIPE, steps=steps, metrics=test.metrics, tables=test.tables, half=("classifier",),
        weights={"classifier": network.state_dict()},
        manifest={
            "task": "cmr", "title": f"{QUANTITIES[finding].title} from {options.view}",
            "architecture": {"classifier": PUBLISHED_NETWORK if published else COMPACT}, "config": config,
            "preparation": mode, "evaluated": [mode],
            "input": {
                "modes": ["2d", "unknown"], "views": [options.view], "frames_min": 8, "colour": False,
                "frame_gap_ms_max": 70.0, "species": ["human"], "age_years_min": 18, "tte_only": True,
            },
            "output": [{"name": QUANTITIES[finding].concept.meaning, "unit": unit}],
            "trained_on": f"simulated hearts of echonode's phantom ({', '.join(arguments.data)}), no patient"
            if data.simulated else data.source,
        },
        words=test.words,
    )  # fmt: skip
    return TrainingResult(folder=run.folder, package=package, metrics=test.metrics)


def _last(network: nn.Module) -> nn.Linear:
    last = network.get_submodule("fc")
    assert isinstance(last, nn.Linear)
    return last


def _refuse_unfit(targets: dict[Split, list[float]], kind: str) -> None:
    if kind == "regression":
        return
    for split, values in targets.items():
        if not set(values) <= {0.0, 1.0}:
            raise BadInput(f"{split}: a label is neither 0 nor 1; --set kind=regression learns numbers")
        if split is Split.TRAIN and len(set(values)) < 2:
            raise BadInput(f"{split}: all labels are {values[0]:g}; both are needed")
