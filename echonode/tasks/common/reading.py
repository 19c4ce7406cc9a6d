"""What runners share whose answer to a clip is one reading: results for the study, details for who asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from echonode.core.clip import Clip
from echonode.core.result_json import json_values
from echonode.core.results import Details, Ineligible, Result
from echonode.core.task import Progress


class Reading(Protocol):
    """What a model gave for one clip."""

    def results(self) -> tuple[Result, ...]:
        """As values that can become DICOM objects."""
        ...

    def details(self) -> Mapping[str, Any]:
        """What each part of it gave, as JSON values."""
        ...


class Reader(Protocol):
    """A runner that reads one clip at a time."""

    def read(self, clip: Clip, parameters: Mapping[str, Any], progress: Progress) -> Reading | Ineligible:
        """The reading of one clip, or why there is none."""
        ...


def read(
    runner: Reader, clip: Clip, parameters: Mapping[str, Any], progress: Progress
) -> tuple[tuple[Result, ...], Mapping[str, Any]]:
    """The results of one clip, and beside them what each part of it gave, as JSON values; the tool "read"."""
    reading = runner.read(clip, parameters, progress)
    return ((reading,), {}) if isinstance(reading, Ineligible) else (reading.results(), reading.details())


def run_each(
    runner: Reader, clips: Sequence[Clip], parameters: Sequence[Mapping[str, Any]], progress: Progress
) -> list[tuple[Result, ...]]:
    """The results of each clip, in order, one after the other; behind those of a reading its details."""
    results: list[tuple[Result, ...]] = []
    for index, (clip, asked) in enumerate(zip(clips, parameters, strict=True)):
        given, details = read(runner, clip, asked, silent)
        results.append((*given, Details(values=json_values(details))) if details else given)
        progress(index + 1, len(clips))
    return results


def silent(done: int, total: int) -> None:
    """The parts of one clip are not told: a batch is told by its clips."""
