"""Our networks, clips, losses and metrics against what the authors' own code gave for CoReEcho."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from echonode.core.clip import Clip
from echonode.core.parity import ParityRow
from echonode.tasks.common.checkpoint import outline
from echonode.tasks.common.parity import (
    compared,
    difference,
    filled,
    formula_video,
    formula_video_row,
    read_arrays,
    read_json,
    read_set,
    state_row,
    stated_count,
    strided,
)  # fmt: skip
from echonode.tasks.ejection_fraction.convention import Convention
from echonode.tasks.ejection_fraction.estimator import Estimate, Estimator
from echonode.tasks.ejection_fraction.losses import rank_n_contrast
from echonode.tasks.ejection_fraction.metrics import mae, r2, rmse
from echonode.tasks.ejection_fraction.net import build
from echonode.tasks.ejection_fraction.prepare import published

ENCODER, REGRESSOR, COREECHO, RNC = "uniformer-small", "ef-regressor", "coreecho", "rank-n-contrast"
THREADS: Final = 2
EMBEDDING: Final = 1e-4
PERCENT: Final = 1e-5
EXACT: Final = 0.0
STATISTIC: Final = 1e-9  # float64 means over a clip, whose order of summation is not ours
CLIP_MEAN: Final = 1e-5
LOSS: Final = 1e-5
GRADIENT: Final = 1e-6
METRIC: Final = 1e-5
STAGES: Final = (
    "patch_embed1", "blocks1", "patch_embed2", "blocks2", "patch_embed3", "blocks3", "patch_embed4", "blocks4", "norm",
)  # fmt: skip


def check(folder: Path, whole: bool) -> Iterator[ParityRow]:
    """A row for every quantity of `folder`/coreecho; none where the set has no such folder.

    Runs with two threads: with one the sums of blocks3 come in another order and were 1.26e-4 apart.

    Raises:
        BadInput: a file of the set is missing or unreadable.
    """
    vectors = folder / "coreecho"
    if not vectors.is_dir():
        return
    constants = read_set(folder)
    encoder, regressor = (
        filled(outline(partial(build, "uniformer-small"))),
        filled(outline(partial(build, "ef-regressor"))),
    )
    listed = read_json(vectors / "state_dict_keys.json")
    yield state_row(ENCODER, encoder, listed["model"]["keys"])
    yield state_row(REGRESSOR, regressor, listed["regressor"]["keys"])
    threads = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    try:
        with torch.inference_mode():
            yield from _networks(encoder, regressor, read_arrays(vectors / "network_random_input.npz"), constants.seed)
            yield from _clips(encoder, regressor, vectors)
    finally:
        torch.set_num_threads(threads)
    yield from _loss(vectors)


def _networks(
    encoder: nn.Module, regressor: nn.Module, arrays: Mapping[str, NDArray[Any]], seed: int
) -> Iterator[ParityRow]:
    levels = Convention()
    means, deviations = (255 * np.array(values) for values in (levels.means, levels.deviations))
    for tag in sorted(name.removesuffix("_input_shape") for name in arrays if name.endswith("_input_shape")):
        shape = tuple(int(size) for size in arrays[f"{tag}_input_shape"])
        x = np.random.default_rng(seed).random(shape, dtype=np.float32) * np.float32(255)
        for channel in range(shape[1]):
            x[:, channel] -= means[channel]
            x[:, channel] /= deviations[channel]
        expected = arrays[f"{tag}_input_sample"]
        yield compared(ENCODER, f"{tag} input", strided(x, int(arrays[f"{tag}_input_step"]), len(expected)), expected,
                       tolerance=EXACT)  # fmt: skip
        seen, (head, embedding) = _watched(encoder, torch.from_numpy(x))
        yield _stages(tag, seen, arrays)
        yield compared(ENCODER, f"{tag} embedding", embedding, arrays[f"{tag}_embedding"], tolerance=EMBEDDING)
        yield compared(ENCODER, f"{tag} head", head, arrays[f"{tag}_head"], tolerance=PERCENT)
        yield compared(COREECHO, f"{tag} EF", regressor(embedding), arrays[f"{tag}_ef"], tolerance=PERCENT)
    expected = arrays["regressor_only_out"]
    features = np.random.default_rng(seed + 1).standard_normal((len(expected), 512)).astype(np.float32)
    yield compared(REGRESSOR, "output", regressor(torch.from_numpy(features)), expected, tolerance=PERCENT)


def _watched(encoder: nn.Module, x: torch.Tensor) -> tuple[dict[str, torch.Tensor], Any]:
    """What every stage gave on the way, and the answer."""
    seen: dict[str, torch.Tensor] = {}
    hooks = []
    for stage in STAGES:
        module = encoder.get_submodule(stage)
        last = list(module.children())[-1] if isinstance(module, nn.ModuleList) else module

        def keep(_: nn.Module, __: Any, output: torch.Tensor, stage: str = stage) -> None:
            seen[stage] = output

        hooks.append(last.register_forward_hook(keep))
    try:
        return seen, encoder(x)
    finally:
        for hook in hooks:
            hook.remove()


def _stages(tag: str, seen: Mapping[str, torch.Tensor], arrays: Mapping[str, NDArray[Any]]) -> ParityRow:
    """The largest difference of any stage: channel means, deviations, and samples."""
    worst, where = 0.0, ""
    for stage, output in seen.items():
        flat = output.flatten(2)
        sample = arrays[f"{tag}_{stage}_sample"]
        for found, expected in (
            (flat.mean(-1), arrays[f"{tag}_{stage}_mean"]),
            (flat.std(-1, unbiased=False), arrays[f"{tag}_{stage}_std"]),
            (strided(output, int(arrays[f"{tag}_{stage}_step"]), len(sample)), sample),
        ):
            found_ = found.numpy() if isinstance(found, torch.Tensor) else found
            far = difference(found_, expected)
            worst, where = (far, stage) if far > worst else (worst, where)
    return ParityRow(
        network=ENCODER, quantity=f"{tag} {len(seen)} stages", difference=worst, tolerance=EMBEDDING,
        note=f"largest in {where}" if where else "",
    )  # fmt: skip


def _clips(encoder: nn.Module, regressor: nn.Module, vectors: Path) -> Iterator[ParityRow]:
    arrays = read_arrays(vectors / "preprocess.npz")
    for name, case in read_json(vectors / "preprocess_cases.json").items():
        if name.startswith("_"):
            continue
        video = formula_video(case["T"], case["H"], case["W"], case["k"])
        yield formula_video_row(COREECHO, name, video, case["video_sha256"])
        convention = Convention(frames=int(case["frames"]), stride=int(case["frequency"]))
        clip = Clip(frames=np.ascontiguousarray(video[..., ::-1]), times_ms=20.0 * np.arange(len(video)))
        prepared = published(clip, convention, starts=[int(start) for start in case["starts"]], as_is=True)
        tensors = list(prepared.tensors(convention))
        for start, tensor in zip(case["starts"], tensors, strict=True):
            yield from _clip_rows(f"{name} from {start}", tensor, arrays, f"{name}_s{start}_")
        if "ef_per_clip" not in case:
            continue
        networks = {"encoder": encoder, "regressor": regressor}
        estimator = Estimator(networks, method="regressor", device=torch.device("cpu"))
        estimates: list[Estimate] = list(estimator.estimates(tensors))
        percents = [estimate.percent or 0.0 for estimate in estimates]
        yield compared(COREECHO, f"{name} EF a clip", percents, case["ef_per_clip"], tolerance=PERCENT)
        yield compared(COREECHO, f"{name} EF", float(np.mean(percents)), case["ef_mean"], tolerance=PERCENT)
        embeddings = torch.stack([estimate.embedding for estimate in estimates])
        expected = arrays[f"{name}_embedding_per_clip"]
        yield compared(ENCODER, f"{name} embeddings", embeddings, expected, tolerance=EMBEDDING)


def _clip_rows(name: str, tensor: torch.Tensor, arrays: Mapping[str, NDArray[Any]], prefix: str) -> Iterable[ParityRow]:
    pixels, sample = tensor.numpy(), arrays[f"{prefix}sample"]
    wide = pixels.astype(np.float64)
    found = strided(pixels, int(arrays[f"{prefix}step"]), len(sample))
    yield compared(COREECHO, f"{name} pixels", found, sample, tolerance=EXACT)
    statistics = [wide.mean() - arrays[f"{prefix}mean"], wide.std() - arrays[f"{prefix}std"]]
    statistics += list((wide.mean(axis=(2, 3)) - arrays[f"{prefix}frame_mean"]).reshape(-1))
    statistics += [pixels.min() - arrays[f"{prefix}min"], pixels.max() - arrays[f"{prefix}max"]]
    shapes = difference(tensor.shape, arrays[f"{prefix}shape"])
    largest = float(np.abs(statistics).max()) if shapes == 0 else float("inf")
    yield ParityRow(network=COREECHO, quantity=f"{name} statistics", difference=largest, tolerance=CLIP_MEAN)


def _loss(vectors: Path) -> Iterator[ParityRow]:
    cases = read_json(vectors / "rnc_loss.json")
    arrays = read_arrays(vectors / "rnc_loss.npz")
    for name, case in cases.items():
        if name.startswith("_"):
            continue
        n, v, j = np.meshgrid(np.arange(case["N"]), np.arange(2), np.arange(case["D"]), indexing="ij")
        wave = np.sin(0.7 * case["k"] * (n + 1) * (j + 1)) + 0.3 * np.cos(1.3 * (v + 1) * (j + 1) + n)
        features = torch.from_numpy(wave.astype(np.float32)).requires_grad_()
        loss = rank_n_contrast(features, torch.tensor(case["labels"]), temperature=case["temperature"])
        (gradient,) = torch.autograd.grad(loss, features)
        expected = arrays[f"{name}_grad"]
        columns = gradient[:, :, :: case["D"] // expected.shape[2]]
        summed = wave.astype(np.float32).astype(np.float64).sum()
        yield compared(RNC, f"{name} features", summed, arrays[f"{name}_features_sum"], tolerance=STATISTIC)
        yield compared(RNC, f"{name} loss", loss, case["loss"], tolerance=LOSS)
        yield compared(RNC, f"{name} gradient", columns, expected, tolerance=GRADIENT)
        yield compared(RNC, f"{name} gradient norm", gradient.norm(), case["grad_l2"], tolerance=GRADIENT)
        yield compared(RNC, f"{name} largest gradient", gradient.abs().max(), case["grad_abs_max"], tolerance=GRADIENT)
    case = cases["_metrics"]
    i = np.arange(stated_count(case["y_true"]))
    truth = 30.0 + (17 * case["k"] * i) % 41
    predicted = truth + 0.7 * ((23 * case["k"] * i) % 19 - 9)
    for quantity, measure in (("r2", r2), ("mae", mae), ("rmse", rmse)):
        yield compared("ef-metrics", quantity, measure(truth, predicted), case[quantity], tolerance=METRIC)
