"""Runs: claim what the executor can take, refuse what the model does not, publish and keep what comes out.

Every way a run can end is one row: COMPLETED with objects, values or the reason for a refusal, offered again after a
failure, or CANCELED with the reason when no attempt is left. What a model said is kept in the transaction that ends it.
"""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from sqlalchemy.engine import Connection

from echonode.archive.archive import Archive
from echonode.archive.blobs import LocalBlobs
from echonode.core.errors import (
    BadInput,
    EchonodeError,
    IllegalTransition,
    OutOfStorage,
    RunFailed,
    StorageUnavailable,
)
from echonode.core.identity import new_id
from echonode.core.ports import Clock, Executor, RunRequest
from echonode.core.results import Ineligible, RunOutcome
from echonode.core.routes import RoutesFile
from echonode.core.settings import NodeSettings
from echonode.core.states import WorkState
from echonode.core.tally import Tally
from echonode.core.work import WorkItem, WorkKind, WorkRequest
from echonode.flow.conclusion import Conclusion, known, not_wanted, published, refused
from echonode.flow.deliver import pause_after
from echonode.flow.leases import Leases
from echonode.flow.lines import Lines
from echonode.flow.prepare import BEGUN, LINE, SHADOW, Known, Preparation, Prepared, Refused
from echonode.flow.publish import Published, Publisher
from echonode.flow.replan import VIEWLESS
from echonode.flow.results import Origin, frames_exist, objects_of
from echonode.flow.route import SHADOW_QUEUE, shadow_queue
from echonode.flow.seen import follow
from echonode.registry.catalogue import Catalogue

LOG = logging.getLogger(__name__)
PUBLISHERS = 2
"""Results that are encoded at once."""


class Runs:
    """Takes RUN items, hands them to the executor, and ends them."""

    def __init__(
        self,
        *,
        archive: Archive,
        blobs: LocalBlobs,
        catalogue: Catalogue,
        executor: Executor,
        publisher: Publisher,
        routes: RoutesFile,
        settings: NodeSettings,
        leases: Leases,
        clock: Clock,
        tally: Tally | None = None,
    ) -> None:
        self._archive, self._blobs, self._catalogue = archive, blobs, catalogue
        self._executor, self._publisher, self._routes = executor, publisher, routes
        self._settings, self._leases, self._clock = settings, leases, clock
        self._tally = tally or Tally()
        self._lines = Lines(archive, catalogue)
        self._preparation = Preparation(archive=archive, lines=self._lines, publisher=publisher, settings=settings)
        self._ends = ThreadPoolExecutor(PUBLISHERS, thread_name_prefix="publish")
        self._open: set[str] = set()
        self._open_lock = threading.Lock()
        self._stopping = False
        self.changed = threading.Event()
        """Set when a run has ended, so that the loop need not wait for its next look."""

    def step(self, models: Sequence[str] | None = None) -> int:
        """Claim and start what there is room for, with `models` of these alone; how many items were taken."""
        taken = 0
        for line in self._lines.names() if models is None else models:
            if self._archive.work.list(kind=WorkKind.RUN, state=WorkState.SCHEDULED, queue=line, limit=1):
                taken += self._start(line, self._room(line))
        if taken == 0 and models is None and not self._open:
            taken = self._look()
        return taken

    def _look(self) -> int:
        """Start one run of a model that only looks, while nobody waits for any other; how many were taken."""
        waiting = self._archive.work.waiting_queues(SHADOW_QUEUE)
        if not waiting:
            return 0
        paused = {pause.name for pause in self._archive.pauses.list() if pause.kind == "model"}
        for queue in (each for each in waiting if each.removeprefix(SHADOW_QUEUE) not in paused):
            if self._start(queue, 1):
                return 1
        return 0

    def refuse_strays(self) -> int:
        """Cancel items that ask for a model that is not installed (any more); how many."""
        known = set(self._lines.names())
        known |= {shadow_queue(name) for name in known}
        waiting = self._archive.work.list(kind=WorkKind.RUN, state=WorkState.SCHEDULED, limit=1000)
        return sum(self._start(model, 100) for model in {item.queue for item in waiting} - known)

    @property
    def in_hand(self) -> int:
        """Runs that have started and not ended."""
        return len(self._open)

    def stop(self) -> None:
        """Take nothing more and give back what is in hand; what is being published is finished first."""
        self._stopping = True
        self._ends.shutdown(wait=True)

    def _room(self, model: str) -> int:
        try:
            return self._executor.capacity(self._lines.get(model).folder)
        except EchonodeError:
            return 1  # its items are claimed, and end with the reason

    def _start(self, model: str, limit: int) -> int:
        items = self._leases.claim(WorkKind.RUN, model, limit=limit)
        for item in items:
            self._begin(item)
        return len(items)

    def _begin(self, item: WorkItem) -> None:
        try:
            if LINE in item.payload and not self._lines.looks(item.payload["model"], line=item.payload[LINE]):
                self._ended(item, not_wanted(item))
                return
            match self._preparation.of(item):
                case Refused() as found:
                    self._ended(item, refused(item, found))
                case Known() as found:
                    self._ended(item, known(found, at=self._clock()), found.published)
                case prepared:
                    self._submit(prepared)
        except Exception as error:  # noqa: BLE001  the edge of a workitem: recorded in it
            self._failed(item, error)

    def _submit(self, prepared: Prepared) -> None:
        item, run_id = prepared.item, new_id()
        spool = self._blobs.spool / run_id
        spool.mkdir(parents=True)
        with self._open_lock:
            self._open.add(run_id)
        future = self._executor.submit(
            RunRequest(
                run_id=run_id,
                task=prepared.package.task,
                package=prepared.package.folder,
                source=Path(prepared.decoded.path),
                spool=spool,
                parameters={**prepared.parameters, **_loop_of(prepared)},
                facts=prepared.facts.as_dict(),
                correlation_id=item.correlation_id,
            )
        )
        LOG.info("run started", extra=_named(item))
        future.add_done_callback(lambda done: self._hand_over(prepared, spool, done))

    def _hand_over(self, prepared: Prepared, spool: Path, future: Future[RunOutcome]) -> None:
        try:
            self._ends.submit(self._end, prepared, spool, future)
        except RuntimeError:  # shut down: the lease is given back and the run repeated
            self._closed(spool)

    def _end(self, prepared: Prepared, spool: Path, future: Future[RunOutcome]) -> None:
        item = prepared.item
        try:
            if self._stopping or not self._leases.holds(item.id):
                return
            outcome = future.result()
            self._conclude(prepared, outcome)
        except Exception as error:  # noqa: BLE001  the edge of a workitem: recorded in it
            if not self._stopping:
                self._failed(item, error)
        finally:
            self._closed(spool)

    def _conclude(self, prepared: Prepared, outcome: RunOutcome) -> None:
        item, package = prepared.item, prepared.package
        ran: dict[str, Any] = {"seconds": round(outcome.seconds, 3), "device": outcome.device}
        if prepared.choice.instead_of:
            ran |= {"model": package.name, "instead_of": prepared.choice.instead_of, "because": prepared.choice.because}
        if outcome.details.get("package_digest", package.digest) != package.digest:
            raise RunFailed("the model package changed while the run was under way")
        if not outcome.results:
            raise RunFailed("the model gave nothing", transient=False)
        if not frames_exist(outcome.results, count=prepared.facts.frames):
            raise RunFailed("the model names frames that the object does not have", transient=False)
        now = self._archive.work.get(item.id)
        if now.state is not WorkState.IN_PROGRESS or now.lease_owner != self._leases.owner:
            LOG.info("a run is not wanted any more", extra=_named(item))
            self._leases.drop(item.id)
            return
        if now.held is not None or self._known_otherwise(prepared):
            # Two patients in one study since the run began: whose loop it is must be known before it is stored. And what
            # was read of another view than the one that is known now is read again.
            self._leases.drop(item.id)
            self._archive.work.release(item.id, owner=self._leases.owner)
            self.changed.set()
            return
        if item.payload.get(SHADOW):
            self._ended(item, published(prepared, outcome.results, (), ran=ran, revision=0, at=self._clock()))
            return
        study = self._archive.studies.state(prepared.source.study_uid)
        revision = study.revision if study is not None else 0
        origin = Origin(
            source=Path(prepared.source.path),
            package=package,
            parameters=prepared.parameters,
            node=self._settings.node,
            limits=self._settings.limits,
            now=self._publisher.now(),
            revision=revision,
            patient=study.decided_patient if study is not None else None,
        )
        makes = objects_of(outcome.results, origin)
        if makes:
            # Should this attempt be cut short, the next one ends with the same package: another would make others.
            begun = {BEGUN: {"model": package.name, "digest": package.digest}}
            self._archive.work.tell(item.id, owner=self._leases.owner, outcome=begun)
        answers = [self._publisher.publish(make, item=item) for make in makes]
        objects = [answer for answer in answers if isinstance(answer, Published)]
        refusals = [answer for answer in answers if isinstance(answer, Ineligible)]
        conclusion = published(
            prepared, (*outcome.results, *refusals), objects, ran=ran, revision=revision, at=self._clock()
        )
        self._ended(item, conclusion, objects)

    def _known_otherwise(self, prepared: Prepared) -> bool:
        """Whether the object counts as another view or mode than when the run began."""
        facts = self._archive.index.facts(prepared.facts.sop_instance_uid)
        if facts is None or prepared.package.task in VIEWLESS:
            return False
        return (facts.view, facts.mode) != (prepared.facts.view, prepared.facts.mode)

    def _ended(self, item: WorkItem, conclusion: Conclusion, objects: Sequence[Published] = ()) -> None:
        """Record what came out, keep what was said, queue deliveries and plan what follows, in one transaction."""
        owner, outcome = self._leases.owner, conclusion.outcome
        deliveries = self._publisher.deliveries(item, objects)
        try:
            with self._archive.transaction() as connection:
                wrong = self._of_the_wrong_patient(connection, item, conclusion)
                if not wrong:
                    self._write_end(connection, item, conclusion, deliveries)
            if wrong:  # it runs once more, and its objects are others
                self._leases.drop(item.id)
                self._archive.work.release(item.id, owner=owner)
                self.changed.set()
                return
        except IllegalTransition as error:  # canceled or reaped meanwhile: whoever has it now will end it
            LOG.warning("a run was not ours to end", extra=_named(item) | {"reason": str(error)})
        else:
            self._count(item, outcome)
        self._leases.drop(item.id)
        self.changed.set()
        LOG.info(
            conclusion.event, extra=_named(item) | {"result": outcome["result"], "reason": outcome.get("reason", "")}
        )

    def _of_the_wrong_patient(self, connection: Connection, item: WorkItem, conclusion: Conclusion) -> bool:
        """Whether objects were made under an identity that was corrected meanwhile; they are taken back, and went nowhere."""
        made = conclusion.reading.objects if conclusion.reading is not None else ()
        now = self._archive.studies.revision(connection, item.study_uid) if made else 0
        wrong = [each.sop_instance_uid for each in made if each.revision != now]
        if wrong:
            reason = "the patient was corrected while it was being made"
            self._archive.withdrawals.hide(connection, wrong, reason=reason)
            LOG.info(reason, extra=_named(item))
        return bool(wrong)

    def _write_end(
        self, connection: Connection, item: WorkItem, conclusion: Conclusion, deliveries: Sequence[WorkRequest]
    ) -> None:
        self._archive.work.finish(item.id, owner=self._leases.owner, outcome=conclusion.outcome, conn=connection)
        if conclusion.reading is not None:
            self._archive.readings.put(connection, conclusion.reading, shadow=conclusion.shadow)
        self._archive.work.enqueue(connection, deliveries)
        details = dict(conclusion.outcome) | {"deliver_to": [each.queue for each in deliveries]}
        self._audit(connection, item, conclusion.event, details)
        if not conclusion.shadow:
            follow(
                self._archive,
                connection,
                item,
                conclusion,
                routes=self._routes,
                settings=self._settings,
                installed=self._lines.names,
                shadows=self._lines.shadows,
            )

    def _failed(self, item: WorkItem, error: Exception) -> None:
        reason = str(error) if isinstance(error, EchonodeError) else f"{type(error).__name__}: {error}"
        transient = error.transient if isinstance(error, RunFailed) else not isinstance(error, BadInput)
        last = not transient or item.attempts >= item.max_attempts
        if isinstance(error, OutOfStorage | StorageUnavailable):
            last = False  # a full disk is no fault of the run: it waits until there is room
        if not isinstance(error, EchonodeError):
            LOG.error("a run ended in a fault", exc_info=error, extra=_named(item))
        try:
            with self._archive.transaction() as connection:
                self._archive.work.fail(
                    item.id,
                    owner=self._leases.owner,
                    reason=reason,
                    not_before=self._clock() + pause_after(item.attempts, self._settings.work),
                    exhausted=last,
                    conn=connection,
                )
                details = {"reason": reason, "attempt": item.attempts}
                self._audit(connection, item, "run given up" if last else "run failed", details)
        except EchonodeError as problem:
            LOG.warning("a run was not ours to end", extra=_named(item) | {"reason": str(problem)})
        self._leases.drop(item.id)
        if not _uncounted(item):
            self._tally.count("runs", item.queue, "given up" if last else "failed")
        self.changed.set()
        LOG.warning("run given up" if last else "run failed", extra=_named(item) | {"reason": reason})

    def _count(self, item: WorkItem, outcome: Mapping[str, Any]) -> None:
        if _uncounted(item):
            return
        self._tally.count("runs", item.queue, outcome["result"])
        if "seconds" in outcome:
            self._tally.observe("run_seconds", item.queue, seconds=outcome["seconds"])
        if outcome["result"] in ("published", "read"):
            self._tally.now("last_result_timestamp_seconds", item.queue)
            # a run is planned in the transaction that stores its loop
            self._tally.observe("store_to_result_seconds", item.queue, seconds=self._clock() - item.created_at)

    def _closed(self, spool: Path) -> None:
        shutil.rmtree(spool, ignore_errors=True)
        with self._open_lock:
            self._open.discard(spool.name)

    def _audit(self, connection: Any, item: WorkItem, event: str, details: Mapping[str, Any]) -> None:
        self._archive.audit.write(
            connection,
            event=event,
            correlation_id=item.correlation_id,
            study_uid=item.study_uid,
            sop_instance_uid=item.sop_instance_uid,
            who=self._leases.owner,
            details={"workitem": item.id, "route": item.route, "model": item.queue, **details},
        )


def _uncounted(item: WorkItem) -> bool:
    """Whether nobody waits for it: numbers of the node tell of patients alone."""
    return bool(item.payload.get("self_check") or item.payload.get(SHADOW))


def _loop_of(prepared: Prepared) -> dict[str, str]:
    """Who starts from a label map is told which loop it was made of: the map itself knows nothing of the sector."""
    return {} if prepared.decoded is prepared.source else {"loop": prepared.source.path}


def _named(item: WorkItem) -> dict[str, Any]:
    return {"workitem": item.id, "model": item.queue, "route": item.route, "correlation_id": item.correlation_id}
