"""The page of a report as Encapsulated PDF (PS3.3 A.45.1), for who reads paper: the same content as the SR, laid out."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from io import BytesIO
from typing import Any, Final

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from echonode.core.report import ReportState, StudyReport
from echonode.core.settings import NodeSection
from echonode.derive import report_codes as codes
from echonode.derive.common import DerivedObject, code_item, declare_private_scheme, reference_item, set_character_set
from echonode.derive.document_page import Page
from echonode.derive.report import report_uid
from echonode.derive.report_document import COMPREHENSIVE_3D_SR, derived_object, document_dataset, document_uid
from echonode.derive.report_sources import Sources
from echonode.dicom.facts import MANUFACTURER
from echonode.dicom.storage import ENCAPSULATED_PDF

KIND: Final = "document"
SERIES_NUMBER: Final = 9012
_TITLE: Final = "Echo report, research use only"


def build_document(
    report: StudyReport,
    *,
    headers: Mapping[str, Dataset],
    node: NodeSection,
    now: datetime,
    patient: Mapping[str, Any] | None = None,
) -> DerivedObject:
    """`report` as one or more A4 pages with the patient's name on them; arguments as `build_report`.

    The same arguments give the same bytes. It refers to the structured report of the same content and to what that
    was made from.

    Raises:
        BadInput: no object of the study has a header.
    """
    sources = Sources.of(report, headers)
    dataset, header = document_dataset(
        KIND,
        report,
        sources,
        node=node,
        now=now,
        patient=patient,
        series_number=SERIES_NUMBER,
        title="Echo report page",
    )
    uid = document_uid(KIND, report)
    dataset.SOPClassUID, dataset.SOPInstanceUID = ENCAPSULATED_PDF, uid
    dataset.Modality, dataset.ConversionType = "DOC", "WSD"
    dataset.AcquisitionDateTime = None
    dataset.BurnedInAnnotation = "YES"  # name, identifier and dates stand on the page
    dataset.VerificationFlag = "VERIFIED" if report.state is ReportState.VERIFIED else "UNVERIFIED"
    dataset.DocumentTitle = _TITLE
    dataset.ConceptNameCodeSequence = Sequence([code_item(codes.ECHO_DOCUMENT)])
    dataset.SourceInstanceSequence = Sequence(_made_from(report, sources))
    dataset.MIMETypeOfEncapsulatedDocument = "application/pdf"
    page = Page(report=report, header=header, node=node, made=now, uid=report_uid(report))
    content = pdf_of(page)
    dataset.EncapsulatedDocumentLength = len(content)
    dataset.EncapsulatedDocument = content + b"\0" * (len(content) % 2)
    declare_private_scheme(dataset)
    set_character_set(header, dataset)
    return derived_object(dataset, kind=KIND)


def pdf_of(page: Page) -> bytes:
    """The sheets of a page as PDF; the same page gives the same bytes."""
    import matplotlib as mpl
    from matplotlib.backends.backend_pdf import PdfPages

    stream = BytesIO()
    told = {"Title": _TITLE, "Author": MANUFACTURER, "Creator": MANUFACTURER, "CreationDate": page.made}
    # Type 42 fonts are text that can be searched and copied, in every script that the font has.
    with mpl.rc_context({"pdf.fonttype": 42}), PdfPages(stream, metadata=told) as pages:
        for figure in page.sheets().figures:
            pages.savefig(figure)
    return stream.getvalue()


def _made_from(report: StudyReport, sources: Sources) -> list[Dataset]:
    """Source Instance Sequence (0042,0013): the structured report and the recorded objects."""
    references = [(COMPREHENSIVE_3D_SR, report_uid(report))]
    for loop in report.loops:
        reference = sources.reference(loop.source.sop_instance_uid)
        references.append((reference.sop_class_uid, reference.sop_instance_uid))
    return [reference_item(*reference) for reference in dict.fromkeys(references)]
