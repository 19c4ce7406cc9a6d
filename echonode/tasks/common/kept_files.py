"""Arrays that take long to make, made once by several processes and kept as files: what training looks at again and again."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from echonode.core.errors import BadInput, EchonodeError

Arrays = Mapping[str, NDArray[Any]]
Origin = TypeVar("Origin")
Told = Callable[[int, int], None]
WORKERS: Final = 2
FEW: Final = 8
"""Fewer are made here: starting processes takes longer."""


def kept_files(
    make: Callable[[Origin], Arrays | str], origins: Sequence[Origin], places: Sequence[Path], *, folder: Path,
    workers: int, told: Told | None,
) -> list[Path | str]:  # fmt: skip
    """The .npz file of each origin, at its place in `folder`, or the reason why there is none; what is missing is made.

    `make` gives the arrays or the reason; an EchonodeError or ValueError of it is a reason too (a plane that misses the
    heart it should cut). It is sent to other processes with its origins. `told` hears how many of how many are there.

    Raises:
        BadInput: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"{folder}: cannot be used as a cache: {error.strerror}") from error
    found: list[Path | str] = list(places)
    missing = [number for number, place in enumerate(places) if not place.is_file()]
    done = len(places) - len(missing)

    def note(number: int, reason: str | None) -> None:
        nonlocal done
        done += 1
        if reason is not None:
            found[number] = reason
        if told is not None:
            told(done, len(places))

    write = partial(_write, make)
    if workers < 2 or len(missing) < FEW:
        for number in missing:
            note(number, write(origins[number], places[number]))
        return found
    # Spawned, not forked: a forked child of a process with threads may wait for ever for a lock of theirs.
    with ProcessPoolExecutor(
        min(workers, WORKERS), mp_context=get_context("spawn"), initializer=cv2.setNumThreads, initargs=(1,)
    ) as pool:
        runs = {pool.submit(write, origins[number], places[number]): number for number in missing}
        for run in as_completed(runs):
            note(runs[run], run.result())
    return found


def _write(make: Callable[[Origin], Arrays | str], origin: Origin, place: Path) -> str | None:
    """Write one file, whole or not at all; the reason where there is nothing to write."""
    try:
        made = make(origin)
    except (EchonodeError, ValueError) as error:
        return str(error)
    if isinstance(made, str):
        return made
    part = place.with_name(f".{place.name}.{os.getpid()}")
    with part.open("wb") as file:
        np.savez(file, allow_pickle=False, **dict(made))
    part.replace(place)
    return None
