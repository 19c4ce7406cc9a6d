"""/health/live and /health/ready: whether this process answers, and whether the node can do its work, with reasons.

Both are for programs that start and stop things, ask every few seconds and carry no token: they say what is wrong,
and nothing about patients or peers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Route

from echonode.archive.self_checks import Check
from echonode.archive.vitals import ProcessVitals, Sheet, read_vitals
from echonode.core.errors import EchonodeError
from echonode.web.services import Services

LATE_SECONDS = 15.0
"""A process that has not written for so long, or whose accept loop has not turned, is stuck."""
WORKER_LATE_SECONDS = 120.0
"""The worker's loop may rest on one long step: hashing the pixels of a large loop."""
DATABASE_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing that was looked at: whether it works, and in a line what is or what is wrong.

    What does not decide is for people: a model that drifts is no reason to turn scanners away.
    """

    ok: bool
    says: str
    decides: bool = True


def routes(services: Services) -> list[BaseRoute]:
    """/health/live and /health/ready."""

    async def live(_request: Request) -> JSONResponse:
        return _answer({"status": "alive"}, 200)

    async def ready(_request: Request) -> JSONResponse:
        findings = await examine(services)
        good = all(finding.ok for finding in findings.values() if finding.decides)
        checks = {name: {"ok": finding.ok, "says": finding.says} for name, finding in findings.items()}
        return _answer({"status": "ready" if good else "not ready", "checks": checks}, 200 if good else 503)

    return [Route("/health/live", live, methods=["GET"]), Route("/health/ready", ready, methods=["GET"])]


async def examine(services: Services) -> dict[str, Finding]:
    """Every finding by its name; a database that hangs is a finding too."""
    try:
        database = await asyncio.wait_for(run_in_threadpool(_database, services), DATABASE_SECONDS)
    except TimeoutError:
        database = {"database": Finding(ok=False, says=f"no answer within {DATABASE_SECONDS:g} s")}
    rest = await run_in_threadpool(_apart_from_database, services)
    return {**database, **rest}


def _apart_from_database(services: Services) -> dict[str, Finding]:
    sheet, now = read_vitals(services.configuration.root), services.clock()
    return {
        "disk": _disk(services),
        "acceptors": _acceptors(sheet, services.configuration.node.dimse.acceptors, now),
        "worker": _worker(sheet, now),
        "runners": _runners(sheet),
    }


def _database(services: Services) -> dict[str, Finding]:
    try:
        services.archive.check()
        checked = services.archive.self_checks.latest()
    except EchonodeError as error:
        return {"database": Finding(ok=False, says=str(error))}
    found = {"database": Finding(ok=True, says="answers")}
    if checked is not None:
        found["self-check"] = Finding(ok=bool(checked.ok), says=_checked(checked), decides=False)
    return found


def _checked(check: Check) -> str:
    """Only when and whether: the page carries no token, and models are nobody's business who has none."""
    when = datetime.fromtimestamp(check.ended_at or 0, UTC).isoformat(timespec="seconds")
    return f"{'passed' if check.ok else 'FAILED'} at {when}; echonode self-check list tells more"


def _disk(services: Services) -> Finding:
    least = services.configuration.node.storage.refuse_below_bytes
    try:
        free = services.blobs.free_bytes()
    except OSError as error:
        return Finding(ok=False, says=f"the data folder cannot be looked at: {error.strerror}")
    if free < least:
        return Finding(ok=False, says=f"{free} bytes are free, objects are refused below {least}")
    return Finding(ok=True, says=f"{free} bytes are free")


def _acceptors(sheet: Sheet, wanted: int, now: float) -> Finding:
    found = sheet.of("acceptor")
    good = [process for process in found if _is_fresh(process, now, LATE_SECONDS)]
    says = f"{len(good)} of {wanted} take associations"
    stuck = len(found) - len(good)
    return Finding(ok=bool(good), says=f"{says}, {stuck} are stuck" if stuck else says)


def _worker(sheet: Sheet, now: float) -> Finding:
    found = sheet.of("worker")
    if not found:
        return Finding(ok=False, says="no worker runs")
    if not any(_is_fresh(process, now, WORKER_LATE_SECONDS) for process in found):
        return Finding(ok=False, says=f"the worker's loop has not turned for {now - found[0].pulsed_at:.0f} s")
    return Finding(ok=True, says="works")


def _runners(sheet: Sheet) -> Finding:
    """Not ready when every slot of a model fails to run it; a model that nobody asked for yet has no slot."""
    failing, working = [], 0
    for model, slots in slots_of(sheet).items():
        bad = [slot for slot in slots if slot.get("failures")]
        working += len(slots) - len(bad)
        if slots and len(bad) == len(slots):
            failing.append(f"{model}: {bad[0].get('last_failure') or 'its runner does not start'}")
    if failing:
        return Finding(ok=False, says="; ".join(failing))
    return Finding(ok=True, says=f"{working} slots of models that ran")


def slots_of(sheet: Sheet) -> dict[str, list[Mapping[str, Any]]]:
    """The slots of each model that the worker's executor has been asked to run."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for process in sheet.of("worker"):
        models = process.reports.get("executor", {}).get("models", {})
        for model, lane in models.items():
            found.setdefault(model, []).extend(lane.get("slots", ()))
    return found


def _is_fresh(process: ProcessVitals, now: float, seconds: float) -> bool:
    return now - process.written_at < LATE_SECONDS and now - process.pulsed_at < seconds


def _answer(content: Mapping[str, Any], status: int) -> JSONResponse:
    return JSONResponse(content, status_code=status, headers={"Cache-Control": "no-store"})
