"""`echonode run synthesis`: synthetic echo pictures of label maps, without a node."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from echonode.cli.options import ConfigOption, DeviceOption, JsonOption, existing
from echonode.cli.screen import Column, complain, quiet_logs, show_rows
from echonode.core.errors import BadInput

TASK = "synthesis"


def synthesis_command(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Label maps as PNG, or folders of them.")],
    model: Annotated[str, typer.Option(metavar="NAME", help="Model package, or its folder: one view and phase.")],
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder for the pictures; none are kept when not given.")
    ] = None,
    tree: Annotated[
        bool,
        typer.Option("--tree", help="Write images, samples, labels, combined for training; samples carry no marking."),
    ] = False,
    images: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Pictures that the maps belong to, by the same names.")
    ] = None,
    camus: Annotated[
        bool,
        typer.Option("--camus", help="The maps have CAMUS codes 0 to 3; the pictures of --images tell the sector."),
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Each picture's own seed is made of this and the map's name.")] = 0,
    repeats: Annotated[int, typer.Option(min=1, max=1000, help="Pictures of each map.")] = 1,
    shard: Annotated[str, typer.Option(metavar="I/N", help="Part of the work, counted from 0: 0/4.")] = "0/1",
    sampler: Annotated[
        str | None,
        typer.Option(help="ancestral, ddim or dpm-solver++; the package's when not given.", show_default=False),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Calls of the network a picture; the authors take all, 1000.")
    ] = None,
    respacing: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Which timesteps instead: 50, 10,15,20, ddim25 or all.")
    ] = None,
    eta: Annotated[float | None, typer.Option(min=0, max=1, help="Randomness of ddim.")] = None,
    guidance: Annotated[
        float | None, typer.Option(min=0, help="Weight of the labels, where training dropped some; 1 is none.")
    ] = None,
    device: DeviceOption = "auto",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Synthetic pictures of label maps; finished ones are kept, refused maps are named, and the exit code is then 2."""
    from echonode.cli.loaded import open_model, progress_bar

    quiet_logs()
    if steps is not None and respacing is not None:
        raise BadInput("--steps and --respacing say the same: one of them is expected")
    part, parts = _shard(shard)
    order = {
        "files": _maps(paths), "out": out, "tree": tree, "images": existing(images) if images else None,
        "camus": camus, "seed": seed, "repeats": repeats, "shard": part, "shards": parts,
    }  # fmt: skip
    asked = {"sampler": sampler, "steps": steps, "respacing": respacing, "eta": eta, "guidance": guidance}
    parameters = {name: value for name, value in asked.items() if value is not None}
    loaded = open_model(model, task=TASK, device=device, config=config)
    package = loaded.package
    about = {
        "model": package.name, "version": package.version, "digest": package.digest, "task": TASK,
        "intended_use": package.intended_use,
    }  # fmt: skip
    with progress_bar(model) as progress:
        made: Iterator[dict[str, Any]] = loaded.tool("sample")(loaded.runner, order, parameters, progress)
        rows = []
        for document in made:
            if as_json:
                sys.stdout.write(json.dumps({**document, **about}, ensure_ascii=False) + "\n")
                sys.stdout.flush()
            if document["refused"] is not None:
                reason, source = document["refused"]["reason"], document["source"]
                complain(reason if source in reason else f"{source}: refused: {reason}")
            rows.append(document)
    kept = [row for row in rows if row["refused"] is None]
    if not as_json:
        columns = (
            Column("map", "source"),
            Column("seed", "seed"),
            Column("state", "state"),
            Column("picture", "picture"),
        )
        show_rows(kept, columns, empty="no pictures")
    if len(kept) < len(rows):
        raise typer.Exit(2)


def _maps(paths: list[Path]) -> tuple[Path, ...]:
    """PNG files among `paths`, and those in folders among them.

    Raises:
        BadInput: a path that is not there, or a folder without any.
    """
    found: list[Path] = []
    for path in paths:
        inside = sorted(existing(path).glob("*.png")) if path.is_dir() else [path]
        if not inside:
            raise BadInput(f"{path}: no PNG label maps in this folder")
        found += inside
    return tuple(found)


def _shard(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
    if match is None or not int(match[1]) < int(match[2]):
        raise BadInput(f"--shard {text}: a part counted from 0 of so many is expected, as 0/4")
    return int(match[1]), int(match[2])
