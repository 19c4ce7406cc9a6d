"""A report in plain lines, for people at a terminal, in a demonstration and on paper."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from textwrap import wrap
from typing import Final

from echonode.core.report import LoopSaid, Refused, ReportedFinding, ReportedValue, ReportState, StudyReport, ValueGroup
from echonode.flow.concepts import CMR, concept_of, method_words, number_words, place_of
from echonode.flow.selection import view_of

HEADINGS: Final[Mapping[ReportState, str]] = {
    ReportState.PRELIMINARY: "PRELIMINARY: made by echonode, no person has reviewed it",
    ReportState.VERIFIED: "VERIFIED",
    ReportState.ADDENDUM: "PRELIMINARY ADDENDUM: made by echonode after a person verified the report; nobody has reviewed it",
}
RESEARCH: Final = "Research use only, not for diagnosis."
_GAP: Final = "  "
_WIDTH: Final = 110
_WIDEST: Final = 44  # of a column: what is longer goes on beyond it


def lines_of(report: StudyReport) -> list[str]:
    """The report as lines without line ends.

    Selected values and what is known of them, further values, loops, why there is no result, remarks.
    """
    loops = {loop.source.sop_instance_uid: loop for loop in report.loops}
    sections = [
        _head(report),
        _selected(report, loops),
        _about(report),
        *(_further(group, loops) for group in report.groups),
        _loops(report.loops),
        _refusals(report),
        _remarks(report),
    ]
    lines: list[str] = []
    for section in sections:
        if section:
            lines += [*([""] if lines else []), *section]
    return lines


def accuracy_words(value: ReportedValue) -> str:
    """How far a value may be from the truth: its 95 % limits, or that nobody has measured it."""
    number = value.measurement
    if value.entered_by:
        return "by a person"
    if number.uncertainty is None:
        return "accuracy unknown"
    lowest = 0.0 if number.value >= 0 else -math.inf
    highest = 100.0 if number.unit.value == "%" else math.inf
    ends = (min(highest, max(lowest, number.value + side * number.uncertainty)) for side in (-1, 1))
    low, high = (number_words(end, number.unit) for end in ends)
    return f"{low.split()[0]} to {high}"


def repeatability_words(value: ReportedValue) -> str:
    """How steady a value is over its beats, clips or loops, which says nothing of how true it is."""
    number = value.measurement
    spread = [] if number.repeatability is None else [f"SD {number_words(number.repeatability, number.unit)}"]
    return ", ".join([*spread, *([f"n = {number.count}"] if number.count is not None and number.count > 1 else [])])


def source_words(value: ReportedValue) -> str:
    """Who gives a value: the model with its version, or the person."""
    algorithm = value.algorithm
    if value.entered_by:
        return f"entered by {value.entered_by}"
    if algorithm is None:
        return ""
    named = f"{algorithm.name} {algorithm.version}"
    return named if algorithm.title == algorithm.name else f"{algorithm.title} ({named})"


def _head(report: StudyReport) -> list[str]:
    lines = [f"Echo report of study {report.study_uid}", HEADINGS[report.state], RESEARCH]
    if report.state is ReportState.VERIFIED:
        when = (
            ""
            if report.verified_at is None
            else f", {datetime.fromtimestamp(report.verified_at, UTC):%Y-%m-%d %H:%M} UTC"
        )
        lines[1] += f" by {report.verified_by}{when}" + (f": {report.review_comment}" if report.review_comment else "")
    if report.predecessors:
        verb = "adds to" if report.state is ReportState.ADDENDUM else "replaces"
        lines.append(f"It {verb} report {report.predecessors[0].sop_instance_uid}")
    return lines


def _selected(report: StudyReport, loops: Mapping[str, LoopSaid]) -> list[str]:
    measured, predicted = (
        [value for group in report.groups if (group.topic == CMR) is of_cmr for value in group.values if value.selected]
        for of_cmr in (False, True)
    )
    lines = ["Values that stand for the study, at rest" if measured else "No measured value stands for the study."]
    lines += _chosen(measured, loops)
    if predicted:
        lines += ["", "Predicted from echo, not measured; at rest", *_chosen(predicted, loops)]
    return lines


def _chosen(values: Sequence[ReportedValue], loops: Mapping[str, LoopSaid]) -> list[str]:
    rows = [
        (
            _title(value),
            number_words(value.measurement.value, value.measurement.unit),
            accuracy_words(value),
            repeatability_words(value),
            method_words(value.measurement, view_of(value, loops)),
            _where(value.frames, loops),
            source_words(value),
        )
        for value in sorted(values, key=lambda each: place_of(each.measurement.concept))
    ]
    return _table([("", "", "95 % limits", "repeatability", "method", "from", "by"), *rows]) if rows else []


def _further(group: ValueGroup, loops: Mapping[str, LoopSaid]) -> list[str]:
    unselected = (value for value in group.values if not value.selected)
    values = sorted(unselected, key=lambda each: place_of(each.measurement.concept))
    rows: list[tuple[str, ...]] = [
        (
            _title(value),
            number_words(value.measurement.value, value.measurement.unit),
            accuracy_words(value),
            method_words(value.measurement, view_of(value, loops)),
            _where(value.frames, loops),
        )
        for value in values
    ]
    rows += [_finding_row(finding, loops) for finding in group.findings]
    said = [line for remark in group.remarks for line in _sentence(remark)]
    if not rows and not said:
        return []
    selected = any(value.selected for value in group.values)
    return [
        f"{group.title}: {'further values' if selected else 'values'}" if rows else group.title,
        *_table(rows),
        *said,
    ]


def _finding_row(said: ReportedFinding, loops: Mapping[str, LoopSaid]) -> tuple[str, ...]:
    finding = said.finding
    sure = "" if finding.confidence is None else f"confidence {finding.confidence:.2f}"
    return finding.concept.meaning, finding.value.meaning, sure, "", _where(said.frames, loops)


def _loops(loops: Sequence[LoopSaid]) -> list[str]:
    if not loops:
        return []
    rows = [
        (
            f"{loop.number}",
            loop.view.meaning if loop.view is not None else "view unknown",
            "" if loop.view_confidence is None else f"confidence {loop.view_confidence:.2f}",
            loop.mode,
            f"{loop.frames} frame{'s' if loop.frames != 1 else ''}",
            f"stage {loop.stage}" if loop.stage else "",
            "with contrast" if loop.contrast else "",
            "" if loop.quality is None else f"quality {loop.quality:.2f}",
        )
        for loop in loops
    ]
    told: dict[str, list[int]] = defaultdict(list)
    for loop in loops:
        if loop.view_reason:
            known = "view unknown:" if loop.view is None else "view:"
            told[f"{known} {loop.view_reason}"].append(loop.number)
    lines = [line for words, of in told.items() for line in _sentence(f"{_of_loops(of)}, {words}")]
    return ["Loops", *_table(rows), *lines]


def _refusals(report: StudyReport) -> list[str]:
    """Why there is no result; what several loops have in common is said once."""
    numbers: dict[tuple[str, str], list[int]] = defaultdict(list)
    for loop in report.loops:
        for refusal in loop.refusals:
            numbers[refusal.task, refusal.reason].append(loop.number)
    said = [
        f"{_of_loops(of)}: {task}: {reason}"
        for (task, reason), of in sorted(numbers.items(), key=lambda item: (item[1], item[0]))
    ]
    said += [_refusal(group.title, refusal) for group in report.groups for refusal in group.refusals]
    said += [_refusal("study", refusal) for refusal in report.refusals]
    return ["Why there is no result", *(line for each in said for line in _sentence(each))] if said else []


def _refusal(where: str, refusal: Refused) -> str:
    return f"{where}: {refusal.task}: {refusal.reason}"


def _sentence(text: str) -> list[str]:
    """A sentence of a list, on as many lines as it takes."""
    return wrap(text, _WIDTH, initial_indent=_GAP, subsequent_indent=2 * _GAP, break_long_words=False)


def _remarks(report: StudyReport) -> list[str]:
    lines = [line for remark in report.remarks for line in _sentence(remark)]
    return ["Remarks", *lines] if lines else []


def _about(report: StudyReport) -> list[str]:
    """Why the selected values, and what the models note of them; what several have in common is said once."""
    chosen = [value for group in report.groups for value in group.values if value.selected]
    titles: dict[str, list[str]] = defaultdict(list)
    for value in sorted(chosen, key=lambda each: place_of(each.measurement.concept)):
        why = [value.selection] if " before " in value.selection else []
        for said in (*why, *value.measurement.notes):
            titles[said].append(_title(value))
    lines = [line for said, of in titles.items() for line in _sentence(f"{', '.join(of)}: {said}")]
    return ["About these values", *lines] if lines else []


def _title(value: ReportedValue) -> str:
    title = concept_of(value.measurement.concept).title
    return title if title[:2].isupper() else title[:1].upper() + title[1:]


def _where(frames: Mapping[str, tuple[int, ...]], loops: Mapping[str, LoopSaid]) -> str:
    numbers = sorted(loops[uid].number for uid in frames if uid in loops)
    return _of_loops(numbers) if numbers else ""


def _of_loops(numbers: Sequence[int]) -> str:
    """Loop 2; loops 1 to 3, 5."""
    runs: list[tuple[int, int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    said = [
        f"{low}" if low == high else f"{low}, {high}" if high == low + 1 else f"{low} to {high}" for low, high in runs
    ]
    return f"loop{'s' if len(set(numbers)) > 1 else ''} {', '.join(said)}"


def _table(rows: Iterable[Sequence[str]]) -> list[str]:
    """Rows in columns; a column that is empty in every row is left out."""
    given = [list(row) for row in rows]
    columns = [place for place in range(max(map(len, given), default=0)) if any(row[place] for row in given)]
    widths = {place: min(_WIDEST, max(len(row[place]) for row in given)) for place in columns}
    return [(_GAP + _GAP.join(row[place].ljust(widths[place]) for place in columns)).rstrip() for row in given]
