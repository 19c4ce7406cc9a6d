"""One clip of a kept loop, as the networks see it in training: where it begins, how it is moved and how it looks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from echonode.tasks.ejection_fraction.compact import CELL, STEP
from echonode.tasks.ejection_fraction.convention import Convention

Floats = NDArray[np.float32]
Pictures = NDArray[np.uint8]
SHIFT_PIXELS: Final = 6  # the authors' crop of 112 out of 124
SHIFT_SHARE, TURN_DEGREES, SCALE_SHARE = 0.06, 10.0, 0.15
GAMMA, GAIN, OFFSET = 0.30, 0.25, 12.0
NOISE_SHARE, NOISE_LEVEL = 0.5, 10.0
SHADOW_SHARE, DEEPEST_SHADOW = 0.3, 0.75
UNKNOWN: Final = -1.0


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Loop:
    """A loop of the cache: `pictures` uint8 (T, side, side), and of a simulated heart `cavity` and `volume_ml`."""

    pictures: Pictures
    ef_percent: float
    cavity: Pictures | None
    volume_ml: Floats | None


def open_loop(path: Path, ef_percent: float | None) -> Loop:
    """The loop that `loops.kept` wrote; its ejection fraction is `ef_percent`, where the list gives one."""
    with np.load(path, allow_pickle=False) as kept:
        return Loop(
            pictures=kept["pictures"],
            ef_percent=float(kept["ef"]) if ef_percent is None else ef_percent,
            cavity=kept.get("cavity"),
            volume_ml=kept.get("volume_ml"),
        )


def clip_by_time(
    loop: Loop, convention: Convention, *, chance: np.random.Generator | None
) -> Mapping[str, NDArray[np.generic]]:
    """A clip for the sound recipe: `clip` float32 (1, T, side, side), `ef`, and what a simulated heart knows besides.

    `cells` (T / 3, side / 8, side / 8): the share of LV cavity in each cell in the middle of three frames, and `course`
    (2, T): the logarithms of the cavity's area in the picture, in cells, and of its volume less its mean; UNKNOWN
    everywhere, and 0, where not known.
    Without `chance` it is the middle of the loop, as it is.
    """
    count, side, kept_side = convention.frames, convention.side, loop.pictures.shape[1]
    room = len(loop.pictures) - count
    start = room // 2 if chance is None else int(chance.integers(0, room + 1))
    shown = slice(start, start + count)
    move = _move(kept_side, side, chance)
    pictures = np.stack([_moved(each, move, side) for each in loop.pictures[shown]])
    if chance is not None:
        pictures = _look(pictures, chance)
    levels = convention.levels()
    clip = levels[:1, pictures]  # grey: one channel is all that there is
    grid, steps = side // CELL, count // STEP
    cells = np.full((steps, grid, grid), UNKNOWN, np.float32)
    course = np.zeros((2, count), np.float32)
    if loop.cavity is not None and loop.volume_ml is not None:
        small = _halved(move)
        moved = [_moved(each, small, side // 2) for each in loop.cavity[shown]]
        cells = np.stack(
            [cv2.resize(each, (grid, grid), interpolation=cv2.INTER_AREA) for each in moved[STEP // 2 :: STEP]]
        ).astype(np.float32) / np.float32(255)
        area = np.array([each.mean(dtype=np.float64) for each in moved]) * grid**2 / 255
        volume = np.log(loop.volume_ml[shown])
        course[:] = np.log(np.maximum(area, 0.25)), volume - volume.mean()
    return {"clip": clip, "ef": np.array(loop.ef_percent, np.float32), "cells": cells, "course": course}


def clip_by_number(
    loop: Loop, convention: Convention, *, chance: np.random.Generator, shifted: bool
) -> Mapping[str, NDArray[np.generic]]:
    """A clip as the authors cut it: every `stride`-th frame from a random one, black frames added to a short video.

    `shifted`: all its frames by up to 6 pixels each way, black coming in.
    """
    count = max(len(loop.pictures), convention.padded)
    start = int(chance.integers(0, max(1, count - convention.span + 1)))
    across, down = chance.integers(-SHIFT_PIXELS, SHIFT_PIXELS + 1, 2) if shifted else (0, 0)
    side = convention.side
    whole = np.zeros((convention.frames, side + 2 * SHIFT_PIXELS, side + 2 * SHIFT_PIXELS), np.uint8)
    for place, index in enumerate(start + convention.stride * np.arange(convention.frames)):
        if index < len(loop.pictures):
            whole[place, SHIFT_PIXELS : SHIFT_PIXELS + side, SHIFT_PIXELS : SHIFT_PIXELS + side] = loop.pictures[index]
    top, left = SHIFT_PIXELS + int(down), SHIFT_PIXELS + int(across)
    pictures = whole[:, top : top + side, left : left + side]
    levels = convention.levels()
    return {
        "clip": np.stack([levels[lane][pictures] for lane in range(3)]),
        "ef": np.array(loop.ef_percent, np.float32),
    }


def _move(kept_side: int, side: int, chance: np.random.Generator | None) -> NDArray[np.float64]:
    """The affine map (2, 3) from a kept picture to the network's, pixels by their centres."""
    turn, share, across, down = 0.0, 1.0, 0.0, 0.0
    if chance is not None:
        turn = float(np.deg2rad(chance.uniform(-TURN_DEGREES, TURN_DEGREES)))
        share = float(np.exp(chance.uniform(-SCALE_SHARE, SCALE_SHARE)))
        across, down = chance.uniform(-SHIFT_SHARE, SHIFT_SHARE, 2) * side
    grow = share * side / kept_side
    rotation = grow * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    aside = np.array([across, down])
    middle = (side - 1) / 2 + aside - rotation @ np.full(2, (kept_side - 1) / 2)
    return np.column_stack([rotation, middle])


def _halved(move: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same map between pictures of half the size: places are 2 x + 1/2 there."""
    rotation = move[:, :2]
    return np.column_stack([rotation, (move[:, 2] + rotation @ np.full(2, 0.5) - 0.5) / 2])


def _moved(picture: Pictures, move: NDArray[np.float64], side: int) -> Pictures:
    return cv2.warpAffine(picture, move, (side, side), flags=cv2.INTER_LINEAR).astype(np.uint8, copy=False)


def _look(pictures: Pictures, chance: np.random.Generator) -> Pictures:
    """Another scanner's look: gamma, gain, a lifted black, noise that is never twice the same, a shadow from the probe."""
    level = np.arange(256, dtype=np.float32) / 255
    gamma = float(np.exp(chance.uniform(-GAMMA, GAMMA)))
    gain = float(np.exp(chance.uniform(-GAIN, GAIN)))
    curve = 255 * gain * level**gamma + float(chance.uniform(-OFFSET, OFFSET))
    curve[0] = 0.0
    seen = cv2.LUT(pictures, np.clip(curve, 0, 255).astype(np.uint8)).astype(np.float32)
    side = pictures.shape[1]
    if chance.random() < NOISE_SHARE:
        noise = chance.standard_normal((4, side, side), np.float32) * np.float32(chance.uniform(0, NOISE_LEVEL))
        seen += noise[chance.integers(0, 4, len(seen))] * (pictures > 0)
    if chance.random() < SHADOW_SHARE:
        y, x = np.mgrid[0:side, 0:side]
        angle = np.arctan2(x - side / 2, y + 1.0)
        wide = float(chance.uniform(0.03, 0.15))
        away = (angle - float(chance.uniform(-0.6, 0.6))) / wide
        seen *= (1 - float(chance.uniform(0.2, DEEPEST_SHADOW)) * np.exp(-(away**2))).astype(np.float32)
    return np.clip(seen, 0, 255).astype(np.uint8)
