"""Embeddings on a plane: principal components, and an exact t-SNE for as many points as that is cheap for."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

Places = NDArray[np.float64]
MOST_POINTS: Final = 1500
"""Exact t-SNE compares each point with each other."""
PERPLEXITY: Final = 30.0
STEPS: Final = 500
EXAGGERATION, EXAGGERATED_STEPS = 12.0, 120
HALVINGS: Final = 50


def principal(embeddings: ArrayLike, *, count: int = 2) -> tuple[Places, Places]:
    """The first components (N, count), the largest entry of each axis positive, and the share of variance of each."""
    points = np.asarray(embeddings, np.float64)
    centred = points - points.mean(axis=0)
    left, size, axes = np.linalg.svd(centred, full_matrices=False)
    sign = np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)])
    total = float((size**2).sum()) or 1.0
    return (left * size * sign)[:, :count], (size**2 / total)[:count]


def t_sne(embeddings: ArrayLike, *, perplexity: float = PERPLEXITY, steps: int = STEPS) -> Places:
    """t-SNE (van der Maaten and Hinton, JMLR 2008;9:2579), begun at the principal components: no chance in it.

    Raises:
        ValueError: fewer than three points, or more than MOST_POINTS.
    """
    points = np.asarray(embeddings, np.float64)
    count = len(points)
    if not 3 <= count <= MOST_POINTS:
        raise ValueError(f"{count} points: from 3 to {MOST_POINTS} are expected")
    near = _neighbours(points, min(perplexity, (count - 1) / 3))
    place = principal(points)[0]
    place = place if place.shape[1] == 2 else np.column_stack([place, np.zeros(count)])
    place = 1e-2 * place / max(float(place[:, 0].std()), 1e-12)
    speed, gain = np.zeros_like(place), np.ones_like(place)
    rate = max(count / EXAGGERATION, 10.0)
    for step in range(steps):
        pull = near * (EXAGGERATION if step < EXAGGERATED_STEPS else 1.0)
        close = 1 / (1 + _squares(place))
        np.fill_diagonal(close, 0.0)
        force = (pull - close / close.sum()) * close
        slope = 4 * (force.sum(axis=1)[:, None] * place - force @ place)
        gain = np.clip(np.where(np.sign(slope) != np.sign(speed), gain + 0.2, gain * 0.8), 0.01, None)
        speed = (0.5 if step < EXAGGERATED_STEPS else 0.8) * speed - rate * gain * slope
        place = place + speed
        place -= place.mean(axis=0)
    return place


def _neighbours(points: Places, perplexity: float) -> Places:
    """How near each pair is, symmetric and summing to 1; each point's width is found by halving."""
    distances = _squares(points)
    count = len(points)
    shares = np.zeros_like(distances)
    wanted = np.log(perplexity)
    for row in range(count):
        others = np.delete(distances[row], row)
        others = others - others.min()
        low, high, beta = 0.0, np.inf, 1.0 / max(float(np.median(others)), 1e-12)
        share = np.full(count - 1, 1 / (count - 1))
        for _ in range(HALVINGS):
            weight = np.exp(-others * beta)
            share = weight / weight.sum()
            entropy = float(np.log(weight.sum()) + beta * (others * share).sum())
            if abs(entropy - wanted) < 1e-5:
                break
            if entropy > wanted:
                low, beta = beta, beta * 2 if not np.isfinite(high) else (beta + high) / 2
            else:
                high, beta = beta, (beta + low) / 2
        shares[row] = np.insert(share, row, 0.0)
    together = shares + shares.T
    near: Places = np.maximum(together / together.sum(), 1e-12)
    return near


def _squares(points: Places) -> Places:
    norms = (points**2).sum(axis=1)
    found: Places = np.maximum(norms[:, None] + norms[None, :] - 2 * points @ points.T, 0.0)
    return found
