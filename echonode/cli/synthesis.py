"""`echonode run synthesis`: synthetic echo pictures of label maps, without a node."""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from echonode.cli.camus_maps import as_pictures, is_camus, is_camus_map
from echonode.cli.options import ConfigOption, DeviceOption, JsonOption, existing
from echonode.cli.screen import Column, complain, quiet_logs, show_rows
from echonode.core.errors import BadInput

TASK = "synthesis"


class Phase(StrEnum):
    """Which frame of a loop."""

    ED = "ED"
    ES = "ES"


def synthesis_command(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH...",
            help="Label maps as PNG, those of CAMUS as .mhd or .nii too, or folders of them; with --segmentation loops.",
        ),
    ],
    model: Annotated[str, typer.Option(metavar="NAME", help="Model package, or its folder: one view and phase.")],
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder for the pictures; none are kept when not given.")
    ] = None,
    segmentation: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Model package that draws the label maps of DICOM loops; the pictures become DICOM."
        ),
    ] = None,
    phase: Annotated[
        Phase, typer.Option(help="With --segmentation: the frame with the largest or the smallest ventricle.")
    ] = Phase.ED,
    view: Annotated[
        str | None, typer.Option(help="With --segmentation: what the loops show, where their headers do not tell: A4C.")
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
    asked = {"sampler": sampler, "steps": steps, "respacing": respacing, "eta": eta, "guidance": guidance}
    parameters = {name: value for name, value in asked.items() if value is not None}
    if steps is not None and respacing is not None:
        raise BadInput("--steps and --respacing say the same: one of them is expected")
    if segmentation is not None:
        if tree or images is not None or camus or repeats != 1 or shard != "0/1":
            raise BadInput("--segmentation makes one picture of each loop: --tree, --images, --camus, --repeats and "
                           "--shard are for label maps")  # fmt: skip
        if out is None:
            raise BadInput("--segmentation needs --out: what is made are DICOM objects")
        refused = _of_loops(
            paths, segmentation, model=model, phase=phase, view=view, out=out, device=device, config=config,
            parameters={**parameters, **({"seed": seed} if seed else {})}, as_json=as_json,
        )  # fmt: skip
        if refused:
            raise typer.Exit(2)
        return
    part, parts = _shard(shard)
    maps = _maps(paths)
    order = {
        "files": maps, "out": out, "tree": tree, "images": existing(images) if images else None,
        "camus": camus, "seed": seed, "repeats": repeats, "shard": part, "shards": parts,
    }  # fmt: skip
    loaded = open_model(model, task=TASK, device=device, config=config)
    package = loaded.package
    about = {
        "model": package.name, "version": package.version, "digest": package.digest, "task": TASK,
        "intended_use": package.intended_use,
    }  # fmt: skip
    with progress_bar(model) as progress, _as_pictures(order) as sources:
        made: Iterator[dict[str, Any]] = loaded.tool("sample")(loaded.runner, order, parameters, progress)
        rows = []
        for document in made:
            document["source"] = str(sources.get(document["source"], document["source"]))
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


def _of_loops(
    paths: list[Path], segmentation: str, *, model: str, phase: Phase, view: str | None, out: Path,
    device: str, config: Path | None, parameters: Mapping[str, Any], as_json: bool,
) -> int:  # fmt: skip
    """Pictures of loops; how many were refused."""
    from echonode.cli.loaded import loops_of, open_model
    from echonode.cli.synthesis_of_loops import SEGMENTATION, pictures_of_loops

    sources = loops_of(paths)
    drawing = open_model(segmentation, task=SEGMENTATION, device=device, config=config)
    painting = open_model(model, task=TASK, device=device, config=config)
    return pictures_of_loops(
        painting, drawing, sources, phase=phase.value, view=view, parameters=parameters, out=out, as_json=as_json
    )


@contextmanager
def _as_pictures(order: dict[str, Any]) -> Iterator[Mapping[str, Path]]:
    """The order with the maps of CAMUS as PNG and their pictures beside them; which file each PNG was made of."""
    files = [file for file in order["files"] if is_camus(file)]
    if not files:
        yield {}
        return
    if len(files) < len(order["files"]) or order["images"] is not None:
        raise BadInput("label maps of CAMUS bring their own pictures: no PNG among them, and no --images")
    with tempfile.TemporaryDirectory() as folder:
        maps, images = Path(folder) / "maps", Path(folder) / "images"
        maps.mkdir()
        images.mkdir()
        made = as_pictures(files, maps=maps, images=images)
        order |= {"files": tuple(Path(each) for each in made), "images": images, "camus": True}
        yield made


def _maps(paths: list[Path]) -> tuple[Path, ...]:
    """Label maps among `paths`, and those in folders among them: PNG files, else those of CAMUS in any depth.

    Raises:
        BadInput: a path that is not there, or a folder without any.
    """
    found: list[Path] = []
    for path in paths:
        inside = sorted(existing(path).glob("*.png")) if path.is_dir() else [path]
        inside = inside or [file for file in sorted(path.rglob("*")) if is_camus_map(file)]
        if not inside:
            raise BadInput(f"{path}: no PNG label maps in this folder, nor any of CAMUS")
        found += inside
    return tuple(found)


def _shard(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
    if match is None or not int(match[1]) < int(match[2]):
        raise BadInput(f"--shard {text}: a part counted from 0 of so many is expected, as 0/4")
    return int(match[1]), int(match[2])
