"""Results on disk: how a runner process hands large arrays back. One folder a run, plain .npy files and one JSON page.

The page is written last and renamed into place, so a folder with a page is complete. Nothing is ever unpickled.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from echonode.core.errors import RunFailed
from echonode.core.result_json import KINDS, json_values, kind_of, plain, restored
from echonode.core.results import Details, Result

PAGE = "results.json"
LARGE = frozenset({"frames", "labels"})
"""Arrays that are mapped, not read, when results come back."""


def write_results(folder: Path, results: Sequence[Result]) -> None:
    """Write `results` into `folder`, which must exist; a folder that was written before is overwritten."""
    page = []
    for number, result in enumerate(results):
        values = {}
        for field in fields(result):
            value = getattr(result, field.name)
            if isinstance(value, np.ndarray):
                values[field.name] = {"array": _saved(folder, f"{number:02d}-{field.name}.npy", value)}
            else:
                # details are whatever a model tells beside its results: a number that is none must not cost those
                values[field.name] = plain(json_values(value) if isinstance(result, Details) else value)
        page.append({"kind": kind_of(result), "values": values})
    draft = folder / (PAGE + ".part")
    draft.write_text(json.dumps(page, allow_nan=False))
    draft.replace(folder / PAGE)


def read_results(folder: Path) -> tuple[Result, ...]:
    """The results in `folder`; frames and labels are memory-mapped, read-only.

    Raises:
        RunFailed: the folder is not what `write_results` writes.
    """
    try:
        page = json.loads((folder / PAGE).read_text())
        return tuple(_result(folder, KINDS[item["kind"]], item["values"]) for item in page)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunFailed(f"the runner's results cannot be read: {type(error).__name__}: {error}") from error


def _saved(folder: Path, name: str, array: np.ndarray) -> str:
    """The file of `array` in `folder`; one that the runner wrote there itself is not written twice."""
    if isinstance(array, np.memmap) and array.filename is not None and Path(array.filename).parent == folder:
        there = np.load(array.filename, mmap_mode="r", allow_pickle=False)
        if (there.shape, there.dtype) == (array.shape, array.dtype):
            array.flush()
            return Path(array.filename).name
    np.save(folder / name, array, allow_pickle=False)
    return name


def _result(folder: Path, kind: type[Result], values: Mapping[str, Any]) -> Result:
    arguments: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict) and "array" in value:
            path = folder / Path(value["array"]).name
            arguments[name] = np.load(path, mmap_mode="r" if name in LARGE else None, allow_pickle=False)
        else:
            arguments[name] = restored(value)
    return kind(**arguments)
