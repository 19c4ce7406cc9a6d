"""The marks of one loop: what a model, or a simple answer, made of the frames that were left out of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from echonode.core.results import Ineligible, Loop
from echonode.core.task import Runner
from echonode.tasks.common.sector import Mask, Scene, luma
from echonode.tasks.slow_motion.evaluate.held_out import (
    MARGIN,
    DisFlow,
    HeldOut,
    Target,
    blending,
    by_pair,
    repetition,
    warped,
)
from echonode.tasks.slow_motion.evaluate.quality import Luma, gradient_energy, psnr, sobel_energy, ssim

REPETITION, BLENDING, DIS = "repetition", "blending", "DIS"
LEAST_ENERGY: Final = 1e-6  # grey levels squared: a sector without any structure pulses in no way


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """Means over the left-out frames: dB, SSIM, gradient energy over that of the acquired neighbours, ms a frame.

    `pulsing` is by central differences, `pulsing_sobel` by Sobel's; `repeated` counts frames that were not understood.
    """

    frames: int
    psnr: float
    ssim: float
    pulsing: float
    pulsing_sobel: float
    milliseconds: float
    repeated: int = 0


def dis_name(sigma: float) -> str:
    """How DIS flow with a Gaussian prefilter of `sigma` pixels is called."""
    return f"{DIS} sigma {sigma:g}"


Seen = Callable[[str, Target, Luma], None]
"""Hears what each method made of a target: luma (H, W) of the sector's box."""


def nothing_seen(method: str, target: Target, picture: Luma) -> None:
    """Nobody looks."""


def references(held: HeldOut, scene: Scene, *, sigmas: Sequence[float], seen: Seen = nothing_seen) -> dict[str, Score]:
    """Repetition, blending and DIS optical flow with each prefilter."""
    truth = _Truth(held, scene)
    ways = {
        REPETITION: _simply(truth, held, repetition),
        BLENDING: _simply(truth, held, blending),
        **{dis_name(sigma): _by_flow(truth, held, DisFlow(sigma=sigma)) for sigma in sigmas},
    }
    return {name: _scored(truth, name, answers, seen) for name, answers in ways.items()}


def of_model(
    held: HeldOut, scene: Scene, runner: Runner, *, name: str, seen: Seen = nothing_seen
) -> Score | Ineligible:
    """What the product's own runner makes of the sparse clip, with its true times; or why it refuses it.

    It is told where the sector of the whole loop is: of the few frames that are kept not all that moves is seen to move.
    """
    factor = held.dense_factor()
    start = time.perf_counter()
    asked = {"factor": factor, "scene": scene}
    ((result,),) = runner.run([held.sparse()], [asked], lambda done, total: None)
    took = time.perf_counter() - start
    if isinstance(result, Ineligible):
        return result
    if not isinstance(result, Loop):
        return Ineligible(reason=f"the model gave a {type(result).__name__} and no loop", code="output")
    answers = list(held.answers(result))
    if not answers:
        return Ineligible(
            reason="the loop's times are so uneven that no frame is asked back at its moment", code="times"
        )
    truth = _Truth(held, scene)
    marks = []
    for target, frame in answers:
        picture = truth.light(frame)
        seen(name, target, picture)
        marks.append(_mark(truth, target, picture))
    made = max(1, int((~result.acquired).sum()))
    return _mean(marks, milliseconds=1000 * took / made, repeated=int(result.repeated.sum()))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Mark:
    psnr: float
    ssim: float
    pulsing: float
    pulsing_sobel: float


class _Truth:
    """The loop's luma cut to its sector, float32 (H, W), each frame made once."""

    def __init__(self, held: HeldOut, scene: Scene) -> None:
        self._frames = held.clip.frames
        self._box = scene.box(margin=MARGIN)
        self.sector: Mask = scene.sector[self._box]
        self._energies: dict[int, tuple[float, float]] = {}

    def bytes(self, index: int) -> NDArray[np.uint8]:
        """Luma of frame `index`, uint8."""
        return np.ascontiguousarray(luma(self._frames[index])[self._box])

    def luma(self, index: int) -> Luma:
        """Luma of frame `index`."""
        return self.bytes(index).astype(np.float32)

    def light(self, frame: NDArray[np.uint8]) -> Luma:
        """Luma of a frame (H, W, C) that somebody made."""
        return np.ascontiguousarray(luma(frame)[self._box]).astype(np.float32)

    def energies(self, index: int) -> tuple[float, float]:
        """Gradient energy of an acquired frame, by central differences and by Sobel's."""
        if index not in self._energies:
            self._energies[index] = _energies(self.luma(index), self.sector)
        return self._energies[index]


Answer = tuple[Target, Luma, float]
"""A target, what was made for it, and the seconds that took."""


def _simply(truth: _Truth, held: HeldOut, way: Callable[[Luma, Luma, float], Luma]) -> Iterator[Answer]:
    for (before, after), targets in by_pair(held.targets).items():
        first, second = truth.luma(before), truth.luma(after)
        for target in targets:
            start = time.perf_counter()
            picture = way(first, second, target.t)
            yield target, picture, time.perf_counter() - start


def _by_flow(truth: _Truth, held: HeldOut, search: DisFlow) -> Iterator[Answer]:
    for (before, after), targets in by_pair(held.targets).items():
        first, second = truth.luma(before), truth.luma(after)
        start = time.perf_counter()
        flows = search.flows(truth.bytes(before), truth.bytes(after))
        share = (time.perf_counter() - start) / len(targets)
        for target in targets:
            start = time.perf_counter()
            picture = warped(first, second, flows, target.t)
            yield target, picture, share + time.perf_counter() - start


def _scored(truth: _Truth, name: str, answers: Iterable[Answer], seen: Seen) -> Score:
    marks, seconds = [], 0.0
    for target, picture, took in answers:
        seen(name, target, picture)
        marks.append(_mark(truth, target, picture))
        seconds += took
    return _mean(marks, milliseconds=1000 * seconds / len(marks))


def _mark(truth: _Truth, target: Target, picture: Luma) -> _Mark:
    real = truth.luma(target.index)
    made = _energies(picture, truth.sector)
    first, second = truth.energies(target.before), truth.energies(target.after)
    central, sobel = (
        own / max((1 - target.t) * one + target.t * two, LEAST_ENERGY)
        for own, one, two in zip(made, first, second, strict=True)
    )
    return _Mark(
        psnr=psnr(picture, real, truth.sector),
        ssim=ssim(picture, real, truth.sector),
        pulsing=central,
        pulsing_sobel=sobel,
    )


def _energies(picture: Luma, where: Mask) -> tuple[float, float]:
    return gradient_energy(picture, where), sobel_energy(picture, where)


def _mean(marks: Sequence[_Mark], *, milliseconds: float, repeated: int = 0) -> Score:
    def mean(name: str) -> float:
        return float(np.mean([getattr(mark, name) for mark in marks]))

    return Score(
        frames=len(marks),
        psnr=mean("psnr"),
        ssim=mean("ssim"),
        pulsing=mean("pulsing"),
        pulsing_sobel=mean("pulsing_sobel"),
        milliseconds=milliseconds,
        repeated=repeated,
    )
