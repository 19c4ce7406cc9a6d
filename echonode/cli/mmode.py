"""`echonode run mmode`: measurements of M-mode files and folders, without a node."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from echonode.cli.called import dicom_files
from echonode.cli.objects_out import ObjectsOption, ObjectsOut, objects_out
from echonode.cli.options import ConfigOption, DeviceOption, JsonOption, PreparationOption
from echonode.cli.screen import Column, quiet_logs, say
from echonode.cli.truth import Compared, KnownObject, Truth, TruthOption, compared_as_json, show_compared
from echonode.core.errors import BadInput, EchonodeError

if TYPE_CHECKING:
    from echonode.cli.loaded import Loaded
    from echonode.cli.readings import Reading
    from echonode.core.clip import Clip
    from echonode.core.package import Package
    from echonode.core.task import Progress

TASK = "mmode"
LVID_D, LVID_S, RATE = "29436-3", "29438-9", "8867-4"
SHOWN = {
    "LVIDd mm": LVID_D, "LVIDs mm": LVID_S, "beats/min": RATE, "EF %": "18043-0", "FS %": "18051-3", "mass g": "18087-7",
}  # fmt: skip


class Layout(StrEnum):
    """Layout of the table."""

    ALL = "all"
    STATS = "stats"
    TIDY = "tidy"


class NetworkMode(StrEnum):
    """How the networks are run."""

    REFERENCE = "reference"
    BATCHSTAT = "batchstat"
    MC = "mc"


class Subject(StrEnum):
    """Whose heart it is."""

    MOUSE = "mouse"
    HUMAN = "human"


def mmode_command(
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH...", help="DICOM files, or folders whose DICOM files are all read.")
    ],
    model: Annotated[str, typer.Option(metavar="NAME", help="Model package, or its folder.")],
    quality: Annotated[
        str | None, typer.Option(metavar="NAME", help="Package of quality classifiers, when the model has none.")
    ] = None,
    body_mass: Annotated[
        float | None, typer.Option("--mass", "-m", min=0.1, help="Body mass in g; Patient's Weight when not given.")
    ] = None,
    species: Annotated[
        Subject | None, typer.Option(help="Whose heart it is; what the header or the mass tells when not given.")
    ] = None,
    preparation: PreparationOption = None,
    mode: Annotated[
        NetworkMode | None, typer.Option(help="How the networks are run; as the package says when not given.")
    ] = None,
    table: Annotated[
        Path | None, typer.Option("--table", "-f", metavar="CSV", help="Append lines to this table.")
    ] = None,
    layout: Annotated[
        Layout,
        typer.Option(
            "--write",
            "-w",
            help="What a line of the table is: a beat (all), a file (stats), both as published; or tidy.",
        ),
    ] = Layout.STATS,
    figure: Annotated[
        Path | None,
        typer.Option(
            "--figure", "-g", metavar="DIR", help="Draw the published plots of each file into a folder of it."
        ),
    ] = None,
    out: ObjectsOption = None,
    truth: TruthOption = None,
    device: DeviceOption = "auto",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Diameters, volumes and heart rate from M-mode; a refused file is named with the reason, and the exit code is 2."""
    from echonode.cli import readings
    from echonode.cli.loaded import open_model, progress_bar

    quiet_logs()
    known = None if truth is None else Truth.read(truth)
    sources = dicom_files(paths)
    if len(paths) == 1 and paths[0].is_dir():
        sources = [source for source in sources if _is_mmode(source)] or sources
    loaded = open_model(model, task=TASK, device=device, config=config)
    if quality is not None:
        judge = open_model(quality, task=TASK, device=device, config=config)
        loaded = replace(loaded, runner=loaded.tool("join")(loaded.runner, judge.runner), beside=(judge.package,))
    asked = {"body_mass_g": body_mass, "species": species, "mode": mode}
    parameters = {
        name: value.value if isinstance(value, StrEnum) else value for name, value in asked.items() if value is not None
    }
    modes = readings.modes_of(preparation, loaded.package.preparation)
    into = objects_out(out, loaded, sources)

    compared: list[Compared] = []

    drawn = None if figure is None else _figure_folders(sources, _made(figure))

    def found() -> Iterator[tuple[Path, list[Reading]]]:
        with progress_bar(f"{len(sources)} files" if len(sources) > 1 else sources[0].name) as progress:
            for number, source in enumerate(sources):
                read = []
                for place, one in enumerate(modes):
                    part = _Part(progress=progress, number=number * len(modes) + place, parts=len(sources) * len(modes))
                    folder = None if drawn is None else drawn[source] / (one if len(modes) > 1 else "")
                    read.append(
                        _read(
                            loaded,
                            source,
                            {**parameters, "preparation": one},
                            progress=part,
                            figures=folder,
                            out=into,
                        )
                    )
                if table is not None:
                    for reading in read:
                        if reading.refused is None:
                            loaded.tool("table")(table, reading.details, name=source.name, layout=layout.value)
                if known is not None:
                    compared.extend(_compared(source, read[0], known.of_file(source)))
                yield source, read
                progress(1000 * (number + 1), 1000 * len(sources))

    columns = [Column(title, _shown(code), right=True) for title, code in SHOWN.items()]
    shown = [*columns, Column("level", _level), Column("beats", _beats)]
    refused = readings.print_readings(loaded, found(), as_json=as_json, columns=shown)
    if known is not None and as_json:
        say(json.dumps({"truth": compared_as_json(compared)}, ensure_ascii=False))
    elif known is not None:
        show_compared(compared)
    if into is not None and not as_json:
        into.tell()
    if refused:
        raise typer.Exit(2)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Part:
    """Progress of one file among several, on the one bar of the command."""

    progress: Progress
    number: int
    parts: int

    def __call__(self, done: int, total: int) -> None:
        self.progress(1000 * self.number + min(1000, 1000 * done // max(1, total)), 1000 * self.parts)


def _made(folder: Path) -> Path:
    """The folder, which need not have been there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"{folder}: cannot be made: {error}") from error
    return folder


def _figure_folders(sources: Sequence[Path], into: Path) -> dict[Path, Path]:
    """A folder of figures for each file, named as the file; files of one name are told apart by a number."""
    found: dict[Path, Path] = {}
    taken: set[Path] = set()
    for source in sources:
        folder, number = into / (source.stem or source.name), 2
        while folder in taken:
            folder, number = into / f"{source.stem}-{number}", number + 1
        taken.add(folder)
        found[source] = folder
    return found


def _read(
    loaded: Loaded, source: Path, parameters: Mapping[str, Any], *, progress: Progress, figures: Path | None,
    out: ObjectsOut | None,
) -> Reading:  # fmt: skip
    """What one file gave; what cannot be read is a refusal."""
    from echonode.cli.readings import Reading
    from echonode.core.results import Ineligible, Measurement

    preparation = str(parameters["preparation"])
    try:
        clip = _clip(loaded, source)
        if isinstance(clip, Ineligible):
            return Reading(preparation=preparation, refused=asdict(clip))
        asked = {**_subject(source, package=loaded.package), **parameters}
        results, details = loaded.tool("read")(loaded.runner, clip, asked, progress, figures=figures)
        made = () if out is None else out.write(source, results, parameters)
    except EchonodeError as error:
        return Reading(preparation=preparation, refused=asdict(Ineligible(reason=str(error), code="unreadable")))
    refusal = next((result for result in results if isinstance(result, Ineligible)), None)
    return Reading(
        preparation=preparation,
        measurements=tuple(result for result in results if isinstance(result, Measurement)),
        details=details,
        refused=asdict(refusal) if refusal else None,
        frames=len(clip.frames),
        objects=made,
    )


def _clip(loaded: Loaded, source: Path) -> Clip | Any:
    """The decoded clip, or why it is not looked at: the runner itself judges mode and calibration, by its preparation."""
    from echonode.cli.guard import refusal_for
    from echonode.cli.routes import facts_of_file
    from echonode.core.results import Ineligible
    from echonode.dicom.pixels import read_clip

    guarded = refusal_for(loaded.packages, loaded.settings, source)
    if guarded is not None:
        return guarded

    if facts_of_file(source).derived:
        return Ineligible(reason="echonode made this object itself; results are never run again", code="derived")
    return read_clip(source, limits=loaded.settings.limits)


def _subject(source: Path, *, package: Package) -> dict[str, Any]:
    """What the header tells of whose heart it is: Patient's Weight, which is in kg, and Patient Species.

    A header must name the species of an animal (PS3.3 C.7.1.1), so for models of people silence means a person. Models of
    mice still want to be told: many recordings of mice leave it out.
    """
    import pydicom

    from echonode.dicom import elements

    header = pydicom.dcmread(source, stop_before_pixels=True)
    found: dict[str, Any] = {}
    kilograms = elements.decimal(header, "PatientWeight")
    if kilograms is not None and 0 < kilograms < 1000:
        found["body_mass_g"] = 1000 * kilograms
    described = elements.text(header, "PatientSpeciesDescription").lower()
    for name, words in (("mouse", ("mouse", "mus musculus")), ("human", ("human", "homo sapiens"))):
        if any(word in described for word in words):
            found["species"] = name
    if not found and not described and "human" in (package.input.get("species") or ("human",)):
        found["species"] = "human"
    return found


def _shown(code: str) -> Any:
    def text(row: Mapping[str, Any]) -> str:
        values = [one.value for one in row["reading"].measurements if one.concept.value == code]
        return f"{values[0]:.4g}" if values else ""

    return text


def _level(row: Mapping[str, Any]) -> str:
    return str(row["reading"].details.get("level") or "")


def _compared(source: Path, reading: Reading, known: KnownObject | None) -> list[Compared]:
    """What was measured of one file beside what is true of it; a refusal at a level that has no diameters is right."""
    if known is None or known.level is None:
        return []
    values = {one.concept.value: one.value for one in reading.measurements}
    rate = values.get(RATE, reading.details.get("heart_rate_bpm"))
    rows = [
        Compared(
            source=str(source), measurement="heart rate of the strip", unit="/min", value=rate, truth=_strip_rate(known)
        )
    ]
    for name, code, of in (("LVIDd", LVID_D, "lvidd_mm"), ("LVIDs", LVID_S, "lvids_mm")):
        true = known.value(of) or ()
        mean = sum(true) / len(true) if true else None
        rows.append(Compared(source=str(source), measurement=name, unit="mm", value=values.get(code), truth=mean))
    said = reading.details.get("level")
    if said is not None:
        level = f"level {known.level}, judged {said}"
        rows.append(Compared(source=str(source), measurement=level, value=float(said == known.level), truth=1.0))
    return rows


def _strip_rate(known: KnownObject) -> float | None:
    """The rate of the beats that the strip shows; the rate on its screen is a mean of more beats than it shows."""
    waves = [float(wave) for wave in known.value("r_waves_ms") or ()]
    if len(waves) < 2:
        return known.number("heart_rate_bpm")
    return 60000 * (len(waves) - 1) / (waves[-1] - waves[0])


def _is_mmode(source: Path) -> bool:
    """Whether the header says so: in a folder of a whole study the loops are left out without a word each."""
    from echonode.cli.routes import facts_of_file
    from echonode.core.clip import Mode

    try:
        return facts_of_file(source).mode is Mode.M_MODE
    except EchonodeError:
        return False


def _beats(row: Mapping[str, Any]) -> str:
    beats = row["reading"].details.get("beats") or ()
    return f"{sum(beat['good'] for beat in beats)} of {len(beats)}" if beats else ""
