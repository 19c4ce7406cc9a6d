"""What the command `echonode run mmode` uses of this task beyond a Runner."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from echonode.core.clip import Clip
from echonode.core.results import Ineligible, Result
from echonode.core.task import Progress
from echonode.tasks.mmode.outcome import results_of
from echonode.tasks.mmode.runner import MModeRunner


def read(
    runner: MModeRunner, clip: Clip, parameters: Mapping[str, Any], progress: Progress
) -> tuple[tuple[Result, ...], dict[str, Any]]:
    """Results of one clip, and everything that was read from it as plain JSON values."""
    examination = runner.examine(clip, parameters, progress)
    if isinstance(examination, Ineligible):
        return (examination,), {}
    count, rows, columns = clip.frames.shape[:3]
    return results_of(examination, frames=count, rows=rows, columns=columns), examination.as_dict()


def joined(runner: MModeRunner, further: MModeRunner) -> MModeRunner:
    """A runner with the networks of both and the settings of the first: a segmenter with its quality classifiers.

    Raises:
        PackageInvalid: both have a segmenter.
    """
    return runner.joined(further)
