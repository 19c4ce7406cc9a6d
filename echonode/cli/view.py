"""`echonode run view`: which standard view files show, without a node."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from echonode.cli.guard import NOTE, mark_of, marked
from echonode.cli.objects_out import ObjectsOption, ObjectsOut, objects_out
from echonode.cli.options import ConfigOption, DeviceOption, FpsOption, JsonOption
from echonode.cli.screen import Column, complain, quiet_logs, say, show_rows
from echonode.cli.truth import Truth, TruthOption
from echonode.core.errors import EchonodeError

if TYPE_CHECKING:
    from echonode.cli.loaded import Loaded

TASK = "view"
MODEL = "phantom-view"
UNKNOWN = "unknown"


def view_command(
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH...", help="DICOM, AVI or MP4 files, or folders of them.")
    ],
    model: Annotated[str, typer.Option(metavar="NAME", help="Model package, or its folder.")] = MODEL,
    out: ObjectsOption = None,
    truth: TruthOption = None,
    fps: FpsOption = None,
    device: DeviceOption = "auto",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """The view of each loop with its confidence; a refused file is named with the reason, and the exit code is then 2."""
    from echonode.cli.loaded import loops_of, open_model

    quiet_logs()
    sources = loops_of(paths)
    known = None if truth is None else Truth.read(truth)
    loaded = open_model(model, task=TASK, device=device, config=config)
    into = objects_out(out, loaded, sources)
    rows = []
    for source in sources:
        found = _read(loaded, source, fps=fps, out=into)
        if known is not None:
            found |= _beside(known, source, found)
        if as_json:
            sys.stdout.write(json.dumps(found, ensure_ascii=False) + "\n")
            sys.stdout.flush()
        if found["refused"] is not None:
            reason = str(found["refused"]["reason"])
            complain(reason if str(source) in reason else f"{source}: refused: {reason}")
        else:
            rows.append(found)
    if not as_json and rows:
        _show(rows, truth=known is not None)
    if into is not None and not as_json:
        into.tell()
    if len(rows) < len(sources):
        raise typer.Exit(2)


def _read(loaded: Loaded, source: Path, *, fps: float | None, out: ObjectsOut | None) -> dict[str, Any]:
    """What one file gave, as JSON values; what cannot be read is a refusal."""
    from echonode.cli.loaded import progress_bar, read_loop
    from echonode.core.results import Finding, Ineligible

    details: Mapping[str, Any] = {}
    try:
        clip = read_loop(loaded, source, fps=fps, view=None)
        if isinstance(clip, Ineligible):
            results: tuple[Any, ...] = (clip,)
        else:
            with progress_bar(source.name) as progress:
                results, details = loaded.tool("read")(loaded.runner, clip, {}, progress)
    except EchonodeError as error:
        results = (Ineligible(reason=str(error), code="unreadable"),)
    refusal = next((result for result in results if isinstance(result, Ineligible)), None)
    made = () if out is None else out.write(source, results, {})
    package = loaded.package
    return {
        "source": str(source), "model": package.name, "version": package.version, "digest": package.digest,
        "task": package.task, "intended_use": package.intended_use, "simulated": bool(mark_of(loaded.packages)), "header": _header(source),
        "findings": [marked(loaded.packages, asdict(result)) for result in results if isinstance(result, Finding)],
        "refused": None if refusal is None else asdict(refusal), "details": dict(details),
        **({"objects": list(made)} if made else {}),
    }  # fmt: skip


def _header(source: Path) -> str | None:
    """The view that the header itself tells."""
    from echonode.cli.called import is_dicom
    from echonode.cli.routes import facts_of_file

    if not source.is_file() or not is_dicom(source):
        return None
    try:
        return facts_of_file(source).view
    except EchonodeError:
        return None


def _beside(known: Truth, source: Path, found: Mapping[str, Any]) -> dict[str, Any]:
    """The true view of a simulated object, and whether the answer is right; None where there is none, or no truth."""
    true = known.of_file(source)
    view = None if true is None else true.view or "OTHER"
    said = found["details"].get("view")
    return {"truth": view, "right": None if view is None or said in (None, UNKNOWN) else said == view}


def _show(rows: list[dict[str, Any]], *, truth: bool) -> None:
    columns = [
        Column("source", "source"),
        Column("view", lambda row: str(row["details"]["view"])),
        Column("confidence", lambda row: f"{row['details']['confidence']:.2f}", right=True),
        Column("likeliest", lambda row: str(row["details"]["likeliest"])),
        Column("header says", lambda row: row["header"] or ""),
    ]
    if truth:
        columns.append(Column("truth", lambda row: row["truth"] or ""))
    show_rows(
        rows,
        [
            *columns,
            Column("notes", lambda row: "; ".join([*([NOTE] if row["simulated"] else []), *row["details"]["notes"]])),
        ],
    )
    known = [row for row in rows if row.get("truth") is not None]
    if known:
        right, unknown = (sum(row["right"] is value for row in known) for value in (True, None))
        say(f"{right} of {len(known)} views as truth.json says, {unknown} unknown")
