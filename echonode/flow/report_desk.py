"""What a person asks of reports and results, and what they order, as plain JSON values: the console's page on reports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from echonode.archive.archive import Archive
from echonode.archive.reports import KeptReport, ReportStatus
from echonode.core.configuration import Configuration
from echonode.core.errors import BadInput
from echonode.core.report_json import of_json
from echonode.core.states import OPEN, WorkState
from echonode.core.work import WorkKind
from echonode.flow import correct as corrections
from echonode.flow.report_text import lines_of
from echonode.flow.review import accept, reject
from echonode.flow.settle import process_now as settle_now
from echonode.flow.withdraw import Withdrawn, states_of
from echonode.flow.withdraw import withdraw as take

Row = dict[str, Any]
MOST_ITEMS = 1000


def report(archive: Archive, configuration: Configuration, study: str) -> Row:
    """The report that stands, what was added to it, every earlier one in short, and why there is none."""
    study_uid = archive.index.resolve_study(study)
    current, addendum = archive.reports.current(study_uid), archive.reports.addendum(study_uid)
    told = [of_json(each.content) for each in (current, addendum) if each is not None]
    return {
        "study_uid": study_uid,
        "current": None if current is None else _in_short(current) | {"content": dict(current.content)},
        "addendum": None if addendum is None else _in_short(addendum) | {"content": dict(addendum.content)},
        "lines": [line for each in told for line in ([""] if each is not told[0] else []) + lines_of(each)],
        "reports": [_in_short(each) for each in archive.reports.all(study_uid)],
        "waits_for": _waits_for(archive, configuration, study_uid),
    }


def process_now(archive: Archive, configuration: Configuration, study: str, *, by: str) -> Row:
    """Let a study count as complete."""
    told = settle_now(archive, configuration.routes.report, study=study, who=by)
    return {"study_uid": told.study_uid, "open_runs": told.open_runs}


def review(
    archive: Archive,
    configuration: Configuration,
    study: str,
    *,
    name: str,
    by: str,
    rejected: str | None,
    values: Mapping[str, float],
    comment: str,
) -> Row:
    """Accept the report as it is or with `values`, or with `rejected`, a reason, take it back."""
    settings = configuration.node.work
    if rejected is not None:
        if values or comment:
            raise BadInput("a report is rejected with a reason, or accepted with values and a comment; not both")
        taken = reject(archive, configuration.routes, settings, study=study, reason=rejected, by=name, who=by)
        return {"study_uid": taken.study_uid, "verdict": "rejected", **_taken(taken)}
    told = accept(archive, settings, study=study, changes=values, by=name, comment=comment, who=by)
    return {
        "study_uid": told.study_uid,
        "verdict": "accepted",
        "report": told.report_uid,
        "work_id": told.work_id,
        "new": told.new,
    }


def results(archive: Archive, study: str) -> list[Row]:
    """Every derived object of the study."""
    return [dict(row) for row in states_of(archive, archive.index.resolve_study(study))]


def withdraw(archive: Archive, configuration: Configuration, target: str, *, reason: str, name: str, by: str) -> Row:
    """Take back one result, or everything that was made of a study."""
    taken = take(archive, configuration.routes, configuration.node.work, target=target, reason=reason, by=name, who=by)
    return {"study_uid": taken.study_uid, **_taken(taken)}


def correct(
    archive: Archive,
    configuration: Configuration,
    study: str,
    *,
    changes: Mapping[str, str],
    name: str,
    reason: str,
    by: str,
) -> Row:
    """Say who the patient of a study really is."""
    told = corrections.correct(
        archive,
        configuration.routes,
        configuration.node.work,
        study=study,
        changes=changes,
        by=name,
        reason=reason,
        who=by,
    )
    return {
        "study_uid": told.study_uid,
        "patient_id": told.patient_id,
        "revision": told.revision,
        "withdrawn": told.withdrawn,
        "runs": told.runs,
    }


def _taken(taken: Withdrawn) -> Row:
    return {
        "withdrawn": list(taken.uids),
        "before": taken.before,
        "deliveries_canceled": taken.canceled,
        "note_to": list(taken.noted),
    }


def _in_short(kept: KeptReport) -> Row:
    return {
        "sop_instance_uid": kept.sop_instance_uid,
        "state": str(kept.state),
        "status": str(kept.status),
        "predecessor_uid": kept.predecessor_uid,
        "revision": kept.revision,
        "by": kept.by,
        "comment": kept.comment,
        "objects": [{"sop_instance_uid": each.sop_instance_uid, "kind": each.kind} for each in kept.objects],
        "at": kept.at,
    }


def _waits_for(archive: Archive, configuration: Configuration, study_uid: str) -> str:
    """In one line, why there is no newer report; empty when the one that stands says all."""
    state = archive.studies.state(study_uid)
    items = archive.work.list(kind=WorkKind.REPORT, study_uid=study_uid, limit=MOST_ITEMS)
    if state is None or not configuration.routes.report.enabled:
        return "routes.toml wants no reports: [report] enabled is false"
    if state.held is not None:
        return f"the study is held: {state.held}"
    if any(item.state in OPEN for item in items):
        return "a report is being made"
    if state.unsettled_since is not None:
        return "the study is not complete yet; echonode study process-now does not wait"
    if state.report_due and (runs := archive.studies.open_runs(study_uid)):
        told = f"{runs} runs of the study have not ended" if runs > 1 else "a run of the study has not ended"
        return told + _paused(archive, study_uid)
    if state.report_due:
        return "a report is due and will be made at once by a running node"
    if items and items[0].state is WorkState.CANCELED:
        return f"the last attempt was given up: {items[0].reason}"
    reports = archive.reports.all(study_uid)
    if not any(each.status is ReportStatus.CURRENT for each in reports):
        if reports:
            return "the last report was withdrawn; echonode study process-now has it made again"
        return str(items[0].outcome.get("reason", "")) if items else "no object of the study asked for a report"
    return ""


def _paused(archive: Archive, study_uid: str) -> str:
    """Which pauses hold the study's runs back: no report comes as long as they last."""
    pauses = {(str(pause.kind), pause.name) for pause in archive.pauses.list()}
    runs = archive.work.list(kind=WorkKind.RUN, state=WorkState.SCHEDULED, study_uid=study_uid, limit=MOST_ITEMS)
    names = {("model", item.queue) for item in runs} | {("route", item.route) for item in runs}
    held = sorted(names & pauses)
    return "" if not held else "; " + ", ".join(f"{kind} {name} is paused" for kind, name in held)
