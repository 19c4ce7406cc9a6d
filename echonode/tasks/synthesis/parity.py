"""The semantic diffusion networks and their arithmetic against the authors' numbers; rules as the set's readme words them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from echonode.core.parity import ParityRow
from echonode.tasks.common.camus import edges, sector_codes, subsampled
from echonode.tasks.common.parity import compared, difference, filled, read_arrays, read_json, read_set, state_row
from echonode.tasks.common.sector_rule import label_map
from echonode.tasks.synthesis.blocks import Attention, Labels
from echonode.tasks.synthesis.diffusion import Denoiser, Diffusion
from echonode.tasks.synthesis.losses import losses
from echonode.tasks.synthesis.net import SdmUnet, build
from echonode.tasks.synthesis.prepare import as_levels, normalised, one_hot, resized_labels, resized_picture
from echonode.tasks.synthesis.samplers import walk
from echonode.tasks.synthesis.schedule import noise_schedule

Arrays = Mapping[str, NDArray[Any]]

NETWORKS: Final = ("tiny64", "small128", "full256")
NET, TABLE, STEP, TRAJECTORY, LOSS = 2e-5, 1e-12, 1e-5, 1e-4, 1e-4
HALF_RMS, HALF_MAX = 2e-3, 2e-2
FAR_STEP, FAR_TOLERANCE = 990, 1e-3
SATURATED_STEP, SATURATED_SHARE = 999, 0.005
OFF_BY_ONE_SHARE: Final = 1e-3


def check(folder: Path, whole: bool) -> Iterator[ParityRow]:
    """One row for each quantity of the set in `folder`; full256 only when `whole`."""
    place = folder / "sdm"
    if not place.is_dir():
        return
    seed = read_set(folder).seed
    for name in NETWORKS:
        if name != "full256" or whole:
            yield from _unet(name, place, seed)
    yield from _schedules(read_arrays(place / "schedules.npz"))
    tiny = _network("tiny64", place)
    yield from _steps(tiny, read_arrays(place / "psample_tiny64.npz"), seed)
    yield from _guided(tiny, read_arrays(place / "cfg_original_sdm_tiny64.npz"), seed)
    yield from _losses(tiny, read_arrays(place / "train_loss_tiny64.npz"), seed)
    yield from _trajectories(tiny, read_arrays(place / "trajectory_tiny64.npz"), seed)
    yield from _preparation(read_arrays(place / "dataprep_dice.npz"), seed)


def normal(seed: int, tag: int, shape: tuple[int, ...]) -> torch.Tensor:
    """Standard normal values by the rule, float32."""
    return torch.from_numpy(np.random.default_rng([seed, tag]).standard_normal(shape).astype(np.float32))


def uniform(seed: int, tag: int, shape: tuple[int, ...]) -> torch.Tensor:
    """Values from 0 to 1 by the rule, float32."""
    return torch.from_numpy(np.random.default_rng([seed, tag]).random(shape).astype(np.float32))


@dataclass(frozen=True, slots=True)
class TaggedNoise:
    """Noise by the rule: the start has one tag, each step its own."""

    seed: int
    shape: tuple[int, ...]
    start_tag: int = 7000
    step_tag: int = 8000

    def start(self) -> torch.Tensor:
        """The picture that the walk starts from."""
        return normal(self.seed, self.start_tag, self.shape)

    def at(self, step: int) -> torch.Tensor:
        """The noise of `step`."""
        return normal(self.seed, self.step_tag + step, self.shape)


def _build(name: str, place: Path, **other: Any) -> tuple[SdmUnet, Mapping[str, Any]]:
    listed = read_json(place / f"state_dict_{name}.json")
    told = listed["config"]
    network = build(
        "sdm-unet", image_size=told["image_size"], model_channels=told["num_channels"],
        channel_mult=told["channel_mult"], num_res_blocks=told["num_res_blocks"],
        attention_resolutions=told["attention_resolutions"], num_head_channels=told["num_head_channels"],
        label_channels=told["num_classes"], out_channels=6 if told["learn_sigma"] else 3,
        use_new_attention_order=told["use_new_attention_order"], **other,
    )  # fmt: skip
    return network, listed["state_dict"]


def _network(name: str, place: Path) -> SdmUnet:
    return filled(_build(name, place)[0])


def _labels(side: int, *seeds: int) -> torch.Tensor:
    return torch.cat([one_hot(label_map(side, side, seed), 5) for seed in seeds])


def _row(name: str, quantity: str, found: Any, expected: Any, tolerance: float, note: str = "") -> ParityRow:
    return compared(f"sdm-unet {name}", quantity, found, expected, tolerance=tolerance, note=note)


def _every(values: torch.Tensor, key: str) -> torch.Tensor:
    stride = int(key.rpartition("__s")[2])
    return values[:, :, ::stride, ::stride]


@torch.inference_mode()
def _unet(name: str, place: Path, seed: int) -> Iterator[ParityRow]:
    network, listed = _build(name, place)
    entries = [{"key": key, **entry} for key, entry in listed.items()]
    yield state_row(f"sdm-unet {name}", network, entries)
    filled(network)
    expected = read_arrays(place / f"unet_{name}.npz")
    side = network.config.image_size
    x, labels = normal(seed, 1, (1, 3, side, side)), _labels(side, seed)
    yield _row(name, "label map", label_map(side, side, seed), expected["labelmap"], 0)
    for key in sorted(expected):
        if match := re.fullmatch(r"out_t(\d+)_(label|null)__s\d+", key):
            asked = labels if match[2] == "label" else torch.zeros_like(labels)
            answer = network(x, torch.tensor([int(match[1])]), asked)
            yield _row(name, key, _every(answer, key), expected[key], NET)
            stats = expected.get(f"stats_t{match[1]}_{match[2]}")
            if stats is not None:
                flat = answer[0].flatten(1).double().numpy()
                ours = np.stack([flat.mean(1), flat.std(1), np.abs(flat).max(1)])
                yield _row(name, f"{key} statistics", ours, stats, NET)
        elif match := re.fullmatch(r"out_batch2_t(\d+)_t(\d+)__s\d+", key):
            two = torch.cat((x, normal(seed, 2, (1, 3, side, side))))
            answer = network(two, torch.tensor([int(match[1]), int(match[2])]), _labels(side, seed, seed + 13))
            yield _row(name, key, _every(answer, key), expected[key], NET)
        elif match := re.fullmatch(r"out_t(\d+)_label_legacy_attention_order__s\d+", key):
            _set_order(network, new=False)
            yield _row(name, key, _every(network(x, torch.tensor([int(match[1])]), labels), key), expected[key], NET)
            _set_order(network, new=True)
    yield from _taps(name, network, x, labels, expected)
    for half in [key for key in expected if "fp16torso" in key]:
        yield from _half(name, network, x, labels, half, expected, place)


def _set_order(network: SdmUnet, *, new: bool) -> None:
    for block in network.modules():
        if isinstance(block, Attention):
            block.new_order = new


def _taps(name: str, network: SdmUnet, x: torch.Tensor, labels: torch.Tensor, expected: Arrays) -> Iterator[ParityRow]:
    taps = {key.partition("__")[2]: key for key in expected if key.startswith("tap_t")}
    if not taps:
        return
    (timestep,) = {int(key[5:].partition("__")[0]) for key in taps.values()}
    seen: dict[str, torch.Tensor] = {}
    hooks = []
    for module in taps:
        # A block is a list of layers: what leaves it is what leaves its last layer.
        watched = network.get_submodule(module)
        last = list(watched.children())[-1] if isinstance(watched, torch.nn.ModuleList) else watched
        hooks.append(last.register_forward_hook(_keep(seen, module)))
    network(x, torch.tensor([timestep]), labels)
    for hook in hooks:
        hook.remove()
    for module, key in taps.items():
        values = seen[module]
        if values.ndim == 4:
            values = values[:, ::4, ::4, ::4] if values.shape[-1] > 16 else values[:, ::4]
        yield _row(name, key, values, expected[key], NET)


def _keep(seen: dict[str, torch.Tensor], module: str) -> Callable[..., None]:
    def hook(layer: object, given: object, answer: torch.Tensor) -> None:
        seen[module] = answer

    return hook


def _half(
    name: str, network: SdmUnet, x: torch.Tensor, labels: torch.Tensor, key: str, expected: Arrays, place: Path
) -> Iterator[ParityRow]:
    """The torso in float16, as the published networks are run; it spoils the weights of `network`."""
    network.in_torso(torch.float16)
    types = read_json(place / f"{name}_fp16_dtypes.json")
    ours = {entry: str(value.dtype).removeprefix("torch.") for entry, value in network.state_dict().items()}
    wrong = len(types.items() ^ ours.items())
    yield ParityRow(network=f"sdm-unet {name}", quantity="types of the float16 torso", difference=wrong, tolerance=0)
    timestep = int(key.split("_")[1][1:])
    answer = _every(network(x, torch.tensor([timestep]), labels), key).double().numpy()
    off = answer - expected[key]
    rms = float(np.sqrt((off**2).mean()))
    yield _row(name, key, answer, expected[key], HALF_MAX)
    yield ParityRow(network=f"sdm-unet {name}", quantity=f"{key} rms", difference=rms, tolerance=HALF_RMS)


def _schedules(expected: Arrays) -> Iterator[ParityRow]:
    worst: dict[str, float] = {}
    for key, values in expected.items():
        spacing, _, table = key.partition("__")
        name, steps, respacing = spacing.split("_")
        schedule = noise_schedule(
            name, int(steps), respacing="" if respacing == "full" else respacing.replace("-", ",")
        )
        ours = np.asarray(schedule.timesteps if table == "timestep_map" else getattr(schedule, table), np.float64)
        if ours.shape != values.shape:
            off = math.inf
        else:
            scale = np.maximum(np.abs(values), np.finfo(np.float64).tiny)
            off = float(np.abs(np.where(values == ours, 0, (ours - values) / scale)).max())
        worst[spacing] = max(worst.get(spacing, 0.0), off)
    for spacing, off in worst.items():
        yield ParityRow(network="sdm schedule", quantity=spacing, difference=off, tolerance=TABLE, note="relative")


@torch.inference_mode()
def _steps(network: SdmUnet, expected: Arrays, seed: int) -> Iterator[ParityRow]:
    side = network.config.image_size
    shape = (1, 3, side, side)
    diffusion = Diffusion(noise_schedule("cosine", 1000))
    denoiser = Denoiser(network, diffusion, Labels(_labels(side, seed), keep=True))
    for timestep in sorted({int(key.split("_")[1][1:]) for key in expected}):
        steps = torch.tensor([timestep])
        x, z = normal(seed, 100 + timestep, shape), normal(seed, 2000 + timestep, shape)
        found = denoiser(x, timestep)
        ours = {"mean": found.mean, "log_variance": found.log_variance, "pred_xstart": found.clean,
                "sample": diffusion.ancestral(found, steps, z)}  # fmt: skip
        for key in sorted(key for key in expected if key.split("_")[1] == f"t{timestep}"):
            middle = key.split("__")[0]
            if "_noclip_" in key:
                values = denoiser(x, timestep, clip=False).clean
            elif match := re.fullmatch(r"ddim_t\d+_eta([\d.]+)_sample", middle):
                values = diffusion.ddim(found, x, steps, z, eta=float(match[1]))
            else:
                values = ours[middle.partition("_")[2].partition("_")[2]]
            yield _step_row(key, timestep, _every(values, key), expected[key])


def _step_row(key: str, timestep: int, found: torch.Tensor, expected: NDArray[Any]) -> ParityRow:
    """Far from the clean picture its formula multiplies rounding by twenty thousand: more is allowed there."""
    if "pred_xstart" in key and timestep >= SATURATED_STEP:
        differ = float((np.abs(found.numpy() - expected) > STEP).mean())
        return ParityRow(network="sdm-unet tiny64", quantity=key, difference=differ, tolerance=SATURATED_SHARE,
                         note="share of differing values")  # fmt: skip
    loose = "pred_xstart" in key and timestep >= FAR_STEP
    return _row("tiny64", key, found, expected, FAR_TOLERANCE if loose else STEP)


@torch.inference_mode()
def _guided(network: SdmUnet, expected: Arrays, seed: int) -> Iterator[ParityRow]:
    side = network.config.image_size
    shape = (1, 3, side, side)
    diffusion = Diffusion(noise_schedule("cosine", 1000))
    labels = Labels(_labels(side, seed), keep=True)
    cases: dict[tuple[int, str], list[str]] = {}
    for key in expected:
        if match := re.match(r"cfg_t(\d+)_s([\d.]+)_", key):
            cases.setdefault((int(match[1]), match[2]), []).append(key)
        elif match := re.match(r"sdm_origin_train_t(\d+)_(\d+)_(\w+)", key):
            found = _loss(network, seed, (int(match[1]), int(match[2])), weight=1.0)
            yield _loss_row(key, found[match[3]], expected[key])
    for (timestep, guidance), keys in cases.items():
        x = normal(seed, 100 + timestep, shape)
        answer = Denoiser(network, diffusion, labels, guidance=float(guidance))(x, timestep)
        ours = {"mean": answer.mean, "log_variance": answer.log_variance, "pred_xstart": answer.clean}
        for key in keys:
            values = ours[key.split("__")[0].split("_", 3)[3]]
            yield _step_row(key, timestep, _every(values, key), expected[key])


@torch.inference_mode()
def _losses(network: SdmUnet, expected: Arrays, seed: int) -> Iterator[ParityRow]:
    for key in expected:
        match = re.match(r"train_t(\d+)_(\d+)_([a-z_]+?)(__s\d+)?$", key)
        if match is None:
            continue
        found = _loss(network, seed, (int(match[1]), int(match[2])))
        if match[3] == "q_sample":
            yield _row("tiny64", key, _every(found["q_sample"], key), expected[key], STEP)
        else:
            yield _loss_row(key, found[match[3]], expected[key])


def _loss_row(key: str, found: torch.Tensor, expected: NDArray[Any]) -> ParityRow:
    off = difference(found.numpy() / expected, np.ones_like(expected))
    return ParityRow(network="sdm-unet tiny64", quantity=key, difference=off, tolerance=LOSS, note="relative")


def _loss(
    network: SdmUnet, seed: int, timesteps: tuple[int, int], *, weight: float = 0.001
) -> Mapping[str, torch.Tensor]:
    side = network.config.image_size
    shape = (2, 3, side, side)
    diffusion = Diffusion(noise_schedule("cosine", 1000))
    clean, noise, steps = 2 * uniform(seed, 31, shape) - 1, normal(seed, 32, shape), torch.tensor(timesteps)
    labels = Labels(_labels(side, seed, seed + 13))
    found = losses(network, diffusion, clean, labels, steps=steps, noise=noise, weight=weight)
    return {"mse": found.mse, "vb": found.vb, "loss": found.total, "q_sample": diffusion.noised(clean, noise, steps)}


@torch.inference_mode()
def _trajectories(network: SdmUnet, expected: Arrays, seed: int) -> Iterator[ParityRow]:
    side = network.config.image_size
    for case in sorted({key.partition("__")[0] for key in expected}):
        sampler, name, respacing, eta = case.split("_")
        schedule = noise_schedule(name, 1000, respacing=respacing.replace("-", ","))
        yield _row("tiny64", f"{case} timesteps", schedule.timesteps, expected[f"{case}__timestep_map"], 0)
        denoiser = Denoiser(network, Diffusion(schedule), Labels(_labels(side, seed), keep=True))
        pictures = list(
            walk(
                denoiser, TaggedNoise(seed, (1, 3, side, side)),
                sampler="ancestral" if sampler == "ddpm" else sampler, eta=float(eta.removeprefix("eta")),
            )
        )  # fmt: skip
        for key in sorted(key for key in expected if key.startswith(f"{case}__")):
            quantity = key.removeprefix(f"{case}__")
            if match := re.fullmatch(r"sample_after_call(\d+)__s\d+", quantity):
                yield _row("tiny64", key, _every(pictures[int(match[1])], key), expected[key], TRAJECTORY)
            elif quantity.startswith("final__s"):
                yield _row("tiny64", key, _every(pictures[-1], key), expected[key], TRAJECTORY)
            elif quantity == "final_uint8_save_image":
                off = np.abs(as_levels(pictures[-1]).astype(int) - expected[key].transpose(0, 2, 3, 1).astype(int))
                worst = math.inf if off.max() > 1 else float((off > 0).mean())
                yield ParityRow(network="sdm-unet tiny64", quantity=key, difference=worst, tolerance=OFF_BY_ONE_SHARE,
                                note="share of levels that are off by one")  # fmt: skip


def _preparation(expected: Arrays, seed: int) -> Iterator[ParityRow]:
    def row(quantity: str, found: Any, tolerance: float = 0) -> ParityRow:
        return compared("sdm preparation", quantity, found, expected[quantity], tolerance=tolerance)

    for key in sorted(expected):
        if match := re.fullmatch(r"subsample_(rows|cols)_(\d+)_(\d+)", key):
            size = int(match[2] if match[1] == "rows" else match[3])
            yield row(key, subsampled(size, len(expected[key])))
        elif match := re.fullmatch(r"loader_img_(\d+)_(\d+)", key):
            height, width = int(match[1]), int(match[2])
            size = len(expected[key])
            picture = np.random.default_rng([seed, 61, height]).integers(0, 256, (height, width), dtype=np.uint8)
            ours = resized_picture(np.repeat(picture[:, :, None], 3, axis=2), size)[:, :, 0]
            yield row(key, ours)
            labels = f"loader_label_{height}_{width}"
            yield row(labels, resized_labels(label_map(height, width, seed), size))
            norm = f"loader_norm_{height}_{width}"
            stride = size // len(expected[norm])
            yield row(norm, normalised(ours)[::stride, ::stride], 1e-6)
    yield row("compose_sector", sector_codes(expected["compose_seg"], expected["compose_img"]))
    size = len(expected["edge_map"])
    yield row("edge_map", edges(label_map(size, size, seed)))
