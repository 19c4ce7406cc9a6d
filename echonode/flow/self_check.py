"""The node checks itself: a simulated study comes in as a scanner's would, and what comes back is held against the truth.

What it sends carries the node's own marker. It is therefore hidden, never delivered and never counted, and it is purged
when the check ends: at the latest at the next start, when this process was killed in between.
"""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from echonode.archive.activity import is_alive, process_name
from echonode.archive.archive import Archive
from echonode.archive.blobs import LocalBlobs
from echonode.archive.self_checks import Answer, Check, CheckState
from echonode.core.errors import EchonodeError, IllegalTransition, NotFound, RunFailed
from echonode.core.facts import Facts
from echonode.core.identity import new_id
from echonode.core.model_states import RUNS
from echonode.core.package import Package
from echonode.core.ports import Executor, RunRequest
from echonode.core.results import RunOutcome
from echonode.core.routes import Route
from echonode.core.settings import NodeSettings, SelfCheckSection
from echonode.core.states import WorkState
from echonode.core.work import WorkItem, WorkKind
from echonode.dicom.storage import EXPLICIT_LE
from echonode.flow.contract import refusal_of
from echonode.flow.decoding import Decoder
from echonode.flow.examination import EXAMINERS, PARAMETERS, Said, Shown, compared, examine
from echonode.flow.route import run_request
from echonode.registry.catalogue import Catalogue

LOG = logging.getLogger(__name__)
FOLDER = "self-check-"
SLOW_MOTION = "slow_motion"
LOOK_SECONDS = 0.5
REMEMBERED_SECONDS = 400 * 86400.0
_ENDED = (WorkState.COMPLETED, WorkState.CANCELED)
_MOST_ITEMS = 10_000


class Scanner(Protocol):
    """Records simulated studies and sends them to this node as a scanner would."""

    def record(self, folder: Path, *, day: date, occasion: str, told: Callable[[int, int], None]) -> Mapping[str, Any]:
        """Write a study into `folder`; its entry of truth.json. Another study each day, other UIDs each occasion.

        `told` hears how many objects are there, of how many; what it raises ends the recording.
        """
        ...

    def push(self, files: Sequence[Path]) -> Iterator[tuple[bool, str]]:
        """Send them over one association: whether the node took each, and what it said."""
        ...


class Stopped(Exception):
    """The node ends in the middle of a check."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Study:
    """What was sent: the entry of truth.json of each object by its SOP Instance UID."""

    uid: str
    folder: Path
    entries: Mapping[str, Mapping[str, Any]]

    def shown(self, sop_instance_uid: str) -> Shown:
        return Shown(entry=self.entries[sop_instance_uid], folder=self.folder)


class SelfCheck:
    """Does the checks that were asked for, one at a time, in a thread of its own; `step` never waits."""

    def __init__(
        self,
        *,
        archive: Archive,
        blobs: LocalBlobs,
        catalogue: Catalogue,
        executor: Executor,
        settings: NodeSettings,
        scanner: Scanner,
    ) -> None:
        self._archive, self._blobs, self._catalogue = archive, blobs, catalogue
        self._executor, self._settings, self._scanner = executor, settings, scanner
        self._owner = process_name()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._checked = False

    def step(self) -> int:
        """Begin the next check that was asked for, if none runs; how many were begun."""
        if self._stop.is_set() or (self._thread is not None and self._thread.is_alive()):
            return 0
        if not self._checked:
            self.clear()
            self._checked = True
        check = self._archive.self_checks.claim(owner=self._owner)
        if check is None:
            return 0
        self._thread = threading.Thread(target=self._run, args=(check,), name="self-check", daemon=True)
        self._thread.start()
        return 1

    def stop(self, *, seconds: float = 10.0) -> None:
        """End a check that runs; what it sent is purged now if there is time, else at the next start."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=seconds)

    def clear(self) -> int:
        """End checks of processes that are gone, and purge whatever is hidden and of no running check; how many objects."""
        checks = self._archive.self_checks
        checks.end_interrupted(is_alive)
        running = {check.study_uid for check in checks.list(state=CheckState.RUNNING, limit=1000)}
        left = [uid for uid in self._archive.hidden.studies() if uid not in running]
        purged = sum(self._purge(uid, folder=None) for uid in left)
        checks.forget(before=self._archive.clock() - REMEMBERED_SECONDS)
        return purged

    def _run(self, check: Check) -> None:
        try:
            self._check(check)
        except Exception:  # the edge of a check: its row says that it broke
            LOG.exception("a self-check broke", extra={"check": check.id})

    def _check(self, check: Check) -> None:
        folder = self._blobs.spool / f"{FOLDER}{check.id}"
        ok: bool | None = False
        study_uid, says = "", "the check itself broke; the log tells how"
        answers: list[Answer] = []
        deadline = self._archive.clock() + self._settings.self_check.timeout_seconds
        try:
            day = datetime.fromtimestamp(check.asked_at).astimezone().date()
            truth = self._scanner.record(folder, day=day, occasion=check.id, told=self._told)
            study_uid = str(truth["study_instance_uid"])
            self._archive.self_checks.names(check.id, study_uid)
            entries = {entry["sop_instance_uid"]: entry for entry in truth["objects"]}
            study = _Study(uid=study_uid, folder=folder, entries=entries)
            answers += self._send(study)
            answers += self._slow_motion(study, deadline)
            answers += self._measurements(study, deadline)
            wrong = [answer for answer in answers if not answer.ok]
            ok = not wrong
            says = "; ".join(words_of(answer) for answer in wrong) or f"{len(answers)} answers within their limits"
        except Stopped:
            ok = None
            says = "interrupted: the node was ended"
        except EchonodeError as error:
            ok, says = False, str(error)
        finally:
            self._end(check, ok=ok, says=says, answers=answers)
            self._purge(study_uid, folder=folder)

    def _send(self, study: _Study) -> list[Answer]:
        files = [study.folder / str(entry["file"]) for entry in study.entries.values()]
        taken, words = 0, ""
        for good, detail in self._scanner.push(files):
            taken += good
            words = words if good else detail
        stored = [self._archive.index.facts(uid) for uid in study.entries]
        known = [facts for facts in stored if facts is not None]
        hidden = sum(facts.self_check for facts in known)
        said = [compared("objects", unit="", measured=min(taken, len(known)), truth=len(files), limit=0)]
        if hidden != len(known):  # never silently: the study would be taken for a patient's
            said.append(Said(what="marker", says="the node did not know its own objects", ok=False))
        elif words:
            said.append(Said(what="store", says=words, ok=False))
        return self._answers("store", "", said)

    def _slow_motion(self, study: _Study, deadline: float) -> list[Answer]:
        """The loops that the rules send to slow motion; where they send none, one loop goes there all the same."""
        if not any(item.payload.get("task") == SLOW_MOTION for item in self._items(study)):
            self._plan_slow_motion(study)
        items = self._wait(study, deadline)
        answers: list[Answer] = []
        with_decoder = Decoder(limits=self._settings.limits, blobs=self._blobs)
        try:
            for item in items:
                if item.payload.get("task") == SLOW_MOTION:
                    answers += self._answers(SLOW_MOTION, item.queue, self._came_back(item, study, with_decoder))
        finally:
            with_decoder.close()
        return answers

    def _plan_slow_motion(self, study: _Study) -> None:
        package = next((each for each in self._packages() if each.task == SLOW_MOTION), None)
        loops = [uid for uid, entry in study.entries.items() if entry["kind"] == "loop" and not entry["colour"]]
        facts = self._archive.index.facts(loops[-1]) if loops else None
        if package is None or facts is None:
            return
        route = Route(name="self-check", task=SLOW_MOTION, model=package.name)
        request = run_request(route, facts, self._settings)
        self._archive.write(lambda connection: self._archive.work.enqueue(connection, [request]))

    def _wait(self, study: _Study, deadline: float) -> list[WorkItem]:
        """The runs of the study once all have ended, or the time is up."""
        while True:
            items = self._items(study)
            if all(item.state in _ENDED for item in items) or self._archive.clock() > deadline:
                return items
            if self._stop.wait(LOOK_SECONDS):
                raise Stopped

    def _items(self, study: _Study) -> list[WorkItem]:
        found = self._archive.work.list(kind=WorkKind.RUN, study_uid=study.uid, limit=_MOST_ITEMS)
        return [item for item in reversed(found) if item.payload.get("self_check")]

    def _came_back(self, item: WorkItem, study: _Study, decoder: Decoder) -> list[Said]:
        entry = study.entries[item.sop_instance_uid]
        where = f"{entry['view'] or entry['level']}"
        if item.outcome.get("result") == "refused" and entry["kind"] != "loop":
            return []  # a picture is no loop: that it is refused is as it should be
        uid = str(item.outcome.get("sop_instance_uid", ""))
        source, made = self._archive.index.instance(item.sop_instance_uid), self._archive.index.instance(uid)
        facts = self._archive.index.facts(uid) if uid else None
        if source is None or made is None or facts is None:
            why = item.outcome.get("reason") or item.reason or "it did not come back in time"
            return [Said(what=f"slow motion of {where}", says=str(why), ok=False)]
        recorded, frames = len(entry["times_ms"]), facts.frames
        said = [
            Said(what=f"frames of {where}", measured=float(frames), says=f"{recorded} recorded", ok=frames > recorded)
        ]
        if (frames - 1) % (recorded - 1) == 0 and frames > recorded:
            said += self._pictures(Path(source.path), Path(made.path), recorded, frames, where, decoder)
        return said

    def _pictures(
        self, source: Path, made: Path, recorded: int, frames: int, where: str, decoder: Decoder
    ) -> list[Said]:
        """Recorded frames come back as they were, and what lies between two of them is like both."""
        factor, first = (frames - 1) // (recorded - 1), recorded // 2
        before = _decoded(decoder, source, [first, first + 1])
        after = _decoded(decoder, made, [first * factor, first * factor + factor // 2, (first + 1) * factor])
        limit = self._settings.self_check.grey_levels
        if before[0].shape != after[0].shape:
            return [Said(what=f"size of {where}", says="the slow loop has another size", ok=False)]
        kept = (_difference(before[0], after[0]) + _difference(before[1], after[2])) / 2
        between = (_difference(before[0], after[1]) + _difference(before[1], after[1])) / 2
        apart = _difference(before[0], before[1])
        return [
            compared(f"recorded frames of {where}", unit="grey", measured=kept, truth=0.0, limit=limit),
            compared(f"frames between of {where}", unit="grey", measured=between, truth=0.0, limit=limit + apart),
        ]

    def _measurements(self, study: _Study, deadline: float) -> list[Answer]:
        answers: list[Answer] = []
        for package in self._packages():
            if package.task in EXAMINERS:
                answers += self._measured(package, study, deadline)
        return answers

    def _measured(self, package: Package, study: _Study, deadline: float) -> list[Answer]:
        contract = self._catalogue.manifest(package.name).input
        said: list[Said] = []
        asked = 0
        for uid in study.entries:
            shown, facts = study.shown(uid), self._archive.index.facts(uid)
            if facts is None:
                continue
            facts = replace(facts, view=shown.entry["view"] or facts.view)  # headers of some makers do not tell
            if refusal_of(contract, facts) is not None:
                continue
            asked += 1
            where = f" of {shown.entry['view'] or shown.entry['level']}"
            try:
                found = self._examined(package, facts, shown, deadline)
            except RunFailed as error:
                found = [Said(what="run", says=str(error), ok=False)]
            said += [replace(each, what=each.what + where) for each in found]
        # Only a model that learned from simulated hearts can be held against one; of any other it is asked to answer.
        fair = package.simulated
        said = [each if fair or each.measured is None else replace(each, limit=None, ok=True) for each in said]
        if asked and not any(each.measured is not None for each in said):
            said.append(Said(what="answer", says="no answer to any of the objects that it takes", ok=False))
        return self._answers(package.task, package.name, said)

    def _examined(self, package: Package, facts: Facts, shown: Shown, deadline: float) -> list[Said]:
        stored = self._archive.index.instance(facts.sop_instance_uid)
        if stored is None:
            raise RunFailed("the object is gone")
        run_id = new_id()
        spool = self._blobs.spool / run_id
        spool.mkdir(parents=True)
        try:
            outcome = self._awaited(
                self._executor.submit(
                    RunRequest(
                        run_id=run_id,
                        task=package.task,
                        package=package.folder,
                        source=Path(stored.path),
                        spool=spool,
                        parameters=PARAMETERS.get(package.task, {}),
                        facts=facts.as_dict(),
                    )
                ),
                deadline,
            )
            return examine(package.task, outcome.results, shown, self._settings.self_check)
        finally:
            shutil.rmtree(spool, ignore_errors=True)

    def _awaited(self, future: Future[RunOutcome], deadline: float) -> RunOutcome:
        while True:
            if self._stop.is_set():
                future.cancel()
                raise Stopped
            try:
                return future.result(timeout=LOOK_SECONDS)
            except (FutureTimeout, CancelledError) as error:
                if future.done() or self._archive.clock() > deadline:
                    future.cancel()
                    raise RunFailed("no answer in time") from error

    def _packages(self) -> list[Package]:
        """Every sound package that may answer for patients, by name; what is not sound says so in `echonode models list`."""
        found = []
        standing = self._archive.models.standing()
        for name in (each for each in self._catalogue.names() if standing.state(each) in RUNS):
            try:
                found.append(self._catalogue.get(name))
            except EchonodeError as error:
                LOG.warning("a model cannot be checked", extra={"model": name, "reason": str(error)})
        return found

    def _answers(self, task: str, model: str, said: Sequence[Said]) -> list[Answer]:
        now = self._archive.clock()
        return [
            Answer(
                at=now,
                task=task,
                model=model,
                what=each.what,
                unit=each.unit,
                measured=each.measured,
                truth=each.truth,
                limit=each.limit,
                ok=each.ok,
                says=each.says,
            )
            for each in said
        ]

    def _told(self, done: int, total: int) -> None:
        if self._stop.is_set():
            raise Stopped

    def _end(self, check: Check, *, ok: bool | None, says: str, answers: Sequence[Answer]) -> None:
        try:
            self._archive.self_checks.end(check.id, ok=ok, says=says, answers=answers)
        except EchonodeError as error:
            LOG.error("a self-check could not be written down", extra={"check": check.id, "reason": str(error)})
        level = logging.ERROR if ok is False else logging.INFO
        word = {True: "self-check passed", False: "self-check FAILED", None: "self-check interrupted"}[ok]
        LOG.log(level, word, extra={"check": check.id, "answers": len(answers), "says": says})

    def _purge(self, study_uid: str, *, folder: Path | None) -> int:
        purged = 0
        try:
            if study_uid:
                self._cancel(study_uid)
                purged = self._archive.hidden.purge(study_uid)
                with self._archive.transaction() as connection:
                    details = {"objects": purged}
                    self._archive.audit.write(
                        connection, event="self-check purged", study_uid=study_uid, who=self._owner, details=details
                    )
        except (EchonodeError, OSError) as error:
            LOG.warning("a self-check is not purged yet; it is at the next one", extra={"reason": str(error)})
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
        return purged

    def _cancel(self, study_uid: str) -> None:
        for item in self._archive.work.list(study_uid=study_uid, limit=_MOST_ITEMS):
            if item.payload.get("self_check") and item.state not in _ENDED:
                try:
                    self._archive.work.cancel(item.id, reason="the self-check ended")
                except (IllegalTransition, NotFound):
                    continue  # it ended meanwhile


def ask_nightly(archive: Archive, settings: SelfCheckSection) -> int:
    """Ask for this night's check when it is due, once however often this is called; 1 when it was asked for now.

    A node that did not run within the hour has no check that night.
    """
    now = datetime.fromtimestamp(archive.clock()).astimezone()
    due = now.replace(hour=int(settings.at[:2]), minute=int(settings.at[3:]), second=0, microsecond=0)
    if not due <= now < due + timedelta(hours=1):
        return 0
    return int(archive.self_checks.ask(by="schedule", occasion=f"night {now:%Y-%m-%d}") is not None)


def words_of(answer: Answer) -> str:
    """One line for people: what was measured, what is true, and how far off it may be."""
    name = " ".join(part for part in (answer.model or answer.task, answer.what) if part)
    if answer.measured is None or answer.truth is None:
        return f"{name}: {answer.says or answer.measured}"
    unit = f" {answer.unit}" if answer.unit else ""
    limit = "" if answer.limit is None else f", limit {answer.limit:g}{unit}"
    return f"{name}: {answer.measured:.4g}{unit}, truth {answer.truth:.4g}{unit}{limit}"


def _decoded(decoder: Decoder, path: Path, frames: Sequence[int]) -> list[np.ndarray]:
    stream, lengths = decoder.frames(path, EXPLICIT_LE, frames)
    with stream:
        return [np.frombuffer(stream.read(length), dtype=np.uint8).astype(np.int16) for length in lengths]


def _difference(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.abs(first - second).mean())
