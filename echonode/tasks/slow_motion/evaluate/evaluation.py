"""`echonode evaluate slow-motion`: models, optical flow, blending and repetition against frames that were left out.

The question is the one of use: of a loop with every second, fourth or eighth frame kept, what does the product's own
runner make of the others? Marks are means over frames, then over loops; no black surroundings, luma alone.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from echonode.core.clip import Clip, Mode
from echonode.core.errors import BadInput, EchonodeError
from echonode.core.package import Package
from echonode.core.results import Ineligible
from echonode.core.task import Runner
from echonode.tasks.common.sector import Scene, find_scene
from echonode.tasks.slow_motion.eligibility import FACTORS, Limits
from echonode.tasks.slow_motion.evaluate.held_out import held_out
from echonode.tasks.slow_motion.evaluate.loops import layout, loops_of
from echonode.tasks.slow_motion.evaluate.scores import Score, of_model, references
from echonode.tasks.slow_motion.evaluate.sheet import Sheet
from echonode.tasks.slow_motion.evaluate.tables import Prefilters, Row, metrics_of, tables_of
from echonode.training.arguments import Evaluation, EvaluationArguments
from echonode.training.options import as_json, with_options
from echonode.training.sources import evaluation_data

GAP_ROUNDING_MS: Final = 0.05
STILL: Final = "a still image"
COLOUR_MODES: Final = frozenset({Mode.COLOUR, Mode.COLOUR_M_MODE, Mode.TDI})


@dataclass(frozen=True, kw_only=True)
class Options:
    """What `--set` changes. `factors`: how sparse; `max_gap_ms`: loops that were acquired slower are left out;
    `grey_only`: so are colour loops; `sigmas`: prefilters among which the best one is DIS's.
    """

    factors: tuple[int, ...] = (2, 4, 8)
    max_gap_ms: float = 35.0
    grey_only: bool = False
    sigmas: tuple[float, ...] = (0.0, 1.0, 1.5, 2.0, 3.0)

    def __post_init__(self) -> None:
        if not self.factors or any(factor not in FACTORS for factor in self.factors):
            raise ValueError(f"factors: whole numbers from {FACTORS[0]} to {FACTORS[-1]} are expected")
        if not self.sigmas or min(self.sigmas) < 0:
            raise ValueError("sigmas: numbers from 0 on are expected")
        if not self.max_gap_ms > 0:
            raise ValueError("max_gap_ms: more than 0 is expected")


@dataclass(frozen=True, kw_only=True, slots=True)
class LeftOut:
    """A loop, or a loop at one factor, that was not judged: by whom it was refused, and why."""

    loop: str
    by: str
    reason: str


@dataclass(kw_only=True)
class _Found:
    rows: list[Row] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    figures: list[Path] = field(default_factory=list)


def evaluate(arguments: EvaluationArguments) -> Evaluation:
    """Tables for each factor, means with intervals, and where there are several models their paired differences.

    Raises:
        BadInput: a model of another task, an option that does not exist, or no loop that can be judged.
    """
    options = with_options(Options(), arguments.options)
    models = _opened(arguments)
    data = evaluation_data(arguments, name="slow-motion", layout=layout)
    cv2.setNumThreads(_threads(arguments))
    found = _Found()
    for item in _watched(data.items):
        try:
            for name, clip in loops_of(item, data.paths(item)):
                _judge(name, item.patient, clip, models=models, options=options, figures=arguments.figures, into=found)
        except EchonodeError as error:
            found.left_out.append(LeftOut(loop=item.key, by="the reader", reason=str(error)))
    if not found.rows:
        reasons = "; ".join(sorted({each.reason for each in found.left_out})[:3])
        raise BadInput(f"no loop that can be judged in {data.source}: {reasons or 'none was found'}")
    prefilters = Prefilters.of(found.rows, options.sigmas)
    names = tuple(models)
    return Evaluation(
        tables=tables_of(
            found.rows, prefilters=prefilters, models=names, left_out=_told(found.left_out), seed=arguments.seed
        ),
        metrics=metrics_of(found.rows, prefilters=prefilters, models=names, on=data.source, seed=arguments.seed),
        figures=tuple(found.figures),
        further={
            "options": as_json(options),
            "data": {"source": data.source, "sha256": data.digest},
            "models": {name: package.digest for name, package in zip(names, arguments.packages, strict=True)},
            "device": arguments.device,
            "threads": _threads(arguments),
            "dis_sigma": {str(factor): best for factor, best in prefilters.soft.items()},
            "sharp_dis_sigma": {str(factor): best for factor, best in prefilters.sharp.items()},
            "loops": [_plain(row) for row in found.rows],
            "left_out": [dataclasses.asdict(each) for each in found.left_out],
        },
    )


def relaxed(package: Package) -> Package:
    """The package without its bounds on gaps and frames: what is left out makes every loop slow and short."""
    bounds = {name: value for name, value in package.input.items() if name not in ("frame_gap_ms_max", "frames_min")}
    return dataclasses.replace(package, input={**bounds, "frame_gap_ms_max": None})


def _judge(
    name: str,
    study: str,
    clip: Clip,
    *,
    models: Mapping[str, Runner],
    options: Options,
    figures: Path | None,
    into: _Found,
) -> None:
    scene = _scene(clip, options)
    if isinstance(scene, Ineligible):
        into.left_out.append(LeftOut(loop=name, by="the evaluation", reason=scene.reason))
        return
    for factor in options.factors:
        held = held_out(clip, factor=factor, sector=scene.sector)
        if held is None:
            reason = f"{len(clip.frames)} frames are too few to leave frames out at {factor}x"
            into.left_out.append(LeftOut(loop=name, by="the evaluation", reason=reason))
            continue
        sheet = Sheet(held, scene) if figures is not None else None
        seen = {"seen": sheet} if sheet is not None else {}
        scores = references(held, scene, sigmas=options.sigmas, **seen)
        for model, runner in models.items():
            score = of_model(held, scene, runner, name=model, **seen)
            if isinstance(score, Score):
                scores[model] = score
            else:
                into.left_out.append(LeftOut(loop=f"{name} at {factor}x", by=model, reason=score.reason))
        into.rows.append(
            Row(
                loop=name,
                study=study,
                factor=factor,
                gap_ms=held.gap_ms,
                share=float(scene.sector.mean()),
                skipped=held.skipped,
                scores=scores,
            )
        )
        if sheet is not None and figures is not None:
            best = Prefilters.of(into.rows[-1:], options.sigmas)
            into.figures.append(
                sheet.write(figures, name=name, flow=(best.dis(factor), best.sharp_dis(factor)), models=tuple(models))
            )


def _scene(clip: Clip, options: Options) -> Scene | Ineligible:
    """The scene of a loop that is judged, or why it is not."""
    if len(clip.frames) == 1:
        return Ineligible(reason=STILL, code="still")
    if len(clip.frames) < 3:
        return Ineligible(reason=f"{len(clip.frames)} frames: nothing can be left out", code="frames")
    longest = float(np.diff(clip.times_ms).max())
    if longest > options.max_gap_ms + GAP_ROUNDING_MS:
        return Ineligible(reason=f"{longest:.1f} ms a frame, more than {options.max_gap_ms:g}", code="frame-gap")
    if options.grey_only and clip.mode in COLOUR_MODES:
        return Ineligible(reason=f"its mode is {clip.mode}, no grey loop", code="colour")
    scene = find_scene(clip.frames, clip.regions)
    if scene is None:
        return Ineligible(reason="nothing moves in it", code="frozen")
    if options.grey_only and scene.colour_fraction > Limits().colour_fraction:
        return Ineligible(reason="it has colour in its sector, no grey loop", code="colour")
    return scene


def _opened(arguments: EvaluationArguments) -> dict[str, Runner]:
    """A runner of each package, by its name; the second package of one name is called by its folder."""
    from echonode.tasks.slow_motion.runner import open_runner

    found: dict[str, Runner] = {}
    for package in arguments.packages:
        if package.task != "slow_motion":
            raise BadInput(f"model {package.name!r} is for {package.task}, not for slow motion")
        name = package.name if package.name not in found else str(package.folder)
        if name in found:
            raise BadInput(f"--model {name} is given twice")
        found[name] = open_runner(relaxed(package), _device(arguments.device), _threads(arguments))
    return found


def _device(asked: str) -> str:
    if asked != "auto":
        return asked
    import torch

    return "cuda:0" if torch.cuda.is_available() else "cpu"


def _threads(arguments: EvaluationArguments) -> int:
    return arguments.threads or min(4, os.cpu_count() or 1)


def _told(left_out: Sequence[LeftOut]) -> list[tuple[str, str, str]]:
    """A row each, but one for all still images."""
    stills = sum(each.reason == STILL for each in left_out)
    told = [(each.loop, each.by, each.reason) for each in left_out if each.reason != STILL]
    return [*told, (f"{stills} files", "the evaluation", STILL)] if stills else told


def _plain(row: Row) -> dict[str, Any]:
    return {
        "loop": row.loop, "study": row.study, "factor": row.factor, "gap_ms": row.gap_ms, "sector_share": row.share,
        "skipped": row.skipped, "scores": {name: dataclasses.asdict(score) for name, score in row.scores.items()},
    }  # fmt: skip


def _watched(items: Sequence[Any]) -> Iterator[Any]:
    """The items, with a bar on standard error where that is a terminal."""
    from rich.console import Console
    from rich.progress import track

    screen = Console(stderr=True)
    yield from track(items, description="loops", console=screen, transient=True, disable=not screen.is_terminal)
