"""The life of a workitem as one table of (state, event) -> state.

A workitem is what DICOM calls a Unified Procedure Step (PS3.4 CC.1.1): SCHEDULED -> IN PROGRESS -> COMPLETED or
CANCELED. Refusals of a model are COMPLETED: "why not" is a result.
"""

from __future__ import annotations

from enum import StrEnum

from echonode.core.errors import IllegalTransition


class WorkState(StrEnum):
    """States of PS3.4 table CC.1.1-1, in the spelling of Procedure Step State (0074,1000)."""

    SCHEDULED = "SCHEDULED"
    IN_PROGRESS = "IN PROGRESS"
    COMPLETED = "COMPLETED"
    CANCELED = "CANCELED"


class WorkEvent(StrEnum):
    """What can happen to a workitem."""

    CLAIM = "claim"  # a worker takes the lease
    RENEW = "renew"  # the worker's heartbeat
    FINISH = "finish"  # done, or refused with a reason
    FAIL = "fail"  # this attempt failed, another is allowed
    LAPSE = "lapse"  # the lease ended without a word, another attempt is allowed
    EXHAUST = "exhaust"  # this attempt failed or lapsed and was the last
    RELEASE = "release"  # the worker gives it back untouched (shutdown): the attempt does not count
    CANCEL = "cancel"  # a person or a superseding plan
    RETRY = "retry"  # a person asks again


OPEN = (WorkState.SCHEDULED, WorkState.IN_PROGRESS)
"""States of a workitem that has not ended."""

_S, _E = WorkState, WorkEvent
TRANSITIONS: dict[tuple[WorkState, WorkEvent], WorkState] = {
    (_S.SCHEDULED, _E.CLAIM): _S.IN_PROGRESS,
    (_S.SCHEDULED, _E.CANCEL): _S.CANCELED,
    (_S.IN_PROGRESS, _E.RENEW): _S.IN_PROGRESS,
    (_S.IN_PROGRESS, _E.FINISH): _S.COMPLETED,
    (_S.IN_PROGRESS, _E.FAIL): _S.SCHEDULED,
    (_S.IN_PROGRESS, _E.LAPSE): _S.SCHEDULED,
    (_S.IN_PROGRESS, _E.EXHAUST): _S.CANCELED,
    (_S.IN_PROGRESS, _E.RELEASE): _S.SCHEDULED,
    (_S.IN_PROGRESS, _E.CANCEL): _S.CANCELED,
    (_S.COMPLETED, _E.RETRY): _S.SCHEDULED,
    (_S.CANCELED, _E.RETRY): _S.SCHEDULED,
}


def after(state: WorkState, event: WorkEvent) -> WorkState:
    """The state after `event`.

    Raises:
        IllegalTransition: the table has no such pair.
    """
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise IllegalTransition(f"a workitem that is {state} cannot {event}") from None
