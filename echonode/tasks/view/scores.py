"""What the view network said of recordings whose view is known, and the tables of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from echonode.tasks.view.calibration import Calibration, calibration_error, negative_log_likelihood
from echonode.tasks.view.classes import CLASSES, OTHER

UNKNOWN = "unknown"
STANDARD = tuple(name for name in CLASSES if name != OTHER)
BINS = 10

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Scored:
    """Recordings with their key, patient, kind and true class (a number), and the probabilities (N, classes) given."""

    keys: tuple[str, ...]
    patients: tuple[str, ...]
    kinds: tuple[str, ...]
    labels: NDArray[np.int64]
    probabilities: Floats
    threshold: float

    @property
    def said(self) -> NDArray[np.int64]:
        """The likeliest class of each."""
        return np.asarray(self.probabilities.argmax(axis=1), np.int64)

    @property
    def confidence(self) -> Floats:
        """Its probability."""
        return np.asarray(self.probabilities.max(axis=1), np.float64)

    @property
    def right(self) -> Flags:
        """Whether the likeliest class is true."""
        return np.asarray(self.said == self.labels, np.bool_)

    @property
    def answered(self) -> Flags:
        """Whether the confidence reaches the threshold."""
        return np.asarray(self.confidence >= self.threshold, np.bool_)

    def where(self, chosen: Flags) -> Scored:
        """Those recordings alone."""
        places = np.flatnonzero(chosen)
        return Scored(
            keys=tuple(self.keys[place] for place in places), patients=tuple(self.patients[place] for place in places),
            kinds=tuple(self.kinds[place] for place in places), labels=self.labels[places],
            probabilities=self.probabilities[places], threshold=self.threshold,
        )  # fmt: skip

    def of_kinds(self, *kinds: str) -> Scored:
        """Those that come from there."""
        return self.where(np.isin(self.kinds, kinds))


Row = tuple[str | int | float | None, ...]


def confusion_rows(scored: Scored) -> list[Row]:
    """For each true class that is there: how many were called what, `unknown` below the threshold, and how many in all."""
    rows: list[Row] = []
    for label, name in enumerate(CLASSES):
        mine = scored.labels == label
        if mine.any():
            called = [int((mine & scored.answered & (scored.said == each)).sum()) for each in range(len(CLASSES))]
            rows.append((name, *called, int((mine & ~scored.answered).sum()), int(mine.sum())))
    return rows


def class_rows(scored: Scored) -> list[Row]:
    """For each class: recordings, sensitivity, positive predictive value, F1; by the likeliest class, whatever its confidence."""
    rows: list[Row] = []
    for label, name in enumerate(CLASSES):
        true, called = scored.labels == label, scored.said == label
        both = float((true & called).sum())
        if true.any() or called.any():
            sensitivity = both / true.sum() if true.any() else float("nan")
            predictive = both / called.sum() if called.any() else float("nan")
            rows.append((name, int(true.sum()), sensitivity, predictive, 2 * both / float(true.sum() + called.sum())))
    return rows


def reliability_rows(scored: Scored) -> list[Row]:
    """For each band of confidence: recordings, mean confidence, how many of them are right."""
    place = np.clip((scored.confidence * BINS).astype(int), 0, BINS - 1)
    return [
        (f"{band / BINS:.1f} to {(band + 1) / BINS:.1f}", int((place == band).sum()),
         float(scored.confidence[place == band].mean()), float(scored.right[place == band].mean()))
        for band in range(BINS) if (place == band).any()
    ]  # fmt: skip


def loop_rows(scored: Scored) -> list[Row]:
    """For each recording: what it is, what is said, how sure, and the second guess."""
    rows: list[Row] = []
    for place, key in enumerate(scored.keys):
        likely = np.argsort(-scored.probabilities[place], kind="stable")
        name = CLASSES[int(likely[0])]
        said = name if scored.answered[place] else f"{UNKNOWN} ({name})"
        rows.append((key, CLASSES[int(scored.labels[place])], said, float(scored.confidence[place]),
                     CLASSES[int(likely[1])], float(scored.probabilities[place][likely[1]]),
                     "right" if scored.right[place] else "wrong"))  # fmt: skip
    return rows


def figures_of(scored: Scored) -> Mapping[str, float]:
    """Negative log likelihood and expected calibration error."""
    return {
        "negative log likelihood": negative_log_likelihood(scored.probabilities, scored.labels),
        "expected calibration error": calibration_error(scored.confidence, scored.right),
    }


def scored_of(
    logits: Sequence[NDArray[np.float32]], *, keys: Sequence[str], patients: Sequence[str], kinds: Sequence[str],
    labels: Sequence[int], calibration: Calibration,
) -> Scored:  # fmt: skip
    """The recordings with their calibrated probabilities."""
    return Scored(
        keys=tuple(keys), patients=tuple(patients), kinds=tuple(kinds), labels=np.array(labels, np.int64),
        probabilities=calibration.probabilities(np.stack(logits)), threshold=calibration.threshold,
    )  # fmt: skip
