"""`echonode simulate`: studies of patients that do not exist, with the truth beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from echonode.cli.screen import amount, console, duration, quiet_logs, say

if TYPE_CHECKING:
    from echonode.phantom.simulation import WrittenStudy


class PresetName(StrEnum):
    """What is recorded of each patient."""

    ROUTINE = "routine"
    STRESS = "stress"
    QUICK = "quick"


class SyntaxName(StrEnum):
    """How pixels are written."""

    JPEG = "jpeg"
    EXPLICIT = "explicit"
    RLE = "rle"
    JPEG_LS = "jpeg-ls"
    H264 = "h264"


def simulate_command(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A new folder, or that of an interrupted simulation.")],
    studies: Annotated[int, typer.Option(min=1, max=1 << 24, help="How many studies, each of another patient.")] = 1,
    seed: Annotated[
        int, typer.Option(min=0, max=(1 << 31) - 1, help="The same seed gives the same studies, byte for byte.")
    ] = 1,
    preset: Annotated[
        PresetName,
        typer.Option(help="routine: 6 loops and 3 M-modes; stress: 4 views in 4 stages; quick: 3 loops, 1 M-mode."),
    ] = PresetName.ROUTINE,
    syntax: Annotated[
        SyntaxName, typer.Option(help="jpeg and h264 lose a little, the others nothing.")
    ] = SyntaxName.JPEG,
    workers: Annotated[int, typer.Option(min=1, max=256, help="Studies that are made at the same time.")] = 1,
    labels: Annotated[bool, typer.Option("--labels/--no-labels", help="Write label maps beside the objects.")] = True,
    scale: Annotated[float, typer.Option(min=0.1, max=1, help="Part of the scanner's rows and columns.")] = 1.0,
) -> None:
    """Simulate DICOM studies as scanners send them: hearts with known truth, written to OUT/truth.json. No patient."""
    quiet_logs()
    from echonode.phantom.cohort import Cohort
    from echonode.phantom.frames import Syntax
    from echonode.phantom.simulation import TRUTH_FILE, Simulation, simulate

    cohort = Cohort(count=studies, seed=seed, preset=preset.value)
    simulation = Simulation(cohort=cohort, syntax=Syntax(syntax.value), labels=labels, scale=scale)
    with _bar(total=studies) as (done, told):
        for written in simulate(simulation, out, workers=workers, told=told):
            done(written)
    say(f"{studies} {'study' if studies == 1 else 'studies'} in {out}; what is true of them is in {out / TRUTH_FILE}")


def _line(written: WrittenStudy) -> str:
    person, size = written.study.patient, f"{written.objects} objects, {amount(written.size)}"
    patient = f"{person.sex.value} {person.age_years:.0f} y, EF {person.ef_percent:.0f} %, EDV {person.edv_ml:.0f} ml"
    took = "was there" if written.seconds is None else duration(written.seconds)
    return f"{written.folder.name}  {patient}, {written.study.machine}: {size}, {took}"


@contextmanager
def _bar(*, total: int) -> Iterator[tuple[Callable[[WrittenStudy], None], Callable[[int, int], None] | None]]:
    """What prints the line of a study, and what hears of its objects; above both a bar where there is a terminal."""
    screen = console(stderr=True)
    if not screen.is_terminal:
        yield lambda written: say(_line(written)), None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=screen, transient=True) as bar:
        whole = bar.add_task("studies", total=total)
        objects = bar.add_task("objects", total=None, visible=False)

        def done(written: WrittenStudy) -> None:
            bar.print(_line(written), markup=False, highlight=False)
            bar.advance(whole)

        def told(count: int, of: int) -> None:
            bar.update(objects, completed=count, total=of, visible=True)

        yield done, told
