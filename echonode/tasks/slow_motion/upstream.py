"""Reading the authors' checkpoint of Super SloMo: one torch.save dictionary with both networks.

Layout (Paliwal's implementation, and Sahashi et al. after it): `state_dictFC` and `state_dictAT`, with Detail, epoch,
timestamp, batch sizes and loss curves beside them. The file says neither which means its pictures had nor how torch
warped when it was trained. `valSSIM` is written by the echo authors' code alone, so it decides the defaults.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from safetensors.torch import save_file

from echonode.core.errors import CheckpointRefused
from echonode.tasks.common.checkpoint import checked_state, load_published
from echonode.tasks.common.warp import CONVENTIONS
from echonode.tasks.slow_motion.net import build

NETWORKS: Final = {
    "flow": ("state_dictFC", "superslomo-flow"),
    "interpolation": ("state_dictAT", "superslomo-interpolation"),
}
BESIDE: Final = frozenset(
    {
        "Detail", "epoch", "timestamp", "trainBatchSz", "validationBatchSz", "learningRate", "loss", "valLoss",
        "valPSNR", "valSSIM",
    }
)  # fmt: skip
MEANS: Final = {"adobe": (0.429, 0.431, 0.397), "echo": (0.186, 0.184, 0.206)}
OPTIONS: Final = ("means", "warp_convention")


def import_superslomo(source: Path, folder: Path, options: Mapping[str, str]) -> dict[str, Any]:
    """Write flow.safetensors and interpolation.safetensors into `folder`; the manifest's tables come back.

    Options: `means`, "adobe", "echo" or three numbers "r,g,b" (adobe, or echo when the file is of the echo authors'
    code); `warp_convention`, half-pixel, legacy or exact (legacy, or half-pixel with them).

    Raises:
        CheckpointRefused: an option is unknown, or the file is not such a checkpoint.
    """
    unknown = sorted(set(options) - set(OPTIONS))
    if unknown:
        raise CheckpointRefused(f"superslomo takes no option {', '.join(unknown)}; it takes: {', '.join(OPTIONS)}")
    content = load_published(source)
    names = {str(key) for key in content}
    wanted = {key for key, _ in NETWORKS.values()}
    if not wanted <= names:
        raise CheckpointRefused(f"lacks {', '.join(sorted(wanted - names))}: it is no Super SloMo checkpoint")
    if surplus := sorted(names - wanted - BESIDE):
        raise CheckpointRefused(f"has surplus {', '.join(name[:60] for name in surplus[:4])}")
    echo = "valSSIM" in names
    means = _means(options.get("means", "echo" if echo else "adobe"))
    warp = options.get("warp_convention", "half-pixel" if echo else "legacy")
    if warp not in CONVENTIONS:
        raise CheckpointRefused(f"warp_convention: one of {', '.join(CONVENTIONS)} is expected, not {warp[:40]!r}")
    states = {}
    for role, (key, architecture) in NETWORKS.items():
        shapes = {name: tuple(value.shape) for name, value in build(architecture).state_dict().items()}
        states[role] = checked_state(content[key], shapes, where=key)
    for role, state in states.items():
        path = folder / f"{role}.safetensors"
        save_file(state, path)
        handle = os.open(path, os.O_RDONLY)
        os.fsync(handle)
        os.close(handle)
    return {
        "title": "Slow motion by Super SloMo",
        "architecture": {role: architecture for role, (_, architecture) in NETWORKS.items()},
        "config": {"means": list(means), "warp_convention": warp},
        "input": {"modes": ["2d", "unknown"], "frames_min": 2, "frame_gap_ms_max": 45.0, "colour": False},
        "output": [{"name": "loop"}],
        "trained_on": "echocardiograms, as the file's layout suggests"
        if echo
        else "not stated; the file does not tell",
    }


def _means(text: str) -> tuple[float, ...]:
    if text in MEANS:
        return MEANS[text]
    try:
        means = tuple(float(part) for part in text.split(","))
    except ValueError:
        means = ()
    if len(means) != 3 or not all(0 <= mean < 1 for mean in means):
        raise CheckpointRefused(f"means: adobe, echo or three numbers from 0 to 1 are expected, not {text[:40]!r}")
    return means
