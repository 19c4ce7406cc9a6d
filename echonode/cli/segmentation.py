"""`echonode run segmentation`: cavity, myocardium and atrium of the left heart in files, without a node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from echonode.cli.options import ConfigOption, DeviceOption, FpsOption, JsonOption, PreparationOption
from echonode.cli.screen import Column, quiet_logs
from echonode.core.errors import BadInput, EchonodeError

if TYPE_CHECKING:
    from echonode.cli.loaded import Loaded
    from echonode.cli.readings import Reading
    from echonode.core.clip import Clip
    from echonode.core.results import Ineligible, LabelMap

TASK = "segmentation"
TITLES = {"lv_cavity": "LV cavity", "myocardium": "myocardium", "left_atrium": "left atrium"}


def segmentation_command(
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH...", help="DICOM, AVI or MP4 files, pictures, or folders of them.")
    ],
    model: Annotated[str, typer.Option(metavar="NAME", help="Model package, or its folder.")],
    preparation: PreparationOption = None,
    frames: Annotated[
        str | None, typer.Option(metavar="LIST", help="Frames, counted from 0, as 0,12; all when not given.")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write a PNG label map of every frame into this folder.")
    ] = None,
    view: Annotated[str | None, typer.Option(help="What it shows, where the header does not tell: A4C.")] = None,
    fps: FpsOption = None,
    device: DeviceOption = "auto",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Areas of the left heart's structures; a refused file is named with the reason, and the exit code is then 2."""
    from echonode.cli import readings
    from echonode.cli.loaded import loops_of, open_model

    quiet_logs()
    sources = loops_of(paths)
    parameters = {} if frames is None else {"frames": _numbers(frames)}
    loaded = open_model(model, task=TASK, device=device, config=config)
    modes = readings.modes_of(preparation, loaded.package.preparation)
    found = (
        (source, _read(loaded, source, parameters, modes=modes, labels=labels, view=view, fps=fps))
        for source in sources
    )
    columns = [Column(title, _largest(name), right=True) for name, title in TITLES.items()]
    if readings.print_readings(loaded, found, as_json=as_json, columns=columns):
        raise typer.Exit(2)


def _read(
    loaded: Loaded, source: Path, parameters: Mapping[str, Any], *, modes: list[str], labels: Path | None,
    view: str | None, fps: float | None,
) -> list[Reading]:  # fmt: skip
    """One reading a mode; what cannot be read is a refusal in every mode."""
    from echonode.cli.loaded import progress_bar
    from echonode.cli.readings import Reading
    from echonode.core.results import Ineligible, LabelMap, Measurement

    try:
        clip = _clip(loaded, source, view=view, fps=fps)
    except EchonodeError as error:
        clip = Ineligible(reason=str(error), code="unreadable")
    if isinstance(clip, Ineligible):
        return [Reading(preparation=mode, refused=asdict(clip)) for mode in modes]
    found = []
    for mode in modes:
        with progress_bar(source.name) as progress:
            results, details = loaded.tool("read")(loaded.runner, clip, {**parameters, "preparation": mode}, progress)
        refusal = next((result for result in results if isinstance(result, Ineligible)), None)
        maps = [result for result in results if isinstance(result, LabelMap)]
        written = _write(maps[0], labels, f"{source.stem}-{mode}") if labels is not None and maps else []
        found.append(
            Reading(
                preparation=mode,
                measurements=tuple(result for result in results if isinstance(result, Measurement)),
                details={**details, "label_maps": written} if labels is not None else details,
                refused=asdict(refusal) if refusal else None,
                frames=len(clip.frames),
            )
        )
    return found


def _clip(loaded: Loaded, source: Path, *, view: str | None, fps: float | None) -> Clip | Ineligible:
    """As for other models; here one picture is enough."""
    from echonode.cli.loaded import read_loop
    from echonode.dicom.video import PICTURE_SUFFIXES

    if not source.is_file() or source.suffix.lower() not in PICTURE_SUFFIXES:
        return read_loop(loaded, source, fps=fps, view=view)
    import numpy as np
    from PIL import Image, UnidentifiedImageError

    from echonode.core.clip import Clip, SourceIdentity

    try:
        with Image.open(source) as image:
            if image.width * image.height > loaded.settings.limits.frame_bytes // 3:
                raise BadInput(f"{source}: {image.width} x {image.height} pixels are more than the limits allow")
            grey = image.mode in ("1", "L", "I", "I;16", "F")
            pixels = np.asarray(image.convert("L" if grey else "RGB"))
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
        raise BadInput(f"{source}: is no picture that can be read") from error
    frames = pixels.reshape(1, *pixels.shape[:2], -1)
    return Clip(frames=frames, times_ms=np.zeros(1), source=SourceIdentity(name=source.name), timed=False)


def _write(found: LabelMap, folder: Path, stem: str) -> list[str]:
    """One PNG a frame: grey levels are the codes."""
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for index, labels in zip(found.frames, found.labels, strict=True):
        path = folder / f"{stem}-{index:04d}.png"
        part = path.with_name(f".{path.name}.part")
        Image.fromarray(labels).save(part, format="png")
        part.replace(path)
        written.append(str(path))
    return written


def _largest(name: str) -> Any:
    def text(row: Mapping[str, Any]) -> str:
        area = row["reading"].details["areas"][name]
        return f"{max(area['px'])} px" if area["cm2"] is None else f"{max(area['cm2']):.1f} cm2"

    return text


def _numbers(text: str) -> list[int]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() for part in parts):
        raise BadInput(f"--frames {text}: frame numbers from 0 with commas between them are expected")
    return [int(part) for part in parts]
