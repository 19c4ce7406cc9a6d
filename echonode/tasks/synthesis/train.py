"""`echonode train synthesis`: semantic diffusion, from label maps to echo pictures.

`sound` (the default): a small network for two cores, grey, one for all views and phases, which are told to it as planes
beside the label map; labels are dropped now and then, so that guidance means something; bfloat16 does no harm; no flips,
since left and right are not alike in a heart.

`published` ("Echo from noise", Stojanovski et al., ASMUS 2023): 652 million parameters at 256 x 256 in three channels, one
network a view and phase (`--set views=4CH_ED`), batch 12 a process (96 over eight), 50 000 steps, AdamW 1e-4 with a linear
decay to 0, random flips, an average of 0.9999, no label is ever dropped.

Data: the tree that `echonode data camus` writes; pictures and sector_annotations of training and validation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from echonode.core.errors import BadInput
from echonode.tasks.common.camus import SECTOR_CODES, VIEWS, checked_codes
from echonode.tasks.common.checkpoint import checked_state, load_published, load_weights, shapes_of
from echonode.tasks.synthesis.blocks import Labels
from echonode.tasks.synthesis.dataset import layout
from echonode.tasks.synthesis.diffusion import Denoiser, Diffusion
from echonode.tasks.synthesis.evaluation import SECONDS, TestOptions, cases_of, metrics_of, tested_on, tissue_table
from echonode.tasks.synthesis.losses import VARIATIONAL_WEIGHT, losses
from echonode.tasks.synthesis.net import ARCHITECTURE, SdmUnet, build
from echonode.tasks.synthesis.noise import SeededNoise, image_seed
from echonode.tasks.synthesis.prepare import (
    as_levels,
    conditioned,
    folded,
    one_hot,
    resized_labels,
    resized_picture,
    unfolded,
)
from echonode.tasks.synthesis.runner import ROLE, SynthesisRunner
from echonode.tasks.synthesis.samplers import DPM_SOLVER, Walk, walk
from echonode.tasks.synthesis.schedule import noise_schedule
from echonode.training.arguments import Metric, TrainingArguments, TrainingResult
from echonode.training.batches import batches, in_turn
from echonode.training.dataset import LOCKED_TEST, DatasetManifest, Item, Split
from echonode.training.ema import MovingAverage
from echonode.training.options import as_json, with_options
from echonode.training.order import EpochOrder
from echonode.training.processes import this_process
from echonode.training.publish import as_half, publish
from echonode.training.run import Run
from echonode.training.sources import dataset_of
from echonode.training.table import Table

NAME: Final = "synthesis"
INDIFFERENT: Final = ("tested",)
SCHEDULE, TIMESTEPS = "cosine", 1000
SHOWN, SHOWN_STEPS = 8, 20
MOST_VALIDATED: Final = 64
GRADIENT_LIMIT: Final = 1.0

Bytes = NDArray[np.uint8]
Sample = tuple[Bytes, Bytes, int]


@dataclass(frozen=True, kw_only=True)
class Options:
    """The recipe's own: `--set key=value`. `views` are those of the tree that are learned from."""

    views: tuple[str, ...] = VIEWS
    side: int = 112
    channels: int = 1
    patch: int = 2
    """Pixels of a square that the network sees as channels: four times fewer places at 2."""
    model_channels: int = 64
    channel_mult: tuple[float, ...] = (1, 1, 2)
    num_res_blocks: int = 1
    attention: tuple[int, ...] = (14,)
    head_channels: int = 32
    label_width: int = 32
    answers: Literal["velocity", "noise"] = "velocity"
    """What the network learns to tell; of noise alone brightness drifts in a short training."""
    told: bool = True
    """Whether the network is told view and phase beside the label map."""
    untold: float = 0.1
    """How often in training it is not told them."""
    drop: float = 0.1
    """How often in training it sees no label at all: what guidance needs."""
    flip: float = 0.0
    rate: float = 3e-4
    warm_up: float = 0.02
    average: float = 0.999
    variational_weight: float = VARIATIONAL_WEIGHT
    validate_every: int = 250
    tested: int = 100
    """Label maps of the test split that a package is measured on; 0 leaves its card without numbers."""

    def __post_init__(self) -> None:
        if self.patch not in (1, 2, 4) or self.side % self.patch:
            raise ValueError(f"patch {self.patch}: 1, 2 or 4 that divides the side is expected")
        unknown = sorted(set(self.views) - set(VIEWS))
        if unknown or not self.views:
            raise ValueError(f"views {', '.join(unknown)}: {', '.join(VIEWS)} are expected")
        for name in ("untold", "drop", "flip"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}: from 0 to 1 is expected")

    @property
    def conditions(self) -> tuple[str, ...]:
        """Views that the network is told; none for a network of one view."""
        return self.views if self.told and len(self.views) > 1 else ()

    @property
    def network(self) -> dict[str, Any]:
        """Arguments of the network, as the package's manifest has them."""
        return {
            "image_size": self.side // self.patch, "in_channels": self.channels * self.patch**2,
            "out_channels": 2 * self.channels * self.patch**2,
            "model_channels": self.model_channels, "channel_mult": list(self.channel_mult),
            "num_res_blocks": self.num_res_blocks, "attention_resolutions": list(self.attention),
            "num_head_channels": self.head_channels, "label_width": self.label_width,
            "label_channels": SECTOR_CODES * self.patch**2 + len(self.conditions),
        }  # fmt: skip


PUBLISHED: Final = Options(
    views=("4CH_ED",), side=256, channels=3, patch=1, model_channels=256, channel_mult=(1, 1, 2, 2, 4, 4), num_res_blocks=2,
    attention=(32, 16, 8), head_channels=64, label_width=128, answers="noise", told=False, untold=0.0, drop=0.0, flip=0.5, rate=1e-4,
    warm_up=0.0, average=0.9999, validate_every=5000,
)  # fmt: skip


def main(arguments: TrainingArguments) -> TrainingResult:
    """Set up: data, network; then `fit`.

    Raises:
        BadInput: data or an option that is not understood.
    """
    known = arguments.recipe == "published"
    options = with_options(PUBLISHED if known else Options(), arguments.options)
    data = dataset_of(arguments, name=NAME, layout=layout)
    splits = data.by_split()
    train = [item for item in splits[Split.TRAIN] if item.labels.get("view") in options.views]
    validation = [item for item in splits[Split.VALIDATION] if item.labels.get("view") in options.views]
    if not train:
        raise BadInput(f"the data have no training pictures of {', '.join(options.views)}")
    batch = arguments.batch or (12 if known else 8)
    rank, world_size = this_process()
    order = EpochOrder(count=len(train), batch=batch, seed=arguments.seed, rank=rank, world_size=world_size)
    total = arguments.steps or (
        arguments.epochs * order.steps_per_epoch if arguments.epochs else 50_000 if known else 6000
    )
    decisive = {name: value for name, value in as_json(options).items() if name not in INDIFFERENT}
    identity = arguments.identity(options=decisive, batch=batch)
    with Run.of(arguments, identity=identity, total=total, dataset=data) as run:
        return fit(
            run, arguments, options, order, _Pictures(data, train, options), _Pictures(data, validation, options)
        )


class _Pictures:
    """Samples of a split, each read once."""

    def __init__(self, data: DatasetManifest, items: Sequence[Item], options: Options) -> None:
        self._data, self._items, self._options = data, items, options
        self._read: dict[int, Sample] = {}

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> Sample:
        """Picture (S, S), sector codes (S, S) and the number of its view."""
        if index not in self._read:
            item, side = self._items[index], self._options.side
            picture, truth = (np.asarray(Image.open(path).convert("L")) for path in self._data.paths(item))
            if picture.shape != truth.shape:
                raise BadInput(f"{item.key}: a picture of {picture.shape} and labels of {truth.shape}")
            codes = checked_codes(truth, SECTOR_CODES)
            if picture.shape != (side, side):
                picture, codes = resized_picture(picture, side), resized_labels(codes, side)
            self._read[index] = (picture, codes, self._options.views.index(str(item.labels["view"])))
        return self._read[index]

    def sample(self, index: int, chance: np.random.Generator) -> dict[str, Any]:
        """What a step learns from: picture, label planes, a timestep and noise."""
        options = self._options
        picture, codes, view = self[index]
        if chance.random() < options.flip:
            picture, codes = picture[:, ::-1], codes[:, ::-1]
        told = None if chance.random() < options.untold else options.views[view]
        planes = conditioned(folded(one_hot(codes, SECTOR_CODES), options.patch), [told], options.conditions)[0]
        if chance.random() < options.drop:
            planes = torch.zeros_like(planes)
        whole = torch.from_numpy(np.array(picture))[None, None].expand(1, options.channels, -1, -1)
        shape = folded(whole, options.patch)[0].shape
        return {
            "picture": folded(whole, options.patch)[0].contiguous(),
            "planes": planes.to(torch.uint8),
            "step": int(chance.integers(TIMESTEPS)),
            "noise": torch.from_numpy(chance.standard_normal(shape, np.float32)),
        }


def fit(
    run: Run, arguments: TrainingArguments, options: Options, order: EpochOrder, train: _Pictures, validation: _Pictures
) -> TrainingResult:
    """Learn, look at pictures now and then, publish the average of the weights."""
    inner = build(ARCHITECTURE, **options.network)
    if arguments.init is not None:
        inner.load_state_dict(first_weights(arguments.init, inner))
    inner = inner.to(run.device).to(memory_format=torch.channels_last)
    average = MovingAverage(inner, decay=options.average)
    optimiser = torch.optim.AdamW(inner.parameters(), lr=options.rate, weight_decay=0.0)
    warm = max(1.0, options.warm_up * run.total)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min((step + 1) / warm, max(0.0, 1 - step / run.total))
    )
    scaler = run.scaler()
    parts: dict[str, Any] = {
        "network": inner, "average": average, "optimiser": optimiser, "schedule": schedule, "scaler": scaler,
    }  # fmt: skip
    start = 0
    if (kept := run.restore()) is not None:
        start, state = kept
        for name, part in parts.items():
            part.load_state_dict(state[name])
    model = run.wrap(inner)
    diffusion = Diffusion(noise_schedule(SCHEDULE, TIMESTEPS), run.device, answers=options.answers)

    def state_now() -> dict[str, Any]:
        return {name: part.state_dict() for name, part in parts.items()}

    reached = start
    for step, batch in batches(train.sample, order, start=start, stop=run.total, workers=arguments.workers):
        if run.stop_wanted:
            run.save(step, state_now())
            return TrainingResult(folder=run.folder, stopped_at=step)
        if run.time_is_up:
            break
        model.train()
        with run.autocast():
            loss = _loss(model, diffusion, batch, run.device, options)
        optimiser.zero_grad(set_to_none=True)
        scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        scaler.unscale_(optimiser)
        torch.nn.utils.clip_grad_norm_(inner.parameters(), GRADIENT_LIMIT)
        scaler.step(optimiser)
        scaler.update()
        schedule.step()
        average.update(inner)
        reached = step + 1
        run.log(reached, loss=loss.item(), rate=float(schedule.get_last_lr()[0]))
        run.tick(reached, f"loss {loss.item():.4f}")
        if reached % options.validate_every == 0 or reached == run.total:
            _look(run, average.average, diffusion, validation, options, reached)
            run.save(reached, state_now())
    if reached > start and reached % options.validate_every and reached != run.total:
        run.save(reached, state_now())
    return published(run, arguments, options, average.average, steps=reached)


def _loss(
    model: Any, diffusion: Diffusion, batch: dict[str, torch.Tensor], device: torch.device, options: Options
) -> torch.Tensor:
    clean = (batch["picture"].to(device, memory_format=torch.channels_last).float() / 127.5) - 1
    found = losses(
        model, diffusion, clean, Labels(batch["planes"].to(device).float()), steps=batch["step"].to(device),
        noise=batch["noise"].to(device), weight=options.variational_weight,
    )  # fmt: skip
    return found.total.mean()


@torch.no_grad()
def _look(
    run: Run, network: torch.nn.Module, diffusion: Diffusion, validation: _Pictures, options: Options, step: int
) -> None:
    """The loss on pictures that were not learned from, and a sheet: label map, picture, what the network makes of it."""
    if not len(validation):
        return
    network.eval()
    places = np.linspace(0, len(validation) - 1, min(MOST_VALIDATED, len(validation))).round().astype(int)
    total = 0.0
    for _, batch in in_turn(validation.sample, [int(place) for place in places], batch=16):
        with run.autocast():
            total += float(_loss(network, diffusion, batch, run.device, options)) * len(batch["step"])
    run.log(step, validation_loss=total / len(places))
    if not run.first:
        return
    seen = [validation[int(place)] for place in np.linspace(0, len(validation) - 1, SHOWN).round()]
    made = made_of(network, [each[1] for each in seen], [options.views[each[2]] for each in seen], options, run)
    columns = [
        np.concatenate(
            [np.repeat((each[1] * 63)[:, :, None], 3, axis=2), np.repeat(each[0][:, :, None], 3, axis=2), own]
        )
        for each, own in zip(seen, made, strict=True)
    ]
    run.picture(step, "validation", np.concatenate(columns, axis=1))


@torch.no_grad()
def made_of(network: torch.nn.Module, maps: Sequence[Bytes], views: Sequence[str], options: Options, run: Run) -> Bytes:
    """Pictures (N, S, S, 3) of label maps in few steps, each from its own seed."""
    schedule = noise_schedule(SCHEDULE, TIMESTEPS, respacing=str(SHOWN_STEPS))
    diffusion = Diffusion(schedule, run.device, answers=options.answers)
    planes = torch.cat([one_hot(each, SECTOR_CODES) for each in maps])
    told = conditioned(folded(planes, options.patch), views, options.conditions)
    labels = Labels(told.to(run.device), keep=True)
    side = options.side // options.patch
    shape = (options.channels * options.patch**2, side, side)
    noise = SeededNoise([image_seed(run.seed, name=str(number)) for number in range(len(maps))], shape, run.device)
    *_, last = walk(Denoiser(network, diffusion, labels), noise, sampler=DPM_SOLVER)
    return as_levels(unfolded(last, options.patch))


def published(
    run: Run, arguments: TrainingArguments, options: Options, network: torch.nn.Module, *, steps: int
) -> TrainingResult:
    """The package of the averaged weights, in half precision, measured on the test split as `echonode evaluate` does."""
    assert isinstance(network, SdmUnet)
    network.load_state_dict(as_half(network.state_dict()))
    metrics, tables = _measured(run, arguments, options, network.eval())
    manifest: dict[str, Any] = {
        "task": "synthesis",
        "title": "Synthetic apical echo from label maps",
        "architecture": {ROLE: ARCHITECTURE},
        "config": {
            "network": options.network, "patch": options.patch, "answers": options.answers,
            "conditions": list(options.conditions), "schedule": SCHEDULE,
            "timesteps": TIMESTEPS, "sampler": DPM_SOLVER, "respacing": str(SHOWN_STEPS), "drop_rate": options.drop,
            "view": options.views[0] if len(options.views) == 1 else "",
        },
        "evaluated": ["clinical"],
        "output": [{"name": "synthetic picture of a label map"}],
        "trained_on": _learned_from(run),
    }  # fmt: skip
    folder = publish(
        run, arguments, recipe=NAME, manifest=manifest, weights={ROLE: network.state_dict()}, steps=steps, metrics=metrics,
        tables=tables, half=(ROLE,),
    )  # fmt: skip
    return TrainingResult(folder=run.folder, package=folder, metrics=metrics)


def _measured(
    run: Run, arguments: TrainingArguments, options: Options, network: SdmUnet
) -> tuple[tuple[Metric, ...], dict[str, Table]]:
    """Pictures of label maps that were not learned from, beside the original ones; nothing where there are none."""
    assert run.dataset is not None
    items = [item for item in run.dataset.by_split()[Split.TEST] if item.labels.get("view") in options.views]
    if arguments.name is None or not run.first or not items or not options.tested:
        return (), {}
    runner = SynthesisRunner(
        network=network, device=run.device, usual=Walk(
            sampler=DPM_SOLVER, schedule=SCHEDULE, timesteps=TIMESTEPS, respacing=str(SHOWN_STEPS)
        ), guided=options.drop > 0, view=options.views[0] if len(options.views) == 1 else "", model="",
        patch=options.patch, conditions=options.conditions, simulated=run.dataset.simulated, answers=options.answers,
    )  # fmt: skip
    test = replace(run.dataset, items=tuple(items))
    cases = cases_of(runner, test, TestOptions(pictures=options.tested), seed=run.seed)
    # How fast a machine is says nothing of a model, and would make another package of the same one.
    found = tuple(each for each in metrics_of(cases, on=tested_on(test), seed=run.seed) if each.name != SECONDS)
    return found, {"Synthetic beside original, by tissue": tissue_table(cases)}


def _learned_from(run: Run) -> str:
    assert run.dataset is not None
    origins = {str(item.labels.get("origin", "")) for item in run.dataset.items}
    told = "; ".join(sorted(each for each in origins if each)) or run.dataset.learned_from
    return f"pictures and label maps of {told.partition(LOCKED_TEST)[0]}" + (
        ", no patient" if run.dataset.simulated else ""
    )


def first_weights(path: Path, network: SdmUnet) -> dict[str, torch.Tensor]:
    """Weights of a safetensors file or of the authors' checkpoint, checked against the network.

    Raises:
        CheckpointRefused: they are not this network's.
    """
    expected = shapes_of(network)
    if path.suffix == ".safetensors":
        return load_weights(path, expected)
    return checked_state(load_published(path), expected, where="--init")
