"""One batch of runs where the model is: decode under limits, run, one tuple of results a run.

Used inside a runner process (execution/child) and in the calling process (execution/inline).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from echonode.core.clip import Clip
from echonode.core.errors import BadInput, EchonodeError, RunFailed
from echonode.core.package import Package
from echonode.core.ports import RunRequest
from echonode.core.results import Ineligible, Result
from echonode.core.settings import LimitsSection
from echonode.core.task import Runner, resolve
from echonode.dicom.label_maps import is_label_map, read_label_map
from echonode.dicom.pixels import read_clip
from echonode.dicom.views import view_code
from echonode.registry.catalogue import Catalogue

PATIENT = ("age_years", "sex", "height_m", "weight_kg", "transesophageal")
"""Facts of the patient and the examination that a runner finds under `patient` among its parameters."""
LOOP = "loop"
"""Parameter of a run that starts from a label map: the path of the loop that it was made of; its clip for the runner."""
VIDEO_SUFFIXES = frozenset({".avi", ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv"})


def load_package(folder: Path) -> Package:
    """The verified package in `folder`.

    Raises:
        NotFound: there is none.
        PackageInvalid: its manifest or a digest is wrong.
    """
    return Catalogue([folder.parent]).get(folder.name)


def load_runner(reference: str, package: Package, *, device: str, threads: int) -> Runner:
    """The runner that `reference` ("module:callable") makes of the package; this is where torch may be imported."""
    return cast(Runner, resolve(reference)(package, device, threads))


def run_batch(
    runner: Runner, requests: Sequence[RunRequest], *, limits: LimitsSection, progress: Callable[[int, int], None]
) -> list[tuple[Result, ...]]:
    """The results of each request, in order; a source that cannot be decoded is a refusal, not an error.

    A runner finds the run's own folder as `spool` among its parameters, for arrays that should not be in memory, and
    what the facts tell of the patient as `species` and `patient`; a parameter that was asked for stands above them.
    Of a label map it finds the clip of the loop as `loop`.

    Raises:
        RunFailed: the runner gave another number of results than it was given clips.
        Exception: whatever the runner raises.
    """

    def told(done: int, total: int) -> None:
        progress(done, total)

    decoded: list[Clip | Ineligible] = []
    parameters: list[dict[str, Any]] = []
    for request in requests:
        clip, loop = _decode(request, limits), _loop(request, limits)
        decoded.append(loop if isinstance(loop, Ineligible) else clip)
        if isinstance(decoded[-1], Clip):
            given = request.parameters if loop is None else {**request.parameters, LOOP: loop}
            parameters.append({**told_by(request.facts), **given, "spool": str(request.spool)})
    clips = [clip for clip in decoded if isinstance(clip, Clip)]
    results = runner.run(clips, parameters, told) if clips else []
    if len(results) != len(clips):
        raise RunFailed(f"the runner gave {len(results)} results for {len(clips)} clips", transient=False)
    answers = iter(results)
    return [next(answers) if isinstance(clip, Clip) else (clip,) for clip in decoded]


def told_by(facts: Mapping[str, Any]) -> dict[str, Any]:
    """What the facts of an object tell a runner beside its parameters; nothing where there are none."""
    species = {"species": facts["species"]} if facts.get("species") else {}
    patient = {name: facts[name] for name in PATIENT if facts.get(name) not in (None, "")}
    return {**species, **({"patient": patient} if patient else {})}


def failure_of(error: BaseException) -> RunFailed:
    """What went wrong, in one line, and whether another attempt can help."""
    if isinstance(error, RunFailed):
        return error
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return RunFailed(f"out of memory: {_one_line(error)}")
    if isinstance(error, EchonodeError):
        return RunFailed(_one_line(error), transient=not isinstance(error, BadInput))
    return RunFailed(f"{type(error).__name__}: {_one_line(error)}")


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether the process should be replaced: what it holds may be in pieces."""
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:500] or "no further word"


def _loop(request: RunRequest, limits: LimitsSection) -> Clip | Ineligible | None:
    """The loop behind a label map, with the view of the facts; None where the run starts from no label map."""
    if LOOP not in request.parameters:
        return None
    try:
        clip = read_clip(Path(request.parameters[LOOP]), limits=limits)
    except BadInput as error:
        return Ineligible(reason=_one_line(error), code="undecodable")
    return replace(clip, view=view_code(request.facts["view"])) if "view" in request.facts else clip


def _decode(request: RunRequest, limits: LimitsSection) -> Clip | Ineligible:
    """The clip of a Part 10 file, a video file by its suffix, or a folder of pictures at `facts["frame_rate"]`.

    The view is the one of the facts, where they name any: they know more than the header. A label map of this node is
    decoded to its labels, with the parameter `phase` to those of one frame.
    """
    source = request.source
    try:
        if not source.is_dir() and source.suffix.lower() not in VIDEO_SUFFIXES:
            if is_label_map(source):
                return read_label_map(source, limits=limits, phase=request.parameters.get("phase"))
            clip = read_clip(source, limits=limits)
            return replace(clip, view=view_code(request.facts["view"])) if "view" in request.facts else clip
        from echonode.dicom import video  # late: the node decodes DICOM alone

        if source.is_dir():
            return video.read_pictures(source, fps=float(request.facts["frame_rate"]), limits=limits)
        return video.read_video(source, limits=limits)
    except BadInput as error:
        return Ineligible(reason=_one_line(error), code="undecodable")
