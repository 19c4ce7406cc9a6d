"""What models that give a number print: one document a loop, or a table; and where labels are given, how right it was."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from echonode.cli.guard import mark_of, marked
from echonode.cli.loaded import Loaded, progress_bar, read_loop
from echonode.cli.screen import Column, complain, show_rows
from echonode.core.errors import BadInput, EchonodeError

if TYPE_CHECKING:
    from echonode.cli.objects_out import ObjectsOut
    from echonode.core.results import Measurement

MODES = ("published", "clinical")


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """What one loop gave in one preparation mode: results and details, or the reason for refusal."""

    preparation: str
    measurements: tuple[Measurement, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    refused: Mapping[str, str] | None = None
    frames: int | None = None
    objects: Sequence[Mapping[str, str]] = ()
    """Files that were made of it."""

    @property
    def value(self) -> float | None:
        """The first number, None where there is none."""
        return self.measurements[0].value if self.measurements else None

    @property
    def prediction(self) -> float | None:
        """As the authors' tables have it: a probability from 0 to 1, any other number as it is measured."""
        found = self.details.get("probability")
        return self.value if found is None else float(found)


def modes_of(text: str | None, usual: str) -> list[str]:
    """The preparation modes that --preparation names; the package's when it names none.

    Raises:
        BadInput: an unknown mode, or one twice.
    """
    modes = [mode.strip() for mode in text.split(",")] if text is not None else [usual]
    if not modes or len(set(modes)) != len(modes) or not set(modes) <= set(MODES):
        raise BadInput(f"--preparation {text}: {' or '.join(MODES)}, or both with a comma, was expected")
    return modes


def read_or_refuse(
    loaded: Loaded, source: Path, asked: Mapping[str, Any] | str, *, modes: Sequence[str], fps: float | None,
    view: str | None, out: ObjectsOut | None = None,
) -> list[Reading]:  # fmt: skip
    """One reading a mode; what cannot be read is a refusal in every mode.

    `asked` are the run's parameters, or in words why it has none. What was drawn is written to `out`.
    """
    from echonode.core.results import Ineligible, Measurement

    if isinstance(asked, str):
        return [
            Reading(preparation=mode, refused=asdict(Ineligible(reason=asked, code="parameters"))) for mode in modes
        ]
    try:
        clip = read_loop(loaded, source, fps=fps, view=view)
    except EchonodeError as error:
        clip = Ineligible(reason=str(error), code="unreadable")
    if isinstance(clip, Ineligible):
        return [Reading(preparation=mode, refused=asdict(clip)) for mode in modes]
    read = loaded.tool("read")
    readings = []
    for mode in modes:
        own = {key: value for key, value in asked.items() if mode == "published" or key not in ("starts", "seed")}
        with progress_bar(source.name) as progress:
            results, details = read(loaded.runner, clip, {**own, "preparation": mode}, progress)
        # Beside other results a refusal is of a part: that there are outlines and no volumes, say.
        refusal = results[0] if len(results) == 1 and isinstance(results[0], Ineligible) else None
        readings.append(
            Reading(
                preparation=mode,
                measurements=tuple(result for result in results if isinstance(result, Measurement)),
                details=details,
                refused=asdict(refusal) if refusal else None,
                frames=len(clip.frames),
                objects=() if out is None else out.write(source, results, {**own, "preparation": mode}),
            )
        )
    return readings


def document(loaded: Loaded, source: Path, readings: Sequence[Reading]) -> dict[str, Any]:
    """Everything about one loop, as JSON values."""
    package = loaded.package
    return {
        "source": str(source),
        "model": package.name,
        "version": package.version,
        "digest": package.digest,
        "task": package.task,
        "intended_use": package.intended_use,
        "simulated": bool(mark_of(loaded.packages)),
        "readings": [
            {
                "preparation": reading.preparation,
                "evaluation": evaluation_of(loaded, reading.preparation),
                "measurements": [marked(loaded.packages, asdict(each)) for each in reading.measurements],
                "refused": reading.refused,
                "details": dict(reading.details),
                **({"objects": list(reading.objects)} if reading.objects else {}),
            }
            for reading in readings
        ],
    }


def evaluation_of(loaded: Loaded, mode: str) -> str:
    """Whether the model was evaluated in that mode, in words."""
    return loaded.manifest.model_copy(update={"preparation": mode}).evaluation


def print_readings(
    loaded: Loaded, found: Iterator[tuple[Path, list[Reading]]], *, as_json: bool, columns: Sequence[Column]
) -> int:
    """Print every loop, refusals with their reason on standard error as well; how many loops were refused."""
    refused, rows = 0, []
    for source, readings in found:
        if as_json:
            sys.stdout.write(json.dumps(document(loaded, source, readings), ensure_ascii=False) + "\n")
            sys.stdout.flush()
        for reading in readings:
            if reading.refused is not None:
                reason = str(reading.refused["reason"])
                complain(reason if str(source) in reason else f"{source}: refused: {reason}")
            if reading.refused is None or reading.measurements:
                rows.append({"source": str(source), "reading": reading})
        refused += any(reading.refused is not None for reading in readings)
    if not as_json and rows:
        shared = (Column("source", "source"), Column("preparation", lambda row: row["reading"].preparation))
        notes = Column("notes", lambda row: notes_of(loaded, row["reading"]))
        show_rows(rows, (*shared, *columns, notes))
    return refused


def notes_of(loaded: Loaded, reading: Reading) -> str:
    """What a reader must know of a reading, in words."""
    words = [str(note) for note in reading.details.get("notes", ())]
    evaluation = evaluation_of(loaded, reading.preparation)
    if evaluation.startswith("never"):
        words.append(evaluation)
    if mark := mark_of(loaded.packages):
        words.insert(0, mark)
    return "; ".join(words)
