"""`echonode run slow-motion`: slow motion of files, without a node."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from echonode.cli.called import is_dicom
from echonode.cli.loaded import progress_bar
from echonode.cli.options import ConfigOption, DeviceOption, configuration_if_any, existing, model_paths
from echonode.cli.screen import complain, duration, quiet_logs, say
from echonode.core.errors import BadInput, EchonodeError, UnreadableObject

if TYPE_CHECKING:
    import numpy as np

    from echonode.core.clip import Clip
    from echonode.core.package import Package
    from echonode.core.results import Ineligible, Loop
    from echonode.core.settings import NodeSettings
    from echonode.core.task import Runner

TASK = "slow_motion"
SHEET_FRAMES = 48


class Format(StrEnum):
    """What is written."""

    DICOM = "dicom"
    MP4 = "mp4"
    MKV = "mkv"
    PNG = "png"
    SHEET = "sheet"


class Mark(StrEnum):
    """Which frames carry the marking."""

    ALL = "all"
    INTERPOLATED = "interpolated"


class Timing(StrEnum):
    """How fast the result plays."""

    SLOW = "slow"
    TRUE_TIME = "true-time"


@dataclass(frozen=True, kw_only=True, slots=True)
class Studio:
    """A loaded model, and how its results are written."""

    package: Package
    runner: Runner
    settings: NodeSettings
    out: Path
    format: Format | None
    parameters: Mapping[str, Any]
    fps: float
    compare: bool


def slow_motion_command(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="PATH...", help="DICOM, AVI or MP4 files, a folder of DICOM files, or one of pictures."),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the results.")],
    factor: Annotated[int, typer.Option(min=2, max=16, help="Output frames for each recorded one.")] = 4,
    format_: Annotated[
        Format | None,
        typer.Option(
            "--format",
            help="dicom for DICOM files, mp4 for others; mkv has no loss; sheet is one picture of many frames.",
            show_default=False,
        ),
    ] = None,
    model: Annotated[str, typer.Option(metavar="NAME", help="Model package.")] = "refined-flow",
    device: DeviceOption = "auto",
    fps: Annotated[float, typer.Option(min=1, max=1000, help="Frames a second of a folder of pictures.")] = 30.0,
    mark: Annotated[Mark, typer.Option(help="Frames that carry the marking.")] = Mark.ALL,
    timing: Annotated[
        Timing, typer.Option(help="slow plays at the recorded frame rate, true-time as fast as it was.")
    ] = Timing.SLOW,
    lossless: Annotated[bool, typer.Option("--lossless", help="Write DICOM as JPEG-LS.")] = False,
    beats: Annotated[
        int, typer.Option(min=0, max=64, help="Whole beats of each loop, by R waves; 0 takes all of it.")
    ] = 0,
    compare: Annotated[
        bool, typer.Option("--compare", help="Write three panes: the original, slow motion, repeated frames.")
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Slow motion of every loop; a loop that is refused is named with the reason, and the exit code is then 2."""
    quiet_logs()
    parameters: dict[str, Any] = {"factor": factor}
    parameters |= {"mark": mark.value} if mark is not Mark.ALL else {}
    parameters |= {"timing": "true_time"} if timing is Timing.TRUE_TIME else {}
    parameters |= {"lossless": True} if lossless else {}
    parameters |= {"beats": beats} if beats else {}
    if compare and lossless:
        raise BadInput("--compare writes JPEG; --lossless is for the slow loop itself")
    sources = sources_of(paths)
    _require_folder(out)
    studio = _open(
        model, device=device, config=config, out=out, format_=format_, parameters=parameters, fps=fps, compare=compare
    )
    refused = 0
    for source in sources:
        try:
            say(_slow(studio, source))
        except EchonodeError as error:
            refused += 1
            complain(str(error) if str(source) in str(error) else f"{source}: {error}")
    if refused:
        raise typer.Exit(2)


def sources_of(paths: list[Path]) -> list[Path]:
    """Files, and folders of pictures, that each make one loop; a folder of DICOM files stands for its files.

    Raises:
        BadInput: a path that is not there, a folder with nothing to read, or two sources of one name.
    """
    from echonode.dicom.video import PICTURE_SUFFIXES

    found: list[Path] = []
    for path in paths:
        if not existing(path).is_dir():
            found.append(path)
            continue
        inside = [file for file in sorted(path.rglob("*")) if file.is_file() and is_dicom(file)]
        if inside:
            found += inside
        elif any(file.suffix.lower() in PICTURE_SUFFIXES for file in path.iterdir()):
            found.append(path)
        else:
            raise BadInput(f"{path}: neither DICOM files nor pictures in this folder")
    names = [source.resolve().name for source in found]
    for source, name in zip(found, names, strict=True):
        if names.count(name) > 1:
            raise BadInput(f"{source}: two sources are called {name}; their results would overwrite each other")
    return found


def _open(model: str, *, device: str, config: Path | None, out: Path, format_: Format | None,
          parameters: Mapping[str, Any], fps: float, compare: bool) -> Studio:  # fmt: skip
    from echonode.core.settings import ExecutionSection, NodeSettings
    from echonode.core.task import installed_tasks
    from echonode.execution.batch import load_runner
    from echonode.execution.slots import count_cuda_devices, slots_of
    from echonode.registry.catalogue import Catalogue

    configuration = configuration_if_any(config)
    catalogue = Catalogue(model_paths(configuration))
    package = catalogue.get(model)
    if package.task != TASK:
        raise BadInput(f"model {model!r} is for {package.task}, not for slow motion")
    slot = slots_of(ExecutionSection(devices=(device,)))[0]
    if slot.device.startswith("cuda:") and int(slot.device[5:]) >= (count := count_cuda_devices()):
        raise BadInput(f"--device {device}: torch finds {count} GPUs here")
    runner = load_runner(installed_tasks()[TASK].runner, package, device=slot.device, threads=slot.threads)
    return Studio(
        package=package,
        runner=runner,
        settings=configuration.node if configuration else NodeSettings(),
        out=out,
        format=format_,
        parameters=parameters,
        fps=fps,
        compare=compare,
    )


def _slow(studio: Studio, source: Path) -> str:
    """Make and write the slow loop of one source; one line about it.

    Raises:
        EchonodeError: the source cannot be read, or the model refuses it, with the reason.
    """
    from echonode.cli.guard import mark_of
    from echonode.core.results import Loop

    start = time.monotonic()
    dicom = source.is_file() and is_dicom(source)
    if studio.format is Format.DICOM and not dicom:
        raise BadInput(
            f"{source}: only a DICOM file can become DICOM: a study needs its patient; --format mp4 can be had"
        )
    format_ = studio.format or (Format.DICOM if dicom else Format.MP4)
    clip = _read(studio, source, dicom=dicom)
    with tempfile.TemporaryDirectory(prefix=".slow-", dir=studio.out) as scratch, progress_bar(source.name) as progress:
        ((result,),) = studio.runner.run([clip], [{**studio.parameters, "spool": scratch}], progress)
        if not isinstance(result, Loop):
            raise BadInput(f"{source}: refused: {getattr(result, 'reason', 'the model gave no loop')}")
        target = _write(studio, source, clip, result, format_, Path(scratch))
    made = len(result.frames)
    said = f"{source} -> {target}: {int(result.acquired.sum())} frames became {made}, in {duration(time.monotonic() - start)}"
    mark = mark_of([studio.package])
    return f"{said}; {mark}" if mark else said


def _read(studio: Studio, source: Path, *, dicom: bool) -> Clip:
    from echonode.cli.guard import refusal_for
    from echonode.dicom.pixels import read_clip
    from echonode.dicom.video import PICTURE_SUFFIXES, read_pictures, read_video

    limits = studio.settings.limits
    guarded = refusal_for((studio.package,), studio.settings, source)
    if guarded is not None:
        raise BadInput(f"{source}: refused: {guarded.reason}")
    if source.is_dir():
        return read_pictures(source, fps=studio.fps, limits=limits)
    if dicom:
        refusal = _refusal(studio, source)
        if refusal is not None:
            raise BadInput(f"{source}: refused: {refusal.reason}")
        return read_clip(source, limits=limits)
    if source.suffix.lower() in PICTURE_SUFFIXES:
        raise BadInput(f"{source}: one picture is no loop; name the folder of all of them")
    try:
        return read_video(source, limits=limits)
    except UnreadableObject as error:
        raise UnreadableObject(f"{source}: neither a DICOM file nor a video that can be read") from error


def _refusal(studio: Studio, source: Path) -> Ineligible | None:
    """What the header alone tells against it, as the node would say."""
    from echonode.cli.routes import facts_of_file
    from echonode.core.results import Ineligible
    from echonode.flow.contract import refusal_of
    from echonode.registry.verify import read_manifest

    facts = facts_of_file(source)
    if facts.derived:
        return Ineligible(reason="echonode made this object itself; results are never run again", code="derived")
    return refusal_of(read_manifest(studio.package.folder).input, facts)


def _write(studio: Studio, source: Path, clip: Clip, loop: Loop, format_: Format, scratch: Path) -> Path:
    from echonode.dicom.video import write_pictures, write_video

    name = f"{source.resolve().name if source.is_dir() else source.stem}-slow{loop.factor}"
    if studio.compare:
        from echonode.cli.three_panes import write_panes

        return write_panes(studio, source, loop, format_=format_.value, name=f"{name}-compared", scratch=scratch)
    if format_ is Format.DICOM:
        return _write_dicom(studio, source, loop, studio.out / f"{name}.dcm", scratch)
    frames = _marked(loop, mark=studio.parameters.get("mark", Mark.ALL.value))
    if format_ is Format.PNG:
        target = studio.out / name
        shutil.rmtree(target, ignore_errors=True)
        write_pictures(scratch / name, frames)
        (scratch / name).rename(target)
        return target
    if format_ is Format.SHEET:
        target = studio.out / f"{name}-sheet.png"
        _write_sheet(loop, frames, scratch / target.name)
        (scratch / target.name).replace(target)
        return target
    fps = 1000.0 * (len(clip.times_ms) - 1) / float(clip.times_ms[-1] - clip.times_ms[0])
    fps *= loop.factor if studio.parameters.get("timing") == "true_time" else 1
    target = studio.out / f"{name}.{format_.value}"
    write_video(scratch / target.name, frames, fps=fps)
    (scratch / target.name).replace(target)
    return target


def _write_dicom(studio: Studio, source: Path, loop: Loop, target: Path, scratch: Path) -> Path:
    from datetime import datetime

    from echonode.derive.cine import build_cine

    derived = build_cine(
        source,
        loop,
        package=studio.package,
        parameters=studio.parameters,
        node=studio.settings.node,
        now=datetime.now().astimezone(),
        limits=studio.settings.limits,
    )
    derived.write(scratch / target.name)
    (scratch / target.name).replace(target)
    return target


def _write_sheet(loop: Loop, frames: np.ndarray, target: Path) -> None:
    """The first frames side by side, a row for each recorded one, to be looked at frame by frame."""
    from PIL import Image

    from echonode.derive.frames import status_of
    from echonode.dicom.video import contact_sheet

    count = min(len(frames), SHEET_FRAMES)
    labels = [f"{i + 1}  {status_of(loop, i)}  {loop.times_ms[i]:.1f} ms" for i in range(count)]
    Image.fromarray(contact_sheet(list(frames[:count]), columns=loop.factor, labels=labels)).save(target)


def _marked(loop: Loop, *, mark: str) -> np.ndarray:
    """The frames with the marking on the picture: also outside DICOM nobody may take a synthetic frame for a recorded one."""
    import numpy as np

    from echonode.derive.banner import ACQUIRED, place_banner
    from echonode.derive.frames import status_of

    frames = loop.frames if loop.frames.flags.writeable else np.array(loop.frames)
    samples = [np.array(frames[i]) for i in np.linspace(0, len(frames) - 1, 8).astype(int)]
    banner = place_banner(
        sector=loop.sector, samples=samples, factor=loop.factor, longest_ms=float(loop.times_ms.max())
    )
    for index, frame in enumerate(frames):
        status = status_of(loop, index)
        if mark == Mark.ALL or status != ACQUIRED:
            banner.stamp(frame, status, float(loop.times_ms[index]))
    return frames


def _require_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"{out}: cannot be made a folder: {error.strerror}") from error
    if not os.access(out, os.W_OK):
        raise BadInput(f"{out}: may not be written by this user")
