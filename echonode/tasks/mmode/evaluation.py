"""The tables of M-mode: diameters with Bland-Altman limits, heart rate, level, the cavity's Dice, good and bad stretches."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from echonode.core.errors import BadInput
from echonode.tasks.mmode.case import Case
from echonode.tasks.mmode.compact import JUDGED, LEVELS
from echonode.tasks.mmode.dataset import Cache, cases, mask_layout, quality_layout, samples, simulated_sample
from echonode.tasks.mmode.grid import Gridded
from echonode.tasks.mmode.measured import LV, Row, measured
from echonode.tasks.mmode.runner import MModeRunner, open_runner
from echonode.tasks.mmode.sample import UNKNOWN, Sample
from echonode.tasks.mmode.spoiling import spoiled
from echonode.training.arguments import Evaluation, EvaluationArguments, Metric
from echonode.training.dataset import DatasetManifest, Split
from echonode.training.figures import bland_altman_plot, confusion_plot, scatter_plot
from echonode.training.options import with_options
from echonode.training.publish import metric
from echonode.training.sources import evaluation_data
from echonode.training.statistics import (
    Interval,
    auc,
    bland_altman,
    bootstrap_interval,
    confusion,
    mae,
    paired_bootstrap,
    rmse,
)
from echonode.training.table import Table

CLOSE_BPM: Final = 2.0
SPOILING: Final = 41  # of the stream that spoils held-out strips
Pairs = Sequence[tuple[str, float, float]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Tested:
    """What was measured on held-out cases."""

    metrics: tuple[Metric, ...] = ()
    tables: Mapping[str, Table] = field(default_factory=dict)
    rows: tuple[Row, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Options:
    """`cache`: a folder of made sweeps, one that is thrown away when none; `whole`: as large as a scanner sends them."""

    cache: Path | None = None
    processes: int = 2
    whole: bool = True


def held_out(
    runner: MModeRunner, data: DatasetManifest, cache: Cache, *, whole: bool, seed: int, on: str, locked: bool = True
) -> Tested:
    """Every table that the runner's networks allow, on the test split."""
    tables: dict[str, Table] = {}
    metrics: list[Metric] = []
    swept = [Case.load(path) for path in cases(data, Split.TEST, cache, whole=whole)]
    rows = [measured(runner, case) for case in swept]
    shelf = [simulated_sample(case) for case in swept if case.level == LV] if runner.judges else []
    if any(item.phantom is None for item in data.by_split()[Split.TEST]):
        shelf += [Sample.load(path) for path in samples(data, Split.TEST, cache, levels=())]
    for title, table, found in (
        _diameters(rows, seed), _rates(rows, seed), _levels(rows, seed), _dice(rows, seed), _stretches(runner, shelf, seed),
        _windows(runner, shelf, seed),
    ):  # fmt: skip
        if table is not None:
            tables[title] = table
        metrics += [metric(name, interval, on=on, unit=unit, locked=locked) for name, interval, unit in found]
    return Tested(metrics=tuple(metrics), tables=tables, rows=tuple(rows))


def evaluate(arguments: EvaluationArguments) -> Evaluation:
    """Every table of every package on the same cases, and the paired difference of the others to the first.

    Data: simulated cohorts; img/mask windows (Dice); an expert's spans or windows good and bad (judges).
    """
    options = with_options(Options(), arguments.options)
    if not arguments.packages:
        raise BadInput("--model is missing: at least one package is measured")
    data = evaluation_data(arguments, name="mmode", layout=any_layout)
    tables: dict[str, Table] = {}
    metrics: dict[str, tuple[Metric, ...]] = {}
    rows: dict[str, tuple[Row, ...]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        cache = Cache(folder=options.cache or Path(scratch), processes=options.processes)
        for package in arguments.packages:
            runner = open_runner(package, arguments.device, max(1, arguments.threads))
            found = held_out(
                runner, data, cache, whole=options.whole, seed=arguments.seed, on=data.source, locked=False
            )
            many = len(arguments.packages) > 1
            tables |= {f"{title} ({package.name})" if many else title: table for title, table in found.tables.items()}
            metrics[package.name], rows[package.name] = found.metrics, found.rows
    names = list(rows)
    for name in names[1:]:
        compared = _compared(rows[names[0]], rows[name], seed=arguments.seed)
        if compared.rows:
            tables[f"{names[0]} against {name}"] = compared
    figures: list[Path] = []
    if arguments.figures is not None:
        for name in names:
            figures += _figures(arguments.figures / name, rows[name])
    further = {"cases": {name: [_plain(row) for row in found] for name, found in rows.items()}}
    return Evaluation(tables=tables, metrics=metrics, figures=tuple(figures), further=further)


def any_layout(path: Path) -> Any:
    """A folder img/mask, or a quality layout."""
    return mask_layout(path) if (path / "img").is_dir() else quality_layout(path)


Found = tuple[str, Table | None, list[tuple[str, Interval, str]]]


def _diameters(rows: Sequence[Row], seed: int) -> Found:
    lines: list[tuple[Any, ...]] = []
    found = []
    on_level = [row for row in rows if row.level == LV]
    for name, unit in (
        ("LVIDd", "mm"), ("LVIDs", "mm"), ("IVSd", "mm"), ("LVPWd", "mm"), ("FS", "%"), ("EF", "%"), ("EDV", "mL"),
        ("ESV", "mL"), ("LV mass", "g"), ("RWT", ""),
    ):  # fmt: skip
        pairs = _pairs(on_level, name.lower().replace(" ", "_"))
        if len(pairs) < 2:
            continue
        patients, said, true = _columns(pairs)
        error = bootstrap_interval(said, true, statistic=mae, by=patients, seed=seed)
        agreement = bland_altman(said, true)
        title = f"{name}, {unit}" if unit else name
        lines.append(
            (title, len(pairs), len(on_level) - len(pairs), error.value, error.low, error.high, agreement.bias.value,
             agreement.lower.value, agreement.upper.value, float(np.max(np.abs(said - true))))
        )  # fmt: skip
        spread = bootstrap_interval(said, true, statistic=rmse, by=patients, seed=seed)
        if name.startswith("LVID"):
            found.append((f"{name} MAE", error, unit))
        found.append((f"{name} RMSE", spread, unit))
    if not lines:
        return "Diameters at the LV level", None, []
    columns = ("measured", "n", "not measured", "MAE", "low", "high", "bias", "limit low", "limit high", "worst")
    words = (
        "Mean over the beats in good stretches against the mean over all beats that the strip shows (volumes, FS and EF: "
        "from those means); 95 % intervals "
    )
    words += "by bootstrap over patients, limits of agreement by Bland and Altman."
    return "Diameters at the LV level", Table(columns=columns, rows=tuple(lines), words=words), found


def _rates(rows: Sequence[Row], seed: int) -> Found:
    lines: list[tuple[Any, ...]] = []
    found = []
    measurable = [row for row in rows if row.own_rate is not None]
    lv, shown = [row for row in measurable if row.level == LV], [row for row in rows if row.level == LV]
    for what, all_rows, name, own in (
        ("LV level, the strip's own R waves", lv, "rate", True),
        ("the same, without a look at the ECG", lv, "motion_rate", True),
        ("every level, the strip's own R waves", measurable, "rate", True),
        ("LV level, the rate on the screen", shown, "rate", False),
    ):
        said = np.array([np.nan if getattr(row, name) is None else getattr(row, name) for row in all_rows])
        true = np.array([row.own_rate if own else row.shown_rate for row in all_rows], float)
        if not np.isfinite(said).any():
            continue
        close = np.abs(said - true) <= CLOSE_BPM  # what was not measured is not close
        share = bootstrap_interval(close, statistic=_mean, by=[row.patient for row in all_rows], seed=seed)
        known = np.isfinite(said)
        lines.append(
            (
                what,
                len(all_rows),
                int((~known).sum()),
                share.value,
                share.low,
                share.high,
                mae(said[known], true[known]),
            )
        )
        if what.startswith("LV level, the strip"):
            found.append(("heart rate within 2 bpm", share, ""))
            off = bootstrap_interval(
                said[known], true[known], statistic=rmse, by=[row.patient for row, seen in zip(all_rows, known, strict=True) if seen],
                seed=seed,
            )  # fmt: skip
            found.append(("heart rate RMSE", off, "/min"))
    if not lines:
        return "Heart rate", None, []
    words = "The screen shows the mean over the eight seconds before the end of the strip, which an irregular rhythm does not "
    words += "have in the strip itself. What was not measured counts as wrong."
    columns = ("against", "n", "not measured", "share within 2 bpm", "low", "high", "MAE bpm")
    return "Heart rate", Table(columns=columns, rows=tuple(lines), words=words), found


def _levels(rows: Sequence[Row], seed: int) -> Found:
    told = [row for row in rows if row.said_level is not None]
    if not told:
        return "Level of the sweep", None, []
    right = np.array([row.said_level == row.level for row in told])
    share = bootstrap_interval(right, statistic=_mean, by=[row.patient for row in told], seed=seed)
    counts = confusion([str(row.said_level) for row in told], [row.level for row in told], LEVELS)
    refused = {level: sum(row.refused == "level" for row in told if row.level == level) for level in LEVELS}
    lines: tuple[tuple[Any, ...], ...] = tuple(
        (level, *(int(count) for count in line), refused[level]) for level, line in zip(LEVELS, counts, strict=True)
    )
    words = (
        f"Rows are the truth; right in {share} of {len(told)} sweeps. LVID is refused where LV is less likely than 0.8."
    )
    table = Table(columns=("truth", *LEVELS, "LVID refused"), rows=lines, words=words)
    return "Level of the sweep", table, [("level accuracy", share, "")]


def _dice(rows: Sequence[Row], seed: int) -> Found:
    known = [(row.patient, row.dice) for row in rows if row.dice is not None]
    if not known:
        return "Cavity", None, []
    values = np.array([value for _, value in known], float)
    mean = bootstrap_interval(values, statistic=_mean, by=[patient for patient, _ in known], seed=seed)
    table = Table(
        columns=("n", "Dice", "low", "high", "worst"), rows=((len(known), mean.value, mean.low, mean.high, float(values.min())),),
        words="The cavity's mask over the whole strip, where the sweep was taken to be at the LV level.",
    )  # fmt: skip
    return "Cavity", table, [("cavity Dice", mean, "")]


def _stretches(runner: MModeRunner, shelf: Sequence[Sample], seed: int) -> Found:
    """Judges against known stretches: of simulated strips those that `spoiling` made bad, else the expert's."""
    said: list[float] = []
    true: list[bool] = []
    patients: list[str] = []
    for number, sample in enumerate(shelf):
        if not runner.judges or not (sample.good != UNKNOWN).any():
            continue
        picture, good = _with_bad_stretches(sample, number)
        length = picture.shape[1]
        grid = Gridded(picture=picture, millimetres=1.0, seconds=0.01, stretch=1.0)
        for start, probability in runner.judged(grid):
            part = good[start : min(length, start + JUDGED)]
            if (part != UNKNOWN).all() and len(set(part.tolist())) == 1:
                said.append(probability)
                true.append(bool(part[0]))
                patients.append(sample.patient)
    if not said or len(set(true)) < 2:
        return "Good and bad stretches", None, []
    likely, good_truth = np.array(said), np.array(true)
    right = (likely > 0.5) == good_truth
    accuracy = bootstrap_interval(right, statistic=_mean, by=patients, resamples=500, seed=seed)
    area = bootstrap_interval(likely, good_truth, statistic=auc, by=patients, resamples=200, seed=seed)
    missed, wrong = float((likely > 0.5)[~good_truth].mean()), float((likely <= 0.5)[good_truth].mean())
    both = 2 * float(((likely > 0.5) & good_truth).sum()) / max(1, int((likely > 0.5).sum() + good_truth.sum()))
    table = Table(
        columns=("stretches", "accuracy", "low", "high", "AUC", "F1", "bad called good", "good called bad"),
        rows=((len(said), accuracy.value, accuracy.low, accuracy.high, area.value, both, missed, wrong),),
        words="Stretches of 80 ms. Simulated ones, at the LV level, are made bad: no contact, noise, smear, movement, lost lines.",
    )  # fmt: skip
    return "Good and bad stretches", table, [("quality accuracy", accuracy, ""), ("quality AUC", area, "")]


def _windows(runner: MModeRunner, shelf: Sequence[Sample], seed: int) -> Found:
    """The cavity's Dice in img/mask windows, which have no scale."""
    known = [sample for sample in shelf if sample.diastoles is None and np.isfinite(sample.walls[1]).any()]
    if not known or not runner.traces_windows:
        return "Windows", None, []
    values = []
    for sample in known:
        rows = np.arange(sample.picture.shape[0])[:, None]
        with np.errstate(invalid="ignore"):
            true = (rows >= sample.walls[1]) & (rows <= sample.walls[2])
        mask = runner.window_mask(sample.picture)
        values.append(2 * float((mask & true).sum()) / max(1.0, float(mask.sum() + true.sum())))
    mean = bootstrap_interval(values, statistic=_mean, by=[sample.patient for sample in known], seed=seed)
    table = Table(columns=("windows", "Dice", "low", "high"), rows=((len(known), mean.value, mean.low, mean.high),))
    return "Windows", table, [("window Dice", mean, "")]


def _with_bad_stretches(sample: Sample, number: int) -> tuple[NDArray[np.uint8], NDArray[np.int8]]:
    if sample.diastoles is None:
        return sample.picture, sample.good
    chance = np.random.Generator(np.random.PCG64(np.random.SeedSequence([SPOILING, number])))
    picture, good = spoiled(sample.picture, chance)
    return picture, good.astype(np.int8)


def _compared(first: Sequence[Row], second: Sequence[Row], *, seed: int) -> Table:
    """The first model's MAE minus the second's, on sweeps that both measured."""
    lines: list[tuple[Any, ...]] = []
    for name in ("LVIDd", "LVIDs"):
        a, b = ({key: (said, true) for key, said, true in _keyed(rows, name.lower())} for rows in (first, second))
        shared = sorted(set(a) & set(b))
        if len(shared) < 2:
            continue
        patients = [next(row.patient for row in first if row.key == key) for key in shared]
        one, two = (
            tuple(np.array(column) for column in zip(*(of[key] for key in shared), strict=True)) for of in (a, b)
        )
        difference = paired_bootstrap(one, two, statistic=mae, by=patients, seed=seed)
        lines.append((f"{name} MAE, mm", difference.n, difference.value, difference.low, difference.high, difference.p))
    columns = ("difference", "n", "value", "low", "high", "p")
    return Table(
        columns=columns, rows=tuple(lines), words="Paired bootstrap over patients; below 0 the first is better."
    )


def _figures(folder: Path, rows: Sequence[Row]) -> list[Path]:
    found = []
    for name in ("LVIDd", "LVIDs"):
        pairs = _pairs([row for row in rows if row.level == LV], name.lower())
        if len(pairs) > 1:
            _, said, true = _columns(pairs)
            found.append(bland_altman_plot(folder / f"{name}-bland-altman.png", said, true, quantity=name, unit="mm"))
            found.append(scatter_plot(folder / f"{name}-scatter.png", said, true, quantity=name, unit="mm"))
    told = [row for row in rows if row.said_level is not None]
    if told:
        counts = confusion([str(row.said_level) for row in told], [row.level for row in told], LEVELS)
        found.append(confusion_plot(folder / "level.png", counts, LEVELS, title="Level of the sweep"))
    return found


def _pairs(rows: Sequence[Row], name: str) -> Pairs:
    by_key = {row.key: row.patient for row in rows}
    return [(by_key[key], said, true) for key, said, true in _keyed(rows, name)]


def _keyed(rows: Sequence[Row], name: str) -> Pairs:
    found = []
    for row in rows:
        said, true = getattr(row, name), getattr(row, f"{name}_true")
        if said is not None and true is not None:
            found.append((row.key, float(said), float(true)))
    return found


def _columns(pairs: Pairs) -> tuple[list[str], NDArray[np.float64], NDArray[np.float64]]:
    return [each[0] for each in pairs], np.array([each[1] for each in pairs]), np.array([each[2] for each in pairs])


def _mean(values: Any) -> float:
    return float(np.mean(values))


def _plain(row: Row) -> dict[str, Any]:
    return {name: getattr(row, name) for name in Row.__slots__}
