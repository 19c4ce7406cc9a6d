"""How near to the truth a slow motion that does not flicker comes at most, given what a model expects; asserts nothing.

Of all pictures with a given gradient energy the one with the least squared error is the mean m of what the truth y can be,
sharpened by one filter: whatever picture o is made of what is known, its error is |y - m|^2 + |o - m|^2 in the mean, and with a
multiplier w on the energy of o that is least for o = m / (1 - w G), G being the squared response of the operator that measures
the energy. So whoever knows m knows the bound. Nobody does; a network that learned by squared error estimates it. The table
shows that estimate of a learned model, and one that is fitted to the truth itself: on top of the model, on this very loop, the
best linear filter of its pictures, of the two frames brought there and of the four frames as they are. If the model learned
from these loops, both are kinder than a new loop will be.

The filter belongs to a bound and not to a product: it puts the energy where the operator looks (with central differences a
pattern of four pixels' period), which is in no loop. Sector, luma and energy are those of the evaluation; what is hidden by
text and traces is the nearest frame.

    python benchmarks/slow_motion_bound.py [--loops FOLDER] [--model refined-flow] [--models FOLDER] [--factors 2,4]
                                           [--energy 0.9] [--only TEXT]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from scipy import fft
from slow_motion_limits import clips

from echonode.core.clip import Clip
from echonode.registry.catalogue import Catalogue
from echonode.tasks.common.sector import Scene, luma
from echonode.tasks.slow_motion.agreement import sampled
from echonode.tasks.slow_motion.evaluate.held_out import DisFlow, held_out, warped
from echonode.tasks.slow_motion.evaluate.quality import gradient_energy, psnr
from echonode.tasks.slow_motion.refined_flow import RefinedFlow, open_refined_flow
from echonode.tasks.slow_motion.sector_frames import SectorFrames

CHECKOUT = Path(__file__).resolve().parents[1]
SIGMAS = (0.0, 1.0, 1.5, 2.0, 3.0)
SHARE = 0.2  # of the pixels that are fitted on


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A left-out frame, what surrounds it, what plain DIS makes of it with each prefilter, and the energy it should have.

    `counts` is the sector, `shown` what of it is no text or trace; `nearest` is the frame that stands there.
    """

    truth: np.ndarray
    known: list[np.ndarray]
    plain: list[np.ndarray]
    nearest: np.ndarray
    counts: np.ndarray
    shown: np.ndarray
    energy: float

    def whole(self, picture: np.ndarray) -> np.ndarray:
        """The picture as it would be shown."""
        return np.where(self.shown, np.clip(picture, 0, 255), self.nearest).astype(np.float32)


def answers(clip: Clip, scene: Scene, factor: int, engine: RefinedFlow) -> Iterator[Answer]:
    """What is known of each frame that is left out; the first of `known` is what the model expects."""
    held = held_out(clip, factor=factor, sector=scene.sector)
    if held is None:
        return
    sparse = held.sparse()
    inside = SectorFrames(sparse.frames, sparse.times_ms, scene)
    for target in held.targets:
        index = held.kept.index(target.before)
        pair = inside.pair(index)
        (found,) = engine.corrections(pair, engine.flows(pair), [target.t])
        first, second = pair.luma0.astype(np.float32), pair.luma1.astype(np.float32)
        around = [frame if beyond is None else beyond.astype(np.float32)
                  for frame, beyond in ((first, pair.before), (second, pair.after))]  # fmt: skip
        beside = [raw(clip, inside, place) for place in (target.before, target.after)]
        sector = scene.sector[inside.box]
        energies = [gradient_energy(each, sector) for each in beside]
        lights = [each.astype(np.uint8) for each in beside]
        searches = [DisFlow(sigma=sigma) for sigma in SIGMAS]
        yield Answer(
            truth=raw(clip, inside, target.index),
            known=[found.fused + found.light, sampled(first, found.to0, sharp=True),
                   sampled(second, found.to1, sharp=True), first, second, *around],
            plain=[warped(*beside, each.flows(*lights), target.t) for each in searches],
            nearest=beside[0] if target.t <= 0.5 else beside[1], counts=sector, shown=pair.open_pixels,
            energy=energies[0] + target.t * (energies[1] - energies[0]),
        )  # fmt: skip


def raw(clip: Clip, inside: SectorFrames, index: int) -> np.ndarray:
    """Luma of an acquired frame in the sector's box."""
    return np.ascontiguousarray(luma(clip.frames[index])[inside.box]).astype(np.float32)


def fitted(answer: list[Answer]) -> list[np.ndarray]:
    """The best linear filter of 3x3 windows of what is known, fitted to the truth of these very frames."""
    random = np.random.default_rng(1)
    squares, products = np.zeros((1, 1)), np.zeros(1)
    for each in answer:
        chosen = each.counts & each.shown & (random.random(each.counts.shape) < SHARE)
        x = np.stack([window[chosen] for window in windows(each.known)], axis=1).astype(np.float64)
        squares, products = squares + x.T @ x, products + x.T @ each.truth[chosen].astype(np.float64)
    weights = np.linalg.solve(squares + 1e-6 * np.trace(squares) / len(squares) * np.eye(len(squares)), products)
    return [sum_of(weights.astype(np.float32), windows(each.known)) for each in answer]


def windows(pictures: list[np.ndarray]) -> list[np.ndarray]:
    """Each picture moved by up to a pixel, nine times."""
    found = []
    for picture in pictures:
        height, width = picture.shape
        padded = np.pad(picture, 1, mode="edge")
        found += [padded[y : y + height, x : x + width] for y in range(3) for x in range(3)]
    return found


def sum_of(weights: np.ndarray, pictures: list[np.ndarray]) -> np.ndarray:
    """Pictures by their weights."""
    total = np.zeros_like(pictures[0])
    for weight, picture in zip(weights, pictures, strict=True):
        total += weight * picture
    return total


def sharpest(expected: np.ndarray, each: Answer, energy: float) -> np.ndarray:
    """`expected` as it would be shown, with the gradient energy, at the least cost in squared error."""
    picture = each.whole(expected)
    if gradient_energy(picture, each.counts) >= energy:
        return picture
    rows, columns = (np.pi * np.arange(size) / size for size in expected.shape)
    response = (np.sin(rows)[:, None] ** 2 + np.sin(columns)[None, :] ** 2) / 2
    waves = fft.dctn(expected, norm="ortho")
    low, high = 0.0, 0.999
    for _ in range(16):
        weight = (low + high) / 2
        picture = each.whole(fft.idctn(waves / (1 - weight * response), norm="ortho"))
        low, high = (weight, high) if gradient_energy(picture, each.counts) < energy else (low, weight)
    return picture


def judged(answer: list[Answer], pictures: list[np.ndarray]) -> tuple[float, float]:
    """Mean PSNR, and mean gradient energy over what it should be."""
    decibels = [psnr(picture, each.truth, each.counts) for picture, each in zip(pictures, answer, strict=True)]
    energies = [
        gradient_energy(picture, each.counts) / each.energy for picture, each in zip(pictures, answer, strict=True)
    ]
    return float(np.mean(decibels)), float(np.mean(energies))


@dataclass(frozen=True, kw_only=True)
class Row:
    """PSNR and energy of DIS by prefilter; of the expectation, of it at the energy, and of both that are fitted here."""

    name: str
    plain: list[tuple[float, float]]
    found: list[tuple[float, float]]

    @classmethod
    def of(cls, name: str, answer: list[Answer], energy: float) -> Row:
        """All that is printed of a loop."""
        found = []
        for expected in ([each.known[0] for each in answer], fitted(answer)):
            both = zip(expected, answer, strict=True)
            sharp = [sharpest(picture, each, energy * each.energy) for picture, each in both]
            shown = [each.whole(picture) for picture, each in zip(expected, answer, strict=True)]
            found += [judged(answer, shown), judged(answer, sharp)]
        plain = [judged(answer, [each.plain[place] for each in answer]) for place in range(len(SIGMAS))]
        return cls(name=name, plain=plain, found=found)

    def numbers(self, best: int) -> list[float]:
        """DIS's energy, then gains over it and energies."""
        decibels, energy = self.plain[best]
        return [energy, *(number for gain, held in self.found for number in (gain - decibels, held))]


def main() -> None:
    """Parse the arguments and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loops", type=Path, default=CHECKOUT.parent / "shared" / "data" / "ultrasound")
    parser.add_argument("--model", default="refined-flow")
    parser.add_argument("--models", type=Path, default=CHECKOUT / "models")
    parser.add_argument("--factors", default="2,4")
    parser.add_argument("--energy", type=float, default=0.9)
    parser.add_argument("--only", default="", help="loops whose path has this in it")
    asked = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    engine = open_refined_flow(Catalogue([asked.models]).get(asked.model), device="cpu", threads=1)
    for factor in (int(each) for each in asked.factors.split(",")):
        rows = [
            Row.of(name, answer, asked.energy)
            for name, clip, scene in clips(asked.loops, asked.only)
            if (answer := list(answers(clip, scene, factor, engine)))
        ]
        if not rows:
            continue
        best = int(np.argmax(np.mean([[decibels for decibels, _ in each.plain] for each in rows], axis=0)))
        print(
            f"{factor}x, dB above plain DIS (prefilter of {SIGMAS[best]:g} pixels, the best in the mean of these loops) and "
            "gradient energy over the acquired frames'"
        )
        print(f"  {'loop':36s} DIS energy | expected     at {asked.energy:<8g} | fitted here  at {asked.energy:g}")
        for each in rows:
            print(f"  {each.name:36s} {words(each.numbers(best))}")
        print(f"  {'mean':36s} {words(list(np.mean([each.numbers(best) for each in rows], axis=0)))}", flush=True)


def words(numbers: list[float]) -> str:
    """A line of the table."""
    pairs = [f"{gain:+.2f} ({energy:.2f})" for gain, energy in zip(numbers[1::2], numbers[2::2], strict=True)]
    return f"{numbers[0]:10.2f} | " + " | ".join(" ".join(pairs[place : place + 2]) for place in (0, 2))


if __name__ == "__main__":
    main()
