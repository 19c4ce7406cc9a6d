"""What the command `echonode run mmode` uses of this task beyond a Runner."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from echonode.core.clip import Clip
from echonode.core.results import Ineligible, Picture, Result
from echonode.core.task import Progress
from echonode.tasks.mmode.figures import draw
from echonode.tasks.mmode.runner import MModeRunner


def read(
    runner: MModeRunner, clip: Clip, parameters: Mapping[str, Any], progress: Progress, *, figures: Path | None = None
) -> tuple[tuple[Result, ...], dict[str, Any]]:
    """Results of one clip, and everything that was read from it as plain JSON values.

    `figures` is a folder that the published plots, and the annotated picture, are written into.
    """
    examination = runner.examine(clip, parameters, progress)
    if isinstance(examination, Ineligible):
        return (examination,), {}
    results = runner.results(clip, examination)
    if figures is not None:
        draw(figures, examination, [one for one in results if isinstance(one, Picture)])
    return results, examination.as_dict()


def joined(runner: MModeRunner, further: MModeRunner) -> MModeRunner:
    """A runner with the networks of both and the settings of the first: a segmenter with its quality classifiers.

    Raises:
        PackageInvalid: both have a segmenter.
    """
    return runner.joined(further)
