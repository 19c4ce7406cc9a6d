"""`echonode train`: a recipe of an installed task, on a data set, into a run folder and a model package; now or at night."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from echonode.cli.options import ConfigOption, configuration_of, existing, whoami
from echonode.cli.screen import Column, say, show_json, show_rows
from echonode.core.errors import BadInput, NotFound

if TYPE_CHECKING:
    from echonode.core.window import Window
    from echonode.registry.manifest import Metric
    from echonode.training.arguments import TrainingArguments

DataOption = Annotated[
    list[str] | None,
    typer.Option(
        "--data",
        metavar="TEXT",
        help="phantom:N@SEED or phantom:N@SEED/PRESET, a folder, a FileList.csv, a manifest CSV, or archive:QUERY; may be given again.",
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="An option of the recipe's own; a wrong key lists them."),
]
ThreadsOption = Annotated[int, typer.Option(min=0, help="Threads of torch; 0 leaves them as they are.")]
BatchOption = Annotated[int | None, typer.Option(min=1, help="Samples a step; the recipe's when not given.")]
WorkersOption = Annotated[int, typer.Option(min=0, help="Processes that load samples ahead.")]


def train_command(
    task: Annotated[str, typer.Argument(metavar="TASK", help="Name of a recipe: slow-motion; a wrong one names all.")],
    data: DataOption = None,
    test_data: Annotated[
        list[str] | None,
        typer.Option("--test-data", metavar="TEXT", help="Held out as a whole; else 15 % of the patients of --data."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the run; runs/TASK when not given.")
    ] = None,
    recipe: Annotated[str, typer.Option(help="sound, or published: the authors' own hyper-parameters.")] = "sound",
    init: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Weights to start from: a checkpoint or safetensors file.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Decides split, order, augmentation and first weights.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda:0.")] = "auto",
    precision: Annotated[str, typer.Option(help="fp32, bf16 or fp16.")] = "fp32",
    threads: ThreadsOption = 0,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Passes over the data; the recipe's when not given.")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Optimiser steps, instead of --epochs.")] = None,
    minutes: Annotated[
        float | None, typer.Option(help="End training after this time, over all resumes; it is published all the same.")
    ] = None,
    batch: BatchOption = None,
    workers: WorkersOption = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    option: SetOption = None,
    name: Annotated[str | None, typer.Option(help="Publish a model package of this name.")] = None,
    models: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder of packages: models, or with --at the node's own of imported ones."),
    ] = None,
    at: Annotated[
        str | None, typer.Option(metavar="HH:MM", help="Not now: the node on this machine trains from this time on.")
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="HH:MM", help="With --at: stop then, and go on in the next night.")
    ] = None,
    config: ConfigOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Train a model; a run that is stopped or killed goes on with --resume. torchrun ... -m echonode train works too."""
    from echonode.core.task import resolve

    reference = reference_of(task, "recipes")
    from echonode.training.arguments import TrainingArguments

    window = _window(at, until)
    if window is not None:
        configuration = configuration_of(config)
        out = out or configuration.root / "trainings" / "runs" / (name or task)
        models = models or configuration.imported_models
        threads = threads or max(1, (os.cpu_count() or 1) // 2)
    arguments = TrainingArguments(
        task=task,
        data=tuple(data or ()),
        test_data=tuple(test_data or ()),
        out=out if out is not None else Path("runs") / task,
        recipe=cast("Literal['sound', 'published']", recipe),
        init=None if init is None else existing(init),
        seed=seed,
        device=device,
        precision=cast("Literal['fp32', 'bf16', 'fp16']", precision),
        threads=threads,
        epochs=epochs,
        steps=steps,
        minutes=minutes,
        batch=batch,
        workers=workers,
        resume=resume,
        options=pairs(option),
        name=name,
        models=models or Path("models"),
    )
    _refuse_taken(arguments.models, name, resume=resume)
    if window is not None:
        _order(arguments, window, config, as_json=as_json)
        return
    result = resolve(reference)(arguments)
    if os.environ.get("RANK", "0") != "0":
        return
    if as_json:
        show_json(
            {
                "folder": str(result.folder), "package": None if result.package is None else str(result.package),
                "stopped_at": result.stopped_at, "metrics": [each.model_dump(mode="json") for each in result.metrics],
            }
        )  # fmt: skip
        return
    if result.stopped_at is not None:
        say(f"stopped at step {result.stopped_at}; --resume goes on")
        return
    show_metrics(result.metrics)
    say(f"run: {result.folder}" + ("" if result.package is None else f"; package: {result.package}"))


def _window(at: str | None, until: str | None) -> Window | None:
    from echonode.core.window import Window

    if at is None:
        if until is not None:
            raise BadInput("--until belongs to --at: from when to when may it train")
        return None
    return Window(at=at, until=until or "")


def _order(arguments: TrainingArguments, window: Window, config: Path | None, *, as_json: bool) -> None:
    """Leave the training to the node: it becomes work that waits for its window."""
    from echonode.cli.opened import opened_archive
    from echonode.flow.training_orders import TrainingOrder, order_training, words

    run = arguments.out / "run.json"
    if run.is_file() != arguments.resume:
        there = "holds a run already; --resume goes on with it" if run.is_file() else "holds no run to go on with"
        raise BadInput(f"{arguments.out}: {there}, --out names another folder")
    with opened_archive(config, writing=True) as (_, archive):
        order = TrainingOrder(arguments=plain_arguments(arguments), window=window, who=whoami())
        item = order_training(archive, order)
        said = words(item, archive.clock())
    if as_json:
        show_json({"id": item.id, "not_before": item.not_before, "says": said, "folder": str(arguments.out)})
        return
    say(f"{item.id[:8]} {said}; echonode work list shows how far it is")


def plain_arguments(arguments: TrainingArguments) -> dict[str, Any]:
    """The arguments as JSON values; paths absolute, as another process in another folder needs them.

    Raises:
        BadInput: a data text names nothing that is there.
    """
    from dataclasses import asdict

    given = asdict(arguments)
    for name in ("data", "test_data"):
        given[name] = [_absolute(text) for text in given[name]]
    for name in ("out", "models", "init"):
        given[name] = None if given[name] is None else str(given[name].absolute())
    return given | {"options": dict(arguments.options)}


def _absolute(text: str) -> str:
    if text.startswith(("phantom:", "archive:")):
        return text
    return str(existing(Path(text)).absolute())


def reference_of(task: str, what: Literal["recipes", "evaluations"]) -> str:
    """ "module:function" of a recipe or an evaluation, by the name that commands know it by; loads no task.

    Raises:
        NotFound: no installed task has one of that name; the message lists all.
    """
    from echonode.core.task import announced_tasks, installed_tasks

    known: dict[str, str] = {}
    for spec in installed_tasks().values():
        known |= getattr(spec, what)
    if task not in known:
        there = ", ".join(sorted(known)) or "none"
        refused = "".join(f"; {each}" for each in announced_tasks().refused)
        raise NotFound(f"there is no {what[:-1]} {task[:80]!r}; there are: {there}{refused}")
    return known[task]


def pairs(texts: Sequence[str] | None) -> dict[str, str]:
    """KEY=VALUE texts as a mapping.

    Raises:
        BadInput: one is not of that form, or a key is given twice.
    """
    found: dict[str, str] = {}
    for text in texts or ():
        key, separator, value = text.partition("=")
        if not separator or not key:
            raise BadInput(f"--set {text!r} is not of the form KEY=VALUE")
        if key in found:
            raise BadInput(f"--set {key} is given twice")
        found[key] = value
    return found


def show_metrics(metrics: Sequence[Metric]) -> None:
    """A table of metrics with their intervals; nothing when there are none."""
    if not metrics:
        return
    columns = (
        Column("measured", "name"),
        Column("value", lambda row: f"{row['value']:.4g} {row['unit']}".rstrip(), right=True),
        Column("95 % interval", _span),
        Column("n", "n", right=True),
        Column("on", lambda row: row["on"] + (" (locked)" if row["locked"] else "")),
    )
    show_rows([each.model_dump() for each in metrics], columns)


def _span(row: Any) -> str:
    return "" if row["low"] is None or row["high"] is None else f"{row['low']:.4g} to {row['high']:.4g}"


def _refuse_taken(models: Path, name: str | None, *, resume: bool) -> None:
    """A name that is taken is told before hours of training, not after them."""
    if name is None:
        return
    from echonode.registry.catalogue import is_model_name

    if not is_model_name(name):
        raise BadInput(f"{name[:80]!r} is no model name: lower-case letters, digits, dots, dashes, at most 63")
    if not resume and os.path.lexists(models / name):
        raise BadInput(f"{models / name}: there is already a model of that name; choose another or remove it first")
