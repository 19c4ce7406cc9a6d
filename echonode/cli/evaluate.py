"""`echonode evaluate`: the error of model packages on a data set, as tables, JSON and figures."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from echonode.cli.options import ConfigOption, configuration_if_any, model_paths
from echonode.cli.screen import Column, say, show_rows
from echonode.cli.train import (
    BatchOption,
    DataOption,
    SetOption,
    ThreadsOption,
    WorkersOption,
    pairs,
    reference_of,
    show_metrics,
)
from echonode.core.errors import BadInput

if TYPE_CHECKING:
    from echonode.core.package import Package
    from echonode.training.table import Table


def evaluate_command(
    task: Annotated[
        str, typer.Argument(metavar="TASK", help="Name of an evaluation: slow-motion; a wrong one names all.")
    ],
    model: Annotated[
        list[str] | None,
        typer.Option("--model", metavar="NAME", help="A model package, by name or folder; a second one is compared."),
    ] = None,
    data: DataOption = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write everything as JSON too; - prints it instead.")
    ] = None,
    figures: Annotated[Path | None, typer.Option(metavar="DIR", help="Write figures into this folder.")] = None,
    models: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of packages; those of node.toml when not given.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the bootstrap's draws.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda:0.")] = "auto",
    threads: ThreadsOption = 0,
    batch: BatchOption = None,
    workers: WorkersOption = 0,
    option: SetOption = None,
    config: ConfigOption = None,
) -> None:
    """The error of one model, or of several on the same cases, with intervals."""
    from echonode.core.task import resolve

    reference = reference_of(task, "evaluations")
    if not data:
        raise BadInput("--data is missing: phantom:N@SEED, a folder, a list, or archive:QUERY")
    from echonode.training.arguments import EvaluationArguments

    packages = tuple(_packages(model or (), models, config))
    with tempfile.TemporaryDirectory(prefix="echonode-") as scratch:
        arguments = EvaluationArguments(
            task=task,
            packages=packages,
            data=tuple(data),
            figures=figures,
            scratch=Path(scratch),
            seed=seed,
            device=device,
            threads=threads,
            batch=batch,
            workers=workers,
            options=pairs(option),
        )
        found = resolve(reference)(arguments)
    text = json.dumps(found.as_json(), indent=2, ensure_ascii=False) + "\n"
    if json_file is not None and str(json_file) == "-":
        say(text.rstrip("\n"))
        return
    if json_file is not None:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.write_text(text, encoding="utf-8")
    for title, table in found.tables.items():
        _show(title, table)
    for name, metrics in found.metrics.items():
        say(name)
        show_metrics(metrics)
    for path in (*found.figures, *([json_file] if json_file else [])):
        say(f"written: {path}")


def _show(title: str, table: Table) -> None:
    from echonode.training.table import shown

    columns = tuple(
        Column(name, _cell(name, shown), right=_numeric([row[place] for row in table.rows]))
        for place, name in enumerate(table.columns)
    )
    show_rows(table.as_rows(), columns, title=title)
    if table.words:
        say(table.words)


def _cell(name: str, shown: Callable[[Any], str]) -> Callable[[Mapping[str, Any]], str]:
    return lambda row: shown(row[name])


def _packages(names: Sequence[str], models: Path | None, config: Path | None) -> list[Package]:
    """Verified packages, each named by its folder or by its name."""
    from echonode.registry.catalogue import Catalogue
    from echonode.registry.verify import verify

    catalogue = Catalogue((models,) if models is not None else model_paths(configuration_if_any(config)))
    return [verify(Path(name)) if "/" in name else catalogue.get(name) for name in names]


def _numeric(cells: Sequence[object]) -> bool:
    return bool(cells) and all(isinstance(cell, int | float | None) for cell in cells)
