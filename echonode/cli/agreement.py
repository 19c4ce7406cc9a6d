"""`echonode models agreement`: how far two models, or a model and the scanner's own report, agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from echonode.cli.opened import opened_archive
from echonode.cli.options import ConfigOption, JsonOption
from echonode.cli.screen import Column, complain, say, show_json, show_rows
from echonode.core.text import one_line

if TYPE_CHECKING:
    from echonode.flow.agreement import Comparison, ConceptAgreement

Side = Annotated[str, typer.Argument(help='Name of a model, or "scanner" for what was measured on the scanner.')]
LISTED_ANSWERS = 12


def agreement_command(
    a: Side,
    b: Side,
    task: Annotated[str | None, typer.Option(help="Only what was said for this task.")] = None,
    figure: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Bland-Altman plot as PNG; of several quantities one file each."),
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Bland-Altman over what both saw, who refused what, and how often answers are the same; differences are A - B."""
    from echonode.flow.agreement import agreement

    with opened_archive(config) as (configuration, archive):
        found = agreement(archive, a, b, task=task, limits=configuration.node.limits)
    if as_json:
        show_json(found.as_dict())
    else:
        show_comparison(found)
    if figure is not None:
        for path in draw(found, figure):
            complain(f"drew {path}") if as_json else say(f"drew {path}")


def show_comparison(found: Comparison) -> None:
    """Print the tables of a comparison."""
    cases = {"object": "objects", "study": "studies"}[found.case]
    say(f"{found.a} saw {found.seen_a} {cases}, {found.b} {found.seen_b}, both {found.both}")
    if found.both == 0:
        say("there is nothing to compare")
        return
    rows = [_row(each) for each in found.concepts]
    columns = (
        Column("quantity", "title"),
        Column("unit", "unit"),
        Column("n", "n", right=True),
        Column("studies", "studies", right=True),
        Column(f"bias, {one_line(found.a)} - {one_line(found.b)}", "bias", right=True),
        Column("SD", "sd", right=True),
        Column("lower limit", "lower", right=True),
        Column("upper limit", "upper", right=True),
    )
    show_rows(rows, columns, empty="no quantity was given by both")
    _say_findings(found)
    _say_refusals(found, cases)
    for note in (*_uneven(found), *found.notes):
        say(one_line(note))


def draw(found: Comparison, figure: Path) -> list[Path]:
    """The plots that there is enough for; `figure` itself for one quantity, FILE-QUANTITY.png for several."""
    from echonode.training.figures import bland_altman_plot

    enough = [each for each in found.concepts if each.agreement is not None]
    if not enough:
        complain("nothing to draw: no quantity has two pairs")
    paths = []
    for each in enough:
        suffix = figure.suffix or ".png"
        path = figure.with_suffix(suffix)
        if len(enough) > 1:
            path = figure.with_name(f"{figure.stem}-{_file_word(each.name)}{suffix}")
        numbers = [[pair.a for pair in each.pairs], [pair.b for pair in each.pairs]]
        paths.append(
            bland_altman_plot(path, *numbers, quantity=each.title, unit=each.unit or "1", names=(found.a, found.b))
        )
    return paths


def _row(each: ConceptAgreement) -> dict[str, Any]:
    row: dict[str, Any] = {"title": each.title, "unit": each.unit, "n": len(each.pairs), "studies": each.studies}
    if each.agreement is None:
        return row | {"bias": _number(each.pairs[0].difference) if each.pairs else ""}
    said = {name: getattr(each.agreement, name) for name in ("bias", "lower", "upper")}
    words = {name: f"{_number(one.value)} ({_number(one.low)} to {_number(one.high)})" for name, one in said.items()}
    return row | words | {"sd": f"{each.agreement.sd:.2f}"}


def _say_findings(found: Comparison) -> None:
    for each in found.findings:
        say(f"{one_line(each.title)}: the same answer {each.same} of {each.n} times ({100 * each.same / each.n:.0f} %)")
        rows: Sequence[Mapping[str, Any]] = [
            {"a": a, "b": b, "count": count} for a, b, count in each.table[:LISTED_ANSWERS]
        ]
        columns = (Column(one_line(found.a), "a"), Column(one_line(found.b), "b"), Column("n", "count", right=True))
        show_rows(rows, columns)


def _say_refusals(found: Comparison, cases: str) -> None:
    told = found.refusals
    if not told.only_a + told.only_b + told.both:
        say(f"neither refused any of the {found.both} {cases}")
        return
    say(
        f"refused: {told.both} {cases} by both, {told.only_a} by {one_line(found.a)} alone, "
        f"{told.only_b} by {one_line(found.b)} alone; {told.neither} by neither"
    )
    rows = [
        {"who": who, "count": count, "reason": reason}
        for who, reasons in ((found.a, told.reasons_a), (found.b, told.reasons_b))
        for reason, count in reasons
    ]
    show_rows(rows, (Column("refused by", "who"), Column("n", "count", right=True), Column("reason", "reason")))


def _uneven(found: Comparison) -> list[str]:
    return [
        f"{each.title}: {each.uneven} pairs are left out, their units measure different things"
        for each in found.concepts
        if each.uneven
    ]


def _number(value: float) -> str:
    return f"{value:+.2f}"


def _file_word(name: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in name).strip("-")
