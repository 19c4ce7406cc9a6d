"""Scores of loops as tables with intervals, and as the metrics of a model package."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
    """Prefilters in pixels by factor and mark, of DIS as it is (`soft`) and sharpened (`sharp`), with the best mean over the
    loops: DIS is given its best chance in each."""

    soft: Mapping[int, Mapping[str, float]]
    sharp: Mapping[int, Mapping[str, float]]

    @classmethod
    def of(cls, rows: Sequence[Row], sigmas: Sequence[float]) -> Prefilters:
        """The best of `sigmas` for these loops."""
        factors = {
            factor: [row for row in rows if row.factor == factor] for factor in sorted({row.factor for row in rows})
        }

        def best(called: Callable[[float], str]) -> dict[int, dict[str, float]]:
            return {
                factor: {
                    field: max(sigmas, key=lambda sigma: float(_column(judged, called(sigma), field).mean()))
                    for field in COMPARED.values()
                }
                for factor, judged in factors.items()
            }  # fmt: skip

        return cls(soft=best(dis_name), sharp=best(sharp_name))

    @property
    def factors(self) -> tuple[int, ...]:
        """From the lowest on."""
        return tuple(self.soft)

    def dis(self, factor: int, field: str = "psnr") -> str:
        """DIS as it is, as it is called in scores."""
        return dis_name(self.soft[factor][field])

    def sharp_dis(self, factor: int, field: str = "psnr") -> str:
        """DIS sharpened, as it is called in scores."""
        return sharp_name(self.sharp[factor][field])


def tables_of(
    rows: Sequence[Row],
    *,
    prefilters: Prefilters,
    models: Sequence[str],
    left_out: Sequence[tuple[str, str, str]],
    seed: int,
) -> dict[str, Table]:
    """Per factor two tables of loops; then means, how much models differ from DIS and each other, and what is missing."""
    found = {}
    for factor in prefilters.factors:
        judged = [row for row in rows if row.factor == factor]
        found[f"{factor}x, PSNR in dB inside the sector"] = _loops(
            judged, sigma=prefilters.soft[factor]["psnr"], models=models
        )
        if models:
            found[f"{factor}x, dB without what softness wins"] = _without_softness(
                judged,
                sigma=prefilters.sharp[factor]["psnr"],
                coarse=prefilters.soft[factor][STRUCTURES],
                models=models,
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
    """Metrics of a manifest for each model: its marks at each factor, and dB above DIS soft and sharp, with intervals by loop."""
    return {name: _metrics(rows, name, prefilters=prefilters, on=on, seed=seed) for name in models}


def _metrics(rows: Sequence[Row], name: str, *, prefilters: Prefilters, on: str, seed: int) -> tuple[Any, ...]:
    found = []
    for factor in prefilters.factors:
        judged = [row for row in rows if row.factor == factor and name in row.scores]
        if not judged:
            continue
        for mark, (field, unit) in MARKS.items():
            found.append(metric(f"{mark} {factor}x", _interval(_column(judged, name, field), seed), on=on, unit=unit))
        for words, other, field in (
            ("PSNR above DIS", prefilters.dis(factor), "psnr"),
            ("PSNR above sharp DIS", prefilters.sharp_dis(factor), "psnr"),
            ("PSNR of structures above DIS", prefilters.dis(factor, STRUCTURES), STRUCTURES),
        ):
            above = _column(judged, name, field) - _column(judged, other, field)
            found.append(metric(f"{words} {factor}x", _interval(above, seed), on=on, unit="dB"))
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


def _without_softness(rows: Sequence[Row], *, sigma: float, coarse: float, models: Sequence[str]) -> Table:
    """Against pictures of one sharpness (prefilter `sigma`), and in what is too coarse to be soft (prefilter `coarse`)."""
    columns = ["loop", "sharp DIS", *(f"{name} - sharp {DIS}" for name in models)]
    columns += [f"structures, {DIS}", *(f"structures, {name} - {DIS}" for name in models)]
    cells = []
    for row in rows:
        sharp, plain = row.scores[sharp_name(sigma)].psnr, row.scores[dis_name(coarse)].psnr_structures
        judged = [row.scores.get(name) for name in models]
        cells.append((
            row.loop, sharp, *(None if score is None else score.psnr - sharp for score in judged),
            plain, *(None if score is None else score.psnr_structures - plain for score in judged),
        ))  # fmt: skip
    words = (
        f"Softness wins decibels. Sharp {DIS}: prefilter of {sigma:g} pixels, sharpened until its gradient energy is "
        f"{LEAST_PULSING:g} of that of the acquired frames. Structures: what is coarser than {TEXTURE_SIGMA:g} pixels, of the "
        f"made and the acquired frame alike; {DIS} as it is, prefilter of {coarse:g} pixels. Each prefilter is the best in the "
        "mean of these loops."
    )
    return Table(columns=tuple(columns), rows=tuple(cells), words=words)


def _means(rows: Sequence[Row], *, prefilters: Prefilters, models: Sequence[str]) -> Table:
    cells: list[tuple[Cell, ...]] = []
    for factor in prefilters.factors:
        for name in (REPETITION, BLENDING, prefilters.dis(factor), prefilters.sharp_dis(factor), *models):
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
        words="Pulsing: gradient energy of interpolated over acquired frames; 1 does not flicker, blur is below 1. DIS: "
        "the prefilters that are best for PSNR. "
        "ms a frame: a model's whole runner; of the other methods the arithmetic alone.",
    )


def _differences(rows: Sequence[Row], *, prefilters: Prefilters, models: Sequence[str], seed: int) -> Table:
    cells: list[tuple[Cell, ...]] = []
    for factor in prefilters.factors:
        for mark, field in COMPARED.items():
            against = (prefilters.dis(factor, field), prefilters.sharp_dis(factor, field))
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


def _column(rows: Sequence[Row], name: str, field: str) -> NDArray[np.float64]:
    return np.array([getattr(row.scores[name], field) for row in rows], np.float64)


def _interval(values: NDArray[np.float64], seed: int) -> Interval:
    return bootstrap_interval(values, statistic=_mean, seed=seed)


def _mean(values: NDArray[np.float64]) -> float:
    return float(np.mean(values))
