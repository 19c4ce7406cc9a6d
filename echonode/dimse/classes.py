"""SOP classes and transfer syntaxes of this node's DICOM services, as plain tables (PS3.4 B.5, PS3.5 annex A)."""

from __future__ import annotations

from echonode.dicom.storage import (
    COMPRESSED,
    DEFLATED_LE,
    EXPLICIT_BE,
    EXPLICIT_LE,
    IMPLICIT_LE,
    STORAGE_CLASSES,
    UNCOMPRESSED,
    storage_syntaxes,
)

__all__ = [
    "COMPRESSED",
    "DEFLATED_LE",
    "EXPLICIT_BE",
    "EXPLICIT_LE",
    "IMPLICIT_LE",
    "STORAGE_CLASSES",
    "UNCOMPRESSED",
    "storage_syntaxes",
]

VERIFICATION = "1.2.840.10008.1.1"
PATIENT_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.1.1"
PATIENT_ROOT_MOVE = "1.2.840.10008.5.1.4.1.2.1.2"
PATIENT_ROOT_GET = "1.2.840.10008.5.1.4.1.2.1.3"
STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
STUDY_ROOT_MOVE = "1.2.840.10008.5.1.4.1.2.2.2"
STUDY_ROOT_GET = "1.2.840.10008.5.1.4.1.2.2.3"
FIND_CLASSES = frozenset({PATIENT_ROOT_FIND, STUDY_ROOT_FIND})
MOVE_CLASSES = frozenset({PATIENT_ROOT_MOVE, STUDY_ROOT_MOVE})
GET_CLASSES = frozenset({PATIENT_ROOT_GET, STUDY_ROOT_GET})
QUERY_RETRIEVE_CLASSES = FIND_CLASSES | MOVE_CLASSES | GET_CLASSES
