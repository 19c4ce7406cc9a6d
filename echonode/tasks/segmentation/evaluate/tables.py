"""Cases as the field's tables, as metrics with intervals, and as figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from echonode.tasks.segmentation.evaluate.cases import STRUCTURES, Cases, Volumes
from echonode.training.figures import bland_altman_plot, scatter_plot
from echonode.training.publish import metric
from echonode.training.statistics import (
    Difference,
    bland_altman,
    bootstrap_interval,
    correlation,
    error_by_band,
    mae,
    paired_bootstrap,
    rmse,
)
from echonode.training.table import Cell, Table

QUANTITIES: Final[Mapping[str, tuple[str, str]]] = {
    "EF": ("ef_percent", "%"), "EDV": ("edv_ml", "mL"), "ESV": ("esv_ml", "mL"),
}  # fmt: skip
REFERENCES: Final = ("truth", "observer")
METHODS: Final = ("biplane", "A4C", "A2C")
PERCENT_OF_A_SHARE: Final = 100

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Pairs:
    """Found and reference values (N,) of one quantity, with the patient of each."""

    found: Floats
    reference: Floats
    patients: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.patients)


def pairs_of(cases: Cases, *, method: str, quantity: str, reference: str) -> Pairs:
    """What was found and what is so, where both are numbers; biplane counts whether the lengths agree or not."""
    field = QUANTITIES[quantity][0]
    rows = [
        (float(getattr(each.found, field)), float(getattr(getattr(each, reference), field)), each.patient)
        for each in cases.volumes
        if _is(each, method)
    ]
    rows = [row for row in rows if np.isfinite(row[0]) and np.isfinite(row[1])]
    return Pairs(
        found=np.array([row[0] for row in rows]),
        reference=np.array([row[1] for row in rows]),
        patients=tuple(row[2] for row in rows),
    )


def tables_of(cases: Cases) -> dict[str, Table]:
    """Overlap, volumes and ejection fraction, error by band, timing and steadiness, refusals; what there is of them."""
    tables = {}
    if cases.overlaps:
        tables["Overlap"] = _overlap(cases)
    if cases.volumes:
        tables["Volumes and ejection fraction"] = _volumes(cases)
        if (bands := _bands(cases)) is not None:
            tables["Biplane EF by band"] = bands
    if cases.steadiness:
        tables["Timing and steadiness"] = _steadiness(cases)
    if cases.refused:
        rows = tuple((why,) for why in cases.refused)
        tables["Refused, or without a volume"] = Table(columns=("which and why",), rows=rows)
    return tables


def metrics_of(cases: Cases, *, on: str, seed: int = 0, locked: bool = False) -> tuple[Any, ...]:
    """Dice of each structure, Hausdorff of the cavity, and the errors of volumes and ejection fraction, with intervals."""
    found = []
    for structure in STRUCTURES:
        rows = [each for each in cases.overlaps if each.structure == structure]
        if not rows:
            continue
        patients = [each.patient for each in rows]
        score = bootstrap_interval([each.dice for each in rows], statistic=_mean, by=patients, seed=seed)
        found.append(metric(f"Dice, {structure}", score, on=on, locked=locked))
        far = [each for each in rows if np.isfinite(each.hausdorff_mm)]
        if far:
            distance = bootstrap_interval(
                [each.hausdorff_mm for each in far], statistic=_mean, by=[each.patient for each in far], seed=seed
            )
            found.append(metric(f"Hausdorff, {structure}", distance, on=on, unit="mm", locked=locked))
    for method in METHODS:
        for quantity, (_, unit) in QUANTITIES.items():
            for reference in REFERENCES:
                pairs = pairs_of(cases, method=method, quantity=quantity, reference=reference)
                if len(pairs) < 2:
                    continue
                error = bootstrap_interval(pairs.found, pairs.reference, statistic=mae, by=pairs.patients, seed=seed)
                against = "" if reference == "truth" else ", against perfect contours"
                found.append(metric(f"{method} {quantity} MAE{against}", error, on=on, unit=unit, locked=locked))
                if reference == "truth":
                    # What limits of agreement are made of when the package runs.
                    error = bootstrap_interval(
                        pairs.found, pairs.reference, statistic=rmse, by=pairs.patients, seed=seed
                    )
                    found.append(metric(f"{method} {quantity} RMSE", error, on=on, unit=unit, locked=locked))
    return tuple(found)


def paired_tables(named: Mapping[str, Cases], *, seed: int = 0) -> dict[str, Table]:
    """How the second and later models differ from the first on the same cases; nothing for one model."""
    (first, base), *others = named.items()
    if not others:
        return {}
    rows: list[tuple[Cell, ...]] = []
    for name, cases in others:
        for structure in STRUCTURES:
            a = {(o.patient, o.view, o.phase): o.dice for o in cases.overlaps if o.structure == structure}
            b = {(o.patient, o.view, o.phase): o.dice for o in base.overlaps if o.structure == structure}
            both = sorted(a.keys() & b.keys())
            if both:
                difference = paired_bootstrap(
                    [[a[key] for key in both]], [[b[key] for key in both]], statistic=_mean,
                    by=[key[0] for key in both], seed=seed,
                )  # fmt: skip
                rows.append(_difference(name, first, f"Dice, {structure}", difference))
        for method in METHODS:
            mine = pairs_of(cases, method=method, quantity="EF", reference="truth")
            theirs = pairs_of(base, method=method, quantity="EF", reference="truth")
            both_patients = [each for each in mine.patients if each in theirs.patients]
            if len(both_patients) > 1:
                ours = [mine.patients.index(each) for each in both_patients]
                other = [theirs.patients.index(each) for each in both_patients]
                difference = paired_bootstrap(
                    [mine.found[ours], mine.reference[ours]], [theirs.found[other], theirs.reference[other]],
                    statistic=mae, by=both_patients, seed=seed,
                )  # fmt: skip
                rows.append(_difference(name, first, f"{method} EF MAE", difference))
    columns = ("model", "against", "measured", "difference", "low", "high", "p", "n")
    return {
        "Paired differences": Table(columns=columns, rows=tuple(rows), words="Bootstrap of patients, 95 % interval.")
    }


def figures_of(cases: Cases, folder: Path, *, prefix: str = "") -> list[Path]:
    """Bland-Altman and scatter of the ejection fraction and the volumes of each method."""
    written = []
    for method in METHODS:
        for quantity, (_, unit) in QUANTITIES.items():
            pairs = pairs_of(cases, method=method, quantity=quantity, reference="truth")
            if len(pairs) < 2:
                continue
            stem, title = f"{prefix}{method}-{quantity}".lower(), f"{method} {quantity}"
            written.append(
                bland_altman_plot(
                    folder / f"{stem}-bland-altman.png", pairs.found, pairs.reference, quantity=title, unit=unit
                )
            )
            written.append(
                scatter_plot(folder / f"{stem}-scatter.png", pairs.found, pairs.reference, quantity=title, unit=unit)
            )
    return written


def _overlap(cases: Cases) -> Table:
    rows: list[tuple[Cell, ...]] = []
    views = sorted({each.view for each in cases.overlaps}, reverse=True)
    for structure in STRUCTURES:
        for view in (*views, "all") if len(views) > 1 else views:
            for phase in ("ED", "ES", ""):
                chosen = [
                    each for each in cases.overlaps
                    if each.structure == structure and view in ("all", each.view) and each.phase == phase
                ]  # fmt: skip
                if not chosen:
                    continue
                dice = np.array([each.dice for each in chosen])
                far = np.array([each.hausdorff_mm for each in chosen])
                far = far[np.isfinite(far)]
                rows.append((
                    structure, view or "any", phase or "any", len(chosen), float(dice.mean()), float(dice.std()),
                    float(far.mean()) if len(far) else None, float(far.std()) if len(far) else None,
                ))  # fmt: skip
    columns = ("structure", "view", "phase", "n", "Dice", "SD", "Hausdorff mm", "SD mm")
    return Table(columns=columns, rows=tuple(rows), words="Overlap with the reference, mean and standard deviation.")


def _volumes(cases: Cases) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for reference in REFERENCES:
        for method in METHODS:
            for quantity, (_, unit) in QUANTITIES.items():
                pairs = pairs_of(cases, method=method, quantity=quantity, reference=reference)
                if len(pairs) < 2:
                    continue
                agreement = bland_altman(pairs.found, pairs.reference)
                rows.append((
                    f"{method} {quantity} [{unit}]", reference, len(pairs), mae(pairs.found, pairs.reference),
                    rmse(pairs.found, pairs.reference), correlation(pairs.found, pairs.reference),
                    agreement.bias.value, agreement.lower.value, agreement.upper.value,
                ))  # fmt: skip
    apart = sum(each.method == "biplane, lengths apart" for each in cases.volumes)
    words = (
        "MAE, RMSE, Pearson's r, and Bland-Altman: bias with limits of agreement. `truth`: the heart itself, or the "
        f"reference labels; `observer`: the same method on perfect contours. Long axes over 10 % apart in {apart} studies."
    )
    columns = ("quantity", "against", "n", "MAE", "RMSE", "r", "bias", "lower limit", "upper limit")
    return Table(columns=columns, rows=tuple(rows), words=words)


def _bands(cases: Cases) -> Table | None:
    pairs = pairs_of(cases, method="biplane", quantity="EF", reference="truth")
    if not len(pairs):
        return None
    rows = tuple(
        (f"{band.low:g} to {band.high:g} %", band.n, band.mae, band.rmse, band.bias)
        for band in error_by_band(pairs.found, pairs.reference)
    )
    return Table(columns=("true EF", "n", "MAE", "RMSE", "bias"), rows=rows, words="Percentage points.")


def _steadiness(cases: Cases) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for view in sorted({each.view for each in cases.steadiness}, reverse=True):
        chosen = [each for each in cases.steadiness if each.view == view]
        for what in ("ed_ms", "es_ms"):
            missed = np.array([value for each in chosen for value in getattr(each, what)])
            near = missed[np.isfinite(missed)]
            if len(near):
                name = "end-diastole" if what == "ed_ms" else "end-systole"
                rows.append((
                    f"{name} found, ms from the true one", view, len(near), float(near.mean()),
                    float(np.median(np.abs(near))), float(np.quantile(np.abs(near), 0.95)),
                ))  # fmt: skip
        for name, of in (("found", "roughness"), ("true", "reference_roughness")):
            jumps = np.array([getattr(each, of) for each in chosen])
            jumps = PERCENT_OF_A_SHARE * jumps[np.isfinite(jumps)]
            if len(jumps):
                rows.append((
                    f"jumps of the {name} cavity area, % of it", view, len(jumps), float(jumps.mean()),
                    float(np.median(jumps)), float(np.quantile(jumps, 0.95)),
                ))  # fmt: skip
    words = (
        "Of each true end-diastole and end-systole, the nearest that was found: mean, median size and 95th percentile. "
        "Jumps are what smoothing over 30 ms takes away from the area's curve (root mean square)."
    )
    return Table(columns=("what", "view", "n", "mean", "median", "95 %"), rows=tuple(rows), words=words)


def _is(each: Volumes, method: str) -> bool:
    return each.method == method or (method == "biplane" and each.method.startswith("biplane"))


def _difference(name: str, against: str, measured: str, difference: Difference) -> tuple[Cell, ...]:
    return (name, against, measured, difference.value, difference.low, difference.high, difference.p, difference.n)


def _mean(values: Sequence[float] | Floats) -> float:
    return float(np.mean(values))
