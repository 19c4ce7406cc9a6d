"""Reading weights that strangers published: never an arbitrary object, and every tensor checked before it is used."""

from __future__ import annotations

import datetime
import math
import pickle
import warnings
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from echonode.core.errors import CheckpointRefused

ALLOWED_TYPES = (datetime.datetime, datetime.date, datetime.time, datetime.timedelta, datetime.timezone)
CHECKPOINT_BYTES = 2 << 30
ZIP_MAGIC = b"PK\x03\x04"
LEGACY_MAGIC = (b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.",)
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
COUNT = "num_batches_tracked"
SHOWN = 4

Module = TypeVar("Module", bound=torch.nn.Module)
Shapes = Mapping[str, tuple[int, ...]]


class Forgotten:
    """Stands for a value that an author saved beside the tensors (settings of a run, a numpy score): nothing of it is kept."""

    def __init__(self, *parts: object) -> None:
        """Whatever it was made of."""

    def __setstate__(self, state: object) -> None:
        """Whatever it held."""


def load_published(path: Path, *, max_bytes: int = CHECKPOINT_BYTES, forgotten: Sequence[str] = ()) -> dict[str, Any]:
    """The dictionary that `torch.save` wrote to `path`, in its zip or its older format.

    Only tensors, numbers, text, containers and date types are ever built; objects of the classes and functions that
    `forgotten` names (argparse.Namespace) are read as Forgotten, and the real ones never called. Call it in a process with a memory limit:
    the older format may promise more than the file holds.

    Raises:
        CheckpointRefused: another format, cut off, other objects inside, or no dictionary.
    """
    size = path.stat().st_size
    if size > max_bytes:
        raise CheckpointRefused(f"{size} bytes, more than {max_bytes}")
    with path.open("rb") as file:
        start = file.read(16)
    if start.startswith(ZIP_MAGIC):
        _check_archive(path, size)
    elif not start.startswith(LEGACY_MAGIC):
        raise CheckpointRefused("is no checkpoint that torch.save wrote: neither its zip nor its older format")
    known: list[Any] = [*ALLOWED_TYPES, *((Forgotten, name) for name in forgotten)]
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(known):
            warnings.simplefilter("ignore")
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointRefused(_unsafe(str(error))) from error
    except MemoryError:
        raise
    except Exception as error:  # an edge: a hostile stream can break the reader in any way
        raise CheckpointRefused(f"is damaged or cut off: {type(error).__name__}: {_line(str(error))}") from error
    if not isinstance(content, dict):
        raise CheckpointRefused(f"holds a {type(content).__name__}, a dictionary is expected")
    return content


def without_prefix(content: object, prefixes: Sequence[str], *, where: str) -> dict[str, Any]:
    """A state dict without the first of `prefixes` that all its keys begin with, if any; wrappers leave such ones.

    Raises:
        CheckpointRefused: no dictionary.
    """
    if not isinstance(content, Mapping):
        raise CheckpointRefused(f"{where}: a dictionary of tensors is expected, not a {type(content).__name__}")
    for prefix in prefixes:
        if content and all(str(key).startswith(prefix) for key in content):
            return {str(key)[len(prefix) :]: value for key, value in content.items()}
    return {str(key): value for key, value in content.items()}


def outline(build: Callable[[], Module]) -> Module:
    """A network without storage: its shapes at once, or a place for checked weights, and no time lost on random ones.

    Give it weights with `load_state_dict(..., assign=True)`.
    """
    with torch.device("meta"):
        return build()


def shapes_of(network: torch.nn.Module) -> dict[str, tuple[int, ...]]:
    """The keys and shapes that a network's state dict has."""
    return {key: tuple(value.shape) for key, value in network.state_dict().items()}


def checked_state(content: object, expected: Shapes, *, where: str) -> dict[str, torch.Tensor]:
    """The tensors of one network, float32, contiguous, in the order of `expected`; counts of batches stay int64.

    Raises:
        CheckpointRefused: missing or surplus keys, a wrong shape or type, or a value that is no finite number; `where`
            names the network in the message.
    """
    if not isinstance(content, Mapping):
        raise CheckpointRefused(f"{where}: a dictionary of tensors is expected, not a {type(content).__name__}")
    found = {str(key): value for key, value in content.items()}
    complaints = _difference("lacks", expected.keys() - found.keys())
    complaints += _difference("has surplus", found.keys() - expected.keys())
    shared = [key for key in expected if key in found]
    no_tensors = [key for key in shared if not isinstance(found[key], torch.Tensor)]
    complaints += _difference("has no tensor at", set(no_tensors))
    tensors = {key: found[key] for key in shared if key not in no_tensors}
    complaints += _difference(
        "has wrong shapes",
        {f"{key} {tuple(value.shape)} instead of {tuple(expected[key])}"
         for key, value in tensors.items() if tuple(value.shape) != tuple(expected[key])},
    )  # fmt: skip
    complaints += _difference(
        "has wrong types",
        {f"{key} {value.dtype}" for key, value in tensors.items()
         if value.dtype not in ((torch.int64,) if key.endswith(COUNT) else FLOATS) or value.is_sparse},
    )  # fmt: skip
    if complaints:
        raise CheckpointRefused(f"{where} {'; '.join(complaints)}")
    sound = {
        key: tensors[key].detach().to(torch.int64 if key.endswith(COUNT) else torch.float32).contiguous().clone()
        for key in expected
    }
    not_finite = {key for key, value in sound.items() if not bool(torch.isfinite(value).all())}
    if not_finite:
        raise CheckpointRefused(f"{where} {_difference('has values that are no finite number in', not_finite)[0]}")
    return sound


def load_weights(path: Path, expected: Shapes) -> dict[str, torch.Tensor]:
    """The checked tensors of a package's safetensors file.

    Raises:
        CheckpointRefused: the file is no safetensors file or its tensors are not `expected`.
    """
    try:
        content = load_file(path, device="cpu")
    except (SafetensorError, OSError) as error:
        raise CheckpointRefused(f"{path}: {_line(str(error))}") from error
    return checked_state(content, expected, where=path.name)


def _check_archive(path: Path, size: int) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise CheckpointRefused(f"is damaged or cut off: {_line(str(error))}") from error
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise CheckpointRefused("is a compressed zip; torch.save stores without compression")
    if math.fsum(entry.file_size for entry in entries) > size or len(entries) > 100_000:
        raise CheckpointRefused("promises more bytes than the file has")


def _unsafe(message: str) -> str:
    for marker in ("GLOBAL ", "Unsupported class ", "Unsupported global: "):
        if marker in message:
            name = message.split(marker, 1)[1].split()[0].rstrip(".,")
            return f"holds {name[:120]}, which is no tensor, number, text or date; it is never unpickled"
    return f"holds something that is no tensor, number, text or date; it is never unpickled: {_line(message)}"


def _difference(verb: str, keys: set[str]) -> list[str]:
    if not keys:
        return []
    shown = ", ".join(key[:120] for key in sorted(keys)[:SHOWN])
    more = f" and {len(keys) - SHOWN} more" if len(keys) > SHOWN else ""
    return [f"{verb} {shown}{more}"]


def _line(message: str) -> str:
    return " ".join(message.split())[:200]
