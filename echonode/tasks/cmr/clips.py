"""One clip of a kept loop, as the networks see it in training: where it begins, how it is moved and how it looks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from echonode.tasks.cmr.compact import CELL, CELLS, SEGMENTS, WINDOW
from echonode.tasks.cmr.hearts import ABNORMAL
from echonode.tasks.cmr.loops import TISSUE_SHRINK
from echonode.tasks.cmr.prepare import Convention
from echonode.tasks.common.instants import frames_by_time, loop_ms, starts_by_time

Floats = NDArray[np.float32]
Pictures = NDArray[np.uint8]
Affine = NDArray[np.float64]
SHIFT_PIXELS, TURN_DEGREES, SCALE_SHARE = 6.0, 8.0, 0.12
GAMMA, GAIN, OFFSET = 0.35, 0.25, 12.0
NOISE_SHARE, NOISE_LEVEL = 0.5, 12.0
SHADOW_SHARE, DEEPEST_SHADOW = 0.3, 0.7
UNKNOWN: Final = -1.0


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Loop:
    """A loop of the cache; what only a simulated heart knows is None otherwise."""

    pictures: Pictures
    times_ms: NDArray[np.float64]
    tissue: Pictures | None
    scores: Pictures | None
    narrowing: Floats | None
    ef_percent: float | None

    @property
    def abnormal(self) -> bool | None:
        """Whether any segment that the view shows moves abnormally."""
        return None if self.scores is None else bool((self.scores >= ABNORMAL).any())

    @property
    def score_index(self) -> float | None:
        """The wall motion score index: the mean score of the segments that the view shows."""
        return None if self.scores is None else float(self.scores.mean())


def open_loop(path: Path) -> Loop:
    """The loop that `loops.kept` wrote."""
    with np.load(path, allow_pickle=False) as kept:
        return Loop(
            pictures=kept["pictures"],
            times_ms=kept["times_ms"],
            tissue=kept.get("tissue"),
            scores=kept.get("scores"),
            narrowing=kept.get("narrowing"),
            ef_percent=float(kept["ef"]) if "ef" in kept else None,
        )


def training_frames(
    loop: Loop, convention: Convention, *, count: int, chance: np.random.Generator
) -> Mapping[str, NDArray[np.generic]]:
    """`count` frames from anywhere in a simulated loop, moved and with another look: `window` float32 (count, 96, 96).

    `tissue` float32 (count, 2, 48, 48) is the share of cavity and muscle in each cell.

    Raises:
        ValueError: the loop does not know its tissue.
    """
    if loop.tissue is None:
        raise ValueError("nothing is known of this loop's tissue")
    shown = np.sort(chance.choice(len(loop.pictures), count, replace=len(loop.pictures) < count))
    move = _move(convention.side, chance)
    small = _to_cells(move)
    cells = [[_moved(plane, small, CELLS) for plane in loop.tissue[index]] for index in shown]
    return {
        "window": _changed(loop, shown, move, chance),
        "tissue": np.asarray(cells, np.float32) / np.float32(255),
    }


def training_clip(
    loop: Loop, convention: Convention, *, chance: np.random.Generator
) -> Mapping[str, NDArray[np.generic]]:
    """A clip that begins anywhere, moved and with another look: `window` float32 (T, 96, 96).

    `narrowing` (7,) is that of the segments in view; UNKNOWN where not known.
    """
    lasting = loop_ms(loop.times_ms)
    room = lasting - convention.clip_ms
    start = float(chance.uniform(0, room if room > 0 else lasting))
    shown = frames_by_time(loop.times_ms, start_ms=start, period_ms=convention.period_ms, count=convention.frames)
    narrowing = np.full(SEGMENTS, UNKNOWN, np.float32)
    if loop.narrowing is not None and len(loop.narrowing) == SEGMENTS:
        narrowing = loop.narrowing
    return {"window": _changed(loop, shown, _move(convention.side, chance), chance), "narrowing": narrowing}


def _changed(loop: Loop, shown: NDArray[np.int64], move: Affine, chance: np.random.Generator) -> Floats:
    window = np.stack([_moved(loop.pictures[index], move, WINDOW[2]) for index in shown])
    return _look(window, chance).astype(np.float32) / np.float32(255)


def plain_clips(loop: Loop, convention: Convention, *, clips: int) -> Floats:
    """The clips that the runner would look at, float32 (clips, 1, T, side, side); grey is one channel here."""
    starts = starts_by_time(loop.times_ms, clip_ms=convention.clip_ms, clips=clips)
    chosen = [
        frames_by_time(loop.times_ms, start_ms=start, period_ms=convention.period_ms, count=convention.frames)
        for start in starts
    ]
    made: Floats = np.stack([loop.pictures[indices] for indices in chosen])[:, None].astype(np.float32)
    return made / np.float32(255)


def published_clip(loop: Loop) -> Floats:
    """The one clip of the authors, float32 (3, T, side, side), blue first."""
    made: Floats = loop.pictures.transpose(3, 0, 1, 2).astype(np.float32)
    return made / np.float32(255)


def _move(side: int, chance: np.random.Generator) -> Affine:
    """An affine map (2, 3) from a whole picture to the window, pixels by their centres."""
    turn = float(np.deg2rad(chance.uniform(-TURN_DEGREES, TURN_DEGREES)))
    grow = float(np.exp(chance.uniform(-SCALE_SHARE, SCALE_SHARE)))
    aside = chance.uniform(-SHIFT_PIXELS, SHIFT_PIXELS, 2)
    top, left, width = WINDOW
    rotation = grow * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    middle = np.array([left, top]) + (width - 1) / 2
    return np.column_stack([rotation, np.full(2, (width - 1) / 2) + aside - rotation @ middle])


def _to_cells(move: Affine) -> Affine:
    """The same map from the shrunken tissue to the window's cells."""
    into, out = (TISSUE_SHRINK - 1) / 2, (CELL - 1) / 2
    rotation = move[:, :2]
    return np.column_stack([rotation * TISSUE_SHRINK / CELL, (move[:, 2] + rotation @ np.full(2, into) - out) / CELL])


def _moved(picture: Pictures, move: Affine, side: int) -> Pictures:
    return cv2.warpAffine(picture, move, (side, side), flags=cv2.INTER_LINEAR).astype(np.uint8, copy=False)


def _look(pictures: Pictures, chance: np.random.Generator) -> Pictures:
    """Another scanner's look: gamma, gain, a lifted black, noise that is never twice the same, a shadow from the probe."""
    level = np.arange(256, dtype=np.float32) / 255
    gamma = float(np.exp(chance.uniform(-GAMMA, GAMMA)))
    curve = 255 * float(np.exp(chance.uniform(-GAIN, GAIN))) * level**gamma + float(chance.uniform(-OFFSET, OFFSET))
    curve[0] = 0.0
    seen = np.asarray(cv2.LUT(pictures, np.clip(curve, 0, 255).astype(np.uint8)), np.float32)
    side = pictures.shape[1]
    if chance.random() < NOISE_SHARE:
        noise = chance.standard_normal((3, side, side), np.float32) * np.float32(chance.uniform(0, NOISE_LEVEL))
        seen += noise[chance.integers(0, 3, len(seen))] * (pictures > 0)
    if chance.random() < SHADOW_SHARE:
        y, x = np.mgrid[0:side, 0:side]
        angle = np.arctan2(x - side / 2, y + 8.0)
        away = (angle - float(chance.uniform(-0.6, 0.6))) / float(chance.uniform(0.03, 0.15))
        seen *= (1 - float(chance.uniform(0.2, DEEPEST_SHADOW)) * np.exp(-(away**2))).astype(np.float32)
    return np.clip(seen, 0, 255).astype(np.uint8)
