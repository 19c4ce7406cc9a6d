"""`echonode data TASK`: loops of a site into a data set to learn from."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from echonode.cli.options import existing
from echonode.cli.screen import Column, console, quiet_logs, say, show_json, show_rows
from echonode.core.errors import BadInput

app = typer.Typer(name="data", help="Loops into data sets to learn from.", no_args_is_help=True)

SPLITS = ("training", "validation", "testing")
_SIZE = re.compile(r"([1-9][0-9]{0,4})[xX]([1-9][0-9]{0,4})")


class Owner(StrEnum):
    """Who may not be in two splits."""

    STUDY = "study"
    PATIENT = "patient"


class Layout(StrEnum):
    """Whom validation is of."""

    SOUND = "sound"
    PUBLISHED = "published"


@app.callback()
def _group() -> None:
    """Loops into data sets to learn from."""


@app.command("slow-motion")
def slow_motion_command(
    train: Annotated[
        list[Path],
        typer.Option("--train", metavar="PATH", help="Folder or file of loops to learn from; may be given again."),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="A new folder for the data set.")],
    test: Annotated[
        list[Path] | None,
        typer.Option("--test", metavar="PATH", help="Loops to test on; without it a share of --train is held out."),
    ] = None,
    split_by: Annotated[Owner, typer.Option(help="Who is never in two splits.")] = Owner.STUDY,
    test_share: Annotated[float, typer.Option(help="Share held out to test, where there is no --test.")] = 0.15,
    validation_share: Annotated[float, typer.Option(help="Share held out to choose by.")] = 0.15,
    layout: Annotated[
        Layout, typer.Option(help="published takes validation from the test clips, as the authors did.")
    ] = Layout.SOUND,
    crop: Annotated[
        str, typer.Option(metavar="WxH|sector|none", help="640x640 is the authors'; sector is the box of what moves.")
    ] = "none",
    size: Annotated[str | None, typer.Option(metavar="WxH", help="Size of the frames, after the crop.")] = None,
    beats: Annotated[int, typer.Option(min=0, help="Whole beats to keep, by R waves; 0 keeps whole loops.")] = 2,
    frames: Annotated[int, typer.Option(min=3, help="Frames a clip.")] = 12,
    colour: Annotated[bool, typer.Option("--colour", help="Take colour Doppler loops too.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Decides the split.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """DICOM and video loops as clips of PNG frames with a manifest: OUT/train|validation|test/CLIP/FRAME.png."""
    quiet_logs()
    from echonode.core.task import installed_tasks, resolve

    tools = installed_tasks()["slow_motion"].tools
    preparation = resolve(tools["preparation"])(
        train=tuple(train),
        test=tuple(test or ()),
        out=out,
        split_by=split_by.value,
        test_share=test_share,
        validation_share=validation_share,
        layout=layout.value,
        crop="sector" if crop == "sector" else None if crop == "none" else _size(crop, "--crop"),
        size=None if size is None else _size(size, "--size"),
        beats=beats,
        clip_frames=frames,
        colour=colour,
        seed=seed,
    )
    screen = console(stderr=True)

    def told(done: int, total: int, line: str) -> None:
        screen.print(f"{done}/{total}  {line}", markup=False, highlight=False)

    found = resolve(tools["prepare"])(preparation, told=told)
    content = found.as_json()
    if as_json:
        show_json(content)
        return
    rows = [
        {"split": split, "clips": content["clips"].get(split, 0), "owners": content["owners"].get(split, 0)}
        for split in ("train", "validation", "test")
    ]
    whose = "studies" if split_by is Owner.STUDY else "patients"
    show_rows(
        rows, (Column("split", "split"), Column("clips", "clips", right=True), Column(whose, "owners", right=True))
    )
    say(
        f"{out}: {sum(content['clips'].values())} clips; {len(content['left_out'])} files left out, named in its manifest"
    )


class Preparation(StrEnum):
    """How pictures become squares."""

    CLINICAL = "clinical"
    PUBLISHED = "published"


@app.command("camus")
def camus_command(
    data: Annotated[
        list[str],
        typer.Option(
            "--data", metavar="TEXT", help="A folder of CAMUS, pictures beside label maps, or phantom:N@SEED."
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="A new folder for the tree.")],
    test: Annotated[
        list[str] | None, typer.Option("--test-data", metavar="TEXT", help="Held out as a whole; else a share is.")
    ] = None,
    side: Annotated[int, typer.Option(help="Pixels of a picture's side.")] = 256,
    preparation: Annotated[
        Preparation, typer.Option(help="published samples both axes by index, as the authors did.")
    ] = Preparation.CLINICAL,
    repeats: Annotated[int, typer.Option(min=0, help="Further label maps of each, changed in shape.")] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Decides split and changes.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Apical pictures with label maps of the left heart, at end-diastole and end-systole, as a tree to learn from."""
    quiet_logs()
    from echonode.core.task import installed_tasks, resolve

    tools = installed_tasks()["segmentation"].tools
    order = resolve(tools["tree-order"])(
        data=tuple(data), out=out, test_data=tuple(test or ()), side=side, preparation=preparation.value,
        repeats=repeats, seed=seed,
    )  # fmt: skip
    screen = console(stderr=True)

    def told(done: int, total: int) -> None:
        if done % 50 == 0 or done == total:
            screen.print(f"{done} of {total}", markup=False, highlight=False)

    content = resolve(tools["tree"])(order, told=told)
    if as_json:
        show_json(content)
        return
    rows = [{"view": view, **counts} for view, counts in sorted(content["pictures"].items())]
    rows = [dict.fromkeys(SPLITS, 0) | row for row in rows]
    columns = [Column(split, split, right=True) for split in SPLITS]
    show_rows(rows, (Column("view", "view"), *columns))


@app.command("synthetic")
def synthetic_command(
    samples: Annotated[
        Path, typer.Argument(metavar="DIR", help="What `run synthesis --tree` wrote, or folders of it.")
    ],
    tree: Annotated[
        Path, typer.Option(metavar="DIR", help="The tree of `data camus`: its testing pictures are the test.")
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="A new folder for the data set.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Synthetic pictures and their label maps as a data set to train segmentation on, tested on pictures that are not."""
    quiet_logs()
    from echonode.core.task import installed_tasks, resolve

    counts = resolve(installed_tasks()["segmentation"].tools["collect"])(
        existing(samples), tree=existing(tree), out=out
    )
    if as_json:
        show_json(counts)
        return
    show_rows([{"split": split, "pictures": count} for split, count in counts.items()],
              (Column("split", "split"), Column("pictures", "pictures", right=True)))  # fmt: skip


def _size(text: str, option: str) -> tuple[int, int]:
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise BadInput(f"{option} {text[:40]!r}: width x height is expected, such as 640x640")
    return int(found[1]), int(found[2])
