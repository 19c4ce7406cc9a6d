"""What stands on the page of a report, in the order in which a cardiologist reads: who, what, how sure, what is missing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from pydicom.dataset import Dataset

from echonode.core.clip import Mode
from echonode.core.codes import Code
from echonode.core.report import Algorithm, LoopSaid, Refused, ReportedValue, ReportState, StudyReport, ValueGroup
from echonode.core.settings import NodeSection
from echonode.derive import report_codes as codes
from echonode.derive.document_sheet import FAINT, MARGIN, SHADE, WIDTH, Column, Row, Sheets
from echonode.derive.report_document import algorithms_of
from echonode.derive.report_groups import REFUSED_FOR_QUALITY
from echonode.derive.report_numbers import shown
from echonode.derive.report_tree import ADDENDUM
from echonode.dicom import elements, quantities

FOOTER: Final = "RESEARCH USE ONLY: numbers made by a machine, not for diagnosis."
_SHORT: Final[Mapping[Code, str]] = {
    codes.EJECTION_FRACTION: "LV ejection fraction",
    quantities.END_DIASTOLIC_VOLUME: "LV end-diastolic volume",
    quantities.END_SYSTOLIC_VOLUME: "LV end-systolic volume",
    quantities.LVID_D: "LVIDd",
    quantities.LVID_S: "LVIDs",
    quantities.IVS_D: "IVSd",
    quantities.LVPW_D: "LVPWd",
    quantities.SHORTENING: "Fractional shortening",
    quantities.HEART_RATE: "Heart rate",
}
_ORDER: Final = tuple(_SHORT)
_STATES: Final = {
    ReportState.PRELIMINARY: ("PRELIMINARY", "Made by a machine. Nobody has verified it.", "#8a5a00"),
    ReportState.VERIFIED: ("VERIFIED", "", "#1f6b3a"),
    ReportState.ADDENDUM: ("ADDENDUM, PRELIMINARY", ADDENDUM, "#8a5a00"),
}
_MODES: Final[Mapping[str, str]] = {
    Mode.B_MODE: "2D",
    Mode.COLOUR: "2D colour",
    Mode.M_MODE: "M-mode",
    Mode.COLOUR_M_MODE: "colour M-mode",
    Mode.PW: "PW Doppler",
    Mode.CW: "CW Doppler",
    Mode.TDI: "tissue Doppler",
    Mode.VOLUME: "3D",
}
_VALUES: Final = (
    Column(title="Quantity", width=45),
    Column(title="Value", width=23, right=True),
    Column(title="95 % limits", width=23, right=True),
    Column(title="Method", width=52),
    Column(title="Stage", width=21),
    Column(title="Loops", width=14),
)
_APART: Final = ("cmr", "further")
"""Topics with a table of their own."""
_LOOPS: Final = (
    Column(title="#", width=7, right=True),
    Column(title="View", width=46),
    Column(title="Mode", width=22),
    Column(title="Quality", width=30),
    Column(title="Stage", width=21),
    Column(title="Why no result", width=52),
)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Page:
    """The page of one report: `header` has patient and study, `made` is when, `uid` its SOP Instance UID."""

    report: StudyReport
    header: Dataset
    node: NodeSection
    made: datetime
    uid: str

    def sheets(self) -> Sheets:
        """Everything drawn, on as many sheets as it takes."""
        sheets = Sheets()
        self._top(sheets)
        self._patient(sheets)
        chosen, others = self._values(selected=True), self._values(selected=False)
        self._table(sheets, "Left ventricular function", [pair for pair in chosen if pair[0].topic not in _APART])
        self._predicted(sheets)
        further = [pair for pair in chosen if pair[0].topic == "further"]
        if further:
            self._table(sheets, "Further measurements", further)
        self._table(
            sheets, "Other values, not chosen for the study", [pair for pair in others if pair[0].topic != "cmr"],
            strong=False,
        )  # fmt: skip
        self._missing(sheets)
        self._remarks(sheets)
        self._loops(sheets)
        self._models(sheets)
        sheets.feet(FOOTER, f"Report {self.uid}   made {self.made:%Y-%m-%d %H:%M} by echonode, {self.node.station}")
        return sheets

    def _top(self, sheets: Sheets) -> None:
        sheets.write("Echo report", MARGIN, sheets.y, size=17, strong=True)
        if self.node.institution:
            sheets.write(self.node.institution, WIDTH - MARGIN, sheets.y + 1.5, size=9.5, right=True, colour=FAINT)
        sheets.y += 9
        word, sentence, colour = _STATES[self.report.state]
        if self.report.state is ReportState.VERIFIED:
            at = datetime.fromtimestamp(self.report.verified_at or 0.0, UTC).astimezone(self.made.tzinfo)
            sentence = f"by {_name(self.report.verified_by)}, {at:%Y-%m-%d %H:%M}"
        elif self.report.predecessors and self.report.state is ReportState.PRELIMINARY:
            sentence += f" Revision {len(self.report.predecessors) + 1}: it replaces the report before."
        sheets.write(word, MARGIN, sheets.y, size=9, strong=True, colour=colour)
        left = MARGIN + sheets.width_of(word, size=9, strong=True) + 3
        for line in sheets.wrapped(sentence, WIDTH - MARGIN - left, size=9):
            sheets.write(line, left, sheets.y, size=9)
            sheets.y += 4.4
        sheets.y += 1.6

    def _patient(self, sheets: Sheets) -> None:
        def text(keyword: str) -> str:
            return elements.text(self.header, keyword)

        left = (
            ("Patient", _name(text("PatientName"), sheets)),
            ("Patient ID", text("PatientID")),
            ("Born", f"{_date(text('PatientBirthDate')) or 'not stated'} {_age(text('PatientAge'))}".strip()),
            ("Sex", {"M": "male", "F": "female", "O": "other"}.get(text("PatientSex"), "")),
        )
        right = (
            ("Study", " ".join(part for part in (_date(text("StudyDate")), _time(text("StudyTime"))) if part)),
            ("Accession", text("AccessionNumber")),
            ("Referred by", _name(text("ReferringPhysicianName"), sheets)),
            ("Height, weight", _body(self.header)),
        )
        sheets.box(MARGIN, sheets.y, WIDTH - 2 * MARGIN, 22, colour=SHADE)
        half = (WIDTH - 2 * MARGIN) / 2
        for x, pairs in ((MARGIN + 3, left), (MARGIN + half + 3, right)):
            y = sheets.y + 2.2
            for label, value in pairs:
                sheets.write(label, x, y, size=8, colour=FAINT)
                said = sheets.wrapped(value or "not stated", half - 32, size=9)
                sheets.write(
                    said[0] + (" \u2026" if len(said) > 1 else ""), x + 27, y - 0.3, size=9, strong=label == "Patient"
                )
                y += 4.8
        sheets.y += 24

    def _values(self, *, selected: bool) -> list[tuple[ValueGroup, ReportedValue]]:
        pairs = [(g, v) for g in self.report.groups for v in g.values if v.selected is selected]
        return sorted(pairs, key=lambda pair: _place(pair[1]))

    def _table(
        self, sheets: Sheets, title: str, pairs: list[tuple[ValueGroup, ReportedValue]], *, strong: bool = True
    ) -> None:
        if not pairs:
            if strong:
                sheets.heading(title)
                sheets.paragraph("No value stands for the study: see why below.")
            return
        sheets.heading(title)
        sheets.table(_VALUES, [self._row(group, value, strong=strong) for group, value in pairs])
        if not strong:
            return
        for note in dict.fromkeys(note for _, value in pairs for note in value.measurement.notes if note.strip()):
            sheets.paragraph(note, size=7.5, colour=FAINT)
        bases = dict.fromkeys(
            value.measurement.uncertainty_basis
            for _, value in pairs
            if value.measurement.uncertainty is not None and value.measurement.uncertainty_basis
        )
        for basis in bases:
            sheets.paragraph(f"95 % limits: {basis}.", size=7.5, colour=FAINT)

    def _row(self, group: ValueGroup, value: ReportedValue, *, strong: bool) -> Row:
        said = codes.generic(value.measurement)
        limits = "entered" if value.entered_by else "unknown"
        if said.uncertainty is not None:
            limits = f"\u00b1 {shown(said.uncertainty, said.unit, of=said.value)}"
        if value.entered_by:
            method = f"entered by {_name(value.entered_by)}"
        else:
            method = (
                said.method.meaning if said.method is not None else (value.algorithm.title if value.algorithm else "")
            )
        steady = []
        if said.count is not None and said.count > 1:
            steady.append(f"mean of {said.count}")
        if said.repeatability is not None:
            steady.append(f"repeatability SD {shown(said.repeatability, said.unit, of=said.value)}")
        cells = (
            _quantity(value),
            shown(said.value, said.unit, concept=said.concept),
            limits,
            "; ".join([method, *steady]) if method else "; ".join(steady),
            _stage(group.stage, contrast=group.contrast),
            self._loop_numbers(value.frames),
        )
        return Row(cells=cells, strong=strong and said.concept == codes.EJECTION_FRACTION)

    def _predicted(self, sheets: Sheets) -> None:
        groups = [group for group in self.report.groups if group.topic == "cmr" and (group.values or group.findings)]
        if not groups:
            return
        sheets.heading("Predicted from echo: what cardiac MRI might show")
        rows = [self._row(group, value, strong=False) for group in groups for value in group.values]
        rows += [
            Row(
                cells=(
                    found.finding.concept.meaning,
                    found.finding.value.meaning,
                    "" if found.finding.confidence is None else f"model {found.finding.confidence:.0%} sure",
                    found.algorithm.title if found.algorithm else "",
                    _stage(group.stage, contrast=group.contrast),
                    self._loop_numbers(found.frames),
                )
            )
            for group in groups
            for found in group.findings
        ]
        sheets.table(_VALUES, rows)
        sheets.paragraph("Predictions of a network, not measurements: no MRI was seen.", size=7.5, colour=FAINT)

    def _missing(self, sheets: Sheets) -> None:
        refusals = [*self.report.refusals, *(refused for group in self.report.groups for refused in group.refusals)]
        if not refusals:
            return
        sheets.heading("Why no result")
        for line in dict.fromkeys(_refusal(refused) for refused in refusals):
            sheets.bullet(line)

    def _remarks(self, sheets: Sheets) -> None:
        remarks = [*self.report.remarks, *(remark for group in self.report.groups for remark in group.remarks)]
        if self.report.review_comment.strip():
            remarks.insert(0, f"Reviewer: {self.report.review_comment.strip()}")
        if not remarks:
            return
        sheets.heading("Remarks")
        for remark in dict.fromkeys(remarks):
            sheets.bullet(remark)

    def _loops(self, sheets: Sheets) -> None:
        if not self.report.loops:
            return
        sheets.heading("Loops and pictures")
        sheets.table(_LOOPS, [Row(cells=_loop(loop)) for loop in self.report.loops], size=7.4)

    def _models(self, sheets: Sheets) -> None:
        algorithms = algorithms_of(self.report)
        if not algorithms:
            return
        sheets.heading("Models")
        for line in dict.fromkeys(_model(algorithm) for algorithm in algorithms):
            sheets.paragraph(line, size=7.2, colour=FAINT)

    def _loop_numbers(self, frames: Iterable[str]) -> str:
        numbers = {loop.source.sop_instance_uid: loop.number for loop in self.report.loops}
        return ", ".join(str(number) for number in sorted({numbers[uid] for uid in frames if uid in numbers}))


def _place(value: ReportedValue) -> tuple[int, str]:
    concept = codes.generic(value.measurement).concept
    return (_ORDER.index(concept) if concept in _ORDER else len(_ORDER), concept.meaning)


def _quantity(value: ReportedValue) -> str:
    concept = codes.generic(value.measurement).concept
    return _SHORT.get(concept, concept.meaning)


def _loop(loop: LoopSaid) -> tuple[str, ...]:
    view = "not recognised"
    if loop.view is not None:
        view = loop.view.meaning + ("" if loop.view_confidence is None else f" ({loop.view_confidence:.0%})")
    quality = (
        ""
        if loop.quality is None
        else f"{codes.quality_code(loop.quality).meaning.split()[0].lower()} {loop.quality:.2f}"
    )
    if any(refused.code == REFUSED_FOR_QUALITY for refused in loop.refusals):
        quality = "non-diagnostic"
    return (
        str(loop.number),
        view,
        _MODES.get(loop.mode, loop.mode),
        quality or "not judged",
        _stage(loop.stage, contrast=loop.contrast),
        "\n".join(_refusal(refused) for refused in loop.refusals),
    )


def _refusal(refused: Refused) -> str:
    return f"{refused.task}: {refused.reason}" if refused.task else refused.reason


def _stage(stage: str | None, *, contrast: bool) -> str:
    return ", ".join(part for part in (stage or "", "contrast" if contrast else "") if part)


def _model(algorithm: Algorithm) -> str:
    trained = f"; trained on {algorithm.trained_on}" if algorithm.trained_on else ""
    simulated = "; simulated data alone" if algorithm.simulated else ""
    digest = f"; package {algorithm.digest[:12]}" if algorithm.digest else ""
    return f"{algorithm.title}: {algorithm.name} {algorithm.version}{digest}{trained}{simulated}"


def _name(value: str, sheets: Sheets | None = None) -> str:
    """A person's name as people write it: the first component group of it that can be printed (PS3.5 6.2.1)."""
    groups = [group for group in value.split("=") if group.strip("^ ")]
    for group in groups:
        if sheets is None or sheets.printable(group) == group:
            value = group
            break
    else:
        if groups:
            return "not printable here: see the ID"
        return ""
    family, given, middle, prefix, suffix = ([part.strip() for part in value.split("^")] + [""] * 5)[:5]
    first = " ".join(part for part in (prefix, given, middle) if part)
    return ", ".join(part for part in (" ".join(p for p in (family, suffix) if p), first) if part)


def _body(header: Dataset) -> str:
    """Height and weight, where they can be true of somebody."""
    height, weight = elements.decimal(header, "PatientSize"), elements.decimal(header, "PatientWeight")
    said = []
    if height is not None and 0.2 < height < 2.6:
        said.append(f"{height * 100:.0f} cm")
    if weight is not None and 0.2 < weight < 500:
        said.append(f"{weight:.0f} kg")
    return ", ".join(said)


def _date(value: str) -> str:
    return f"{value[:4]}-{value[4:6]}-{value[6:8]}" if len(value) == 8 and value.isdigit() else value


def _time(value: str) -> str:
    return f"{value[:2]}:{value[2:4]}" if len(value) >= 4 and value[:4].isdigit() else ""


def _age(value: str) -> str:
    units = {"Y": "years", "M": "months", "W": "weeks", "D": "days"}
    known = len(value) == 4 and value[:3].isdigit() and value[3] in units and int(value[:3])
    return f"({int(value[:3])} {units[value[3]]})" if known else ""
