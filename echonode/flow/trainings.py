"""Trainings in the night: begun when their window opens, paused while patients' runs wait, stopped when it closes.

One at a time, in a process of its own that a Trainer starts. What is to be done stands in the workitem, how far it is in
the run's folder; this object may be forgotten at any time.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from echonode.archive.archive import Archive
from echonode.core.errors import BadInput, EchonodeError, IllegalTransition, NotFound
from echonode.core.ports import Clock
from echonode.core.settings import WorkSection
from echonode.core.states import WorkState
from echonode.core.work import WorkItem, WorkKind
from echonode.flow.deliver import pause_after
from echonode.flow.training_orders import PAUSED, QUEUE, SAVING, TRAINING, TrainingOrder, order_of

LOG = logging.getLogger(__name__)
CALM_SECONDS = 5.0
"""A training goes on when no run was wanted for so long: between two loops of a study it need not wake."""
SAVING_SECONDS = 180.0
"""What a training has from the signal to its end; then it is killed, and its last checkpoint stands."""
TELLING_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """How a training process ended: with a `result`, or with a reason why there is none.

    A `lasting` reason is one that another attempt would meet again.
    """

    result: Mapping[str, Any] | None = None
    reason: str = ""
    lasting: bool = False


class Training(Protocol):
    """A training process."""

    def ended(self) -> Ended | None:
        """How it ended; None while it lives. May be asked again."""
        ...

    def progress(self) -> tuple[int, int] | None:
        """Step and steps of the run, once it has said so."""
        ...

    def pause(self) -> None:
        """Let it stand still where it is."""
        ...

    def go_on(self) -> None:
        """Let it run."""
        ...

    def stop(self) -> None:
        """Let it save and end, also when it stands still."""
        ...

    def kill(self) -> None:
        """End it at once."""
        ...


class Trainer(Protocol):
    """Starts training processes."""

    def start(self, work_id: str, arguments: Mapping[str, Any]) -> Training:
        """Begin the run that the arguments name, or go on with it.

        Raises:
            EchonodeError: it cannot be started.
        """
        ...


@dataclass(slots=True, kw_only=True)
class _InHand:
    item: WorkItem
    order: TrainingOrder
    training: Training
    seen_at: float
    renewed_at: float
    seconds: float
    wanted_at: float | None = None  # when a run was last wanted, while it is paused
    stopped: str = ""  # why it was told to end
    kill_at: float = 0.0
    ours: bool = True
    told: dict[str, Any] = field(default_factory=dict)
    told_at: float = 0.0


class Trainings:
    """Decides over TRAIN items; `sweep` is to be called every half second and never waits.

    Once `stop` is set nothing is begun, and what trains saves and ends; `close` waits for that.
    """

    def __init__(
        self,
        *,
        archive: Archive,
        trainer: Trainer,
        settings: WorkSection,
        owner: str,
        clock: Clock,
        stop: threading.Event | None = None,
    ) -> None:
        self._archive, self._trainer, self._settings = archive, trainer, settings
        self._owner, self._clock, self._stop = owner, clock, stop or threading.Event()
        self._hand: _InHand | None = None
        self._lock = threading.Lock()

    def sweep(self) -> int:
        """Begin, pause, wake, stop or conclude what is due; how many of these were done.

        Raises:
            StorageUnavailable: the database is busy or away; the next call does what this one did not.
        """
        with self._lock:
            return self._begin() if self._hand is None else self._watch(self._hand)

    def close(self, *, seconds: float = 8.0) -> None:
        """Let the training save, end it, and give its item back; it is killed when `seconds` are over."""
        self._stop.set()
        deadline = time.monotonic() + seconds
        while (hand := self._hand) is not None:
            try:
                self.sweep()
                if time.monotonic() >= deadline:
                    hand.training.kill()
            except EchonodeError as error:
                LOG.warning("a training could not be given back", extra={"reason": str(error)})
                if time.monotonic() >= deadline:
                    return  # the next worker takes it over
            time.sleep(0.05)

    @property
    def in_hand(self) -> str:
        """The id of the item that trains, or nothing."""
        return "" if self._hand is None else self._hand.item.id

    def _begin(self) -> int:
        work = self._archive.work
        waiting = work.list(kind=WorkKind.TRAIN, state=WorkState.SCHEDULED, limit=1)
        if self._stop.is_set() or not waiting or work.has_live_runs():
            return 0
        lease = self._settings.lease_seconds
        for item in work.claim(kind=WorkKind.TRAIN, owner=self._owner, lease_seconds=lease, queues={QUEUE}):
            try:
                order = order_of(item)
                now = self._clock()
                if order.window.closed(now):  # it was due in a night that this worker did not see
                    work.release(item.id, owner=self._owner, not_before=order.window.opening(now))
                    return 0
                training = self._trainer.start(item.id, order.arguments)
            except EchonodeError as error:
                self._failed(item, Ended(reason=str(error), lasting=isinstance(error, BadInput)))
                return 1
            seconds = float(item.outcome.get("seconds", 0.0))
            self._hand = _InHand(
                item=item, order=order, training=training, seen_at=now, renewed_at=now, seconds=seconds
            )
            self._audit(item, "training began", {"attempt": item.attempts})
        return int(self._hand is not None)

    def _watch(self, hand: _InHand) -> int:
        now = self._clock()
        if hand.wanted_at is None:
            hand.seconds += max(0.0, now - hand.seen_at)
        hand.seen_at = now
        if (ended := hand.training.ended()) is not None:
            self._conclude(hand, ended)
            return 1
        self._keep(hand, now)
        if hand.stopped:
            if now >= hand.kill_at:
                hand.training.kill()
            return 0
        if reason := self._reason_to_stop(hand, now):
            hand.stopped, hand.kill_at = reason, now + SAVING_SECONDS
            hand.training.stop()
            self._tell(hand, SAVING, now)
            return 1
        changed = self._yield_to_runs(hand, now)
        self._tell(hand, TRAINING if hand.wanted_at is None else PAUSED, now)
        return changed

    def _keep(self, hand: _InHand, now: float) -> None:
        """Keep the lease, and learn whether the item is ours: a person may have canceled it."""
        lease = self._settings.lease_seconds
        if not 0 <= now - hand.renewed_at < lease / 3:
            self._archive.work.renew([hand.item.id], owner=self._owner, lease_seconds=lease)
            hand.renewed_at = now
        try:
            item = self._archive.work.get(hand.item.id)
        except NotFound:
            hand.ours = False
        else:
            hand.ours = item.state is WorkState.IN_PROGRESS and item.lease_owner == self._owner

    def _reason_to_stop(self, hand: _InHand, now: float) -> str:
        if not hand.ours:
            return "canceled"
        if self._stop.is_set():
            return "the node was stopped"
        return f"stopped at {hand.order.window.until}" if hand.order.window.closed(now) else ""

    def _yield_to_runs(self, hand: _InHand, now: float) -> int:
        if self._archive.work.has_live_runs():
            paused, hand.wanted_at = hand.wanted_at is not None, now
            if not paused:
                hand.training.pause()
            return int(not paused)
        if hand.wanted_at is not None and not 0 <= now - hand.wanted_at < CALM_SECONDS:
            hand.wanted_at = None
            hand.training.go_on()
            return 1
        return 0

    def _tell(self, hand: _InHand, phase: str, now: float) -> None:
        """Let `echonode work list` say how far it is: at once when it pauses or saves, else every few seconds."""
        if phase == hand.told.get("phase") and 0 <= now - hand.told_at < TELLING_SECONDS:
            return
        outcome = {**hand.item.outcome, **self._account(hand), "phase": phase}
        if outcome != hand.told and hand.ours:
            self._archive.work.tell(hand.item.id, owner=self._owner, outcome=outcome)
        hand.told, hand.told_at = outcome, now

    @staticmethod
    def _account(hand: _InHand) -> dict[str, Any]:
        """Step, steps and seconds so far."""
        progress = hand.training.progress()
        steps = {} if progress is None else {"step": progress[0], "steps": progress[1]}
        return {**steps, "seconds": round(hand.seconds, 1)}

    def _conclude(self, hand: _InHand, ended: Ended) -> None:
        """Write down how it ended. When the database is away the same is done at the next sweep."""
        item, account = hand.item, self._account(hand)
        try:
            if not hand.ours:
                self._audit(item, "training stopped", {**account, "reason": "canceled"})
            elif ended.result is not None:
                outcome = {**hand.item.outcome, **account, **ended.result, "result": "trained"}
                outcome.pop("phase", None)
                self._archive.work.finish(item.id, owner=self._owner, outcome=outcome)
                self._audit(item, "trained", {**account, "package": ended.result.get("package")})
            elif hand.stopped:
                self._give_back(hand, account)
            else:
                self._failed(item, ended)
        except (IllegalTransition, NotFound) as error:  # canceled in this instant
            LOG.info("a training was not ours to end", extra={"workitem": item.id, "reason": str(error)})
        self._hand = None

    def _give_back(self, hand: _InHand, account: Mapping[str, Any]) -> None:
        item, now, reason = hand.item, self._clock(), hand.stopped
        self._archive.work.tell(item.id, owner=self._owner, outcome={**item.outcome, **account})
        not_before = hand.order.window.opening(now) if hand.order.window.closed(now) else now
        self._archive.work.release(item.id, owner=self._owner, not_before=not_before, reason=reason)
        self._audit(item, "training stopped", {**account, "reason": reason})

    def _failed(self, item: WorkItem, ended: Ended) -> None:
        last = ended.lasting or item.attempts >= item.max_attempts
        self._archive.work.fail(
            item.id,
            owner=self._owner,
            reason=ended.reason,
            not_before=self._clock() + pause_after(item.attempts, self._settings),
            exhausted=last,
        )
        event = "training given up" if last else "training failed"
        self._audit(item, event, {"reason": ended.reason, "attempt": item.attempts})
        LOG.warning(event, extra={"workitem": item.id, "reason": ended.reason})

    def _audit(self, item: WorkItem, event: str, details: Mapping[str, Any]) -> None:
        with self._archive.transaction() as connection:
            self._archive.audit.write(
                connection,
                event=event,
                correlation_id=item.correlation_id,
                who=self._owner,
                details={"workitem": item.id, **details},
            )
