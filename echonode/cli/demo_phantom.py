"""The second scanner of `echonode demo`: a simulated heart of known truth, pushed, measured and held against it."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from echonode.cli.screen import Column, duration, say, show_rows
from echonode.core.errors import EchonodeError

if TYPE_CHECKING:
    from echonode.cli.demo_scene import Arrival, Node
    from echonode.core.package import Package
    from echonode.flow.examination import Said, Shown
    from echonode.registry.catalogue import Catalogue

DAY = date(2026, 1, 1)
"""Its patient: always the same one, in a good acoustic window."""
SCALE = 0.5
BACK_SECONDS = 75.0
MEASURE_SECONDS = 45.0
"""The demonstration is to be over before anybody gets up for coffee: what is not done by then is left out, and said."""


class _Ended(Exception):
    """The demonstration is over before the study is recorded."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Recorded:
    """A simulated study on disk with its entry of truth.json."""

    folder: Path
    truth: Mapping[str, Any]

    @property
    def shown(self) -> list[Shown]:
        """Every object with what is true of it, in the order of the examination."""
        from echonode.flow.examination import Shown

        return [Shown(entry=entry, folder=self.folder) for entry in self.truth["objects"]]


@contextmanager
def recording(folder: Path) -> Iterator[Future[Recorded]]:
    """The study, recorded beside whatever else goes on; left alone when the block ends."""
    ended = threading.Event()

    def told(done: int, total: int) -> None:
        if ended.is_set():
            raise _Ended

    def record() -> Recorded:
        from echonode.phantom.writing import write_study
        from echonode.self_scanner import study_of

        return Recorded(
            folder=folder, truth=write_study(study_of(DAY), folder, scale=SCALE, told=told).plain(folder=".")
        )

    with ThreadPoolExecutor(1, thread_name_prefix="phantom") as pool:
        future = pool.submit(record)
        try:
            yield future
        finally:
            ended.set()


def play_phantom(
    recorded: Future[Recorded], *, port: int, node: Node, arrivals: list[Arrival], tell: Callable[[str], None]
) -> tuple[Recorded, float]:
    """Push the study and wait for its slow motion, as long as the demonstration can; seconds until the last came back."""
    from echonode.cli.demo_scene import DemoFailed, push, wait_for

    tell("recording a simulated heart whose truth is known")
    study = recorded.result()
    before = len(arrivals)
    for shown in study.shown:
        push(port, study.folder / shown.entry["file"])
    sent = time.monotonic()
    loops: int = sum(shown.entry["kind"] == "loop" for shown in study.shown)

    def back() -> bool:
        node.require_running()
        tell(f"waiting for the slow motion of the simulated heart ({len(arrivals) - before} of {loops})")
        return len(arrivals) - before >= loops

    try:
        wait_for(back, seconds=BACK_SECONDS, what="the return of the simulated loops")
    except DemoFailed:
        node.require_running()
    return study, time.monotonic() - sent


def report_phantom(study: Recorded, returned: float, arrivals: Sequence[Arrival], models: Path) -> None:
    """Truth beside what came back, and beside what the installed models measure."""
    rows = [*_came_back(study, arrivals), *_measured(study, models)]
    patient = study.truth["patient"]
    say(
        f"a simulated heart went the same way (EF {patient['ef_percent']:.0f} %, {patient['heart_rate_bpm']:.0f} beats a "
        f"minute), and what is true of it is known; its loops were back in {duration(returned)}"
    )
    columns = (
        Column("from", "model"),
        Column("what", "what"),
        Column("measured", lambda row: _number(row["measured"], row["unit"]), right=True),
        Column("truth", lambda row: _number(row["truth"], row["unit"]), right=True),
        Column("", "says"),
    )
    show_rows(rows, columns)


def _came_back(study: Recorded, arrivals: Sequence[Arrival]) -> list[dict[str, Any]]:
    """Slow motion by the loop that it was made of: frames, and whether the recorded ones are still what they were."""
    import numpy as np
    import pydicom

    from echonode.core.settings import LimitsSection
    from echonode.dicom.pixels import read_clip

    made = {}
    for arrival in arrivals:
        header = pydicom.dcmread(arrival.path, stop_before_pixels=True)
        if header.StudyInstanceUID == study.truth["study_instance_uid"]:
            made[str(header.SourceImageSequence[0].ReferencedSOPInstanceUID)] = arrival.path
    rows = []
    for shown in study.shown:
        entry = shown.entry
        if entry["kind"] != "loop":
            continue
        path, recorded = made.get(entry["sop_instance_uid"]), len(entry["times_ms"])
        row: dict[str, Any] = {
            "model": "the PACS",
            "what": f"slow motion of {entry['view']}",
            "unit": "",
            "measured": None,
            "truth": None,
        }
        if path is None:
            rows.append({**row, "says": "not back within the demonstration's time"})
            continue
        before = read_clip(study.folder / entry["file"], limits=LimitsSection()).frames
        after = read_clip(path, limits=LimitsSection()).frames
        says = f"{recorded} frames became {len(after)}"
        factor = (len(after) - 1) // (recorded - 1)
        if len(after) == factor * (recorded - 1) + 1:
            middle = recorded // 2
            apart = np.abs(before[middle].astype(np.int16) - after[middle * factor].astype(np.int16)).mean()
            row |= {"what": f"{row['what']}: recorded frames differ by", "measured": float(apart), "truth": 0.0}
            row["unit"] = "of 255"
        rows.append({**row, "says": says})
    return rows


def _measured(study: Recorded, models: Path) -> list[dict[str, Any]]:
    """What each installed model of a task says of the objects that it takes; a line names the tasks without one."""
    from echonode.flow.examination import EXAMINERS
    from echonode.registry.catalogue import Catalogue

    catalogue = Catalogue([models])
    packages = [package for package in _sound(catalogue) if package.task in EXAMINERS]
    missing = sorted(set(EXAMINERS) - {package.task for package in packages})
    if missing:
        say(f"no model is installed for: {', '.join(name.replace('_', ' ') for name in missing)}")
    if not packages:
        return []
    rows: list[dict[str, Any]] = []
    begun = time.monotonic()
    for package in packages:
        if time.monotonic() - begun > MEASURE_SECONDS:
            say(f"{package.name} is left out: the demonstration has no more time")
            continue
        for shown in study.shown:
            where = shown.entry["view"] or f"{shown.entry['level']} M-mode"
            rows += [_row(package, said, str(where)) for said in _asked(package, shown, catalogue)]
    return rows


def _sound(catalogue: Catalogue) -> Iterator[Package]:
    for name in catalogue.names():
        try:
            yield catalogue.get(name)
        except EchonodeError as error:
            say(f"{name} is left out: {error}")


def _asked(package: Package, shown: Shown, catalogue: Catalogue) -> list[Said]:
    """What the model says of one object; nothing of one that it does not take."""
    from echonode.cli.routes import facts_of_file
    from echonode.core.ports import RunRequest
    from echonode.core.settings import LimitsSection, SelfCheckSection
    from echonode.core.task import installed_tasks
    from echonode.execution.inline import InlineExecutor
    from echonode.flow.contract import refusal_of
    from echonode.flow.examination import PARAMETERS, Said, examine

    source = shown.folder / shown.entry["file"]
    facts = facts_of_file(source)
    facts = replace(facts, view=shown.entry["view"] or facts.view)
    if refusal_of(catalogue.manifest(package.name).input, facts) is not None:
        return []
    spool = shown.folder / ".spool"
    spool.mkdir(exist_ok=True)
    executor = InlineExecutor(tasks=installed_tasks(), limits=LimitsSection(), device="cpu", threads=0)
    try:
        outcome = executor.submit(
            RunRequest(
                run_id=shown.entry["sop_instance_uid"],
                task=package.task,
                package=package.folder,
                source=source,
                spool=spool,
                parameters=PARAMETERS.get(package.task, {}),
                facts=facts.as_dict(),
            )
        ).result()
        return examine(package.task, outcome.results, shown, SelfCheckSection())
    except EchonodeError as error:
        return [Said(what="no answer", says=str(error), ok=False)]
    finally:
        executor.shutdown()
        shutil.rmtree(spool, ignore_errors=True)


def _row(package: Package, said: Said, where: str) -> dict[str, Any]:
    from echonode.cli.guard import mark_of

    words = "; ".join(each for each in (said.says, mark_of([package])) if each)
    return {
        "model": package.name, "what": f"{said.what}, {where}", "unit": said.unit, "measured": said.measured,
        "truth": said.truth, "says": words,
    }  # fmt: skip


def _number(value: float | None, unit: str) -> str:
    return "" if value is None else f"{value:.3g} {unit}".rstrip()
