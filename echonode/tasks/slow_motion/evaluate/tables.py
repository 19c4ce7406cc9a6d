"""Scores of loops as tables with intervals, and as the metrics of a model package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from echonode.tasks.slow_motion.evaluate.scores import (
    BLENDING,
    DIS,
    LEAST_PULSING,
    REPETITION,
    Score,
    dis_name,
    sharp_name,
)
from echonode.tasks.slow_motion.texture import TEXTURE_SIGMA
from echonode.training.publish import metric
from echonode.training.statistics import Interval, bootstrap_interval, paired_bootstrap
from echonode.training.table import Cell, Table

MARKS: Final = {
    "PSNR": ("psnr", "dB"), "PSNR of structures": ("psnr_structures", "dB"), "SSIM": ("ssim", ""), "pulsing": ("pulsing", ""),
}  # fmt: skip
COMPARED: Final = {name: field for name, (field, _) in MARKS.items() if name != "pulsing"}
STRUCTURES: Final = "psnr_structures"


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Prefilters:
    """In pixels, by factor and mark, the prefilter with the best mean over the loops: DIS is given its best chance."""

    best: Mapping[int, Mapping[str, float]]

    @classmethod
    def of(cls, rows: Sequence[Row], sigmas: Sequence[float]) -> Prefilters:
        """The best of `sigmas` for these loops."""
        factors = {
            factor: [row for row in rows if row.factor == factor] for factor in sorted({row.factor for row in rows})
        }

        def best(judged: Sequence[Row], field: str) -> float:
            return max(sigmas, key=lambda sigma: float(_column(judged, dis_name(sigma), field).mean()))

        return cls(
            best={
                factor: {field: best(judged, field) for field in COMPARED.values()}
                for factor, judged in factors.items()
            }
        )

    @property
    def factors(self) -> tuple[int, ...]:
        """From the lowest on."""
        return tuple(self.best)

    def of_psnr(self, factor: int) -> float:
        """The one of PSNR."""
        return self.best[factor]["psnr"]


def tables_of(
    rows: Sequence[Row],
    *,
    prefilters: Prefilters,
    models: Sequence[str],
    left_out: Sequence[tuple[str, str, str]],
    seed: int,
) -> dict[str, Table]:
    """Per factor a table of loops; then means, how much models differ from DIS and each other, and what is missing."""
    found = {}
    for factor in prefilters.factors:
        judged = [row for row in rows if row.factor == factor]
        found[f"{factor}x, PSNR in dB inside the sector"] = _loops(
            judged, sigma=prefilters.of_psnr(factor), models=models
        )
        if models:
            found[f"{factor}x, PSNR in dB of structures"] = _structures(
                judged, sigma=prefilters.best[factor][STRUCTURES], models=models
            )
    found["means over loops"] = _means(rows, prefilters=prefilters, models=models)
    if models:
        found["differences, paired by loop"] = _differences(rows, prefilters=prefilters, models=models, seed=seed)
    if left_out:
        found["not judged"] = Table(columns=("loop", "by", "reason"), rows=tuple(left_out))
    return found


def metrics_of(
    rows: Sequence[Row], *, prefilters: Prefilters, models: Sequence[str], on: str, seed: int
) -> dict[str, tuple[Any, ...]]:
    """Metrics of a manifest for each model: its marks at each factor, and the PSNR above DIS, with intervals by loop."""
    return {name: _metrics(rows, name, prefilters=prefilters, on=on, seed=seed) for name in models}


def _metrics(rows: Sequence[Row], name: str, *, prefilters: Prefilters, on: str, seed: int) -> tuple[Any, ...]:
    found = []
    for factor in prefilters.factors:
        judged = [row for row in rows if row.factor == factor and name in row.scores]
        if not judged:
            continue
        for mark, (field, unit) in MARKS.items():
            found.append(metric(f"{mark} {factor}x", _interval(_column(judged, name, field), seed), on=on, unit=unit))
        for mark in ("PSNR", "PSNR of structures"):
            sigma = prefilters.best[factor][COMPARED[mark]]
            for other, words in ((dis_name(sigma), "DIS"), (sharp_name(sigma), "DIS as sharp")):
                above = _above(judged, name, other, COMPARED[mark])
                found.append(metric(f"{mark} above {words} {factor}x", _interval(above, seed), on=on, unit="dB"))
    return tuple(found)


def _loops(rows: Sequence[Row], *, sigma: float, models: Sequence[str]) -> Table:
    dis, sharp = dis_name(sigma), sharp_name(sigma)
    columns = ["loop", "gap ms", "sector %", "frames", REPETITION, BLENDING, DIS, f"{DIS} as sharp"]
    for name in models:
        columns += [name, f"{name} - {DIS}", f"{name} - {DIS} as sharp", f"{name} pulsing"]
    cells = []
    for row in rows:
        cell: list[Cell] = [row.loop, row.gap_ms, 100 * row.share, row.frames]
        cell += [row.scores[method].psnr for method in (REPETITION, BLENDING, dis, sharp)]
        for name in models:
            score = row.scores.get(name)
            above = [] if score is None else [score.psnr - row.scores[other].psnr for other in (dis, sharp)]
            cell += [None] * 4 if score is None else [score.psnr, *above, score.pulsing]
        cells.append(tuple(cell))
    skipped = sum(row.skipped for row in rows)
    words = f"{DIS}: OpenCV DIS MEDIUM, Gaussian prefilter of {sigma:g} pixels, the best in the mean of these loops; "
    words += f"as sharp: sharpened until its gradient energy is {LEAST_PULSING:g} of that of the acquired frames."
    if skipped:
        words += f" {skipped} frames that equal a neighbour were not asked back."
    return Table(columns=tuple(columns), rows=tuple(cells), words=words)


def _structures(rows: Sequence[Row], *, sigma: float, models: Sequence[str]) -> Table:
    dis, sharp = dis_name(sigma), sharp_name(sigma)
    columns = ["loop", BLENDING, DIS, f"{DIS} as sharp"]
    for name in models:
        columns += [name, f"{name} - {DIS}", f"{name} - {DIS} as sharp"]
    cells = []
    for row in rows:
        cell: list[Cell] = [row.loop, *(row.scores[method].psnr_structures for method in (BLENDING, dis, sharp))]
        for name in models:
            score = row.scores.get(name)
            others = [] if score is None else [row.scores[other].psnr_structures for other in (dis, sharp)]
            cell += [None] * 3 if score is None else [
                score.psnr_structures, *(score.psnr_structures - other for other in others)
            ]  # fmt: skip
        cells.append(tuple(cell))
    words = (
        f"Of what is coarser than {TEXTURE_SIGMA:g} pixels (Gaussian), the made and the acquired frame alike: "
        f"grain counts for little there. {DIS}: prefilter of {sigma:g} pixels, the best for structures in the mean of these loops."
    )
    return Table(columns=tuple(columns), rows=tuple(cells), words=words)


def _means(rows: Sequence[Row], *, prefilters: Prefilters, models: Sequence[str]) -> Table:
    cells: list[tuple[Cell, ...]] = []
    for factor in prefilters.factors:
        sigma = prefilters.of_psnr(factor)
        for name in (REPETITION, BLENDING, dis_name(sigma), sharp_name(sigma), *models):
            judged = [row for row in rows if row.factor == factor and name in row.scores]
            if not judged:
                continue
            marks = [float(_column(judged, name, field).mean()) for field in COMPARED.values()]
            pulsing = _column(judged, name, "pulsing")
            cells.append(
                (f"{factor}x", name, len(judged), float(np.mean([row.gap_ms for row in judged])), *marks,
                 float(pulsing.mean()), float(pulsing.min()), float(pulsing.max()),
                 float(_column(judged, name, "milliseconds").mean()))
            )  # fmt: skip
    return Table(
        columns=(
            "factor",
            "method",
            "loops",
            "gap ms",
            "PSNR",
            "structures",
            "SSIM",
            "pulsing",
            "least",
            "most",
            "ms a frame",
        ),
        rows=tuple(cells),
        words="Pulsing: gradient energy of interpolated over acquired frames; 1 does not flicker, blur is below 1. "
        "ms a frame: a model's whole runner; of the other methods the arithmetic alone.",
    )


def _differences(rows: Sequence[Row], *, prefilters: Prefilters, models: Sequence[str], seed: int) -> Table:
    cells: list[tuple[Cell, ...]] = []
    for factor in prefilters.factors:
        for mark, field in COMPARED.items():
            sigma = prefilters.best[factor][field]
            against = (dis_name(sigma), sharp_name(sigma))
            pairs = [(name, other) for name in models for other in against] + list(combinations(models, 2))
            for first, second in pairs:
                both = [row for row in rows if row.factor == factor and first in row.scores and second in row.scores]
                if not both:
                    continue
                a, b = _column(both, first, field), _column(both, second, field)
                between = paired_bootstrap([a], [b], statistic=_mean, seed=seed)
                cells.append(
                    (f"{factor}x", mark, f"{first} - {second}", between.value, between.low, between.high, between.p,
                     float((a - b).min()), len(both))
                )  # fmt: skip
    return Table(
        columns=("factor", "mark", "methods", "difference", "low", "high", "p", "worst loop", "loops"),
        rows=tuple(cells),
        words="Interval of 95 % and p by a paired bootstrap of loops; loops of one study are not independent.",
    )


def _above(rows: Sequence[Row], name: str, other: str, field: str) -> NDArray[np.float64]:
    return _column(rows, name, field) - _column(rows, other, field)


def _column(rows: Sequence[Row], name: str, field: str) -> NDArray[np.float64]:
    return np.array([getattr(row.scores[name], field) for row in rows], np.float64)


def _interval(values: NDArray[np.float64], seed: int) -> Interval:
    return bootstrap_interval(values, statistic=_mean, seed=seed)


def _mean(values: NDArray[np.float64]) -> float:
    return float(np.mean(values))
