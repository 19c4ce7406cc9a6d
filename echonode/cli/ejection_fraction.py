"""`echonode run ejection-fraction`: the ejection fraction of files, or of a folder of videos that a CSV file lists."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from echonode.cli.objects_out import objects_out
from echonode.cli.options import ConfigOption, DeviceOption, FpsOption, JsonOption, PreparationOption, existing
from echonode.cli.screen import Column, quiet_logs, say
from echonode.cli.truth import Compared, Truth, TruthOption, compared_as_json, show_compared
from echonode.core.errors import BadInput

if TYPE_CHECKING:
    from echonode.cli.readings import Reading

TASK = "ejection_fraction"
LABELS = ("EF", "label")


def ejection_fraction_command(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH...", help="DICOM, AVI or MP4 files, or folders of them; one folder with --manifest."
        ),
    ],
    model: Annotated[str, typer.Option(metavar="NAME", help="Model package, or its folder.")],
    preparation: PreparationOption = None,
    clips: Annotated[
        int | None, typer.Option(min=1, max=1024, help="Clips a loop; the package's when not given.")
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, help="Draw where the clips begin, in published mode, instead of spreading them."),
    ] = None,
    start_indexes: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="First frames of the clips by file name: JSON, or the authors' pickle."),
    ] = None,
    manifest: Annotated[
        Path | None, typer.Option(metavar="CSV", help="Which videos of the folder, with split and EF where known.")
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
    """Left ventricular ejection fraction of every loop; a refused one is named with the reason, and the exit code is 2."""
    from echonode.cli import predictions, readings
    from echonode.cli.loaded import loops_of, open_model

    quiet_logs()
    known = None if truth is None else Truth.read(truth)
    listed = predictions.listed_of(paths, manifest=manifest, out=out, split=split, labels=LABELS)
    sources = loops_of(paths) if listed is None else []
    loaded = open_model(model, task=TASK, device=device, config=config)
    modes = readings.modes_of(preparation, loaded.package.preparation)
    starts = loaded.tool("starts")(existing(start_indexes)) if start_indexes else None
    parameters: dict[str, Any] = {"clips": clips, "seed": seed}
    parameters = {name: value for name, value in parameters.items() if value is not None}
    if starts is not None and "published" not in modes:
        raise BadInput("--start-indexes counts frames: it belongs to --preparation published")

    def parameters_of(name: str) -> dict[str, Any] | str:
        """The parameters for one file; with start indexes only files that they name are run."""
        if starts is None:
            return parameters
        found = starts.get(name, starts.get(Path(name).stem, starts.get(f"{name}.avi")))
        return f"{start_indexes} has no start for it" if found is None else {**parameters, "starts": found}

    if listed is not None and known is not None:
        raise BadInput("--truth is for objects of echonode simulate; a manifest has its own EF column")
    if listed is not None:
        assert out is not None
        refused = predictions.predict(
            loaded, listed, out=out, modes=modes, fps=fps, as_json=as_json,
            parameters_of=lambda video: parameters_of(video.name),
        )  # fmt: skip
    else:
        compared: list[Compared] = []
        into = objects_out(out, loaded, sources)

        def read(source: Path) -> tuple[Path, list[readings.Reading]]:
            given = readings.read_or_refuse(
                loaded, source, parameters_of(source.name), modes=modes, fps=fps, view=view, out=into
            )
            if known is not None:
                compared.extend(beside_truth(known, source, given))
            return source, given

        found = (read(source) for source in sources)
        columns = (
            Column("EF %", lambda row: _percent(row["reading"].value), right=True),
            Column("clips", lambda row: " ".join(_percent(value) for value in row["reading"].details["per_clip"])),
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
    """What each preparation measured of one file, beside the truth of the heart that it shows; nothing of refusals."""
    there = known.of_file(source)
    return [
        Compared(
            source=str(source), measurement=f"ejection fraction, {each.preparation}", unit="%", value=each.value,
            truth=None if there is None else there.number("ef_percent"),
        )
        for each in given
        if each.refused is None
    ]  # fmt: skip


def _percent(value: float | None) -> str:
    return "none" if value is None else f"{value:.1f}"
