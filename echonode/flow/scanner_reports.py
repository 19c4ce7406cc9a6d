"""The reports that scanners sent with a study, read from the stored objects when somebody asks; nothing is kept of them."""

from __future__ import annotations

import shutil
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

from echonode.archive.archive import Archive
from echonode.core.errors import EchonodeError
from echonode.core.query import StoredInstance
from echonode.core.results import Measurement
from echonode.core.settings import LimitsSection
from echonode.dicom.header import SYNTAXES_DEFLATED, Header, read_header
from echonode.dicom.scanner_report import ScannerReport, ScannerValue, read_scanner_report
from echonode.flow.concepts import concept_of, rank_of
from echonode.flow.inflation import read_deflated_header
from echonode.flow.stages import is_rest

STRUCTURED = "1.2.840.10008.5.1.4.1.1.88."
"""With what the SOP classes of structured reports begin."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SentReports:
    """The echo reports of a study, oldest first, and why others could not be read."""

    reports: tuple[ScannerReport, ...]
    unreadable: tuple[str, ...] = ()


def sent_reports(archive: Archive, study_uid: str, *, limits: LimitsSection) -> SentReports:
    """What scanners reported of the study; neither this node's results nor what says that it is research."""
    found: list[ScannerReport] = []
    unreadable: list[str] = []
    for stored in archive.index.instances(study_uid=study_uid):
        if stored.derived or not stored.sop_class_uid.startswith(STRUCTURED):
            continue
        try:
            report = read_scanner_report(_header(stored, limits).item)
        except (EchonodeError, OSError) as error:
            unreadable.append(f"{stored.sop_instance_uid}: {error}")
            continue
        if report is not None and not report.research:
            found.append(report)
    # carts send a report again whenever a number is added: the clock of the cart orders them, arrival those alike
    return SentReports(reports=tuple(sorted(found, key=lambda each: each.made_at)), unreadable=tuple(unreadable))


def measured_at_rest(reports: Sequence[ScannerReport]) -> Mapping[str, Measurement]:
    """One number of each concept (by its name): of the newest report that has it, found the best way.

    Biplane goes before single plane, Teichholz is last. Of several, what the report marks as chosen counts, else what
    it calls their mean, else their mean.
    """
    newest: dict[str, list[ScannerValue]] = {}
    for report in reports:
        newest |= _by_concept(value for value in report.values if is_rest(value.stage))
    return {name: _one(values) for name, values in newest.items()}


def _by_concept(values: Iterable[ScannerValue]) -> dict[str, list[ScannerValue]]:
    found: dict[str, list[ScannerValue]] = defaultdict(list)
    for value in values:
        found[concept_of(value.measurement.concept).name].append(value)
    return dict(found)


def _one(values: Sequence[ScannerValue]) -> Measurement:
    asked = [each for each in values if each.chosen] or values
    ranks = [rank_of(each.measurement, each.view) for each in asked]
    best = [value for value, rank in zip(asked, ranks, strict=True) if rank == min(ranks)]
    kept = [each for each in best if each.mean] or best
    return replace(kept[0].measurement, value=fmean(each.measurement.value for each in kept))


def _header(stored: StoredInstance, limits: LimitsSection) -> Header:
    path, syntax = Path(stored.path), stored.transfer_syntax_uid
    if syntax not in SYNTAXES_DEFLATED:
        return read_header(path, offset=stored.dataset_offset, transfer_syntax_uid=syntax, limits=limits)
    with tempfile.TemporaryDirectory(prefix="echonode-") as scratch:  # it is inflated beside the file it is read from
        copy = Path(shutil.copy(path, scratch))
        return read_deflated_header(copy, offset=stored.dataset_offset, transfer_syntax_uid=syntax, limits=limits)
