"""A folder of simulated studies: written in parallel, gone on with where it was interrupted, never mixed with others."""

from __future__ import annotations

import json
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2

from echonode import __version__
from echonode.core.errors import BadInput, RunFailed
from echonode.phantom.cohort import Cohort, Study
from echonode.phantom.frames import Syntax
from echonode.phantom.truth_file import FORMAT, document, write_json
from echonode.phantom.writing import write_study

ARGUMENTS_FILE, TRUTH_FILE = "simulation.json", "truth.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Simulation:
    """What a folder of simulated studies was asked for with."""

    cohort: Cohort
    syntax: Syntax = Syntax.JPEG
    labels: bool = True
    scale: float = 1.0
    """Part of each scanner's raster that the pictures get."""

    @property
    def arguments(self) -> dict[str, Any]:
        """As simulation.json keeps it."""
        return {
            "format": FORMAT,
            "made_by": f"echonode {__version__}",
            "cohort": str(self.cohort),
            "syntax": self.syntax.value,
            "labels": self.labels,
            "scale": self.scale,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class WrittenStudy:
    """One study in the folder; `seconds` is None when it was there already."""

    study: Study
    folder: Path
    objects: int
    size: int
    seconds: float | None


def simulate(
    simulation: Simulation, out: Path, *, workers: int = 1, told: Callable[[int, int], None] | None = None
) -> Iterator[WrittenStudy]:
    """Write every study of the cohort to `out`/<study>/ and at last `out`/truth.json; gives each study as it is done.

    A study appears in its folder whole or not at all. What an interrupted simulation of the same arguments left is kept.
    `told` hears the objects of a study as they come, where one worker does it all.

    Raises:
        BadInput: `out` cannot be used, or holds something else than a simulation of these arguments.
        RunFailed: a worker process was killed.
        OSError: the disk is full or broken.
    """
    prepare(simulation, out)
    cohort = simulation.cohort
    missing = []
    for index in range(len(cohort)):
        study = cohort[index]
        if (out / study.name / TRUTH_FILE).is_file():
            yield _written(study, out / study.name, seconds=None)
        else:
            missing.append(index)
    if workers == 1 or len(missing) < 2:
        for index in missing:
            yield _write(simulation, out, index, told)
    else:
        yield from _in_parallel(simulation, out, missing, workers=min(workers, len(missing)))
    studies = [json.loads((out / study.name / TRUTH_FILE).read_text("utf-8")) for study in cohort]
    write_json(out / TRUTH_FILE, document(str(cohort), studies))


def prepare(simulation: Simulation, out: Path) -> None:
    """Make `out` the folder of this simulation.

    Raises:
        BadInput: it is no folder, may not be written, or holds anything but a simulation of the same arguments.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        there = any(out.iterdir())
    except OSError as error:
        raise BadInput(f"{out}: cannot be used as a folder: {error.strerror}") from error
    kept = out / ARGUMENTS_FILE
    if there and not kept.is_file():
        raise BadInput(f"{out}: is not empty; a new folder, or one of an earlier simulation, was expected")
    if there:
        try:
            earlier = json.loads(kept.read_text("utf-8"))
        except (ValueError, OSError) as error:
            raise BadInput(f"{kept}: cannot be read: {error}") from error
        if earlier != simulation.arguments:
            raise BadInput(f"{out}: holds another simulation ({_words(earlier)}), not {_words(simulation.arguments)}")
        return
    try:
        write_json(kept, simulation.arguments)
    except OSError as error:
        raise BadInput(f"{out}: cannot be written: {error.strerror}") from error


def _in_parallel(simulation: Simulation, out: Path, indices: list[int], *, workers: int) -> Iterator[WrittenStudy]:
    # Spawned, not forked: a forked child of a process with threads may wait for ever for a lock of theirs.
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_begin_worker)
    try:
        runs = [pool.submit(_write, simulation, out, index) for index in indices]
        for run in as_completed(runs):
            yield run.result()
    except BrokenProcessPool as error:
        raise RunFailed("a process that simulates was killed; fewer --workers need less memory") from error
    finally:
        pool.shutdown(cancel_futures=True)


def _begin_worker() -> None:
    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C reaches it too; it should end without a word


def _write(
    simulation: Simulation, out: Path, index: int, told: Callable[[int, int], None] | None = None
) -> WrittenStudy:
    begun = time.monotonic()
    study = simulation.cohort[index]
    folder, part = out / study.name, out / f".{study.name}.part"
    shutil.rmtree(part, ignore_errors=True)
    truth = write_study(
        study, part, syntax=simulation.syntax, labels=simulation.labels, scale=simulation.scale, told=told
    )
    write_json(part / TRUTH_FILE, truth.plain(folder=study.name))
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)
    return _written(study, folder, seconds=time.monotonic() - begun)


def _written(study: Study, folder: Path, *, seconds: float | None) -> WrittenStudy:
    files = list(folder.glob("*.dcm"))
    return WrittenStudy(
        study=study,
        folder=folder,
        objects=len(files),
        size=sum(file.stat().st_size for file in files),
        seconds=seconds,
    )


def _words(arguments: Any) -> str:
    if not isinstance(arguments, dict):
        return "an unreadable one"
    labels = "with" if arguments.get("labels") else "without"
    how = (arguments.get(name) for name in ("cohort", "syntax", "made_by"))
    return f"{', '.join(map(str, how))}, {labels} labels, scale {arguments.get('scale')}"
