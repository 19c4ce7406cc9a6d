"""Runners that do what models must never do to a node, and one that works. Loaded by runner processes."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from echonode.core.clip import Clip
from echonode.core.codes import Code
from echonode.core.package import Package
from echonode.core.results import Details, Finding, Ineligible, LabelMap, Loop, Measurement, Picture, Result
from echonode.core.task import Progress, TaskSpec
from echonode.core.view_codes import VIEWS
from tests.support.waiting import wait_until

SAMPLE = TaskSpec(name="sample", title="Does what its parameters say", runner="tests.support.runners:make")
UNLOADABLE = TaskSpec(name="sample", title="Cannot be loaded", runner="tests.support.runners:refuse_to_load")
TASKS = {"sample": SAMPLE}
ROOMS = {
    name: TaskSpec(name=name, title=name, runner="tests.support.runners:make")
    for name in ("sample", "view", "segmentation", "synthesis")
}
"""Tasks of the names that the flow knows, all done by the sample runner."""
IMAGE_VIEW = Code("111031", "DCM", "Image View")
EF = Measurement(
    concept=Code("10230-1", "LN", "Left ventricular Ejection fraction"),
    value=54.3,
    unit=Code("%", "UCUM", "percent"),
    frames=(0, 4),
    uncertainty=9.5,
    uncertainty_basis="locked test, n = 100",
)
LVIDD = Measurement(
    concept=Code("29436-3", "LN", "Left Ventricle Internal End Diastolic Dimension"),
    value=48.0,
    unit=Code("mm", "UCUM", "millimeter"),
)


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


def labelled(clip: Clip) -> LabelMap:
    """A bright disc is the ventricle; it is there in every frame."""
    segments = {1: Code("87878005", "SCT", "Left ventricle")}
    labels = (clip.frames[..., 0] > 150).astype(np.uint8)
    return LabelMap(labels=labels, frames=tuple(range(len(labels))), segments=segments)


def picture(title: str) -> Picture:
    """A grey picture."""
    return Picture(pixels=np.full((240, 320, 3), 90, np.uint8), title=title)


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
            given = self._one(clip, asked)
            results.append(given if isinstance(given, tuple) else (given,))
            progress(number + 1, len(clips))
        return results

    def _one(self, clip: Clip, asked: Mapping[str, Any]) -> Result | tuple[Result, ...]:
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
            case "measure":
                return (EF, LVIDD, Details(values={"per_clip": [52.0, 56.6], "spread": float("nan")}))
            case "differ":
                return (replace(EF, value=self._own_value(clip)),)
            case "differ and draw":
                return (replace(EF, value=self._own_value(clip)), labelled(clip))
            case "everything":
                return (EF, labelled(clip), *(picture(title) for title in asked["titles"]))
            case "labels":
                return (labelled(clip),)
            case "nothing":
                return ()
            case "picture of labels":
                shown = np.repeat(clip.frames[0], 3, axis=2) * 80
                return Picture(pixels=np.tile(shown, (4, 4, 1)), title="no patient", synthetic=True)
            case "view":
                found = Finding(concept=IMAGE_VIEW, value=VIEWS[asked["says"]], confidence=asked["confidence"])
                return (found, Details(values={"probabilities": dict.fromkeys(VIEWS, 0.0)}))
            case "tell":
                given = {name: asked[name] for name in ("species", "patient") if name in asked}
                return (EF, Details(values={"view": clip.view and clip.view.meaning, **given}))
            case "wait":
                wait_until(Path(asked["until"]).exists, "the file that lets the run end")
                return (EF, Details(values={"view": clip.view and clip.view.meaning}))
            case "print":
                print('{"event": "done", "run_id": "forged"}', flush=True)
        return doubled(clip)

    def _own_value(self, clip: Clip) -> float:
        """The package probe says 40 and a point a frame; every other half a point a frame more."""
        return 40.0 + len(clip.frames) * (1.0 if self.package.name == "probe" else 1.5)


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
