"""How good a model is on loops that it has not seen: `echonode evaluate cmr`, and the locked test of a training."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Final, Literal

import numpy as np
import torch
from torch import nn

from echonode.core.errors import BadInput
from echonode.core.package import Package
from echonode.tasks.cmr.cases import Cases, fused
from echonode.tasks.cmr.clips import Loop, open_loop, plain_clips, published_clip
from echonode.tasks.cmr.dataset import LABEL, kept_loops, layout, study_of, target_of
from echonode.tasks.cmr.hearts import Mixture
from echonode.tasks.cmr.loops import Form
from echonode.tasks.cmr.net import PUBLISHED
from echonode.tasks.cmr.prepare import Convention
from echonode.tasks.cmr.quantities import QUANTITIES
from echonode.tasks.cmr.runner import ROLE, network_of
from echonode.tasks.common.devices import open_device
from echonode.training.arguments import Evaluation, EvaluationArguments, Metric
from echonode.training.dataset import DatasetManifest, Item
from echonode.training.options import with_options
from echonode.training.publish import metric
from echonode.training.sources import evaluation_data
from echonode.training.statistics import (
    Interval,
    auc,
    auc_interval,
    bland_altman,
    bootstrap_interval,
    mae,
    paired_bootstrap,
    r2,
    rmse,
)
from echonode.training.table import Cell, Table

BINS: Final = 5
SCORES: Final = {1: "normal", 2: "hypokinetic", 3: "akinetic", 4: "dyskinetic"}
GROUPS: Final = {
    Mixture.REGIONAL: "regional wall motion, which the ejection fraction does not give away",
    Mixture.DRAWN: "the cohort's own patients, whose wall motion follows their ejection fraction",
}


@dataclass(frozen=True, kw_only=True)
class Options:
    """`mixture`: which simulated hearts; both kinds in turn when not said. `label`: the manifest's column."""

    cache: Path | None = None
    mixture: Literal["both", "regional", "drawn", "mixed"] = "both"
    label: str = LABEL


@dataclass(frozen=True, kw_only=True, slots=True)
class Tested:
    """What a locked test gave: metrics for the manifest, tables and words for the card."""

    metrics: tuple[Metric, ...] = ()
    tables: dict[str, Table] = field(default_factory=dict)
    words: dict[str, list[str]] = field(default_factory=dict)


@torch.no_grad()
def answers(
    network: nn.Module, loops: Sequence[Loop], convention: Convention, device: torch.device, *, precision: str = "fp32"
) -> list[float]:
    """What an evaluating network says of each loop: the mean over its clips, as the runner cuts them."""
    network.eval()
    half = torch.autocast(device.type, dtype=torch.bfloat16) if precision == "bf16" else nullcontext()
    said = []
    for loop in loops:
        clips = (
            published_clip(loop)[None]
            if loop.pictures.ndim == 4
            else plain_clips(loop, convention, clips=convention.clips)
        )
        with half:
            said.append(float(network(torch.from_numpy(clips).to(device)).float()[:, 0].mean()))
    return said


def cases_of(
    network: nn.Module, data: DatasetManifest, items: Sequence[Item], form: Form, convention: Convention, *, cache: Path,
    quantity: str, device: torch.device,
) -> Cases:  # fmt: skip
    """What the network says of every loop, beside the truth; loops that cannot be used are named on standard error."""
    found, left_out = kept_loops(data, items, form, folder=cache, workers=2)
    for key, reason in left_out.items():
        sys.stderr.write(f"left out: {key}: {reason}\n")
    loops = [open_loop(place) for _, place in found]
    kept = [item for item, _ in found]
    return Cases(
        keys=tuple(item.key for item in kept),
        patients=tuple(item.patient for item in kept),
        studies=tuple(study_of(item) for item in kept),
        said=np.array(answers(network, loops, convention, device)),
        truth=np.array([target_of(item, loop, quantity) for item, loop in zip(kept, loops, strict=True)]),
        ef_percent=np.array([math.nan if loop.ef_percent is None else loop.ef_percent for loop in loops]),
        worst=np.array([0 if loop.scores is None else int(loop.scores.max()) for loop in loops]),
    )


def locked_test(
    network: nn.Module, data: DatasetManifest, items: Sequence[Item], form: Form, convention: Convention, *, cache: Path,
    quantity: str, kind: str, threshold: float | None, device: torch.device,
) -> Tested:  # fmt: skip
    """The metrics and tables of a trained network, rounded as it is published, on what nothing was learned from."""
    if not items:
        return Tested()
    metrics: list[Metric] = []
    tables: dict[str, Table] = {}
    for mixture in groups_of(data, "both"):
        cases = cases_of(
            network,
            data,
            items,
            replace(form, mixture=mixture),
            convention,
            cache=cache,
            quantity=quantity,
            device=device,
        )
        simulated = data.simulated
        where = f"{len(cases.keys)} locked loops of {form.view}" + (f": {GROUPS[mixture]}" if simulated else "")
        if left_out := len(items) - len(cases.keys):
            where += f"; {left_out} more could not be used and are in no number"
        suffix = ", as drawn" if simulated and mixture is Mixture.DRAWN else ""
        tables[f"Locked test{suffix}"] = summary({"this model": (cases, threshold)}, kind=kind, words=where)
        metrics += metrics_of(cases, kind=kind, threshold=threshold, on=where, suffix=suffix, locked=True)
        if kind == "binary":
            tables[f"Reliability{suffix}"] = reliability(cases)
            if simulated:
                tables[f"By the worst segment in view{suffix}"] = by_worst(cases, threshold)
    said = (
        f"The probability that at least one segment that {form.view} shows has a wall motion score of 2 or more "
        "(hypokinetic, akinetic, dyskinetic); put on its scale, and its threshold chosen, on validation patients."
        if kind == "binary" else f"{quantity} of the loop."
    )  # fmt: skip
    tested = "Intervals are of 95 %: the AUC's by DeLong where each patient has one loop, all others by bootstrap over patients."
    if data.simulated and not form.published:
        tested = f"Simulated loops were recorded at {form.scale:g} of the scanner's raster. {tested}"
    words = {
        "What it says": [said],
        "How it was tested": [f"With the weights as they are published, as float16. {tested}"],
    }
    if data.simulated:
        words["Which hearts"] = [
            "A simulated cohort draws wall motion to explain a low ejection fraction: on it, the ejection fraction alone "
            "tells everything. So three quarters of the hearts of training and validation have motion drawn first, in "
            "coronary territories, with the other segments making up for some of it, and the locked test is told for both: "
            "AUC is of regional wall motion, `as drawn` of the cohort as it is. The row of the true ejection fraction "
            "says how far that alone would have come."
        ]
    return Tested(metrics=tuple(metrics), tables=tables, words=words)


def evaluate(arguments: EvaluationArguments) -> Evaluation:
    """The tables of each package on the same loops; several packages of different views are fused by study.

    Raises:
        BadInput: packages that answer different questions, or data that know nothing of theirs.
    """
    options = with_options(Options(), arguments.options)
    findings = {str(package.config.get("finding")) for package in arguments.packages}
    kinds = {QUANTITIES[name].probability for name in findings if name in QUANTITIES}
    if len(kinds) != 1 or not findings <= set(QUANTITIES):
        raise BadInput(f"models that answer different questions cannot be compared: {', '.join(sorted(findings))}")
    kind = "binary" if kinds.pop() else "regression"
    data = evaluation_data(arguments, name="cmr", layout=partial(layout, label=options.label))
    cache = options.cache or arguments.scratch
    if cache is None:
        raise BadInput("--set cache=FOLDER is needed: nowhere to keep the loops")
    device = open_device(arguments.device, threads=arguments.threads)
    tables: dict[str, Table] = {}
    metrics: dict[str, tuple[Metric, ...]] = {package.name: () for package in arguments.packages}
    figures: list[Path] = []
    for mixture in groups_of(data, options.mixture):
        suffix = f" ({mixture})" if data.simulated else ""
        where = data.source + (f"; {GROUPS.get(mixture, mixture)}" if data.simulated else "")
        each = {
            package.name: (_cases(package, data, mixture, cache, device), package.config.get("threshold"))
            for package in arguments.packages
        }
        if len(each) > 1 and len({package.config.get("view") for package in arguments.packages}) > 1:
            each["all views, mean of logits by study"] = (fused([cases for cases, _ in each.values()]), None)
        elif any(len(set(cases.studies)) < len(cases.studies) for cases, _ in each.values()):
            each |= {f"{name}, by study": (fused([cases]), threshold) for name, (cases, threshold) in each.items()}
        title = "Findings" if kind == "binary" else "Values"
        tables[f"{title}{suffix}"] = summary(each, kind=kind, words=where)
        for name, (cases, threshold) in each.items():
            if name in metrics:
                metrics[name] += metrics_of(cases, kind=kind, threshold=threshold, on=where, suffix="", locked=False)
            if kind == "binary":
                tables[f"Reliability, {name}{suffix}"] = reliability(cases)
                if data.simulated and (cases.worst > 0).all():
                    tables[f"By the worst segment in view, {name}{suffix}"] = by_worst(cases, threshold)
        if (compared := paired(each, kind=kind, seed=arguments.seed)) is not None:
            tables[f"Paired bootstrap{suffix}"] = compared
        if arguments.figures is not None:
            figures += drawn(arguments.figures, each, kind=kind, mixture=str(mixture) if data.simulated else "")
    return Evaluation(tables=tables, metrics=metrics, figures=tuple(figures))


def groups_of(data: DatasetManifest, asked: str) -> tuple[Mixture, ...]:
    """Which hearts a simulated cohort is looked at with; files are what they are."""
    if not data.simulated:
        return (Mixture.DRAWN,)
    return tuple(GROUPS) if asked == "both" else (Mixture(asked),)


def summary(each: dict[str, tuple[Cases, float | None]], *, kind: str, words: str) -> Table:
    """One row a model; of simulated hearts one more for what their true ejection fraction alone would tell."""
    if kind == "regression":
        rows: list[tuple[Cell, ...]] = []
        for name, (cases, _) in each.items():
            agreement = bland_altman(cases.said, cases.truth)
            rows.append(
                (name, len(cases.keys), mae(cases.said, cases.truth), rmse(cases.said, cases.truth),
                 r2(cases.said, cases.truth), agreement.bias.value, agreement.lower.value, agreement.upper.value)
            )  # fmt: skip
        columns = ("model", "n", "MAE", "RMSE", "R2", "bias", "lower limit", "upper limit")
        return Table(columns=columns, rows=tuple(rows), words=words)
    rows = []
    for name, (cases, threshold) in each.items():
        area = area_of(cases)
        called = cases.called(threshold)
        rows.append(
            (name, len(cases.keys), int(cases.truth.sum()), area.value, area.low, area.high, cases.average_precision,
             cases.brier, cases.calibration_error, threshold, None if called is None else called[0],
             None if called is None else called[1])
        )  # fmt: skip
    first = next(iter(each.values()))[0]
    if np.isfinite(first.ef_percent).all() and len(set(first.truth.tolist())) == 2:
        alone = replace(first, said=-first.ef_percent)
        area = area_of(alone)
        rows.append(
            ("true ejection fraction alone", len(alone.keys), int(alone.truth.sum()), area.value, area.low, area.high,
             alone.average_precision, None, None, None, None, None)
        )  # fmt: skip
    listed = ("model", "n", "positive", "AUC", "low", "high", "average precision", "Brier", "calibration error",
               "threshold", "sensitivity", "specificity")  # fmt: skip
    return Table(columns=listed, rows=tuple(rows), words=words)


def area_of(cases: Cases) -> Interval:
    """The AUC with DeLong's interval; with several loops a patient by bootstrap over patients; NaN for one class."""
    if min(cases.truth.sum(), (1 - cases.truth).sum()) < 2:
        return Interval(value=auc(cases.said, cases.truth), low=math.nan, high=math.nan, n=len(cases.keys))
    if len(set(cases.patients)) == len(cases.patients):
        return auc_interval(cases.said, cases.truth)
    return bootstrap_interval(cases.said, cases.truth, statistic=auc, by=cases.patients)


def metrics_of(
    cases: Cases, *, kind: str, threshold: float | None, on: str, suffix: str, locked: bool
) -> tuple[Metric, ...]:  # fmt: skip
    """What goes into the manifest; a number that is none is left out.

    `locked` is the recipe's word that nothing was learned from these loops: an evaluation cannot know.
    """
    if kind == "regression":
        return tuple(
            metric(
                f"{name}{suffix}", bootstrap_interval(cases.said, cases.truth, statistic=statistic, by=cases.patients),
                on=on, locked=locked,
            )
            for name, statistic in (("MAE", mae), ("RMSE", rmse))
        )  # fmt: skip
    made = []
    if math.isfinite((area := area_of(cases)).value):
        made.append(metric(f"AUC{suffix}", area, on=on, locked=locked))
    if threshold is not None:
        called = (cases.probability >= threshold).astype(float)
        for name, wanted in (("sensitivity", 1.0), ("specificity", 0.0)):
            among = cases.truth == wanted
            if among.any():
                right = called[among] == wanted
                patients = [patient for patient, inside in zip(cases.patients, among, strict=True) if inside]
                share = bootstrap_interval(right.astype(float), statistic=lambda x: float(x.mean()), by=patients)
                made.append(metric(f"{name}{suffix}", share, on=on, locked=locked))
    return tuple(made)


def reliability(cases: Cases) -> Table:
    """How often it was so, where it was said to be so probable."""
    rows: list[tuple[Cell, ...]] = []
    said = cases.probability
    for low, high in pairwise(np.linspace(0, 1, BINS + 1)):
        inside = (said >= low) & ((said < high) | (high == 1))
        if inside.any():
            rows.append((f"{low:.1f} to {high:.1f}", int(inside.sum()), float(said[inside].mean()),
                         float(cases.truth[inside].mean())))  # fmt: skip
    return Table(columns=("probability", "n", "said", "was so"), rows=tuple(rows))


def by_worst(cases: Cases, threshold: float | None) -> Table:
    """Loops by the worst score of a segment that the view shows."""
    rows: list[tuple[Cell, ...]] = []
    for score, name in SCORES.items():
        inside = cases.worst == score
        if inside.any():
            called = None if threshold is None else float((cases.probability[inside] >= threshold).mean())
            rows.append((f"{score} {name}", int(inside.sum()), float(cases.probability[inside].mean()), called))
    return Table(columns=("worst segment", "n", "mean probability", "share called abnormal"), rows=tuple(rows))


def paired(each: dict[str, tuple[Cases, float | None]], *, kind: str, seed: int) -> Table | None:
    """Every later model against the first on the loops that both saw; None where there is nothing to compare."""
    (first, (base, _)), *others = each.items()
    rows: list[tuple[Cell, ...]] = []
    for name, (cases, _) in others:
        if cases.keys != base.keys or not np.array_equal(cases.truth, base.truth):
            continue
        gap = paired_bootstrap(
            (cases.said, cases.truth), (base.said, base.truth), statistic=mae if kind == "regression" else auc,
            by=base.patients, seed=seed,
        )  # fmt: skip
        rows.append((f"{name} less {first}", gap.n, gap.value, gap.low, gap.high, gap.p))
    quantity = "MAE" if kind == "regression" else "AUC"
    return Table(columns=("models", "n", quantity, "low", "high", "p"), rows=tuple(rows)) if rows else None


def drawn(
    folder: Path, each: dict[str, tuple[Cases, float | None]], *, kind: str, mixture: str
) -> list[Path]:  # fmt: skip
    """ROC and reliability, or scatter and Bland-Altman, as PNG."""
    from echonode.training import figures

    end = f"-{mixture}" if mixture else ""
    if kind == "binary":
        curves = {name: (cases.said, cases.truth) for name, (cases, _) in each.items()}
        made = [figures.roc_plot(folder / f"roc{end}.png", curves)]
        for number, (name, (cases, _)) in enumerate(each.items()):
            made.append(
                figures.reliability_plot(
                    folder / f"reliability-{number}{end}.png", cases.probability, cases.truth, bins=BINS, title=name
                )
            )
        return made
    made = []
    for number, (name, (cases, _)) in enumerate(each.items()):
        made.append(
            figures.scatter_plot(folder / f"scatter-{number}{end}.png", cases.said, cases.truth, quantity=name, unit="")
        )
        made.append(
            figures.bland_altman_plot(
                folder / f"bland-altman-{number}{end}.png", cases.said, cases.truth, quantity=name, unit=""
            )
        )
    return made


def _cases(package: Package, data: DatasetManifest, mixture: Mixture, cache: Path, device: torch.device) -> Cases:
    """As the package's runner would read every loop."""
    convention = Convention.of(package.config)
    finding = str(package.config.get("finding"))
    form = Form(
        view=str(package.config.get("view", "A4C")), mixture=mixture, side=convention.side, frames=0,
        published=package.preparation == "published" or package.architecture.get(ROLE) == PUBLISHED,
        clip_frames=convention.frames,
    )  # fmt: skip
    quantity = "wall-motion" if QUANTITIES[finding].probability else finding
    network = network_of(package).to(device)
    return cases_of(network, data, data.items, form, convention, cache=cache, quantity=quantity, device=device)
