"""`echonode run segmentation`: cavity, myocardium and atrium of the left heart in files, without a node.

Where a loop shows a whole beat, volumes and ejection fraction of its plane by the method of disks; where a study has a
four-chamber and a two-chamber loop among the files, of both planes together.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from echonode.cli.guard import mark_of, marked
from echonode.cli.objects_out import ObjectsOption, ObjectsOut, objects_out
from echonode.cli.options import ConfigOption, DeviceOption, FpsOption, JsonOption, PreparationOption
from echonode.cli.screen import Column, complain, quiet_logs, say, show_rows
from echonode.cli.truth import Compared, Truth, TruthOption, compared_as_json, show_compared
from echonode.core.errors import BadInput, EchonodeError

if TYPE_CHECKING:
    from echonode.cli.loaded import Loaded
    from echonode.cli.readings import Reading
    from echonode.core.clip import Clip
    from echonode.core.results import Ineligible, LabelMap

TASK = "segmentation"
EJECTION = (("ef_percent", "EF", "%"), ("edv_ml", "EDV", "mL"), ("esv_ml", "ESV", "mL"))
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
    out: ObjectsOption = None,
    view: Annotated[str | None, typer.Option(help="What it shows, where the header does not tell: A4C.")] = None,
    fps: FpsOption = None,
    truth: TruthOption = None,
    device: DeviceOption = "auto",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Areas of the left heart's structures, volumes and ejection fraction; a refused file is named with the reason, and
    the exit code is then 2."""
    from echonode.cli import readings
    from echonode.cli.loaded import loops_of, open_model

    quiet_logs()
    known = None if truth is None else Truth.read(truth)
    sources = loops_of(paths)
    parameters = {} if frames is None else {"frames": _numbers(frames)}
    loaded = open_model(model, task=TASK, device=device, config=config)
    modes = readings.modes_of(preparation, loaded.package.preparation)
    loops: list[Loop] = []
    into = objects_out(out, loaded, sources)

    def each() -> Iterator[tuple[Path, list[Reading]]]:
        for source in sources:
            found = _read(loaded, source, parameters, modes=modes, labels=labels, view=view, fps=fps, out=into)
            loops.extend(_loops(source, found, view=view))
            yield source, found

    columns = [Column(title, _largest(name), right=True) for name, title in TITLES.items()]
    columns += [Column("EF %", _ejection("ef_percent"), right=True), Column("EDV ml", _ejection("edv_ml"), right=True)]
    columns += [Column("ESV ml", _ejection("esv_ml"), right=True)]
    refused = readings.print_readings(loaded, each(), as_json=as_json, columns=columns)
    _print_studies(loaded, loops, known, as_json=as_json)
    if into is not None and not as_json:
        into.tell()
    if refused:
        raise typer.Exit(2)


@dataclass(frozen=True, kw_only=True, slots=True)
class Loop:
    """A loop with a ventricle: where it lies, what the header says of it, and what was read in one preparation mode."""

    source: Path
    view: str | None
    study_uid: str
    stage: str | None
    preparation: str
    details: Mapping[str, Any]


def _loops(source: Path, found: Sequence[Reading], *, view: str | None) -> Iterator[Loop]:
    from echonode.cli.called import is_dicom
    from echonode.cli.routes import facts_of_file

    for reading in found:
        if not reading.details.get("ventricle"):
            continue
        facts = facts_of_file(source) if source.is_file() and is_dicom(source) else None
        yield Loop(
            source=source, view=(facts.view if facts else None) or view, study_uid=facts.study_uid if facts else "",
            stage=facts.stage if facts else None, preparation=reading.preparation, details=reading.details,
        )  # fmt: skip


def _print_studies(loaded: Loaded, loops: Sequence[Loop], known: Truth | None, *, as_json: bool) -> None:
    """Both planes of each study together, and everything beside the truth."""
    studies = list(_biplane(loaded, loops))
    rows = [] if known is None else list(_compared(loops, studies, known))
    if as_json:
        # One document a line, as the loops before it.
        if studies:
            say(
                json.dumps(
                    {
                        "task": TASK,
                        "model": loaded.package.name,
                        "biplane": [marked(loaded.packages, each) for each in studies],
                    }
                )
            )
        if known is not None:
            say(
                json.dumps(
                    {
                        "task": TASK,
                        "model": loaded.package.name,
                        "truth": [marked(loaded.packages, each) for each in compared_as_json(rows)],
                    }
                )
            )
        return
    if studies:
        columns = [
            Column("study", "study_instance_uid"), Column("stage", "stage"),
            Column("biplane EF %", lambda row: f"{row['ef_percent']:.1f}", right=True),
            Column("EDV ml", lambda row: f"{row['edv_ml']:.0f}", right=True),
            Column("ESV ml", lambda row: f"{row['esv_ml']:.0f}", right=True),
            Column("loops", lambda row: " ".join(Path(source).name for source in row["sources"])),
        ]  # fmt: skip
        mark = mark_of(loaded.packages)
        show_rows(studies, [*columns, *([Column("notes", lambda _row: mark)] if mark else [])])
    if known is not None:
        show_compared(rows)


def _biplane(loaded: Loaded, loops: Sequence[Loop]) -> Iterator[dict[str, Any]]:
    """The pair of both apical views with the longest axes, of each study, stage and preparation mode; or why none."""
    groups: dict[tuple[str, str | None, str], dict[str, list[Loop]]] = {}
    for loop in loops:
        if loop.study_uid and loop.view in ("A4C", "A2C"):
            groups.setdefault((loop.study_uid, loop.stage, loop.preparation), {}).setdefault(loop.view, []).append(loop)
    for (study_uid, stage, preparation), views in groups.items():
        if len(views) < 2:
            continue
        pairs, reasons = [], []
        for pair in product(views["A4C"], views["A2C"]):
            try:
                found = loaded.tool("biplane")(*(loop.details for loop in pair))
            except ValueError as error:
                reasons.append(str(error))
                continue
            pairs.append(
                (sum(lengths[0] for lengths in found["lengths_mm"]), [str(loop.source) for loop in pair], found)
            )
        if not pairs:
            complain(f"study {study_uid}: no biplane volumes: {reasons[0]}")
            continue
        _, sources, found = max(pairs, key=lambda each: each[0])
        yield {
            "study_instance_uid": study_uid, "stage": stage, "preparation": preparation, "sources": sources, **found,
        }  # fmt: skip


def _compared(loops: Sequence[Loop], studies: Sequence[Mapping[str, Any]], known: Truth) -> Iterator[Compared]:
    for loop in loops:
        truth = known.of_file(loop.source)
        if truth is None:
            continue
        ventricle, name = loop.details["ventricle"], loop.source.name
        for key, words, unit in EJECTION:
            value = ventricle[key]
            yield Compared(source=name, measurement=f"{loop.view or 'single plane'} {words}", unit=unit, value=value,
                           truth=truth.number(key))  # fmt: skip
    for study in studies:
        truth = known.of_file(Path(study["sources"][0]))
        for key, words, unit in EJECTION:
            true = None if truth is None else truth.number(key)
            yield Compared(
                source="both planes", measurement=f"biplane {words}", unit=unit, value=study[key], truth=true
            )


def _read(
    loaded: Loaded, source: Path, parameters: Mapping[str, Any], *, modes: list[str], labels: Path | None,
    view: str | None, fps: float | None, out: ObjectsOut | None,
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
        # Beside other results a refusal is of a part: that there are outlines and no volumes, say.
        refusal = results[0] if len(results) == 1 and isinstance(results[0], Ineligible) else None
        maps = [result for result in results if isinstance(result, LabelMap)]
        written = _write(maps[0], labels, f"{source.stem}-{mode}") if labels is not None and maps else []
        found.append(
            Reading(
                preparation=mode,
                measurements=tuple(result for result in results if isinstance(result, Measurement)),
                details={**details, "label_maps": written} if labels is not None else details,
                refused=asdict(refusal) if refusal else None,
                frames=len(clip.frames),
                objects=() if out is None else out.write(source, results, {**parameters, "preparation": mode}),
            )
        )
    return found


def _clip(loaded: Loaded, source: Path, *, view: str | None, fps: float | None) -> Clip | Ineligible:
    """As for other models; here one picture is enough."""
    from echonode.cli.guard import refusal_for
    from echonode.cli.loaded import read_loop
    from echonode.dicom.video import PICTURE_SUFFIXES

    if not source.is_file() or source.suffix.lower() not in PICTURE_SUFFIXES:
        return read_loop(loaded, source, fps=fps, view=view)
    if (guarded := refusal_for(loaded.packages, loaded.settings, source)) is not None:
        return guarded
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


def _ejection(name: str) -> Any:
    def text(row: Mapping[str, Any]) -> str:
        value = (row["reading"].details.get("ventricle") or {}).get(name)
        return "" if value is None else f"{value:.1f}" if name == "ef_percent" else f"{value:.0f}"

    return text


def _numbers(text: str) -> list[int]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() for part in parts):
        raise BadInput(f"--frames {text}: frame numbers from 0 with commas between them are expected")
    return [int(part) for part in parts]
