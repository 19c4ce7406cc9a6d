"""`echonode run cmr`: findings of cardiac MRI predicted from echo, of files or of a folder that a CSV file lists."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from echonode.cli.options import ConfigOption, DeviceOption, FpsOption, JsonOption, PreparationOption
from echonode.cli.screen import Column, quiet_logs
from echonode.core.errors import BadInput

TASK = "cmr"
LABELS = ("LABEL",)


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
    out: Annotated[Path | None, typer.Option(metavar="CSV", help="Where the predictions go, with --manifest.")] = None,
    split: Annotated[str | None, typer.Option(help="Only the videos of this split of the manifest.")] = None,
    view: Annotated[str | None, typer.Option(help="What the loops show, where their headers do not tell: A4C.")] = None,
    fps: FpsOption = None,
    device: DeviceOption = "auto",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Probability of a CMR finding for every loop; a refused one is named with the reason, and the exit code is 2."""
    from echonode.cli import predictions, readings
    from echonode.cli.loaded import loops_of, open_model

    quiet_logs()
    listed = predictions.listed_of(paths, manifest=manifest, out=out, split=split, labels=LABELS)
    sources = loops_of(paths) if listed is None else []
    loaded = open_model(model, task=TASK, device=device, config=config)
    modes = readings.modes_of(preparation, loaded.package.preparation)
    if clips is not None and "clinical" not in modes:
        raise BadInput("--clips belongs to --preparation clinical: the authors look at one clip")
    parameters: dict[str, Any] = {} if clips is None else {"clips": clips}
    if listed is not None:
        assert out is not None
        refused = predictions.predict(
            loaded, listed, out=out, modes=modes, fps=fps, as_json=as_json, parameters_of=lambda _: parameters
        )
    else:
        found = (
            (source, readings.read_or_refuse(loaded, source, parameters, modes=modes, fps=fps, view=view))
            for source in sources
        )
        columns = (
            Column("finding", lambda row: row["reading"].details["finding"]),
            Column("probability", lambda row: f"{row['reading'].value:.3f}", right=True),
            Column(
                "logits", lambda row: " ".join(f"{value:.3f}" for value in row["reading"].details["per_clip_logits"])
            ),
        )
        refused = readings.print_readings(loaded, found, as_json=as_json, columns=columns)
    if refused:
        raise typer.Exit(2)
