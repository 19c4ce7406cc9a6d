"""`echonode demo`: node, scanner and PACS on loopback; a real loop goes in and its slow motion comes back.

Then a simulated heart goes in, of which the truth is known: it stands beside what comes back and what models measure.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from echonode.cli.screen import amount, console, duration, quiet_logs, say
from echonode.core.errors import BadInput

if TYPE_CHECKING:
    from echonode.cli.demo_phantom import Examined
    from echonode.cli.demo_scene import Arrival, Node
    from echonode.core.work import WorkItem

START_SECONDS = 120.0
COLUMNS = 5
ULTRASOUND_MULTIFRAME, SLOW_MOTION = "1.2.840.10008.5.1.4.1.1.3.1", "slow_motion"
TRIES = 2
"""On loopback nothing gets better by a third attempt."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """Where it is played: model packages, the shipped rules, the node's folder, the PACS's, and what is left for people."""

    models: Path
    shipped: Path
    folder: Path
    pacs: Path
    out: Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Played:
    """What happened, with times in seconds."""

    source: Path
    arrival: Arrival
    rule: str
    started: float
    stored: float
    returned: float
    items: tuple[WorkItem, ...]
    phantom: Examined


def demo_command(
    out: Annotated[Path, typer.Option(help="Folder for the received loop, a contact sheet and the node's log.")] = Path(
        "demo"
    ),
    factor: Annotated[int, typer.Option(min=2, max=16, help="Output frames for each recorded one.")] = 4,
    deadline: Annotated[float, typer.Option(min=1, help="Seconds that the loop may take to come back.")] = 300.0,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the node's configuration and data in OUT/node.")] = False,
) -> None:
    """Play it all through: a scanner pushes a loop, the node makes slow motion, a PACS gets it back."""
    from echonode.cli.demo_phantom import report_phantom

    quiet_logs()
    source = example_loop()
    models, shipped = models_folder(), rules_folder()
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"{out}: cannot be made: {error.strerror}") from error
    with tempfile.TemporaryDirectory(prefix="echonode-demo-") as scratch:
        folder = out / "node" if keep else Path(scratch) / "node"
        if keep:
            shutil.rmtree(folder, ignore_errors=True)
        place = Stage(models=models, shipped=shipped, folder=folder.resolve(), pacs=Path(scratch) / "pacs", out=out)
        played = _play(source, place, factor=factor, deadline=deadline)
        received = out / "slow-motion.dcm"
        shutil.copyfile(played.arrival.path, received)
        sheet = out / "contact-sheet.png"
        _contact_sheet(source, received, sheet, factor=factor)
        _report(played, received)
        report_phantom(played.phantom)
        if played.phantom.report is not None:
            shutil.copyfile(played.phantom.report, out / "report.dcm")
    say(f"  the received loop   {received}")
    if played.phantom.report is not None:
        say(f"  the received report {out / 'report.dcm'}")
    say(f"  a contact sheet     {sheet}")
    say(f"  the node's log      {out / 'node.log'}")
    if keep:
        say(f"  the node            echonode serve --config {folder}")


def example_loop() -> Path:
    """A real apical or parasternal cine of 30 frames that pydicom's wheel carries; nothing is downloaded.

    Raises:
        BadInput: this pydicom carries none.
    """
    import pydicom.data

    path = Path(pydicom.data.__file__).parent / "test_files" / "examples_ybr_color.dcm"
    if not path.is_file():
        raise BadInput(f"{path}: this pydicom carries no example loop")
    return path


def models_folder() -> Path:
    """The model packages of the checkout, or those of the configuration that stands here.

    Raises:
        BadInput: neither is there.
    """
    from echonode.cli.options import MODELS, configuration_if_any, in_checkout

    beside = in_checkout(MODELS)
    if beside.is_dir():
        return beside
    configuration = configuration_if_any(None)
    if configuration is None:
        raise BadInput(f"{beside}: no model packages here; run the demo in a checkout or beside an ae_config")
    return configuration.model_paths[0]


def rules_folder() -> Path:
    """The shipped ae_config of the checkout, or the configuration that stands here.

    Raises:
        BadInput: neither is there.
    """
    from echonode.cli.options import DEFAULT_CONFIG, configuration_if_any, in_checkout

    beside = in_checkout(DEFAULT_CONFIG)
    if (beside / "routes.toml").is_file():
        return beside
    configuration = configuration_if_any(None)
    if configuration is None or not (configuration.folder / "views.toml").is_file():
        raise BadInput(f"{beside}: no rules here; run the demo in a checkout or beside an ae_config")
    return configuration.folder


def _play(source: Path, place: Stage, *, factor: int, deadline: float) -> Played:
    from echonode.cli import demo_scene as scene
    from echonode.cli.demo_phantom import play_phantom, recording

    node_port, pacs_port = scene.free_port(), scene.free_port()
    scene.write_configuration(
        place.folder,
        models=place.models,
        shipped=place.shipped,
        node_port=node_port,
        pacs_port=pacs_port,
        factor=factor,
    )
    rule = _matching_rule(source, place.folder)
    log = place.out / "node.log"
    with (
        _progress() as tell,
        scene.Pacs(folder=place.pacs, port=pacs_port) as pacs,
        scene.Node(folder=place.folder, log=log) as node,
        recording(place.pacs.parent / "phantom") as recorded,
    ):
        tell(f"starting the node on port {node_port} and the PACS on port {pacs_port}")
        begin = time.monotonic()
        scene.wait_for(
            lambda: node.is_ready() and scene.echo(node_port), seconds=START_SECONDS, what="the node's start"
        )
        started = time.monotonic() - begin
        tell("the scanner sends its loop")
        stored = scene.push(node_port, source)
        sent_at = time.time()
        _wait_for_loop(pacs.arrivals, node, place.folder, tell, sent_at=sent_at, deadline=deadline)
        scene.wait_for(lambda: _all_done(place.folder), seconds=60, what="the node's own note of the delivery")
        items = tuple(_items(place.folder))
        arrival = _slow(pacs.arrivals)[0]
        phantom = play_phantom(recorded, port=node_port, node=node, arrivals=pacs.arrivals, tell=tell)
        tell("ending the node")
    return Played(
        source=source, arrival=arrival, rule=rule, started=started, stored=stored, returned=arrival.at - sent_at,
        items=items, phantom=phantom,
    )  # fmt: skip


def _slow(arrivals: Sequence[Arrival]) -> list[Arrival]:
    """What came as an ultrasound loop."""
    return [arrival for arrival in arrivals if arrival.sop_class_uid == ULTRASOUND_MULTIFRAME]


def _wait_for_loop(
    arrivals: list[Arrival], node: Node, folder: Path, tell: Any, *, sent_at: float, deadline: float
) -> None:
    """Return when the loop is in the PACS; a refusal, or what failed again and again, ends the wait with its reason."""
    from echonode.cli.demo_scene import DemoFailed, wait_for
    from echonode.flow.story import says

    last = "no workitem was planned"

    def arrived() -> bool:
        nonlocal last
        node.require_running()
        if _slow(arrivals):
            return True
        items = [item for item in _items(folder) if item.kind != "run" or item.payload.get("task") == SLOW_MOTION]
        steps = "; ".join(f"{item.kind} {item.queue} {says(item)}" for item in items)
        last = steps or last
        for item in items:
            if item.state == "CANCELED" or item.outcome.get("result") == "refused" or item.attempts > TRIES:
                raise DemoFailed(f"the loop did not come back: {last}; the log is in {node.log}")
        tell(f"waiting for the slow motion ({duration(time.time() - sent_at)}): {steps or 'the loop is stored'}")
        return False

    try:
        wait_for(arrived, seconds=deadline, what="the return of the slow motion")
    except DemoFailed as error:
        if last in str(error):
            raise
        raise DemoFailed(f"{error}: {last}; the log is in {node.log}") from error


def _items(folder: Path) -> list[WorkItem]:
    """The node's workitems, oldest first, read beside it."""
    from echonode.archive.archive import Archive
    from echonode.core.configuration import load_configuration

    archive = Archive.open(load_configuration(folder).database_url)
    try:
        return archive.work.list()[::-1]
    finally:
        archive.close()


def _all_done(folder: Path) -> bool:
    return all(item.state == "COMPLETED" for item in _items(folder) if item.kind != "report")


def _matching_rule(source: Path, folder: Path) -> str:
    """Which rule of the demonstration's routes.toml takes the loop, and why."""
    from echonode.cli.demo_scene import SCANNER_TITLE
    from echonode.cli.routes import facts_of_file
    from echonode.core.configuration import load_configuration
    from echonode.flow.route import explain

    facts = facts_of_file(source, calling_ae=SCANNER_TITLE)
    for explanation in explain(facts, load_configuration(folder).routes):
        if explanation.matches and explanation.task == SLOW_MOTION:
            held = ", ".join(f"{c.name} {c.expected}" for c in explanation.conditions[3:])
            return f"{explanation.route} -> {explanation.model} ({held})"
    raise BadInput(f"{source}: no rule of the demonstration matches this loop")


def _contact_sheet(source: Path, received: Path, sheet: Path, *, factor: int) -> None:
    """Two neighbouring recorded frames above, and what came back between them below.

    The pair that differs most is shown: there the heart moves.
    """
    import numpy as np
    from PIL import Image

    from echonode.core.settings import LimitsSection
    from echonode.dicom.pixels import read_clip
    from echonode.dicom.video import contact_sheet

    before, after = (read_clip(path, limits=LimitsSection()).frames for path in (source, received))
    moved = [float(np.abs(second - first).mean()) for first, second in pairwise(before.astype(np.float32))]
    start = int(np.argmax(moved))
    shown = [start * factor + step for step in sorted({round(step) for step in np.linspace(0, factor, COLUMNS)})]
    nothing = [np.full_like(before[0], 24)] * (len(shown) - 2)
    sheet_frames = [before[start], *nothing, before[start + 1], *(after[index] for index in shown)]
    labels = [f"recorded frame {start + 1}", *([""] * len(nothing)), f"recorded frame {start + 2}"]
    labels += [f"frame {index + 1} of the slow loop" for index in shown]
    Image.fromarray(contact_sheet(sheet_frames, columns=len(shown), labels=labels)).save(sheet)


def _report(played: Played, received: Path) -> None:
    import pydicom
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    before, after = (pydicom.dcmread(path, stop_before_pixels=True) for path in (played.source, received))
    runs = [item for item in played.items if item.kind == "run" and item.outcome.get("objects")]
    refused = [item for item in played.items if item.outcome.get("result") == "refused"]
    deliveries = [item for item in played.items if item.kind == "deliver"]
    same = "the same study" if before.StudyInstanceUID == after.StudyInstanceUID else "ANOTHER study"
    rows = [
        ("node ready", "answers C-ECHO", duration(played.started)),
        ("went in", f"{_words(before)}, {amount(played.source.stat().st_size)}", duration(played.stored)),
        ("rule", played.rule, ""),
        *(("model ran", _run_words(item), duration(item.updated_at - item.created_at)) for item in runs),
        *(("model refused", f"{item.queue}: {item.outcome['reason']}", "") for item in refused),
        *(("delivered", f"to {item.queue}", duration(item.updated_at - item.created_at)) for item in deliveries),
        ("came back", f"{_words(after)}, {amount(received.stat().st_size)}", ""),
        ("where", f"{same}, a new series: {getattr(after, 'SeriesDescription', '')}", ""),
        ("in all", "from the scanner's last byte to the loop in the PACS", duration(played.returned)),
    ]
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("step", style="bold")
    table.add_column("what")
    table.add_column("took", justify="right")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console().print(table)


def _words(data: Any) -> str:
    frames = int(getattr(data, "NumberOfFrames", 1))
    return (
        f"{getattr(data, 'Manufacturer', '')} {getattr(data, 'ManufacturerModelName', '')}, {frames} frames "
        f"{data.Columns}x{data.Rows}, {data.file_meta.TransferSyntaxUID.name}"
    ).strip()


def _run_words(item: WorkItem) -> str:
    seconds, device = item.outcome.get("seconds"), item.outcome.get("device")
    inside = f", {duration(float(seconds))} in the model" if seconds else ""
    return f"{item.queue}{f' on {device}' if device else ''}{inside}"


@contextmanager
def _progress() -> Iterator[Any]:
    """A function that shows what happens now: one changing line on a terminal, one line a stage elsewhere."""
    screen = console()
    if screen.is_terminal:
        with screen.status("") as status:
            yield lambda text: status.update(text)
        return
    said: list[str] = []

    def tell(text: str) -> None:
        stage = text.split(" (")[0]
        if stage not in said:
            said.append(stage)
            say(stage)

    yield tell
