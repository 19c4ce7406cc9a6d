"""`echonode run synthesis LOOP... --segmentation NAME`: from a loop to a synthetic picture of a heart with its outlines.

As on the node, two models work one after the other: the second sees nothing of the loop but the label map of one frame.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from echonode.cli.called import is_dicom
from echonode.cli.guard import marked, refusal_for
from echonode.cli.loaded import progress_bar, read_loop
from echonode.cli.objects_out import Made, ObjectsOut
from echonode.cli.screen import complain
from echonode.core.errors import BadInput, EchonodeError

if TYPE_CHECKING:
    from echonode.cli.loaded import Loaded
    from echonode.core.clip import Clip

SEGMENTATION = "segmentation"


def pictures_of_loops(
    synthesis: Loaded, segmentation: Loaded, sources: Sequence[Path], *, phase: str, view: str | None,
    parameters: Mapping[str, Any], out: Path, as_json: bool,
) -> int:  # fmt: skip
    """A label map and a synthetic picture of each loop, as objects under the node's UIDs; how many loops were refused.

    Raises:
        BadInput: `out` cannot be written to.
    """
    maps, pictures = ObjectsOut(out, segmentation, sources), ObjectsOut(out, synthesis, sources)
    refused = 0
    for source in sources:
        reason: Mapping[str, str] | None = None
        made: list[Made] = []
        try:
            made = _of_loop(
                synthesis, segmentation, source, phase=phase, view=view, parameters=parameters, maps=maps,
                pictures=pictures,
            )  # fmt: skip
        except EchonodeError as error:
            reason = {"reason": str(error), "code": "refused"}
            refused += 1
            complain(str(error) if str(source) in str(error) else f"{source}: refused: {error}")
        if as_json:
            packages = synthesis.packages + segmentation.packages
            about = {
                "source": str(source),
                "task": synthesis.spec.name,
                "phase": phase,
                "synthetic": True,
                "models": [asdict_of(each) for each in (segmentation, synthesis)],
                "objects": made,
                "refused": reason,
            }
            sys.stdout.write(json.dumps(marked(packages, about), ensure_ascii=False) + "\n")
            sys.stdout.flush()
    if not as_json:
        pictures.tell()
    return refused


def asdict_of(loaded: Loaded) -> dict[str, str]:
    """Which package of which task it is."""
    package = loaded.package
    return {"task": package.task, "model": package.name, "version": package.version, "digest": package.digest}


def _of_loop(
    synthesis: Loaded, segmentation: Loaded, source: Path, *, phase: str, view: str | None,
    parameters: Mapping[str, Any], maps: ObjectsOut, pictures: ObjectsOut,
) -> list[Made]:  # fmt: skip
    """The label map's object and the pictures made of one of its frames.

    Raises:
        EchonodeError: one of the models refuses, or the loop cannot be read; why.
    """
    from echonode.core.results import Ineligible, LabelMap
    from echonode.dicom.label_maps import read_label_map

    if not source.is_file() or not is_dicom(source):
        raise BadInput("is no DICOM file; `run segmentation --labels DIR` makes label maps of it to start from")
    guarded = refusal_for(synthesis.packages, synthesis.settings, source)
    clip = guarded or read_loop(segmentation, source, fps=None, view=view)
    if isinstance(clip, Ineligible):
        raise BadInput(clip.reason)
    with progress_bar(source.name) as progress:
        results, _details = segmentation.tool("read")(segmentation.runner, clip, {}, progress)
    outlines = [each for each in results if isinstance(each, LabelMap)]
    if not outlines:
        raise BadInput(_reason(results) or f"{segmentation.package.name} gave no label map")
    written = [each for each in maps.write(source, outlines, {}, kinds=(SEGMENTATION,)) if each["kind"] == SEGMENTATION]
    if not written:
        raise BadInput("its outlines make no label map to start from")
    (label_map,) = written
    limits = synthesis.settings.limits
    asked = {"phase": phase, **parameters, "input": label_map["sop_instance_uid"]}
    started = read_label_map(Path(label_map["file"]), limits=limits, phase=phase)
    with progress_bar(source.name) as progress:
        (given,) = synthesis.runner.run([started], [{**asked, "loop": _seen_as(clip, view)}], progress)
    if reason := _reason(given):
        raise BadInput(reason)
    return [label_map, *pictures.write(source, given, asked)]


def _seen_as(clip: Clip, view: str | None) -> Clip:
    """The loop with the view that the user says it shows, where its header tells none."""
    from dataclasses import replace

    from echonode.dicom.views import view_code

    return replace(clip, view=view_code(view)) if view is not None and clip.view is None else clip


def _reason(results: Sequence[Any]) -> str:
    from echonode.core.results import Ineligible

    return "; ".join(each.reason for each in results if isinstance(each, Ineligible))
