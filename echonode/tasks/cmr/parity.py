"""Our network, clips and threshold against what the authors' own code gave for CMR findings."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from echonode.core.clip import Clip
from echonode.core.parity import ParityRow
from echonode.tasks.cmr.metrics import auc, youden
from echonode.tasks.cmr.net import build
from echonode.tasks.cmr.prepare import Convention, Preparation, published
from echonode.tasks.cmr.quantities import probability_of
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
)
from echonode.tasks.common.r2plus1d import STAGES

NETWORK, CLIPS = "r2plus1d-18", "cmr"
GAIN: Final = math.sqrt(2)
EMBEDDING: Final = 1e-4
LOGIT: Final = 1e-5
EXACT: Final = 0.0
CLIP_MEAN: Final = 1e-6
THRESHOLD: Final = 1e-9


def check(folder: Path, whole: bool) -> Iterator[ParityRow]:
    """A row for every quantity of `folder`/cmr; none where the set has no such folder.

    Raises:
        BadInput: a file of the set is missing or unreadable.
    """
    vectors = folder / "cmr"
    if not vectors.is_dir():
        return
    seed = read_set(folder).seed
    plain, grown = (
        filled(outline(partial(build, "r2plus1d-18"))),
        filled(outline(partial(build, "r2plus1d-18")), gain=GAIN),
    )
    yield state_row(NETWORK, plain, read_json(vectors / "state_dict_keys.json")["model"]["keys"])
    arrays = read_arrays(vectors / "network_random_input.npz")
    shape = tuple(int(size) for size in arrays["input_shape"])
    x = np.random.default_rng(seed).random(shape, dtype=np.float32)
    sample = arrays["input_sample"]
    yield compared(NETWORK, "input", strided(x, int(arrays["input_step"]), len(sample)), sample, tolerance=EXACT)
    with torch.inference_mode():
        yield from _network("", plain, torch.from_numpy(x), arrays)
        arrays = read_arrays(vectors / "network_random_input_gain2.npz")
        yield from _network("gain 2, ", grown, torch.from_numpy(x), arrays)
        yield from _videos(grown, shape, arrays)
        yield from _clips(plain, vectors)
    yield from _threshold(read_json(vectors / "preprocess_cases.json")["_youden"])


def _network(
    label: str, network: nn.Module, x: torch.Tensor, arrays: Mapping[str, NDArray[Any]]
) -> Iterator[ParityRow]:
    worst, where = 0.0, ""
    for stage in STAGES:
        x = network.get_submodule(stage)(x)
        flat = x.flatten(2)
        for name, found in (("mean", flat.mean(-1)), ("std", flat.std(-1, unbiased=False))):
            if f"{stage}_{name}" in arrays:
                far = difference(found.numpy(), arrays[f"{stage}_{name}"])
                worst, where = (far, stage) if far > worst else (worst, where)
        if f"{stage}_sample" in arrays:
            sample = arrays[f"{stage}_sample"]
            far = difference(strided(x, int(arrays[f"{stage}_step"]), len(sample)), sample)
            worst, where = (far, stage) if far > worst else (worst, where)
    yield ParityRow(
        network=NETWORK, quantity=f"{label}{len(STAGES)} stages", difference=worst, tolerance=EMBEDDING,
        note=f"largest in {where}" if where else "",
    )  # fmt: skip
    embedding = network.get_submodule("avgpool")(x).flatten(1)
    logits = network.get_submodule("fc")(embedding)
    yield compared(NETWORK, f"{label}embedding", embedding, arrays["embedding"], tolerance=EMBEDDING)
    yield compared(NETWORK, f"{label}logits", logits, arrays["logits"], tolerance=LOGIT)
    if "prob" in arrays:
        probabilities = [[probability_of(float(logit)) for logit in row] for row in logits]
        yield compared(NETWORK, f"{label}probabilities", probabilities, arrays["prob"], tolerance=LOGIT)


def _videos(network: nn.Module, shape: tuple[int, ...], arrays: Mapping[str, NDArray[Any]]) -> Iterator[ParityRow]:
    """Formula videos of the network's own size through the product's preparation."""
    _, _, frames, height, width = shape
    convention = Convention(frames=frames, side=height)
    for constant in sorted(
        int(found[1]) for found in map(re.compile(r"video_k(\d+)_logit").fullmatch, arrays) if found
    ):
        video = formula_video(frames * convention.stride, height, width, constant)
        (tensor,) = _prepared(video, convention).tensors()
        found = network(tensor.unsqueeze(0))
        quantity = f"gain 2, video {constant}"
        yield compared(NETWORK, quantity, found, arrays[f"video_k{constant}_logit"], tolerance=LOGIT)


def _clips(network: nn.Module, vectors: Path) -> Iterator[ParityRow]:
    arrays = read_arrays(vectors / "preprocess.npz")
    for name, case in read_json(vectors / "preprocess_cases.json").items():
        if name.startswith("_"):
            continue
        video = formula_video(case["T"], case["H"], case["W"], case["k"])
        yield formula_video_row(CLIPS, name, video, case["video_sha256"])
        _, frames, side, _ = (int(size) for size in arrays[f"{name}_shape"])
        prepared = _prepared(video, Convention(frames=frames, side=side), zoom=float(case["zoom"]))
        (clip,), (tensor,) = prepared.clips, list(prepared.tensors())
        same = hashlib.sha256(clip.tobytes()).hexdigest() == case["uint8_sha256_TxHxWx3"]
        yield ParityRow(network=CLIPS, quantity=f"{name} bytes", difference=0.0 if same else 1.0, tolerance=EXACT,
                        note="SHA-256 of the whole clip")  # fmt: skip
        kept = sorted(key for key in arrays if key.startswith(f"{name}_uint8_frame"))
        for key in kept:
            yield compared(CLIPS, key.replace("_uint8_", " "), clip[int(key.rsplit("frame", 1)[1])], arrays[key],
                           tolerance=EXACT)  # fmt: skip
        sample = arrays[f"{name}_sample"]
        found = strided(tensor, int(arrays[f"{name}_step"]), len(sample))
        yield compared(CLIPS, f"{name} pixels", found, sample, tolerance=EXACT)
        wide = tensor.double()
        statistics = [float(wide.mean()), float(wide.std(unbiased=False)), float(wide.min()), float(wide.max())]
        expected = [float(arrays[f"{name}_{key}"]) for key in ("mean", "std", "min", "max")]
        yield compared(CLIPS, f"{name} statistics", statistics, expected, tolerance=CLIP_MEAN)
        means, frame_means = wide.mean(dim=(2, 3)), arrays[f"{name}_frame_mean"]
        yield compared(CLIPS, f"{name} means of frames", means, frame_means, tolerance=CLIP_MEAN)
        logit = network(tensor.unsqueeze(0))
        yield compared(CLIPS, f"{name} logit", logit, arrays[f"{name}_logit"], tolerance=LOGIT)
        probability = [[probability_of(float(logit[0, 0]))]]
        yield compared(CLIPS, f"{name} probability", probability, arrays[f"{name}_prob"], tolerance=LOGIT)


def _prepared(video: NDArray[np.uint8], convention: Convention, *, zoom: float = 0.0) -> Preparation:
    """A video as the authors' reader gives it (blue first), through ours, which reads red first."""
    clip = Clip(frames=np.ascontiguousarray(video[..., ::-1]), times_ms=20.0 * np.arange(len(video)))
    prepared = published(clip, convention, zoom=zoom)
    assert isinstance(prepared, Preparation)
    return prepared


def _threshold(case: Mapping[str, Any]) -> Iterator[ParityRow]:
    """Scores and labels by the formulas that the case states in words."""
    i, k = np.arange(stated_count(case["score_formula"])), int(case["k"])
    scores = ((i * 37 * k + 11) % 101) / 101
    labels = ((((i * 53 * k + 7) % 97) / 97 * 0.6 + scores * 0.6) > 0.62).astype(np.float64)
    yield compared("cmr-metrics", "positives", float(labels.sum()), case["positives"], tolerance=EXACT)
    yield compared("cmr-metrics", "Youden threshold", youden(labels, scores), case["threshold"], tolerance=THRESHOLD)
    yield compared("cmr-metrics", "AUC", auc(labels, scores), case["auc"], tolerance=THRESHOLD)
