"""The tables of the ejection fraction: errors with intervals, by band, agreement, models compared, and figures."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from echonode.core.errors import BadInput
from echonode.core.package import Package
from echonode.tasks.ejection_fraction.convention import Convention
from echonode.tasks.ejection_fraction.dataset import ef_of, layout, origin_of
from echonode.tasks.ejection_fraction.embeddings import MOST_POINTS, principal, t_sne
from echonode.tasks.ejection_fraction.estimator import Estimator, open_estimator
from echonode.tasks.ejection_fraction.held_out import Answer, Case, Way, answers, cases
from echonode.tasks.ejection_fraction.saliency import saliency_picture
from echonode.training.arguments import Evaluation, EvaluationArguments, Metrics
from echonode.training.dataset import DatasetManifest, Item
from echonode.training.figures import band_plot, bland_altman_plot, scatter_plot
from echonode.training.options import with_options
from echonode.training.publish import metric
from echonode.training.sources import evaluation_data
from echonode.training.statistics import (
    bland_altman,
    bootstrap_interval,
    correlation,
    error_by_band,
    mae,
    paired_bootstrap,
    r2,
    rmse,
)
from echonode.training.table import Table

QUANTITY, UNIT = "ejection fraction", "%"
RANGE: Final = (20.0, 75.0)
"""The range in which the project's target is stated."""
SHOWN_CASES: Final = 4
FEWEST_POINTS: Final = 8


@dataclass(frozen=True, kw_only=True)
class Options:
    """`cache`: where prepared loops are kept from one evaluation to the next; else they are forgotten."""

    cache: Path | None = None
    limit: int = 0


def evaluate(arguments: EvaluationArguments) -> Evaluation:
    """Every model on every loop, prepared as the model's runner does it; loops that any model refuses are left out.

    With a folder for figures: Bland-Altman, scatter, errors by band, embeddings as .npz and as a map (principal
    components and exact t-SNE; UMAP is no part of this), saliency.

    Raises:
        BadInput: no package, an option that there is not, or no loop that all models take.
    """
    options = with_options(Options(), arguments.options)
    if not arguments.packages:
        raise BadInput("--model is missing: the name of a package")
    data = evaluation_data(arguments, name="ejection-fraction", layout=layout)
    items = data.items[: options.limit or None]
    with tempfile.TemporaryDirectory(prefix="echonode-evaluate-") as scratch:
        folder = options.cache or Path(scratch)
        found = {
            package.name: _answered(package, data, items, folder=folder, arguments=arguments)
            for package in arguments.packages
        }
    return _evaluation(found, data, arguments, asked=len(items))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Model:
    estimator: Estimator
    convention: Convention
    answers: Mapping[str, Answer]
    refused: Mapping[str, str]


def _answered(
    package: Package, data: DatasetManifest, items: Sequence[Item], *, folder: Path, arguments: EvaluationArguments
) -> _Model:
    estimator = open_estimator(package, device=arguments.device, threads=arguments.threads)
    if estimator.method == "embedding":
        raise BadInput(f"{package.name} gives embeddings alone: it has no error")
    way = Way(convention=Convention.of(package.config), contract=package.input, preparation=package.preparation)
    held, refused = held_out_cases(data, items, way, folder=folder, workers=arguments.workers)
    given = answers(held, estimator, way.convention)
    return _Model(
        estimator=estimator, convention=way.convention, answers={each.case.key: each for each in given}, refused=refused
    )


def held_out_cases(
    data: DatasetManifest, items: Sequence[Item], way: Way, *, folder: Path, workers: int
) -> tuple[list[Case], dict[str, str]]:
    """The items as a model of that way looks at them, and why others are refused, by key."""
    return cases(
        [origin_of(data, item) for item in items], [ef_of(item) for item in items],
        [(item.key, item.patient) for item in items], way, folder=folder, workers=workers,
    )  # fmt: skip


def metrics_of(given: Sequence[Answer], *, on: str, locked: bool, seed: int = 0) -> Metrics:
    """MAE, RMSE and R2 of all, and MAE and R2 from 20 to 75 %, each with its bootstrap interval over patients."""
    found = []
    for words, low, high in (("", 0.0, 100.0), (f", EF {RANGE[0]:g}-{RANGE[1]:g}", *RANGE)):
        chosen = [each for each in given if low <= each.case.truth <= high]
        if not chosen:
            continue
        predicted, truth, patients = columns_of(chosen)
        for name, statistic, unit in (("MAE", mae, UNIT), ("RMSE", rmse, UNIT), ("R2", r2, "")):
            interval = bootstrap_interval(predicted, truth, statistic=statistic, by=patients, seed=seed)
            found.append(metric(f"EF {name}{words}", interval, unit=unit, on=on, locked=locked))
    return tuple(found)


def columns_of(given: Sequence[Answer]) -> tuple[list[float], list[float], list[str]]:
    """Predicted, true, and whose they are."""
    return [each.percent for each in given], [each.case.truth for each in given], [each.case.patient for each in given]


def tables_of(found: Mapping[str, Sequence[Answer]], *, seed: int = 0) -> dict[str, Table]:
    """Errors, errors by band, agreement and, of several models on the same cases, differences."""
    errors, bands, agreements = [], [], []
    for name, given in found.items():
        predicted, truth, _ = columns_of(given)
        errors.append(
            (name, len(given), mae(predicted, truth), rmse(predicted, truth), r2(predicted, truth),
             correlation(predicted, truth))
        )  # fmt: skip
        bands += [
            (name, f"{band.low:g}-{band.high:g}", band.n, band.mae, band.bias)
            for band in error_by_band(predicted, truth)
        ]
        if len(given) > 1:
            agreement = bland_altman(predicted, truth)
            agreements += [
                (name, words, each.value, each.low, each.high)
                for words, each in (
                    ("bias", agreement.bias), ("lower limit", agreement.lower), ("upper limit", agreement.upper)
                )
            ]  # fmt: skip
    tables = {
        "Error": Table(
            columns=("model", "loops", "MAE", "RMSE", "R2", "r"), rows=tuple(errors), words="In percent points of EF."
        ),
        "Error by band of the true EF": Table(columns=("model", "EF", "loops", "MAE", "bias"), rows=tuple(bands)),
    }
    if agreements:
        tables["Bland-Altman"] = Table(
            columns=("model", "", "value", "low", "high"), rows=tuple(agreements),
            words="Model minus reference: bias and 95 % limits of agreement, each with its 95 % interval.",
        )  # fmt: skip
    pairs = []
    for (one, a), (other, b) in itertools.combinations(found.items(), 2):
        predicted, truth, patients = columns_of(a)
        difference = paired_bootstrap(
            [predicted, truth], [columns_of(b)[0], truth], statistic=mae, by=patients, seed=seed
        )
        pairs.append((f"{one} - {other}", difference.value, difference.low, difference.high, difference.p))
    if pairs:
        tables["Difference of MAE on the same loops"] = Table(
            columns=("models", "difference", "low", "high", "p"),
            rows=tuple(pairs),
            words="Paired bootstrap over patients.",
        )
    return tables


def _evaluation(
    models: Mapping[str, _Model], data: DatasetManifest, arguments: EvaluationArguments, *, asked: int
) -> Evaluation:
    shared = [
        key for key in next(iter(models.values())).answers if all(key in each.answers for each in models.values())
    ]
    if not shared:
        reason = next((text for each in models.values() for text in each.refused.values()), "there is none")
        raise BadInput(f"no loop that every model takes; {reason}")
    found = {name: [model.answers[key] for key in shared] for name, model in models.items()}
    metrics = {
        name: metrics_of(given, on=data.source, locked=False, seed=arguments.seed) for name, given in found.items()
    }
    figures: list[Path] = []
    if arguments.figures is not None:
        for name, given in found.items():
            figures += _figures(name, models[name], given, arguments.figures)
    refused = {name: dict(model.refused) for name, model in models.items()}
    predictions = {
        name: [
            {"key": each.case.key, "true": each.case.truth, "predicted": each.percent, "per_clip": list(each.per_clip)}
            for each in given
        ]
        for name, given in found.items()
    }
    return Evaluation(
        tables=tables_of(found, seed=arguments.seed), metrics=metrics, figures=tuple(figures),
        further={"predictions": predictions, "refused": refused, "asked": asked},
    )  # fmt: skip


def _figures(name: str, model: _Model, given: Sequence[Answer], folder: Path) -> list[Path]:
    predicted, truth, _ = columns_of(given)
    written = [
        bland_altman_plot(folder / f"{name}-bland-altman.png", predicted, truth, quantity=QUANTITY, unit=UNIT),
        scatter_plot(folder / f"{name}-scatter.png", predicted, truth, quantity=QUANTITY, unit=UNIT),
        band_plot(folder / f"{name}-bands.png", predicted, truth, quantity=QUANTITY, unit=UNIT),
    ]
    vectors = np.stack([each.embedding for each in given])
    file = folder / f"{name}-embeddings.npz"
    np.savez(
        file, embeddings=vectors, key=np.array([each.case.key for each in given]), true=np.array(truth),
        predicted=np.array(predicted),
    )  # fmt: skip
    written.append(file)
    if len(given) >= FEWEST_POINTS:
        written.append(_map(folder / f"{name}-embeddings.png", vectors, np.array(truth), name=name))
    order = sorted(given, key=lambda each: each.case.truth)
    chosen = [order[n] for n in np.linspace(0, len(order) - 1, min(SHOWN_CASES, len(order))).round().astype(int)]
    written.append(
        saliency_picture(
            folder / f"{name}-saliency.png", model.estimator, model.convention, [each.case for each in chosen],
            [f"{each.case.key}: true {each.case.truth:.1f} %, model {each.percent:.1f} %" for each in chosen],
        )
    )  # fmt: skip
    return written


def _map(path: Path, vectors: np.ndarray, truth: np.ndarray, *, name: str) -> Path:
    """The embeddings on two axes, coloured by the true ejection fraction."""
    places, shares = principal(vectors)
    maps = [(places, f"principal components ({100 * shares[0]:.0f} and {100 * shares[1]:.0f} % of variance)")]
    if len(vectors) <= MOST_POINTS:
        maps.append((t_sne(vectors), "t-SNE, exact"))
    figure = Figure(figsize=(5.2 * len(maps), 4.4), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    for number, (points, title) in enumerate(maps, start=1):
        axes = figure.add_subplot(1, len(maps), number)
        axes.scatter(points[:, 0], points[:, 1], c=truth, cmap="viridis", s=14, linewidths=0)
        axes.set_title(f"{name}: {title}", fontsize=9)
        axes.set_xticks([])
        axes.set_yticks([])
    figure.colorbar(figure.axes[0].collections[0], ax=figure.axes, label=f"true {QUANTITY} [{UNIT}]")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Software": None})
    return path
