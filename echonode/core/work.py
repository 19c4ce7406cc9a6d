"""Workitems as values. Their states are in core/states.py, their store in archive/workitems.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from echonode.core.states import WorkState


class WorkKind(StrEnum):
    """What a workitem asks for.

    A queue is a model's name for RUN, a destination's name for DELIVER, "report" for REPORT, "train" for TRAIN.
    """

    RUN = "run"
    DELIVER = "deliver"
    REPORT = "report"
    TRAIN = "train"


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkRequest:
    """A workitem to be enqueued; `unique_key` makes enqueueing it twice one item.

    `held` names why it must not be claimed yet (a patient identity conflict); None when nothing holds it.
    """

    kind: WorkKind
    queue: str
    unique_key: str
    study_uid: str
    series_uid: str = ""
    sop_instance_uid: str = ""
    route: str = ""
    payload: Mapping[str, Any] = field(default_factory=dict)
    correlation_id: str = ""
    priority: int = 0
    not_before: float = 0.0
    max_attempts: int = 3
    held: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkItem:
    """A workitem as stored; times are seconds since the epoch."""

    id: str
    kind: WorkKind
    queue: str
    unique_key: str
    state: WorkState
    study_uid: str
    series_uid: str
    sop_instance_uid: str
    route: str
    payload: Mapping[str, Any]
    correlation_id: str
    priority: int
    attempts: int
    max_attempts: int
    created_at: float
    updated_at: float
    not_before: float
    lease_owner: str | None
    lease_until: float | None
    held: str | None
    reason: str
    outcome: Mapping[str, Any]
