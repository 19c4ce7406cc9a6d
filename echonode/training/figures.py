"""Figures of an evaluation as PNG, the same bytes each time; no window and no state of matplotlib's is touched."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from echonode.training.statistics import EF_BANDS, auc, bland_altman, correlation, mae, roc

INCHES, DPI = (5.0, 4.2), 120


def bland_altman_plot(
    path: Path,
    prediction: ArrayLike,
    truth: ArrayLike,
    *,
    quantity: str,
    unit: str,
    names: tuple[str, str] = ("model", "reference"),
) -> Path:
    """Difference over mean of prediction and truth, with bias and limits of agreement and their intervals; `names` are
    what the axes call the two."""
    p, t = np.asarray(prediction, float), np.asarray(truth, float)
    agreement = bland_altman(p, t)
    figure, axes = _axes()
    _dots(axes, (p + t) / 2, p - t)
    for interval, style in ((agreement.bias, "-"), (agreement.lower, "--"), (agreement.upper, "--")):
        axes.axhline(interval.value, color="black", linestyle=style, linewidth=1)
        axes.axhspan(interval.low, interval.high, color="black", alpha=0.08, linewidth=0)
        axes.annotate(f"{interval.value:.2f}", (1, interval.value), xycoords=("axes fraction", "data"), xytext=(3, -3),
                      textcoords="offset points", fontsize=8)  # fmt: skip
    axes.set_xlabel(f"mean of {names[0]} and {names[1]}, {quantity} [{unit}]")
    axes.set_ylabel(f"{names[0]} - {names[1]} [{unit}]")
    axes.set_title(
        f"{quantity}: bias {agreement.bias.value:.2f}, SD {agreement.sd:.2f} {unit}, n = {len(p)}", fontsize=10
    )
    return _saved(figure, path)


def scatter_plot(path: Path, prediction: ArrayLike, truth: ArrayLike, *, quantity: str, unit: str) -> Path:
    """Prediction over truth with the line of identity."""
    p, t = np.asarray(prediction, float), np.asarray(truth, float)
    figure, axes = _axes()
    _dots(axes, t, p)
    ends = [float(min(p.min(), t.min())), float(max(p.max(), t.max()))]
    axes.plot(ends, ends, color="black", linewidth=1)
    axes.set_aspect("equal", adjustable="box")
    axes.set_xlabel(f"reference, {quantity} [{unit}]")
    axes.set_ylabel(f"model [{unit}]")
    axes.set_title(f"{quantity}: MAE {mae(p, t):.2f} {unit}, r {correlation(p, t):.3f}, n = {len(p)}", fontsize=10)
    return _saved(figure, path)


def roc_plot(path: Path, curves: Mapping[str, tuple[ArrayLike, ArrayLike]], *, title: str = "") -> Path:
    """ROC curves: name -> (score, whether positive)."""
    figure, axes = _axes()
    for name, (score, positive) in curves.items():
        false, true = roc(score, positive)
        axes.plot(false, true, linewidth=1.5, label=f"{name}: AUC {auc(score, positive):.3f}")
    axes.plot([0, 1], [0, 1], color="black", linewidth=0.7, linestyle=":")
    axes.set_aspect("equal", adjustable="box")
    axes.set_xlabel("1 - specificity")
    axes.set_ylabel("sensitivity")
    axes.legend(loc="lower right", fontsize=8)
    axes.set_title(title, fontsize=10)
    return _saved(figure, path)


def reliability_plot(
    path: Path, probability: ArrayLike, positive: ArrayLike, *, bins: int = 10, title: str = ""
) -> Path:
    """How often it was so over how probable it was said to be, in bins of equal width; dots grow with the cases."""
    said, true = np.asarray(probability, float), np.asarray(positive).astype(bool)
    place = np.clip((said * bins).astype(int), 0, bins - 1)
    figure, axes = _axes()
    axes.plot([0, 1], [0, 1], color="black", linewidth=0.7, linestyle=":")
    used = [number for number in range(bins) if (place == number).any()]
    x = [float(said[place == number].mean()) for number in used]
    y = [float(true[place == number].mean()) for number in used]
    axes.plot(x, y, linewidth=1)
    axes.scatter(x, y, s=[12 + 120 * float((place == number).mean()) for number in used])
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_aspect("equal", adjustable="box")
    axes.set_xlabel("probability as predicted")
    axes.set_ylabel("share that was positive")
    axes.set_title(title, fontsize=10)
    return _saved(figure, path)


def band_plot(
    path: Path,
    prediction: ArrayLike,
    truth: ArrayLike,
    *,
    quantity: str,
    unit: str,
    bands: Sequence[float] = EF_BANDS,
) -> Path:
    """Boxes of prediction minus truth for each band of the truth."""
    p, t = np.asarray(prediction, float), np.asarray(truth, float)
    pairs = list(itertools.pairwise(bands))
    rows = [(p - t)[(t >= low) & ((t < high) | ((high == bands[-1]) & (t == high)))] for low, high in pairs]
    figure, axes = _axes()
    axes.boxplot(
        rows, tick_labels=[f"{low:g}-{high:g}\nn={len(row)}" for (low, high), row in zip(pairs, rows, strict=True)]
    )
    axes.axhline(0, color="black", linewidth=0.7, linestyle=":")
    axes.set_xlabel(f"reference, {quantity} [{unit}]")
    axes.set_ylabel(f"model - reference [{unit}]")
    return _saved(figure, path)


def curve_plot(
    path: Path, curves: Mapping[str, tuple[ArrayLike, ArrayLike]], *, x: str, y: str, title: str = ""
) -> Path:
    """Lines: name -> (x, y), such as a loss over steps or an error over a factor."""
    figure, axes = _axes()
    for name, (across, up) in curves.items():
        axes.plot(np.asarray(across), np.asarray(up), linewidth=1.2, marker=".", label=name)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.set_title(title, fontsize=10)
    axes.legend(fontsize=8)
    return _saved(figure, path)


def confusion_plot(path: Path, table: ArrayLike, classes: Sequence[str], *, title: str = "") -> Path:
    """A confusion table, rows the truth, shaded by the share of the row."""
    counts = np.asarray(table)
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    figure, axes = _axes()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        axes.text(column, row, str(count), ha="center", va="center", fontsize=8,
                  color="white" if shares[row, column] > 0.6 else "black")  # fmt: skip
    axes.set_xticks(range(len(classes)), classes, rotation=45, ha="right", fontsize=8)
    axes.set_yticks(range(len(classes)), classes, fontsize=8)
    axes.set_xlabel("model")
    axes.set_ylabel("reference")
    axes.set_title(title, fontsize=10)
    return _saved(figure, path)


def _dots(axes: Axes, x: ArrayLike, y: ArrayLike) -> None:
    axes.scatter(x, y, s=14, alpha=0.6, linewidths=0)


def _axes() -> tuple[Figure, Axes]:
    figure = Figure(figsize=INCHES, dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot()


def _saved(figure: Figure, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Software": None})
    return path
