"""What is done every so often: a table of idempotent sweeps. The schedule lives in memory and holds no truth.

Two sweeps at once, none for a day, or one that is killed in the middle: nothing is lost by it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from apscheduler.schedulers.background import BackgroundScheduler

from echonode.archive.archive import Archive
from echonode.archive.blobs import LocalBlobs
from echonode.archive.vitals import fold_vitals
from echonode.core.settings import NodeSettings
from echonode.flow.orphans import sweep_orphans
from echonode.flow.reporting import Reporting
from echonode.flow.self_check import SelfCheck, ask_nightly
from echonode.flow.settle import settle
from echonode.flow.trainings import Trainings

LOG = logging.getLogger(__name__)
HOUR = 3600.0
DAY = 24 * HOUR
REMEMBERED_SECONDS = 7 * DAY


@dataclass(frozen=True, kw_only=True, slots=True)
class Sweep:
    """One row of the table: its name, how often, what it does, and how many things it did."""

    name: str
    every_seconds: float
    run: Callable[[], int]


def sweeps(
    archive: Archive,
    blobs: LocalBlobs,
    settings: NodeSettings,
    *,
    strays: Callable[[], int],
    check: SelfCheck | None = None,
    reporting: Reporting | None = None,
    trainings: Trainings | None = None,
) -> list[Sweep]:
    """The table for one node; `strays` ends workitems whose model or destination is gone, `check` checks the node,
    `reporting` asks for the reports that are due, `trainings` trains in the night."""
    return [
        *([] if check is None else _checks(archive, settings, check)),
        *([] if reporting is None else [Sweep(name="reports due", every_seconds=2.0, run=reporting.sweep)]),
        *([] if trainings is None else [Sweep(name="trainings", every_seconds=0.5, run=trainings.sweep)]),
        Sweep(name="lapsed leases", every_seconds=min(5.0, settings.work.lease_seconds), run=archive.work.reap),
        Sweep(
            name="complete studies",
            every_seconds=max(1.0, min(15.0, settings.settle.quiet_seconds / 4)),
            run=lambda: len(settle(archive, settings.settle)),
        ),
        Sweep(name="strays", every_seconds=10.0, run=strays),
        Sweep(name="counts of dead processes", every_seconds=60.0, run=lambda: fold_vitals(blobs.root)),
        Sweep(name="room on disk", every_seconds=60.0, run=lambda: watch_disk(blobs, settings)),
        Sweep(name="parts of dead processes", every_seconds=HOUR, run=blobs.sweep_parts),
        Sweep(
            name="objects without a row",
            every_seconds=DAY,
            run=lambda: sweep_orphans(archive, blobs, older_than=DAY).total,
        ),
        Sweep(
            name="old associations",
            every_seconds=HOUR,
            run=lambda: archive.activity.forget_closed(before=archive.clock() - REMEMBERED_SECONDS),
        ),
    ]


def _checks(archive: Archive, settings: NodeSettings, check: SelfCheck) -> list[Sweep]:
    rows = [
        Sweep(name="self-check", every_seconds=2.0, run=check.step),
        Sweep(name="left of self-checks", every_seconds=HOUR, run=check.clear),
    ]
    if settings.self_check.enabled:
        rows.append(
            Sweep(
                name="nightly self-check",
                every_seconds=30.0,
                run=lambda: ask_nightly(archive, settings.self_check),
            )
        )
    return rows


def watch_disk(blobs: LocalBlobs, settings: NodeSettings) -> int:
    """Warn when little room is left; 1 when it warned."""
    free = blobs.free_bytes()
    if free >= settings.storage.warn_below_bytes:
        return 0
    refusing = free < settings.storage.refuse_below_bytes
    LOG.warning("little room on disk", extra={"free_bytes": free, "refusing_objects": refusing})
    return 1


def schedule(table: Sequence[Sweep]) -> BackgroundScheduler:
    """A started scheduler of the table; the first round begins at once. `shutdown()` ends it."""
    scheduler = BackgroundScheduler(timezone=UTC, job_defaults={"coalesce": True, "max_instances": 1})
    for number, sweep in enumerate(table):
        scheduler.add_job(
            _swept,
            "interval",
            args=(sweep,),
            seconds=sweep.every_seconds,
            id=sweep.name,
            next_run_time=datetime.now(UTC) + timedelta(seconds=0.1 * number),
            misfire_grace_time=None,
        )
    scheduler.start()
    return scheduler


def _swept(sweep: Sweep, **_: Any) -> None:
    try:
        done = sweep.run()
    except Exception:
        LOG.exception("a sweep failed; it is tried again", extra={"sweep": sweep.name})
        return
    if done:
        LOG.info("swept", extra={"sweep": sweep.name, "count": done})
