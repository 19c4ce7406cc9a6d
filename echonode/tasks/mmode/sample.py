"""One strip to learn from or to be tested on: its picture on the grid, and what is known of it. Kept as .npz."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

FORMAT: Final = 1
UNKNOWN: Final = -1
TRAINED_ROWS, TRAINED_COLUMNS = 160, 192
"""What a network is trained on: 160 mm by 1.9 s."""
Chance = np.random.Generator


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Sample:
    """`picture` uint8 (H, L) of the grid.

    `walls` float32 (4, L): rows where the walls' borders lie, NaN where that is not known. `diastoles`, `systoles`
    float32: columns of the R waves and of end-systoles; None where not known. `level` an index into `compact.LEVELS`,
    or -1. `good` int8 (L,): 1, 0, or -1 for not known.
    """

    key: str
    patient: str
    picture: NDArray[np.uint8]
    walls: NDArray[np.float32]
    diastoles: NDArray[np.float32] | None = None
    systoles: NDArray[np.float32] | None = None
    level: int = UNKNOWN
    good: NDArray[np.int8]

    def save(self, path: Path) -> None:
        """Keep it in a file."""
        content: dict[str, Any] = {
            "format": FORMAT, "key": self.key, "patient": self.patient, "picture": self.picture, "walls": self.walls,
            "level": self.level, "good": self.good,
        }  # fmt: skip
        for name in ("diastoles", "systoles"):
            value = getattr(self, name)
            if value is not None:
                content[name] = value
        part = path.with_name(f".{path.name}.part.npz")
        np.savez_compressed(part, **content)
        part.replace(path)

    @classmethod
    def load(cls, path: Path) -> Sample:
        """What `save` kept."""
        with np.load(path) as kept:
            return cls(
                key=str(kept["key"]), patient=str(kept["patient"]), picture=kept["picture"], walls=kept["walls"],
                diastoles=kept.get("diastoles", None),
                systoles=kept.get("systoles", None),
                level=int(kept["level"]), good=kept["good"],
            )  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class View:
    """A part of a sample at the size that networks are trained on; columns of phases as in the sample."""

    picture: NDArray[np.uint8]
    walls: NDArray[np.float32]
    diastoles: NDArray[np.float32] | None
    systoles: NDArray[np.float32] | None
    good: NDArray[np.int8]


def seen(sample: Sample, chance: Chance | None, *, columns: int = TRAINED_COLUMNS, zoom: float = 0.2) -> View:
    """160 rows by `columns` of a sample: by chance shifted and scaled in depth and time, without chance as it lies.

    Rows beyond the picture repeat its edge, columns beyond it are mirrored and nothing is known of them.
    """
    _height, length = sample.picture.shape
    deep, long, down, first = 1.0, 1.0, 0.0, 0.0
    if chance is not None:
        deep, long = float(np.exp(chance.uniform(-zoom, zoom))), float(np.exp(chance.uniform(-zoom, zoom)))
        down = float(chance.uniform(-14, 14))
        free = length * long - columns
        first = float(chance.uniform(min(0.0, free), max(0.0, free)))
    # row' = deep * (row + 0.5) - 0.5 + down, column' = long * (column + 0.5) - 0.5 - first
    matrix = np.array([[long, 0, 0.5 * long - 0.5 - first], [0, deep, 0.5 * deep - 0.5 + down]])
    size = (columns, TRAINED_ROWS)
    picture = cv2.warpAffine(sample.picture, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    source = (np.arange(columns) - matrix[0, 2]) / long
    inside = (source > -0.5) & (source < length - 0.5)
    near = np.clip(np.rint(source), 0, length - 1).astype(int)
    walls = np.full((len(sample.walls), columns), np.nan, np.float32)
    for border, known in zip(walls, sample.walls, strict=True):
        border[:] = np.interp(source, np.arange(length), known) * deep + matrix[1, 2]
    walls[:, ~inside] = np.nan
    walls[(walls < 0) | (walls > TRAINED_ROWS - 1)] = np.nan
    return View(
        picture=np.asarray(picture, np.uint8),
        walls=walls,
        diastoles=_moved(sample.diastoles, long, matrix[0, 2]),
        systoles=_moved(sample.systoles, long, matrix[0, 2]),
        good=np.where(inside, sample.good[near], UNKNOWN).astype(np.int8),
    )


def relit(picture: NDArray[np.uint8], chance: Chance) -> NDArray[np.uint8]:
    """Another scanner's look: gain, gamma, gain over depth, blur, noise, lost lines, bands that stand still."""
    rows, columns = picture.shape
    light: NDArray[Any] = picture.astype(np.float32) / 255
    light = np.power(light, float(np.exp(chance.uniform(-0.5, 0.5)))) * float(np.exp(chance.uniform(-0.5, 0.9)))
    if chance.random() < 0.7:
        knots = np.exp(chance.normal(0, 0.3, 5))
        light *= np.interp(np.linspace(0, 4, rows), np.arange(5), knots).astype(np.float32)[:, None]
    if chance.random() < 0.3:
        light = cv2.GaussianBlur(light, (0, 0), sigmaX=chance.uniform(0.3, 1.5), sigmaY=chance.uniform(0.3, 1.3))
    if chance.random() < 0.6:
        grain = chance.gamma(3.0, 1 / 3.0, picture.shape).astype(np.float32)
        share = float(chance.uniform(0.1, 0.7))
        light *= 1 - share + share * cv2.GaussianBlur(grain, (3, 3), 0.6)
    if chance.random() < 0.6:
        noise = np.abs(chance.normal(0, chance.uniform(0.01, 0.12), picture.shape)).astype(np.float32)
        light = np.maximum(light, cv2.GaussianBlur(noise, (3, 3), 0.6))
    if chance.random() < 0.3:
        light[:, chance.random(columns) < chance.uniform(0.01, 0.08)] *= float(chance.uniform(0, 0.5))
    if chance.random() < 0.4:
        for _ in range(int(chance.integers(1, 4))):
            row, width = int(chance.integers(0, rows)), int(chance.integers(1, 4))
            light[row : row + width] += float(chance.uniform(0.05, 0.4))
    return np.clip(np.rint(light * 255), 0, 255).astype(np.uint8)


def _moved(columns: NDArray[np.float32] | None, scale: float, shift: float) -> NDArray[np.float32] | None:
    return None if columns is None else (columns * scale + shift).astype(np.float32)
