"""Stretches of a strip made as bad as they get in practice, so that it is known which are: to train and test judges.

A probe that is lifted, a patient who moves, a gain that is wrong, a rib, another line of sight: what an expert would
mark as a stretch that is not to be measured in. For data sets alone; no runner changes a picture like this.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

SHORTEST, LONGEST = 25, 140  # columns of the grid
EDGE: Final = 3
Picture = NDArray[np.float32]
Chance = np.random.Generator


def spoiled(picture: NDArray[np.uint8], chance: Chance) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """A copy of a grid's picture (H, L) with none to two bad stretches, or bad as a whole, and which columns are good."""
    seen, length = picture.astype(np.float32), picture.shape[1]
    good = np.ones(length, np.bool_)
    kind = chance.random()
    if kind < 0.25:
        return picture.copy(), good
    if kind < 0.35:
        spans = [(0, length)]
    else:
        spans = []
        for _ in range(1 + int(chance.random() < 0.35)):
            width = int(chance.integers(SHORTEST, min(LONGEST, max(SHORTEST + 1, length))))
            start = int(chance.integers(-width // 3, max(1, length - 2 * width // 3)))
            spans.append((max(0, start), min(length, start + width)))
    for start, stop in spans:
        if stop - start < SHORTEST // 2:
            continue
        ways = WAYS if stop - start < length else WAYS[:3]
        spoil = ways[int(chance.integers(len(ways)))]
        part = spoil(seen[:, start:stop].copy(), chance)
        seen[:, start:stop] = _faded(seen[:, start:stop], part, whole=stop - start == length)
        good[start:stop] = False
    return np.clip(np.rint(seen), 0, 255).astype(np.uint8), good


def _faded(before: Picture, after: Picture, *, whole: bool) -> Picture:
    """The bad stretch with soft ends."""
    width = before.shape[1]
    if whole or width < 4 * EDGE:
        return after
    weight = np.ones(width, np.float32)
    ramp = np.linspace(0.2, 1, EDGE, dtype=np.float32)
    weight[:EDGE], weight[-EDGE:] = ramp, ramp[::-1]
    return before * (1 - weight) + after * weight


def _lifted(part: Picture, chance: Chance) -> Picture:
    """No contact: hardly an echo below the skin, and noise."""
    share = float(chance.uniform(0.0, 0.18))
    noise = np.abs(chance.normal(0, chance.uniform(4, 16), part.shape)).astype(np.float32)
    return part * share + cv2.GaussianBlur(noise, (3, 3), 0.7)


def _drowned(part: Picture, chance: Chance) -> Picture:
    """Noise over everything."""
    level = float(chance.uniform(0.8, 1.6)) * max(40.0, float(np.percentile(part, 97)))
    noise = np.abs(chance.normal(0, 1, part.shape)).astype(np.float32)
    noise = np.asarray(cv2.GaussianBlur(noise, (3, 3), 0.8), np.float32)
    return part * float(chance.uniform(0.15, 0.5)) + noise * level * 0.8


def _washed(part: Picture, chance: Chance) -> Picture:
    """Echoes smeared over depth and time until no border is left, as behind a rib or in a lung."""
    deep, long = float(chance.uniform(9, 18)), float(chance.uniform(6, 20))
    smeared = cv2.GaussianBlur(part, (0, 0), sigmaX=long, sigmaY=deep)
    grain = chance.gamma(2.0, 0.5, part.shape).astype(np.float32)
    return smeared * cv2.GaussianBlur(grain, (3, 3), 0.7) * float(chance.uniform(0.6, 1.3))


def _moved(part: Picture, chance: Chance) -> Picture:
    """The probe or the patient moves: columns jump up and down."""
    rows, width = part.shape
    steps = chance.normal(0, 1, width // 4 + 2).cumsum() * chance.uniform(3, 7) + chance.normal(0, 6, width // 4 + 2)
    shift = np.interp(np.arange(width), np.arange(len(steps)) * 4.0, steps).astype(np.float32)
    y, x = np.mgrid[0:rows, 0:width].astype(np.float32)
    moved = cv2.remap(part, x, y + shift, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.float32)


def _torn(part: Picture, chance: Chance) -> Picture:
    """Lines are lost again and again."""
    lost = np.asarray(chance.random(part.shape[1]) < chance.uniform(0.45, 0.8))
    return np.where(lost[None], part * float(chance.uniform(0, 0.15)), part).astype(np.float32)


WAYS: Final[tuple[Callable[[Picture, Chance], Picture], ...]] = (_lifted, _drowned, _washed, _moved, _torn)
