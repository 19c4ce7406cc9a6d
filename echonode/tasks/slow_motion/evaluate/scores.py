"""The marks of one loop: what a model, or a simple answer, made of the frames that were left out of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
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
from echonode.tasks.slow_motion.evaluate.quality import Luma, gradient_energy, psnr, sobel_energy, ssim, structures
from echonode.tasks.slow_motion.texture import gradient_sum, sharpened

REPETITION, BLENDING, DIS = "repetition", "blending", "DIS"
LEAST_PULSING: Final = 0.9  # below it a loop flickers: every so many frames are crisp and those between them soft
LEAST_ENERGY: Final = 1e-6  # grey levels squared: a sector without any structure pulses in no way


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """Means over the left-out frames: dB, SSIM, gradient energy over that of the acquired neighbours, ms a frame.

    `psnr_structures` is the dB of what is coarser than 1.5 pixels, where grain counts for little; `pulsing` is by central
    differences, `pulsing_sobel` by Sobel's; `repeated` counts frames that were not understood.
    """

    frames: int
    psnr: float
    psnr_structures: float
    ssim: float
    pulsing: float
    pulsing_sobel: float
    milliseconds: float
    repeated: int = 0


def dis_name(sigma: float) -> str:
    """How DIS flow with a Gaussian prefilter of `sigma` pixels is called."""
    return f"{DIS} sigma {sigma:g}"


def sharp_name(sigma: float) -> str:
    """How the same is called when its pictures are sharpened until they do not flicker."""
    return f"sharp {dis_name(sigma)}"


Seen = Callable[[str, Target, Luma], None]
"""Hears what each method made of a target: luma (H, W) of the sector's box."""


def nothing_seen(method: str, target: Target, picture: Luma) -> None:
    """Nobody looks."""


def references(held: HeldOut, scene: Scene, *, sigmas: Sequence[float], seen: Seen = nothing_seen) -> dict[str, Score]:
    """Repetition, blending and DIS optical flow with each prefilter, as it is and as sharp as pictures must be that do not
    flicker: who leaves out what he cannot know wins decibels, so only pictures of one sharpness are compared by them."""
    truth = _Truth(held, scene)
    answers = chain(
        _simply(truth, held, REPETITION, repetition),
        _simply(truth, held, BLENDING, blending),
        *(_by_flow(truth, held, sigma) for sigma in sigmas),
    )
    return _scored(truth, answers, seen)


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
    psnr_structures: float
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
        self._structures: dict[int, Luma] = {}

    def bytes(self, index: int) -> NDArray[np.uint8]:
        """Luma of frame `index`, uint8."""
        return np.ascontiguousarray(luma(self._frames[index])[self._box])

    def luma(self, index: int) -> Luma:
        """Luma of frame `index`."""
        return self.bytes(index).astype(np.float32)

    def structures(self, index: int) -> Luma:
        """Structures of frame `index`."""
        if index not in self._structures:
            self._structures[index] = structures(self.luma(index))
        return self._structures[index]

    def light(self, frame: NDArray[np.uint8]) -> Luma:
        """Luma of a frame (H, W, C) that somebody made."""
        return np.ascontiguousarray(luma(frame)[self._box]).astype(np.float32)

    def energies(self, index: int) -> tuple[float, float]:
        """Gradient energy of an acquired frame, by central differences and by Sobel's."""
        if index not in self._energies:
            self._energies[index] = _energies(self.luma(index), self.sector)
        return self._energies[index]

    def sharpened(self, picture: Luma, target: Target) -> Luma:
        """`picture` sharpened until it has the least gradient energy that does not flicker between the target's neighbours."""
        energies = [gradient_sum(self.luma(index), self.sector) for index in (target.before, target.after)]
        wanted = LEAST_PULSING * (energies[0] + target.t * (energies[1] - energies[0]))
        return sharpened(picture, energy=wanted, counts=self.sector)


Answer = tuple[str, Target, Luma, float]
"""A method, a target, what was made for it, and the seconds that took."""


def _simply(truth: _Truth, held: HeldOut, name: str, way: Callable[[Luma, Luma, float], Luma]) -> Iterator[Answer]:
    for (before, after), targets in by_pair(held.targets).items():
        first, second = truth.luma(before), truth.luma(after)
        for target in targets:
            start = time.perf_counter()
            picture = way(first, second, target.t)
            yield name, target, picture, time.perf_counter() - start


def _by_flow(truth: _Truth, held: HeldOut, sigma: float) -> Iterator[Answer]:
    search = DisFlow(sigma=sigma)
    for (before, after), targets in by_pair(held.targets).items():
        first, second = truth.luma(before), truth.luma(after)
        start = time.perf_counter()
        flows = search.flows(truth.bytes(before), truth.bytes(after))
        share = (time.perf_counter() - start) / len(targets)
        for target in targets:
            start = time.perf_counter()
            picture = warped(first, second, flows, target.t)
            took = share + time.perf_counter() - start
            yield dis_name(sigma), target, picture, took
            start = time.perf_counter()
            sharp = truth.sharpened(picture, target)
            yield sharp_name(sigma), target, sharp, took + time.perf_counter() - start


def _scored(truth: _Truth, answers: Iterable[Answer], seen: Seen) -> dict[str, Score]:
    marks: dict[str, list[_Mark]] = {}
    seconds: dict[str, float] = {}
    for name, target, picture, took in answers:
        seen(name, target, picture)
        marks.setdefault(name, []).append(_mark(truth, target, picture))
        seconds[name] = seconds.get(name, 0.0) + took
    return {name: _mean(each, milliseconds=1000 * seconds[name] / len(each)) for name, each in marks.items()}


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
        psnr_structures=psnr(structures(picture), truth.structures(target.index), truth.sector),
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
        psnr_structures=mean("psnr_structures"),
        ssim=mean("ssim"),
        pulsing=mean("pulsing"),
        pulsing_sobel=mean("pulsing_sobel"),
        milliseconds=milliseconds,
        repeated=repeated,
    )
