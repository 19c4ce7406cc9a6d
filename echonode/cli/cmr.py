"""`echonode run cmr`: findings of cardiac MRI predicted from echo, of files or of a folder that a CSV file lists."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from echonode.cli.objects_out import objects_out
from echonode.cli.options import ConfigOption, DeviceOption, FpsOption, JsonOption, PreparationOption
from echonode.cli.screen import Column, quiet_logs, say
from echonode.cli.truth import Compared, Truth, TruthOption, compared_as_json, show_compared
from echonode.core.errors import BadInput

if TYPE_CHECKING:
    from echonode.cli.readings import Reading

TASK = "cmr"
LABELS = ("LABEL",)
ABNORMAL_SCORE = 2


def cmr_command(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH...", help="DICOM, AVI or MP4 files, or folders of them; one folder with --manifest."
        ),
    ],
    model: Annotated[str, typer.Option(metavar="NAME", help="Model package, or its folder: one view, one finding.")],
    preparation: PreparationOption = None,
    clips: Annotated[int | None, typer.Option(min=1, max=64, help="Clips a loop, in clinical mode.")] = None,
    manifest: Annotated[
        Path | None, typer.Option(metavar="CSV", help="Which videos of the folder, with split and LABEL where known.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Folder for DICOM objects as the node makes them; with --manifest a CSV file."
        ),
    ] = None,
    split: Annotated[str | None, typer.Option(help="Only the videos of this split of the manifest.")] = None,
    view: Annotated[str | None, typer.Option(help="What the loops show, where their headers do not tell: A4C.")] = None,
    fps: FpsOption = None,
    truth: TruthOption = None,
    device: DeviceOption = "auto",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Probability of a CMR finding for every loop; a refused one is named with the reason, and the exit code is 2."""
    from echonode.cli import predictions, readings
    from echonode.cli.loaded import loops_of, open_model

    quiet_logs()
    known = None if truth is None else Truth.read(truth)
    listed = predictions.listed_of(paths, manifest=manifest, out=out, split=split, labels=LABELS)
    sources = loops_of(paths) if listed is None else []
    loaded = open_model(model, task=TASK, device=device, config=config)
    modes = readings.modes_of(preparation, loaded.package.preparation)
    if clips is not None and "clinical" not in modes:
        raise BadInput("--clips belongs to --preparation clinical: the authors look at one clip")
    parameters: dict[str, Any] = {} if clips is None else {"clips": clips}
    if listed is not None and known is not None:
        raise BadInput("--truth is for objects of echonode simulate; a manifest has its own LABEL column")
    if listed is not None:
        assert out is not None
        refused = predictions.predict(
            loaded, listed, out=out, modes=modes, fps=fps, as_json=as_json, parameters_of=lambda _: parameters
        )
    else:
        compared: list[Compared] = []
        into = objects_out(out, loaded, sources)

        def read(source: Path) -> tuple[Path, list[Reading]]:
            given = readings.read_or_refuse(loaded, source, parameters, modes=modes, fps=fps, view=view, out=into)
            if known is not None:
                compared.extend(beside_truth(known, source, given))
            return source, given

        found = (read(source) for source in sources)
        columns = (
            Column("finding", lambda row: row["reading"].details["finding"]),
            Column("value", lambda row: _value(row["reading"]), right=True),
            Column("clips", lambda row: " ".join(f"{value:.3f}" for value in _per_clip(row["reading"]))),
        )
        refused = readings.print_readings(loaded, found, as_json=as_json, columns=columns)
        if known is not None and as_json:
            say(json.dumps({"truth": compared_as_json(compared)}, ensure_ascii=False))
        elif known is not None:
            show_compared(compared)
        if into is not None and not as_json:
            into.tell()
    if refused:
        raise typer.Exit(2)


def beside_truth(known: Truth, source: Path, given: Sequence[Reading]) -> list[Compared]:
    """What each preparation said of one file, beside the truth of the heart that it shows; nothing of refusals.

    A probability is in percent; its truth is 100 where a segment that the view shows has a score of 2 or more, else 0.
    """
    there = known.of_file(source)
    segments = None if there is None else there.value("segments")
    scores = [int(segment["score"]) for segment in segments or ()]
    rows = []
    for reading in given:
        if reading.value is None:
            continue
        finding = str(reading.details.get("finding"))
        true, unit = None, reading.measurements[0].unit.value
        if finding == "ejection-fraction":
            true = None if there is None else there.number("ef_percent")
        elif finding == "score-index":
            true = sum(scores) / len(scores) if scores else None
        elif finding in ("segment-motion", "wall-motion") and scores:
            true = 100.0 * (max(scores) >= ABNORMAL_SCORE)
        name = f"{finding}, {reading.preparation}"
        rows.append(
            Compared(
                source=source.name, measurement=name, value=reading.value, truth=true, unit="" if unit == "1" else unit
            )
        )
    return rows


def _value(reading: Reading) -> str:
    """The number with its unit: a probability in percent."""
    measurement = reading.measurements[0]
    unit = measurement.unit.value
    return f"{measurement.value:.2f}" if unit == "1" else f"{measurement.value:.1f} {unit}"


def _per_clip(reading: Reading) -> Sequence[float]:
    details = reading.details
    found: Sequence[float] = details.get("per_clip_logits", details.get("per_clip", ()))
    return found
