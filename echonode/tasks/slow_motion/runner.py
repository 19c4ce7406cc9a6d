"""One runner for slow motion, whichever engine the package asks for.

Inside the sector frames are interpolated; text, traces, marks and everything else come from the nearest acquired frame.
Where the flows forwards and backwards disagree, so does the picture; when they disagree in most of the sector, the
whole nearest frame is repeated and marked. Acquired frames are passed on bit for bit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from echonode.core.clip import Clip
from echonode.core.errors import PackageInvalid
from echonode.core.package import Package
from echonode.core.results import Ineligible, Loop, Result
from echonode.core.task import Progress
from echonode.tasks.common.sector import Mask, Scene
from echonode.tasks.slow_motion.agreement import Agreement, Field, agreement, sampled
from echonode.tasks.slow_motion.beats import beats_asked, beats_of, cut_to
from echonode.tasks.slow_motion.eligibility import Limits, factor_of, judge
from echonode.tasks.slow_motion.engine import Engine, Flows, Pixels, Trial, flows_at
from echonode.tasks.slow_motion.optical_flow import SMOOTHNESS, OpticalFlow
from echonode.tasks.slow_motion.prepare import as_bytes
from echonode.tasks.slow_motion.schedule import Schedule, schedule
from echonode.tasks.slow_motion.sector_frames import SectorFrames

EDGE_SIGMA: Final = 1.5  # pixels; the seam between interpolated and copied pixels is soft on the inside


@dataclass(frozen=True, kw_only=True, slots=True)
class Trustworthiness:
    """When flows are believed: tolerance in pixels, and the share of the sector that may disagree."""

    disagreement_pixels: float = 3.0
    repeat_fraction: float = 0.35

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Trustworthiness:
        """The values of a package's [config]."""
        usual = cls()
        return cls(
            disagreement_pixels=float(config.get("disagreement_pixels", usual.disagreement_pixels)),
            repeat_fraction=float(config.get("repeat_fraction", usual.repeat_fraction)),
        )


def open_runner(package: Package, device: str, threads: int) -> SlowMotionRunner:
    """The runner of a verified package; weights are loaded here, once.

    Raises:
        PackageInvalid: its architecture is none of this task's.
        CheckpointRefused: its weights do not fit the architecture.
    """
    cv2.setNumThreads(max(1, threads))
    if not package.architecture:
        engine: Engine = OpticalFlow(
            prefilter_sigma=float(package.config.get("prefilter_sigma", 1.5)),
            texture_sigma=float(package.config.get("texture_sigma", 0.0)),
            smoothness=float(package.config.get("smoothness", SMOOTHNESS)),
        )
    elif package.architecture.get("flow") == "superslomo-flow":
        from echonode.tasks.slow_motion.superslomo import open_superslomo

        engine = open_superslomo(package, device=device, threads=threads)
    elif "refinement" in package.architecture:
        from echonode.tasks.slow_motion.refined_flow import open_refined_flow

        engine = open_refined_flow(package, device=device, threads=threads)
    else:
        raise PackageInvalid(f"{package.name}: slow_motion has no architecture {dict(package.architecture)}")
    return SlowMotionRunner(
        engine=engine,
        limits=Limits.of(contract=package.input, config=package.config),
        trustworthiness=Trustworthiness.of(package.config),
    )


class SlowMotionRunner:
    """A Runner. Parameters: `factor` 2 to 16 (4); `beats`, how many whole beats of each loop, 0 for all of it (0);
    `spool`, a folder where long results are written; `scene`, the Scene of the loop that the clip is a part of, where
    somebody knows it: of few frames not all that moves is seen to move.
    """

    def __init__(self, *, engine: Engine, limits: Limits, trustworthiness: Trustworthiness) -> None:
        self._engine = engine
        self._limits = limits
        self._trustworthiness = trustworthiness

    def run(
        self, clips: Sequence[Clip], parameters: Sequence[Mapping[str, Any]], progress: Progress
    ) -> list[tuple[Result, ...]]:
        """One Loop or one Ineligible for each clip, in order."""
        steps = [max(1, len(clip.frames) - 1) for clip in clips]
        results: list[tuple[Result, ...]] = []
        for index, (clip, asked) in enumerate(zip(clips, parameters, strict=True)):
            done = sum(steps[:index])
            results.append((self._one(clip, asked, _Told(progress, done, sum(steps))),))
            progress(sum(steps[: index + 1]), sum(steps))
        return results

    def _one(self, clip: Clip, parameters: Mapping[str, Any], told: _Told) -> Result:
        factor = factor_of(parameters)
        if isinstance(factor, Ineligible):
            return factor
        beats = beats_asked(parameters)
        if isinstance(beats, Ineligible):
            return beats
        cut = beats_of(clip.times_ms, clip.r_waves_ms, beats=beats) if beats else None
        whole, offset = clip, 0
        if cut is not None:
            clip, offset = cut_to(clip, cut), cut.start
        scene = judge(clip, limits=self._limits, factor=factor)
        if isinstance(scene, Ineligible):
            return scene
        known = parameters.get("scene")
        scene = known if isinstance(known, Scene) else scene
        plan = schedule(clip.times_ms, factor=factor)
        spool = parameters.get("spool")
        frames = _room((plan.count, *clip.frames.shape[1:]), Path(str(spool)) if spool else None)
        acquired = np.zeros(plan.count, np.bool_)
        repeated = np.zeros(plan.count, np.bool_)
        acquired[plan.slots] = True
        inside = SectorFrames(clip.frames, clip.times_ms, scene)
        engine = self._engine.suited(trial for trial in inside.trials() if self._understood(trial))
        for index in range(len(clip.frames) - 1):
            frames[plan.slots[index]] = clip.frames[index]
            first, last = int(plan.slots[index]) + 1, int(plan.slots[index + 1])
            if last > first:
                repeated[first:last] = self._between(engine, inside, index, plan, frames[first:last])
            told(index + 1)
        frames[-1] = clip.frames[-1]
        if isinstance(frames, np.memmap):
            frames.flush()
        return Loop(
            frames=frames, positions=plan.positions + offset, times_ms=plan.times_ms + float(whole.times_ms[offset]),
            acquired=acquired, repeated=repeated, sector=scene.sector, factor=factor,
            notes=(*_cut_note(beats, cut, frames=len(whole.frames)), *engine.remarks, *_notes(clip, repeated)),
        )  # fmt: skip

    def _understood(self, trial: Trial) -> bool:
        """Whether frames would be made between those of the pair; where they would be repeated, nothing is asked."""
        flows = self._engine.flows(trial.pair)
        trust = agreement(flows.forward, flows.backward, tolerance=self._trustworthiness.disagreement_pixels)
        return trust.disagreeing(trial.pair.open_pixels) <= self._trustworthiness.repeat_fraction

    def _between(
        self, engine: Engine, inside: SectorFrames, index: int, plan: Schedule, room: NDArray[np.uint8]
    ) -> bool:
        """Fill `room` with the frames after source frame `index`; whether they had to be repeated."""
        times = [float(t) for t in plan.between(index)]
        pair = inside.pair(index)
        flows = engine.flows(pair)
        trust = agreement(flows.forward, flows.backward, tolerance=self._trustworthiness.disagreement_pixels)
        for place, t in enumerate(times):
            room[place] = inside.frames[index if t <= 0.5 else index + 1]
        if trust.disagreeing(pair.open_pixels) > self._trustworthiness.repeat_fraction:
            return True
        softened = _soft(pair.open_pixels)
        rows, columns = inside.box
        for place, (t, picture) in enumerate(zip(times, engine.frames(pair, flows, trust, times), strict=True)):
            nearest = room[place][rows, columns]
            weight = softened * _trust_at(trust, flows, t) if engine.wary else softened
            nearest[...] = as_bytes(_mixed(nearest, picture, weight[:, :, None]))
        return False


@dataclass(frozen=True, slots=True)
class _Told:
    """Passes on how many pairs of one clip are done, on top of the clips before it."""

    progress: Progress
    base: int
    total: int

    def __call__(self, now: int) -> None:
        self.progress(self.base + now, self.total)


def _room(shape: tuple[int, ...], spool: Path | None) -> NDArray[np.uint8]:
    if spool is None:
        return np.empty(shape, np.uint8)
    spool.mkdir(parents=True, exist_ok=True)
    return np.lib.format.open_memmap(spool / "slow-motion.npy", mode="w+", dtype=np.uint8, shape=shape)


def _soft(open_pixels: Mask) -> Field:
    """Weights that are 0 wherever pixels are copied and rise to 1 within a few pixels inside."""
    inner = cv2.GaussianBlur(open_pixels.astype(np.float32), (0, 0), EDGE_SIGMA)
    return (np.clip(2 * inner - 1, 0, 1) * open_pixels).astype(np.float32, copy=False)


def _trust_at(trust: Agreement, flows: Flows, t: float) -> Field:
    to0, to1 = flows_at(flows, t)
    best: Field = np.maximum(sampled(trust.at0, to0), sampled(trust.at1, to1))
    return best


def _mixed(nearest: NDArray[np.uint8], picture: Pixels, weight: Field) -> Pixels:
    below = nearest.astype(np.float32)
    mixed: Pixels = below + weight * (picture - below)
    return mixed


def _cut_note(beats: int, cut: slice | None, *, frames: int) -> tuple[str, ...]:
    """What of the source was taken, frames counted from 1; nothing where no cut was asked for."""
    if not beats:
        return ()
    if cut is None:
        return (f"All {frames} frames: the source does not tell {beats + 1} R waves, so no whole beats could be cut.",)
    words = "1 beat" if beats == 1 else f"{beats} beats"
    return (f"{words} from R wave to R wave: frames {cut.start + 1} to {cut.stop} of {frames}.",)


def _notes(clip: Clip, repeated: NDArray[np.bool_]) -> tuple[str, ...]:
    notes = []
    if not clip.timed:
        notes.append("the source does not tell its frame times; the interval is a guess")
    if repeated.any():
        notes.append(f"{int(repeated.sum())} frames repeat the nearest acquired frame: the motion was not understood")
    return tuple(notes)
