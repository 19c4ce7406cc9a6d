"""Parity vectors: networks filled by a rule that needs nobody's code, and numbers held against the authors' own.

A set is a folder with `set.json` (`seed`, `video_constant`) and one folder a family of networks. What varies between
sets stands in their JSON files and arrays; rules and tolerances stand in the tasks' `parity.py`.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import nn

from echonode.core.errors import BadInput
from echonode.core.parity import ParityRow

Kind = Literal["weight", "scale", "bias", "mean", "variance", "count"]
Network = TypeVar("Network", bound=nn.Module)

KINDS: Final[Mapping[str, Kind]] = {
    "w": "weight", "b": "bias", "nw": "scale", "rm": "mean", "rv": "variance", "nbt": "count",
    "z_over_sqrt_fan_in": "weight", "0.02z": "bias", "one_plus_0.1z": "scale",
}  # fmt: skip
SUMS: Final = ("sum", "sum_after_fill")
SUM_TOLERANCE: Final = 1e-9


@dataclass(frozen=True, kw_only=True, slots=True)
class VectorSet:
    """Where a set lies, and its two constants: s and k of the rules."""

    folder: Path
    seed: int
    video_constant: int


def read_set(folder: Path) -> VectorSet:
    """The set in `folder`.

    Raises:
        BadInput: there is no set.json, or it has no whole numbers `seed` and `video_constant`.
    """
    content = read_json(folder / "set.json")
    seed, constant = (content.get(key) for key in ("seed", "video_constant")) if isinstance(content, dict) else (0, "")
    if type(seed) is not int or type(constant) is not int:
        raise BadInput(f"{folder / 'set.json'}: whole numbers seed and video_constant were expected")
    return VectorSet(folder=folder, seed=seed, video_constant=constant)


def read_json(path: Path) -> Any:
    """What a JSON file of a set says.

    Raises:
        BadInput: it is not there, or is no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise BadInput(f"{path}: is no JSON: {error}") from error


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of an .npz file by name; pickled ones are refused.

    Raises:
        BadInput: it is not there, or is no such file.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise BadInput(f"{path}: is no file of arrays: {' '.join(str(error).split())[:200]}") from error


def drawn(key: str, shape: Sequence[int], kind: Kind, *, gain: float = 1.0) -> torch.Tensor:
    """The tensor of `key` by the rule: float32, or int64 0 for a count; weights are then multiplied by float32 `gain`."""
    if kind == "count":
        return torch.zeros(tuple(shape), dtype=torch.int64)
    r = np.random.default_rng(zlib.crc32(key.encode("utf-8"))).standard_normal(tuple(shape))
    if kind == "weight":
        values = r / math.sqrt(math.prod(shape[1:]))
    else:
        values = {"scale": 1 + 0.1 * r, "bias": 0.02 * r, "mean": 0.1 * r, "variance": 1 + 0.1 * np.abs(r)}[kind]
    single = np.asarray(values, np.float32)
    if kind == "weight" and gain != 1.0:
        single = single * np.float32(gain)
    return torch.from_numpy(single)


def by_rule(network: nn.Module, *, gain: float = 1.0) -> dict[str, torch.Tensor]:
    """The state dict of `network`, every entry drawn by the rule from its own key."""
    slopes = {f"{name}.weight".lstrip(".") for name, module in network.named_modules() if isinstance(module, nn.PReLU)}
    return {
        key: drawn(key, value.shape, _kind(key, value, slopes), gain=gain)
        for key, value in network.state_dict().items()
    }


def filled(network: Network, *, gain: float = 1.0) -> Network:
    """`network`, which may be an outline, with weights by the rule, in eval mode, without gradients."""
    outlined = any(parameter.is_meta for parameter in network.parameters())
    network.load_state_dict(by_rule(network, gain=gain), assign=outlined)
    return network.eval().requires_grad_(False)


def state_row(name: str, network: nn.Module, listed: Iterable[Mapping[str, Any]], *, quantity: str = "") -> ParityRow:
    """How far the state dict of `network` is from the one that a set lists: keys, shapes, and sums of drawn values.

    The difference is the number of keys that are missing, surplus or of another shape, else the largest difference of
    a sum, relative to its size where that is above 1. Entries have `key`, `shape`, and a sum where the set tells it;
    `init` or `fill` names the rule of an entry where its key does not.
    """
    entries = {str(entry["key"]): entry for entry in listed}
    found = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    wrong = len(entries.keys() ^ found.keys())
    wrong += sum(tuple(entry["shape"]) != found[key] for key, entry in entries.items() if key in found)
    worst = 0.0
    if not wrong:
        ours = by_rule(network)
        for key, entry in entries.items():
            expected = next((float(entry[name]) for name in SUMS if name in entry), None)
            kind = KINDS.get(str(entry.get("init", entry.get("fill", ""))))
            tensor = drawn(key, entry["shape"], kind) if kind else ours[key]
            total = float(tensor.numpy().astype(np.float64).sum())
            if not torch.equal(tensor, ours[key]):
                worst = math.inf
            elif expected is not None:
                worst = max(worst, abs(total - expected) / max(1.0, abs(expected)))
    return ParityRow(
        network=name, quantity=quantity or "keys, shapes, sums of weights", difference=wrong or worst,
        tolerance=SUM_TOLERANCE, note=f"{len(entries)} entries",
    )  # fmt: skip


def compared(
    network: str,
    quantity: str,
    found: ArrayLike | torch.Tensor,
    expected: ArrayLike,
    *,
    tolerance: float,
    note: str = "",
) -> ParityRow:
    """The largest absolute difference of two arrays; infinite where the shapes differ or a value is no number."""
    ours = found.detach().cpu().numpy() if isinstance(found, torch.Tensor) else found
    return ParityRow(
        network=network, quantity=quantity, difference=difference(ours, expected), tolerance=tolerance, note=note
    )


def difference(found: ArrayLike, expected: ArrayLike) -> float:
    """The largest absolute difference, in float64; infinite where the shapes differ or a value is no number."""
    ours, theirs = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    if ours.shape != theirs.shape:
        return math.inf
    if ours.size == 0:
        return 0.0
    largest = float(np.abs(ours - theirs).max())
    return largest if math.isfinite(largest) else math.inf


def strided(values: torch.Tensor | NDArray[Any], step: int, count: int) -> NDArray[Any]:
    """Every `step`-th value of the flattened array, the first `count` of them."""
    flat = values.detach().cpu().numpy().reshape(-1) if isinstance(values, torch.Tensor) else values.reshape(-1)
    return flat[::step][:count]


def stated_count(formula: str) -> int:
    """How many values a formula that ends with "i=0..49" is for.

    Raises:
        ValueError: it does not say.
    """
    found = re.search(r"i=0\.\.(\d+)", formula)
    if found is None:
        raise ValueError(f"{formula!r} does not say how many values it is for")
    return int(found[1]) + 1


def formula_video(count: int, height: int, width: int, k: int) -> NDArray[np.uint8]:
    """The video of the rules, uint8 (T, H, W, 3), channels as OpenCV decodes them: blue, green, red."""
    y, x, c = np.ogrid[0:height, 0:width, 0:3]
    video = np.empty((count, height, width, 3), np.uint8)
    for t in range(count):
        video[t] = (13 * k * t + 3 * y + 5 * x + 29 * c + (x * y * (t + k)) % 97) % 256
    return video


def formula_video_row(network: str, name: str, video: NDArray[np.uint8], sha256: str) -> ParityRow:
    """Whether the video is the one that the set was made with: 0, or 1 where its digest is another."""
    same = hashlib.sha256(np.ascontiguousarray(video).tobytes()).hexdigest() == sha256
    return ParityRow(network=network, quantity=f"{name} video", difference=0.0 if same else 1.0, tolerance=0.0)


def _kind(key: str, value: torch.Tensor, slopes: set[str]) -> Kind:
    if key.endswith("num_batches_tracked"):
        return "count"
    if key.endswith("running_mean"):
        return "mean"
    if key.endswith("running_var"):
        return "variance"
    if value.ndim >= 2:
        return "weight"
    return "scale" if key.endswith("weight") and key not in slopes else "bias"
