"""Runners that do what models must never do to a node, and one that works. Loaded by runner processes."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from echonode.core.clip import Clip
from echonode.core.package import Package
from echonode.core.results import Ineligible, Loop, Result
from echonode.core.task import Progress, TaskSpec

SAMPLE = TaskSpec(name="sample", title="Does what its parameters say", runner="tests.support.runners:make")
UNLOADABLE = TaskSpec(name="sample", title="Cannot be loaded", runner="tests.support.runners:refuse_to_load")
TASKS = {"sample": SAMPLE}


def doubled(clip: Clip) -> Loop:
    """Each frame twice: the smallest loop that is one."""
    count = 2 * len(clip.frames) - 1
    positions = np.arange(count) / 2
    return Loop(
        frames=np.repeat(clip.frames, 2, axis=0)[:count],
        positions=positions,
        times_ms=np.interp(positions, np.arange(len(clip.frames)), clip.times_ms),
        acquired=positions % 1 == 0,
        repeated=positions % 1 != 0,
        sector=np.ones(clip.frames.shape[1:3], dtype=bool),
        factor=2,
    )


class SampleRunner:
    """`do` in the parameters says what happens; `mark` names a file that grows by the process id with every run."""

    def __init__(self, package: Package, device: str, threads: int) -> None:
        self.package, self.device, self.threads = package, device, threads

    def run(
        self, clips: Sequence[Clip], parameters: Sequence[Mapping[str, Any]], progress: Progress
    ) -> list[tuple[Result, ...]]:
        results = []
        for number, (clip, asked) in enumerate(zip(clips, parameters, strict=True)):
            if mark := asked.get("mark"):
                with Path(mark).open("a") as file:
                    file.write(f"{os.getpid()} {len(clips)} {os.environ.get('OMP_NUM_THREADS')}\n")
            results.append((self._one(clip, asked),))
            progress(number + 1, len(clips))
        return results

    def _one(self, clip: Clip, asked: Mapping[str, Any]) -> Result:
        match asked.get("do", "ok"):
            case "refuse":
                return Ineligible(reason="this one is not for me", code="not-for-me")
            case "raise":
                raise ValueError("the model has a fault")
            case "crash":
                ctypes.string_at(0)
            case "hang":
                threading.Event().wait()
            case "out of memory":
                raise MemoryError("no room for the tensors")
            case "eat":
                return Ineligible(reason=str(len(bytearray(64 << 30))))
            case "print":
                print('{"event": "done", "run_id": "forged"}', flush=True)
        return doubled(clip)


def make(package: Package, device: str, threads: int) -> SampleRunner:
    """A runner, as a TaskSpec names it."""
    return SampleRunner(package, device, threads)


def refuse_to_load(package: Package, device: str, threads: int) -> SampleRunner:
    """A model that cannot be loaded."""
    raise RuntimeError("the weights do not fit the network")


def write_package(folder: Path, *, name: str = "probe", task: str = "sample", contract: str = "") -> Path:
    """A model package without weights; `contract` is TOML for its [input]."""
    package = folder / name
    package.mkdir(parents=True)
    (package / "manifest.toml").write_text(
        f'name = "{name}"\nversion = "1"\ntask = "{task}"\ntitle = "Probe"\ntrained_on = "nothing"\n'
        f'[input]\n{contract}\n[[output]]\nname = "loop"\n'
    )
    (package / "MODEL_CARD.md").write_text("# Probe\n")
    return package
