"""How much sharpness and decibels of slow motion can be had together on real loops; prints a table, asserts nothing.

For each grey loop frames are left out, and the best linear filter of what surrounds them is fitted on that very loop: both
frames and those before and after them, brought to the moment by DIS flow, in windows of 5x5 and 3x3 pixels. It is fitted
twice: for squared error alone, and with the gradient energy held at a share of the acquired frames'. No filter of this form
that must learn elsewhere can do better, so it says what is asked of a network that shall be sharp and right at once.

With --seen the motion is measured to the left-out frame itself, which nobody has: what plain fusion gains by that is what
better motion could give at most, and some of it is speckle that was matched by chance.

With --bands the table says by size of structure how much of the left-out frame the frames around it tell at all: the
correlation with what is fused from them, with the usual motion and with motion that was seen (of structures: smoothed by
3 pixels, so that speckle is not matched by chance), and where the gradient energy is. Nothing that is made of these frames
can have the energy of a band and be right in it where that correlation is low.

    python benchmarks/slow_motion_limits.py [--loops FOLDER] [--gap 2] [--energy 0.9] [--only TEXT] [--seen] [--bands]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from scipy import linalg

from echonode.core.clip import Clip
from echonode.core.errors import EchonodeError
from echonode.core.settings import LimitsSection
from echonode.dicom.pixels import read_clip
from echonode.tasks.common.sector import Scene, find_scene, luma
from echonode.tasks.slow_motion.agreement import sampled
from echonode.tasks.slow_motion.optical_flow import OpticalFlow

CHECKOUT = Path(__file__).resolve().parents[1]
LONGEST_MS = 35.0
COLOUR = 0.004
WIDE, NARROW = 2, 1  # reach of the windows around the two frames, and around the others
SHARE = 0.15  # of the sector's pixels that are fitted on
CENTRE = 12  # of a 5x5 window
BANDS = (1.0, 2.0, 4.0, 8.0)  # pixels


def plain_flow(sigma: float = 1.5) -> OpticalFlow:
    """DIS as OpenCV's preset has it."""
    return OpticalFlow(prefilter_sigma=sigma, smoothness=20.0, iterations=5)


def clips(folder: Path, only: str) -> Iterator[tuple[str, Clip, Scene]]:
    """Name, clip and scene of every grey loop that is fast enough."""
    for path in sorted(folder.rglob("*.dcm")):
        if only not in str(path):
            continue
        try:
            clip = read_clip(path, limits=LimitsSection())
        except EchonodeError:
            continue
        if len(clip.frames) < 6 or np.diff(clip.times_ms).max() > LONGEST_MS:
            continue
        scene = find_scene(clip.frames, clip.regions)
        if scene is not None and scene.colour_fraction <= COLOUR:
            yield str(path.relative_to(folder)), clip, scene


def loops(folder: Path, only: str) -> Iterator[tuple[str, np.ndarray, np.ndarray, np.ndarray]]:
    """Name, luma (T, H, W), times in ms and sector of each of them."""
    for name, clip, scene in clips(folder, only):
        yield name, np.stack([luma(frame) for frame in clip.frames]), clip.times_ms, scene.sector


def surroundings(
    light: np.ndarray, start: int, gap: int, t: float, optical: OpticalFlow, seen: np.ndarray | None = None
) -> list[np.ndarray]:
    """Both frames, and those before and after them, brought to t; then both frames as they are.

    The motion is that to `seen`, where it is given.
    """
    before, after = max(start - gap, 0), min(start + 2 * gap, len(light) - 1)
    forward = optical.motion(light[start], light[start + gap])
    backward = optical.motion(light[start + gap], light[start])
    moment = np.float32(t)
    to0 = -moment * (1 - moment) * forward + moment * moment * backward
    to1 = (1 - moment) ** 2 * forward - moment * (1 - moment) * backward
    if seen is not None:
        to0, to1 = optical.motion(seen, light[start]), optical.motion(seen, light[start + gap])
    on0 = to0 + sampled(optical.motion(light[start], light[before]), to0)
    on1 = to1 + sampled(optical.motion(light[start + gap], light[after]), to1)
    frames = [light[place].astype(np.float32) for place in (start, start + gap, before, after)]
    moved = [sampled(frame, flow) for frame, flow in zip(frames, (to0, to1, on0, on1), strict=True)]
    return [*moved, frames[0], frames[1]]


def windows(pictures: list[np.ndarray]) -> np.ndarray:
    """(H, W, features): the neighbourhood of each pixel in each picture."""
    found = []
    for place, picture in enumerate(pictures):
        reach = WIDE if place < 2 else NARROW
        height, width = picture.shape
        padded = np.pad(picture, reach, mode="edge")
        found += [padded[y : y + height, x : x + width] for y in range(2 * reach + 1) for x in range(2 * reach + 1)]
    return np.stack(found, axis=-1)


def told(
    light: np.ndarray, times: np.ndarray, sector: np.ndarray, gap: int, energy: float, *, seen: bool
) -> list[tuple[float, ...]]:
    """For each place within the gap: gradient energy of plain fusion; gain in dB over it and energy of both filters; and
    what plain fusion itself gains over DIS, by motion that was `seen`.
    """
    optical, random = plain_flow(), np.random.default_rng(1)
    rows = []
    for place in range(1, gap):
        sums: list[np.ndarray | float] = [0.0] * 5
        errors = [0.0, 0.0]
        t = 0.5
        for start in range(0, len(light) - gap, gap):
            target = light[start + place].astype(np.float32)
            t = float((times[start + place] - times[start]) / (times[start + gap] - times[start]))
            usual = surroundings(light, start, gap, t, optical)
            around = surroundings(light, start, gap, t, optical, light[start + place]) if seen else usual
            for number, (first, second, *_) in enumerate((usual, around)):
                errors[number] += float((((1 - t) * first + t * second - target)[sector] ** 2).sum())
            features = windows(around)
            chosen = sector & (random.random(sector.shape) < SHARE)
            rise = [(np.roll(features, -1, axis) - np.roll(features, 1, axis))[chosen] / 2 for axis in (0, 1)]
            x, y = features[chosen].astype(np.float64), target[chosen].astype(np.float64)
            steep = np.gradient(target)
            parts = (
                x.T @ x, x.T @ y, float(y @ y), sum(each.astype(np.float64).T @ each for each in rise),
                float((steep[0][chosen] ** 2 + steep[1][chosen] ** 2).sum()),
            )  # fmt: skip
            sums = [one + other for one, other in zip(sums, parts, strict=True)]
        gain = float(10 * np.log10(errors[0] / errors[1]))
        rows.append((*fitted(*sums, t=t, energy=energy), gain))  # type: ignore[arg-type]
    return rows


def fitted(xx: np.ndarray, xy: np.ndarray, yy: float, gg: np.ndarray, wanted: float, *, t: float, energy: float
           ) -> tuple[float, ...]:  # fmt: skip
    """The filters of one place within the gap, from the sums over a loop."""
    plain = np.zeros(len(xx))
    plain[CENTRE], plain[(2 * WIDE + 1) ** 2 + CENTRE] = 1 - t, t
    steady = xx + 1e-6 * np.trace(xx) / len(xx) * np.eye(len(xx))

    def decibels(filter_: np.ndarray) -> float:
        errors = [yy - 2 * each @ xy + each @ xx @ each for each in (plain, filter_)]
        return float(10 * np.log10(errors[0] / errors[1]))

    best = np.linalg.solve(steady, xy)
    low, high = 0.0, 0.9999 / float(linalg.eigh(gg, steady, eigvals_only=True)[-1])
    sharp = best
    for _ in range(50):
        weight = (low + high) / 2
        sharp = np.linalg.solve(steady - weight * gg, xy)
        low, high = (weight, high) if sharp @ gg @ sharp < energy * wanted else (low, weight)
    return (
        float(plain @ gg @ plain / wanted), decibels(best), float(best @ gg @ best / wanted),
        decibels(sharp), float(sharp @ gg @ sharp / wanted),
    )  # fmt: skip


def banded(light: np.ndarray, sector: np.ndarray, gap: int) -> np.ndarray:
    """(bands, 3): share of the gradient energy; correlation of the left-out frame with fusion by usual and by seen motion."""
    usual, seeing = plain_flow(), plain_flow(3.0)
    inside = cv2.erode(sector.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    rows = []
    for start in range(0, len(light) - gap, gap):
        target = light[start + gap // 2]
        if any((target == light[start + gap // 2 + step]).all() for step in (-1, 1)):
            continue
        first, second = light[start].astype(np.float32), light[start + gap].astype(np.float32)
        onwards, back = usual.motion(light[start], light[start + gap]), usual.motion(light[start + gap], light[start])
        ways = (
            (-onwards / 4 + back / 4, onwards / 4 - back / 4),
            tuple(seeing.motion(target, light[place]) for place in (start, start + gap)),
        )
        real = in_bands(target.astype(np.float32))
        energies = [sum(float((each[inside] ** 2).sum()) for each in np.gradient(band)) for band in real]
        told_ = [in_bands((sampled(first, to0) + sampled(second, to1)) / 2) for to0, to1 in ways]
        rows.append([
            (energy / sum(energies), *(float(np.corrcoef(band[inside], each[place][inside])[0, 1]) for each in told_))
            for place, (band, energy) in enumerate(zip(real, energies, strict=True))
        ])  # fmt: skip
    return np.mean(rows, axis=0)


def in_bands(picture: np.ndarray) -> list[np.ndarray]:
    """What a picture has between the sizes of BANDS."""
    smooth = [picture, *(cv2.GaussianBlur(picture, (0, 0), size) for size in BANDS)]
    return [fine - coarse for fine, coarse in pairwise(smooth)]


def print_bands(folder: Path, only: str, gap: int) -> None:
    """The table of --bands."""
    edges = ("0", *(f"{size:g}" for size in BANDS))
    print(f"{gap} x; by size in pixels: share of gradient energy, correlation with usual motion > with motion seen")
    gathered = []
    for name, light, _, sector in loops(folder, only):
        gathered.append(banded(light, sector, gap))
        print(f"  {name:36s} " + in_words(edges, gathered[-1]), flush=True)
    if gathered:
        print(f"  {'mean':36s} " + in_words(edges, np.mean(gathered, axis=0)))


def in_words(edges: Sequence[str], rows: np.ndarray) -> str:
    """A line of the table."""
    bands = zip(pairwise(edges), rows, strict=True)
    return " | ".join(f"{low}-{high}: {row[0]:.2f}, {row[1]:.2f} > {row[2]:.2f}" for (low, high), row in bands)


def main() -> None:
    """Parse the arguments and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loops", type=Path, default=CHECKOUT.parent / "shared" / "data" / "ultrasound")
    parser.add_argument("--gap", type=int, default=2)
    parser.add_argument("--energy", type=float, default=0.9)
    parser.add_argument("--only", default="", help="loops whose path has this in it")
    parser.add_argument("--seen", action="store_true", help="motion to the left-out frame itself")
    parser.add_argument("--bands", action="store_true", help="how much is told of each size of structure")
    asked = parser.parse_args()
    cv2.setNumThreads(1)
    if asked.bands:
        print_bands(asked.loops, asked.only, asked.gap)
        return
    print(f"{asked.gap} x, dB over plain DIS (bilinear, sigma 1.5), gradient energy over the left-out frames'")
    gathered = []
    for name, light, times, sector in loops(asked.loops, asked.only):
        row = np.mean(told(light, times, sector, asked.gap, asked.energy, seen=asked.seen), axis=0)
        gathered.append(row)
        print(
            f"  {name:36s} DIS {row[0]:.2f} | squared error alone {row[1]:+.2f} dB at {row[2]:.2f} | "
            f"energy held {row[3]:+.2f} dB at {row[4]:.2f}"
            + (f" | motion seen {row[5]:+.2f} dB" if asked.seen else ""),
            flush=True,
        )
    if gathered:
        row = np.mean(gathered, axis=0)
        last = f" | {row[5]:+.2f} dB" if asked.seen else ""
        print(
            f"  {'mean':36s} DIS {row[0]:.2f} | {row[1]:+.2f} dB at {row[2]:.2f} | {row[3]:+.2f} dB at {row[4]:.2f}{last}"
        )


if __name__ == "__main__":
    main()
