"""What writes reports down as DICOM objects. Their libraries are large: they are loaded when the first report is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from pydicom.dataset import Dataset

from echonode.core.report import StudyReport
from echonode.core.settings import NodeSection
from echonode.derive.common import DerivedObject


class Builders:
    """The builders of derive/, each with the signature that its module tells."""

    def report(
        self,
        report: StudyReport,
        *,
        headers: Mapping[str, Dataset],
        node: NodeSection,
        now: datetime,
        patient: Mapping[str, Any] | None,
    ) -> DerivedObject:
        """The structured report."""
        from echonode.derive.report import build_report

        return build_report(report, headers=headers, node=node, now=now, patient=patient)

    def of(self, kind: str) -> Callable[..., DerivedObject]:
        """The builder of what goes with a report: document or measurements."""
        if kind == "document":
            from echonode.derive.document import build_document

            return build_document
        from echonode.derive.measurements import build_measurements

        return build_measurements

    def rejection(
        self,
        headers: Sequence[Dataset],
        *,
        reason: str,
        by: str,
        wrong_patient: bool,
        node: NodeSection,
        now: datetime,
        patient: Mapping[str, Any] | None,
        revision: int,
    ) -> DerivedObject:
        """The rejection note of withdrawn objects."""
        from echonode.core.codes import REJECTED_FOR_QUALITY, REJECTED_FOR_SAFETY
        from echonode.derive.rejection import build_rejection

        title = REJECTED_FOR_SAFETY if wrong_patient else REJECTED_FOR_QUALITY
        return build_rejection(
            headers, reason=reason, by=by, node=node, now=now, patient=patient, title=title, revision=revision
        )
