"""Scores of loops as tables with intervals, and as the metrics of a model package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from echonode.tasks.slow_motion.evaluate.scores import BLENDING, DIS, REPETITION, Score, dis_name
from echonode.training.publish import metric
from echonode.training.statistics import Interval, bootstrap_interval, paired_bootstrap
from echonode.training.table import Cell, Table

MARKS: Final = {"PSNR": ("psnr", "dB"), "SSIM": ("ssim", ""), "pulsing": ("pulsing", "")}


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One loop at one factor: `share` of the picture is sector, `scores` by the name of the method."""

    loop: str
    study: str
    factor: int
    gap_ms: float
    share: float
    skipped: int
    scores: Mapping[str, Score]

    @property
    def frames(self) -> int:
        """How many left-out frames were asked back."""
        return self.scores[REPETITION].frames


def best_sigma(rows: Sequence[Row], sigmas: Sequence[float]) -> float:
    """The prefilter with the best mean PSNR over the loops: DIS is given its best chance."""
    return max(sigmas, key=lambda sigma: float(np.mean([row.scores[dis_name(sigma)].psnr for row in rows])))


def tables_of(
    rows: Sequence[Row],
    *,
    sigmas: Mapping[int, float],
    models: Sequence[str],
    left_out: Sequence[tuple[str, str, str]],
    seed: int,
) -> dict[str, Table]:
    """Per factor a table of loops; then means, how much models differ from DIS and each other, and what is missing."""
    found = {
        f"{factor}x, PSNR in dB inside the sector": _loops(
            [row for row in rows if row.factor == factor], sigma=sigma, models=models
        )
        for factor, sigma in sigmas.items()
    }
    found["means over loops"] = _means(rows, sigmas=sigmas, models=models)
    if models:
        found["differences, paired by loop"] = _differences(rows, sigmas=sigmas, models=models, seed=seed)
    if left_out:
        found["not judged"] = Table(columns=("loop", "by", "reason"), rows=tuple(left_out))
    return found


def metrics_of(
    rows: Sequence[Row], *, sigmas: Mapping[int, float], models: Sequence[str], on: str, seed: int
) -> dict[str, tuple[Any, ...]]:
    """Metrics of a manifest for each model: PSNR, SSIM and pulsing at each factor, and the PSNR above DIS, with intervals by loop."""
    return {name: _metrics(rows, name, sigmas=sigmas, on=on, seed=seed) for name in models}


def _metrics(rows: Sequence[Row], name: str, *, sigmas: Mapping[int, float], on: str, seed: int) -> tuple[Any, ...]:
    found = []
    for factor, sigma in sigmas.items():
        judged = [row for row in rows if row.factor == factor and name in row.scores]
        if not judged:
            continue
        for mark, (field, unit) in MARKS.items():
            found.append(metric(f"{mark} {factor}x", _interval(_column(judged, name, field), seed), on=on, unit=unit))
        above = _column(judged, name, "psnr") - _column(judged, dis_name(sigma), "psnr")
        found.append(metric(f"PSNR above DIS {factor}x", _interval(above, seed), on=on, unit="dB"))
    return tuple(found)


def _loops(rows: Sequence[Row], *, sigma: float, models: Sequence[str]) -> Table:
    dis = dis_name(sigma)
    columns = ["loop", "gap ms", "sector %", "frames", REPETITION, BLENDING, DIS]
    for name in models:
        columns += [name, f"{name} - {DIS}", f"{name} pulsing"]
    cells = []
    for row in rows:
        cell: list[Cell] = [row.loop, row.gap_ms, 100 * row.share, row.frames]
        cell += [row.scores[method].psnr for method in (REPETITION, BLENDING, dis)]
        for name in models:
            score = row.scores.get(name)
            cell += [None] * 3 if score is None else [score.psnr, score.psnr - row.scores[dis].psnr, score.pulsing]
        cells.append(tuple(cell))
    skipped = sum(row.skipped for row in rows)
    words = f"{DIS}: OpenCV DIS MEDIUM, Gaussian prefilter of {sigma:g} pixels, the best in the mean of these loops."
    if skipped:
        words += f" {skipped} frames that equal a neighbour were not asked back."
    return Table(columns=tuple(columns), rows=tuple(cells), words=words)


def _means(rows: Sequence[Row], *, sigmas: Mapping[int, float], models: Sequence[str]) -> Table:
    cells: list[tuple[Cell, ...]] = []
    for factor, sigma in sigmas.items():
        for name in (REPETITION, BLENDING, dis_name(sigma), *models):
            judged = [row for row in rows if row.factor == factor and name in row.scores]
            if not judged:
                continue
            marks = [float(_column(judged, name, field).mean()) for field in ("psnr", "ssim")]
            pulsing = _column(judged, name, "pulsing")
            cells.append(
                (f"{factor}x", name, len(judged), float(np.mean([row.gap_ms for row in judged])), *marks,
                 float(pulsing.mean()), float(pulsing.min()), float(pulsing.max()),
                 float(_column(judged, name, "milliseconds").mean()))
            )  # fmt: skip
    return Table(
        columns=("factor", "method", "loops", "gap ms", "PSNR", "SSIM", "pulsing", "least", "most", "ms a frame"),
        rows=tuple(cells),
        words="Pulsing: gradient energy of interpolated over acquired frames; 1 does not flicker, blur is below 1. "
        "ms a frame: a model's whole runner; of the other methods the arithmetic alone.",
    )


def _differences(rows: Sequence[Row], *, sigmas: Mapping[int, float], models: Sequence[str], seed: int) -> Table:
    cells: list[tuple[Cell, ...]] = []
    for factor, sigma in sigmas.items():
        pairs = [(name, dis_name(sigma)) for name in models] + list(combinations(models, 2))
        for first, second in pairs:
            both = [row for row in rows if row.factor == factor and first in row.scores and second in row.scores]
            if not both:
                continue
            for mark, field in (("PSNR", "psnr"), ("SSIM", "ssim")):
                a, b = _column(both, first, field), _column(both, second, field)
                between = paired_bootstrap([a], [b], statistic=_mean, seed=seed)
                cells.append(
                    (f"{factor}x", f"{first} - {second}", mark, between.value, between.low, between.high, between.p,
                     float((a - b).min()), len(both))
                )  # fmt: skip
    return Table(
        columns=("factor", "models", "mark", "difference", "low", "high", "p", "worst loop", "loops"),
        rows=tuple(cells),
        words="Interval of 95 % and p by a paired bootstrap of loops; loops of one study are not independent.",
    )


def _column(rows: Sequence[Row], name: str, field: str) -> NDArray[np.float64]:
    return np.array([getattr(row.scores[name], field) for row in rows], np.float64)


def _interval(values: NDArray[np.float64], seed: int) -> Interval:
    return bootstrap_interval(values, statistic=_mean, seed=seed)


def _mean(values: NDArray[np.float64]) -> float:
    return float(np.mean(values))
