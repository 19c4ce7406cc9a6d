"""Orders of trainings for the night: made by a person, kept as work, and told in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from echonode.archive.archive import Archive
from echonode.core.errors import BadInput
from echonode.core.identity import digest_of, new_id
from echonode.core.states import WorkState
from echonode.core.window import Window, time_of_day
from echonode.core.work import WorkItem, WorkKind, WorkRequest

QUEUE = "train"
ATTEMPTS = 3
PAUSED, TRAINING, SAVING = "paused", "training", "saving"


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingOrder:
    """What is to be trained, when, and who wants it.

    `arguments` are the fields of the arguments of `echonode train` as plain JSON values, checked by who made the order;
    every path in them is absolute.
    """

    arguments: Mapping[str, Any]
    window: Window
    who: str

    def payload(self) -> dict[str, Any]:
        """As a workitem keeps it."""
        window = {"at": self.window.at, "until": self.window.until}
        return {"arguments": dict(self.arguments), **window, "who": self.who}


def order_of(item: WorkItem) -> TrainingOrder:
    """The order that a workitem keeps.

    Raises:
        BadInput: it keeps none.
    """
    try:
        arguments = dict(item.payload["arguments"])
        window = Window(at=item.payload["at"], until=item.payload.get("until", ""))
        return TrainingOrder(arguments=arguments, window=window, who=str(item.payload.get("who", "")))
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(f"workitem {item.id} holds no order of a training: {error}") from error


def order_training(archive: Archive, order: TrainingOrder) -> WorkItem:
    """Keep the order as a workitem that is offered when its window opens; audited.

    Raises:
        BadInput: the run's folder has been ordered before; the message says what to do.
    """
    out, mark = str(order.arguments["out"]), new_id()
    request = WorkRequest(
        kind=WorkKind.TRAIN,
        queue=QUEUE,
        unique_key=f"train {digest_of(out)}",
        study_uid="",
        payload=order.payload(),
        correlation_id=mark,
        not_before=order.window.opening(archive.clock()),
        max_attempts=ATTEMPTS,
    )
    with archive.transaction() as connection:
        (work_id,) = archive.work.enqueue(connection, [request])
        item = archive.work.get(work_id, conn=connection)
        if item.correlation_id != mark:
            ended = item.state in (WorkState.COMPLETED, WorkState.CANCELED)
            hint = f"echonode work retry {item.id[:8]} goes on with it" if ended else "it has not ended"
            raise BadInput(f"{out}: workitem {item.id[:8]} trains there already: {hint}; --out names another folder")
        archive.audit.write(
            connection,
            event="training ordered",
            correlation_id=mark,
            who=order.who,
            details={"workitem": work_id, "task": order.arguments.get("task", ""), "window": str(order.window)},
        )
    return item


def words(item: WorkItem, now: float) -> str:
    """One line for people: where the training stands."""
    done = _progress(item.outcome)
    match item.state:
        case WorkState.SCHEDULED if item.held:
            return f"held: {item.held}"
        case WorkState.SCHEDULED:
            waits = item.not_before > now
            if item.reason:
                return f"{item.reason}, goes on {f'at {time_of_day(item.not_before)}' if waits else 'in its turn'}"
            return f"waits for {time_of_day(item.not_before)}" if waits else "waits for its turn"
        case WorkState.IN_PROGRESS:
            phase = {PAUSED: "paused for live runs", SAVING: "saves what it has"}
            said = phase.get(str(item.outcome.get("phase", "")), "training")
            return ", ".join([said, *done])
        case WorkState.CANCELED:
            return f"given up: {item.reason}"
    package, metrics = item.outcome.get("package"), item.outcome.get("metrics") or ()
    told = [f"{each['name']} {each['value']:.4g} {each.get('unit', '')}".rstrip() for each in metrics[:2]]
    return ", ".join(["trained", *done, *told, f"package {package}" if package else "no package"])


def _progress(outcome: Mapping[str, Any]) -> list[str]:
    done = [f"step {outcome['step']} of {outcome['steps']}"] if outcome.get("steps") else []
    minutes = int(outcome.get("seconds", 0) // 60)
    if not minutes:
        return done
    return [*done, f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"]
