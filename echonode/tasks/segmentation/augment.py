"""Chance changes of a picture and its labels while a network learns, all drawn from one generator."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

CODES: Final = 4
LEVELS: Final = np.arange(256, dtype=np.float32) / 255

Bytes = NDArray[np.uint8]


def sound(picture: Bytes, labels: Bytes, chance: np.random.Generator) -> tuple[Bytes, Bytes]:
    """As if another scanner, another setting of its knobs and another window had been there.

    Shift to 8 %, scale 0.82 to 1.18, stretch to 6 %, turn to 10 degrees; gain, gamma and offset; speckle and noise;
    blur; shadows along beams from the apex and darkness in depth. Never mirrored: left and right tell the ventricles apart.
    Picture (S, S) or (S, S, C) and labels (F S, F S); the same sizes come back. The channels of a picture change together,
    noise alone is each one's own.
    """
    side, finer = len(picture), len(labels) // len(picture)
    if chance.random() < 0.8:
        turn = _affine(
            side, degrees=chance.uniform(-10, 10), scale=chance.uniform(0.82, 1.18), stretch=chance.uniform(-0.06, 0.06),
            shift=chance.uniform(-0.08, 0.08, 2),
        )  # fmt: skip
        picture = _warped(picture, turn, cv2.INTER_LINEAR)
        labels = _warped(labels, _finer(turn, finer), cv2.INTER_NEAREST)
    whole = picture if picture.ndim == 3 else picture[:, :, None]
    grey = whole.astype(np.float32) * np.float32(1 / 255)
    inside = whole.max(axis=2, keepdims=True) > 0
    if chance.random() < 0.25:
        blurred = cv2.GaussianBlur(grey, (0, 0), float(chance.uniform(0.4, 1.1)))
        grey = blurred.reshape(whole.shape).astype(np.float32)
    if chance.random() < 0.4:
        grey *= _shadows(side, chance)[:, :, None]
    if chance.random() < 0.5:
        rough = cv2.resize(chance.standard_normal((side // 2, side // 2), np.float32), (side, side))
        grey[:, :, 0] *= np.exp(np.float32(chance.uniform(0, 0.3)) * rough)
    gamma, gain, floor = chance.uniform(0.65, 1.6), chance.uniform(0.7, 1.4), chance.uniform(-0.03, 0.05)
    grey = np.float32(gain) * np.clip(grey, 0, None) ** np.float32(gamma)
    grey[:, :, :2] += np.float32(floor)
    if chance.random() < 0.5:
        grey[:, :, 0] += np.float32(chance.uniform(0, 0.05)) * chance.standard_normal((side, side), np.float32)
    found = np.where(inside, np.clip(np.rint(255 * grey), 0, 255), 0).astype(np.uint8)
    return found.reshape(picture.shape), labels


def published(picture: Bytes, labels: Bytes, chance: np.random.Generator) -> tuple[Bytes, Bytes]:
    """The authors': gamma 0.5 to 3, mirrored half the time, turned to 10 degrees, then moved to 20 % and scaled 0.8 to 1.2.

    Nearest pixel throughout; what comes in from outside is 0.
    """
    side = len(picture)
    table = np.rint(255 * LEVELS ** np.float32(chance.uniform(0.5, 3))).astype(np.uint8)
    picture = np.asarray(cv2.LUT(picture, table), np.uint8)
    if chance.random() < 0.5:
        picture, labels = picture[:, ::-1], labels[:, ::-1]
    for turn in (
        _affine(side, degrees=chance.uniform(-10, 10)),
        _affine(side, scale=chance.uniform(0.8, 1.2), shift=np.rint(side * chance.uniform(-0.2, 0.2, 2)) / side),
    ):
        picture = _warped(np.ascontiguousarray(picture), turn, cv2.INTER_NEAREST)
        labels = _warped(np.ascontiguousarray(labels), _finer(turn, len(labels) // side), cv2.INTER_NEAREST)
    return picture, labels


def shares(labels: Bytes, side: int) -> Bytes:
    """How much of each pixel each code covers, (4, side, side), 255 for all of it, of labels that are as fine or finer."""
    if len(labels) == side:
        return np.stack([(labels == code).astype(np.uint8) * np.uint8(255) for code in range(CODES)])
    masks = [(labels == code).astype(np.uint8) * np.uint8(255) for code in range(CODES)]
    return np.stack([cv2.resize(mask, (side, side), interpolation=cv2.INTER_AREA) for mask in masks]).astype(np.uint8)


def _affine(
    side: int, *, degrees: float = 0.0, scale: float = 1.0, stretch: float = 0.0,
    shift: NDArray[np.float64] | tuple[float, float] = (0.0, 0.0),
) -> NDArray[np.float64]:  # fmt: skip
    """From places in the old picture to places in the new one, about the middle; (2, 3), in pixels."""
    middle = (side - 1) / 2
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turn = scale * turn @ np.diag([1 + stretch, 1 - stretch])
    offset = np.array([middle, middle]) - turn @ [middle, middle] + side * np.asarray(shift)
    return np.hstack([turn, offset[:, None]])


def _finer(turn: NDArray[np.float64], finer: int) -> NDArray[np.float64]:
    """The same of a picture with `finer` times as many pixels; pixel centres and not corners are meant."""
    half = (finer - 1) / 2
    moved = turn.copy()
    moved[:, 2] = finer * turn[:, 2] + half - turn[:, :2] @ [half, half]
    return moved


def _warped(values: Bytes, turn: NDArray[np.float64], how: int) -> Bytes:
    return np.asarray(
        cv2.warpAffine(values, turn, values.shape[1::-1], flags=how, borderMode=cv2.BORDER_CONSTANT), np.uint8
    )


def _shadows(side: int, chance: np.random.Generator) -> NDArray[np.float32]:
    """Factors (side, side): some beams darker, some depths darker."""
    y, x = np.mgrid[0:side, 0:side].astype(np.float32) / side
    angle = np.arctan2(x - np.float32(0.5), y + np.float32(0.08))
    factor = np.ones((side, side), np.float32)
    for _ in range(int(chance.integers(1, 4))):
        away = (angle - np.float32(chance.uniform(-0.7, 0.7))) / np.float32(chance.uniform(0.03, 0.15))
        factor *= 1 - np.float32(chance.uniform(0.2, 0.9)) * np.exp(-away * away)
    fading = np.exp(np.float32(chance.uniform(-0.8, 0.8)) * (y - np.float32(0.5)))
    return np.asarray(factor * fading, np.float32)
