"""What the command `echonode run mmode` uses of this task: an examiner, its document, and lines of the tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from echonode.core.clip import Clip
from echonode.core.package import Package
from echonode.core.results import Ineligible, Measurement
from echonode.core.task import Progress
from echonode.tasks.mmode import tables
from echonode.tasks.mmode.examination import Examination
from echonode.tasks.mmode.outcome import results_of
from echonode.tasks.mmode.runner import MModeRunner, runner_of


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Read:
    """One file's results as a document of plain JSON values, and what tables are made of; a refusal has no lines."""

    document: Mapping[str, Any]
    refused: str
    examination: Examination | None

    def rows(self, *, name: str, layout: str) -> list[tables.Row]:
        """Lines for the tables."""
        return [] if self.examination is None else tables.rows_of(self.examination, name=name, layout=layout)


class Examiner:
    """Reads clips one by one with the loaded networks."""

    def __init__(self, runner: MModeRunner) -> None:
        self._runner = runner

    def read(self, clip: Clip, parameters: Mapping[str, Any], progress: Progress) -> Read:
        """What was read from a clip, or why nothing was."""
        examination = self._runner.examine(clip, parameters, progress)
        if isinstance(examination, Ineligible):
            return _refusal(examination, None)
        count, rows, columns = clip.frames.shape[:3]
        results = results_of(examination, frames=count, rows=rows, columns=columns)
        if isinstance(results[0], Ineligible):
            return _refusal(results[0], examination)
        measurements = [_measurement(one) for one in results if isinstance(one, Measurement)]
        return Read(
            document={"measurements": measurements, **examination.as_dict()}, refused="", examination=examination
        )


def open_examiner(packages: Sequence[Package], device: str, threads: int) -> Examiner:
    """An examiner with the networks of all packages, by the settings of the first.

    Raises:
        PackageInvalid, CheckpointRefused: a package is not one of this task's.
    """
    return Examiner(runner_of(packages, device, threads))


def append_rows(path: Path, rows: Sequence[tables.Row], layout: str) -> None:
    """Add lines to a table of that layout.

    Raises:
        BadInput: the file is another table, or cannot be written.
    """
    tables.append(path, rows, layout=layout)


def _refusal(why: Ineligible, examination: Examination | None) -> Read:
    document: dict[str, Any] = {"refused": why.reason, "code": why.code}
    if examination is not None:
        document |= examination.as_dict()
    return Read(document=document, refused=why.reason, examination=examination)


def _measurement(one: Measurement) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": one.concept.meaning,
        "code": one.concept.value,
        "scheme": one.concept.scheme,
        "value": one.value,
        "unit": one.unit.value,
        "frames": list(one.frames),
    }
    if one.method is not None:
        found["method"] = one.method.meaning
    if one.uncertainty is not None:
        found["half_width_95"] = one.uncertainty
    return found
