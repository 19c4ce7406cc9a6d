"""The second scanner of `echonode demo`: a full study of a simulated heart goes in, and its report comes back.

What the report says, read from the object that the PACS received, stands beside what is true of the heart.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from echonode.cli.screen import Column, duration, say, show_rows

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from echonode.cli.demo_scene import Arrival, Node
    from echonode.cli.read_report import Said
    from echonode.flow.examination import Shown
    from echonode.phantom.cohort import Study

SEED, CANDIDATES, PRESET = 20260101, 64, "routine"
"""Its patient: always the same one of the cohort, one who can be seen well and whose heart does not move as it should."""
SCALE = 0.5
BACK_SECONDS = 420.0
COMPREHENSIVE_3D = "1.2.840.10008.5.1.4.1.1.88.34"
EJECTION_FRACTION, HEART_RATE, WALL_MOTION = "18043-0", "8867-4", "PROB-WMA"
DIAMETERS = {"29436-3": ("LVIDd", "lvidd_mm"), "29438-9": ("LVIDs", "lvids_mm")}
ABNORMAL_SCORE = 2


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

        return Recorded(
            folder=folder, truth=write_study(study_shown(), folder, scale=SCALE, told=told).plain(folder=".")
        )

    with ThreadPoolExecutor(1, thread_name_prefix="phantom") as pool:
        future = pool.submit(record)
        try:
            yield future
        finally:
            ended.set()


@dataclass(frozen=True, kw_only=True, slots=True)
class Examined:
    """What became of the study: seconds until its report was in the PACS, None where none came, and all that arrived."""

    study: Recorded
    seconds: float
    report: Path | None
    arrivals: tuple[Arrival, ...]


def play_phantom(
    recorded: Future[Recorded], *, port: int, node: Node, arrivals: list[Arrival], tell: Callable[[str], None]
) -> Examined:
    """Push the study and wait for its report, as long as the demonstration can."""
    from echonode.cli.demo_scene import DemoFailed, push, wait_for

    tell("recording a simulated heart whose truth is known")
    study = recorded.result()
    before = len(arrivals)
    for shown in study.shown:
        push(port, study.folder / shown.entry["file"])
    sent = time.monotonic()

    def back() -> bool:
        node.require_running()
        tell(f"waiting for the report of the simulated heart ({len(arrivals) - before} objects are back)")
        return _report_of(study, arrivals) is not None

    with suppress(DemoFailed):
        wait_for(back, seconds=BACK_SECONDS, what="the return of the report")
    node.require_running()
    return Examined(
        study=study,
        seconds=time.monotonic() - sent,
        report=_report_of(study, arrivals),
        arrivals=tuple(arrivals[before:]),
    )


def report_phantom(examined: Examined) -> None:
    """Truth beside what the report in the PACS says."""
    from collections import Counter

    import pydicom

    study = examined.study
    patient = study.truth["patient"]
    classes: Counter[str] = Counter()
    for arrival in examined.arrivals:
        classes[str(pydicom.dcmread(arrival.path, stop_before_pixels=True).get("SeriesDescription", ""))] += 1
    say(
        f"a simulated heart went the same way: {len(study.shown)} objects, EF {patient['ef_percent']:.0f} %, "
        f"{patient['heart_rate_bpm']:.0f} beats a minute"
    )
    for name, count in sorted(classes.items()):
        say(f"  came back  {count:2d}  {name}")
    if examined.report is None:
        say("its report did not come back within the demonstration's time")
        return
    say(
        f"its report was in the PACS {duration(examined.seconds)} after the last object went in; what it says, and what is true:"
    )
    report = pydicom.dcmread(examined.report)
    columns = (
        Column("", "what"),
        Column("in the report", "said", right=True),
        Column("truth", "truth", right=True),
        Column("95 % limits", "limits", right=True),
        Column("how", "how"),
    )
    show_rows(list(_beside_truth(report, study)), columns)


def _report_of(study: Recorded, arrivals: Sequence[Arrival]) -> Path | None:
    """The newest report of the study that reached the PACS."""
    import pydicom

    for arrival in reversed(arrivals):
        if arrival.sop_class_uid == COMPREHENSIVE_3D:
            header = pydicom.dcmread(arrival.path, specific_tags=["StudyInstanceUID"])
            if header.StudyInstanceUID == study.truth["study_instance_uid"]:
                return arrival.path
    return None


def _beside_truth(report: Dataset, study: Recorded) -> Iterator[dict[str, Any]]:
    """One row a view, then one a number that the truth knows."""
    from echonode.cli.read_report import VIEW, said_in
    from echonode.dicom.views import VIEWS

    entries = {str(entry["sop_instance_uid"]): entry for entry in study.truth["objects"]}
    said = said_in(report)
    for each in said:
        entry = entries.get(each.sources[0]) if each.concept == VIEW and each.code and len(each.sources) == 1 else None
        if entry is None or entry["kind"] != "loop":
            continue
        name = next((name for name, code in VIEWS.items() if code.value == each.code), each.words)
        sure = "" if each.confidence is None else f"confidence {each.confidence:.2f}"
        colour = ", colour" if entry["colour"] else ""
        yield {"what": f"view of object {entry['file']}{colour}", "said": name, "truth": entry["view"], "how": sure}
    for each in said:
        yield from _number_beside_truth(each, study, entries)


def _number_beside_truth(each: Said, study: Recorded, entries: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    if each.value is None:
        return
    patient = study.truth["patient"]
    entry = entries.get(each.sources[0], {}) if each.sources else {}
    what, truth, unit = "", None, each.unit
    if each.concept == EJECTION_FRACTION:
        what, truth = "EF", float(patient["ef_percent"])
    elif each.concept == HEART_RATE:
        what, truth, unit = "heart rate", float(patient["heart_rate_bpm"]), "/min"
    elif each.concept in DIAMETERS:
        what, key = DIAMETERS[each.concept]
        known = entry.get("truth", {}).get(key)
        truth = float(median(known)) if known else None
    elif each.concept == WALL_MOTION:
        scores = [int(segment["score"]) for segment in entry.get("truth", {}).get("segments") or ()]
        abnormal = sum(score >= ABNORMAL_SCORE for score in scores)
        yield {
            "what": "wall motion abnormality", "said": f"{each.value:.0f} %",
            "truth": f"{abnormal} of {len(scores)} segments" if scores else "", "how": each.method,
        }  # fmt: skip
        return
    if not what:
        return
    star = "*" if each.selected else ""
    yield {
        "what": f"{what}{star}", "said": f"{each.value:.4g} {unit}",
        "truth": "" if truth is None else f"{truth:.4g} {unit}",
        "limits": "" if each.limits is None else f"+-{each.limits:.3g}",
        "how": "; ".join(part for part in (each.method, str(entry.get("view") or entry.get("level") or "")) if part),
    }  # fmt: skip


def study_shown() -> Study:
    """The study that is recorded: in a good acoustic window, with segments that move badly in the four-chamber view."""
    from echonode.phantom.cohort import Cohort

    cohort = Cohort(count=CANDIDATES, seed=SEED, preset=PRESET)

    def fitness(study: Study) -> float:
        bad = sum(score >= ABNORMAL_SCORE for score in study.patient.wall_motion)
        return min(plan.quality for plan in study.plans) - (0.0 if 3 <= bad <= 9 else 1.0)

    return max(cohort, key=fitness)
