"""The published recipe: both networks of Super SloMo on prepared clips, as Sahashi et al. trained them on echo.

Adam, 1e-4, divided by ten at epochs 100 and 150 of 200; batches of 6; frames f and f + 8 of a clip of twelve with one of
the seven between them; reversed in time and flipped, each every second time; the last epoch is the model. Deviations,
none of which can be avoided: a crop is named where frames are no multiple of 32 (the published code left it out and does
not run); the perceptual term needs the weights of VGG16, which the user gives as a file, and is left out without them;
validation is by frame instead of by batch. Grey clips have three equal channels, as the authors' had.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
import torch.nn.functional as functional
from numpy.typing import NDArray
from safetensors.torch import load_file

from echonode.core.clip import Clip
from echonode.core.errors import BadInput
from echonode.tasks.common.warp import WarpConvention, warp
from echonode.tasks.slow_motion.losses import losses
from echonode.tasks.slow_motion.net import MULTIPLE, build
from echonode.tasks.slow_motion.sources import PreparedClip, read_prepared
from echonode.tasks.slow_motion.synthesis import Between, flows_at, fuse
from echonode.tasks.slow_motion.train.loops import layout
from echonode.tasks.slow_motion.upstream import MEANS, import_superslomo
from echonode.training.arguments import TrainingArguments, TrainingResult
from echonode.training.batches import batches, in_turn
from echonode.training.dataset import DatasetManifest, Item, Split
from echonode.training.options import as_json, with_options
from echonode.training.order import EpochOrder
from echonode.training.processes import this_process
from echonode.training.publish import publish
from echonode.training.run import Run
from echonode.training.sources import dataset_of

ROLES: Final = {"flow": "superslomo-flow", "interpolation": "superslomo-interpolation"}
GAP: Final = 8  # frames between the two that are given; one of the seven between is asked for
CLIP_FRAMES: Final = 12
EPOCHS: Final = 200
FALLS: Final = (100, 150)  # epochs after which the rate is a tenth
PERCEPTUAL_WEIGHT: Final = 0.005
VGG_LAYERS: Final = 22  # of torchvision's vgg16().features: up to conv4_3, before its activation


@dataclass(frozen=True, kw_only=True)
class Options:
    """`crop` pixels, a multiple of 32, 0 for whole frames; `vgg` a file with the weights of VGG16, without which the
    perceptual term is left out; `narrow` divides the widths of both networks."""

    rate: float = 1e-4
    crop: int = 0
    vgg: Path | None = None
    warp_convention: WarpConvention = "half-pixel"
    narrow: int = 1
    save_every: int = 5  # epochs

    def __post_init__(self) -> None:
        if self.crop < 0 or self.crop % MULTIPLE:
            raise ValueError(f"crop {self.crop}: a multiple of {MULTIPLE}, or 0 for whole frames, is expected")


def main(arguments: TrainingArguments) -> TrainingResult:
    """Train on the train split of prepared clips, tell the error on the others, publish the last epoch."""
    options = with_options(Options(), arguments.options)
    data = dataset_of(arguments, name="slow motion", layout=layout)
    train = [item for item in data.by_split()[Split.TRAIN] if "times_ms" in item.labels]
    if not train:
        raise BadInput("--recipe published learns from prepared clips: echonode data slow-motion --layout published")
    batch = arguments.batch or 6
    rank, world_size = this_process()
    order = EpochOrder(count=len(train), batch=batch, seed=arguments.seed, rank=rank, world_size=world_size)
    total = arguments.steps or (arguments.epochs or EPOCHS) * order.steps_per_epoch
    identity = arguments.identity(options=as_json(options), batch=batch)
    with Run.of(arguments, identity=identity, total=total, dataset=data) as run:
        return fit(run, arguments, options, data, train, order)


def fit(
    run: Run,
    arguments: TrainingArguments,
    options: Options,
    data: DatasetManifest,
    train: list[Item],
    order: EpochOrder,
) -> TrainingResult:
    """The loop."""
    pair = torch.nn.ModuleDict({role: build(name, narrow=options.narrow) for role, name in ROLES.items()})
    if arguments.init is not None:
        _begin_from(pair, arguments.init, run.folder)
    pair = pair.to(run.device)
    judge = _perception(options.vgg, run.device)
    optimiser = torch.optim.Adam(pair.parameters(), lr=options.rate)
    falls = [epoch * order.steps_per_epoch for epoch in FALLS]
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimiser, falls, gamma=0.1)
    scaler = run.scaler()
    parts: dict[str, Any] = {"pair": pair, "optimiser": optimiser, "schedule": schedule, "scaler": scaler}
    start = 0
    if (kept := run.restore()) is not None:
        start, state = kept
        for name, part in parts.items():
            part.load_state_dict(state[name])
    model = run.wrap(_Interpolation(pair, options.warp_convention))
    means = torch.tensor(MEANS["echo"], device=run.device).view(1, 3, 1, 1)

    def load(index: int, chance: np.random.Generator) -> tuple[NDArray[np.float32], np.float32]:
        return sample(data, train[index], chance, crop=options.crop)

    done = start
    for step, (pictures, times) in batches(load, order, start=start, stop=run.total, workers=arguments.workers):
        if run.stop_wanted:
            run.save(step, {name: part.state_dict() for name, part in parts.items()})
            return TrainingResult(folder=run.folder, stopped_at=step)
        if run.time_is_up:
            break
        frame0, target, frame1 = (pictures[:, place].to(run.device) - means for place in range(3))
        with run.autocast():
            found, forward, backward = model(frame0, frame1, times.to(run.device).view(-1, 1, 1, 1))
            terms = losses(
                found, target, picture0=frame0, picture1=frame1, forward=forward, backward=backward,
                convention=options.warp_convention,
            )  # fmt: skip
            loss = terms.total
            if judge is not None:
                loss = loss + PERCEPTUAL_WEIGHT * functional.mse_loss(judge(found.frames), judge(target))
        optimiser.zero_grad()
        scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        scaler.step(optimiser)
        scaler.update()
        schedule.step()
        done = step + 1
        run.log(done, loss=loss.item(), reconstruction=terms.reconstruction.item(), warping=terms.warping.item())
        run.tick(done, f"loss {loss.item():.3f}")
        if done % (options.save_every * order.steps_per_epoch) == 0 or done == run.total:
            psnr = _validated(pair, data, options, means, run)
            if psnr is not None:
                run.log(done, validation_psnr_db=psnr)
            run.save(done, {name: part.state_dict() for name, part in parts.items()})
    package = publish(
        run, arguments, recipe="slow-motion", steps=done, manifest=_manifest(data, options),
        weights={role: pair[role].state_dict() for role in ROLES},
    )  # fmt: skip
    return TrainingResult(folder=run.folder, package=package)


class _Interpolation(torch.nn.Module):
    """Both networks as one, so that their gradients are averaged together."""

    def __init__(self, pair: torch.nn.ModuleDict, convention: WarpConvention) -> None:
        super().__init__()
        self.pair = pair
        self._convention = convention

    def forward(
        self, frame0: torch.Tensor, frame1: torch.Tensor, t: torch.Tensor
    ) -> tuple[Between, torch.Tensor, torch.Tensor]:
        """The picture at t between two of (N, 3, H, W), and the flows between them."""
        flows = self.pair["flow"](torch.cat((frame0, frame1), dim=1)).float()
        forward, backward = flows[:, 0:2], flows[:, 2:4]
        to0, to1 = flows_at(t, forward, backward)
        warped0 = warp(frame0, to0, convention=self._convention)
        warped1 = warp(frame1, to1, convention=self._convention)
        seen = torch.cat((frame0, frame1, forward, backward, to1, to0, warped1, warped0), dim=1)
        answer = self.pair["interpolation"](seen).float()
        frames = fuse(frame0, frame1, t=t, to0=to0, to1=to1, answer=answer, convention=self._convention)
        return Between(frames=frames, answer=answer, warped0=warped0, warped1=warped1), forward, backward


def sample(
    data: DatasetManifest, item: Item, chance: np.random.Generator | None, *, crop: int
) -> tuple[NDArray[np.float32], np.float32]:
    """Three pictures (3, 3, H, W) in 0 to 1, first, target and last, and the target's time; None takes the fourth target.

    Raises:
        BadInput: a clip with other than twelve frames, or whose size is no multiple of 32 where no crop is asked for.
    """
    files = data.paths(item)
    if len(files) != CLIP_FRAMES:
        raise BadInput(f"{item.key}: {len(files)} frames; the published recipe takes clips of {CLIP_FRAMES}")
    first = 0 if chance is None else int(chance.integers(0, CLIP_FRAMES - GAP))
    between = (GAP - 1) // 2 if chance is None else int(chance.integers(0, GAP - 1))
    chosen = (first, first + 1 + between, first + GAP)
    clip = read_prepared(PreparedClip(
        split=str(item.split), name=item.key, frames=tuple(files[place] for place in chosen), times_ms=(0.0, 1.0, 2.0)
    ))  # fmt: skip
    pictures = _pictures(clip, item.key, chance, crop)
    time = (between + 1) / GAP
    if chance is not None:
        if chance.random() < 0.5:
            pictures, time = pictures[::-1], 1 - time
        if chance.random() < 0.5:
            pictures = pictures[..., ::-1]
    return np.ascontiguousarray(pictures), np.float32(time)


def _pictures(clip: Clip, key: str, chance: np.random.Generator | None, crop: int) -> NDArray[np.float32]:
    frames = clip.frames
    height, width = frames.shape[1:3]
    if crop:
        if height < crop or width < crop:
            raise BadInput(f"{key}: its frames are {height} x {width}, smaller than the crop of {crop}")
        spare = (height - crop, width - crop)
        top, left = ((side // 2 if chance is None else int(chance.integers(0, side + 1))) for side in spare)
        frames = frames[:, top : top + crop, left : left + crop]
    elif height % MULTIPLE or width % MULTIPLE:
        raise BadInput(
            f"{key}: its frames are {height} x {width}, no multiples of {MULTIPLE}; --set crop=352 cuts them"
        )
    if frames.shape[3] == 1:
        frames = np.repeat(frames, 3, axis=3)
    return frames.transpose(0, 3, 1, 2).astype(np.float32) / np.float32(255)


def _validated(
    pair: torch.nn.ModuleDict, data: DatasetManifest, options: Options, means: torch.Tensor, run: Run
) -> float | None:
    """Mean PSNR in dB of the middle frame of each validation clip; None without any."""
    items = [item for item in data.by_split()[Split.VALIDATION] if "times_ms" in item.labels]
    if not items:
        return None
    model = _Interpolation(pair, options.warp_convention).eval()
    found: list[float] = []

    def load(index: int, chance: np.random.Generator) -> tuple[NDArray[np.float32], np.float32]:
        return sample(data, items[index], None, crop=options.crop)

    with torch.no_grad():
        for _, (pictures, times) in in_turn(load, range(len(items)), batch=4):
            frame0, target, frame1 = (pictures[:, place].to(run.device) - means for place in range(3))
            between, _, _ = model(frame0, frame1, times.to(run.device).view(-1, 1, 1, 1))
            errors = ((between.frames - target) ** 2).mean((1, 2, 3)).clamp(min=1e-9)
            found += (-10 * torch.log10(errors)).tolist()
    return float(np.mean(found))


def _perception(weights: Path | None, device: torch.device) -> torch.nn.Module | None:
    """The first layers of VGG16 with the user's weights; None without a file.

    Raises:
        BadInput: the file does not hold them.
    """
    if weights is None:
        return None
    from torchvision.models import vgg16

    layers: torch.nn.Module = vgg16(weights=None).features[:VGG_LAYERS]
    try:
        state = load_file(weights) if weights.suffix == ".safetensors" else torch.load(weights, weights_only=True)
        wanted = layers.state_dict()
        layers.load_state_dict({key: state.get(f"features.{key}", state.get(key)) for key in wanted})
    except (OSError, RuntimeError, ValueError, AttributeError, TypeError) as error:
        raise BadInput(f"--set vgg={weights}: holds no weights of VGG16: {str(error).splitlines()[0]}") from error
    return layers.eval().requires_grad_(False).to(device)


def _begin_from(pair: torch.nn.ModuleDict, init: Path, folder: Path) -> None:
    """Weights of a published checkpoint, or of a folder or file of a package of both networks."""
    import tempfile

    from echonode.core.errors import CheckpointRefused

    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        place = init.parent
        if init.suffix != ".safetensors":
            place = Path(scratch)
            try:
                import_superslomo(init, place, {})
            except CheckpointRefused as error:
                raise BadInput(f"--init {init}: {error}") from error
        for role in ROLES:
            network = pair[role]
            try:
                network.load_state_dict(load_file(place / f"{role}.safetensors"))
            except (OSError, RuntimeError) as error:
                raise BadInput(f"--init {init}: {role} network: {str(error).splitlines()[0]}") from error


def _manifest(data: DatasetManifest, options: Options) -> dict[str, Any]:
    config: dict[str, Any] = {"means": list(MEANS["echo"]), "warp_convention": options.warp_convention}
    return {
        "task": "slow_motion", "title": "Slow motion by Super SloMo", "trained_on": data.learned_from,
        "architecture": dict(ROLES), "config": config if options.narrow == 1 else {**config, "narrow": options.narrow},
        "input": {"modes": ["2d", "unknown"], "frames_min": 2, "frame_gap_ms_max": 45.0, "colour": False},
        "output": [{"name": "loop"}],
        "intended_use": "research use only, not for diagnosis; never measure on interpolated frames",
        "licence": "that of echonode",
    }  # fmt: skip
