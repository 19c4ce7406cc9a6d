"""What folds tell of a network that learned from everything: the loops that each fold left out, judged by its network.

A data set that is too small to keep a test of its own is judged study by study: a network is trained without the study,
`echonode evaluate slow-motion --json` judges it there, and the network that learned from all of them carries the marks.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from echonode.core.errors import BadInput
from echonode.tasks.slow_motion.evaluate.scores import Score
from echonode.tasks.slow_motion.evaluate.tables import Prefilters, Row, metrics_of, tables_of
from echonode.training.table import Table

LEAVE_ONE_OUT = "Each loop was judged by a network of the same recipe that learned from the other studies alone."


@dataclass(frozen=True, kw_only=True, slots=True)
class Folds:
    """Rows of all folds, in which every fold's model is called `name`, and the prefilters that DIS was given."""

    name: str
    rows: tuple[Row, ...]
    sigmas: tuple[float, ...]

    @classmethod
    def read(cls, files: Sequence[Path], *, name: str) -> Folds:
        """The evaluations in `files`, each of one model; it is called `name`.

        Raises:
            BadInput: a file that is no evaluation of one model, or a loop that two folds judged.
        """
        rows: list[Row] = []
        sigmas: list[float] = []
        for file in files:
            content = _content(file)
            try:
                (model,) = content["models"]
                sigmas = [float(sigma) for sigma in content["options"]["sigmas"]]
                rows += [_row(loop, model, name) for loop in content["loops"] if model in loop["scores"]]
            except (KeyError, TypeError, ValueError) as error:
                raise BadInput(f"{file}: no evaluation of one slow motion model: {error!r}") from error
        judged = [(row.loop, row.factor) for row in rows]
        if twice := sorted({each[0] for each in judged if judged.count(each) > 1}):
            raise BadInput(f"{twice[0]} is judged by more than one fold")
        if not rows:
            raise BadInput("the folds judged no loop")
        return cls(name=name, rows=tuple(sorted(rows, key=lambda row: (row.factor, row.loop))), sigmas=tuple(sigmas))

    def tables(self, *, seed: int) -> dict[str, Table]:
        """The tables of an evaluation, over all folds."""
        found = tables_of(
            self.rows, prefilters=Prefilters.of(self.rows, self.sigmas), models=(self.name,), left_out=(), seed=seed
        )
        return {f"Left out in turn: {title}": table for title, table in found.items()}

    def metrics(self, *, seed: int) -> tuple[Any, ...]:
        """The metrics of a manifest."""
        on = f"{len({row.loop for row in self.rows})} loops, each study left out in turn"
        return metrics_of(
            self.rows, prefilters=Prefilters.of(self.rows, self.sigmas), models=(self.name,), on=on, seed=seed
        )[self.name]


def _content(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(f"{file}: cannot be read as an evaluation: {error}") from error


def _row(loop: dict[str, Any], model: str, name: str) -> Row:
    scores = {name if method == model else method: Score(**score) for method, score in loop["scores"].items()}
    return Row(
        loop=str(loop["loop"]), study=str(loop["study"]), factor=int(loop["factor"]), gap_ms=float(loop["gap_ms"]),
        share=float(loop["sector_share"]), skipped=int(loop["skipped"]), scores=scores,
    )  # fmt: skip
