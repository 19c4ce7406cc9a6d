"""The state of a run in one file: what the recipe gives, and every random generator of every process.

Only tensors, numbers, text and containers go in, so that torch reads it back with `weights_only=True`.
"""

from __future__ import annotations

import pickle
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from echonode.core.errors import BadInput
from echonode.training.atomic import write_with

FORMAT = 1


def save_checkpoint(path: Path, content: Mapping[str, Any], *, also: Path | None = None) -> None:
    """Write `content` whole or not at all; `also` is a second file that gets it first.

    Raises:
        TypeError: a value that is no tensor, number, text or container of such; the message says where it is.
    """
    kept = {"format": FORMAT, **{key: plain(value, key) for key, value in content.items()}}
    write_with(path, lambda part: torch.save(kept, part), also=also)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """What `save_checkpoint` wrote, tensors on the CPU.

    Raises:
        BadInput: it is damaged, or no such file.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        line = str(error).strip().split("\n", 1)[0]
        raise BadInput(f"{path}: cannot be read as a checkpoint: {line}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise BadInput(f"{path}: is no checkpoint of a run")
    return content


def random_state(device: torch.device) -> dict[str, Any]:
    """The state of every generator that a recipe may draw from: torch, the GPU, numpy, Python."""
    name, keys, place, has_gauss, gauss = np.random.get_state(legacy=True)
    version, internal, gauss_next = random.getstate()
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
        "numpy": [str(name), torch.from_numpy(np.asarray(keys, np.int64)), int(place), int(has_gauss), float(gauss)],
        "python": [version, list(internal), gauss_next],
    }


def set_random_state(state: Mapping[str, Any], device: torch.device) -> None:
    """Put every generator back to where `random_state` found it."""
    torch.set_rng_state(state["torch"])
    if device.type == "cuda" and state["cuda"] is not None:
        torch.cuda.set_rng_state(state["cuda"], device)
    name, keys, place, has_gauss, gauss = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), place, has_gauss, gauss))
    version, internal, gauss_next = state["python"]
    random.setstate((version, tuple(internal), gauss_next))


def seed_everything(seed: int, rank: int) -> None:
    """Begin every generator at a state that the seed and the rank decide."""
    first, second, third = (int(word) for word in np.random.SeedSequence([seed, rank]).generate_state(3, np.uint32))
    torch.manual_seed(first)
    np.random.seed(second)
    random.seed(third)


def plain(value: Any, where: str) -> Any:
    """`value` with numpy values as tensors and numbers, and every container as a plain one.

    Raises:
        TypeError: something else is in it.
    """
    if isinstance(value, torch.Tensor):
        return value.detach() if isinstance(value, torch.nn.Parameter) else value
    if isinstance(value, np.generic):
        return value.item()
    # numpy's float64 is a float, and an Enum may be text: only the plain kinds read back safely.
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    if value is None:
        return None
    if isinstance(value, np.ndarray):
        return torch.from_numpy(np.ascontiguousarray(value))
    if isinstance(value, Mapping):
        return {key: plain(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        items = [plain(item, f"{where}[{number}]") for number, item in enumerate(value)]
        return items if isinstance(value, list) else tuple(items)
    raise TypeError(f"{where}: a {type(value).__name__} cannot be kept in a checkpoint")
