"""Logits made into probabilities that keep their word: a line fitted to cases that the network did not learn from.

Platt, "Probabilistic outputs for support vector machines", 1999: logistic regression of the outcome on the logit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike
from torch import nn

_PRIOR: Final = 0.05
_ROUNDS: Final = 50


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """scale x + offset."""

    scale: float = 1.0
    offset: float = 0.0

    def folded_into(self, last: nn.Linear) -> None:
        """Change a network's last layer so that it answers on the line."""
        last.weight.data.mul_(self.scale)
        last.bias.data.mul_(self.scale).add_(self.offset)


def platt(logits: ArrayLike, positive: ArrayLike) -> Line:
    """The line that makes these logits most probable; drawn towards no change, so that few cases cannot run away with it."""
    x, y = np.asarray(logits, float), np.asarray(positive, float)
    spread = max(float(x.std()), 1e-6)
    design = np.column_stack([x / spread, np.ones_like(x)])
    start = np.array([spread, 0.0])
    line = start.copy()
    for _ in range(_ROUNDS):
        p = 1 / (1 + np.exp(-np.clip(design @ line, -30, 30)))
        weight = p * (1 - p)
        slope = design.T @ (p - y) + _PRIOR * (line - start)
        bend = (design * weight[:, None]).T @ design + _PRIOR * np.eye(2)
        step = np.linalg.solve(bend, slope)
        line = line - step / max(1.0, float(np.abs(step).max()))
        if float(np.abs(step).max()) < 1e-9:
            break
    return Line(scale=max(1e-3, float(line[0]) / spread), offset=float(line[1]))
